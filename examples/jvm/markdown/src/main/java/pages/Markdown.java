package pages;

import io.fission.Context;
import io.fission.Function;
import org.commonmark.parser.Parser;
import org.commonmark.renderer.html.HtmlRenderer;
import org.springframework.http.MediaType;
import org.springframework.http.RequestEntity;
import org.springframework.http.ResponseEntity;

/** A function as Fission's own environment takes it, with Spring's types and a library. */
public class Markdown implements Function<RequestEntity<?>, ResponseEntity<?>> {
    private final Parser parser = Parser.builder().build();
    private final HtmlRenderer renderer = HtmlRenderer.builder().build();

    @Override
    public ResponseEntity<?> call(RequestEntity request, Context context) {
        String html = renderer.render(parser.parse(String.valueOf(request.getBody())));
        return ResponseEntity.ok().contentType(MediaType.TEXT_HTML).body(html);
    }
}
