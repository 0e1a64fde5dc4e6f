//! Environment variables that come with the code.

use serde_json::json;

use crate::world::{LANGUAGES, Server};

#[tokio::test]
async fn variables_that_come_with_the_code_are_there_before_it_is_loaded_and_are_not_logged() {
    for language in LANGUAGES {
        let start = [("GREETING", "of the environment"), ("FROM_START", "kept")];
        let server = Server::start_with(language, &start).await;
        let env = json!({ "GREETING": "Gr\u{fc}\u{df}e =x", "OTHER": "geheim" });
        let answer = server.specialize_with(&language.function("variable"), "", env).await;
        assert!(answer.status.is_success(), "{}: {}", language.name, answer.text());
        assert_eq!(server.get("/").await.text(), "Gr\u{fc}\u{df}e =x Gr\u{fc}\u{df}e =x kept", "{}", language.name);
        assert!(!(server.log("stdout") + &server.log("stderr")).contains("geheim"), "{}", language.name);
    }
}

#[tokio::test]
async fn variables_that_are_not_text_are_refused() {
    for language in LANGUAGES {
        let server = Server::start(language).await;
        for env in [json!({ "A": 1 }), json!({ "A": null }), json!("A=1"), json!([["A", "b"]])] {
            let answer = server.specialize_with(&language.function("empty"), "", env.clone()).await;
            assert_eq!(answer.status, 400, "{}: {env}: {}", language.name, answer.text());
        }
        let answer = server.specialize(&language.function("empty"), "").await;
        assert!(answer.status.is_success(), "{}: {}", language.name, answer.text());
    }
}
