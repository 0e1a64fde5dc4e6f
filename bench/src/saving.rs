//! From a saved file to the new answer: `fission function run-local --watch`.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::load::Connection;
use crate::platform::cache;
use crate::process::Process;
use crate::stats::{Samples, heading, row};

/// Saves of each language.
const SAVES: usize = 30;
/// A person's shortest pause between two.
const PAUSE: Duration = Duration::from_millis(700);
/// What a save may take before the loop is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// Name, file, and a function that answers `{}`.
const LANGUAGES: [(&str, &str, &str); 3] = [
    ("node", "hello.js", "module.exports = async () => ({ status: 200, body: '{}' });\n"),
    ("python", "hello.py", "def main():\n    return '{}'\n"),
    ("php", "hello.php", "<?php\nfunction handler($context) { $context['response']->getBody()->write('{}'); }\n"),
];

/// Saves again and again, and asks until the answer is the new one.
pub(crate) async fn run(binary: &Path) -> Result<()> {
    heading("From a saved file to the new answer (`fission function run-local --watch`)");
    for (name, file, source) in LANGUAGES {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join(file);
        std::fs::write(&path, source.replace("{}", "start"))?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(binary);
        command.args(["function", "run-local", "--watch", "--port", &address.port().to_string(), "--code"]).arg(&path);
        command.env("FISSION_ENVIRONMENT_CACHE", cache()).env("HOME", folder.path());
        command.stderr(std::fs::File::create(folder.path().join("log"))?);
        let _watching = Process::start(&mut command)?;
        until(address, "start").await?;
        let mut samples = Vec::with_capacity(SAVES);
        for n in 0..SAVES {
            tokio::time::sleep(PAUSE).await;
            let word = format!("save-{n}");
            let start = Instant::now();
            std::fs::write(&path, source.replace("{}", &word))?;
            until(address, &word).await?;
            samples.push(start.elapsed());
        }
        row(&format!("saved {name}"), &Samples::new(samples), "");
    }
    Ok(())
}

/// Asks until the answer is `word`.
async fn until(address: SocketAddr, word: &str) -> Result<()> {
    let start = Instant::now();
    loop {
        if let Ok(mut connection) = Connection::open(address).await
            && let Ok(answer) = connection.get("/").await
            && answer.status == 200
            && answer.body == word.as_bytes()
        {
            return Ok(());
        }
        ensure!(start.elapsed() < PATIENCE, "{word} was never answered");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
