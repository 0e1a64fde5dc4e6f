//! The server of the `rust` environment: a container that takes one program, or compiles one, and hands it the listening
//! socket.
//!
//! A program made with the SDK takes the socket over, and requests go straight to it; this process only waits for its end.
//! Any other HTTP server gets a port of its own, and requests are passed on. See `environments/rust/README.md`.

mod code;
mod program;
mod proxy;

use std::io;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use tokio::sync::{mpsc, oneshot};

use crate::serving::{self, Asked, Body, Connections, Listener, Load, Settings, TWICE, ToldToEnd, text};
use program::Program;
use proxy::Upstream;

/// The hidden subcommand of `fission` that runs this server. Behind it stands the command that compiles a source to a
/// program, whose paths are its last two arguments; without one, only programs are run.
pub const SUBCOMMAND: &str = "__rust-env";

/// What a container without a function says.
const UNSPECIALIZED: &str = "Generic container: no requests supported";

/// Runs the server until its program ends, or until SIGTERM or SIGINT.
pub fn main() -> ExitCode {
    let settings = Settings::of_instance();
    let compiler = std::env::args().skip(2).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(serve(&settings, compiler))) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            serving::log_line(&format!("rust environment: cannot serve with {settings:?}: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Serves, and gives the exit code.
async fn serve(settings: &Settings, compiler: Vec<String>) -> io::Result<u8> {
    let mut told_to_end = ToldToEnd::new()?;
    let listener = Arc::new(settings.listen().await?);
    let (loaded, mut programs) = mpsc::channel(1);
    let container = Arc::new(Container {
        compiler,
        upstream: OnceLock::new(),
        listener: Mutex::new(Some(listener.clone())),
        loading: tokio::sync::Mutex::new(loaded),
    });
    let connections = Connections::new();
    let (mut program, taken) = loop {
        tokio::select! {
            accepted = listener.accept() => container.serve(&connections, accepted),
            Some(loaded) = programs.recv() => break loaded,
            () = told_to_end.wait() => {
                connections.finish().await;
                return Ok(0);
            }
        }
    };
    if program.took_over() {
        // New connections are the program's, also that of a caller who is told now that the function is there. One that was
        // accepted here in between would be passed on, by a path that need not lead to the socket any more.
        drop(listener);
        let _ = taken.send(());
        loop {
            tokio::select! {
                code = program.ended() => return Ok(code),
                () = told_to_end.wait() => program.terminate(),
            }
        }
    }
    let _ = taken.send(());
    loop {
        tokio::select! {
            accepted = listener.accept() => container.serve(&connections, accepted),
            code = program.ended() => return Ok(code),
            () = told_to_end.wait() => break,
        }
    }
    connections.finish().await;
    program.terminate();
    program.ended().await;
    Ok(0)
}

/// One container: generic, then with its program.
struct Container {
    /// Compiles a source.
    compiler: Vec<String>,
    /// Where the function's requests go.
    upstream: OnceLock<Upstream>,
    /// What the program may take over; nothing once it did.
    listener: Mutex<Option<Arc<Listener>>>,
    /// Gets the program, and says when it is in its place; locked while one is loaded.
    loading: tokio::sync::Mutex<mpsc::Sender<(Program, oneshot::Sender<()>)>>,
}

impl Container {
    fn serve(self: &Arc<Self>, connections: &Connections, accepted: io::Result<Box<dyn serving::Stream>>) {
        // A connection that broke before it was taken is its client's affair.
        let Ok(stream) = accepted else { return };
        let container = self.clone();
        let passed_on = Arc::new(proxy::Connection::default());
        connections.serve(stream, move |request| {
            let (container, passed_on) = (container.clone(), passed_on.clone());
            async move { container.answer(request, &passed_on).await }
        });
    }

    async fn answer(&self, request: Request<Incoming>, passed_on: &proxy::Connection) -> Response<Body> {
        match Asked::of(request).await {
            Err(answer) => answer,
            Ok(Asked::Load(load)) => self.specialize(load).await,
            Ok(Asked::Function(request)) => match self.upstream.get() {
                Some(upstream) => passed_on.send(upstream, request).await,
                None => text(StatusCode::INTERNAL_SERVER_ERROR, UNSPECIALIZED),
            },
        }
    }

    async fn specialize(&self, load: Load) -> Response<Body> {
        let loaded = self.loading.lock().await;
        if self.upstream.get().is_some() {
            return text(StatusCode::BAD_REQUEST, TWICE);
        }
        let program = match self.load(&load).await {
            Ok(program) => program,
            Err(why) => {
                serving::log_line(&why);
                return text(StatusCode::INTERNAL_SERVER_ERROR, &why);
            }
        };
        let mut answer = text(StatusCode::OK, "");
        if program.took_over() {
            self.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
            // This connection is not worth keeping.
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        // None fails: a program is loaded once, and the server lives as long as its connections.
        let _ = self.upstream.set(program.upstream.clone());
        let (taken, in_place) = oneshot::channel();
        let _ = loaded.send((program, taken)).await;
        let _ = in_place.await;
        answer
    }

    async fn load(&self, load: &Load) -> Result<Program, String> {
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let listener = listener.ok_or(TWICE)?;
        let work = code::Work::new()?;
        let executable = code::program(&load.filepath, load.entry(), &self.compiler, &work).await?;
        Program::start(&executable, &load.filepath, load.variables(), &listener).await
    }
}
