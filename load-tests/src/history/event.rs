//! What clients saw: every call with the instants around it and its answer, and what was done to the server meanwhile.
//! This is what a history file holds, a JSON object a line. Nothing here judges.

use serde::{Deserialize, Serialize};
use stockade_proto as pb;

/// An instant, twice: by a watch that never goes back, for what came before what; and by the wall clock, for deadlines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Moment {
    /// Nanoseconds since the run began.
    pub ns: u64,
    /// Milliseconds since the epoch.
    pub wall: u64,
}

/// What the run was set up with.
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
    /// Decides what clients ask.
    pub seed: u64,
}

/// One life of the server's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Term {
    /// Before the process was made, in wall clock milliseconds.
    pub spawned: u64,
    /// When it said that it serves, in wall clock milliseconds.
    pub serving: u64,
    /// When it was gone for sure; none for the last.
    pub gone: Option<Moment>,
}

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Units set aside for so many milliseconds.
    Reserve {
        /// The wish.
        ttl: u64,
    },
    /// A deadline moved to so many milliseconds from now; or a payment begun.
    Extend {
        /// The wish.
        ttl: u64,
        /// Into payment.
        pay: bool,
    },
    /// A sale.
    Claim {
        /// Which of a hold's orders.
        order: u8,
    },
    /// Units given back.
    Release,
    /// A hold looked at.
    GetHold,
    /// Units put on sale in addition: `lines` says of what and how many, `hold` is the adjustment's id.
    Adjust,
    /// The drop's stock looked at.
    GetDrop,
}

/// The state of a hold as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shown {
    /// Set aside.
    Held,
    /// At the till.
    Paying,
    /// Sold.
    Claimed,
    /// Given back.
    Released,
    /// Run out.
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
    /// Its order, where it is sold: one of those that clients use.
    pub order: Option<u8>,
    /// Items by their place and units that the hold has.
    pub lines: Vec<(u8, u32)>,
    /// Its customer's number.
    pub customer: u32,
}

/// A business "no".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Too few units are free.
    SoldOut,
    /// The customer has too many.
    LimitReached,
    /// The hold has run out.
    Expired,
    /// The hold was given back.
    Released,
    /// The hold is sold.
    Claimed,
    /// The hold is sold for another order.
    OrderMismatch,
    /// The hold is at the till.
    Paying,
}

/// Stock of one item as it was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Ever put in.
    pub received: u32,
    /// For sale.
    pub free: u32,
    /// Set aside.
    pub held: u32,
    /// At the till.
    pub paying: u32,
    /// Sold.
    pub claimed: u32,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// A hold.
    Hold(Seen),
    /// A refusal; with items that it says are short.
    Refused(Why, Vec<u8>),
    /// There is no such hold.
    Absent,
    /// The adjustment is made.
    Adjusted,
    /// Stock of each item.
    Stock(Vec<Figures>),
    /// Nothing that tells what became of it.
    Unknown(String),
    /// What can't be an answer to this question.
    Odd(String),
}

/// A call and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Who asked.
    pub client: u16,
    /// Which of the server's lives was asked.
    pub term: u32,
    /// What was asked.
    pub verb: Verb,
    /// The hold's id, or the adjustment's; empty for a look at the stock.
    pub hold: String,
    /// The customer's number.
    pub customer: u32,
    /// Items by their place, and units.
    pub lines: Vec<(u8, u32)>,
    /// Before it was sent.
    pub sent: Moment,
    /// After it was answered, or given up.
    pub back: Moment,
    /// The server's time when it was decided, where the answer tells, in milliseconds since the epoch.
    pub now: Option<u64>,
    /// The answer.
    pub answer: Answer,
    /// A last look when all is over: it concerns nobody but the hold.
    #[serde(default)]
    pub last: bool,
}

/// A span in which the server's process stood still.
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
    /// What the run was set up with.
    pub setup: Setup,
    /// The lives of the server's process, in order.
    pub terms: Vec<Term>,
    /// When it stood still.
    pub pauses: Vec<Pause>,
    /// Every call, by the instant at which it was sent.
    pub calls: Vec<Call>,
}

impl Shown {
    /// That of the wire.
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

    /// Whether the hold has a deadline that counts.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Held | Self::Paying)
    }
}

impl Why {
    /// That of the wire; none for what the load can't bring about.
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
            pb::RefusalReason::Unspecified
            | pb::RefusalReason::NotOpen
            | pb::RefusalReason::Paused
            | pb::RefusalReason::Closed
            | pb::RefusalReason::NotEligible
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
    /// Whether nobody knows what became of the call.
    #[must_use]
    pub const fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }
}
