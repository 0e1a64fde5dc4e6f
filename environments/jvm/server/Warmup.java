package io.fission.server;

import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** Goes the whole way once with functions of its own, so that everything they need is loaded before a user comes. */
final class Warmup {
    private Warmup() {
    }

    static void run() throws Exception {
        Path home = Path.of(System.getProperty("fission.home", "."));
        Path folder = Files.createTempDirectory("warm");
        try {
            go(home.resolve("warm.jar"), "Warm", folder.resolve("1"));
            if (Files.exists(home.resolve("warm-spring.jar"))) {
                go(home.resolve("warm-spring.jar"), "WarmSpring", folder.resolve("2"));
            }
        } finally {
            Compiler.remove(folder);
        }
        Code.explain(new IOException("warm", new IOException("warmer")));
        System.gc();
    }

    private static void go(Path jar, String entry, Path socket) throws Exception {
        Connections connections = Connections.listen(new Service(), socket.toString(), 0);
        Thread thread = new Thread(() -> {
            try {
                connections.run();
            } catch (IOException | InterruptedException error) {
                throw new IllegalStateException(error);
            }
        });
        thread.start();
        try (SocketChannel channel = SocketChannel.open(UnixDomainSocketAddress.of(socket))) {
            ask(channel, "POST /v2/specialize", "application/json",
                "{\"filepath\":\"" + jar + "\",\"functionName\":\"" + entry + "\"}");
            ask(channel, "GET /?a=b", "text/plain", "");
            ask(channel, "POST /", "application/x-www-form-urlencoded", "a=b");
            ask(channel, "POST /json", "application/json", "{\"a\":[1,true,null]}");
        }
        connections.stop();
        thread.join();
    }

    private static void ask(SocketChannel channel, String line, String type, String body) throws IOException {
        String request = line + " HTTP/1.1\r\nHost: warm\r\nX-Fission-Request-ID: warm\r\nContent-Type: " + type
            + "\r\nContent-Length: " + body.length() + "\r\n\r\n" + body;
        channel.write(ByteBuffer.wrap(request.getBytes(StandardCharsets.UTF_8)));
        ByteBuffer answer = ByteBuffer.allocate(1 << 16);
        String text = "";
        // The answers of functions of our own: all of it has come with the end of a line.
        while (!text.contains("\r\n\r\n") || !(text.endsWith("\n"))) {
            if (channel.read(answer) < 0) {
                break;
            }
            text = new String(answer.array(), 0, answer.position(), StandardCharsets.UTF_8);
        }
        if (!text.startsWith("HTTP/1.1 200 ")) {
            throw new IOException("the environment's own function failed: " + text);
        }
    }
}
