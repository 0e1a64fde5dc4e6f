package io.fission.server;

import io.fission.Request;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URLDecoder;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** A request as a function sees it. */
final class HttpRequest implements Request {
    private static final String PATH_PARAMETER = "x-fission-params-";

    private final String method;
    private final String path;
    private final String query;
    private final Map<String, List<String>> headers;
    private final InputStream body;
    /** The body, once a form in it was looked at. */
    private byte[] form;
    private Map<String, List<String>> parameters;

    HttpRequest(String method, String target, Map<String, List<String>> headers, InputStream body) {
        int mark = target.indexOf('?');
        this.method = method;
        this.path = mark < 0 ? target : target.substring(0, mark);
        this.query = mark < 0 ? "" : target.substring(mark + 1);
        this.headers = Collections.unmodifiableMap(headers);
        this.body = body;
    }

    @Override
    public String method() {
        return method;
    }

    @Override
    public String path() {
        return path;
    }

    @Override
    public String query() {
        return query;
    }

    @Override
    public Map<String, List<String>> headers() {
        return headers;
    }

    @Override
    public String header(String name) {
        List<String> values = headers.get(name);
        return values == null ? null : values.get(0);
    }

    @Override
    public String parameter(String name) {
        List<String> values = parameters().get(name);
        return values == null ? null : values.get(0);
    }

    @Override
    public Map<String, List<String>> parameters() {
        if (parameters == null) {
            Map<String, List<String>> all = new LinkedHashMap<>();
            take(all, query);
            String type = header("content-type");
            if (type != null && type.toLowerCase(Locale.ROOT).startsWith("application/x-www-form-urlencoded")) {
                try {
                    form = body.readAllBytes();
                } catch (IOException error) {
                    throw new UncheckedIOException(error);
                }
                take(all, new String(form, StandardCharsets.UTF_8));
            }
            headers.forEach((name, values) -> {
                String lower = name.toLowerCase(Locale.ROOT);
                if (lower.startsWith(PATH_PARAMETER)) {
                    all.put(lower.substring(PATH_PARAMETER.length()), values);
                }
            });
            parameters = Collections.unmodifiableMap(all);
        }
        return parameters;
    }

    private static void take(Map<String, List<String>> all, String pairs) {
        for (String pair : pairs.split("&")) {
            int equals = pair.indexOf('=');
            String name = decoded(equals < 0 ? pair : pair.substring(0, equals));
            if (!pair.isEmpty()) {
                all.computeIfAbsent(name, key -> new ArrayList<>(1)).add(equals < 0 ? "" : decoded(pair.substring(equals + 1)));
            }
        }
    }

    private static String decoded(String text) {
        try {
            return URLDecoder.decode(text, StandardCharsets.UTF_8);
        } catch (IllegalArgumentException error) {
            // As it came: it is no escape then.
            return text;
        }
    }

    @Override
    public InputStream body() {
        return form == null ? body : new java.io.ByteArrayInputStream(form);
    }

    @Override
    public byte[] bytes() throws IOException {
        return form == null ? body.readAllBytes() : form.clone();
    }

    @Override
    public String text() throws IOException {
        return new String(bytes(), charset());
    }

    private Charset charset() {
        String type = header("content-type");
        int at = type == null ? -1 : type.toLowerCase(Locale.ROOT).indexOf("charset=");
        if (at < 0) {
            return StandardCharsets.UTF_8;
        }
        try {
            return Charset.forName(type.substring(at + 8).split(";")[0].replace("\"", "").strip());
        } catch (IllegalArgumentException error) {
            return StandardCharsets.UTF_8;
        }
    }
}
