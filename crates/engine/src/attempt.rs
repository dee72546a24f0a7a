//! What an attempt to decide a request comes to, and what its answer has to wait for.
//!
//! Every answer, refusal and fault of the engine names the record that it depends on, in the same way, so that
//! the wait for the disk stands in one place.

use stockade_types::ids::{DropNo, ItemNo, Lsn};

use super::answer::Fault;
use crate::inventory::HoldRef;
pub use stockade_journal::Ticket;

/// Something that was decided, and what has to be durable before it may be sent: see
/// [`Journal::ticket`](stockade_journal::Journal::ticket).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided<T> {
    /// What was decided.
    pub value: T,
    /// The record that has to be durable, and with it all before it; 0 where it says nothing that is in the journal.
    pub durable_after: Lsn,
}

/// What a verb answers: a value, or why there is none.
pub type Answer<T> = Result<Decided<T>, Decided<Fault>>;

/// What one attempt comes to, or a step of it.
pub(super) type Attempt<T> = Result<T, Undecided>;

/// Why an attempt ended without a decision. Nothing was changed by it.
#[derive(Debug)]
pub(super) enum Undecided {
    /// Something has to be done first, with no lock held; then the request is decided anew.
    Retry(Chore),
    /// Units or usage are in doubt.
    InDoubt,
    /// The request can't be decided.
    Fault(Decided<Fault>),
}

/// What is done before a request is decided anew.
#[derive(Debug, Clone, Copy)]
pub(super) enum Chore {
    /// Holds of this item are due: they are given back.
    SweepItem(DropNo, ItemNo),
    /// This hold is due.
    SweepHold(HoldRef),
    /// A moment of this drop has come.
    Turn(DropNo),
    /// Nothing: the attempt itself has changed what it was about.
    Again,
}

impl<T> Decided<T> {
    /// What depends on no record.
    pub const fn at_once(value: T) -> Self {
        Self { value, durable_after: Lsn(0) }
    }

    /// With another value, which depends on the same record.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Decided<U> {
        Decided { value: f(self.value), durable_after: self.durable_after }
    }
}

/// A fault depends on no record, unless it is said which.
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
