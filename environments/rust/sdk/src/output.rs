//! Passes on what the program prints and marks lines with the request they were printed for.
//!
//! Which request a line of `println!` belongs to cannot be known, so such lines are marked while exactly one request is
//! served. Standard output and standard error become pipes that this process reads itself: without waiting, whenever a
//! request begins or ends, and from a thread of its own in between.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::event::{PollFd, PollFlags};

/// Stands around the request's id at the start of a line.
const SEPARATOR: u8 = 0x1e;

/// Bytes after which a line that does not end is passed on as it is.
const LONGEST_LINE: usize = 64 << 10;

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
    from: OwnedFd,
    to: File,
    /// A line that has not ended, and the mark it will have.
    waiting: Vec<u8>,
    mark: Vec<u8>,
}

/// A request that is being served.
pub(crate) struct Serving(Arc<str>);

/// Puts pipes in place of standard output and standard error, and gives their reading ends.
pub(crate) fn take_over() -> io::Result<Vec<OwnedFd>> {
    let (out, out_end) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let (err, err_end) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let streams = vec![Stream::new(out, io::stdout().as_fd())?, Stream::new(err, io::stderr().as_fd())?];
    rustix::stdio::dup2_stdout(out_end)?;
    rustix::stdio::dup2_stderr(err_end)?;
    let ends = || streams.iter().map(|stream| stream.from.try_clone()).collect::<io::Result<Vec<_>>>();
    let (followed, theirs) = (ends()?, ends()?);
    OUTPUT.get_or_init(|| Mutex::new(Output { streams, active: HashMap::new() }));
    std::thread::Builder::new().name("output".to_owned()).spawn(move || follow(&followed))?;
    Ok(theirs)
}

/// Passes lines on as they come, while no request begins or ends.
fn follow(pipes: &[OwnedFd]) {
    loop {
        let mut waiting: Vec<_> = pipes.iter().map(|pipe| PollFd::new(pipe, PollFlags::IN)).collect();
        if rustix::event::poll(&mut waiting, None).is_err_and(|error| error != rustix::io::Errno::INTR) {
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
        errors.pass_on(&marked);
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
    fn new(from: OwnedFd, to: impl AsFd) -> io::Result<Self> {
        // The end of a request must not wait.
        rustix::io::ioctl_fionbio(&from, true)?;
        let to = File::from(to.as_fd().try_clone_to_owned()?);
        Ok(Self { from, to, waiting: Vec::new(), mark: Vec::new() })
    }

    fn read(&mut self, mark: &[u8]) {
        let mut buffer = [0; 16 << 10];
        loop {
            match rustix::io::read(&self.from, &mut buffer) {
                Ok(count) if count > 0 => self.take(&buffer[..count], mark),
                Err(rustix::io::Errno::INTR) => {}
                _ => return,
            }
        }
    }

    /// Passes on the lines that have ended.
    fn take(&mut self, printed: &[u8], mark: &[u8]) {
        let mut marked = Vec::with_capacity(printed.len() + mark.len());
        for line in printed.split_inclusive(|byte| *byte == b'\n') {
            if self.waiting.is_empty() {
                self.mark = mark.to_vec();
            }
            if line.ends_with(b"\n") {
                marked.extend([&self.mark[..], &self.waiting, line].concat());
                self.waiting.clear();
            } else {
                self.waiting.extend(line);
                if self.waiting.len() > LONGEST_LINE {
                    marked.extend([&self.mark[..], &self.waiting, b"\n"].concat());
                    self.waiting.clear();
                }
            }
        }
        self.pass_on(&marked);
    }

    fn end_line(&mut self) {
        if !self.waiting.is_empty() {
            let line = [&self.mark[..], &self.waiting, b"\n"].concat();
            self.waiting.clear();
            self.pass_on(&line);
        }
    }

    fn pass_on(&mut self, lines: &[u8]) {
        // With nobody listening there is nobody to tell.
        let _ = self.to.write_all(lines);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_mark_of_the_time_it_began_at() {
        let (from, _end) = rustix::pipe::pipe().unwrap();
        let file = File::from(rustix::fs::memfd_create("log", rustix::fs::MemfdFlags::empty()).unwrap());
        let mut stream = Stream::new(from, file.as_fd()).unwrap();
        stream.take(b"one\nhalf", &mark(Some("a")));
        stream.take(b" and half\nnone\n", b"");
        stream.take(b"not ended", &mark(Some("b")));
        stream.end_line();
        let mut log = String::new();
        let mut file = &file;
        io::Seek::rewind(&mut file).unwrap();
        io::Read::read_to_string(&mut file, &mut log).unwrap();
        assert_eq!(log, "\x1ea\x1eone\n\x1ea\x1ehalf and half\nnone\n\x1eb\x1enot ended\n");
    }
}
