//! The backend with real processes: what instances do and may not do, and that nothing survives the platform.

mod builds;
mod end;
mod instances;
mod spare;
mod world;
