package io.fission;

import java.util.List;
import java.util.Map;
import org.springframework.http.HttpStatus;
import org.springframework.http.RequestEntity;
import org.springframework.http.ResponseEntity;

/** As the examples of Fission's own environment are written: its package, and no type parameters. */
public class HelloWorld implements Function {
    /** What Jackson makes JSON of. */
    public record Seen(String method, String path, String query, Object body, List<String> tested) {
    }

    @Override
    public ResponseEntity<?> call(RequestEntity req, Context context) {
        if (req.getBody() instanceof Map<?, ?> map && map.containsKey("fail")) {
            throw new IllegalArgumentException("the reason " + map.get("fail"));
        }
        Object body = req.getBody() instanceof byte[] bytes ? bytes.length : req.getBody();
        var url = req.getUrl();
        var tested = (List<String>) req.getHeaders().get("X-Test");
        return ResponseEntity.status(HttpStatus.ACCEPTED).header("X-Answer", "yes")
            .body(new Seen(req.getMethod().name(), url.getPath(), url.getQuery(), body, tested));
    }
}
