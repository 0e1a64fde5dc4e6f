package io.fission.server;

import io.fission.Request;
import io.fission.Response;
import java.io.InputStream;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

/** One generic container: specializes once, then gives every request to the function. It speaks the protocol. */
final class Service {
    private static final String UNSPECIALIZED = "Generic container: no requests supported";
    private static final String FAILED = "Internal server error";
    /** Where version 1 of the protocol keeps its code. */
    private static final String V1_PATH = "/userfunc/user";

    /** What is to be loaded. */
    private record Load(String path, String entry, Map<String, String> env) {
    }

    /** A specialize request that is not as it should be. Its text holds nothing of the request: secrets may be in it. */
    private static final class Unreadable extends Exception {
        Unreadable(String message) {
            super(message);
        }
    }

    private volatile Code code;

    /** Serves a connection until one of both ends it. Returns what is told of it: whether a request is being served. */
    void serve(SocketChannel channel, Connections.Busy busy) {
        try (Connection connection = new Connection(channel)) {
            do {
                if (!connection.waits() || !busy.begin()) {
                    return;
                }
                try {
                    next(connection);
                } finally {
                    busy.end();
                }
            } while (connection.keep);
        } catch (Exception gone) {
            // There is nobody to tell.
        }
    }

    private void next(Connection connection) throws Exception {
        try {
            HttpRequest request = connection.read();
            switch (request.path()) {
                case "/healthz":
                    connection.answer(text(200, ""));
                    return;
                case "/specialize", "/v2/specialize":
                    if (request.method().equals("POST")) {
                        connection.answer(specialize(request));
                        return;
                    }
                    break;
                default:
            }
            if (code == null) {
                connection.answer(text(500, UNSPECIALIZED));
            } else {
                call(connection, request);
            }
        } catch (Connection.BadRequest error) {
            if (!connection.answering) {
                connection.answer(text(400, error.getMessage()).header("Connection", "close"));
            }
            connection.keep = false;
        }
    }

    private synchronized Response specialize(HttpRequest request) throws Exception {
        try {
            Load load = request.path().equals("/specialize") ? new Load(V1_PATH, "", Map.of()) : read(request.text());
            if (code != null) {
                return text(400, "Not a generic container");
            }
            Environment.set(load.env());
            code = Code.load(Path.of(load.path()), load.entry());
            return text(200, "");
        } catch (Unreadable error) {
            return text(400, "the specialize request cannot be read: " + error.getMessage());
        } catch (Connection.Gone | Connection.BadRequest error) {
            throw error;
        } catch (Throwable error) {
            // Whatever it was: code that does not load must not end what could load other code.
            String why = Code.explain(error);
            System.err.println(why);
            return text(500, why);
        } finally {
            Output.finish();
        }
    }

    private static Load read(String body) throws Unreadable {
        Object value;
        try {
            value = Json.read(body);
        } catch (IllegalArgumentException error) {
            throw new Unreadable(error.getMessage());
        }
        if (!(value instanceof Map<?, ?> load)) {
            throw new Unreadable("it is no object");
        }
        Object entry = load.get("functionName") == null ? "" : load.get("functionName");
        if (!(load.get("filepath") instanceof String path) || !(entry instanceof String name)) {
            throw new Unreadable("filepath and functionName must be strings");
        }
        Map<String, String> variables = new HashMap<>();
        Object env = load.get("env") == null ? Map.of() : load.get("env");
        if (!(env instanceof Map<?, ?> given)) {
            throw new Unreadable("env must be names with strings");
        }
        for (Map.Entry<?, ?> one : given.entrySet()) {
            String variable = (String) one.getKey();
            if (!(one.getValue() instanceof String text) || !variable.matches("[^=\0]+") || text.indexOf('\0') >= 0) {
                throw new Unreadable("env must be names with strings");
            }
            variables.put(variable, text);
        }
        return new Load(path, name, variables);
    }

    private void call(Connection connection, HttpRequest request) throws Exception {
        Output.enter(request.header("x-fission-request-id"));
        Thread.currentThread().setContextClassLoader(code.loader());
        try {
            connection.answer(response(code.call(request)));
        } catch (Connection.Gone | Connection.BadRequest gone) {
            throw gone;
        } catch (Throwable error) {
            // One request fails, whatever it was.
            Output.finish();
            System.err.println(Code.explain(error));
            if (connection.answering) {
                // A part must not be taken for the whole.
                connection.keep = false;
            } else {
                connection.answer(text(500, FAILED));
            }
        } finally {
            Output.enter(null);
        }
    }

    /** What a function returned, as it is sent. */
    private static Response response(Object value) {
        if (value instanceof Response response) {
            return response;
        }
        if (value instanceof CharSequence text) {
            return Response.of(200).text(text.toString());
        }
        if (value instanceof byte[] bytes) {
            return Response.of(200).bytes(bytes);
        }
        if (value instanceof InputStream stream) {
            return Response.of(200).stream(stream);
        }
        if (value == null) {
            return Response.of(200);
        }
        throw new ClassCastException("the function returned a " + value.getClass().getName()
            + ", not a String, a byte[], an InputStream or an io.fission.Response");
    }

    private static Response text(int status, String text) {
        return Response.of(status).text(text);
    }
}
