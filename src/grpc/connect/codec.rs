//! Translates the messages of unary calls between JSON and protobuf, by the contract's descriptors.
//!
//! JSON is the canonical protobuf mapping. Names in `snake_case` are accepted too; unknown names are refused.

use std::fmt::Display;

use bytes::Bytes;
use prost::Message as _;
use prost_reflect::{DeserializeOptions, DynamicMessage, MessageDescriptor, MethodDescriptor};
use prost_types::method_options::IdempotencyLevel;
use tonic::Status;

use super::super::rpc::CALLS;
use crate::contract::contract;

/// How the messages of a call are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Canonical protobuf JSON.
    Json,
    /// Protobuf.
    Proto,
}

impl Encoding {
    /// From a `Content-Type`, whose parameters are ignored.
    pub(super) fn of_content_type(text: &str) -> Option<Self> {
        let essence = text.split(';').next().unwrap_or_default().trim();
        match essence.to_ascii_lowercase().as_str() {
            "application/json" => Some(Self::Json),
            "application/proto" => Some(Self::Proto),
            _ => None,
        }
    }

    /// From the parameter `encoding` of a GET request.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "json" => Some(Self::Json),
            "proto" => Some(Self::Proto),
            _ => None,
        }
    }

    /// Its `Content-Type`.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Proto => "application/proto",
        }
    }
}

/// The messages of a call.
#[derive(Debug, Clone)]
pub(in crate::grpc) struct Codec {
    request: MessageDescriptor,
    answer: MessageDescriptor,
    /// One message each way.
    pub is_unary: bool,
    /// The contract says that the call has no side effects, so that it may be a GET.
    pub is_safe: bool,
}

impl Codec {
    fn of(method: &MethodDescriptor) -> Self {
        let options = method.method_descriptor_proto().options.as_ref();
        Self {
            request: method.input(),
            answer: method.output(),
            is_unary: !method.is_client_streaming() && !method.is_server_streaming(),
            is_safe: options.is_some_and(|options| options.idempotency_level() == IdempotencyLevel::NoSideEffects),
        }
    }

    /// A request's JSON as protobuf. Nothing but white space means an empty message.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` with the place of the fault.
    pub(super) fn request_from_json(&self, json: &[u8]) -> Result<Bytes, Status> {
        if json.iter().all(u8::is_ascii_whitespace) {
            return Ok(Bytes::new());
        }
        let fault = |error: &dyn Display| {
            Status::invalid_argument(format!("the request is not the JSON of a {}: {error}", self.request.name()))
        };
        let mut reader = serde_json::Deserializer::from_slice(json);
        let options = DeserializeOptions::new().deny_unknown_fields(true);
        let message = DynamicMessage::deserialize_with_options(self.request.clone(), &mut reader, &options);
        let message = message.map_err(|error| fault(&error))?;
        reader.end().map_err(|error| fault(&error))?;
        Ok(message.encode_to_vec().into())
    }

    /// An answer's protobuf as JSON.
    ///
    /// # Errors
    /// `INTERNAL` if the server's own answer can't be read, which is a bug.
    pub(super) fn answer_to_json(&self, proto: &[u8]) -> Result<Vec<u8>, Status> {
        let bug = |error: &dyn Display| Status::internal(format!("the answer can't be written as JSON: {error}"));
        let message = DynamicMessage::decode(self.answer.clone(), proto).map_err(|error| bug(&error))?;
        serde_json::to_vec(&message).map_err(|error| bug(&error))
    }
}

/// The contract's descriptors can't be used for JSON.
#[derive(Debug, thiserror::Error)]
pub enum BrokenCodec {
    /// They are no descriptor set.
    #[error("the contract's descriptors can't be read")]
    Descriptors(#[from] prost_reflect::DescriptorError),
    /// A served call is not among them.
    #[error("{0} is served, but not in the contract")]
    NoCall(&'static str),
}

/// The messages of all calls, in the order of [`CALLS`].
///
/// # Errors
/// If the contract's descriptors can't be used.
pub(in crate::grpc) fn codecs() -> Result<Vec<Codec>, BrokenCodec> {
    let contract = contract()?;
    let codec = |path: &'static str| {
        let (service, method) = path.trim_start_matches('/').split_once('/').ok_or(BrokenCodec::NoCall(path))?;
        let service = contract.get_service_by_name(service).ok_or(BrokenCodec::NoCall(path))?;
        let found = service.methods().find(|known| known.name() == method);
        found.map(|method| Codec::of(&method)).ok_or(BrokenCodec::NoCall(path))
    };
    CALLS.iter().map(|call| codec(call.path)).collect()
}
