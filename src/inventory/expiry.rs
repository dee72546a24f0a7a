//! When holds fall due: one queue a pool, exact to the millisecond.
//!
//! Deadlines of one pool fall into few distinct milliseconds, so the queue is an ordered map from instant to the holds
//! that are due then. The first key is the next deadline, exactly, after every removal: a refusal can tell when units
//! may come back. Nothing cascades, and a million deadlines in one second cost each request its own entry only.
//! It never decides that a hold has expired: it only knows where to look.

use std::collections::{BTreeMap, BTreeSet};

use super::holds::HoldRef;
use crate::time::Timestamp;

/// Deadlines of the live holds of one pool.
#[derive(Debug, Default)]
pub(super) struct Deadlines(BTreeMap<Timestamp, Bucket>);

/// Holds that are due at the same instant. Most instants have one: that one takes no set.
#[derive(Debug)]
enum Bucket {
    One(HoldRef),
    Many(BTreeSet<HoldRef>),
}

impl Deadlines {
    /// The earliest deadline.
    pub(super) fn next(&self) -> Timestamp {
        self.0.first_key_value().map_or(Timestamp::NEVER, |(at, _)| *at)
    }

    /// The earliest deadline of any hold but this one.
    pub(super) fn next_without(&self, hold: HoldRef) -> Timestamp {
        // A hold is in the queue once, so this looks at two instants at most.
        let others = self.0.iter().find(|(_, bucket)| bucket.iter().any(|other| other != hold));
        others.map_or(Timestamp::NEVER, |(at, _)| *at)
    }

    /// A hold falls due at `at`.
    pub(super) fn insert(&mut self, at: Timestamp, hold: HoldRef) {
        let bucket = self.0.entry(at).or_insert(Bucket::One(hold));
        match bucket {
            Bucket::One(first) if *first == hold => {}
            Bucket::One(first) => *bucket = Bucket::Many(BTreeSet::from([*first, hold])),
            Bucket::Many(holds) => {
                holds.insert(hold);
            }
        }
    }

    /// It does not any more.
    pub(super) fn remove(&mut self, at: Timestamp, hold: HoldRef) {
        let emptied = match self.0.get_mut(&at) {
            Some(Bucket::One(only)) => *only == hold,
            Some(Bucket::Many(holds)) => holds.remove(&hold) && holds.is_empty(),
            None => false,
        };
        if emptied {
            self.0.remove(&at);
        }
    }

    /// At most `most` holds that are due at `now`, earliest first. They stay in the queue until they are given back.
    pub(super) fn due(&self, now: Timestamp, most: usize) -> Vec<HoldRef> {
        self.0.range(..=now).flat_map(|(_, bucket)| bucket.iter()).take(most).collect()
    }

    /// Holds in the queue.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.values().map(|bucket| bucket.iter().count()).sum()
    }
}

impl Bucket {
    fn iter(&self) -> impl Iterator<Item = HoldRef> + '_ {
        let (one, many) = match self {
            Self::One(hold) => (Some(*hold), None),
            Self::Many(holds) => (None, Some(holds)),
        };
        one.into_iter().chain(many.into_iter().flatten().copied())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn hold(n: u32) -> HoldRef {
        HoldRef::from_raw(n)
    }

    #[test]
    fn the_next_deadline_is_exact_after_every_removal() {
        let mut queue = Deadlines::default();
        assert_eq!(queue.next(), Timestamp::NEVER);
        for (n, at) in [(1, 30), (2, 10), (3, 10), (4, 20)] {
            queue.insert(Timestamp(at), hold(n));
        }
        assert_eq!(queue.next(), Timestamp(10));
        queue.remove(Timestamp(10), hold(2));
        assert_eq!(queue.next(), Timestamp(10));
        queue.remove(Timestamp(10), hold(3));
        assert_eq!(queue.next(), Timestamp(20));
    }

    #[test]
    fn a_hold_s_own_deadline_can_be_left_out() {
        let mut queue = Deadlines::default();
        assert_eq!(queue.next_without(hold(1)), Timestamp::NEVER);
        queue.insert(Timestamp(10), hold(1));
        assert_eq!((queue.next_without(hold(1)), queue.next_without(hold(2))), (Timestamp::NEVER, Timestamp(10)));
        queue.insert(Timestamp(20), hold(2));
        assert_eq!(queue.next_without(hold(1)), Timestamp(20));
        queue.insert(Timestamp(10), hold(3));
        assert_eq!(queue.next_without(hold(1)), Timestamp(10));
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_set(steps in prop::collection::vec((any::<bool>(), 0_u64..8, 0_u32..8), 0..200), now in 0_u64..9) {
            let (mut queue, mut model) = (Deadlines::default(), BTreeSet::new());
            for (put, at, n) in steps {
                if put {
                    queue.insert(Timestamp(at), hold(n));
                    model.insert((Timestamp(at), hold(n)));
                } else {
                    queue.remove(Timestamp(at), hold(n));
                    model.remove(&(Timestamp(at), hold(n)));
                }
                prop_assert_eq!(queue.next(), model.first().map_or(Timestamp::NEVER, |(at, _)| *at));
                prop_assert_eq!(queue.len(), model.len());
            }
            let due: Vec<_> = queue.due(Timestamp(now), 5);
            let expected: Vec<_> = model.iter().filter(|(at, _)| *at <= Timestamp(now)).map(|(_, h)| *h).take(5).collect();
            prop_assert_eq!(due, expected);
        }
    }
}
