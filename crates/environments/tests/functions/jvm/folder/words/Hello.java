package words;

import io.fission.Handler;
import io.fission.Request;

public class Hello implements Handler {
    /** One more function, within another. */
    public static class Deep implements Handler {
        @Override
        public Object handle(Request request) {
            return "deep";
        }
    }

    @Override
    public Object handle(Request request) {
        return Words.FOLDER;
    }
}
