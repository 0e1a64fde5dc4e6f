package io.fission.server;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Compiles source with the JDK's compiler, in a process of its own: what it takes does not stay with the function. */
final class Compiler {
    /** What a file must be called: its public class, else its first. */
    private static final Pattern NAME = Pattern.compile(
        "(?m)^[ \\t]*(public\\s+)?(?:(?:final|abstract|sealed|strictfp)\\s+)*(?:class|record|enum|interface)\\s+(\\w+)");

    private Compiler() {
    }

    /** Compiles files into a new folder. Of a single one the name may be any. */
    static Path compile(List<Path> sources, List<Path> jars) throws IOException, NotLoadable {
        Path classes = Files.createTempDirectory("classes");
        compile(sources, jars, classes);
        return classes;
    }

    static void compile(List<Path> sources, List<Path> jars, Path classes) throws IOException, NotLoadable {
        String home = System.getProperty("java.home");
        List<String> command = new ArrayList<>(List.of(home + "/bin/java", "-Xshare:auto", "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Xmx192m", "-Xlog:disable"));
        Path archive = Path.of(System.getProperty("fission.home", "."), "javac.jsa");
        if (Files.exists(archive)) {
            command.add("-XX:SharedArchiveFile=" + archive);
        }
        command.addAll(List.of("-m", "jdk.compiler/com.sun.tools.javac.Main", "-nowarn", "-proc:none", "-parameters", "-g",
            "-encoding", "UTF-8", "-d", classes.toString()));
        StringBuilder path = new StringBuilder(System.getProperty("java.class.path"));
        jars.forEach(jar -> path.append(':').append(jar));
        command.addAll(List.of("-cp", path.toString()));
        List<Path> named = new ArrayList<>();
        String said;
        int status;
        Path scratch = Files.createTempDirectory("source");
        try {
            for (Path source : sources) {
                named.add(sources.size() == 1 ? copied(source, scratch) : source);
            }
            named.forEach(source -> command.add(source.toString()));
            Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
            process.getOutputStream().close();
            said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            status = process.waitFor();
        } catch (InterruptedException error) {
            throw new IOException("the compiler was interrupted", error);
        } finally {
            remove(scratch);
        }
        if (status != 0) {
            for (int i = 0; i < named.size(); i++) {
                said = said.replace(named.get(i).toString(), sources.get(i).toString());
            }
            said += said.contains("package org.springframework") ? Code.withoutSpring() : "";
            throw new NotLoadable(said.isBlank() ? "the compiler ended with " + status + ": it needs a JDK" : said.strip());
        }
        if (!said.isBlank()) {
            System.err.print(said);
        }
    }

    /** A file with the name its class asks for. */
    private static Path copied(Path source, Path scratch) throws IOException {
        String text = Files.readString(source);
        Matcher matcher = NAME.matcher(text);
        String name = null;
        while (matcher.find()) {
            if (name == null || matcher.group(1) != null) {
                name = matcher.group(2);
            }
            if (matcher.group(1) != null) {
                break;
            }
        }
        Path copy = scratch.resolve((name == null ? "Function" : name) + ".java");
        return Files.writeString(copy, text);
    }

    static void remove(Path folder) throws IOException {
        List<Path> all;
        try (var files = Files.walk(folder)) {
            all = new ArrayList<>(files.toList());
        }
        for (int i = all.size() - 1; i >= 0; i--) {
            Files.delete(all.get(i));
        }
    }
}
