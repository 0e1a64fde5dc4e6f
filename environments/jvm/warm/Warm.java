import io.fission.Handler;
import io.fission.Request;
import io.fission.Response;

/** The environment's own function. */
public final class Warm implements Handler {
    @Override
    public Object handle(Request request) throws Exception {
        String said = request.parameter("a") + request.header("x-test") + request.text().length();
        return request.path().equals("/json")
            ? Response.of(200).header("X-Warm", "yes").stream(out -> out.write((said + "\n").getBytes()))
            : said + "\n";
    }
}
