//! Commands as a user types them, against the real API server in memory.

mod environment;
mod function;
mod help;
mod objects;
mod package;
mod route;
mod spec;
mod world;
