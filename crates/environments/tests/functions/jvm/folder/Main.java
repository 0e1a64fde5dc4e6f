import io.fission.Handler;
import io.fission.Request;

public class Main implements Handler {
    @Override
    public Object handle(Request request) {
        return "main file";
    }
}
