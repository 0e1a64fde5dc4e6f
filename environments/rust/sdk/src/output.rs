//! Passes on what the program prints and marks lines with the request they were printed for.
//!
//! Which request a line of `println!` belongs to cannot be known, so such lines are marked while exactly one request is
//! served. Standard output and standard error become pipes that this process reads itself: without waiting, whenever a
//! request begins or ends, and from a thread of its own in between.
//!
//! Another thread may end the process at any moment, and then the container passes on what is still in the pipes. So only
//! lines that were passed on are taken out of their pipe: at worst the last ones come twice, never not at all.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::event::epoll::{self, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags};

/// Stands around the request's id at the start of a line.
const SEPARATOR: u8 = 0x1e;

tokio::task_local! {
    /// The id of the request this task or thread serves.
    pub(crate) static CURRENT: Option<Arc<str>>;
}

static OUTPUT: OnceLock<Mutex<Output>> = OnceLock::new();

#[derive(Default)]
struct Output {
    streams: Vec<Stream>,
    /// Requests being served, by id; those without one are counted under "".
    active: HashMap<Arc<str>, usize>,
}

/// Standard output or standard error.
struct Stream {
    from: File,
    /// The other end of `from`, which the program prints to.
    end: OwnedFd,
    /// Where a copy of what is in the pipe is put, and where it is read.
    copy: (OwnedFd, File),
    to: File,
    /// The start of a line that has not ended, which is left in the pipe: its bytes, and the mark it will have.
    started: usize,
    mark: Vec<u8>,
}

/// A request that is being served.
pub(crate) struct Serving(Arc<str>);

/// Puts pipes in place of standard output and standard error, and gives their reading ends.
pub(crate) fn take_over() -> io::Result<Vec<OwnedFd>> {
    let (out, err) = (Stream::new(io::stdout().as_fd())?, Stream::new(io::stderr().as_fd())?);
    rustix::stdio::dup2_stdout(&out.end)?;
    rustix::stdio::dup2_stderr(&err.end)?;
    let streams = vec![out, err];
    let written = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for stream in &streams {
        // Told of each write, not for as long as there is something: the start of a line stays.
        epoll::add(&written, &stream.from, epoll::EventData::new_u64(0), EventFlags::IN | EventFlags::ET)?;
    }
    let theirs = streams.iter().map(|stream| stream.from.as_fd().try_clone_to_owned()).collect::<io::Result<_>>()?;
    OUTPUT.get_or_init(|| Mutex::new(Output { streams, active: HashMap::new() }));
    std::thread::Builder::new().name("output".to_owned()).spawn(move || follow(&written))?;
    Ok(theirs)
}

/// Passes lines on as they come, while no request begins or ends.
fn follow(written: &OwnedFd) {
    loop {
        let mut events = [MaybeUninit::uninit(); 2];
        if epoll::wait(written, &mut events, None).is_err_and(|error| error != Errno::INTR) {
            return;
        }
        if let Some(mut output) = output() {
            output.collect();
        }
    }
}

fn output() -> Option<MutexGuard<'static, Output>> {
    OUTPUT.get().map(|output| output.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The id of the request that is being served.
pub(crate) fn current() -> Option<String> {
    CURRENT.try_with(|id| id.as_deref().map(str::to_owned)).ok().flatten()
}

/// Writes one line with the mark of the request that is being served.
pub(crate) fn write_line(text: &str) {
    let Some(mut output) = output() else {
        eprintln!("{text}");
        return;
    };
    output.collect();
    let mark = mark(current().as_deref());
    let marked: Vec<u8> = text.lines().flat_map(|line| [&mark, line.as_bytes(), b"\n"].concat()).collect();
    if let Some(errors) = output.streams.last_mut() {
        // With nobody listening there is nobody to tell.
        let _ = errors.to.write_all(&marked);
    }
}

/// Passes on all there is, also a line that has not ended.
pub(crate) fn finish() {
    let Some(mut output) = output() else { return };
    output.collect();
    for stream in &mut output.streams {
        stream.end_line();
    }
}

impl Serving {
    /// Begins a request: what was printed before is not its own.
    pub(crate) fn begin(id: Option<&Arc<str>>) -> Self {
        let id = id.cloned().unwrap_or_else(|| Arc::from(""));
        if let Some(mut output) = output() {
            output.collect();
            *output.active.entry(id.clone()).or_default() += 1;
        }
        Self(id)
    }
}

impl Drop for Serving {
    /// Ends the request: what was printed before is its own.
    fn drop(&mut self) {
        let Some(mut output) = output() else { return };
        output.collect();
        if let Some(count) = output.active.get_mut(&self.0) {
            *count -= 1;
            if *count == 0 {
                output.active.remove(&self.0);
            }
        }
    }
}

fn mark(id: Option<&str>) -> Vec<u8> {
    match id {
        Some(id) if !id.is_empty() => [&[SEPARATOR], id.as_bytes(), &[SEPARATOR]].concat(),
        _ => Vec::new(),
    }
}

impl Output {
    /// Takes what was printed since the last time.
    fn collect(&mut self) {
        let mut requests = self.active.iter();
        let mark = match (requests.next(), requests.next()) {
            (Some((id, 1)), None) => mark(Some(id)),
            _ => Vec::new(),
        };
        for stream in &mut self.streams {
            stream.read(&mark);
        }
    }
}

impl Stream {
    /// One that passes on to this file.
    fn new(to: impl AsFd) -> io::Result<Self> {
        let (from, end) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        // The end of a request must not wait.
        rustix::io::ioctl_fionbio(&from, true)?;
        let (copied, copy) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let to = File::from(to.as_fd().try_clone_to_owned()?);
        Ok(Self { from: from.into(), end, copy: (copy, copied.into()), to, started: 0, mark: Vec::new() })
    }

    /// Passes on the lines that have ended. What fails here has nobody to be told to.
    fn read(&mut self, mark: &[u8]) {
        while let Some(mut printed) = self.look() {
            let mut ended = printed.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
            if ended == 0 && (printed.len() <= self.started || self.is_full()) {
                // No more of this line can be seen while this much stays in the pipe.
                ended = printed.len();
            }
            if self.started == 0 {
                self.mark = mark.to_vec();
            }
            self.pass_on(&printed[..ended], mark);
            if ended > 0 {
                self.mark = mark.to_vec();
            }
            self.started = printed.len() - ended;
            if self.from.read_exact(&mut printed[..ended]).is_err() {
                return;
            }
        }
    }

    /// What is in the pipe, if there is more than the last time.
    fn look(&self) -> Option<Vec<u8>> {
        let there = usize::try_from(rustix::io::ioctl_fionread(&self.from).ok()?).ok()?;
        if there <= self.started {
            return None;
        }
        let count = rustix::pipe::tee(&self.from, &self.copy.0, there, SpliceFlags::NONBLOCK).ok()?;
        let mut printed = vec![0; count];
        (&self.copy.1).read_exact(&mut printed).ok()?;
        Some(printed)
    }

    /// Whether a line that has not ended has no room to go on.
    fn is_full(&self) -> bool {
        let mut end = [PollFd::new(&self.end, PollFlags::OUT)];
        let room = rustix::event::poll(&mut end, Some(&Timespec::default()));
        room.is_err() || !end[0].revents().contains(PollFlags::OUT)
    }

    /// Passes on lines. The first one may have begun earlier than the others.
    fn pass_on(&mut self, lines: &[u8], mark: &[u8]) {
        let mut marked = Vec::with_capacity(lines.len() + mark.len());
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            marked.extend_from_slice(if marked.is_empty() { &self.mark } else { mark });
            marked.extend_from_slice(line);
        }
        if lines.last().is_some_and(|byte| *byte != b'\n') {
            marked.push(b'\n');
        }
        let _ = self.to.write_all(&marked);
    }

    /// Passes on a line that has not ended.
    fn end_line(&mut self) {
        let mut line = vec![0; std::mem::take(&mut self.started)];
        if self.from.read_exact(&mut line).is_ok() {
            self.pass_on(&line, b"");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Seek;

    use super::*;

    #[test]
    fn a_line_has_the_mark_of_the_time_it_began_at() {
        let mut log = File::from(rustix::fs::memfd_create("log", rustix::fs::MemfdFlags::empty()).unwrap());
        let mut stream = Stream::new(&log).unwrap();
        for (printed, id) in [("one\nhalf", "a"), (" and half\nnone\n", ""), ("not ", "b"), ("ended", "c")] {
            rustix::io::write(&stream.end, printed.as_bytes()).unwrap();
            stream.read(&mark(Some(id)));
        }
        stream.end_line();
        let mut printed = String::new();
        log.rewind().unwrap();
        log.read_to_string(&mut printed).unwrap();
        assert_eq!(printed, "\x1ea\x1eone\n\x1ea\x1ehalf and half\nnone\n\x1eb\x1enot ended\n");
    }

    #[test]
    fn a_line_the_pipe_has_no_room_for_is_passed_on_in_parts() {
        let mut log = File::from(rustix::fs::memfd_create("log", rustix::fs::MemfdFlags::empty()).unwrap());
        let mut stream = Stream::new(&log).unwrap();
        let room = rustix::pipe::fcntl_setpipe_size(&stream.end, 4096).unwrap();
        rustix::io::write(&stream.end, &vec![b'x'; room]).unwrap();
        stream.read(b"");
        rustix::io::write(&stream.end, b"y\n").unwrap();
        stream.read(b"");
        let mut printed = String::new();
        log.rewind().unwrap();
        log.read_to_string(&mut printed).unwrap();
        assert_eq!(printed, format!("{}\ny\n", "x".repeat(room)));
    }
}
