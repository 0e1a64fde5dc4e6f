package io.fission;

/** A function without a framework: implement it in a class with a constructor that takes nothing. */
@FunctionalInterface
public interface Handler {
    /**
     * Answers a request; called by many threads at the same time.
     *
     * @return a String, a byte[], an InputStream (sent as it can be read), a {@link Response}, or null for an empty answer
     */
    Object handle(Request request) throws Exception;
}
