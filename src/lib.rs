//! Stockade: a reservation engine for drops. This package is the service: what listens, and the command line.
//!
//! What it is made of are the crates under `crates/`. The modules stand in reading order: each uses only those above
//! it.

#![warn(unreachable_pub)]

mod contract;
pub mod text;
mod fact_file;
pub mod metrics;
pub mod budget;
pub mod webhooks;
pub mod channels;
pub mod reports;

pub mod http2;
pub mod grpc;
mod web;
pub mod admin;
pub mod public;

pub mod config;
pub mod server;
pub mod cli;
