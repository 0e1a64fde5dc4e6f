//! A server in memory, a folder, and command lines.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use fission_apiserver::{ApiServer, Options, Storage};
use tempfile::TempDir;

use crate::env::Variables;
use crate::{Io, Parsed, parse};

/// A server with nothing in it but what it starts with, and a folder of files.
pub(super) struct World {
    server: ApiServer,
    dir: TempDir,
    pub(super) vars: Variables,
    /// Whether commands have to find a server themselves, as the variables say.
    pub(super) finds_server: bool,
}

/// What a command printed, and whether it succeeded.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) good: bool,
    pub(super) out: String,
    pub(super) err: String,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl World {
    pub(super) fn new() -> Self {
        let server = ApiServer::open(Options::new(Storage::Memory, "0.0.0")).unwrap();
        Self { server, dir: tempfile::tempdir().unwrap(), vars: Variables::default(), finds_server: false }
    }

    /// A world with an environment and, below `hello.js`, a function.
    pub(super) async fn with_function() -> Self {
        let world = Self::new();
        world.file("hello.js", "module.exports = async () => ({ status: 200, body: 'Hello, world!' });\n");
        world.ok("env create --name nodejs --image fission/node-env").await;
        world.ok("fn create --name hello --env nodejs --code hello.js").await;
        world
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn file(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(super) fn server(&self) -> ApiServer {
        self.server.clone()
    }

    pub(super) fn client(&self) -> kube::Client {
        self.server.client("default")
    }

    /// Runs a command line; words are separated by spaces, single quotes keep them together.
    pub(super) async fn run(&self, line: &str) -> Ran {
        let parsed = match parse(std::iter::once("fission".to_owned()).chain(words(line))) {
            Ok(Parsed::Run(request)) => request,
            Ok(Parsed::Up(_)) => panic!("up is not run here"),
            Err(not_run) => {
                let good = not_run.exit == 0;
                let (out, err) = if good { (not_run.text, String::new()) } else { (String::new(), not_run.text) };
                return Ran { good, out, err };
            }
        };
        let (out, err) = (Shared::default(), Shared::default());
        let mut io = Io::to(Box::new(out.clone()), Box::new(err.clone()), self.dir.path().to_owned());
        io.client = (!self.finds_server).then(|| self.client());
        io.vars = self.vars.clone();
        let (outcome, mut io) = parsed.run(io).await;
        if let Err(failure) = &outcome {
            failure.print(&mut io);
        }
        Ran { good: outcome.is_ok(), out: self.steady(&out.text()), err: self.steady(&err.text()) }
    }

    /// Runs a command that must succeed and gives what it printed.
    pub(super) async fn ok(&self, line: &str) -> String {
        let ran = self.run(line).await;
        assert!(ran.good, "{line}: {}{}", ran.out, ran.err);
        ran.out
    }

    /// Runs a command that must fail and gives what it said.
    pub(super) async fn fails(&self, line: &str) -> String {
        let ran = self.run(line).await;
        assert!(!ran.good, "{line} succeeded: {}", ran.out);
        ran.err
    }

    /// The text with what differs from run to run replaced.
    fn steady(&self, text: &str) -> String {
        text.replace(&*self.dir.path().to_string_lossy(), "DIR")
    }
}

/// Text with every UUID called `UUID`.
pub(super) fn without_uuids(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let is_uuid = rest.get(..36).is_some_and(|word| uuid::Uuid::try_parse(word).is_ok());
        let (taken, pushed) = match is_uuid {
            true => (36, "UUID"),
            false => {
                let length = rest.chars().next().map_or(0, char::len_utf8);
                (length, &rest[..length])
            }
        };
        out.push_str(pushed);
        rest = &rest[taken..];
    }
    out
}

fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let (mut quoted, mut started) = (false, false);
    for c in line.chars() {
        match c {
            '\'' => (quoted, started) = (!quoted, true),
            ' ' if !quoted => {
                if started {
                    words.push(String::new());
                }
                started = false;
            }
            c => {
                started = true;
                if let Some(word) = words.last_mut() {
                    word.push(c);
                }
            }
        }
    }
    if !started {
        words.pop();
    }
    words
}
