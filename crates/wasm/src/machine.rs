//! The engine, its limits and its clock.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Thread;
use std::time::Duration;

use wasmtime::component::Linker;
use wasmtime::{Config, Engine, EngineWeak, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::command::Command;
use crate::guest::Guest;
use crate::options::{Options, WasmError};

/// Stack of a component, in bytes. 1 MiB: interpreters that were compiled to WebAssembly recurse deeply.
pub(crate) const STACK: usize = 1 << 20;
/// Stack of a call, the component's and the host functions' together.
const CALL_STACK: usize = 2 << 20;
/// Frames of a trap that are logged. The log shows twenty lines unless asked for more, and these are not all.
const FRAMES: NonZeroUsize = NonZeroUsize::new(6).unwrap();
/// Core modules a component consists of, at most; tools make 3 to 10.
const MODULES_PER_COMPONENT: u32 = 30;
/// Entries of one table, at most. An interpreter has 20,000 functions in its own.
const TABLE_ELEMENTS: usize = 100_000;
/// Largest linear memory there is; declared limits are below it.
const LARGEST_MEMORY: usize = 4 << 30;
/// Ticks without a call after which the clock stops, so that an idle platform is not woken.
const IDLE_TICKS: u32 = 50;

/// The engine and what all stores share.
pub(crate) struct Machine {
    pub(crate) engine: Engine,
    pub(crate) components: Linker<Guest>,
    pub(crate) commands: wasmtime::Linker<Command>,
    /// How long a store waits for a request.
    pub(crate) idle_store: Duration,
    clock: Clock,
}

impl Machine {
    pub(crate) fn new(options: &Options) -> Result<Self, WasmError> {
        let failed = |error: wasmtime::Error| WasmError::Engine(format!("{error:#}"));
        let engine = match Engine::new(&config(Some(options))) {
            Ok(engine) => engine,
            Err(error) => {
                // The pool reserves terabytes of addresses, which a limit on virtual memory forbids.
                tracing::warn!("WebAssembly instances are made slower here, without a pool: {error:#}");
                Engine::new(&config(None)).map_err(failed)?
            }
        };
        let mut components = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut components).map_err(failed)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut components).map_err(failed)?;
        let mut commands = wasmtime::Linker::new(&engine);
        wasmtime_wasi::p1::add_to_linker_async(&mut commands, |command: &mut Command| &mut command.wasi)
            .map_err(failed)?;
        let clock = Clock::start(engine.weak(), options.tick).map_err(|error| WasmError::Engine(error.to_string()))?;
        Ok(Self { engine, components, commands, idle_store: options.idle_store, clock })
    }

    /// Keeps the clock running while a call is in progress.
    pub(crate) fn running(&self) -> Running {
        self.clock.running()
    }
}

/// `pooled`: the limits of the pool, or none for stores that are made one by one.
fn config(pooled: Option<&Options>) -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true).max_wasm_stack(STACK).async_stack_size(CALL_STACK);
    config.wasm_backtrace_max_frames(Some(FRAMES));
    if let Some(options) = pooled {
        let stores = options.max_stores;
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(stores)
            .total_core_instances(stores.saturating_mul(MODULES_PER_COMPONENT))
            .total_memories(stores.saturating_mul(2))
            .total_tables(stores.saturating_mul(4))
            .total_stacks(stores)
            .max_core_instances_per_component(MODULES_PER_COMPONENT)
            .table_elements(TABLE_ELEMENTS)
            .max_memory_size(LARGEST_MEMORY);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    config
}

/// Advances the engine's epoch while calls are in progress; every component then lets others have the thread.
struct Clock {
    state: Arc<ClockState>,
    thread: Thread,
}

#[derive(Default)]
struct ClockState {
    calls: AtomicUsize,
    stopped: AtomicBool,
    ended: AtomicBool,
}

impl Clock {
    fn start(engine: EngineWeak, tick: Duration) -> std::io::Result<Self> {
        let state = Arc::new(ClockState::default());
        let thread = std::thread::Builder::new().name("wasm-clock".to_owned()).spawn({
            let state = state.clone();
            move || state.run(&engine, tick)
        })?;
        Ok(Self { state, thread: thread.thread().clone() })
    }

    fn running(&self) -> Running {
        self.state.calls.fetch_add(1, Ordering::SeqCst);
        if self.state.stopped.swap(false, Ordering::SeqCst) {
            self.thread.unpark();
        }
        Running(self.state.clone())
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

impl ClockState {
    fn run(&self, engine: &EngineWeak, tick: Duration) {
        let mut idle = 0;
        while !self.ended.load(Ordering::SeqCst) {
            if self.calls.load(Ordering::SeqCst) > 0 {
                idle = 0;
            } else {
                idle += 1;
            }
            if idle < IDLE_TICKS {
                std::thread::park_timeout(tick);
            } else {
                self.stopped.store(true, Ordering::SeqCst);
                // Whoever began before it was said that the clock stops does not start it.
                while self.stopped.load(Ordering::SeqCst)
                    && self.calls.load(Ordering::SeqCst) == 0
                    && !self.ended.load(Ordering::SeqCst)
                {
                    std::thread::park();
                }
                idle = 0;
            }
            let Some(engine) = engine.upgrade() else { return };
            engine.increment_epoch();
        }
    }
}

/// A call in progress.
pub(crate) struct Running(Arc<ClockState>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_runs_while_a_call_is_in_progress_and_again_after_it_stopped() {
        let engine = Engine::new(&config(None)).unwrap();
        let clock = Clock::start(engine.weak(), Duration::from_micros(100)).unwrap();
        for _ in 0..3 {
            let call = clock.running();
            assert!(!clock.state.stopped.load(Ordering::SeqCst));
            drop(call);
            while !clock.state.stopped.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
        }
    }
}
