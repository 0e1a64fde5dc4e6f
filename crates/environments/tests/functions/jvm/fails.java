import io.fission.Handler;
import io.fission.Request;

public class Fails implements Handler {
    @Override
    public Object handle(Request request) {
        throw new IllegalStateException("the reason");
    }
}
