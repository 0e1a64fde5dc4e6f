import io.fission.Handler;
import io.fission.Request;

public class Slow implements Handler {
    @Override
    public Object handle(Request request) throws Exception {
        Thread.sleep(300);
        return "slow";
    }
}
