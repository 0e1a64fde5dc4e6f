package io.fission;

import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** An answer with a status and headers: {@code Response.of(404).header("X-Why", "gone").text("no such thing")}. */
public final class Response {
    /** A body that is written while it is sent; {@code flush} sends what was written so far. */
    @FunctionalInterface
    public interface Body {
        void writeTo(OutputStream out) throws Exception;
    }

    private final int status;
    private final List<Map.Entry<String, String>> headers = new ArrayList<>();
    private Object body = new byte[0];

    private Response(int status) {
        if (status < 200 || status > 999) {
            throw new IllegalArgumentException("a status is a number from 200 to 999, not " + status);
        }
        this.status = status;
    }

    public static Response of(int status) {
        return new Response(status);
    }

    /** Adds a header; a name may be added more than once. */
    public Response header(String name, String value) {
        if (name.isEmpty() || !name.chars().allMatch(c -> c > ' ' && c < 127 && c != ':')) {
            throw new IllegalArgumentException("this is no name of a header: " + name);
        }
        if (value.chars().anyMatch(c -> c == '\r' || c == '\n')) {
            throw new IllegalArgumentException("the value of the header " + name + " has more than one line");
        }
        headers.add(Map.entry(name, value));
        return this;
    }

    /** Text, as UTF-8; {@code text/plain} unless a header says otherwise. */
    public Response text(String text) {
        return with(text.getBytes(StandardCharsets.UTF_8), "text/plain; charset=utf-8");
    }

    /** JSON that was made elsewhere, as UTF-8. */
    public Response json(String json) {
        return with(json.getBytes(StandardCharsets.UTF_8), "application/json");
    }

    /** Bytes; {@code application/octet-stream} unless a header says otherwise. */
    public Response bytes(byte[] bytes) {
        return with(bytes.clone(), "application/octet-stream");
    }

    /** What can be read, sent as it is read, and closed. */
    public Response stream(InputStream stream) {
        return with(Objects.requireNonNull(stream), "application/octet-stream");
    }

    /** What is written, sent as it is flushed. */
    public Response stream(Body writer) {
        return with(Objects.requireNonNull(writer), "text/plain; charset=utf-8");
    }

    private Response with(Object body, String type) {
        this.body = body;
        if (headers.stream().noneMatch(header -> header.getKey().equalsIgnoreCase("Content-Type"))) {
            headers.add(Map.entry("Content-Type", type));
        }
        return this;
    }

    public int status() {
        return status;
    }

    public List<Map.Entry<String, String>> headers() {
        return List.copyOf(headers);
    }

    /** A byte[], an InputStream or a {@link Body}. */
    public Object body() {
        return body;
    }
}
