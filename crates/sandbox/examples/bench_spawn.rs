//! How long it takes from asking the launcher for an instance until its program runs, with all isolation, beside a bare
//! start of the same program. Prints a table with n, p50 and p99 in milliseconds.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use fission_environments::{Listen, Runtime};
use fission_executor::backend::{Backend, InstanceSpec};
use fission_rpc::endpoint::InstanceId;
use fission_rpc::logs::{LogOwner, LogPipe, LogSink};
use fission_sandbox::launcher::{self, LauncherOptions};
use fission_sandbox::{Options, RuntimeSource, SandboxBackend};
use rustix::fs::inotify;

const ROUNDS: usize = 300;

fn main() -> io::Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some(launcher::ARGUMENT) => launcher::main(),
        Some("__server") => serve(),
        _ => measure(),
    }
}

/// The smallest server: any connection is answered at once.
fn serve() -> io::Result<()> {
    let path = std::env::vars().find(|(name, _)| name == "FISSION_SOCKET").map(|(_, value)| value);
    let listener = std::os::unix::net::UnixListener::bind(path.ok_or(io::ErrorKind::NotFound)?)?;
    loop {
        let (mut stream, _) = listener.accept()?;
        let mut request = [0; 1024];
        let _ = io::Read::read(&mut stream, &mut request);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
}

struct Own;

#[async_trait]
impl RuntimeSource for Own {
    async fn runtime(&self, _: &str) -> Result<Runtime, String> {
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        Ok(Runtime {
            name: "bench".to_owned(),
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

fn measure() -> io::Result<()> {
    let launcher = launcher::start(LauncherOptions::own()?)?;
    let data = std::env::temp_dir().join(format!("bench-spawn-{}", std::process::id()));
    let runtime = tokio::runtime::Runtime::new()?;
    let options = Options::new(data.clone());
    // In a task, as the platform does. Both in turn: a machine that is slow for a while is slow for both.
    let measured = runtime.spawn(async move {
        let (mut sandboxed, mut ended, mut bare) = (Vec::new(), Vec::new(), Vec::new());
        let backend =
            SandboxBackend::new(options, launcher, Arc::new(NoLogs), Arc::new(Own)).map_err(io::Error::other)?;
        let bare_server = Bare::new(&data)?;
        let environment = serde_json::json!({"apiVersion": "fission.io/v1", "kind": "Environment",
            "metadata": {"name": "e"}, "spec": {"version": 3, "runtime": {"image": "x"}}});
        let environment = Arc::new(serde_json::from_value(environment)?);
        let mut words = Vec::new();
        for round in 0..ROUNDS {
            let id = InstanceId(round.to_string().into());
            let spec = InstanceSpec { id: id.clone(), environment: Arc::clone(&environment), function: None };
            let begin = Instant::now();
            let created = backend.create(spec).await.map_err(io::Error::other)?;
            sandboxed.push(begin.elapsed());
            let begin = Instant::now();
            backend.destroy(&id, Duration::ZERO).await;
            ended.push(begin.elapsed());
            words = created.isolation;
            bare.push(tokio::task::block_in_place(|| bare_server.start())?);
        }
        std::fs::remove_dir_all(&data)?;
        io::Result::Ok((words, sandboxed, ended, bare))
    });
    let (isolation, mut sandboxed, mut ended, mut bare) = runtime.block_on(measured).map_err(io::Error::other)??;
    let mut out = io::stdout().lock();
    writeln!(out, "isolation: {}", isolation.join(" "))?;
    writeln!(out, "{:<34} {:>5} {:>8} {:>8}", "what (ms)", "n", "p50", "p99")?;
    for (what, times) in [
        ("bare start until it answers", &mut bare),
        ("sandboxed create until it answers", &mut sandboxed),
        ("destroy without grace", &mut ended),
    ] {
        times.sort();
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0;
        writeln!(out, "{what:<34} {:>5} {:>8.2} {:>8.2}", times.len(), at(0.5), at(0.99))?;
    }
    Ok(())
}

/// The same server started by nothing more than a copy of this process, noticed and asked in the same way.
struct Bare {
    own: PathBuf,
    socket: PathBuf,
    appearing: OwnedFd,
}

impl Bare {
    fn new(folder: &Path) -> io::Result<Self> {
        let folder = folder.join("bare");
        std::fs::create_dir_all(&folder)?;
        let appearing = inotify::init(inotify::CreateFlags::CLOEXEC)?;
        inotify::add_watch(&appearing, &folder, inotify::WatchFlags::CREATE)?;
        Ok(Self { own: std::env::current_exe()?, socket: folder.join("sock"), appearing })
    }

    /// Starts it and ends it. Gives how long it took until it had answered.
    fn start(&self) -> io::Result<Duration> {
        let begin = Instant::now();
        let mut child =
            Command::new(&self.own).arg("__server").env("FISSION_SOCKET", &self.socket).stdin(Stdio::null()).spawn()?;
        rustix::io::read(&self.appearing, &mut [0; 512])?;
        let mut stream = loop {
            // It listens a moment after it has made its socket.
            match UnixStream::connect(&self.socket) {
                Ok(stream) => break stream,
                Err(_) => std::thread::yield_now(),
            }
        };
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        io::Read::read_to_end(&mut stream, &mut Vec::new())?;
        let took = begin.elapsed();
        child.kill()?;
        child.wait()?;
        std::fs::remove_file(&self.socket)?;
        Ok(took)
    }
}
