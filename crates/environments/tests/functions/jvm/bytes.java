import io.fission.Handler;
import io.fission.Request;

public class Bytes implements Handler {
    @Override
    public Object handle(Request request) {
        byte[] all = new byte[256];
        for (int i = 0; i < all.length; i++) {
            all[i] = (byte) i;
        }
        return all;
    }
}
