package io.fission.server;

import io.fission.Function;
import io.fission.Request;
import io.fission.Response;
import java.io.InputStream;
import java.lang.reflect.InvocationTargetException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import org.springframework.http.HttpHeaders;
import org.springframework.http.HttpMethod;
import org.springframework.http.MediaType;
import org.springframework.http.RequestEntity;
import org.springframework.http.ResponseEntity;

/** Calls functions whose request and answer are Spring's. Jackson is the package's own where it brings one. */
final class Spring implements Code.Adapter {
    private final Function<?, ?> function;
    private final ClassLoader loader;
    private Object mapper;

    Spring(Object function, ClassLoader loader) {
        this.function = (Function<?, ?>) function;
        this.loader = loader;
    }

    @Override
    public Object call(Request request) throws Exception {
        ResponseEntity<?> answer = function.call(entity(request), null);
        if (answer == null) {
            return null;
        }
        Response response = Response.of(answer.getStatusCode().value());
        answer.getHeaders().forEach((name, values) -> values.forEach(value -> response.header(name, value)));
        return body(response, answer.getBody());
    }

    private RequestEntity<Object> entity(Request request) throws Exception {
        HttpHeaders headers = new HttpHeaders();
        request.headers().forEach((name, values) -> values.forEach(value -> headers.add(name, value)));
        // A path may begin with two slashes, which would be taken for a host.
        String query = request.query().isEmpty() ? "" : "?" + request.query();
        String host = request.header("host") == null ? "localhost" : request.header("host");
        URI uri = URI.create("http://" + host + request.path() + escaped(query));
        return new RequestEntity<>(body(request, headers), headers, HttpMethod.valueOf(request.method()), uri);
    }

    /** Queries may have what URIs must not. */
    private static String escaped(String query) {
        StringBuilder text = new StringBuilder();
        for (char c : query.toCharArray()) {
            text.append("\"<>\\^`{|}[] ".indexOf(c) >= 0 || c > 126 ? String.format("%%%02X", (int) c) : c);
        }
        return text.toString();
    }

    /** As Spring does for a body of any type: JSON is maps and lists; what has no form of its own is text or bytes. */
    private Object body(Request request, HttpHeaders headers) throws Exception {
        byte[] bytes = request.bytes();
        if (bytes.length == 0) {
            return null;
        }
        MediaType type = headers.getFirst("Content-Type") == null ? null : headers.getContentType();
        if (type != null && (type.getSubtype().equals("json") || type.getSubtype().endsWith("+json"))) {
            return mapper("readValue", new Class<?>[] {byte[].class, Class.class}, bytes, Object.class);
        }
        boolean text = type != null && (type.getType().equals("text") || type.getSubtype().equals("xml")
                || type.getSubtype().equals("x-www-form-urlencoded"));
        return text ? new String(bytes, type.getCharset() == null ? StandardCharsets.UTF_8 : type.getCharset()) : bytes;
    }

    private Object body(Response response, Object body) throws Exception {
        if (body == null) {
            return response;
        }
        if (body instanceof byte[] bytes) {
            return response.bytes(bytes);
        }
        if (body instanceof CharSequence text) {
            return response.text(text.toString());
        }
        if (body instanceof InputStream stream) {
            return response.stream(stream);
        }
        return response.json((String) mapper("writeValueAsString", new Class<?>[] {Object.class}, body));
    }

    private Object mapper(String method, Class<?>[] types, Object... values) throws Exception {
        synchronized (this) {
            if (mapper == null) {
                mapper = loader.loadClass("com.fasterxml.jackson.databind.ObjectMapper").getConstructor().newInstance();
            }
        }
        try {
            return mapper.getClass().getMethod(method, types).invoke(mapper, values);
        } catch (InvocationTargetException error) {
            if (error.getCause() instanceof Exception cause) {
                throw cause;
            }
            throw error;
        }
    }
}
