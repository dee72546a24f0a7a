//! What the hand-off knows of a log: that it can fail.

/// A log's refusal; no model has one.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the log refused")]
pub struct LogError;
