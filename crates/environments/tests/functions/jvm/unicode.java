import io.fission.Handler;
import io.fission.Request;

public class Unicode implements Handler {
    @Override
    public Object handle(Request request) {
        return "Grüße, 世界 🌍";
    }
}
