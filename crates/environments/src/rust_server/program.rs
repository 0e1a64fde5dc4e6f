//! The function's program as a process: how it is started, takes the socket over, and ends.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{Child, Command};

use super::proxy::Upstream;
use crate::executable::Executable;
use crate::serving::Listener;

/// Time from the start of a program until it serves; its own preparations run in it.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// How often a program that listens on a port is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Bytes of a program's reason not to serve.
const REASON_BYTES: usize = 64 << 10;

/// Tells a program that its standard input is the control socket.
const CONTROL: &str = "FISSION_FUNCTION_CONTROL";

/// What a program says when it serves.
const READY: &str = "ready";

/// A program that serves.
pub(super) struct Program {
    child: Child,
    /// Where requests go that arrive at this process.
    pub(super) upstream: Upstream,
    /// The reading ends of its outputs, of one that took the socket over.
    outputs: Option<Vec<OwnedFd>>,
    /// Its end tells the program that this process has ended.
    _control: UnixStream,
}

/// What a program said on the control socket.
struct Said {
    text: String,
    files: Vec<OwnedFd>,
}

impl Program {
    /// Runs an executable and waits until it serves. The error is for the user.
    pub(super) async fn start(
        executable: &Executable,
        name: &Path,
        variables: BTreeMap<String, String>,
        listener: &Listener,
    ) -> Result<Self, String> {
        let failed = |error: io::Error| format!("{} cannot be run: {error}", name.display());
        let port = free_port().map_err(failed)?;
        let (control, theirs) = control(listener).map_err(failed)?;
        let mut child = Command::new(&executable.path)
            .arg0(name)
            .envs(variables)
            .envs([("FISSION_RUNTIME_PORT", port.to_string()), ("PORT", port.to_string())])
            .env(CONTROL, "stdin")
            .env_remove("FISSION_SOCKET")
            .env_remove("RUNTIME_PORT")
            .stdin(Stdio::from(theirs))
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        tokio::select! {
            biased;
            said = message(&control) => match said {
                Said { text, files } if text == READY => {
                    let upstream = Upstream::of(listener).map_err(failed)?;
                    Ok(Self { child, upstream, outputs: Some(files), _control: control })
                }
                Said { text, .. } => Err(text),
            },
            () = serves(port) => Ok(Self { child, upstream: Upstream::Port(port), outputs: None, _control: control }),
            status = child.wait() => Err(format!(
                "the program ended before it served, with {}; its log may say why. A function is a program that calls \
                 fission_function::serve, or an HTTP server on 127.0.0.1 and the port in FISSION_RUNTIME_PORT",
                status.map_err(failed)?
            )),
            () = tokio::time::sleep(READY_WITHIN) => Err(format!(
                "the program did not serve within {} s: neither through fission_function::serve nor as an HTTP server on \
                 127.0.0.1 and the port in FISSION_RUNTIME_PORT",
                READY_WITHIN.as_secs()
            )),
        }
    }

    /// Whether requests go straight to it.
    pub(super) fn took_over(&self) -> bool {
        self.outputs.is_some()
    }

    /// Asks it to end.
    pub(super) fn terminate(&self) {
        let pid = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(pid) = pid {
            // It has not been waited for, so the number still means it; an error means that it just ended.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Waits for its end, passes on its last output, and gives its exit code: 128 and the signal's number for one that was
    /// killed.
    pub(super) async fn ended(&mut self) -> u8 {
        let status = self.child.wait().await;
        let [out, err]: [&mut dyn Write; 2] = [&mut io::stdout(), &mut io::stderr()];
        for (pipe, to) in self.outputs.take().into_iter().flatten().zip([out, err]) {
            let mut rest = Vec::new();
            // Its reading ends do not wait: something the program started may still hold the other ones.
            let _ = File::from(pipe).read_to_end(&mut rest);
            let _ = to.write_all(&rest).and_then(|()| to.flush());
        }
        status.map_or(1, |status| code_of(&status))
    }
}

fn code_of(status: &ExitStatus) -> u8 {
    let code = status.code().or_else(|| Some(128 + status.signal()?));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// A port nobody listens on.
fn free_port() -> io::Result<u16> {
    // An instance without any network has programs of the SDK only, which need none.
    std::net::TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map_or(Ok(0), |at| Ok(at.port()))
}

/// Waits until something listens on a port.
async fn serves(port: u16) {
    if port == 0 {
        return std::future::pending().await;
    }
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The two ends of a control socket. The listening socket is already in the one that becomes the program's standard input.
fn control(listener: &Listener) -> io::Result<(UnixStream, OwnedFd)> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let listening: [BorrowedFd<'_>; 1] = match listener {
        Listener::Unix(listener) => [listener.as_fd()],
        Listener::Tcp(listener) => [listener.as_fd()],
    };
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut files = SendAncillaryBuffer::new(&mut space);
    files.push(SendAncillaryMessage::ScmRights(&listening));
    rustix::net::sendmsg(&ours, &[IoSlice::new(b"l")], &mut files, SendFlags::empty())?;
    Ok((UnixStream::from_std(ours)?, theirs.into()))
}

/// What the program says: all of a reason, up to its end. A program that is not the SDK's says nothing.
async fn message(control: &UnixStream) -> Said {
    let mut said = Said { text: String::new(), files: Vec::new() };
    loop {
        let received = control.async_io(Interest::READABLE, || receive(control)).await;
        match received {
            Ok((text, files)) if !text.is_empty() => {
                said.text.push_str(&text);
                said.files.extend(files);
                if said.text == READY || said.text.len() > REASON_BYTES {
                    return said;
                }
            }
            _ if said.text.is_empty() => std::future::pending().await,
            _ => return said,
        }
    }
}

fn receive(control: &UnixStream) -> io::Result<(String, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut messages = RecvAncillaryBuffer::new(&mut space);
    let mut text = [0; 4096];
    let received =
        rustix::net::recvmsg(control, &mut [IoSliceMut::new(&mut text)], &mut messages, RecvFlags::CMSG_CLOEXEC)?;
    let mut files = Vec::new();
    for message in messages.drain() {
        if let RecvAncillaryMessage::ScmRights(sent) = message {
            files.extend(sent);
        }
    }
    Ok((String::from_utf8_lossy(&text[..received.bytes]).into_owned(), files))
}
