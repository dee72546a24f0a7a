//! What one customer wants, and what becomes of the hold.

use std::time::Duration;

use uuid::Uuid;

use crate::ledger::Visit;
use crate::numbers::micros;

/// How a visit ends that got units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The units are sold.
    Buys,
    /// The units are released.
    GivesBack,
    /// Nothing more is asked: the hold expires in its time.
    WalksAway,
}

/// One visit.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The crowd, by its place.
    pub crowd: u16,
    /// The customer, by their turn in the crowd.
    pub turn: u64,
    /// The customer's id.
    pub customer: String,
    /// The drop, by its place.
    pub drop: u16,
    /// Items by their place in the drop, and units.
    pub lines: Vec<(u16, u32)>,
    /// The hold's id.
    pub hold: Uuid,
    /// A ttl of the customer's own.
    pub ttl: Option<Duration>,
    /// Whether the customer sends the granted reserve once more, as if its answer had been lost.
    pub repeats: bool,
    /// Whether the customer asks for more time.
    pub extends: bool,
    /// Whether the hold goes into payment.
    pub pays: bool,
    /// How it ends.
    pub fate: Fate,
    /// How often the customer comes again.
    pub again: u16,
    /// How long after a refusal.
    pub again_after: Duration,
    /// How long the customer thinks before each step.
    pub think: Think,
}

/// How long a customer thinks before each step.
#[derive(Debug, Clone)]
pub struct Think {
    least: Duration,
    most: Duration,
    random: fastrand::Rng,
}

impl Think {
    /// Thinks for a random time between these two.
    #[must_use]
    pub const fn between(least: Duration, most: Duration, random: fastrand::Rng) -> Self {
        Self { least, most, random }
    }

    /// Does not think.
    #[must_use]
    pub fn never() -> Self {
        Self::between(Duration::ZERO, Duration::ZERO, fastrand::Rng::with_seed(0))
    }

    /// The time before the next step.
    pub fn thought(&mut self) -> Duration {
        let (least, most) = (micros(self.least), micros(self.most));
        Duration::from_micros(self.random.u64(least..=most.max(least)))
    }
}

impl Plan {
    /// The visit before its first request.
    pub(super) fn visit(&self) -> Visit {
        let Self { hold, drop, crowd, turn, .. } = *self;
        Visit {
            hold,
            drop,
            crowd,
            turn,
            customer: self.customer.clone(),
            lines: self.lines.clone(),
            names_ttl: self.ttl.is_some(),
            served: Vec::new(),
            calls: Vec::new(),
        }
    }
}
