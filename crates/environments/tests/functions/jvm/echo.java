import io.fission.Handler;
import io.fission.Request;
import io.fission.Response;

public class Echo implements Handler {
    @Override
    public Object handle(Request request) throws Exception {
        String header = request.header("x-test") == null ? "" : request.header("x-test");
        String seen = "{\"method\":\"%s\",\"path\":\"%s\",\"query\":\"%s\",\"header\":\"%s\",\"body\":\"%s\"}"
            .formatted(request.method(), request.path(), request.query(), header, request.text());
        return Response.of(201).header("X-Answer", "yes").json(seen);
    }
}
