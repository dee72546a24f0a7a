//! What the engine answers: outcomes, refusals and faults, and drops and holds as callers see them.

use std::sync::Arc;

pub use crate::inventory::{DropState, Stock};
use stockade_types::definition::{Definition, Scope};
use stockade_types::hold::{Hold, ShortLine};
use stockade_types::ids::{DefinedId, DropId, DropNo, HoldId, IdentityKind, ItemNo, LimitId, Lsn, PoolId, PoolNo, Sku};
pub use stockade_types::record::Announced;
use stockade_types::record::{DefinedKind, Marks};
use stockade_types::refusal::{Reason, Rule};
use stockade_types::time::{Millis, Timestamp};

/// The answer to a verb on a hold.
#[derive(Debug)]
pub enum Outcome<H = HoldView> {
    /// The hold as it is now.
    Hold(H),
    /// A business "no".
    Refused(Box<Refusal>),
}

/// A hold with what is needed to show it by names.
#[derive(Debug, Clone)]
pub struct HoldView {
    /// The hold.
    pub hold: Hold,
    /// Its drop's definition: names for its numbers.
    pub definition: Arc<Definition>,
}

impl HoldView {
    /// Lines that got fewer units than the reserve asked for, as its first answer showed them, whatever has happened to
    /// the hold since.
    #[must_use]
    pub fn short_lines(&self) -> Vec<RefusedLine> {
        let short = |ShortLine { item, requested, reason }: &ShortLine| RefusedLine {
            sku: self.definition.sku(*item).clone(),
            reason: *reason,
            requested: *requested,
            available: self.hold.at_first(*item),
            pool: None,
        };
        self.hold.shorts().iter().map(short).collect()
    }
}

/// A business "no", with what a checkout needs to explain it.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The first reason that applies, in the fixed order of reasons.
    pub reason: Reason,
    /// The rule that refused.
    pub rule: Rule,
    /// The first line that can't be served.
    pub sku: Option<Sku>,
    /// When to ask again, if that is known.
    pub retry_after: Option<Millis>,
    /// Whether units that are on hold now, or a rule that has not fired, may serve the request later.
    pub may_come_back: bool,
    /// Each line that can't be served.
    pub lines: Vec<RefusedLine>,
    /// The limit that was hit.
    pub limit: Option<LimitHit>,
    /// The hold in question, as it is now.
    pub hold: Option<HoldView>,
}

/// A line that can't be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedLine {
    /// Which item.
    pub sku: Sku,
    /// Why.
    pub reason: Reason,
    /// Units asked for.
    pub requested: u32,
    /// Units that this customer could have: at most `requested`.
    pub available: u32,
    /// The pool that the line names.
    pub pool: Option<PoolId>,
}

/// The limit that a request ran into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitHit {
    /// Which.
    pub id: LimitId,
    /// Over what it counts.
    pub scope: Scope,
    /// The kind of identity that it counts; none: it counts customers.
    pub identity_kind: Option<IdentityKind>,
    /// Units or holds at most; 0 for a cooldown.
    pub max: u32,
    /// Units or holds that the subject has, without this request; 0 for a cooldown.
    pub used: u32,
}

/// A faulty field of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidField {
    /// Its path in proto spelling, such as `lines[0].quantity`.
    pub field: String,
    /// What is wrong with it.
    pub description: String,
}

/// Why a request could not be decided: neither a value nor a refusal. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The request is faulty; all faulty fields are named.
    #[error("faulty request")]
    Invalid(Vec<InvalidField>),
    /// No such drop.
    #[error("drop {0} not found")]
    NoDrop(DropId),
    /// No such hold, or its drop or customer is not the one named in the request.
    #[error("hold {0} not found")]
    NoHold(HoldId),
    /// No such definition.
    #[error("{} {_1} not found", _0.label())]
    NoDefinition(DefinedKind, DefinedId),
    /// The id is in use with other content.
    #[error("{what} exists already with another {field}")]
    Exists {
        /// Which thing, by name.
        what: String,
        /// The field that differs, in proto spelling.
        field: &'static str,
    },
    /// The request was based on a state that has changed since.
    #[error("{0}")]
    Stale(String),
    /// The drop's state forbids it.
    #[error("{0}")]
    Precondition(String),
    /// A bound of the engine is reached.
    #[error("{0}")]
    Exhausted(&'static str),
    /// Too much load: try again soon.
    #[error("overloaded: {0}")]
    Overloaded(&'static str),
    /// Units or usage are in doubt: taken by a cart that may still fail, or being given back. Nothing was changed. The
    /// edge yields and asks again, for 10 ms at most; doubt never becomes a refusal.
    #[error("overloaded: units were in doubt for too long")]
    InDoubt,
    /// New reserves are suspended in all drops until a problem is solved. All other verbs go on.
    #[error("reserves are suspended: {0}")]
    Suspended(&'static str),
    /// The journal has failed: this process is about to end.
    #[error("the journal has failed")]
    JournalFailed,
}

/// An item's stock, or that of one of its pools, as one record of the journal left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StockCount {
    /// In which drop.
    pub drop: DropNo,
    /// Of which item.
    pub item: ItemNo,
    /// Of which pool; none: all of them together.
    pub pool: Option<PoolNo>,
    /// Units that are not sold.
    pub on_hand: u64,
    /// The record; what later ones moved is not in it.
    pub at: Lsn,
}

/// What a reconciliation comes to.
#[derive(Debug, Clone)]
pub enum Reconciling {
    /// It needs what this stock was for the system of record.
    Counted(StockCount),
    /// It was compared, and unless that was all, set right.
    Done(Reconciled),
}

/// The result of a reconciliation.
#[derive(Debug, Clone)]
pub struct Reconciled {
    /// By how much the system of record had more on hand than was expected.
    pub drift: i64,
    /// By how much the units received were changed.
    pub applied: i64,
    /// Units that customers have and that are not there.
    pub shortage: u64,
    /// The drop now.
    pub view: DropView,
}

/// A drop as of one record of the journal.
#[derive(Debug, Clone)]
pub struct DropView {
    /// As defined.
    pub definition: Arc<Definition>,
    /// When it opens: as defined, or else when it was created.
    pub opens_at: Timestamp,
    /// When it closed, if it has.
    pub closed_at: Option<Timestamp>,
    /// The changes of what calendars show of it; without one, zero at its creation.
    pub announced: Announced,
    /// Its state.
    pub state: DropState,
    /// LSN of the last change of the definition.
    pub revision: Lsn,
    /// The last record that state and stock include.
    pub as_of: Lsn,
    /// Stock by item and pool, in the definition's order.
    pub stock: Vec<Vec<Stock>>,
    /// Which of its rules have fired.
    pub marks: Marks,
}
