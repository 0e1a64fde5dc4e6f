//! Whole-system tests: the real binary, real environments, and clients no one here wrote.
//!
//! One binary on purpose: it links once. Each test has a platform of its own on free ports. Start reading in `world`.

mod article;
mod durability;
mod faults;
mod kubectl;
mod lifecycle;
mod logs;
mod python_client;
mod streams;
mod world;
