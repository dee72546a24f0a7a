//! A scenario: what is sold, who comes when, what they do, and what happens meanwhile. Read from TOML; every key is known
//! and every fault is told by its key, all at once.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use crate::failure::Failure;
use crate::numbers::{real, whole};
use crate::schedule::{Phase, Shape};

mod check;

pub use check::MOST_ARRIVALS;

/// A span of time, written as `5m` or `1h 30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Span(pub Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        humantime::parse_duration(&text).map(Self).map_err(|error| D::Error::custom(format!("{text:?}: {error}")))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

/// A whole scenario.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// For people.
    pub title: String,
    /// How a server is started for it.
    #[serde(default)]
    pub server: ServerPart,
    /// What is sold.
    pub drops: Vec<Sale>,
    /// Holds that are there before.
    pub before: Option<Before>,
    /// Who comes when.
    pub load: Load,
    /// Who they are, and what they do.
    pub crowds: Vec<Crowd>,
    /// What operators do meanwhile.
    #[serde(default)]
    pub events: Vec<Event>,
}

/// How a server is started.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerPart {
    /// Further flags of `stockade serve`.
    #[serde(default)]
    pub flags: Vec<String>,
}

/// One drop.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sale {
    /// Its id; what makes it one of this run's own is added.
    pub id: String,
    /// Its goods.
    pub items: Vec<Goods>,
    /// The most that a customer may have of the whole drop.
    pub limit: Option<u32>,
    /// How long a hold lives.
    #[serde(default)]
    pub hold_ttl: Option<Span>,
    /// With all extensions.
    #[serde(default)]
    pub max_hold_life: Option<Span>,
    /// How long a payment may take.
    #[serde(default)]
    pub payment_ttl: Option<Span>,
    /// It opens so long after the load begins; left out: it is open before.
    #[serde(default)]
    pub opens_after: Option<Span>,
}

/// One SKU.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Goods {
    /// Its name.
    pub sku: String,
    /// The first stock.
    pub units: u64,
}

/// Holds that are made before the load begins, one unit each.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Before {
    /// In which drop.
    pub drop: String,
    /// Of which SKU.
    pub sku: String,
    /// How many.
    pub holds: u64,
    /// They begin to expire so long after the load begins; left out: they outlive it.
    pub expire_after: Option<Span>,
    /// And the last expires so long after the first.
    #[serde(default)]
    pub expire_within: Option<Span>,
}

/// Who comes when: an open loop, or a closed one.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// Connections that they share.
    #[serde(default = "usual_connections")]
    pub connections: u16,
    /// Decides everything that is left to chance.
    #[serde(default = "usual_seed")]
    pub seed: u64,
    /// An open loop: arrivals by a schedule.
    #[serde(default)]
    pub arrivals: Vec<Arrivals>,
    /// A closed loop instead.
    pub closed: Option<Closed>,
    /// Every so-manieth request is sent twice at once.
    pub twice_every: Option<u64>,
    /// How long a caller waits for an answer.
    #[serde(default = "usual_timeout")]
    pub timeout: Span,
    /// How long it is waited after the load, for what has to expire, before the audit.
    #[serde(default)]
    pub settle: Span,
}

const fn usual_connections() -> u16 {
    8
}

const fn usual_seed() -> u64 {
    1
}

const fn usual_timeout() -> Span {
    Span(Duration::from_mins(1))
}

/// Arrivals of an open loop.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arrivals {
    /// How they are spread.
    pub shape: ShapeName,
    /// When they begin.
    #[serde(default)]
    pub after: Span,
    /// For how long.
    #[serde(default)]
    pub length: Span,
    /// Arrivals a second; of a ramp, at last.
    pub rate: Option<f64>,
    /// Of a ramp, at first.
    pub from: Option<f64>,
    /// Of a herd: how many.
    pub count: Option<u64>,
}

/// How arrivals are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ShapeName {
    /// At even distances.
    Constant,
    /// As people come.
    Poisson,
    /// More and more.
    Ramp,
    /// All at once.
    Herd,
}

/// A closed loop.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Closed {
    /// Visits at the same time on each connection.
    pub in_flight: u16,
    /// For how long.
    pub length: Span,
}

/// Customers of one kind.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crowd {
    /// For people.
    pub name: String,
    /// Their part of all visits, by the sum of all crowds' parts.
    #[serde(default = "usual_share")]
    pub share: f64,
    /// How many customers there are; they come in turn, and start over when all have come.
    pub customers: u64,
    /// The drops that they come for, evenly; none: all.
    #[serde(default)]
    pub drops: Vec<String>,
    /// What they want.
    pub cart: Vec<Want>,
    /// Asked instead of the drop's own.
    pub ttl: Option<Span>,
    /// What part of those who got a hold asks for more time.
    #[serde(default)]
    pub extend: f64,
    /// What part goes to the till first, which is a stage of its own.
    #[serde(default)]
    pub pay: f64,
    /// What part buys.
    #[serde(default)]
    pub claim: f64,
    /// What part gives back. The others walk away, and their holds expire.
    #[serde(default)]
    pub release: f64,
    /// How long they think before each step, at least and at most.
    #[serde(default)]
    pub think: Option<(Span, Span)>,
    /// How often they come again who found it sold out while others held units.
    #[serde(default)]
    pub again: u16,
    /// And how long after.
    #[serde(default)]
    pub again_after: Span,
}

const fn usual_share() -> f64 {
    1.0
}

/// A line of a cart.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Want {
    /// Of what.
    pub sku: String,
    /// How many.
    #[serde(default = "one")]
    pub units: u32,
    /// In what part of the carts. A cart in which nothing would be has its first line.
    #[serde(default = "usual_share")]
    pub chance: f64,
}

const fn one() -> u32 {
    1
}

/// What an operator does meanwhile.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// When, from the start of the load.
    pub after: Span,
    /// What.
    pub action: Action,
    /// To which drop.
    pub drop: String,
    /// Of a restock: of what.
    #[serde(default)]
    pub sku: Option<String>,
    /// Of a restock: how many.
    #[serde(default)]
    pub units: Option<u64>,
}

/// What an operator does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// More units.
    Restock,
    /// No reserves for now.
    Pause,
    /// Reserves again.
    Resume,
    /// No reserves for good.
    Close,
}

impl Scenario {
    /// Reads a scenario from its file.
    ///
    /// # Errors
    /// When it can't be read, with the place in the file; or makes no sense, with every faulty key.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(Failure::file(path))?;
        Self::parse(&text).map_err(|faults| Failure::Scenario { path: path.to_owned(), faults })
    }

    /// Reads a scenario from text.
    ///
    /// # Errors
    /// In words, a line for each fault.
    pub fn parse(text: &str) -> Result<Self, String> {
        let scenario: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        let faults = check::faults(&scenario);
        if faults.is_empty() { Ok(scenario) } else { Err(faults.join("\n")) }
    }

    /// The same, smaller or larger: stock, customers, arrivals, holds that are there before and restocks, all by the
    /// same factor, so that demand and stock keep their ratio. A closed loop keeps its length.
    #[must_use]
    pub fn scaled(mut self, factor: f64) -> Self {
        let scale = |number: &mut u64| *number = whole(real(*number) * factor).max(1);
        for goods in self.drops.iter_mut().flat_map(|sale| &mut sale.items) {
            scale(&mut goods.units);
        }
        for crowd in &mut self.crowds {
            scale(&mut crowd.customers);
        }
        if let Some(before) = &mut self.before {
            scale(&mut before.holds);
        }
        for units in self.events.iter_mut().filter_map(|event| event.units.as_mut()) {
            scale(units);
        }
        for arrivals in &mut self.load.arrivals {
            for rate in [&mut arrivals.rate, &mut arrivals.from].into_iter().flatten() {
                *rate *= factor;
            }
            if let Some(count) = &mut arrivals.count {
                scale(count);
            }
        }
        self
    }

    /// When arrivals are due, phase by phase.
    #[must_use]
    pub fn phases(&self) -> Vec<Phase> {
        self.load.arrivals.iter().map(Arrivals::phase).collect()
    }

    /// How long the load is, visits that begin late not counted.
    #[must_use]
    pub fn length(&self) -> Duration {
        let closed = self.load.closed.as_ref().map_or(Duration::ZERO, |closed| closed.length.0);
        crate::schedule::length(&self.phases()).max(closed)
    }
}

impl Arrivals {
    fn phase(&self) -> Phase {
        let rate = self.rate.unwrap_or_default();
        let shape = match self.shape {
            ShapeName::Constant => Shape::Constant { rate },
            ShapeName::Poisson => Shape::Poisson { rate },
            ShapeName::Ramp => Shape::Ramp { from: self.from.unwrap_or_default(), to: rate },
            ShapeName::Herd => Shape::Herd { arrivals: self.count.unwrap_or_default() },
        };
        Phase { after: self.after.0, length: self.length.0, shape }
    }
}

#[cfg(test)]
mod tests;
