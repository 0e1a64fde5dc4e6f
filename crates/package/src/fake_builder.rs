//! A builder that does what a script says; without one it makes a folder with what it was given.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use fission_rpc::build::{Artifact, BuildError, BuildJob, BuildLog, Builder};
use tokio::sync::mpsc;

#[derive(Clone, Copy)]
pub(crate) enum Script {
    Fail(&'static str),
    Interrupt,
    /// Never ends, and prints what it is told to.
    Hang,
}

#[derive(Default)]
pub(crate) struct FakeBuilder {
    script: Mutex<Vec<Script>>,
    builds: AtomicUsize,
    dropped: Arc<AtomicUsize>,
    hanging: Mutex<Option<mpsc::UnboundedSender<String>>>,
}

impl FakeBuilder {
    /// What the next builds do.
    pub(crate) fn script(&self, script: &[Script]) {
        *self.script.lock().unwrap() = script.iter().rev().copied().collect();
    }

    pub(crate) fn builds(&self) -> usize {
        self.builds.load(Ordering::SeqCst)
    }

    /// Builds that were ended before their end.
    pub(crate) fn dropped(&self) -> usize {
        self.dropped.load(Ordering::SeqCst)
    }

    pub(crate) fn say(&self, line: &str) {
        self.hanging.lock().unwrap().as_ref().unwrap().send(line.to_owned()).unwrap();
    }
}

struct CountDrop(Arc<AtomicUsize>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Builder for FakeBuilder {
    async fn build(&self, job: BuildJob, log: &dyn BuildLog) -> Result<Artifact, BuildError> {
        self.builds.fetch_add(1, Ordering::SeqCst);
        let source = std::fs::read_to_string(&job.source).unwrap();
        log.append(format!("compiling {source}\n").as_bytes());
        let next = self.script.lock().unwrap().pop();
        match next {
            Some(Script::Fail(why)) => {
                log.append(format!("{why}\n").as_bytes());
                Err(BuildError::Failed { why: "the build command exited with code 1".into() })
            }
            Some(Script::Interrupt) => Err(BuildError::Interrupted { why: "the build was killed".into() }),
            Some(Script::Hang) => {
                let _count = CountDrop(self.dropped.clone());
                let (tell, mut told) = mpsc::unbounded_channel();
                *self.hanging.lock().unwrap() = Some(tell);
                loop {
                    let line = told.recv().await.unwrap();
                    log.append(format!("{line}\n").as_bytes());
                }
            }
            None => {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("deploy");
                std::fs::create_dir(&path).unwrap();
                std::fs::write(path.join("made"), format!("made of {source}")).unwrap();
                Ok(Artifact { path, files: Box::new(folder) })
            }
        }
    }
}
