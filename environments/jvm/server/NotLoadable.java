package io.fission.server;

/** The code has no such function, or is none. The text is for the user. */
final class NotLoadable extends Exception {
    NotLoadable(String message) {
        super(message);
    }
}
