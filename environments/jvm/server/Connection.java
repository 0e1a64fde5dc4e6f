package io.fission.server;

import io.fission.Response;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/** HTTP/1.1 on a socket, one request after the other. */
final class Connection implements AutoCloseable {
    /** The request cannot be understood; the message is for the client. */
    static final class BadRequest extends IOException {
        BadRequest(String message) {
            super(message);
        }
    }

    /** The client is gone, so nobody can be told anything. */
    static final class Gone extends IOException {
        Gone(IOException cause) {
            super(cause);
        }
    }

    /** Bytes of a request's head. The platform's router refuses far fewer. */
    private static final int MAX_HEAD = 1 << 20;
    private static final int CHUNK = 16 * 1024;
    private static final List<String> OURS = List.of("connection", "content-length", "transfer-encoding");

    private final SocketChannel channel;
    private final ByteBuffer out = ByteBuffer.allocate(CHUNK);
    private byte[] buffer = new byte[CHUNK];
    /** What was read and is not used yet. */
    private int start;
    private int end;
    private boolean old;
    private boolean bodiless;
    private Body body;
    /** Whether an answer was begun. */
    boolean answering;
    /** Whether another request may come. */
    boolean keep;

    Connection(SocketChannel channel) {
        this.channel = channel;
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }

    /** Waits for a request without looking at it; false when none comes. */
    boolean waits() throws IOException {
        return start < end || fill();
    }

    /** The next request; its body is read when the function does. */
    HttpRequest read() throws IOException {
        answering = false;
        keep = true;
        String[] lines = head().split("\r\n");
        String[] first = lines[0].split(" ", -1);
        if (first.length != 3 || !token(first[0]) || first[1].isEmpty() || !first[2].matches("HTTP/1\\.[01]")) {
            throw new BadRequest("the request line cannot be understood");
        }
        Map<String, List<String>> headers = new TreeMap<>(String.CASE_INSENSITIVE_ORDER);
        for (int i = 1; i < lines.length; i++) {
            int colon = lines[i].indexOf(':');
            if (colon < 1 || !token(lines[i].substring(0, colon))) {
                throw new BadRequest("a header cannot be understood");
            }
            headers.computeIfAbsent(lines[i].substring(0, colon), name -> new java.util.ArrayList<>(1))
                .add(lines[i].substring(colon + 1).strip());
        }
        old = first[2].endsWith("0");
        bodiless = first[0].equals("HEAD");
        String connection = joined(headers, "connection");
        keep = old ? connection.contains("keep-alive") : !connection.contains("close");
        body = body(headers);
        return new HttpRequest(first[0], first[1], headers, body);
    }

    private String head() throws IOException {
        int looked = start;
        while (true) {
            for (int i = Math.max(start, looked - 3); i + 3 < end; i++) {
                if (buffer[i] == '\r' && buffer[i + 1] == '\n' && buffer[i + 2] == '\r' && buffer[i + 3] == '\n') {
                    String head = new String(buffer, start, i - start, StandardCharsets.ISO_8859_1);
                    start = i + 4;
                    return head;
                }
            }
            if (end - start > MAX_HEAD) {
                throw new BadRequest("the head of the request is too large");
            }
            int before = end - start;
            if (!fill()) {
                throw new Gone(null);
            }
            looked = start + before;
        }
    }

    private Body body(Map<String, List<String>> headers) throws IOException {
        String coding = joined(headers, "transfer-encoding");
        List<String> lengths = headers.getOrDefault("content-length", List.of()).stream().distinct().toList();
        if (lengths.size() > 1 || !coding.isEmpty() && (!coding.equals("chunked") || !lengths.isEmpty())) {
            throw new BadRequest("the length of the body is not clear");
        }
        String length = lengths.isEmpty() ? "0" : lengths.get(0);
        if (!length.matches("[0-9]{1,18}")) {
            throw new BadRequest("the length of the body is not a number");
        }
        boolean expects = joined(headers, "expect").equals("100-continue");
        return new Body(coding.isEmpty() ? Long.parseLong(length) : -1, expects);
    }

    private static String joined(Map<String, List<String>> headers, String name) {
        return String.join(",", headers.getOrDefault(name, List.of())).toLowerCase(Locale.ROOT);
    }

    private static boolean token(String text) {
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (!(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || "!#$%&'*+.^_`|~-".indexOf(c) >= 0)) {
                return false;
            }
        }
        return !text.isEmpty();
    }

    /** Reads more; false at the end. */
    private boolean fill() throws IOException {
        if (start == end) {
            start = end = 0;
            if (buffer.length > 4 * CHUNK) {
                buffer = new byte[CHUNK];
            }
        } else if (end == buffer.length) {
            byte[] larger = start > 0 ? buffer : new byte[2 * buffer.length];
            System.arraycopy(buffer, start, larger, 0, end - start);
            end -= start;
            start = 0;
            buffer = larger;
        }
        try {
            int read = channel.read(ByteBuffer.wrap(buffer, end, buffer.length - end));
            end += Math.max(read, 0);
            return read > 0;
        } catch (IOException error) {
            throw new Gone(error);
        }
    }

    /** Sends an answer. What fails in its body is thrown. */
    void answer(Response response) throws Exception {
        if (response.body() instanceof byte[] bytes) {
            head(response, bytes.length, false);
            if (!bodiless) {
                write(bytes, 0, bytes.length);
            }
            flush();
        } else {
            boolean chunked = !old;
            keep &= chunked;
            head(response, -1, chunked);
            Chunks chunks = new Chunks(chunked);
            if (response.body() instanceof InputStream stream) {
                try (stream) {
                    byte[] part = new byte[CHUNK];
                    for (int read = stream.read(part); read >= 0; read = stream.read(part)) {
                        chunks.write(part, 0, read);
                        chunks.flush();
                    }
                }
            } else {
                ((Response.Body) response.body()).writeTo(chunks);
            }
            chunks.finish();
        }
        // A next request begins after the body of this one.
        keep = keep && body.skip();
    }

    private void head(Response response, int length, boolean chunked) throws IOException {
        int status = response.status();
        bodiless |= status == 204 || status == 304;
        StringBuilder head = new StringBuilder(256);
        head.append("HTTP/1.1 ").append(status).append(' ').append(Reasons.of(status)).append("\r\n");
        for (Map.Entry<String, String> header : response.headers()) {
            String name = header.getKey().toLowerCase(Locale.ROOT);
            if (!OURS.contains(name)) {
                head.append(header.getKey()).append(": ").append(header.getValue()).append("\r\n");
            } else if (name.equals("connection") && header.getValue().equalsIgnoreCase("close")) {
                keep = false;
            }
        }
        if (chunked && status != 204) {
            head.append("Transfer-Encoding: chunked\r\n");
        } else if (length >= 0 && status != 204) {
            head.append("Content-Length: ").append(length).append("\r\n");
        }
        head.append(keep ? "\r\n" : "Connection: close\r\n\r\n");
        // What no header may have would be a question mark otherwise.
        boolean ascii = head.chars().allMatch(c -> c < 256);
        byte[] bytes = head.toString().getBytes(ascii ? StandardCharsets.ISO_8859_1 : StandardCharsets.UTF_8);
        answering = true;
        write(bytes, 0, bytes.length);
    }

    private void write(byte[] bytes, int offset, int length) throws IOException {
        while (length > 0) {
            int part = Math.min(length, out.remaining());
            out.put(bytes, offset, part);
            offset += part;
            length -= part;
            if (!out.hasRemaining()) {
                flush();
            }
        }
    }

    private void flush() throws IOException {
        out.flip();
        try {
            while (out.hasRemaining()) {
                channel.write(out);
            }
        } catch (IOException error) {
            keep = false;
            throw new Gone(error);
        } finally {
            out.clear();
        }
    }

    /** The body of the request. */
    private final class Body extends InputStream {
        /** Bytes left, of the chunk where there are chunks; negative before the first one. */
        private long left;
        private final boolean chunked;
        private boolean expects;
        private boolean done;

        Body(long length, boolean expects) {
            left = length;
            chunked = length < 0;
            done = length == 0;
            this.expects = expects;
        }

        @Override
        public int read() throws IOException {
            byte[] one = new byte[1];
            return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
        }

        @Override
        public int read(byte[] bytes, int offset, int length) throws IOException {
            if (expects) {
                expects = false;
                if (!done && !answering && start == end) {
                    byte[] go = "HTTP/1.1 100 Continue\r\n\r\n".getBytes(StandardCharsets.ISO_8859_1);
                    write(go, 0, go.length);
                    Connection.this.flush();
                }
            }
            if (chunked && left <= 0 && !done) {
                next();
            }
            if (done || length == 0) {
                return done ? -1 : 0;
            }
            if (start == end && !fill()) {
                keep = false;
                throw new BadRequest("the body breaks off");
            }
            int part = (int) Math.min(Math.min(length, end - start), left);
            System.arraycopy(buffer, start, bytes, offset, part);
            start += part;
            left -= part;
            done = left == 0 && !chunked;
            return part;
        }

        /** Begins the next chunk, or finds that there is none. */
        private void next() throws IOException {
            if (left == 0 && !line().isEmpty()) {
                throw broken();
            }
            String size = line().replaceFirst("[ \t]*;.*", "");
            if (!size.matches("[0-9A-Fa-f]{1,15}")) {
                throw broken();
            }
            left = Long.parseLong(size, 16);
            if (left == 0) {
                done = true;
                // Trailers say nothing a function could see.
                while (!line().isEmpty()) {
                    continue;
                }
            }
        }

        private BadRequest broken() {
            keep = false;
            done = true;
            return new BadRequest("a chunk of the body cannot be understood");
        }

        private String line() throws IOException {
            StringBuilder line = new StringBuilder();
            while (line.length() < 2 || line.charAt(line.length() - 2) != '\r' || line.charAt(line.length() - 1) != '\n') {
                if (line.length() > MAX_HEAD || start == end && !fill()) {
                    throw broken();
                }
                line.append((char) (buffer[start++] & 0xff));
            }
            return line.substring(0, line.length() - 2);
        }

        /** Reads what the function did not; false when the client waits to be told to send it. */
        private boolean skip() throws IOException {
            if (expects && !done) {
                return false;
            }
            byte[] part = new byte[done ? 0 : CHUNK];
            while (!done && read(part, 0, part.length) >= 0) {
                continue;
            }
            return true;
        }
    }

    /** The body of an answer whose length nobody knows yet. */
    private final class Chunks extends OutputStream {
        private final boolean chunked;
        private final byte[] waiting = new byte[CHUNK];
        private int length;

        Chunks(boolean chunked) {
            this.chunked = chunked;
        }

        @Override
        public void write(int one) throws IOException {
            write(new byte[] {(byte) one}, 0, 1);
        }

        @Override
        public void write(byte[] bytes, int offset, int count) throws IOException {
            while (count > 0) {
                int part = Math.min(count, waiting.length - length);
                System.arraycopy(bytes, offset, waiting, length, part);
                offset += part;
                count -= part;
                length += part;
                if (length == waiting.length) {
                    flush();
                }
            }
        }

        @Override
        public void flush() throws IOException {
            if (length > 0 && !bodiless) {
                text(chunked ? Integer.toHexString(length) + "\r\n" : "");
                Connection.this.write(waiting, 0, length);
                text(chunked ? "\r\n" : "");
            }
            length = 0;
            Connection.this.flush();
        }

        void finish() throws IOException {
            flush();
            if (chunked && !bodiless) {
                text("0\r\n\r\n");
                Connection.this.flush();
            }
        }

        private void text(String text) throws IOException {
            byte[] bytes = text.getBytes(StandardCharsets.ISO_8859_1);
            Connection.this.write(bytes, 0, bytes.length);
        }
    }
}
