//! From a package's bytes to machine code: compiled once for each digest and engine, then mapped from a file.
//!
//! The only unsafe code of the crate is here, in [`Artifacts::map`].

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};
use std::time::SystemTime;

use wasmtime::component::Component;
use wasmtime::{Engine, InstancePre, Module, Precompiled};
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use crate::command::Command;
use crate::guest::Guest;
use crate::lock;
use crate::machine::Machine;
use crate::options::{Options, WasmError};
use crate::sections;

/// A component as it is mapped, for all functions it is the code of.
pub(crate) struct Loaded {
    pub(crate) code: Code,
    /// Requests one of its stores serves, where the component says it.
    pub(crate) requests_per_store: Option<u32>,
}

/// Code that is linked and mapped, ready for stores.
pub(crate) enum Code {
    /// Answers requests.
    Component(ProxyPre<Guest>),
    /// Runs once for each.
    Command(InstancePre<Command>),
}

/// Why a file cannot be a function. The words follow its name.
#[derive(Debug)]
pub(crate) enum Unusable {
    /// The code's fault; it stays.
    Code(String),
    /// This machine's fault.
    Machine(String),
}

/// Machine code of components.
pub(crate) struct Artifacts {
    machine: Arc<Machine>,
    folder: PathBuf,
    max_component_bytes: u64,
    max_cache_bytes: u64,
    /// Those in use.
    loaded: Mutex<HashMap<String, Weak<Loaded>>>,
    /// One compilation at a time: serving comes first.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Artifacts {
    pub(crate) fn open(options: &Options, machine: Arc<Machine>) -> Result<Self, WasmError> {
        let mut hasher = DefaultHasher::new();
        machine.engine.precompile_compatibility_hash().hash(&mut hasher);
        let all = options.data_dir.join("cache/wasm");
        let folder = all.join(format!("{:016x}", hasher.finish()));
        private(&all)
            .and_then(|()| private(&folder))
            .map_err(|error| WasmError::Folder { path: folder.clone(), why: error.to_string() })?;
        forget_other_engines(&all, &folder);
        Ok(Self {
            machine,
            folder,
            max_component_bytes: options.max_component_bytes,
            max_cache_bytes: options.max_cache_bytes,
            loaded: Mutex::default(),
            turn: Arc::default(),
        })
    }

    /// The component in a file. `key` names its content and is a file's name.
    pub(crate) async fn get(&self, key: &str, file: &Path) -> Result<Arc<Loaded>, Unusable> {
        if let Some(loaded) = self.known(key) {
            return Ok(loaded);
        }
        let at = self.folder.join(format!("{key}.cwasm"));
        if let Some(loaded) = self.mapped(key, &at, file)? {
            return Ok(loaded);
        }
        let turn = self.turn.clone().lock_owned().await;
        // Whoever had the turn before may have compiled the same.
        if let Some(loaded) = self.mapped(key, &at, file)? {
            return Ok(loaded);
        }
        let work = Compilation {
            machine: self.machine.clone(),
            file: file.to_owned(),
            at: at.clone(),
            most: self.max_component_bytes,
            most_kept: self.max_cache_bytes,
        };
        let compiled = tokio::task::spawn_blocking(move || {
            // Given up or not, it goes on, and has the turn until it ends.
            let _turn = turn;
            work.run()
        });
        let compiled = compiled.await;
        compiled.map_err(|error| Unusable::Machine(format!("could not be compiled: {error}")))??;
        let loaded = self.mapped(key, &at, file)?;
        loaded.ok_or_else(|| Unusable::Machine("was compiled, and its machine code is gone".to_owned()))
    }

    fn known(&self, key: &str) -> Option<Arc<Loaded>> {
        lock(&self.loaded).get(key).and_then(Weak::upgrade)
    }

    /// Maps and links machine code that is there. A file that cannot be used is removed.
    fn mapped(&self, key: &str, at: &Path, file: &Path) -> Result<Option<Arc<Loaded>>, Unusable> {
        if let Some(loaded) = self.known(key) {
            return Ok(Some(loaded));
        }
        if !at.is_file() {
            return Ok(None);
        }
        let mapped = match self.map(at) {
            Ok(mapped) => mapped,
            Err(error) => {
                tracing::warn!(file = %at.display(), "machine code is compiled again: {error:#}");
                let _ = fs::remove_file(at);
                return Ok(None);
            }
        };
        let _ = File::open(at).and_then(|file| file.set_modified(SystemTime::now()));
        let code = match mapped {
            Mapped::Component(component) => Code::Component(self.link(&component)?),
            Mapped::Module(module) => Code::Command(self.link_command(&module)?),
        };
        // It could be read when it was compiled; without its word it is used as any other.
        let requests_per_store = sections::requests_per_store(file).ok().flatten();
        let loaded = Arc::new(Loaded { code, requests_per_store });
        let mut known = lock(&self.loaded);
        known.retain(|_, loaded| loaded.strong_count() > 0);
        known.insert(key.to_owned(), Arc::downgrade(&loaded));
        Ok(Some(loaded))
    }

    fn link(&self, component: &Component) -> Result<ProxyPre<Guest>, Unusable> {
        let linked = self.machine.components.instantiate_pre(component).map_err(|error| {
            let what = "imports what is not offered here";
            Unusable::Code(format!(
                "{what}: {error:#}; a component may import wasi:http, wasi:cli and what they use (0.2)"
            ))
        })?;
        ProxyPre::new(linked).map_err(|_| {
            Unusable::Code(
                "is a component that does not export wasi:http/incoming-handler (0.2), so it answers no requests; build \
                 it for the world wasi:http/proxy"
                    .to_owned(),
            )
        })
    }

    fn link_command(&self, module: &Module) -> Result<InstancePre<Command>, Unusable> {
        if module.get_export("_start").is_none() {
            let why = "is a core module without _start, so neither a command nor a component; build a component for \
                       wasm32-wasip2, or a program for wasm32-wasip1";
            return Err(Unusable::Code(why.to_owned()));
        }
        self.machine.commands.instantiate_pre(module).map_err(|error| {
            Unusable::Code(format!(
                "imports what is not offered here: {error:#}; a command may import wasi_snapshot_preview1"
            ))
        })
    }

    #[allow(unsafe_code, reason = "wasmtime offers no other way to map machine code it wrote")]
    fn map(&self, at: &Path) -> wasmtime::Result<Mapped> {
        let engine = &self.machine.engine;
        let is_module = matches!(Engine::detect_precompiled_file(at)?, Some(Precompiled::Module));
        // SAFETY: the file must be what `Engine::precompile_*` wrote, and must not change while it is mapped. It is
        // in a folder that only this user can enter (checked when it was opened), below the data folder that one process
        // uses at a time; that process writes it whole beside its name, renames it, and never writes it again. Removing
        // it leaves the mapping. Whoever can write there as this user also can replace this program.
        unsafe {
            match is_module {
                true => Module::deserialize_file(engine, at).map(Mapped::Module),
                false => Component::deserialize_file(engine, at).map(Mapped::Component),
            }
        }
    }
}

/// Machine code that is mapped and not linked yet.
enum Mapped {
    Component(Component),
    Module(Module),
}

/// One compilation, on a thread of its own.
struct Compilation {
    machine: Arc<Machine>,
    file: PathBuf,
    at: PathBuf,
    most: u64,
    most_kept: u64,
}

impl Compilation {
    fn run(&self) -> Result<(), Unusable> {
        let bytes = self.read()?;
        let failed = |why: String| Unusable::Machine(format!("could not be compiled: {why}"));
        let began = std::time::Instant::now();
        let pool = rayon::ThreadPoolBuilder::new().thread_name(|_| "wasm-compiler".to_owned()).num_threads(threads());
        let pool = pool.build().map_err(|error| failed(error.to_string()))?;
        let engine = &self.machine.engine;
        let (what, compiled) = match bytes.get(6) {
            Some(0) => ("module", pool.install(|| engine.precompile_module(&bytes))),
            _ => ("component", pool.install(|| engine.precompile_component(&bytes))),
        };
        let compiled = compiled.map_err(|error| Unusable::Code(format!("is no valid {what}: {error:#}")))?;
        write(&self.at, &compiled).map_err(|error| failed(format!("{}: {error}", self.at.display())))?;
        tracing::info!(file = %self.file.display(), took = ?began.elapsed(), bytes = compiled.len(), "compiled");
        prune(&self.at, self.most_kept);
        Ok(())
    }

    fn read(&self) -> Result<Vec<u8>, Unusable> {
        let unreadable = |error: io::Error| Unusable::Machine(format!("could not be read: {error}"));
        let mut file = File::open(&self.file).map_err(unreadable)?;
        let size = file.metadata().map_err(unreadable)?.len();
        if size > self.most {
            return Err(Unusable::Code(format!("has {size} bytes; at most {} are compiled", self.most)));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(unreadable)?;
        match bytes.get(..8) {
            Some([0, b'a', b's', b'm', ..]) => Ok(bytes),
            _ => Err(Unusable::Code("is not WebAssembly: it does not begin with \\0asm".to_owned())),
        }
    }
}

/// Threads of a compilation: half of the processors, so that requests are served meanwhile.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |all| all.get().div_ceil(2))
}

/// Makes a folder that only this user can enter, or sees to it that it is one.
pub(crate) fn private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let found = fs::symlink_metadata(folder)?;
    if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other("it is no folder of this user"));
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
}

/// Complete or absent.
fn write(at: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = at.with_extension("part");
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(&beside, at)
}

/// Removes what was not loaded for longest until the rest is small enough. `newest` stays.
fn prune(newest: &Path, most: u64) {
    let Some(Ok(entries)) = newest.parent().map(fs::read_dir) else { return };
    let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let found = entry.metadata().ok()?;
            Some((found.modified().ok()?, found.len(), entry.path()))
        })
        .collect();
    files.sort();
    let mut kept: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
    for (_, bytes, path) in files {
        if kept <= most {
            break;
        }
        if path != newest && fs::remove_file(&path).is_ok() {
            kept -= bytes;
        }
    }
}

/// Machine code of another version of the engine is of no use any more.
fn forget_other_engines(all: &Path, ours: &Path) {
    let others = fs::read_dir(all).into_iter().flatten().flatten().map(|entry| entry.path());
    for other in others.filter(|path| path != ours) {
        let _ = fs::remove_dir_all(other);
    }
}

#[cfg(test)]
#[path = "artifacts_tests.rs"]
mod tests;
