//! `fission function run-local`: the real command, without a platform beside it.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tempfile::TempDir;

use crate::world::{PATIENCE, environment_cache, eventually, signal};

/// A folder of a developer, with a place for temporary files of its own.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        fs::create_dir(folder.temporary()).expect("a folder for temporary files");
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Where the command puts what it does not keep.
    fn temporary(&self) -> PathBuf {
        self.path().join("tmp")
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be made");
        fs::write(path, text).expect("the file can be written");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fission"));
        command
            .args(["function", "run-local"])
            .args(arguments)
            .current_dir(self.path())
            .env("HOME", self.path())
            .env("TMPDIR", self.temporary())
            .env("FISSION_ENVIRONMENT_CACHE", environment_cache())
            .env_remove("KUBECONFIG")
            .env_remove("FISSION_URL")
            .env_remove("FISSION_DATA")
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    fn run(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().expect("the command runs");
        self.is_clean();
        output
    }

    /// Runs it to a good end and gives what it answered.
    fn answers(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// Nothing is left of the command: no file, and no process that works in its folder.
    fn is_clean(&self) {
        let left: Vec<_> = fs::read_dir(self.temporary()).expect("a folder").flatten().map(|it| it.path()).collect();
        assert!(left.is_empty(), "{left:?}");
        let temporary = self.temporary().to_str().expect("utf-8").to_owned();
        let names_it = |process: &fs::DirEntry| {
            let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(&temporary)
        };
        let processes = fs::read_dir("/proc").expect("processes").flatten().filter(names_it);
        let left: Vec<_> = processes.map(|process| process.file_name()).collect();
        assert!(left.is_empty(), "processes {left:?}");
    }
}

/// The command while it runs.
struct Serving<'a> {
    folder: &'a Folder,
    child: Child,
    said: Arc<Mutex<String>>,
    router: String,
    client: reqwest::Client,
}

impl<'a> Serving<'a> {
    async fn start(folder: &'a Folder, arguments: &[&str]) -> Self {
        let mut command = folder.command(arguments);
        let mut child = command.args(["--port", "0"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        for mut stream in
            [Box::new(child.stdout.take().unwrap()) as Box<dyn Read + Send>, Box::new(child.stderr.take().unwrap())]
        {
            let said = said.clone();
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut bytes) {
                    said.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
                }
            });
        }
        let mut serving = Self { folder, child, said, router: String::new(), client: reqwest::Client::new() };
        serving.says(" until Ctrl-C").await;
        let said = serving.said();
        let address = said.split_once("answers at ").expect("its address").1;
        serving.router = address.split_once("/ until").expect("its end").0.to_owned();
        serving
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until it says something.
    async fn says(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.said().contains(text) {
            if let Some(ended) = self.child.try_wait().unwrap() {
                panic!("it ended ({ended}) and said:\n{}", self.said());
            }
            assert!(Instant::now() < deadline, "{text:?} was not said:\n{}", self.said());
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let response = self.client.get(format!("{}{path}", self.router)).send().await.expect("an answer");
        (response.status().as_u16(), response.text().await.expect("text"))
    }

    /// Ends it with a signal; gives its exit code.
    async fn end(mut self, with: &str) -> Option<i32> {
        signal(self.child.id(), with);
        let mut code = None;
        let deadline = Instant::now() + PATIENCE;
        while code.is_none() && Instant::now() < deadline {
            code = self.child.try_wait().unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        self.folder.is_clean();
        code.expect("it ends").code()
    }
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const ECHO: &str = "const text = (body) => (typeof body === 'string' ? body : '');\nmodule.exports = async (context) => {\n  console.log('called with ' + context.request.method);\n  return { status: 200, body: [context.request.method, context.request.url, context.request.get('x-one'), text(context.request.body)].join(' ') };\n};\n";

fn answer(text: &str) -> String {
    format!("module.exports = async () => ({{ status: 200, body: '{text}' }});\n")
}

#[test]
fn one_call_is_answered_on_standard_output_and_everything_else_is_beside_it() {
    let folder = Folder::new();
    folder.write("echo.js", ECHO);
    let output = folder.run(&[
        "--code",
        "echo.js",
        "--method",
        "put",
        "-H",
        "X-One: 1",
        "-H",
        "Content-Type: text/plain",
        "-b",
        "hi",
        "--subpath",
        "a/b?c=d",
    ]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "PUT /a/b?c=d 1 hi", "{said}");
    assert!(output.status.success());
    assert!(said.contains("environment: fission/node-env (because of echo.js)"), "{said}");
    assert!(said.contains("called with PUT"), "what the function printed is shown: {said}");
}

#[test]
fn a_call_that_fails_is_an_exit_code_and_says_why() {
    let folder = Folder::new();
    folder.write("broken.py", "def main(:\n    pass\n");
    folder.write("missing.js", "module.exports = async () => ({ status: 404, body: 'not here' });\n");
    let output = folder.run(&["--code", "broken.py"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("SyntaxError") && said.contains("fission/python-env (because of broken.py)"), "{said}");
    let output = folder.run(&["--code", "missing.js", "--env", "nodejs", "--name", "absent"]);
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stdout).as_ref()), (Some(1), "not here"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("function 'absent' answered 404"), "{said}");
    for (arguments, why) in [
        (&["--code", "missing.js", "--env", "cobol"][..], "built in: nodejs, python"),
        (&["--code", "missing.js", "--debug-port", "9229"], "--debug-port is not possible"),
        (&["--code", "missing.js", "--image", "example.org/x"], "example.org/x"),
        (&["--code", "none.js"], "none.js"),
        (&["--env", "nodejs"], "no code is given"),
        (&["--code", "missing.js", "--secret", "smtp"], "smtp/key=value"),
    ] {
        let output = folder.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains(why), "{arguments:?}: {said}");
    }
}

#[test]
fn variables_secrets_and_config_maps_come_from_flags_and_files() {
    let folder = Folder::new();
    folder.write(
        "shown.py",
        "import os\n\n\ndef main():\n    read = lambda path: open(path).read()\n    return ' '.join([os.environ['A'], os.environ['B'], read('/secrets/default/smtp/user'), read('/secrets/default/smtp/password'), read('/configs/app/limits/most'), read('/configs/default/page/index.html')])\n",
    );
    folder.write(".env", "# settings\nA=file\nB='from a file'\n");
    folder.write("limits.env", "most=9\n");
    folder.write("page/index.html", "<p>");
    let said = folder.answers(&[
        "--code",
        "shown.py",
        "--env-from",
        ".env",
        "-e",
        "A=flag",
        "--secret",
        "smtp/user=me",
        "--secret",
        "smtp/password=a=b",
        "--configmap",
        "limits=limits.env",
        "--configmap-mount",
        "limits=app/limits",
        "--configmap",
        "page=page",
    ]);
    assert_eq!(said, "flag from a file me a=b 9 <p>");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_is_kept_answers_every_path_and_ctrl_c_leaves_nothing() {
    let folder = Folder::new();
    folder.write("echo.js", ECHO);
    let mut serving = Serving::start(&folder, &["--code", "echo.js", "--keep", "--subpath", "/first"]).await;
    assert!(serving.said().contains("GET /first"), "the call was made: {}", serving.said());
    assert_eq!(serving.get("/").await, (200, "GET /  ".into()));
    assert_eq!(serving.get("/deep/path?q=1").await, (200, "GET /deep/path?q=1  ".into()));
    serving.says("called with GET").await;
    assert_eq!(serving.end("-INT").await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_file_is_what_the_next_request_runs_and_its_mistakes_are_shown() {
    let folder = Folder::new();
    folder.write("hello.js", &answer("one"));
    let mut serving = Serving::start(&folder, &["--code", "hello.js", "--watch"]).await;
    assert_eq!(serving.get("/").await, (200, "one".into()));
    for text in ["two", "three"] {
        folder.write("hello.js", &answer(text));
        eventually("the new code answers", || async { serving.get("/").await == (200, text.into()) }).await;
    }
    serving.says("the code changed; the next request runs it").await;
    folder.write("hello.js", "module.exports = async () => { retur 1 };\n");
    eventually("the mistake is noticed", || async { serving.get("/").await.0 == 500 }).await;
    serving.says("SyntaxError").await;
    // As editors do: a new file in the place of the old one.
    folder.write("hello.js.new", &answer("four"));
    fs::rename(folder.path().join("hello.js.new"), folder.path().join("hello.js")).unwrap();
    eventually("the mended code answers", || async { serving.get("/").await == (200, "four".into()) }).await;
    assert_eq!(serving.end("-TERM").await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_described_is_made_again_after_each_change() {
    let folder = Folder::new();
    folder.write("app/main.py", "from words import WORD\n\n\ndef main():\n    return 'first ' + WORD\n");
    folder.write("app/words.py", "WORD = 'one'\n");
    let arguments = ["--deploy", "app", "--entrypoint", "main.main", "--watch", "--method", "GET"];
    let mut serving = Serving::start(&folder, &arguments).await;
    serving.says("first one").await;
    folder.write("app/words.py", "WORD = 'two'\n");
    serving.says("first two").await;
    // A folder that is made anew, as build tools do.
    fs::remove_dir_all(folder.path().join("app")).unwrap();
    folder.write("app/main.py", "def main():\n    return 'second'\n");
    serving.says("second").await;
    assert_eq!(serving.end("-INT").await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn source_is_built_and_a_failed_build_is_shown_and_mended() {
    let folder = Folder::new();
    folder.write("src/index.js", &answer("built"));
    assert_eq!(folder.answers(&["--src", "src"]), "built");
    assert_eq!(folder.answers(&["--code", "src/index.js", "--build"]), "built");
    folder.write("src/index.js", "module.exports = async () => { retur 1 };\n");
    let output = folder.run(&["--src", "src"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(1) && said.contains("SyntaxError") && said.contains("the build failed"),
        "{said}"
    );
    let mut serving = Serving::start(&folder, &["--src", "src", "--watch"]).await;
    serving.says("the build failed").await;
    folder.write("src/index.js", &answer("mended"));
    serving.says("the code changed; the next request runs it").await;
    eventually("the mended code answers", || async { serving.get("/").await == (200, "mended".into()) }).await;
    assert_eq!(serving.end("-INT").await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_killed_leaves_no_platform_behind() {
    let folder = Folder::new();
    folder.write("hello.js", &answer("hello"));
    let mut serving = Serving::start(&folder, &["--code", "hello.js", "--watch"]).await;
    assert_eq!(serving.get("/").await, (200, "hello".into()));
    serving.child.kill().unwrap();
    serving.child.wait().unwrap();
    let gone = || async { serving.client.get(&serving.router).send().await.is_err() };
    eventually("the platform ends by itself", gone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_named_with_its_owner_and_the_flag() {
    let folder = Folder::new();
    folder.write("hello.js", &answer("hello"));
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = folder.run(&["--code", "hello.js", "--watch", "--port", &port]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("is taken by") && said.contains("--port (port 0 takes a free one)"), "{said}");
}
