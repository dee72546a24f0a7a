//! Counts by name what a run has exercised, so that gaps show.

use std::collections::BTreeMap;
use std::fmt;

/// Counts by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage(BTreeMap<String, u64>);

/// What every longer run must have reached, by the first word of the name; without one of these it proves less than it
/// claims.
const IMPORTANT: &[(&str, &str)] = &[
    ("answer", "already_exists, held, paying, claimed, released, not_found, invalid, precondition"),
    (
        "refused",
        "closed, cooldown, hold_claimed, hold_expired, hold_released, limit_reached, order_mismatch, paused, \
         payment_in_progress, sold_out, superseded, too_many_holds, not_eligible, not_open, slot_required, \
         sold_out and may come back, by conduct",
    ),
    (
        "did",
        "again, claim, claim late, extend, get, release, reserve, reserve over limits, reserve partly, return, \
         stage, supersede, fire a flow by hand, reserve at a price, reserve a shorter life by conduct, \
         reserve from a named pool, reserve over windows, reserve through a window, adjust, reconcile, \
         reconcile again, archive, archive in a snapshot, turn a drop, snapshot, steer, sweep, trim, \
         update, create a series, create a series again, update a series, open a drop of a series, \
         create a webhook, update a webhook, delete a webhook, keep what was delivered",
    ),
    ("call", "acknowledged, cancelled, unknown"),
    ("clock", "jumped ahead, jumped back, refused a start"),
    (
        "crash",
        "in a snapshot, of the machine, of the machine with os durability, of the process, \
         at an operation of the disk",
    ),
    (
        "fault",
        "append, create, remove, rename, sync, sync of names, of a snapshot, of a start, of the journal, \
         of tending",
    ),
    ("followed", "from a record, from a snapshot's end, from the beginning"),
    ("history", "began later, forced by others, kept, read"),
    (
        "recovery",
        "cut a torn tail, from a snapshot, gave grace, of unacknowledged records, without unacknowledged records",
    ),
    ("rot", "in the journal cut, in the journal refused, in a snapshot passed over"),
    ("occurrence", "made, skipped"),
    ("stop", "in order"),
    ("followers", "met"),
    ("verified", "offline"),
    ("fired by level:", "flow, step, tranche"),
    (
        "fired by moment:",
        "flow, price begins, price ends, slot, slot after the closing, step, tranche, window closes, \
         window opens",
    ),
    ("fired by an update", ""),
    ("made known:", "back, band, before a closing, before a closing by hand, sold out"),
    ("update of rules", "invalid, made, precondition"),
    ("seed", "with rules, without rules"),
    ("recovery", ""),
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
    pub fn missing(&self) -> Vec<String> {
        let named = |(of, whats): &(&str, &'static str)| {
            let of = (*of).to_owned();
            whats.split(", ").map(move |what| [&of, what].join(" ").trim_end().to_owned())
        };
        IMPORTANT.iter().flat_map(named).filter(|what| self.of(what) == 0).collect()
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
