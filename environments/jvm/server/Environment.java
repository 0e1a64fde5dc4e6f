package io.fission.server;

import java.lang.reflect.Field;
import java.util.Map;

/** The process's variables. Java has no way to set them; code that is loaded must find them where it looks. */
final class Environment {
    private Environment() {
    }

    /** Sets variables, for `System.getenv` and for programs that are started. The start opens the packages this reaches into. */
    @SuppressWarnings("unchecked")
    static void set(Map<String, String> variables) throws ReflectiveOperationException {
        if (variables.isEmpty()) {
            return;
        }
        Object shown = field(Class.forName("java.lang.ProcessEnvironment"), "theUnmodifiableEnvironment").get(null);
        ((Map<String, String>) field(shown.getClass(), "m").get(shown)).putAll(variables);
    }

    private static Field field(Class<?> of, String name) throws NoSuchFieldException {
        Field field = of.getDeclaredField(name);
        field.setAccessible(true);
        return field;
    }
}
