//! The router with real listeners, scripted functions on unix sockets, and an executor that does as told.

mod calls;
mod faults;
mod http_rules;
mod internal;
mod lifecycle;
mod statuses;
mod streams;
mod world;
