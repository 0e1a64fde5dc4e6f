import io.fission.Handler;
import io.fission.Request;

public class Empty implements Handler {
    @Override
    public Object handle(Request request) {
        return "";
    }
}
