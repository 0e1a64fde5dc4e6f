//! Commands as a user types them, against the real API server in memory.

mod cluster;
mod container;
mod environment;
mod export;
mod fake_cluster;
mod function;
mod help;
mod objects;
mod package;
mod route;
mod spec;
mod world;
