//! Stockade: a reservation engine for drops.
//!
//! The modules stand in reading order: each uses only those above it.

pub mod codec;
pub mod definition;
pub mod hold;
pub mod ids;
pub mod metrics;
pub mod record;
pub mod refusal;
pub mod time;


pub mod grpc;

pub mod admin;
pub mod client;
pub mod config;
pub mod server;

pub mod cli;

/// The wire, as generated from `proto/`.
pub mod proto {
    #![allow(
        clippy::all,
        clippy::pedantic,
        clippy::as_conversions,
        missing_docs,
        unused_qualifications,
        reason = "generated code"
    )]
    #![allow(clippy::allow_attributes, clippy::allow_attributes_without_reason, reason = "generated code has its own")]
    tonic::include_proto!("stockade.v1");
    /// The descriptors of the contract, for reflection and JSON.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/stockade.v1.bin"));
}
