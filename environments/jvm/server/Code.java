package io.fission.server;

import io.fission.Handler;
import io.fission.Request;
import java.io.IOException;
import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Modifier;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A function and the code it is in. */
final class Code {
    /** How a function is called. */
    interface Adapter {
        Object call(Request request) throws Exception;
    }

    /** Names shown to someone whose entry point is not there. */
    private static final int SHOWN = 20;
    /** Frames of an error that are shown. */
    private static final int FRAMES = 50;
    /** The class among several where the entry point names none. */
    private static final String MAIN = "Main";
    private static final String FUNCTION = "io.fission.Function";
    private static final String ENTITY = "org.springframework.http.RequestEntity";

    private final Adapter function;
    private final ClassLoader loader;

    private Code(Adapter function, ClassLoader loader) {
        this.function = function;
        this.loader = loader;
    }

    /** Loads a package and makes an instance of the class that the entry point names. */
    static Code load(Path path, String entry) throws Exception {
        Package code = Package.open(path);
        ClassLoader before = Thread.currentThread().getContextClassLoader();
        Thread.currentThread().setContextClassLoader(code.loader);
        try {
            Class<?> named = entry.isEmpty() ? only(code) : named(code, entry);
            return new Code(adapter(named, instance(named), code.loader), code.loader);
        } catch (InvocationTargetException error) {
            throw error.getCause() instanceof Exception cause ? cause : error;
        } catch (Throwable error) {
            code.loader.close();
            throw error;
        } finally {
            Thread.currentThread().setContextClassLoader(before);
        }
    }

    Object call(Request request) throws Exception {
        return function.call(request);
    }

    ClassLoader loader() {
        return loader;
    }

    /** The class of a full name, or the only function of a simple one. */
    private static Class<?> named(Package code, String entry) throws IOException, NotLoadable {
        try {
            return code.loader.loadClass(entry);
        } catch (ClassNotFoundException | NoClassDefFoundError missing) {
            if (missing instanceof NoClassDefFoundError && !String.valueOf(missing.getMessage()).contains("wrong name")) {
                throw (NoClassDefFoundError) missing;
            }
        }
        List<Class<?>> all = functions(code);
        List<Class<?>> called = all.stream().filter(one -> one.getSimpleName().equals(entry)).toList();
        if (called.size() == 1) {
            return called.get(0);
        }
        throw new NotLoadable("there is no class " + entry + " in the package; its functions are " + shown(all));
    }

    private static Class<?> only(Package code) throws IOException, NotLoadable {
        List<Class<?>> all = functions(code);
        List<Class<?>> main = all.size() == 1 ? all : all.stream().filter(one -> one.getSimpleName().equals(MAIN)).toList();
        if (main.size() == 1) {
            return main.get(0);
        }
        throw new NotLoadable(all.isEmpty()
            ? "the package has no function: a class that implements io.fission.Handler or io.fission.Function" + withoutSpring()
            : "which class is the function? Name it as the entry point; there are " + shown(all));
    }

    private static String shown(List<Class<?>> classes) {
        List<String> names = classes.stream().map(Class::getName).sorted().limit(SHOWN).toList();
        return names.isEmpty() ? "none" : String.join(", ", names);
    }

    private static List<Class<?>> functions(Package code) throws IOException {
        List<Class<?>> found = new ArrayList<>();
        for (String name : code.candidates()) {
            try {
                Class<?> one = Class.forName(name, false, code.loader);
                if (isFunction(one) && !Modifier.isAbstract(one.getModifiers())) {
                    found.add(one);
                }
            } catch (ClassNotFoundException | LinkageError other) {
                // One that cannot be loaded here is not meant.
            }
        }
        return found;
    }

    private static boolean isFunction(Class<?> one) {
        return Handler.class.isAssignableFrom(one) || implementsFunction(one);
    }

    /** By name: without Spring the interface cannot be loaded, and a class that says it implements it cannot either. */
    private static boolean implementsFunction(Class<?> one) {
        for (Class<?> at = one; at != null; at = at.getSuperclass()) {
            for (Class<?> type : at.getInterfaces()) {
                if (type.getName().equals(FUNCTION)) {
                    return true;
                }
            }
        }
        return false;
    }

    private static Object instance(Class<?> of) throws Exception {
        if (!isFunction(of)) {
            throw new NotLoadable(of.getName() + " is no function: it must implement io.fission.Handler or io.fission.Function");
        }
        Constructor<?> constructor;
        try {
            constructor = of.getDeclaredConstructor();
        } catch (NoSuchMethodException error) {
            throw new NotLoadable(of.getName() + " has no constructor without parameters");
        }
        constructor.setAccessible(true);
        return constructor.newInstance();
    }

    private static Adapter adapter(Class<?> type, Object function, ClassLoader loader) throws Exception {
        if (function instanceof Handler handler) {
            return handler::handle;
        }
        Constructor<?> constructor = Class.forName("io.fission.server.Spring").getDeclaredConstructor(Object.class, ClassLoader.class);
        return (Adapter) constructor.newInstance(function, loader);
    }

    /** An error as the user should read it: with file and line, without this server's own frames. */
    static String explain(Throwable error) {
        if (error instanceof NotLoadable) {
            return error.getMessage();
        }
        StringBuilder text = new StringBuilder();
        int more = 0;
        for (Throwable at = error; at != null && more < SHOWN; at = at.getCause(), more++) {
            text.append(more == 0 ? "" : "\nCaused by: ").append(at);
            StackTraceElement[] frames = at.getStackTrace();
            for (int i = 0; i < frames.length && !frames[i].getClassName().startsWith("io.fission.server."); i++) {
                if (i == FRAMES) {
                    text.append("\n\t... more");
                    break;
                }
                text.append("\n\tat ").append(frames[i]);
            }
        }
        return text.append(withoutSpring(error)).toString();
    }

    private static String withoutSpring(Throwable error) {
        String message = String.valueOf(error.getMessage()).replace('/', '.');
        boolean missing = error instanceof LinkageError || error instanceof ClassNotFoundException;
        return missing && (message.contains(FUNCTION) || message.contains(ENTITY)) ? withoutSpring() : "";
    }

    /** Why there is no Spring here; empty where there is. */
    static String withoutSpring() {
        Path note = Path.of(System.getProperty("fission.home", "."), "without-spring");
        try {
            return Files.exists(note) ? "\nThis environment was prepared without Spring, which io.fission.Function is made of: "
                + Files.readString(note).strip() : "";
        } catch (IOException error) {
            return "\nThis environment was prepared without Spring, and why cannot be read: " + error.getMessage();
        }
    }
}
