//! What one store holds: everything a component can see, and what it may use.

use std::path::PathBuf;
use std::sync::Arc;

use fission_rpc::logs::Stream;
use wasmtime::ResourceLimiter;
use wasmtime_wasi::{FsPerms, ResourceTable, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::hosts::AllowedHosts;
use crate::outgoing::{Clients, Outgoing};
use crate::outputs::{Outputs, Printer};

/// Handles a component may hold at once (requests, bodies, files); one that leaks them fails before it costs much.
const MAX_HANDLES: usize = 10_000;

/// What every store of an instance is made with.
pub(crate) struct Given {
    /// Environment variables.
    pub(crate) variables: Vec<(String, String)>,
    /// Folders of this machine and where the component sees them, read-only.
    pub(crate) folders: Vec<(PathBuf, String)>,
    /// Whom it may call.
    pub(crate) hosts: Arc<AllowedHosts>,
    /// With what.
    pub(crate) clients: Arc<Clients>,
    /// Bytes of linear memory.
    pub(crate) memory: u64,
    /// Where it prints.
    pub(crate) outputs: Arc<Outputs>,
}

impl Given {
    /// What a store sees of the world, but for where it prints. The builder's own is kept: no sockets, no names, no standard
    /// input, no arguments.
    pub(crate) fn wasi(&self) -> wasmtime::Result<WasiCtxBuilder> {
        let mut wasi = WasiCtxBuilder::new();
        wasi.envs(&self.variables);
        for (folder, seen) in &self.folders {
            wasi.preopened_dir(folder, seen, FsPerms::ReadOnly)?;
        }
        Ok(wasi)
    }
}

/// The data of one store.
pub(crate) struct Guest {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    outgoing: Outgoing,
    pub(crate) memory: MemoryLimit,
    pub(crate) stdout: Printer,
    pub(crate) stderr: Printer,
}

impl Guest {
    pub(crate) fn new(given: &Given) -> wasmtime::Result<Self> {
        let stdout = Printer::new(given.outputs.clone(), Stream::Stdout);
        let stderr = Printer::new(given.outputs.clone(), Stream::Stderr);
        let mut wasi = given.wasi()?;
        wasi.stdout(stdout.clone()).stderr(stderr.clone());
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        let outgoing = Outgoing { hosts: given.hosts.clone(), clients: given.clients.clone(), printer: stderr.clone() };
        let memory = MemoryLimit::of(given.memory);
        Ok(Self { wasi: wasi.build(), http: WasiHttpCtx::new(), table, outgoing, memory, stdout, stderr })
    }

    /// A request begins.
    pub(crate) fn begin(&mut self, request_id: &str) {
        self.stdout.begin(request_id);
        self.stderr.begin(request_id);
        self.memory.refused = None;
    }

    /// It is over.
    pub(crate) fn end(&self) {
        self.stdout.end();
        self.stderr.end();
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.end();
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.outgoing, table: &mut self.table, ctx: &mut self.http }
    }
}

/// Counts linear memory, and remembers that some was refused: a component only says that it gave up.
pub(crate) struct MemoryLimit {
    pub(crate) most: u64,
    used: u64,
    /// Bytes it would have had, when it was refused more.
    pub(crate) refused: Option<u64>,
}

impl MemoryLimit {
    pub(crate) fn of(most: u64) -> Self {
        Self { most, used: 0, refused: None }
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let wanted = self.used.saturating_add((desired - current.min(desired)) as u64);
        if wanted > self.most {
            self.refused = Some(wanted);
            return Ok(false);
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.used = wanted;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        // The pool's limit holds.
        Ok(true)
    }
}

#[cfg(test)]
impl MemoryLimit {
    pub(crate) fn with_refused(most: u64, refused: Option<u64>) -> Self {
        Self { most, used: 0, refused }
    }
}
