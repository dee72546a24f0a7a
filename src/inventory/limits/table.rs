//! The table of subjects, in stripes.

use crossbeam_utils::CachePadded;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use parking_lot::{Mutex, MutexGuard};
use prefetch_index::prefetch_index;
use smallvec::SmallVec;

use super::subject::{Image, Subject};
use crate::ids::SubjectKey;
use crate::record::UsageImage;
use crate::sync::{AtomicU64, Ordering};

/// Stripes of the table.
pub const STRIPES: usize = 4096;

/// The subjects of a request or hold: first the customer, then the identities. Each once.
pub type Keys = SmallVec<[SubjectKey; 1]>;

type Table = HashTable<(SubjectKey, Subject)>;
type Stripe = CachePadded<Mutex<Table>>;

/// All subjects that have something.
#[derive(Debug)]
pub struct Subjects {
    stripes: Box<[Stripe]>,
    /// Subjects with holds that are remembered.
    count: CachePadded<AtomicU64>,
    /// Subjects that only own what they bought in archived drops.
    old: CachePadded<AtomicU64>,
}

impl Subjects {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        let stripes = (0..STRIPES).map(|_| CachePadded::default()).collect();
        Self { stripes, count: CachePadded::default(), old: CachePadded::default() }
    }

    /// Locks the stripes of these subjects, each key once, and gives the subjects in the order of the keys. A subject
    /// that has nothing afterwards is forgotten.
    pub fn with<R>(&self, keys: &[SubjectKey], f: impl FnOnce(&mut [Subject]) -> R) -> R {
        match keys {
            [key] => self.with_one(*key, |subject| f(std::slice::from_mut(subject))),
            keys => self.with_several(keys, f),
        }
    }

    /// Has the memory of a subject's stripe fetched: for who will lock it soon.
    pub fn fetch_stripe(&self, key: SubjectKey) {
        prefetch_index(&self.stripes, place(key));
    }

    /// The stripe of a subject, below [`STRIPES`]: for whoever has many to enter, and spares memory the way.
    #[must_use]
    pub fn stripe(key: SubjectKey) -> usize {
        place(key)
    }

    /// Subjects with holds that are remembered.
    #[must_use]
    pub fn len(&self) -> u64 {
        // Relaxed: a bound that may be overstepped by as many requests as run at once.
        self.count.load(Ordering::Relaxed)
    }

    /// Whether nobody has a hold.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Subjects that only own what they bought in archived drops.
    #[must_use]
    pub fn old(&self) -> u64 {
        self.old.load(Ordering::Relaxed)
    }

    fn counter(&self, old: bool) -> &AtomicU64 {
        if old { &self.old } else { &self.count }
    }

    /// A subject came into the table, if it has anything.
    fn came(&self, subject: &Subject) {
        if !subject.is_empty() {
            self.counter(subject.is_old()).fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Visits what subjects own from archived drops, each stripe locked by itself, with `between` run after each while
    /// nothing is locked.
    ///
    /// # Errors
    /// What `between` returns; the walk ends there.
    pub fn walk_folded<E>(
        &self,
        mut visit: impl FnMut(UsageImage),
        mut between: impl FnMut() -> Result<(), E>,
    ) -> Result<(), E> {
        for stripe in &self.stripes {
            for (subject, has) in stripe.lock().iter() {
                let usage = has.folded();
                if !usage.is_empty() {
                    visit(UsageImage { subject: *subject, usage });
                }
            }
            between()?;
        }
        Ok(())
    }

    /// Everything in it in a fixed order, for comparing two inventories.
    pub(in crate::inventory) fn image(&self) -> Vec<(SubjectKey, Image)> {
        let mut all: Vec<_> = self
            .stripes
            .iter()
            .flat_map(|stripe| stripe.lock().iter().map(|(key, subject)| (*key, subject.image())).collect::<Vec<_>>())
            .collect();
        all.sort_unstable();
        all
    }

    /// One subject: changed where it lies, as a customer without identities is.
    #[expect(clippy::indexing_slicing, reason = "taken modulo the number of stripes")]
    fn with_one<R>(&self, key: SubjectKey, f: impl FnOnce(&mut Subject) -> R) -> R {
        let mut stripe = self.stripes[place(key)].lock();
        match stripe.entry(hash(&key), |(other, _)| *other == key, |(other, _)| hash(other)) {
            Entry::Occupied(mut entry) => {
                let was_old = entry.get().1.is_old();
                let result = f(&mut entry.get_mut().1);
                let subject = &entry.get().1;
                if subject.is_empty() || subject.is_old() != was_old {
                    self.counter(was_old).fetch_sub(1, Ordering::Relaxed);
                    self.came(subject);
                }
                if subject.is_empty() {
                    entry.remove();
                }
                result
            }
            Entry::Vacant(entry) => {
                let mut subject = Subject::default();
                let result = f(&mut subject);
                if !subject.is_empty() {
                    self.came(&subject);
                    entry.insert((key, subject));
                }
                result
            }
        }
    }

    /// Several subjects: taken out of their stripes, which stay locked until they are back.
    fn with_several<R>(&self, keys: &[SubjectKey], f: impl FnOnce(&mut [Subject]) -> R) -> R {
        let mut places: SmallVec<[usize; 8]> = keys.iter().map(|key| place(*key)).collect();
        // Ascending, each stripe once: whoever locks several locks them in this order.
        places.sort_unstable();
        places.dedup();
        let mut stripes: SmallVec<[MutexGuard<'_, Table>; 8]> =
            places.iter().filter_map(|place| self.stripes.get(*place)).map(|stripe| stripe.lock()).collect();
        let mut of = |key: &SubjectKey, f: &mut dyn FnMut(&mut Table)| {
            if let Some(stripe) = places.binary_search(&place(*key)).ok().and_then(|nth| stripes.get_mut(nth)) {
                f(stripe);
            }
        };
        let mut subjects: SmallVec<[Subject; 8]> = SmallVec::with_capacity(keys.len());
        for key in keys {
            let mut subject = Subject::default();
            of(key, &mut |stripe| {
                if let Ok(entry) = stripe.find_entry(hash(key), |(other, _)| other == key) {
                    subject = entry.remove().0.1;
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
                    self.came(&subject);
                    stripe.insert_unique(hash(key), (*key, subject), |(other, _)| hash(other));
                }
            });
        }
        result
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

/// The low half chooses within the stripe: the high half has already chosen the stripe.
fn hash(key: &SubjectKey) -> u64 {
    u64::try_from(key.0 & u128::from(u64::MAX)).unwrap_or(0)
}
