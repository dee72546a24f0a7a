//! Where the holds of one shard are, by the hashes of their ids.
//!
//! One array of hash and place side by side, searched from the hash's own spot on: a look touches one cache line, and a
//! second one rarely. The hash stands beside the place, so growing moves entries without looking at a hold, and a look
//! for what is not there looks at none. What is removed leaves no mark: those behind it move up.

use prefetch_index::prefetch_index;

/// An entry. `place` is [`NOWHERE`] where there is none.
#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: u32,
    place: u32,
}

/// No slab has so many places.
const NOWHERE: u32 = u32::MAX;
const EMPTY: Entry = Entry { hash: 0, place: NOWHERE };
/// Entries of the smallest array there is.
const LEAST: usize = 8;

/// Places by hash. Knows nothing of what lives there: who looks says whether a place is the right one.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// None yet, or a power of two of them, at most three quarters used.
    entries: Box<[Entry]>,
    used: usize,
}

impl Index {
    /// The place that has this hash and is `right`.
    #[inline]
    pub(super) fn find(&self, hash: u64, right: impl Fn(u32) -> bool) -> Option<u32> {
        let hash = low(hash);
        let (front, back) = self.entries.split_at_checked(self.home(hash))?;
        for entry in back.iter().chain(front) {
            if entry.place == NOWHERE {
                return None;
            }
            if entry.hash == hash && right(entry.place) {
                return Some(entry.place);
            }
        }
        None
    }

    /// Has fetched what a look for this hash reads first.
    #[inline]
    pub(super) fn fetch(&self, hash: u64) {
        prefetch_index(&self.entries, self.home(low(hash)));
    }

    /// Enters a place that is not there yet.
    pub(super) fn insert(&mut self, hash: u64, place: u32) {
        if self.used.saturating_mul(4) >= self.entries.len().saturating_mul(3) {
            self.grow();
        }
        self.put(Entry { hash: low(hash), place });
        self.used = self.used.saturating_add(1);
    }

    /// Takes a place out, if it is there.
    pub(super) fn remove(&mut self, hash: u64, place: u32) {
        let mask = self.mask();
        let mut hole = self.home(low(hash));
        loop {
            match self.entries.get(hole) {
                Some(entry) if entry.place == place => break,
                Some(entry) if entry.place != NOWHERE => hole = hole.wrapping_add(1) & mask,
                Some(_) | None => return,
            }
        }
        self.used = self.used.saturating_sub(1);
        // Whoever stands behind the hole and may stand in it moves there, and leaves the next hole.
        let mut behind = hole;
        loop {
            behind = behind.wrapping_add(1) & mask;
            let Some(entry) = self.entries.get(behind).copied().filter(|entry| entry.place != NOWHERE) else { break };
            let from_home = behind.wrapping_sub(self.home(entry.hash)) & mask;
            if from_home >= behind.wrapping_sub(hole) & mask {
                self.set(hole, entry);
                hole = behind;
            }
        }
        self.set(hole, EMPTY);
    }

    #[cold]
    fn grow(&mut self) {
        let room = self.entries.len().saturating_mul(2).max(LEAST);
        let before = std::mem::replace(&mut self.entries, vec![EMPTY; room].into_boxed_slice());
        before.iter().filter(|entry| entry.place != NOWHERE).for_each(|entry| self.put(*entry));
    }

    /// Into the first free spot from its home on. There is one.
    fn put(&mut self, entry: Entry) {
        let home = self.home(entry.hash);
        let (front, back) = self.entries.split_at_mut_checked(home).unwrap_or_default();
        if let Some(free) = back.iter_mut().chain(front).find(|entry| entry.place == NOWHERE) {
            *free = entry;
        }
    }

    fn set(&mut self, at: usize, entry: Entry) {
        if let Some(place) = self.entries.get_mut(at) {
            *place = entry;
        }
    }

    #[inline]
    const fn mask(&self) -> usize {
        self.entries.len().wrapping_sub(1)
    }

    #[inline]
    fn home(&self, hash: u32) -> usize {
        if self.entries.is_empty() { 0 } else { usize::try_from(hash).unwrap_or(0) & self.mask() }
    }
}

/// The half of a hash that does not choose the shard.
#[inline]
fn low(hash: u64) -> u32 {
    u32::try_from(hash & u64::from(u32::MAX)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_index_has_nothing_and_loses_nothing() {
        let mut index = Index::default();
        assert_eq!(index.find(7, |_| true), None);
        index.remove(7, 1);
        index.insert(7, 1);
        assert_eq!((index.find(7, |_| true), index.find(7, |_| false)), (Some(1), None));
    }

    proptest! {
        /// Hashes of few bits, so that they meet, at the array's end too.
        #[test]
        fn agrees_with_a_map(steps in prop::collection::vec((any::<bool>(), 0_u32..200, 0_u64..64), 0..600)) {
            let (mut index, mut model) = (Index::default(), BTreeMap::new());
            for (put, place, hash) in steps {
                match model.get(&place).copied() {
                    None if put => {
                        index.insert(hash, place);
                        model.insert(place, hash);
                    }
                    Some(known) if !put => {
                        index.remove(known, place);
                        model.remove(&place);
                    }
                    Some(_) | None => {}
                }
                for place in 0..200 {
                    let hash = model.get(&place).copied();
                    prop_assert_eq!(hash.and_then(|hash| index.find(hash, |found| found == place)), hash.map(|_| place));
                }
                prop_assert_eq!(index.used, model.len());
                prop_assert!(index.used * 4 <= index.entries.len() * 3);
            }
        }
    }
}
