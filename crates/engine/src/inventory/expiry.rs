//! When holds are due: one queue for each stripe of a pool, exact to the millisecond.
//!
//! An ordered map from instant to the holds that are due then. The first key is the next deadline, exactly, after every
//! removal, so a refusal can say when units may come back. Holds of one instant are in short lists, chosen by a hash.
//! One list is added or removed when they get too long or too short on average. No step touches more than two lists, so
//! with a million deadlines at one instant each request only pays for its own entry, and nothing cascades. (As a tree
//! of a million, inserting and removing a hold took 1,000 instructions and a dozen cache misses; as lists, 200 and
//! three.)
//!
//! A queue never decides that a hold has expired: it only says which holds to check.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use smallvec::SmallVec;
use stockade_counter::next_due::STRIPES;
use stockade_types::time::Timestamp;

use super::holds::HoldSlot;

/// Holds in a list, on average, from which on one more list is made: two cache lines of them.
const FULL: usize = 32;
/// Holds in a list, on average, below which one list is given up: far below [`FULL`], so that a few changes cause
/// neither.
const SPARSE: usize = 8;

/// Deadlines of live holds of one stripe of a pool.
#[derive(Debug, Default)]
pub(super) struct Deadlines(BTreeMap<Timestamp, Bucket>);

/// Holds that are due at the same instant. Most instants have one hold: that needs no list.
#[derive(Debug)]
enum Bucket {
    One(HoldSlot),
    Many(Box<Lists>),
}

/// A set of holds: a hash table that grows and shrinks by one list at a time (linear hashing).
#[derive(Debug)]
struct Lists {
    /// At least one list. A hold is in the list named by the low bits of its hash, as many as the lists need.
    lists: Vec<Vec<HoldSlot>>,
    holds: usize,
}

impl Deadlines {
    /// The earliest deadline.
    pub(super) fn next(&self) -> Timestamp {
        self.0.first_key_value().map_or(Timestamp::NEVER, |(at, _)| *at)
    }

    /// The earliest deadline of all holds but this one.
    pub(super) fn next_without(&self, hold: HoldSlot) -> Timestamp {
        // A hold is in the queue once, so at most two instants are read.
        let others = self.0.iter().find(|(_, bucket)| bucket.iter().any(|other| other != hold));
        others.map_or(Timestamp::NEVER, |(at, _)| *at)
    }

    /// Enters a hold that is due at `at`.
    pub(super) fn insert(&mut self, at: Timestamp, hold: HoldSlot) {
        match self.0.entry(at) {
            Entry::Vacant(place) => {
                place.insert(Bucket::One(hold));
            }
            Entry::Occupied(mut place) => match place.get_mut() {
                Bucket::One(first) if *first == hold => {}
                Bucket::One(first) => {
                    let lists = Lists { lists: vec![vec![*first, hold]], holds: 2 };
                    place.insert(Bucket::Many(Box::new(lists)));
                }
                Bucket::Many(lists) => lists.insert(hold),
            },
        }
    }

    /// Removes it again.
    pub(super) fn remove(&mut self, at: Timestamp, hold: HoldSlot) {
        let Entry::Occupied(mut place) = self.0.entry(at) else { return };
        let emptied = match place.get_mut() {
            Bucket::One(only) => *only == hold,
            Bucket::Many(lists) => lists.remove(hold),
        };
        if emptied {
            place.remove();
        }
    }

    /// The number of holds in the queue.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.values().map(|bucket| bucket.iter().count()).sum()
    }
}

/// At most `most` holds of these queues that are due at `now`, earliest first. They stay in their queues until they are
/// expired.
pub(super) fn due<'a>(queues: impl Iterator<Item = &'a Deadlines>, now: Timestamp, most: usize) -> Vec<HoldSlot> {
    let begun = |queue: &'a Deadlines| {
        let mut rest = queue.0.range(..=now);
        (rest.next(), rest)
    };
    let mut queues: SmallVec<[_; STRIPES]> = queues.map(begun).collect();
    let mut due = Vec::new();
    let mut left = most;
    while left > 0 {
        let first = queues.iter_mut().min_by_key(|(next, _)| next.map_or(Timestamp::NEVER, |(at, _)| *at));
        let Some((next, rest)) = first else { break };
        let Some((_, bucket)) = next.take() else { break };
        *next = rest.next();
        due.extend(bucket.iter().take(left));
        left = most.saturating_sub(due.len());
    }
    due
}

/// The number of holds of these queues by instant, for comparing two pools.
pub(super) fn image<'a>(queues: impl Iterator<Item = &'a Deadlines>) -> Vec<(Timestamp, usize)> {
    let mut image = BTreeMap::new();
    for (at, bucket) in queues.flat_map(|queue| &queue.0) {
        let count: &mut usize = image.entry(*at).or_default();
        *count = count.saturating_add(bucket.iter().count());
    }
    image.into_iter().collect()
}

impl Bucket {
    /// Each list from its end, where [`Lists::remove`] begins to search: removing the holds in this order finds each at
    /// once.
    fn iter(&self) -> impl Iterator<Item = HoldSlot> + '_ {
        let (one, many): (_, &[Vec<HoldSlot>]) = match self {
            Self::One(hold) => (Some(*hold), &[]),
            Self::Many(lists) => (None, &lists.lists),
        };
        one.into_iter().chain(many.iter().flat_map(|list| list.iter().rev()).copied())
    }
}

impl Lists {
    #[expect(clippy::needless_bitwise_bool, reason = "without branches the search through a list is vectorised")]
    fn insert(&mut self, hold: HoldSlot) {
        let place = self.place(hold);
        let Some(list) = self.lists.get_mut(place) else { return };
        // Always to the end: a search that may stop early can't be vectorised.
        if list.iter().fold(false, |found, listed| found | (*listed == hold)) {
            return;
        }
        list.push(hold);
        self.holds = self.holds.saturating_add(1);
        if self.holds > self.lists.len().saturating_mul(FULL) {
            self.split();
        }
    }

    /// Returns whether it was the last hold.
    fn remove(&mut self, hold: HoldSlot) -> bool {
        let place = self.place(hold);
        if let Some(list) = self.lists.get_mut(place)
            // From the end: a hold that is removed soon after it was inserted is found at once.
            && let Some(found) = list.iter().rposition(|listed| *listed == hold)
        {
            list.swap_remove(found);
            self.holds = self.holds.saturating_sub(1);
            if self.holds < self.lists.len().saturating_mul(SPARSE) {
                self.merge();
            }
        }
        self.holds == 0
    }

    /// Adds one list: its holds are taken out of the one list that had them.
    fn split(&mut self) {
        let fresh = self.lists.len();
        self.lists.push(Vec::new());
        let Some(old) = self.lists.get_mut(parent(fresh)).map(std::mem::take) else { return };
        let (moved, stays) = old.into_iter().partition(|hold| self.place(*hold) == fresh);
        self.put(fresh, moved);
        self.put(parent(fresh), stays);
    }

    /// Removes the last list, unless it is the only one: its holds move to the list that it was split from.
    fn merge(&mut self) {
        let last = self.lists.len().saturating_sub(1);
        if last > 0
            && let Some(holds) = self.lists.pop()
            && let Some(heir) = self.lists.get_mut(parent(last))
        {
            heir.extend(holds);
        }
    }

    fn put(&mut self, place: usize, holds: Vec<HoldSlot>) {
        if let Some(list) = self.lists.get_mut(place) {
            *list = holds;
        }
    }

    /// The list that a hold is in: by the hash's low bits, one bit less if that list does not exist yet.
    fn place(&self, hold: HoldSlot) -> usize {
        let bits = self.lists.len().next_power_of_two().wrapping_sub(1);
        let wide = hold.scattered() & bits;
        if wide < self.lists.len() { wide } else { parent(wide) }
    }
}

/// The list that a list is split from: its number without the highest bit.
fn parent(place: usize) -> usize {
    place.checked_ilog2().map_or(0, |highest| place ^ (1 << highest))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn hold(n: u32) -> HoldSlot {
        HoldSlot::from_raw(n)
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

    #[test]
    fn lists_stay_short_while_a_bucket_grows_and_shrinks() {
        let mut queue = Deadlines::default();
        let longest = |queue: &Deadlines| match queue.0.values().next() {
            Some(Bucket::Many(lists)) => (lists.lists.iter().map(Vec::len).max().unwrap_or(0), lists.lists.len()),
            Some(Bucket::One(_)) | None => (1, 1),
        };
        (0..100_000).for_each(|n| queue.insert(Timestamp(5), hold(n)));
        let (most, lists) = longest(&queue);
        assert!(most < 4 * FULL && lists > 100_000 / FULL - 1, "{most} in a list of {lists}");
        (0..99_990).for_each(|n| queue.remove(Timestamp(5), hold(n)));
        assert!(longest(&queue).1 <= 10 / SPARSE + 1);
        assert_eq!(queue.len(), 10);
        (99_990..100_000).for_each(|n| queue.remove(Timestamp(5), hold(n)));
        assert_eq!(queue.next(), Timestamp::NEVER);
    }

    proptest! {
        #[test]
        fn agree_with_a_plain_set(
            steps in prop::collection::vec((any::<bool>(), 0_u64..4, 0_u32..300), 0..1_500),
            now in 0_u64..5,
            stripes in 1_usize..4,
        ) {
            let mut queues: Vec<Deadlines> = (0..stripes).map(|_| Deadlines::default()).collect();
            let mut model = BTreeSet::new();
            for (put, at, n) in steps {
                let place = usize::try_from(n).expect("small") % stripes;
                if put {
                    queues[place].insert(Timestamp(at), hold(n));
                    model.insert((Timestamp(at), hold(n)));
                } else {
                    queues[place].remove(Timestamp(at), hold(n));
                    model.remove(&(Timestamp(at), hold(n)));
                }
                let next = queues.iter().map(Deadlines::next).min();
                prop_assert_eq!(next, Some(model.first().map_or(Timestamp::NEVER, |(at, _)| *at)));
                prop_assert_eq!(queues.iter().map(Deadlines::len).sum::<usize>(), model.len());
            }
            let all = due(queues.iter(), Timestamp(now), usize::MAX);
            let mut rest = all.as_slice();
            for due in (0..=now).map(Timestamp) {
                let expected: Vec<_> = model.range((due, hold(0))..=(due, hold(u32::MAX))).map(|(_, hold)| *hold).collect();
                let (here, later) = rest.split_at_checked(expected.len()).expect("as many as are due");
                let mut here = here.to_vec();
                here.sort_unstable();
                prop_assert_eq!(here, expected, "earliest first, in any order at one instant");
                rest = later;
            }
            prop_assert!(rest.is_empty());
            prop_assert_eq!(due(queues.iter(), Timestamp(now), 5), &all[..all.len().min(5)]);
            let counts: BTreeMap<_, usize> = model.iter().fold(BTreeMap::new(), |mut counts, (at, _)| {
                *counts.entry(*at).or_default() += 1;
                counts
            });
            prop_assert_eq!(image(queues.iter()), Vec::from_iter(counts));
        }
    }
}
