//! Group commit: operations with a permit are queued, and the writer seals what has gathered, appends it to a log and
//! raises the durable mark. It knows no files.

pub(crate) mod journal;
pub(crate) mod permits;
mod queue;
pub(crate) mod shared;
pub(crate) mod writer;

#[cfg(any(loom, shuttle))]
pub mod scenarios;
