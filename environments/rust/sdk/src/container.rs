//! How a function's program takes over from its container, and what it does when nobody started it.
//!
//! Standard input is a socket to the container. The container sends the listening socket over it; the program answers
//! `ready` with the reading ends of its outputs, or why it cannot serve. The end of one side ends the other.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};

use crate::Error;

/// Set where standard input is the container's.
const CONTROL: &str = "FISSION_FUNCTION_CONTROL";

/// Said when the function serves.
const READY: &[u8] = b"ready";

/// Where requests come from.
pub(crate) enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

/// The container this program is in.
pub(crate) struct Container(UnixStream);

/// Takes the listening socket over, or makes one where there is no container.
pub(crate) fn listen() -> Result<(Listener, Option<Container>), Error> {
    if std::env::var_os(CONTROL).is_none() {
        return Ok((alone()?, None));
    }
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let listener = receive(&socket)?;
    // Functions read nothing there.
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    Ok((listener, Some(Container(socket))))
}

fn receive(socket: &UnixStream) -> Result<Listener, Error> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut files = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut files, RecvFlags::CMSG_CLOEXEC)?;
    let sent = files.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    let listening: OwnedFd = sent.ok_or("the container did not hand over its socket")?;
    Ok(if rustix::net::getsockname(&listening)?.address_family() == AddressFamily::UNIX {
        Listener::Unix(listening.into())
    } else {
        Listener::Tcp(listening.into())
    })
}

/// Listens as the runtime contract has it, but for this machine only.
fn alone() -> Result<Listener, Error> {
    if let Some(path) = std::env::var_os("FISSION_SOCKET") {
        let listener = UnixListener::bind(&path)?;
        // The folder of the socket decides who may connect.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777))?;
        return Ok(Listener::Unix(listener));
    }
    let port = ["FISSION_RUNTIME_PORT", "PORT"].into_iter().find_map(|name| std::env::var(name).ok());
    let port = port.map_or(Ok(8888), |port| port.parse::<u16>().map_err(|_| format!("{port} is no port")))?;
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    Ok(Listener::Tcp(listener))
}

impl Container {
    /// Tells that the function serves, and hands over the reading ends of its outputs: what is printed just before a crash
    /// is read by the container.
    pub(crate) fn ready(&self, outputs: &[OwnedFd]) -> io::Result<()> {
        let outputs: Vec<_> = outputs.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut files = SendAncillaryBuffer::new(&mut space);
        files.push(SendAncillaryMessage::ScmRights(&outputs));
        rustix::net::sendmsg(&self.0, &[IoSlice::new(READY)], &mut files, SendFlags::empty())?;
        Ok(())
    }

    /// Tells why the function does not serve.
    pub(crate) fn refuse(&self, why: &str) {
        // Without a container there is nobody to tell.
        let _ = (&self.0).write_all(why.as_bytes());
    }

    /// Waits for the container's end.
    pub(crate) fn until_it_ends(&self) {
        let mut nothing = [0; 16];
        while (&self.0).read(&mut nothing).is_ok_and(|count| count > 0) {}
    }
}
