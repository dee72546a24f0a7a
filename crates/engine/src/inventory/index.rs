//! Where the values of one slab are, by the hashes of what names them.
//!
//! One array of hash and place side by side, five bytes together, searched from the hash's own spot on. A look for what is
//! there mostly touches one cache line, a look for what is not two in about half of all cases. The hash stands beside
//! the place, so growing moves entries without looking at a value, and a look for what is not there looks at one in a few
//! hundred cases. What is removed leaves no mark: those behind it move up.
//!
//! Each hold has two entries, one of its own and one of its subject, so arrays are kept full: they grow by a seventh to a
//! quarter, through the sizes that an allocator has, and not by doubling.

use prefetch_index::prefetch_index;
use stockade_types::packed::Packed;

/// Bits of a place, and of the hash that stands beside it.
const PLACE_BITS: u32 = 20;
const HASH_BITS: u32 = 20;
/// Places that an index knows: those below. One number fewer than its bits have, because none is "no place".
pub(super) const PLACES: u32 = (1 << PLACE_BITS) - 1;

/// Hash and place in 40 bits, little-endian: the hash in the upper ones, in the lower ones the place and one more. So
/// nothing but zeros is no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry(Packed<5>);

/// Bytes of the smallest array there is.
const LEAST: usize = 64;
/// Entries of a full hundred that are used at most. Beyond that, looks get long.
const FULLEST: usize = 75;

/// Places by hash. Knows nothing of what lives there: who looks says whether a place is the right one.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// None yet, or more of them than are used.
    entries: Box<[Entry]>,
    used: usize,
}

impl Entry {
    const NONE: Self = Self(Packed::ZERO);

    /// Of a place below [`PLACES`].
    fn new(hash: u32, place: u32) -> Self {
        let bits = (u64::from(hash) << PLACE_BITS) | u64::from(place.saturating_add(1));
        Self(Packed::new(bits).unwrap_or(Packed::ZERO))
    }

    #[inline]
    fn hash(self) -> u32 {
        low(self.0.get() >> PLACE_BITS, HASH_BITS)
    }

    /// The place, if there is an entry.
    #[inline]
    fn place(self) -> Option<u32> {
        low(self.0.get(), PLACE_BITS).checked_sub(1)
    }
}

impl Index {
    /// The place that has this hash and is `right`.
    #[inline]
    pub(super) fn find(&self, hash: u64, right: impl Fn(u32) -> bool) -> Option<u32> {
        let hash = low(hash, HASH_BITS);
        let (front, back) = self.entries.split_at_checked(self.home(hash))?;
        for entry in back.iter().chain(front) {
            let place = entry.place()?;
            if entry.hash() == hash && right(place) {
                return Some(place);
            }
        }
        None
    }

    /// Has fetched what a look for this hash reads first.
    #[inline]
    pub(super) fn fetch(&self, hash: u64) {
        prefetch_index(&self.entries, self.home(low(hash, HASH_BITS)));
    }

    /// Enters a place below [`PLACES`] that is not there yet.
    pub(super) fn insert(&mut self, hash: u64, place: u32) {
        assert!(place < PLACES, "a place beyond those that an index knows");
        if self.used.saturating_mul(100) >= self.entries.len().saturating_mul(FULLEST) {
            self.grow();
        }
        self.put(Entry::new(low(hash, HASH_BITS), place));
        self.used = self.used.saturating_add(1);
    }

    /// Takes a place out, if it is there.
    pub(super) fn remove(&mut self, hash: u64, place: u32) {
        let gone = Entry::new(low(hash, HASH_BITS), place);
        let mut hole = self.home(gone.hash());
        loop {
            match self.entries.get(hole) {
                Some(entry) if *entry == gone => break,
                Some(entry) if *entry != Entry::NONE => hole = self.after(hole),
                Some(_) | None => return,
            }
        }
        self.used = self.used.saturating_sub(1);
        // Whoever stands behind the hole and may stand in it moves there, and leaves the next hole.
        let mut behind = hole;
        loop {
            behind = self.after(behind);
            let Some(entry) = self.entries.get(behind).copied().filter(|entry| *entry != Entry::NONE) else { break };
            if self.steps(self.home(entry.hash()), behind) >= self.steps(hole, behind) {
                self.set(hole, entry);
                hole = behind;
            }
        }
        self.set(hole, Entry::NONE);
    }

    #[cold]
    fn grow(&mut self) {
        let more = self.entries.len().saturating_add(1).saturating_mul(size_of::<Entry>());
        let room = size_class(more) / size_of::<Entry>();
        let before = std::mem::replace(&mut self.entries, vec![Entry::NONE; room].into_boxed_slice());
        before.iter().filter(|entry| **entry != Entry::NONE).for_each(|entry| self.put(*entry));
    }

    /// Into the first free spot from its home on. There is one.
    fn put(&mut self, entry: Entry) {
        let home = self.home(entry.hash());
        let (front, back) = self.entries.split_at_mut_checked(home).unwrap_or_default();
        if let Some(free) = back.iter_mut().chain(front).find(|entry| **entry == Entry::NONE) {
            *free = entry;
        }
    }

    fn set(&mut self, at: usize, entry: Entry) {
        if let Some(place) = self.entries.get_mut(at) {
            *place = entry;
        }
    }

    /// The spot after this one; after the last, the first.
    #[inline]
    fn after(&self, at: usize) -> usize {
        let next = at.wrapping_add(1);
        if next >= self.entries.len() { 0 } else { next }
    }

    /// How many spots `to` is after `from`.
    #[inline]
    fn steps(&self, from: usize, to: usize) -> usize {
        let steps = to.wrapping_sub(from);
        if to >= from { steps } else { steps.wrapping_add(self.entries.len()) }
    }

    /// Where the search for a hash begins: as far into the array as the hash is into all hashes. So the array may have
    /// any length, and growing goes through old and new array from their beginnings to their ends.
    #[inline]
    fn home(&self, hash: u32) -> usize {
        usize::try_from(hash).unwrap_or(0).wrapping_mul(self.entries.len()) >> HASH_BITS
    }
}

/// The least size for so many bytes that is a whole number of quarters of a power of two, as the classes of allocators
/// are.
fn size_class(bytes: usize) -> usize {
    let bytes = bytes.max(LEAST);
    bytes.next_multiple_of((1 << bytes.ilog2()) / 4)
}

/// So many low bits of a number.
#[inline]
fn low(bits: u64, count: u32) -> u32 {
    u32::try_from(bits & ((1 << count) - 1)).unwrap_or(0)
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

    #[test]
    fn an_entry_is_five_bytes_whatever_it_says() {
        assert_eq!(size_of::<Entry>(), 5);
        for (hash, place) in [(0, 0), (0, PLACES - 1), ((1 << HASH_BITS) - 1, 0), (0xabcde, 0x12345)] {
            let entry = Entry::new(hash, place);
            assert_eq!((entry.hash(), entry.place()), (hash, Some(place)));
        }
        assert_eq!(Entry::NONE.place(), None);
    }

    #[test]
    fn arrays_grow_through_the_sizes_of_an_allocator_and_find_everything_at_each() {
        let mut index = Index::default();
        let mut sizes = Vec::new();
        let hash = |place: u32| u64::from(place).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        for place in 0..20_000 {
            index.insert(hash(place), place);
            let bytes = index.entries.len() * size_of::<Entry>();
            if sizes.last() != Some(&bytes) {
                sizes.push(bytes);
                assert!((0..=place).all(|known| index.find(hash(known), |found| found == known) == Some(known)));
            }
        }
        // Each a few bytes, less than an entry, below a class.
        let classes: Vec<usize> = sizes.iter().map(|bytes| size_class(*bytes)).collect();
        assert!(sizes.iter().zip(&classes).all(|(bytes, class)| class - bytes < size_of::<Entry>()), "{sizes:?}");
        assert_eq!(&classes[..8], [64, 80, 96, 112, 128, 160, 192, 224]);
        assert!(classes.windows(2).all(|pair| pair[1] * 4 <= pair[0] * 5), "never by more than a quarter");
    }

    proptest! {
        /// Hashes of few bits, so that they meet, at the array's end too.
        #[test]
        fn agrees_with_a_map(steps in prop::collection::vec((any::<bool>(), 0_u32..200, 0_u64..64), 0..600), apart in 0_u32..15) {
            let (mut index, mut model) = (Index::default(), BTreeMap::new());
            for (put, place, hash) in steps {
                // From all at the array's ends to all over it.
                let hash = (hash << apart).wrapping_sub(20);
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
                prop_assert!(index.used * 100 <= index.entries.len() * FULLEST + 100);
                prop_assert_eq!(index.entries.iter().filter(|entry| entry.place().is_some()).count(), model.len());
            }
        }
    }
}
