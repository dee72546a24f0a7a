//! The client, in two layers.
//!
//! [`Stockade`] is for checkout services: it keeps connections, gives every call a deadline, retries what may be
//! retried, and puts the operations of many concurrent callers into shared messages. [`Client`] is the plain layer
//! below it: one connection, one attempt, the contract's own messages.
//!
//! The client decides nothing about stock, stores no answers and makes no ids. The caller chooses the hold's id, so
//! every call is safe to send again, by this client and by the next process after a crash.
//!
//! - [`Options`]: deadlines, [`Retry`], [`Batching`].
//! - [`Outcome`]: the answer to an operation, granted or a [`Refusal`]. A refusal is not an error.
//! - [`Error`]: why there is no answer; [`Error::is_in_doubt`] says whether the call may have taken effect.
//!
//! `README.md` has an example.

#![warn(unreachable_pub)]

mod plain;
mod error;
mod outcome;
mod options;
mod retry;
mod attempts;
mod pool;
mod batch;
mod calls;
mod pages;
mod watch;

pub use calls::Stockade;
pub use error::Error;
pub use options::{Batching, Options, Retry};
pub use outcome::{Changed, Claimed, Outcome, Refusal, Reserved};
pub use plain::{Client, ConnectError, Events, Incoming, Watch};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
