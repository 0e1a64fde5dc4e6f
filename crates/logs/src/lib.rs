//! Function output: captured from the pipes of instances, kept on disk, queried and followed.
//!
//! * [`store`]: [`LogStore`], lines in SQLite segments with a size and an age limit; the only place with SQL.
//! * [`capture`]: from the two pipes of an instance to lines; this is its [`fission_rpc::logs::LogSink`].
//! * [`follow`]: what there is, then what comes, without gap or repetition.
//! * [`http()`]: the same over HTTP, as lines of JSON.
//!
//! This crate never knows what an instance is or where requests come from: it is given pipes and names.
//!
//! Start reading in [`store`]. Invariants: an instance is never held up for long by its output, and every line that was
//! not kept is counted in a line that is; ids grow by the order of commits and are never used twice; a damaged segment
//! costs its own lines only.

mod capture;
mod follow;
mod http;
pub mod store;

pub use capture::parts;
pub use http::http;
pub use store::{LogStore, Options, StoreError};
