//! The result of an attempt to decide a request, and what its answer must wait for.
//!
//! Every answer, refusal and fault of the engine names the record that it depends on in the same way, so that the wait
//! for the disk is in one place.

use stockade_types::ids::{DropNo, ItemNo, Lsn};

use crate::answer::Fault;
use crate::inventory::HoldSlot;
pub use stockade_journal::Ticket;

/// A decision, and the record that must be durable before it may be sent: see
/// [`Journal::ticket`](stockade_journal::Journal::ticket).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided<T> {
    /// What was decided.
    pub value: T,
    /// The record that must be durable, with all records before it; 0 if the value depends on no record.
    pub durable_after: Lsn,
}

/// The answer of a verb: a value, or why there is none.
pub type Answer<T> = Result<Decided<T>, Decided<Fault>>;

/// The result of one attempt, or of a step of it.
pub(crate) type Attempt<T> = Result<T, Undecided>;

/// Why an attempt ended without a decision. It has changed nothing that its caller can see.
#[derive(Debug)]
pub(crate) enum Undecided {
    /// Something must be done first, with no lock held; then the request is decided again.
    Retry(Chore),
    /// Units or usage are in doubt.
    InDoubt,
    /// The request can't be decided.
    Fault(Decided<Fault>),
}

/// What is done before a request is decided again.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Chore {
    /// Holds of this item are due: they are expired.
    SweepItem(DropNo, ItemNo),
    /// This hold is due: it is expired.
    SweepHold(HoldSlot),
    /// An opening or closing of this drop is due: it is recorded.
    Turn(DropNo),
    /// Nothing: what the attempt read has changed.
    Again,
}

impl<T> Decided<T> {
    /// A value that depends on no record.
    pub const fn at_once(value: T) -> Self {
        Self { value, durable_after: Lsn(0) }
    }

    /// The same with another value, which depends on the same record.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Decided<U> {
        Decided { value: f(self.value), durable_after: self.durable_after }
    }
}

/// A fault depends on no record, unless one is given.
impl<E: Into<Fault>> From<E> for Decided<Fault> {
    fn from(error: E) -> Self {
        Self::at_once(error.into())
    }
}

impl<E: Into<Decided<Fault>>> From<E> for Undecided {
    fn from(error: E) -> Self {
        Self::Fault(error.into())
    }
}
