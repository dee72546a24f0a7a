//! The contract, as generated from `proto/`: messages, services and their descriptors.
//!
//! Each service has a module with its client and one with its server, such as [`reservation_service_client`] and
//! [`reservation_service_server`]. [`DESCRIPTORS`] is for reflection and JSON.

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
