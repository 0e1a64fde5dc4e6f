import io.fission.Handler;
import io.fission.Request;
import io.fission.Response;
import java.nio.charset.StandardCharsets;

public class Stream implements Handler {
    @Override
    public Object handle(Request request) {
        return Response.of(200).stream(out -> {
            out.write("first".getBytes(StandardCharsets.UTF_8));
            out.flush();
            Thread.sleep(300);
            out.write("second".getBytes(StandardCharsets.UTF_8));
        });
    }
}
