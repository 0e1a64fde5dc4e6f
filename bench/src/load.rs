//! A closed-loop load generator: few tasks, one write and as few reads as possible per request, so that what it costs
//! itself stays small beside what it measures.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// One answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// `dur` of a `Server-Timing` entry, in milliseconds.
    pub(crate) fn timing(&self, name: &str) -> Option<f64> {
        let line = self.head.lines().find(|line| line.to_ascii_lowercase().starts_with("server-timing:"))?;
        let entries = line.split_once(':')?.1;
        let entry = entries.split(',').find(|entry| entry.trim().split(';').next() == Some(name))?;
        entry.split("dur=").nth(1)?.trim().parse().ok()
    }
}

/// Where a server listens.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl From<SocketAddr> for Place {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A keep-alive connection.
pub(crate) struct Connection {
    stream: Stream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(place: impl Into<Place>) -> Result<Self> {
        let stream = match place.into() {
            Place::Tcp(address) => {
                let stream =
                    TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
                stream.set_nodelay(true)?;
                Stream::Tcp(stream)
            }
            Place::Unix(path) => {
                let connected = UnixStream::connect(&path).await;
                Stream::Unix(connected.with_context(|| format!("cannot connect to {}", path.display()))?)
            }
        };
        Ok(Self { stream, buffer: Vec::with_capacity(16 * 1024) })
    }

    /// Sends one GET and reads its whole answer.
    pub(crate) async fn get(&mut self, path: &str) -> Result<Answer> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n");
        self.exchange(request.as_bytes()).await
    }

    async fn exchange(&mut self, request: &[u8]) -> Result<Answer> {
        match &mut self.stream {
            Stream::Tcp(stream) => stream.write_all(request).await?,
            Stream::Unix(stream) => stream.write_all(request).await?,
        }
        self.buffer.clear();
        let head_end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            self.read_more().await?;
        };
        let head = String::from_utf8_lossy(&self.buffer[..head_end]).into_owned();
        let status = head.get(9..12).and_then(|code| code.parse().ok()).context("no status line")?;
        let lower = head.to_ascii_lowercase();
        let body = if let Some(length) = lower.lines().find_map(|line| line.strip_prefix("content-length:")) {
            let end = head_end + length.trim().parse::<usize>()?;
            while self.buffer.len() < end {
                self.read_more().await?;
            }
            self.buffer[head_end..end].to_vec()
        } else if lower.contains("transfer-encoding: chunked") {
            while !self.buffer[head_end..].ends_with(b"0\r\n\r\n") {
                self.read_more().await?;
            }
            self.buffer[head_end..].to_vec()
        } else {
            Vec::new()
        };
        Ok(Answer { status, head, body })
    }

    async fn read_more(&mut self) -> Result<()> {
        let read = match &mut self.stream {
            Stream::Tcp(stream) => stream.read_buf(&mut self.buffer).await?,
            Stream::Unix(stream) => stream.read_buf(&mut self.buffer).await?,
        };
        if read == 0 {
            bail!("the server closed the connection");
        }
        Ok(())
    }
}

/// Runs `connections` clients against one path for a while. Gives every latency.
pub(crate) async fn closed_loop(
    place: impl Into<Place>,
    path: &'static str,
    connections: usize,
    time: Duration,
) -> Result<Vec<Duration>> {
    let (end, place) = (Instant::now() + time, place.into());
    let clients: Vec<_> = (0..connections)
        .map(|_| {
            let place = place.clone();
            tokio::spawn(async move {
                let mut connection = Connection::open(place).await?;
                let mut latencies = Vec::with_capacity(64 * 1024);
                while Instant::now() < end {
                    let start = Instant::now();
                    let answer = connection.get(path).await?;
                    if answer.status != 200 {
                        bail!("answered {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
                    }
                    latencies.push(start.elapsed());
                }
                Ok(latencies)
            })
        })
        .collect();
    let mut all = Vec::new();
    for client in clients {
        all.extend(client.await??);
    }
    Ok(all)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
