import io.fission.Context;
import io.fission.Function;
import java.util.Map;
import org.springframework.http.RequestEntity;
import org.springframework.http.ResponseEntity;

/** The environment's own function of Spring's types. */
public final class WarmSpring implements Function<RequestEntity<?>, ResponseEntity<?>> {
    @Override
    public ResponseEntity<?> call(RequestEntity request, Context context) {
        if (request.getUrl().getPath().equals("/json")) {
            return ResponseEntity.ok().header("X-Warm", "yes").body(Map.of("seen", String.valueOf(request.getBody())) + "\n");
        }
        return ResponseEntity.ok("warm\n");
    }
}
