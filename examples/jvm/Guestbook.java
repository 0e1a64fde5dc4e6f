import io.fission.Handler;
import io.fission.Request;
import io.fission.Response;

// The query, JSON, a status of its own, a line in the log.
public class Guestbook implements Handler {
    @Override
    public Object handle(Request request) {
        String name = request.parameter("name");
        if (name == null || !name.matches("[\\w ]+")) {
            return Response.of(400).text("name, please\n");
        }
        System.out.println(name + " was here");
        return Response.of(200).json("{\"greeting\": \"Hello, " + name + "!\"}\n");
    }
}
