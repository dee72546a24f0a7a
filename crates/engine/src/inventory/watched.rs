//! Drops with a rule that fires at a level of stock and has not fired, so that not all drops are read to find the few
//! whose stock must be looked at.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use stockade_counter::sync::{AtomicU64, Ordering};
use stockade_types::ids::DropNo;

/// The drops to look at.
#[derive(Debug, Default)]
pub struct Watched {
    drops: Mutex<BTreeSet<DropNo>>,
    /// How many there are, so that knowing that there is none costs nothing.
    count: AtomicU64,
}

impl Watched {
    /// Sets whether a drop is one of them. The drop's gate is closed, or it is being made.
    pub(super) fn set(&self, drop: DropNo, is_watched: bool) {
        if !is_watched && self.is_empty() {
            return;
        }
        let mut drops = self.drops.lock();
        if is_watched {
            drops.insert(drop);
        } else {
            drops.remove(&drop);
        }
        // Relaxed: `after` reads the list under the lock.
        self.count.store(u64::try_from(drops.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Whether a drop is one of them.
    #[must_use]
    pub fn has(&self, drop: DropNo) -> bool {
        self.drops.lock().contains(&drop)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// At most `most` of them with higher numbers than `last`, in order.
    #[must_use]
    pub fn after(&self, last: Option<DropNo>, most: usize) -> Vec<DropNo> {
        let from = last.map_or(0, |last| last.0.saturating_add(1));
        self.drops.lock().range(DropNo(from)..).take(most).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_watched_in_their_order_until_they_are_not() {
        let watched = Watched::default();
        let after = |last: Option<u32>, most| {
            watched.after(last.map(DropNo), most).iter().map(|drop| drop.0).collect::<Vec<_>>()
        };
        watched.set(DropNo(9), false);
        assert!(watched.is_empty() && after(None, 9).is_empty());
        for (drop, is_watched) in [(3, true), (1, true), (2, true), (1, true), (2, false)] {
            watched.set(DropNo(drop), is_watched);
        }
        assert!(!watched.is_empty());
        assert_eq!(
            [after(None, 9), after(None, 1), after(Some(1), 9), after(Some(3), 9)],
            [vec![1, 3], vec![1], vec![3], vec![]]
        );
    }
}
