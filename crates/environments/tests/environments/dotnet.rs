//! What only the dotnet environment does.

use std::path::Path;
use std::process::Stdio;

use crate::world::{DOTNET, Server, eventually, request, runtime};

#[tokio::test]
async fn a_project_of_several_files_is_compiled_whole_and_its_services_are_injected() {
    let server = Server::with(DOTNET, &DOTNET.file("eight"), "").await;
    let head = request("GET", "/?name=Ada").header("X-Fission-Params-Id", "7");
    let answer = server.send(head, "").await;
    assert_eq!(answer.text(), r#"{"text":"Hello, Ada","id":"7"}"#);
    assert_eq!(answer.headers["access-control-allow-origin"], "https://example.org");
    eventually("the log line", || server.log("stdout").contains("info: called by FissionHttpContext")).await;
    let answer = server.send(request("POST", "/"), "anything").await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (400, "no such greeting"));
}

#[tokio::test]
async fn a_message_of_a_queue_is_another_context_and_a_browser_that_asks_first_is_told_the_policy() {
    let server = Server::with(DOTNET, &DOTNET.file("eight"), "MyFunction").await;
    assert_eq!(server.send(request("POST", "/").header("Topic", "orders"), "").await.text(), "orders");
    let answer = server.send(request("OPTIONS", "/").header("X-Forwarded-Proto", "https"), "").await;
    assert_eq!(answer.headers["access-control-allow-methods"], "*");
}

#[tokio::test]
async fn the_entry_point_names_a_class() {
    let server = Server::with(DOTNET, &DOTNET.file("eight"), "Other").await;
    assert_eq!(server.get("/").await.text(), "other");
    let refused = Server::start(DOTNET).await.specialize(&DOTNET.file("eight"), "Nothere").await;
    assert!(refused.text().contains("no class Nothere") && refused.text().contains("MyFunction"), "{}", refused.text());
}

#[tokio::test]
async fn a_built_assembly_is_loaded_with_the_assemblies_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("library.cs");
    std::fs::write(&library, "public static class Library { public static string Word => \"from the library\"; }")
        .unwrap();
    let function = folder.path().join("function.cs");
    let source = "namespace Example { public class Greeting { \
                  public string Execute(Fission.DotNet.Common.FissionContext c) => Library.Word; } }";
    std::fs::write(&function, source).unwrap();
    let package = folder.path().join("package");
    std::fs::create_dir(&package).unwrap();
    let api = home().await.join("Fission.DotNet.Common.dll");
    compile(&library, &package.join("Library.dll"), &[]).await;
    compile(&function, &package.join("Function.dll"), &[&api, &package.join("Library.dll")]).await;
    for entry in ["Function:Example:Greeting", "Function::Example.Greeting"] {
        let server = Server::with(DOTNET, &package, entry).await;
        assert_eq!(server.get("/").await.text(), "from the library", "{entry}");
    }
    let refused = Server::start(DOTNET).await.specialize(&package, "Nothere:Example:Greeting").await;
    assert!(refused.text().contains("no Nothere.dll") && refused.text().contains("Library.dll"), "{}", refused.text());
}

#[tokio::test]
async fn a_single_assembly_without_a_name_is_a_function() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("function.cs");
    std::fs::copy(DOTNET.file("unicode.cs"), &source).unwrap();
    let code = folder.path().join("deployarchive");
    compile(&source, &code, &[&home().await.join("Fission.DotNetCore.Api.dll")]).await;
    let server = Server::with(DOTNET, &code, "").await;
    assert_eq!(server.get("/").await.text(), "Grüße, 世界 🌍");
}

#[tokio::test]
async fn an_error_of_the_compiler_names_its_place() {
    let server = Server::start(DOTNET).await;
    let answer = server.specialize(&DOTNET.function("broken"), "").await;
    assert!(answer.text().contains("broken.cs(2,18): error CS1525"), "{}", answer.text());
}

/// The prepared folder.
async fn home() -> std::path::PathBuf {
    Path::new(&runtime(DOTNET).await.argv[1]).parent().unwrap().to_owned()
}

/// Compiles as a user's build would, with the compiler of the SDK that runs the server.
async fn compile(source: &Path, target: &Path, references: &[&Path]) {
    let runtime = runtime(DOTNET).await;
    let root = Path::new(&runtime.argv[0]).canonicalize().unwrap().parent().unwrap().to_owned();
    let sdk = std::fs::read_dir(root.join("sdk"))
        .unwrap()
        .map(|entry| entry.unwrap().path().join("Roslyn/bincore/csc.dll"))
        .find(|path| path.exists())
        .expect("an SDK has a compiler");
    let framework = std::fs::read_dir(home().await.join("references")).unwrap().map(|entry| entry.unwrap().path());
    let framework = framework.filter(|path| path.extension().is_some_and(|kind| kind == "dll"));
    let output = tokio::process::Command::new(&runtime.argv[0])
        .arg("exec")
        .arg(sdk)
        .args(["-nologo", "-noconfig", "-nostdlib", "-target:library"])
        .arg(format!("-out:{}", target.display()))
        .args(
            framework
                .chain(references.iter().map(|path| path.to_path_buf()))
                .map(|path| format!("-r:{}", path.display())),
        )
        .arg(source)
        .envs(runtime.env)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
