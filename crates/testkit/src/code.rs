//! Code that is always there.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use fission_api::Package;
use fission_rpc::cache::ObjectKey;
use fission_rpc::code::{Code, CodeError, CodeSource};

/// Gives every package the same path, after a delay, or an error.
#[derive(Default)]
pub struct FixedCode {
    script: Mutex<Script>,
    calls: AtomicUsize,
}

#[derive(Default)]
struct Script {
    path: PathBuf,
    delay: Duration,
    /// `(trying again helps, why)`.
    fault: Option<(bool, String)>,
}

impl FixedCode {
    /// Code at a path that need not exist.
    pub fn at(path: impl Into<PathBuf>) -> Arc<Self> {
        let code = Self::default();
        code.script().path = path.into();
        Arc::new(code)
    }

    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on code takes this long to come.
    pub fn set_delay(&self, delay: Duration) {
        self.script().delay = delay;
    }

    /// From now on packages cannot be deployed.
    pub fn unusable(&self, why: &str) {
        self.script().fault = Some((false, why.to_owned()));
    }

    /// From now on packages cannot be reached.
    pub fn unreachable(&self, why: &str) {
        self.script().fault = Some((true, why.to_owned()));
    }

    /// From now on code comes again.
    pub fn mend(&self) {
        self.script().fault = None;
    }

    /// How often code was asked for.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl CodeSource for FixedCode {
    async fn code(&self, package: &Package, _keep_archive: bool) -> Result<Code, CodeError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let (path, delay, fault) = {
            let script = self.script();
            (script.path.clone(), script.delay, script.fault.clone())
        };
        crate::pause(delay).await;
        let package = ObjectKey::of(package).to_string();
        match fault {
            None => Ok(Code { path, digest: "0".repeat(64) }),
            Some((true, why)) => Err(CodeError::Unreachable { package, why }),
            Some((false, why)) => Err(CodeError::Unusable { package, why }),
        }
    }
}
