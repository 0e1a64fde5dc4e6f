import io.fission.Handler;
import io.fission.Request;

public class Size implements Handler {
    @Override
    public Object handle(Request request) throws Exception {
        return String.valueOf(request.bytes().length);
    }
}
