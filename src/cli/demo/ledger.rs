//! The ledger: the answers that the customers got, and what each customer did then. It knows nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use stockade_proto as pb;

use super::customer::Fate;
use crate::cli::failure::Failure;

/// The longest latency that is recorded exactly, in microseconds.
const SLOWEST: u64 = 60_000_000;
/// Most troubles that are kept in words.
const TROUBLES_MAX: usize = 5;

/// A hold that was granted, and what its customer did with it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The hold's id.
    pub hold: String,
    /// The customer's number.
    pub customer: u32,
    /// Its lines, as answered.
    pub lines: Vec<pb::HoldLine>,
    /// Its deadline when it was made.
    pub expires_at: prost_types::Timestamp,
    /// What the customer did with it.
    pub fate: Fate,
}

impl Entry {
    /// Units in the hold when it was made.
    pub(super) fn units(&self) -> u64 {
        self.lines.iter().map(|line| u64::from(line.quantity)).fold(0, u64::saturating_add)
    }
}

/// The answers of a round.
pub(super) struct Ledger {
    /// Reserves that were answered.
    pub asked: u64,
    /// Every hold that was granted.
    pub entries: Vec<Entry>,
    /// Refusals by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// Customers of the second round.
    pub again: Vec<u32>,
    /// The first few wrong answers, in words.
    pub troubles: Vec<String>,
    /// How many wrong answers there were.
    pub trouble_count: u64,
    /// Microseconds from request to answer, reserves only.
    pub latency: Histogram<u64>,
    /// How long the round took.
    pub took: Duration,
    /// Knives that were added during the sale.
    pub restocked: u64,
    /// Units of holds that expired.
    pub came_back: u64,
    /// Units that the customers of the second round got.
    pub bought_again: u64,
}

impl Ledger {
    /// An empty ledger.
    ///
    /// # Errors
    /// If the bounds of the histogram are invalid, which is a bug.
    pub(super) fn new() -> Result<Self, Failure> {
        let latency = Histogram::new_with_bounds(1, SLOWEST, 3).map_err(|_bad| Failure::Bug("the bounds are fixed"))?;
        Ok(Self {
            asked: 0,
            entries: Vec::new(),
            refused: BTreeMap::new(),
            again: Vec::new(),
            troubles: Vec::new(),
            trouble_count: 0,
            latency,
            took: Duration::ZERO,
            restocked: 0,
            came_back: 0,
            bought_again: 0,
        })
    }

    /// Records a wrong answer.
    pub(super) fn trouble(&mut self, what: String) {
        self.trouble_count = self.trouble_count.saturating_add(1);
        if self.troubles.len() < TROUBLES_MAX {
            self.troubles.push(what);
        }
    }

    /// Records the latency of an answer.
    pub(super) fn record(&mut self, took: Duration) {
        self.latency.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// Adds another ledger.
    pub(super) fn merge(&mut self, other: Self) {
        let Self {
            asked,
            entries,
            refused,
            again,
            troubles,
            trouble_count,
            latency,
            took: _,
            restocked,
            came_back,
            bought_again,
        } = other;
        self.asked = self.asked.saturating_add(asked);
        self.entries.extend(entries);
        for (reason, count) in refused {
            let sum = self.refused.entry(reason).or_default();
            *sum = sum.saturating_add(count);
        }
        self.again.extend(again);
        let room = TROUBLES_MAX.saturating_sub(self.troubles.len());
        self.troubles.extend(troubles.into_iter().take(room));
        self.trouble_count = self.trouble_count.saturating_add(trouble_count);
        if self.latency.add(latency).is_err() {
            self.trouble("latencies can't be added up".to_owned());
        }
        self.restocked = self.restocked.saturating_add(restocked);
        self.came_back = self.came_back.saturating_add(came_back);
        self.bought_again = self.bought_again.saturating_add(bought_again);
    }

    /// The holds with this fate.
    pub(super) fn holds(&self, fate: Fate) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.fate == fate)
    }

    /// The number of holds with this state at the end.
    pub(super) fn count(&self, state: pb::HoldState) -> usize {
        self.entries.iter().filter(|entry| entry.fate.end() == state).count()
    }

    /// Units of an item in holds with this state at the end.
    pub(super) fn units(&self, state: pb::HoldState, sku: &str) -> u64 {
        let holds = self.entries.iter().filter(|entry| entry.fate.end() == state);
        let lines = holds.flat_map(|entry| &entry.lines).filter(|line| line.sku == sku);
        lines.map(|line| u64::from(line.quantity)).fold(0, u64::saturating_add)
    }
}
