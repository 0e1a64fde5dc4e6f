//! What a build prints, read all the time it runs.

use std::future::Future;
use std::io;
use std::time::Duration;

use fission_rpc::build::BuildLog;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

use crate::output::Outputs;
use crate::protocol::Ended;

/// Bytes read at once; what a pipe holds.
const CHUNK: usize = 64 * 1024;
/// How long the last output is waited for after the end. It is there already, unless a process that no namespace ended
/// holds the pipe.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Gives both outputs to the log until the build has ended, and says how it ended.
pub(super) async fn pump(
    outputs: Outputs,
    log: &dyn BuildLog,
    ended: impl Future<Output = Ended>,
) -> io::Result<Ended> {
    let (stdout, stderr) = outputs.into_pipes();
    let reading = async {
        let both = tokio::join!(read(stdout, log), read(stderr, log));
        both.0.and(both.1)
    };
    tokio::pin!(reading, ended);
    tokio::select! {
        how = &mut ended => {
            match tokio::time::timeout(LAST_WORDS, reading).await {
                Ok(Err(error)) => Err(error),
                Ok(Ok(())) | Err(_) => Ok(how),
            }
        }
        read = &mut reading => {
            read?;
            Ok(ended.await)
        }
    }
}

async fn read(pipe: std::os::fd::OwnedFd, log: &dyn BuildLog) -> io::Result<()> {
    let mut pipe = Receiver::from_owned_fd(pipe)?;
    let mut chunk = vec![0; CHUNK];
    loop {
        match pipe.read(&mut chunk).await? {
            0 => return Ok(()),
            count => log.append(&chunk[..count]),
        }
    }
}
