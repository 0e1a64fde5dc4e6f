package io.fission;

import java.io.IOException;
import java.io.InputStream;
import java.util.List;
import java.util.Map;

/** What a {@link Handler} is given. */
public interface Request {
    String method();

    /** The path as the client sent it, without the query: {@code /a%20b}. */
    String path();

    /** What comes after the question mark, as the client sent it; empty without one. */
    String query();

    /** All headers, found in any case. */
    Map<String, List<String>> headers();

    /** The first value of a header in any case; null when there is none. */
    String header(String name);

    /** A parameter of the query, of a form, or of the route's path (in lower case); null when there is none. */
    String parameter(String name);

    /** All of these, in this order. */
    Map<String, List<String>> parameters();

    /** The body, read from the client as it is read here. */
    InputStream body();

    /** The whole body, or what is left of it. */
    byte[] bytes() throws IOException;

    /** The whole body as text, UTF-8 unless the request says otherwise. */
    String text() throws IOException;
}
