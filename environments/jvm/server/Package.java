package io.fission.server;

import java.io.IOException;
import java.io.InputStream;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;

/** The classes of a function: a jar, a folder of classes and jars, or source that is compiled here. */
final class Package {
    /** What classes of functions name. */
    private static final List<String> MARKS = List.of("io/fission/Handler", "io/fission/Function");

    /** What the package is made of, folders first. */
    private final List<Path> places = new ArrayList<>();
    final Loader loader;

    private Package(Path path) throws IOException, NotLoadable {
        if (Files.isDirectory(path)) {
            folder(path);
        } else {
            file(path);
        }
        List<URL> urls = new ArrayList<>();
        for (Path place : places) {
            urls.add(url(place));
        }
        loader = new Loader(urls.toArray(new URL[0]), Package.class.getClassLoader());
    }

    static Package open(Path path) throws IOException, NotLoadable {
        if (!Files.exists(path)) {
            throw new NotLoadable("there is no code at " + path);
        }
        return new Package(path.toRealPath());
    }

    private void file(Path file) throws IOException, NotLoadable {
        byte[] start = new byte[4];
        try (InputStream stream = Files.newInputStream(file)) {
            stream.readNBytes(start, 0, 4);
        }
        if (start[0] == 'P' && start[1] == 'K') {
            places.add(file);
        } else if ((start[0] & 0xff) == 0xca && (start[1] & 0xff) == 0xfe) {
            throw new NotLoadable(file + " is a single class: put it into a jar, or into a folder by its package");
        } else {
            places.add(Compiler.compile(List.of(file), List.of()));
        }
    }

    /** Classes and resources of the folder itself, then jars of it and of `lib`. Source is compiled where no class is. */
    private void folder(Path folder) throws IOException, NotLoadable {
        List<Path> jars = new ArrayList<>();
        for (Path of : List.of(folder, folder.resolve("lib"))) {
            if (Files.isDirectory(of)) {
                try (Stream<Path> files = Files.list(of)) {
                    files.filter(file -> file.toString().endsWith(".jar")).sorted().forEach(jars::add);
                }
            }
        }
        List<Path> sources = files(folder, ".java");
        if (!sources.isEmpty() && files(folder, ".class").isEmpty()) {
            places.add(Compiler.compile(sources, jars));
        }
        places.add(folder);
        places.addAll(jars);
    }

    private static URL url(Path path) throws MalformedURLException {
        return path.toUri().toURL();
    }

    /** Names of classes that may be functions, as their bytes say; those nested in others are left out. */
    List<String> candidates() throws IOException {
        List<String> found = new ArrayList<>();
        for (Path place : places) {
            if (Files.isDirectory(place)) {
                for (Path file : files(place, ".class")) {
                    if (marked(Files.readAllBytes(file))) {
                        found.add(name(place.relativize(file).toString()));
                    }
                }
            } else {
                try (ZipFile zip = new ZipFile(place.toFile())) {
                    for (ZipEntry entry : Collections.list(zip.entries())) {
                        if (entry.getName().endsWith(".class") && !entry.getName().startsWith("META-INF/")) {
                            try (InputStream stream = zip.getInputStream(entry)) {
                                if (marked(stream.readAllBytes())) {
                                    found.add(name(entry.getName()));
                                }
                            }
                        }
                    }
                }
            }
        }
        return found;
    }

    private static boolean marked(byte[] code) {
        String text = new String(code, StandardCharsets.ISO_8859_1);
        return MARKS.stream().anyMatch(text::contains);
    }

    private static String name(String file) {
        return file.substring(0, file.length() - ".class".length()).replace('/', '.');
    }

    static List<Path> files(Path folder, String ending) throws IOException {
        List<Path> found = new ArrayList<>();
        Files.walkFileTree(folder, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult preVisitDirectory(Path path, BasicFileAttributes attributes) {
                boolean hidden = !path.equals(folder) && path.getFileName().toString().startsWith(".");
                return hidden ? FileVisitResult.SKIP_SUBTREE : FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
                if (file.toString().endsWith(ending)) {
                    found.add(file);
                }
                return FileVisitResult.CONTINUE;
            }
        });
        found.sort(null);
        return found;
    }

    /** Looks in the package first, but for what this server and the function must both know by the same name. */
    static final class Loader extends URLClassLoader {
        static {
            registerAsParallelCapable();
        }

        Loader(URL[] urls, ClassLoader parent) {
            super(urls, parent);
        }

        @Override
        protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
            boolean shared = name.startsWith("java.") || name.startsWith("io.fission.")
                || name.startsWith("org.springframework.");
            if (shared) {
                return super.loadClass(name, resolve);
            }
            synchronized (getClassLoadingLock(name)) {
                Class<?> found = findLoadedClass(name);
                if (found == null) {
                    try {
                        found = findClass(name);
                    } catch (ClassNotFoundException elsewhere) {
                        return super.loadClass(name, resolve);
                    }
                }
                return found;
            }
        }

        @Override
        public URL getResource(String name) {
            URL own = findResource(name);
            return own == null ? super.getResource(name) : own;
        }
    }
}
