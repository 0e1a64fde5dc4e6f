import io.fission.Handler;
import io.fission.Request;

public class Hello implements Handler {
    @Override
    public Object handle(Request request) {
        return "Hello, world!\n";
    }
}
