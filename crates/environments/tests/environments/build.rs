//! Builders of every language as plain processes: from a project folder to a function that answers.

use std::path::{Path, PathBuf};

use fission_environments::LogProgress;
use tempfile::TempDir;
use tokio::process::Command;

use crate::world::{
    BINARY, DOTNET, FASTAPI, GO, JVM, Language, NODEJS, PERL, PHP, PYTHON, RUBY, RUST, Server, catalog, request,
};

/// A project of `examples/`, how it is called, and what must be in its answer.
struct Project {
    language: Language,
    folder: &'static str,
    entry: &'static str,
    /// Path and query of a GET, or type and body of a POST.
    call: Call,
    answer: &'static str,
}

enum Call {
    Get(&'static str),
    Post(&'static str, &'static str),
}

/// Every language's project with a dependency.
const PROJECTS: [Project; 12] = [
    Project {
        language: NODEJS,
        folder: "nodejs/markdown",
        entry: "",
        call: Call::Post("text/plain", "# Hello *Ada*"),
        answer: "<h1>Hello <em>Ada</em></h1>\n",
    },
    Project {
        language: PYTHON,
        folder: "python/qrcode",
        entry: "",
        call: Call::Get("/?text=Ada"),
        answer: "class=\"qrline\"",
    },
    Project {
        language: FASTAPI,
        folder: "python-fastapi/signup",
        entry: "",
        call: Call::Post("application/json", r#"{"name":"Ada","email":"ada@example.org"}"#),
        answer: r#"{"welcome":"Ada","email":"ada@example.org"}"#,
    },
    Project { language: GO, folder: "go/sizes", entry: "", call: Call::Get("/?bytes=82854982"), answer: "83 MB\n" },
    Project {
        language: GO,
        folder: "go/greetings",
        entry: "Greet",
        call: Call::Get("/?name=Ada&lang=fr"),
        answer: "{\"greeting\":\"Bonjour, Ada!\"}\n",
    },
    Project {
        language: PHP,
        folder: "php/invoice",
        entry: "",
        call: Call::Get("/?cents=123456"),
        answer: "1,234.56 EUR\n",
    },
    Project {
        language: RUBY,
        folder: "ruby/invoice",
        entry: "",
        call: Call::Get("/?cents=123456"),
        answer: "1,234.56 EUR\n",
    },
    Project {
        language: PERL,
        folder: "perl/invoice",
        entry: "",
        call: Call::Get("/?cents=123456"),
        answer: "1,234.56 EUR\n",
    },
    Project {
        language: RUST,
        folder: "rust/invoice",
        entry: "",
        call: Call::Get("/?cents=123456"),
        answer: "1,234.56 EUR\n",
    },
    Project {
        language: JVM,
        folder: "jvm/markdown",
        entry: "",
        call: Call::Post("text/plain", "# Hello *Ada*"),
        answer: "<h1>Hello <em>Ada</em></h1>\n",
    },
    Project {
        language: DOTNET,
        folder: "dotnet/prices",
        entry: "",
        call: Call::Get("/?net=100&country=de"),
        answer: "\"gross\":119",
    },
    Project {
        language: BINARY,
        folder: "binary/prices",
        entry: "price",
        call: Call::Post("text/plain", "pen"),
        answer: "pen: 1.20\n",
    },
];

/// A build that ended.
pub(crate) struct Built {
    pub(crate) ok: bool,
    /// Both outputs.
    pub(crate) log: String,
    /// Where the result is, if there is one.
    pub(crate) result: PathBuf,
    _folder: TempDir,
}

/// Runs a language's build command as the platform does, but in no sandbox.
pub(crate) async fn build(language: Language, source: &Path) -> Built {
    let tools = catalog().prepare_build(language.image, &LogProgress).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    copy(source, &at("source"));
    std::fs::create_dir(at("tmp")).unwrap();
    let mut path: Vec<PathBuf> = tools.path.clone();
    path.extend(["/usr/local/bin", "/usr/bin", "/bin"].map(PathBuf::from));
    let output = Command::new(&tools.argv[0])
        .args(&tools.argv[1..])
        .env_clear()
        .env("PATH", std::env::join_paths(path).unwrap())
        .env("LANG", "C.UTF-8")
        .env("HOME", cache().join(language.name))
        .env("TMPDIR", at("tmp"))
        .env("SRC_PKG", at("source"))
        .env("DEPLOY_PKG", at("deploy"))
        .envs(tools.env)
        .current_dir(if source.is_dir() { at("source") } else { folder.path().to_owned() })
        .output()
        .await
        .unwrap();
    let log = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    Built { ok: output.status.success(), log, result: at("deploy"), _folder: folder }
}

/// Package managers' caches, kept between runs outside the tree.
pub(crate) fn cache() -> PathBuf {
    let root = std::env::var_os("FISSION_TEST_CACHE").map(PathBuf::from);
    let cache = root.unwrap_or_else(|| Path::new(&std::env::var_os("HOME").unwrap()).join(".cache/fission-test"));
    let cache = cache.join("builds");
    for language in crate::world::LANGUAGES.iter().chain([&crate::world::WASM]) {
        std::fs::create_dir_all(cache.join(language.name)).unwrap();
    }
    cache
}

fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        std::fs::copy(from, to).unwrap();
        return;
    }
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}

#[tokio::test]
async fn a_project_with_dependencies_becomes_a_function() {
    for Project { language, folder, entry, call, answer } in PROJECTS {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(folder);
        let built = build(language, &source).await;
        assert!(built.ok, "{folder}: {}", built.log);
        let server = Server::with(language, &built.result, entry).await;
        let said = match call {
            Call::Get(path) => server.get(path).await,
            Call::Post(kind, body) => server.send(request("POST", "/").header("content-type", kind), body).await,
        };
        assert!(said.status == 200 && said.text().contains(answer), "{folder}: {} {}", said.status, said.text());
    }
}

#[tokio::test]
async fn a_single_file_is_built_too() {
    for language in crate::world::LANGUAGES {
        let built = build(language, &language.function("unicode")).await;
        assert!(built.ok, "{}: {}", language.name, built.log);
        let server = Server::with(language, &built.result, "").await;
        assert_eq!(server.get("/").await.text(), "Grüße, 世界 🌍", "{}", language.name);
    }
}

#[tokio::test]
async fn code_that_does_not_parse_fails_its_build_with_the_line() {
    for language in crate::world::LANGUAGES {
        let built = build(language, &language.function("broken")).await;
        assert!(!built.ok, "{}: {}", language.name, built.log);
        assert!(built.log.contains('2'), "the line: {}: {}", language.name, built.log);
        assert!(!built.log.contains("Traceback"), "nothing of ours: {}: {}", language.name, built.log);
    }
}

#[tokio::test]
async fn projects_of_dotnet_that_cannot_be_built_say_why() {
    for (folder, why) in [
        ("broken_project", "Library/Library.cs(3,44): error CS0029"),
        ("newer", "Function.csproj: error: the project is for net99.0, and the .NET SDK here is"),
    ] {
        let built = build(DOTNET, &DOTNET.file(folder)).await;
        assert!(!built.ok && built.log.contains(why), "{folder}: {}", built.log);
    }
}
