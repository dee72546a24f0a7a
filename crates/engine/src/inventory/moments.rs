//! The next moment of each drop that has one, so that not all drops are read to find the few that open or close now, or
//! have been closed long enough to be archived.

use std::collections::{BTreeSet, HashMap};

use parking_lot::Mutex;
use stockade_counter::sync::{AtomicU64, Ordering};
use stockade_types::ids::DropNo;
use stockade_types::time::Timestamp;

/// One moment for each drop that has one: its next opening or closing, or its past closing.
#[derive(Debug)]
pub struct Moments {
    known: Mutex<MomentQueue>,
    /// The earliest of them, in milliseconds, so that reading it costs nothing before that.
    earliest: AtomicU64,
}

#[derive(Debug, Default)]
struct MomentQueue {
    in_order: BTreeSet<(Timestamp, DropNo)>,
    of_drop: HashMap<DropNo, Timestamp>,
}

impl Default for Moments {
    fn default() -> Self {
        Self { known: Mutex::default(), earliest: AtomicU64::new(Timestamp::NEVER.0) }
    }
}

impl Moments {
    /// Sets a drop's moment; [`Timestamp::NEVER`] for none. The drop's gate is closed, or it is being made.
    pub(super) fn expect(&self, drop: DropNo, at: Timestamp) {
        let mut known = self.known.lock();
        let before = if at == Timestamp::NEVER { known.of_drop.remove(&drop) } else { known.of_drop.insert(drop, at) };
        if before == Some(at) {
            return;
        }
        if let Some(before) = before {
            known.in_order.remove(&(before, drop));
        }
        if at < Timestamp::NEVER {
            known.in_order.insert((at, drop));
        }
        // Under the lock, so that the value is never older than the list. Relaxed: [`Moments::due`] reads the list
        // under the lock.
        let earliest = known.in_order.first().map_or(Timestamp::NEVER, |(at, _)| *at);
        self.earliest.store(earliest.0, Ordering::Relaxed);
    }

    /// At most `most` drops whose moment is due, earliest first.
    #[must_use]
    pub fn due(&self, now: Timestamp, most: usize) -> Vec<DropNo> {
        if self.earliest.load(Ordering::Relaxed) > now.0 {
            return Vec::new();
        }
        let known = self.known.lock();
        known.in_order.iter().take_while(|(at, _)| *at <= now).take(most).map(|(_, drop)| *drop).collect()
    }

    /// The instant of the earliest moment; [`Timestamp::NEVER`] without one.
    #[must_use]
    pub fn next(&self) -> Timestamp {
        Timestamp(self.earliest.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drop_is_due_at_its_next_moment_alone_earliest_first() {
        let moments = Moments::default();
        let due = |now, most| moments.due(Timestamp(now), most).iter().map(|drop| drop.0).collect::<Vec<_>>();
        assert!(due(u64::MAX - 1, 9).is_empty());
        for (drop, at) in [(1, 30), (2, 10), (3, 20), (2, 40), (3, 20)] {
            moments.expect(DropNo(drop), Timestamp(at));
        }
        assert_eq!(moments.next(), Timestamp(20));
        assert_eq!([due(19, 9), due(30, 9), due(40, 2), due(40, 9)], [vec![], vec![3, 1], vec![3, 1], vec![3, 1, 2]]);
        moments.expect(DropNo(3), Timestamp::NEVER);
        assert_eq!((due(40, 9), moments.next()), (vec![1, 2], Timestamp(30)));
    }
}
