package io.fission.server;

import java.io.ByteArrayOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

/**
 * What functions print: in whole lines, each begun with the id of the request it was printed for, between two record
 * separators which the log capture takes off again.
 */
final class Output extends OutputStream {
    private static final char SEPARATOR = '\u001e';
    /** Bytes after which a line that does not end is passed on as it is. */
    private static final int LONGEST_LINE = 64 * 1024;

    /** The id's part of each line of a thread, while it serves a request. */
    private static final ThreadLocal<byte[]> PREFIX = ThreadLocal.withInitial(() -> new byte[0]);
    private static final Output OUT = new Output(FileDescriptor.out);
    private static final Output ERR = new Output(FileDescriptor.err);

    private final OutputStream stream;
    /** The line a thread has begun. */
    private final ThreadLocal<ByteArrayOutputStream> waiting = ThreadLocal.withInitial(ByteArrayOutputStream::new);

    private Output(FileDescriptor descriptor) {
        stream = new FileOutputStream(descriptor);
    }

    /** From now on what is printed goes through here. */
    static void install() {
        System.setOut(new PrintStream(OUT, false, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(ERR, false, StandardCharsets.UTF_8));
    }

    /** From now on lines of this thread belong to a request; to none without an id. */
    static void enter(String id) {
        finish();
        String prefix = id == null || id.isEmpty() ? "" : SEPARATOR + id + SEPARATOR;
        PREFIX.set(prefix.getBytes(StandardCharsets.ISO_8859_1));
    }

    /** Ends lines that this thread has begun. */
    static void finish() {
        for (Output output : new Output[] {OUT, ERR}) {
            if (output.waiting.get().size() > 0) {
                output.write('\n');
            }
        }
    }

    @Override
    public void write(int one) {
        write(new byte[] {(byte) one}, 0, 1);
    }

    @Override
    public void write(byte[] bytes, int offset, int length) {
        ByteArrayOutputStream line = waiting.get();
        ByteArrayOutputStream finished = new ByteArrayOutputStream();
        for (int at = offset; at < offset + length; at++) {
            line.write(bytes[at]);
            if (bytes[at] == '\n' || line.size() >= LONGEST_LINE) {
                finished.writeBytes(PREFIX.get());
                finished.writeBytes(line.toByteArray());
                line.reset();
            }
        }
        if (finished.size() > 0) {
            try {
                // In one piece, so that lines of other threads cannot come between.
                stream.write(finished.toByteArray());
            } catch (IOException gone) {
                // Nobody reads it any more.
            }
        }
    }
}
