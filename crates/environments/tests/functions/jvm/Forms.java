import io.fission.Handler;
import io.fission.Request;
import io.fission.Response;
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;

public class Forms implements Handler {
    @Override
    public Object handle(Request request) throws Exception {
        System.out.print("unfinished");
        switch (String.valueOf(request.parameter("form"))) {
            case "headers":
                return Response.of(203).header("Set-Cookie", "a=1").header("Set-Cookie", "b=2").text("text");
            case "stream":
                return new ByteArrayInputStream("read".getBytes(StandardCharsets.UTF_8));
            case "nothing":
                return null;
            case "number":
                return 1;
            case "deep":
                return handle(request);
            case "unread":
                return "unread";
            case "memory":
                return new byte[Integer.MAX_VALUE - 8];
            case "halfway":
                return Response.of(200).stream(out -> {
                    out.write("first".getBytes(StandardCharsets.UTF_8));
                    out.flush();
                    throw new IllegalStateException("broke off");
                });
            default:
                return request.parameters() + " " + request.header("X-TEST") + " " + request.text();
        }
    }
}
