package io.fission;

import org.springframework.http.RequestEntity;
import org.springframework.http.ResponseEntity;

/**
 * A function as Fission's own environment has it. Its two parameters mean nothing there either: the types are Spring's, so
 * that {@code class F implements Function} with {@code ResponseEntity<?> call(RequestEntity req, Context context)} compiles.
 */
@SuppressWarnings("rawtypes")
public interface Function<Q, A> {
    ResponseEntity call(RequestEntity req, Context context);
}
