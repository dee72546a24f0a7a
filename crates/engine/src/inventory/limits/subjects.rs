//! The table of subjects, in stripes.

use crossbeam_utils::CachePadded;
use parking_lot::{Mutex, MutexGuard};
use prefetch_index::prefetch_index;
use smallvec::SmallVec;
use stockade_counter::sync::{AtomicU64, Ordering};
use stockade_types::ids::SubjectKey;
use stockade_types::record::{FactsImage, Record, UsageImage};
use stockade_types::time::Timestamp;

use super::subject::{Image, Subject};
use crate::inventory::index::{Index, PLACES};
use crate::inventory::slab::{Slab, chunk_of};

/// Stripes of the table.
pub const STRIPES: usize = 4096;

/// The subjects of a request or hold: first the customer, then the identities, each once.
pub type Keys = SmallVec<[SubjectKey; 1]>;

/// All subjects with any usage.
#[derive(Debug)]
pub struct Subjects {
    stripes: Box<[CachePadded<Mutex<SubjectStripe>>]>,
    /// Subjects with remembered holds.
    count: CachePadded<AtomicU64>,
    /// Subjects that only have units of archived drops.
    old: CachePadded<AtomicU64>,
}

/// The subjects of one stripe. (In a hash table of the entries themselves, which grows by doubling, a subject took half
/// as much memory again.)
#[derive(Debug, Default)]
struct SubjectStripe {
    /// Places in the slab, by the half of the key that does not choose the stripe.
    index: Index,
    slab: Slab<SubjectEntry, { chunk_of(size_of::<SubjectEntry>()) }>,
}

/// A subject and its key. The key is in two halves, since a 128-bit number would be aligned to 16 bytes.
#[derive(Debug)]
struct SubjectEntry {
    key: [u64; 2],
    subject: Subject,
}

impl Subjects {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        let stripes = (0..STRIPES).map(|_| CachePadded::default()).collect();
        Self { stripes, count: CachePadded::default(), old: CachePadded::default() }
    }

    /// Locks the stripes of these subjects, each key once, and calls `f` with the subjects in the order of the keys. A
    /// subject without usage afterwards is removed.
    pub fn with<R>(&self, keys: &[SubjectKey], f: impl FnOnce(&mut [Subject]) -> R) -> R {
        match keys {
            [key] => self.with_one(*key, |subject| f(std::slice::from_mut(subject))),
            keys => self.with_several(keys, f),
        }
    }

    /// Prefetches the memory of a subject's stripe. This and the next three functions go step by step: each reads what
    /// the one before has prefetched.
    pub fn fetch_stripe(&self, key: SubjectKey) {
        prefetch_index(&self.stripes, place(key));
    }

    /// Prefetches what a look-up of this subject reads, and the place of the next new one.
    pub fn fetch_place(&self, key: SubjectKey) {
        self.try_stripe(key, |stripe| {
            stripe.index.fetch(low_half(key));
            stripe.slab.fetch_next();
        });
    }

    /// Prefetches the subject's entry, if it has one.
    pub fn fetch_entry(&self, key: SubjectKey) {
        self.try_stripe(key, |stripe| {
            if let Some(place) = stripe.index.find(low_half(key), |_likely| true) {
                stripe.slab.fetch(place);
            }
        });
    }

    /// Prefetches the sums of a subject of many holds.
    pub fn fetch_sums(&self, key: SubjectKey) {
        self.try_stripe(key, |stripe| {
            if let Some((_, subject)) = stripe.find(key) {
                subject.fetch_sums();
            }
        });
    }

    /// Does nothing if the stripe is locked: the thread that has it locked loads this memory itself.
    fn try_stripe(&self, key: SubjectKey, f: impl FnOnce(&mut SubjectStripe)) {
        if let Some(mut stripe) = self.stripes.get(place(key)).and_then(|stripe| stripe.try_lock()) {
            f(&mut stripe);
        }
    }

    /// The stripe of a subject, below [`STRIPES`]: for a caller that enters many and sorts them by stripe.
    #[must_use]
    pub fn stripe(key: SubjectKey) -> usize {
        place(key)
    }

    /// The number of subjects with remembered holds.
    #[must_use]
    pub fn len(&self) -> u64 {
        // Relaxed: the bound on it may be exceeded by as many requests as run at once.
        self.count.load(Ordering::Relaxed)
    }

    /// Whether no subject has a remembered hold.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is room for a new subject: fifteen sixteenths of the places of all stripes together. Keys are
    /// spread by a keyed hash, so no single stripe is full before that.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let stripes = u64::try_from(STRIPES).unwrap_or(0);
        self.len().saturating_add(self.old()) < stripes.saturating_mul(u64::from(PLACES / 16 * 15))
    }

    /// The number of subjects that only have units of archived drops.
    #[must_use]
    pub fn old(&self) -> u64 {
        self.old.load(Ordering::Relaxed)
    }

    fn counter(&self, old: bool) -> &AtomicU64 {
        if old { &self.old } else { &self.count }
    }

    /// Counts a subject that was put into the table, unless it is empty.
    fn count_in(&self, subject: &Subject) {
        if !subject.is_empty() {
            self.counter(subject.is_old()).fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Visits what subjects own from archived drops and what facts tell of them, each stripe locked by itself, and calls `between` after each while
    /// none is locked.
    ///
    /// # Errors
    /// What `between` returns; the walk ends there.
    pub fn scan_folded<E>(
        &self,
        mut visit: impl FnMut(Record),
        mut between: impl FnMut() -> Result<(), E>,
    ) -> Result<(), E> {
        for stripe in &self.stripes {
            for (_, entry) in stripe.lock().slab.iter() {
                let (usage, returns) = (entry.subject.folded(), entry.subject.folded_returns());
                if !usage.is_empty() || !returns.is_empty() {
                    visit(Record::Usage(UsageImage { subject: entry.key(), usage, returns }));
                }
                if let Some(facts) = entry.subject.facts() {
                    visit(Record::FactsImage(FactsImage::Conduct(entry.key(), facts.clone())));
                }
            }
            between()?;
        }
        Ok(())
    }

    /// All of it in a fixed order, for comparing two inventories.
    pub(in crate::inventory) fn image(&self) -> Vec<(SubjectKey, Image)> {
        let mut all = Vec::new();
        for stripe in &self.stripes {
            all.extend(stripe.lock().slab.iter().map(|(_, entry)| (entry.key(), entry.subject.image())));
        }
        all.sort_unstable();
        all
    }

    /// Whether a subject bought something in an archived drop whose hour had ended by `at`.
    #[must_use]
    pub fn bought_before(&self, key: SubjectKey, at: Timestamp) -> bool {
        self.with_one(key, |subject| subject.folded().iter().any(|usage| usage.at <= at))
    }

    /// One subject, changed in its place: the usual case, a customer without identities.
    #[expect(clippy::indexing_slicing, reason = "taken modulo the number of stripes")]
    pub(in crate::inventory) fn with_one<R>(&self, key: SubjectKey, f: impl FnOnce(&mut Subject) -> R) -> R {
        let mut stripe = self.stripes[place(key)].lock();
        if let Some((place, subject)) = stripe.find(key) {
            let was_old = subject.is_old();
            let result = f(subject);
            let is_empty = subject.is_empty();
            if is_empty || subject.is_old() != was_old {
                self.counter(was_old).fetch_sub(1, Ordering::Relaxed);
                self.count_in(subject);
            }
            if is_empty {
                stripe.remove(key, place);
            }
            return result;
        }
        let mut subject = Subject::default();
        let result = f(&mut subject);
        if !subject.is_empty() {
            self.count_in(&subject);
            stripe.insert(key, subject);
        }
        result
    }

    /// Several subjects: taken out of their stripes, which stay locked until the subjects are back.
    fn with_several<R>(&self, keys: &[SubjectKey], f: impl FnOnce(&mut [Subject]) -> R) -> R {
        let mut places: SmallVec<[usize; 8]> = keys.iter().map(|key| place(*key)).collect();
        // Ascending, each stripe once, so that no two threads can wait for each other.
        places.sort_unstable();
        places.dedup();
        let mut stripes: SmallVec<[MutexGuard<'_, SubjectStripe>; 8]> =
            places.iter().filter_map(|place| self.stripes.get(*place)).map(|stripe| stripe.lock()).collect();
        let mut of = |key: &SubjectKey, f: &mut dyn FnMut(&mut SubjectStripe)| {
            if let Some(stripe) = places.binary_search(&place(*key)).ok().and_then(|nth| stripes.get_mut(nth)) {
                f(stripe);
            }
        };
        let mut subjects: SmallVec<[Subject; 8]> = SmallVec::with_capacity(keys.len());
        for key in keys {
            let mut subject = Subject::default();
            of(key, &mut |stripe| {
                if let Some(place) = stripe.find(*key).map(|(place, _)| place)
                    && let Some(known) = stripe.remove(*key, place)
                {
                    subject = known;
                    self.counter(subject.is_old()).fetch_sub(1, Ordering::Relaxed);
                }
            });
            subjects.push(subject);
        }
        let result = f(&mut subjects);
        for (key, subject) in keys.iter().zip(subjects).filter(|(_, subject)| !subject.is_empty()) {
            let mut subject = Some(subject);
            of(key, &mut |stripe| {
                if let Some(subject) = subject.take() {
                    self.count_in(&subject);
                    stripe.insert(*key, subject);
                }
            });
        }
        result
    }
}

impl SubjectStripe {
    /// The subject with this key, and its place.
    #[inline]
    fn find(&mut self, key: SubjectKey) -> Option<(u32, &mut Subject)> {
        let Self { index, slab } = self;
        let [high, low] = halves(key);
        let place = index.find(low, |place| slab.get(place).is_some_and(|entry| entry.key == [high, low]))?;
        Some((place, &mut slab.get_mut(place)?.subject))
    }

    /// Inserts a subject that is not in the stripe yet.
    fn insert(&mut self, key: SubjectKey, subject: Subject) {
        let key = halves(key);
        let place = self.slab.insert(SubjectEntry { key, subject });
        self.index.insert(key[1], place);
    }

    fn remove(&mut self, key: SubjectKey, place: u32) -> Option<Subject> {
        let [_, low] = halves(key);
        self.index.remove(low, place);
        self.slab.remove(place).map(|entry| entry.subject)
    }
}

impl SubjectEntry {
    fn key(&self) -> SubjectKey {
        let [high, low] = self.key.map(u128::from);
        SubjectKey((high << 64) | low)
    }
}

impl Default for Subjects {
    fn default() -> Self {
        Self::new()
    }
}

fn place(key: SubjectKey) -> usize {
    usize::try_from(key.place() % u64::try_from(STRIPES).unwrap_or(1)).unwrap_or(0)
}

/// The half of the key that chooses the place within the stripe.
fn low_half(key: SubjectKey) -> u64 {
    let [_, low] = halves(key);
    low
}

/// The high half chooses the stripe, the low half the place within it.
fn halves(key: SubjectKey) -> [u64; 2] {
    [key.place(), u64::try_from(key.0 & u128::from(u64::MAX)).unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_no_more_than_a_key_and_a_subject() {
        assert_eq!(Slab::<SubjectEntry, 1>::SLOT, size_of::<SubjectKey>() + size_of::<Subject>());
    }

    #[test]
    fn a_key_is_put_together_as_it_was() {
        let key = SubjectKey(0x0123_4567_89ab_cdef_fedc_ba98_7654_3210);
        assert_eq!(SubjectEntry { key: halves(key), subject: Subject::None }.key(), key);
    }
}
