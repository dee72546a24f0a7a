//! What the engine reports about itself: plain numbers, gathered when they are asked for.
//!
//! The engine fills a [`Readings`]; `src/admin/` of the service names the numbers. Nothing here is counted on a hot
//! path and nothing here is text. The number of series that carry a drop or a SKU is bounded here.

use stockade_types::hold::HoldState;
use stockade_types::ids::{DropId, PoolId, Sku};
use stockade_types::metrics::{Counter, HistogramReading};
use stockade_types::refusal::Reason;
use stockade_types::time::{Millis, Timestamp};

use crate::Engine;
use crate::answer::Stock;

/// Most pools that are shown one by one; with five states each that makes 1,000 series.
pub const POOLS_MAX: usize = 200;
/// Most refusal counts that are shown by drop.
pub const REFUSALS_MAX: usize = 1_000;

/// The engine's numbers at one scrape.
#[derive(Debug, Clone, Default)]
pub struct Readings {
    /// Refusals by drop and reason, none of them 0. At most [`REFUSALS_MAX`].
    pub refusals: Vec<(DropId, Reason, u64)>,
    /// Refusals beyond [`REFUSALS_MAX`] counts, in the order of [`Reason::ALL`].
    pub refusals_untracked: [u64; Reason::ALL.len()],
    /// Holds that have ever entered each state, in the order of [`HoldState::ALL`].
    pub hold_transitions: [u64; HoldState::ALL.len()],
    /// Holds in memory by state, in the order of [`HoldState::ALL`].
    pub holds: [u64; HoldState::ALL.len()],
    /// Pools of live drops. At most [`POOLS_MAX`].
    pub pools: Vec<PoolReading>,
    /// The sum of all pools beyond [`POOLS_MAX`].
    pub pools_untracked: Stock,
    /// Units by which the counters and ledgers of all pools disagreed at the last comparison: always 0.
    pub conservation_error_units: u64,
    /// How long after their deadlines holds were expired.
    pub expiry_lag: HistogramReading,
    /// The journal.
    pub journal: JournalReading,
    /// Snapshots.
    pub snapshot: SnapshotReading,
}

/// A pool of a live drop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolReading {
    /// Its drop.
    pub drop: DropId,
    /// Its item.
    pub sku: Sku,
    /// Its id.
    pub pool: PoolId,
    /// Its stock.
    pub stock: Stock,
}

/// The journal at one scrape.
#[derive(Debug, Clone, Default)]
pub struct JournalReading {
    /// How long syncs took.
    pub sync_duration: HistogramReading,
    /// How long the oldest record that is not durable has waited; 0 if all are durable.
    pub oldest_unsynced: Millis,
    /// Bytes that the journal takes.
    pub bytes: u64,
}

/// Snapshots at one scrape.
#[derive(Debug, Clone, Default)]
pub struct SnapshotReading {
    /// How long snapshots took.
    pub duration: HistogramReading,
    /// When the last snapshot that succeeded was finished; none if there is none.
    pub last_success: Option<Timestamp>,
}

impl Readings {
    /// Adds a drop's refusal counts, in the order of [`Reason::ALL`]: by drop up to [`REFUSALS_MAX`], after that by
    /// reason alone.
    pub fn add_refusals(&mut self, drop: &DropId, counts: &[u64; Reason::ALL.len()]) {
        for ((reason, count), untracked) in Reason::ALL.iter().zip(counts).zip(&mut self.refusals_untracked) {
            if *count == 0 {
                continue;
            }
            if self.refusals.len() < REFUSALS_MAX {
                self.refusals.push((drop.clone(), *reason, *count));
            } else {
                *untracked = untracked.saturating_add(*count);
            }
        }
    }

    /// Adds a pool: by itself up to [`POOLS_MAX`], after that to the sum of all others.
    pub fn add_pool(&mut self, drop: &DropId, sku: &Sku, pool: &PoolId, stock: Stock) {
        if self.pools.len() < POOLS_MAX {
            let (drop, sku, pool) = (drop.clone(), sku.clone(), pool.clone());
            self.pools.push(PoolReading { drop, sku, pool, stock });
        } else {
            self.pools_untracked = self.pools_untracked.plus(stock);
        }
    }
}

impl Engine {
    /// Gathers the numbers. Takes each lock by itself and for a moment. Pools are shown for drops that are not over or
    /// have live holds.
    #[must_use]
    pub fn readings(&self) -> Readings {
        let mut readings = Readings {
            hold_transitions: self.metrics.transitions.each_ref().map(Counter::get),
            holds: self.inventory.holds.counts(),
            conservation_error_units: self.metrics.conservation_error.get(),
            expiry_lag: self.metrics.expiry_lag.read(),
            journal: JournalReading {
                sync_duration: self.journal.metrics().sync_duration.read(),
                oldest_unsynced: Millis::from(self.journal.oldest_unsynced()),
                bytes: self.journal.bytes(),
            },
            snapshot: SnapshotReading {
                duration: self.metrics.snapshot_duration.read(),
                last_success: Some(Timestamp(self.metrics.snapshot_at.get())).filter(|at| at.0 > 0),
            },
            ..Readings::default()
        };
        for entry in self.inventory.drops.all() {
            let inner = entry.read();
            readings.add_refusals(&inner.definition.id, &entry.refusals());
            let live = !inner.state().is_over();
            let (stock, _) = entry.stock(&inner);
            for (item, pools) in inner.definition.items.iter().zip(&stock) {
                for (pool, stock) in item.pools.iter().zip(pools) {
                    // A closed drop is shown until its last hold has ended.
                    if live || stock.held > 0 || stock.paying > 0 {
                        readings.add_pool(&inner.definition.id, &item.sku, &pool.id, *stock);
                    }
                }
            }
        }
        readings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_told_in_sum() {
        let (drop, sku, pool) = ("d".parse().expect("id"), "s".parse().expect("id"), "p".parse().expect("id"));
        let mut readings = Readings::default();
        for _ in 0..POOLS_MAX + 2 {
            readings.add_pool(&drop, &sku, &pool, Stock { received: 3, free: 3, ..Stock::default() });
        }
        assert_eq!((readings.pools.len(), readings.pools_untracked.free), (POOLS_MAX, 6));
        let mut counts = [0; Reason::ALL.len()];
        counts[4] = 7;
        for _ in 0..=REFUSALS_MAX {
            readings.add_refusals(&drop, &counts);
        }
        assert_eq!((readings.refusals.len(), readings.refusals_untracked[4]), (REFUSALS_MAX, 7));
    }
}
