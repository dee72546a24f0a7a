//! The places of the values in one slab, by the hashes of their keys.
//!
//! One array of hash and place side by side, five bytes together, searched from the hash's home on. A look-up that
//! finds its value mostly touches one cache line; one that does not touches two in about half of all cases. The hash is
//! next to the place, so growing reads no values, and a look-up that finds nothing reads a value in one of a few
//! hundred cases. Removal leaves no tombstones: later entries move up.
//!
//! Each hold has two entries, its own and its subject's, so arrays are kept full: they grow by a seventh to a quarter,
//! through the size classes of allocators, instead of doubling.

use prefetch_index::prefetch_index;
use stockade_types::packed::Packed;

/// Bits of a place, and of the hash next to it.
const PLACE_BITS: u32 = 20;
const HASH_BITS: u32 = 20;
/// Places below this can be named. One less than the bits allow, since 0 means no place.
pub(super) const PLACES: u32 = (1 << PLACE_BITS) - 1;

/// Hash and place in 40 bits, little-endian: the hash in the upper bits, the place plus one in the lower bits. So all
/// zeros is no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct IndexEntry(Packed<5>);

/// Bytes of the smallest array.
const INDEX_BYTES_MIN: usize = 64;
/// Percentage of entries that are used at most. Beyond that, searches get long.
const FULLEST: usize = 75;

/// Places by hash. It does not know the values: the caller says whether a place is the right one.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Empty, or with more entries than are used.
    entries: Box<[IndexEntry]>,
    used: usize,
}

impl IndexEntry {
    const NONE: Self = Self(Packed::ZERO);

    /// For a place below [`PLACES`].
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
    /// The place that has this hash and for which `right` returns true.
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

    /// Prefetches what a search for this hash reads first.
    #[inline]
    pub(super) fn fetch(&self, hash: u64) {
        prefetch_index(&self.entries, self.home(low(hash, HASH_BITS)));
    }

    /// Enters a place below [`PLACES`] that is not entered yet.
    pub(super) fn insert(&mut self, hash: u64, place: u32) {
        assert!(place < PLACES, "a place beyond those that an index knows");
        if self.used.saturating_mul(100) >= self.entries.len().saturating_mul(FULLEST) {
            self.grow();
        }
        self.put(IndexEntry::new(low(hash, HASH_BITS), place));
        self.used = self.used.saturating_add(1);
    }

    /// Removes a place, if it is entered.
    pub(super) fn remove(&mut self, hash: u64, place: u32) {
        let gone = IndexEntry::new(low(hash, HASH_BITS), place);
        let mut hole = self.home(gone.hash());
        loop {
            match self.entries.get(hole) {
                Some(entry) if *entry == gone => break,
                Some(entry) if *entry != IndexEntry::NONE => hole = self.after(hole),
                Some(_) | None => return,
            }
        }
        self.used = self.used.saturating_sub(1);
        // An entry after the hole that may be in it moves there, and leaves the next hole.
        let mut behind = hole;
        loop {
            behind = self.after(behind);
            let Some(entry) = self.entries.get(behind).copied().filter(|entry| *entry != IndexEntry::NONE) else {
                break;
            };
            if self.steps(self.home(entry.hash()), behind) >= self.steps(hole, behind) {
                self.set(hole, entry);
                hole = behind;
            }
        }
        self.set(hole, IndexEntry::NONE);
    }

    #[cold]
    fn grow(&mut self) {
        let more = self.entries.len().saturating_add(1).saturating_mul(size_of::<IndexEntry>());
        let room = size_class(more) / size_of::<IndexEntry>();
        let before = std::mem::replace(&mut self.entries, vec![IndexEntry::NONE; room].into_boxed_slice());
        before.iter().filter(|entry| **entry != IndexEntry::NONE).for_each(|entry| self.put(*entry));
    }

    /// Into the first free spot from its home on. There always is one.
    fn put(&mut self, entry: IndexEntry) {
        let home = self.home(entry.hash());
        let (front, back) = self.entries.split_at_mut_checked(home).unwrap_or_default();
        if let Some(free) = back.iter_mut().chain(front).find(|entry| **entry == IndexEntry::NONE) {
            *free = entry;
        }
    }

    fn set(&mut self, at: usize, entry: IndexEntry) {
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

    /// Where the search for a hash begins: at the fraction of the array that the hash is of all hashes. So the array
    /// may have any length, and growing reads the old and writes the new array from begin to end.
    #[inline]
    fn home(&self, hash: u32) -> usize {
        usize::try_from(hash).unwrap_or(0).wrapping_mul(self.entries.len()) >> HASH_BITS
    }
}

/// The least size of at least `bytes` that is a whole number of quarters of a power of two, as allocators' size classes
/// are.
fn size_class(bytes: usize) -> usize {
    let bytes = bytes.max(INDEX_BYTES_MIN);
    bytes.next_multiple_of((1 << bytes.ilog2()) / 4)
}

/// The `count` low bits of a number.
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
        assert_eq!(size_of::<IndexEntry>(), 5);
        for (hash, place) in [(0, 0), (0, PLACES - 1), ((1 << HASH_BITS) - 1, 0), (0xabcde, 0x12345)] {
            let entry = IndexEntry::new(hash, place);
            assert_eq!((entry.hash(), entry.place()), (hash, Some(place)));
        }
        assert_eq!(IndexEntry::NONE.place(), None);
    }

    #[test]
    fn arrays_grow_through_the_sizes_of_an_allocator_and_find_everything_at_each() {
        let mut index = Index::default();
        let mut sizes = Vec::new();
        let hash = |place: u32| u64::from(place).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        for place in 0..20_000 {
            index.insert(hash(place), place);
            let bytes = index.entries.len() * size_of::<IndexEntry>();
            if sizes.last() != Some(&bytes) {
                sizes.push(bytes);
                assert!((0..=place).all(|known| index.find(hash(known), |found| found == known) == Some(known)));
            }
        }
        // Each is less than one entry below its class.
        let classes: Vec<usize> = sizes.iter().map(|bytes| size_class(*bytes)).collect();
        assert!(sizes.iter().zip(&classes).all(|(bytes, class)| class - bytes < size_of::<IndexEntry>()), "{sizes:?}");
        assert_eq!(&classes[..8], [64, 80, 96, 112, 128, 160, 192, 224]);
        assert!(classes.windows(2).all(|pair| pair[1] * 4 <= pair[0] * 5), "never by more than a quarter");
    }

    proptest! {
        /// Hashes of few bits, so that they collide, also at the array's end.
        #[test]
        fn agrees_with_a_map(steps in prop::collection::vec((any::<bool>(), 0_u32..200, 0_u64..64), 0..600), apart in 0_u32..15) {
            let (mut index, mut model) = (Index::default(), BTreeMap::new());
            for (put, place, hash) in steps {
                // From all at the array's ends to spread over it.
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
