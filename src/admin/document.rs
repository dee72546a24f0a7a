//! Documents that describe the endpoint: each is made once, since the contract does not change.

use std::fmt::Display;
use std::sync::LazyLock;

use axum::body::Bytes;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tonic::Status;

use super::calls::json;
use crate::web::Problem;

/// A document, or why there is none.
pub(super) type Document = LazyLock<Result<Bytes, String>>;

/// A document's bytes.
pub(super) fn made(document: Result<Value, impl Display>) -> Result<Bytes, String> {
    let document = document.map_err(|error| error.to_string())?;
    serde_json::to_vec(&document).map(Bytes::from).map_err(|error| error.to_string())
}

/// A document as an answer.
pub(super) fn page(document: &Document) -> Response {
    match &**document {
        Ok(document) => json(document.clone()),
        Err(error) => Problem::from(&Status::internal(error.clone())).into_response(),
    }
}
