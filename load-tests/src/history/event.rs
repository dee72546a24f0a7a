//! What clients saw: every call with the instants around it and its answer, and what was done to the server meanwhile.
//! A history file contains this, one JSON object a line. Nothing here judges.

use serde::{Deserialize, Serialize};
use stockade_drill::facts::Fact;
use stockade_proto as pb;

/// An instant by two clocks: a monotonic one, for the order of events, and the wall clock, for deadlines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Moment {
    /// Nanoseconds since the run began.
    pub ns: u64,
    /// Milliseconds since the epoch.
    pub wall: u64,
}

/// The settings of the run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Setup {
    /// Units that each item begins with.
    pub stock: Vec<u32>,
    /// The most units that one customer may hold and own.
    pub limit: u32,
    /// How long a hold lives at most without a payment, in milliseconds.
    pub max_hold_life: u64,
    /// How long a payment may take, in milliseconds.
    pub payment_ttl: u64,
    /// What a hold has at least after a restart, in milliseconds.
    pub grace: u64,
    /// By how much the clients' wall clock and the server's time may differ, in milliseconds.
    pub slack: u64,
    /// The seed of the requests.
    pub seed: u64,
    /// When the drop's rules come; none for a drop without rules.
    #[serde(default)]
    pub rules: Option<Times>,
}

/// When the rules of a drop come, in milliseconds after its opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Times {
    /// The opening, in milliseconds since the epoch.
    pub opens: u64,
    /// The window for all.
    pub all: u64,
    /// The tranche.
    pub second: u64,
    /// The flow at a moment.
    pub flow: u64,
    /// The price step at a moment.
    pub step: u64,
    /// The closing.
    pub closes: u64,
}

/// One life of the server's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Term {
    /// A wall-clock time before the process was made, in milliseconds.
    pub spawned: u64,
    /// When it reported that it serves, in wall-clock milliseconds.
    pub serving: u64,
    /// When it had surely ended; none for the last life.
    pub gone: Option<Moment>,
}

/// The request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Units set aside.
    Reserve {
        /// The requested ttl in milliseconds.
        ttl: u64,
    },
    /// A later deadline, or the start of a payment.
    Extend {
        /// The requested ttl in milliseconds.
        ttl: u64,
        /// Whether a payment begins.
        pay: bool,
    },
    /// A sale.
    Claim {
        /// Which of the hold's orders.
        order: u8,
    },
    /// Units released.
    Release,
    /// Reads a hold.
    GetHold,
    /// Units added to the stock: `lines` has items and units, `hold` is the adjustment's id.
    Adjust,
    /// Reads the drop's stock.
    GetDrop,
}

/// The state of a hold as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shown {
    /// Set aside.
    Held,
    /// In payment.
    Paying,
    /// Sold.
    Claimed,
    /// Released.
    Released,
    /// Past its deadline.
    Expired,
}

/// A hold as it was shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Its state.
    pub state: Shown,
    /// When it was made, in the server's milliseconds.
    pub created: u64,
    /// Its deadline, in the server's milliseconds.
    pub due: u64,
    /// Its revision.
    pub revision: u64,
    /// Its order, if it is sold: one of those that clients use.
    pub order: Option<u8>,
    /// Items by their place, and units of the hold.
    pub lines: Vec<(u8, u32)>,
    /// Its customer's number.
    pub customer: u32,
    /// What it got, line by line; empty in a history of a drop without rules.
    #[serde(default)]
    pub served: Vec<Served>,
}

/// What a line of a hold got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// The item by its place.
    pub item: u8,
    /// Units that it got, also if it has given them back.
    pub units: u32,
    /// The pool.
    pub pool: String,
    /// The window.
    pub window: String,
    /// The terms.
    pub terms: String,
    /// The price of a unit.
    pub price: i64,
}

/// A business refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Too few units are free.
    SoldOut,
    /// The customer's limit is reached.
    LimitReached,
    /// The hold has expired.
    Expired,
    /// The hold was released.
    Released,
    /// The hold is sold.
    Claimed,
    /// The hold is sold to another order.
    OrderMismatch,
    /// The hold is in payment.
    Paying,
    /// No window is open for the customer.
    NotOpen,
    /// The drop is closed.
    DropClosed,
    /// No rule is for the customer.
    NotEligible,
}

/// Stock of one item as it was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Units ever received.
    pub received: u32,
    /// Units for sale.
    pub free: u32,
    /// Units held.
    pub held: u32,
    /// Units in payment.
    pub paying: u32,
    /// Units sold.
    pub claimed: u32,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// A hold.
    Hold(Seen),
    /// A refusal, with the items that it reports as short.
    Refused(Why, Vec<u8>),
    /// There is no such hold.
    Absent,
    /// The adjustment was made.
    Adjusted,
    /// The stock of each item.
    Stock(Vec<Figures>),
    /// An answer that does not show the call's outcome.
    Unknown(String),
    /// An answer that this call can't have.
    Odd(String),
}

/// A call and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The client.
    pub client: u16,
    /// The life of the server that the call was sent to.
    pub term: u32,
    /// The request.
    pub verb: Verb,
    /// The hold's id, or the adjustment's; empty for a read of the stock.
    pub hold: String,
    /// The customer's number.
    pub customer: u32,
    /// Items by their place, and units.
    pub lines: Vec<(u8, u32)>,
    /// An instant before it was sent.
    pub sent: Moment,
    /// An instant after it was answered, or abandoned.
    pub back: Moment,
    /// The server's time of the decision, if the answer contains it, in milliseconds since the epoch.
    pub now: Option<u64>,
    /// The answer.
    pub answer: Answer,
    /// Whether it is a last read at the end, which concerns the hold alone.
    #[serde(default)]
    pub last: bool,
}

/// A span in which the server's process was paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// When it was stopped.
    pub from: Moment,
    /// When it went on.
    pub until: Moment,
}

/// A whole history.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// The settings of the run.
    pub setup: Setup,
    /// The lives of the server's process, in order.
    pub terms: Vec<Term>,
    /// Its pauses.
    pub pauses: Vec<Pause>,
    /// Every call, in order of sending.
    pub calls: Vec<Call>,
    /// The journal's records, of a drop with rules.
    pub facts: Vec<Fact>,
}

impl Shown {
    /// The state for one of the wire.
    #[must_use]
    pub const fn of(state: pb::HoldState) -> Option<Self> {
        match state {
            pb::HoldState::Held => Some(Self::Held),
            pb::HoldState::Paying => Some(Self::Paying),
            pb::HoldState::Claimed => Some(Self::Claimed),
            pb::HoldState::Released => Some(Self::Released),
            pb::HoldState::Expired => Some(Self::Expired),
            pb::HoldState::Unspecified => None,
        }
    }

    /// Whether the hold has a deadline that matters.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Held | Self::Paying)
    }
}

impl Why {
    /// The reason for one of the wire; none for one that this load can't cause.
    #[must_use]
    pub const fn of(reason: pb::RefusalReason) -> Option<Self> {
        match reason {
            pb::RefusalReason::SoldOut => Some(Self::SoldOut),
            pb::RefusalReason::LimitReached => Some(Self::LimitReached),
            pb::RefusalReason::HoldExpired => Some(Self::Expired),
            pb::RefusalReason::HoldReleased => Some(Self::Released),
            pb::RefusalReason::HoldClaimed => Some(Self::Claimed),
            pb::RefusalReason::OrderMismatch => Some(Self::OrderMismatch),
            pb::RefusalReason::PaymentInProgress => Some(Self::Paying),
            pb::RefusalReason::NotOpen => Some(Self::NotOpen),
            pb::RefusalReason::Closed => Some(Self::DropClosed),
            pb::RefusalReason::NotEligible => Some(Self::NotEligible),
            pb::RefusalReason::Unspecified
            | pb::RefusalReason::Paused
            | pb::RefusalReason::NotAdmitted
            | pb::RefusalReason::SlotRequired
            | pb::RefusalReason::Cooldown
            | pb::RefusalReason::TooManyHolds
            | pb::RefusalReason::Superseded
            | pb::RefusalReason::CeilingReached => None,
        }
    }
}

impl Answer {
    /// Whether the call's outcome is unknown.
    #[must_use]
    pub const fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }
}
