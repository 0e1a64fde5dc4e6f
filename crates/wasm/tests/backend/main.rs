//! The backend with a real component, without the platform. Start reading in `world`; `../fixture` is the component,
//! `../command` the command.

mod commands;
mod failures;
mod isolation;
mod outgoing;
mod serving;
mod world;
