//! The journal: every change, in order, durable before it is acknowledged.
//!
//! [`Journal`] takes operations and returns tickets; its writer seals the gathered operations into batches. A [`Log`]
//! stores sealed batches: [`FileLog`] on a disk, [`MemoryLog`] for tests and for serving without one. Appending never
//! waits for the disk; waiting for a [`Ticket`] does. This crate encodes records but does not interpret them.
//!
//! - [`Permit`]: room in the queue. With it, [`Journal::append`] fails only if the journal has failed.
//! - [`History`]: reads durable batches while the journal is written. [`inspect()`] reads a journal that is not in use.
//! - [`snapshot`]: all entities in one file, so that the journal can be trimmed.
//! - [`Storage`](storage::Storage): the only access to the disk.
//!
//! The modules stand in reading order: each uses only those above it. `README.md` has an example.

#![warn(unreachable_pub)]

pub mod storage;
pub mod snapshot;
mod log;
mod progress;
mod commit;
mod files;
mod follow;

pub use commit::journal::{AppendError, Journal, JournalMetrics, QUEUED_BYTES_MAX, QUEUED_OPERATIONS_MAX};
pub use commit::permits::{Permit, Permits};
#[cfg(any(loom, shuttle))]
pub use commit::scenarios;
pub use commit::shared::Appended;
pub use commit::writer::{Step, Writer};
pub use files::file_log::{FileLog, FileLogOptions, SEGMENT_BYTES, SEGMENT_STRETCH};
pub use files::forced::Beyond;
pub use files::inspect::{Inspection, inspect, inspect_with_kept};
pub use files::kept::{KeepPolicy, KeptSegments};
pub use files::recover::{JournalState, ScannedJournal};
pub use files::scan::{Cut, Ending};
pub use follow::history::{Following, History, HistoryError};
pub use follow::name::JournalName;
pub use log::batch::{
    BATCH_BYTES_MAX, BATCH_HEAD, Batch, BatchHash, BatchHead, FORMAT_VERSION, PAYLOAD_BYTES_MAX, SealedBatch,
};
pub use log::memory::MemoryLog;
pub use log::segment::{Durability, Trailer};
pub use log::{Batches, Log, LogError, Place, Start};
pub use progress::JournalFailed;
pub use progress::ticket::{Failure, Ticket};
pub use progress::waiters::LocalWaker;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
