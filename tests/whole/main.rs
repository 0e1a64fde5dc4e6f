//! Whole-system tests: the real binary, real environments, and clients no one here wrote.
//!
//! One binary on purpose: it links once. Each test has a platform of its own on free ports. Start reading in `world`.

mod article;
mod building;
mod cli;
mod configuration;
mod durability;
mod examples;
mod faults;
mod foreign;
mod images;
mod kubectl;
mod lifecycle;
mod logs;
mod misbehaviour;
mod packages;
mod provisioned;
mod python_client;
mod routes;
mod run_local;
mod specs;
mod streams;
mod surroundings;
mod wasm;
mod websocket;
mod world;
