//! A scenario: what is sold, when customers arrive, what they do, and what operators do meanwhile. Read from TOML.
//! Unknown keys are errors; all other faults are reported at once, by key.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use stockade_drill::Failure;
use stockade_drill::ledger::{self, Goods};
use stockade_drill::numbers::{real, whole};
use stockade_drill::wire;
use stockade_proto as pb;

use crate::schedule::{Phase, Shape};

mod check;

pub use check::ARRIVALS_MAX;

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
    /// The title for display.
    pub title: String,
    /// How the server is started.
    #[serde(default)]
    pub server: ServerPart,
    /// The drops.
    pub drops: Vec<Sale>,
    /// Holds that are made before the load.
    pub before: Option<Before>,
    /// When customers arrive.
    pub load: Load,
    /// The kinds of customers, and what they do.
    pub crowds: Vec<Crowd>,
    /// Actions of operators during the load.
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
    /// Its id; a part that is unique to the run is added.
    pub id: String,
    /// Its items.
    pub items: Vec<Goods>,
    /// The most units that a customer may have of the whole drop.
    pub limit: Option<u32>,
    /// How long a hold lives.
    #[serde(default)]
    pub hold_ttl: Option<Span>,
    /// How long it lives with all extensions.
    #[serde(default)]
    pub max_hold_life: Option<Span>,
    /// How long a payment may take.
    #[serde(default)]
    pub payment_ttl: Option<Span>,
    /// It opens this long after the load begins; if absent, it is open before.
    #[serde(default)]
    pub opens_after: Option<Span>,
    /// Its pools, windows and prices.
    pub rules: Option<Rules>,
}

/// Rules of a drop: each with the keys of a drop's file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// The pools of items, by SKU. Sizes are shares, so that they scale.
    #[serde(default)]
    pub pools: BTreeMap<String, Vec<toml::Table>>,
    /// The windows.
    #[serde(default)]
    pub windows: Vec<toml::Table>,
    /// The prices.
    #[serde(default)]
    pub terms: Vec<toml::Table>,
}

/// Holds that are made before the load begins, one unit each.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Before {
    /// The drop's id.
    pub drop: String,
    /// The SKU.
    pub sku: String,
    /// The number of holds.
    pub holds: u64,
    /// The first expires this long after the load begins; if absent, they outlive it.
    pub expire_after: Option<Span>,
    /// The last expires this long after the first.
    #[serde(default)]
    pub expire_within: Option<Span>,
}

/// The arrivals: an open loop, or a closed one.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// Connections for reserves.
    #[serde(default = "usual_connections")]
    pub connections: u16,
    /// The seed of everything random.
    #[serde(default = "usual_seed")]
    pub seed: u64,
    /// An open loop: arrivals by a schedule.
    #[serde(default)]
    pub arrivals: Vec<Arrivals>,
    /// A closed loop instead.
    pub closed: Option<Closed>,
    /// One in this many requests is sent twice at once.
    pub twice_every: Option<u64>,
    /// How long a caller waits for an answer.
    #[serde(default = "usual_timeout")]
    pub timeout: Span,
    /// How long to wait after the load for holds to expire, before the audit.
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
    /// How they are distributed.
    pub shape: ShapeName,
    /// When they begin.
    #[serde(default)]
    pub after: Span,
    /// How long they last.
    #[serde(default)]
    pub length: Span,
    /// Arrivals a second; for a ramp, at its end.
    pub rate: Option<f64>,
    /// Arrivals a second at the start of a ramp.
    pub from: Option<f64>,
    /// Number of arrivals of a herd.
    pub count: Option<u64>,
}

/// How arrivals are distributed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ShapeName {
    /// At equal intervals.
    Constant,
    /// Independently of each other, as people arrive.
    Poisson,
    /// At a rate that changes linearly.
    Ramp,
    /// All at once.
    Herd,
}

/// A closed loop.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Closed {
    /// Visits at a time on each connection.
    pub in_flight: u16,
    /// How long the loop runs.
    pub length: Span,
}

/// Customers of one kind.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crowd {
    /// The name for display.
    pub name: String,
    /// Their part of all visits, relative to the sum of all crowds' parts.
    #[serde(default = "usual_share")]
    pub share: f64,
    /// The number of customers; they come in turn, again and again.
    pub customers: u64,
    /// The drops that they want, evenly; empty: all.
    #[serde(default)]
    pub drops: Vec<String>,
    /// Their tiers.
    #[serde(default)]
    pub tiers: Vec<String>,
    /// Their cart.
    pub cart: Vec<Want>,
    /// The ttl in their requests, instead of the drop's own.
    pub ttl: Option<Span>,
    /// The part of those with a hold that asks for more time.
    #[serde(default)]
    pub extend: f64,
    /// The part that begins a payment before the sale.
    #[serde(default)]
    pub pay: f64,
    /// The part that buys.
    #[serde(default)]
    pub claim: f64,
    /// The part that releases. The others walk away, and their holds expire.
    #[serde(default)]
    pub release: f64,
    /// How long they wait before each step, at least and at most.
    #[serde(default)]
    pub think: Option<(Span, Span)>,
    /// How often they come again after a "sold out" that may be temporary.
    #[serde(default)]
    pub again: u16,
    /// How long after that.
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
    /// The SKU.
    pub sku: String,
    /// The units.
    #[serde(default = "one")]
    pub units: u32,
    /// The part of the carts that contain it. A cart that would be empty contains its first line.
    #[serde(default = "usual_share")]
    pub chance: f64,
}

const fn one() -> u32 {
    1
}

/// An action of an operator during the load.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// When, from the start of the load.
    pub after: Span,
    /// The action.
    pub action: Action,
    /// The drop's id.
    pub drop: String,
    /// The SKU of a restock.
    #[serde(default)]
    pub sku: Option<String>,
    /// The units of a restock.
    #[serde(default)]
    pub units: Option<u64>,
}

/// The kinds of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Adds units.
    Restock,
    /// Stops reserves.
    Pause,
    /// Allows reserves again.
    Resume,
    /// Ends reserves permanently.
    Close,
}

impl Scenario {
    /// Reads a scenario from its file.
    ///
    /// # Errors
    /// When it can't be read, with the place in the file; or is inconsistent, with every faulty key.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(Failure::file(path))?;
        Self::parse(&text).map_err(|faults| Failure::Usage(format!("{}:\n{faults}", path.display())))
    }

    /// Reads a scenario from text.
    ///
    /// # Errors
    /// A description, one line for each fault.
    pub fn parse(text: &str) -> Result<Self, String> {
        let scenario: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        let faults = check::faults(&scenario);
        if faults.is_empty() { Ok(scenario) } else { Err(faults.join("\n")) }
    }

    /// The scenario scaled: stock, customers, arrivals, prefilled holds and restocks are multiplied by the factor, so
    /// that demand and stock keep their ratio. A closed loop keeps its length.
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

    /// The length of the load, without visits that begin late.
    #[must_use]
    pub fn length(&self) -> Duration {
        let closed = self.load.closed.as_ref().map_or(Duration::ZERO, |closed| closed.length.0);
        crate::schedule::length(&self.phases()).max(closed)
    }
}

impl Sale {
    /// The drop as it is sold under this id.
    #[must_use]
    pub fn named(&self, id: &str) -> ledger::Sale {
        // Its faults were reported when it was read.
        let rules = self.rules.as_ref().and_then(|_| self.definition(id).ok());
        ledger::Sale { id: id.to_owned(), items: self.items.clone(), limit: self.limit, item_limit: None, rules }
    }

    /// The drop as it is created under this id, open at once.
    ///
    /// # Errors
    /// What is wrong with its rules.
    pub fn definition(&self, id: &str) -> Result<pb::Drop, String> {
        let span = |span: Option<Span>| span.map(|span| wire::span(span.0));
        let items = self.items.iter().map(|goods| (goods.sku.as_str(), goods.units));
        let plain = pb::Drop {
            hold_ttl: span(self.hold_ttl),
            max_hold_life: span(self.max_hold_life),
            payment_ttl: span(self.payment_ttl),
            ..wire::drop(id, items, self.limit)
        };
        let Some(rules) = &self.rules else { return Ok(plain) };
        let stated = rules.read(&self.items)?;
        let pools = |item: pb::Item| {
            let of = stated.items.iter().find(|of| of.sku == item.sku);
            pb::Item { pools: of.map(|of| of.pools.clone()).unwrap_or_default(), ..item }
        };
        let items = plain.items.into_iter().map(pools).collect();
        Ok(pb::Drop { items, windows: stated.windows, terms: stated.terms, ..plain })
    }
}

impl Rules {
    /// The rules as a drop's file would state them, with these items.
    fn read(&self, items: &[Goods]) -> Result<pb::Drop, String> {
        let Self { pools, windows, terms } = self;
        if let Some(sku) = pools.keys().find(|sku| !items.iter().any(|goods| goods.sku == **sku)) {
            return Err(format!("pools has no item: {sku:?}"));
        }
        if pools.values().flatten().any(|pool| pool.contains_key("units")) {
            return Err("pools have a share instead of units, so that they scale".to_owned());
        }
        let item = |goods: &Goods| match pools.get(&goods.sku) {
            Some(pools) => serde_json::json!({"sku": goods.sku, "quantity": goods.units, "pools": pools}),
            None => serde_json::json!({"sku": goods.sku, "quantity": goods.units}),
        };
        let mut file = serde_json::json!({
            "kind": "Drop", "id": "rules", "items": items.iter().map(item).collect::<Vec<_>>(),
        });
        for (key, rules) in [("windows", windows), ("terms", terms)] {
            if let Some(file) = file.as_object_mut().filter(|_| !rules.is_empty()) {
                file.insert(key.to_owned(), serde_json::json!(rules));
            }
        }
        // JSON is YAML.
        stockade::cli::drop_file::parse("rules", &file.to_string())
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
