//! The server of the `binary` environment: runs the function as a program, once per request.
//!
//! The request comes in CGI-like variables and on standard input; standard output is the response body, sent as it
//! comes; standard error goes to the log. See `environments/binary/README.md` for what a program can rely on.

mod program;
mod run;

use std::io;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;

use crate::serving::{self, Asked, Body, Connections, Load, Settings, TWICE, ToldToEnd, text};
use program::Program;

/// The hidden subcommand of `fission` that runs this server.
pub const SUBCOMMAND: &str = "__binary-env";

/// What a container without a function says.
const UNSPECIALIZED: &str = "not specialized";

/// Runs the server until SIGTERM or SIGINT, then finishes what is in flight.
pub fn main() -> ExitCode {
    let settings = Settings::of_instance();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(serve(&settings))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            serving::log_line(&format!("binary environment: cannot serve with {settings:?}: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn serve(settings: &Settings) -> io::Result<()> {
    let mut told_to_end = ToldToEnd::new()?;
    let listener = settings.listen().await?;
    let container = Arc::new(Container::default());
    let connections = Connections::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = told_to_end.wait() => break,
        };
        // A connection that broke before it was taken is its client's affair.
        let Ok(stream) = accepted else { continue };
        let container = container.clone();
        connections.serve(stream, move |request| {
            let container = container.clone();
            async move { container.answer(request).await }
        });
    }
    connections.finish().await;
    Ok(())
}

/// One container: generic, then with its program.
#[derive(Default)]
struct Container {
    program: Mutex<Option<Arc<Program>>>,
}

impl Container {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        match Asked::of(request).await {
            Err(answer) => answer,
            Ok(Asked::Load(load)) => self.specialize(load).await,
            Ok(Asked::Function(request)) => match self.program() {
                Some(program) => run::run(&program, request).await,
                None => text(StatusCode::BAD_REQUEST, UNSPECIALIZED),
            },
        }
    }

    fn program(&self) -> Option<Arc<Program>> {
        self.program.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn specialize(&self, load: Load) -> Response<Body> {
        if self.program().is_some() {
            return text(StatusCode::BAD_REQUEST, TWICE);
        }
        match Program::load(&load.filepath, load.entry()).await {
            Ok(program) => {
                let program = program.with_variables(load.variables());
                let mut slot = self.program.lock().unwrap_or_else(PoisonError::into_inner);
                if slot.is_some() {
                    return text(StatusCode::BAD_REQUEST, TWICE);
                }
                *slot = Some(Arc::new(program));
                text(StatusCode::OK, "")
            }
            Err(why) => {
                serving::log_line(&why);
                text(StatusCode::INTERNAL_SERVER_ERROR, &why)
            }
        }
    }
}
