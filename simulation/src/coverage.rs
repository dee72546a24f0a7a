//! Counts by name what a run has exercised, so that gaps show.

use std::collections::BTreeMap;
use std::fmt;

/// Counts by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage(BTreeMap<String, u64>);

/// What every longer run must have reached; without one of these it proves less than it claims.
pub const IMPORTANT: &[&str] = &[
    "answer already_exists",
    "answer held",
    "answer paying",
    "answer claimed",
    "answer released",
    "answer not_found",
    "answer invalid",
    "answer precondition",
    "refused closed",
    "refused cooldown",
    "refused hold_claimed",
    "refused hold_expired",
    "refused hold_released",
    "refused limit_reached",
    "refused not_eligible",
    "refused not_open",
    "refused order_mismatch",
    "refused paused",
    "refused payment_in_progress",
    "refused slot_required",
    "refused sold_out",
    "refused sold_out, may come back",
    "refused superseded",
    "refused too_many_holds",
    "did again",
    "did claim",
    "did claim late",
    "did extend",
    "did get",
    "did release",
    "did fire a flow by hand",
    "did reserve",
    "did reserve at a price",
    "did reserve from a named pool",
    "did reserve over limits",
    "did reserve over windows",
    "did reserve partly",
    "did reserve through a window",
    "did return",
    "did stage",
    "did supersede",
    "did adjust",
    "did archive",
    "did archive in a snapshot",
    "did turn a drop",
    "did snapshot",
    "did steer",
    "did sweep",
    "did trim",
    "did update",
    "fired by level: flow",
    "fired by level: step",
    "fired by level: tranche",
    "fired by moment: flow",
    "fired by moment: price begins",
    "fired by moment: price ends",
    "fired by moment: slot",
    "fired by moment: step",
    "fired by moment: tranche",
    "fired by moment: window closes",
    "fired by moment: window opens",
    "fired by an update",
    "update of rules invalid",
    "update of rules made",
    "update of rules precondition",
    "seed with rules",
    "seed without rules",
    "call acknowledged",
    "call cancelled",
    "call unknown",
    "clock jumped ahead",
    "clock jumped back",
    "clock refused a start",
    "crash in a snapshot",
    "crash of the machine",
    "crash of the machine with os durability",
    "crash of the process",
    "crash at an operation of the disk",
    "stop in order",
    "fault append",
    "fault create",
    "fault remove",
    "fault rename",
    "fault sync",
    "fault sync of names",
    "fault of a snapshot",
    "fault of a start",
    "fault of the journal",
    "fault of tending",
    "followed from a record",
    "followed from a snapshot's end",
    "followed from the beginning",
    "followers met",
    "history began later",
    "history forced by others",
    "history kept",
    "history read",
    "recovery",
    "recovery cut a torn tail",
    "recovery from a snapshot",
    "recovery gave grace",
    "recovery of unacknowledged records",
    "recovery without unacknowledged records",
    "rot in the journal cut",
    "rot in the journal refused",
    "rot in a snapshot passed over",
    "verified offline",
];

impl Coverage {
    /// One count of one name.
    #[must_use]
    pub fn of_one(what: &str) -> Self {
        Self(BTreeMap::from([(what.to_owned(), 1)]))
    }

    pub(crate) fn count(&mut self, what: &str) {
        self.add(what, 1);
    }

    pub(crate) fn add(&mut self, what: &str, times: u64) {
        match self.0.get_mut(what) {
            Some(count) => *count += times,
            None => {
                self.0.insert(what.to_owned(), times);
            }
        }
    }

    /// The count of a name.
    #[must_use]
    pub fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }

    /// Adds the counts of another run.
    pub fn merge(&mut self, other: &Self) {
        for (what, times) in &other.0 {
            self.add(what, *times);
        }
    }

    /// Important names with a count of 0.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        IMPORTANT.iter().copied().filter(|what| self.of(what) == 0).collect()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, times) in &self.0 {
            writeln!(f, "  {times:>12}  {what}")?;
        }
        Ok(())
    }
}
