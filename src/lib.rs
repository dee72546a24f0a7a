//! Stockade: a reservation engine for drops.
//!
//! The modules are declared in reading order: each uses only the ones above it.

pub mod invariant;
pub mod text;
pub mod ids;
pub mod time;
pub mod refusal;
pub mod codec;
pub mod definition;
pub mod packed;
pub mod hold;
pub mod record;
pub mod digest;
pub mod sync;
pub mod metrics;
pub mod budget;
pub mod memory;

pub mod rules;
pub mod inventory;
pub mod storage;
pub mod journal;
pub mod snapshot;
pub mod engine;
pub mod feed;

pub mod http2;
pub mod grpc;
pub mod admin;

pub mod client;
pub mod config;
pub mod server;
pub mod cli;

/// The wire types, generated from `proto/`.
pub mod proto {
    #![allow(
        clippy::all,
        clippy::pedantic,
        clippy::as_conversions,
        missing_docs,
        unused_qualifications,
        rustdoc::invalid_html_tags,
        reason = "generated code"
    )]
    #![allow(clippy::allow_attributes, clippy::allow_attributes_without_reason, reason = "generated code has its own")]
    tonic::include_proto!("stockade.v1");
    /// The descriptors of the contract, for reflection and JSON.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/stockade.v1.bin"));
}
