import io.fission.Handler;
import io.fission.Request;

public class Variable implements Handler {
    // Read while it is loaded and while it serves: both must see what the platform gave it.
    private static final String AT_LOAD = System.getenv("GREETING");

    @Override
    public Object handle(Request request) {
        return AT_LOAD + " " + System.getenv().get("GREETING") + " " + System.getenv("FROM_START");
    }
}
