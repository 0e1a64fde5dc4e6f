import io.fission.Handler;
import io.fission.Request;

public class Prints implements Handler {
    @Override
    public Object handle(Request request) {
        System.out.print("one\nt");
        System.out.println("wo");
        System.err.println("three");
        return "printed";
    }
}
