//! A small stand-in for the `fission` binary: becomes the launcher, a scripted function server, or a platform with one
//! instance. The tests run it; it also shows how the crate is used.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fission_environments::{Listen, Runtime, binary_server};
use fission_executor::backend::{Backend, InstanceSpec, Load};
use fission_executor::configuration::{Configuration, File, Root};
use fission_rpc::code::Code;
use fission_rpc::endpoint::InstanceId;
use fission_rpc::logs::{LogOwner, LogPipe, LogSink};
use fission_sandbox::launcher::{self, LauncherOptions};
use fission_sandbox::{Options, RuntimeSource, SandboxBackend};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [launcher::ARGUMENT] => launcher::main(),
        [binary_server::SUBCOMMAND] => {
            binary_server::main();
        }
        ["__server"] => serve(),
        ["__platform", data] => platform(data.into()),
        ["__report"] => {
            let report = launcher::isolation_report(LauncherOptions::own().unwrap()).unwrap();
            say(&serde_json::to_string(&report).unwrap());
        }
        _ => say("usage: launcher_host __launcher | __server | __platform DIRECTORY | __report"),
    }
}

fn say(line: &str) {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).unwrap();
}

/// Makes one instance, loads it with a function that has a secret, says where it is and how that went in one line of
/// JSON, and stays until it is killed.
fn platform(data: PathBuf) {
    let launcher = launcher::start(LauncherOptions::own().unwrap()).unwrap();
    let launcher_pid = launcher.pid();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let code = data.join("code");
        let backend = SandboxBackend::new(Options::new(data), launcher, Arc::new(NoLogs), Arc::new(Scripted)).unwrap();
        let environment = serde_json::json!({"apiVersion": "fission.io/v1", "kind": "Environment",
            "metadata": {"name": "e"}, "spec": {"version": 3, "runtime": {"image": "x"}}});
        let environment = Arc::new(serde_json::from_value(environment).unwrap());
        let spec = InstanceSpec { id: InstanceId("one".into()), environment, function: None };
        let created = match backend.create(spec).await {
            Ok(created) => created,
            Err(error) => return say(&serde_json::json!({"error": error.to_string()}).to_string()),
        };
        std::fs::write(&code, "print loaded").unwrap();
        let refused =
            backend.specialize(&InstanceId("one".into()), load(code)).await.err().map(|error| error.to_string());
        let line = serde_json::json!({"refused": refused, "launcher": launcher_pid, "instance": created.pid,
            "address": created.address.to_string(), "isolation": created.isolation});
        say(&line.to_string());
        tokio::time::sleep(Duration::MAX).await;
    });
}

fn load(code: PathBuf) -> Load {
    let function = serde_json::json!({"apiVersion": "fission.io/v1", "kind": "Function",
        "metadata": {"name": "f", "namespace": "ns"}, "spec": {}});
    let secret = File { root: Root::Secrets, path: "ns/db/password".to_owned(), content: b"geheim".to_vec() };
    Load {
        function: Arc::new(serde_json::from_value(function).unwrap()),
        package: Arc::default(),
        code: Code { path: code, digest: String::new() },
        configuration: Configuration { files: vec![secret], ..Configuration::default() },
        filename: "deployarchive".to_owned(),
        environment_version: 3,
        timeout: Duration::from_secs(30),
    }
}

struct Scripted;

#[async_trait]
impl RuntimeSource for Scripted {
    async fn runtime(&self, _: &str) -> Result<Runtime, String> {
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        Ok(Runtime {
            name: "scripted".to_owned(),
            argv: vec![own.display().to_string(), "__server".to_owned()],
            env: Vec::new(),
            read_only: vec![own],
            listen: Listen::Unix,
            system_calls: Vec::new(),
        })
    }
}

struct NoLogs;

impl LogSink for NoLogs {
    fn capture(&self, _: Arc<dyn Fn() -> LogOwner + Send + Sync>, _: LogPipe, _: LogPipe) {}
}

/// Serves one request a connection, as its environment variables and the requests tell it.
fn serve() {
    let variable = |name: &str| std::env::vars().find(|(known, _)| known == name).map(|(_, value)| value);
    match variable("SCRIPT").as_deref() {
        Some("exit") => {
            say("about to give up");
            std::process::exit(3)
        }
        Some("silent") => loop {
            std::thread::park();
        },
        Some("noisy") => (0..20_000).for_each(|number| say(&format!("line {number}"))),
        Some("stubborn") => ignore_term(),
        _ => {}
    }
    if let Some(path) = variable("FISSION_SOCKET") {
        for stream in UnixListener::bind(path).unwrap().incoming() {
            let stream = stream.unwrap();
            std::thread::spawn(move || answer(stream.try_clone().unwrap(), stream));
        }
    } else {
        let port = variable("RUNTIME_PORT").unwrap().parse().unwrap();
        for stream in TcpListener::bind(("127.0.0.1", port)).unwrap().incoming() {
            let stream = stream.unwrap();
            std::thread::spawn(move || answer(stream.try_clone().unwrap(), stream));
        }
    }
}

/// A shell that ignores SIGTERM hands that on to what it starts: this program again.
fn ignore_term() {
    use std::os::unix::process::CommandExt;
    let own = std::env::current_exe().unwrap();
    let error =
        Command::new("/bin/sh").args(["-c", "trap '' TERM; exec \"$0\" __server"]).arg(own).env("SCRIPT", "").exec();
    panic!("{error}");
}

fn answer(input: impl Read, mut output: impl Write) {
    let mut input = BufReader::new(input);
    let mut first = String::new();
    input.read_line(&mut first).unwrap();
    let mut length = 0;
    loop {
        let mut line = String::new();
        input.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    input.read_exact(&mut body).unwrap();
    let body = String::from_utf8(body).unwrap();
    let path = first.split(' ').nth(1).unwrap_or("/");
    let (status, text) = match path {
        "/healthz" => (404, String::new()),
        "/specialize" => specialize("/userfunc/user"),
        "/v2/specialize" => {
            let request: serde_json::Value = serde_json::from_str(&body).unwrap();
            specialize(request["filepath"].as_str().unwrap())
        }
        _ => match obey(&body) {
            Ok(text) => (200, text),
            Err(error) => (500, error.to_string()),
        },
    };
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", text.len());
    let _ = output.write_all(head.as_bytes()).and_then(|()| output.write_all(text.as_bytes()));
}

/// The code says how loading it goes.
fn specialize(path: &str) -> (u16, String) {
    let Ok(code) = std::fs::read_to_string(path) else { return (200, String::new()) };
    match code.trim().split_once(' ').unwrap_or((code.trim(), "")) {
        ("refuse", why) => (400, why.to_owned()),
        ("exit", code) => std::process::exit(code.parse().unwrap()),
        ("hang", _) => loop {
            std::thread::park();
        },
        ("print", text) => {
            say(text);
            (202, String::new())
        }
        _ => (202, String::new()),
    }
}

fn obey(command: &str) -> io::Result<String> {
    let (word, rest) = command.split_once(' ').unwrap_or((command, ""));
    match word {
        "read" => std::fs::read_to_string(rest),
        "write" => std::fs::write(rest, "x").map(|()| "written".to_owned()),
        "list" => {
            let names = std::fs::read_dir(rest)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
            Ok(names.collect::<io::Result<Vec<_>>>()?.join("\n"))
        }
        "run" => {
            let output = Command::new("/bin/sh").args(["-c", rest]).output()?;
            Ok(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
        }
        "variables" => Ok(std::env::vars().map(|(name, value)| format!("{name}={value}\n")).collect()),
        "pid" => Ok(std::process::id().to_string()),
        "print" => {
            say(rest);
            Ok(String::new())
        }
        "memory" => {
            let mut hoard = Vec::new();
            for _ in 0..rest.parse::<usize>().unwrap_or(0) {
                hoard.push(vec![1_u8; 1 << 20]);
            }
            Ok(hoard.len().to_string())
        }
        "fork" => {
            let started = (0..2000)
                .map_while(|_| Command::new("/bin/sleep").arg("600").stdin(Stdio::null()).spawn().ok())
                .count();
            Ok(started.to_string())
        }
        "exit" => std::process::exit(rest.parse().unwrap_or(1)),
        _ => Err(io::Error::other("unknown command")),
    }
}
