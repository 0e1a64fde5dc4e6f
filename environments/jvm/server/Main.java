package io.fission.server;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Starts the server of the jvm environment, or compiles a package. Start reading in Service (the protocol), then Code (from a
 * package to a function) and Connection (HTTP).
 */
final class Main {
    private Main() {
    }

    /** `serve`; `warm`, which ends before it listens; or `build SOURCE CLASSES`. */
    public static void main(String[] arguments) throws Exception {
        switch (arguments.length == 0 ? "serve" : arguments[0]) {
            case "build" -> System.exit(build(Path.of(arguments[1]), Path.of(arguments[2])) ? 0 : 1);
            case "warm" -> {
                Output.install();
                Warmup.run();
                // Exits by itself, as the archive of classes is written at an orderly end only.
                System.exit(0);
            }
            default -> serve();
        }
    }

    private static void serve() throws Exception {
        Output.install();
        Warmup.run();
        String port = System.getenv("RUNTIME_PORT");
        String path = System.getenv("FISSION_SOCKET");
        Connections connections;
        try {
            int number = port == null || port.isEmpty() ? 8888 : Integer.parseInt(port);
            connections = Connections.listen(new Service(), path == null ? "" : path, number);
        } catch (IOException | NumberFormatException error) {
            System.err.println("jvm environment: cannot listen: " + error.getMessage());
            System.exit(1);
            return;
        }
        for (String name : List.of("TERM", "INT")) {
            sun.misc.Signal.handle(new sun.misc.Signal(name), signal -> end(connections));
        }
        connections.run();
        // The one who closed the listener ends the process.
        Thread.currentThread().join();
    }

    private static void end(Connections connections) {
        try {
            connections.stop();
        } catch (IOException | InterruptedException error) {
            System.err.println("jvm environment: " + error);
        }
        Runtime.getRuntime().halt(0);
    }

    /** Compiles the files of a folder, or a file, for a package without Maven. */
    private static boolean build(Path source, Path classes) throws IOException {
        List<Path> sources = Files.isDirectory(source) ? Package.files(source, ".java") : List.of(source);
        List<Path> jars = new ArrayList<>();
        if (Files.isDirectory(source.resolve("lib"))) {
            jars.addAll(Package.files(source.resolve("lib"), ".jar"));
        }
        try {
            Compiler.compile(sources, jars, classes);
            return true;
        } catch (NotLoadable error) {
            System.err.println(error.getMessage());
            return false;
        }
    }
}
