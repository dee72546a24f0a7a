//! A growing table of values with stable places. It grows by chunks, so that growing never copies a value and never
//! reserves more than one chunk ahead.

use prefetch_index::prefetch_index;
use smallvec::SmallVec;

/// Bytes of a chunk: one of the allocators' size classes, so that nothing is lost, and small enough that thousands of
/// half-empty slabs cost little.
const CHUNK_BYTES: usize = 2048;
/// Chunks that are listed in the slab itself: reading a small slab costs one cache miss less.
const INLINE_CHUNKS: usize = 2;

/// The number of values of this size in a chunk.
pub(super) const fn chunk_of(bytes: usize) -> usize {
    CHUNK_BYTES / bytes
}

/// Values at stable places. Freed places are used again, the last freed first, since it is still in the caches.
#[derive(Debug)]
pub(super) struct Slab<T, const CHUNK: usize> {
    chunks: SmallVec<[Box<[Slot<T>; CHUNK]>; INLINE_CHUNKS]>,
    /// The first free place, if any was freed; it names the next. A separate list would cost one more cache miss.
    free: Option<u32>,
    /// Places that were ever used.
    used: u32,
    values: u32,
}

#[derive(Debug)]
enum Slot<T> {
    Value(T),
    /// A free place; it names the next free one.
    Free(Option<u32>),
}

impl<T> Slot<T> {
    const fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Free(_) => None,
        }
    }

    const fn value_mut(&mut self) -> Option<&mut T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Free(_) => None,
        }
    }
}

impl<T, const CHUNK: usize> Default for Slab<T, CHUNK> {
    fn default() -> Self {
        Self { chunks: SmallVec::new(), free: None, used: 0, values: 0 }
    }
}

impl<T, const CHUNK: usize> Slab<T, CHUNK> {
    /// Bytes of a value, or of a free place.
    #[cfg(test)]
    pub(super) const SLOT: usize = size_of::<Slot<T>>();

    /// The number of values.
    pub(super) fn len(&self) -> usize {
        index(self.values)
    }

    /// Inserts a value and returns its place.
    pub(super) fn insert(&mut self, value: T) -> u32 {
        self.values = self.values.saturating_add(1);
        let place = self.free.unwrap_or(self.used);
        if self.free.is_none() {
            self.used = self.used.saturating_add(1);
            if index(place) / CHUNK == self.chunks.len() {
                self.chunks.extend(chunk());
            }
        }
        if let Some(slot) = self.slot(place) {
            let next = match slot {
                Slot::Free(next) => *next,
                Slot::Value(_) => None,
            };
            *slot = Slot::Value(value);
            self.free = next;
        }
        place
    }

    /// Prefetches the place of the next new value: the cache lines of its beginning and of the place after it.
    pub(super) fn fetch_next(&self) {
        let place = index(self.free.unwrap_or(self.used));
        if let Some(chunk) = self.chunks.get(place / CHUNK) {
            prefetch_index(chunk.as_slice(), place % CHUNK);
            prefetch_index(chunk.as_slice(), (place % CHUNK).saturating_add(1));
        }
    }

    /// Prefetches the value there: the cache lines of its beginning and of the place after it.
    pub(super) fn fetch(&self, place: u32) {
        if let Some(chunk) = self.chunks.get(index(place) / CHUNK) {
            prefetch_index(chunk.as_slice(), index(place) % CHUNK);
            prefetch_index(chunk.as_slice(), (index(place) % CHUNK).saturating_add(1));
        }
    }

    /// The value there.
    pub(super) fn get(&self, place: u32) -> Option<&T> {
        self.chunks.get(index(place) / CHUNK)?.get(index(place) % CHUNK)?.value()
    }

    /// The value there, mutably.
    pub(super) fn get_mut(&mut self, place: u32) -> Option<&mut T> {
        self.slot(place)?.value_mut()
    }

    /// Takes the value out and frees its place.
    pub(super) fn remove(&mut self, place: u32) -> Option<T> {
        let next = self.free;
        let slot = self.slot(place)?;
        match std::mem::replace(slot, Slot::Free(next)) {
            Slot::Value(value) => {
                self.free = Some(place);
                self.values = self.values.saturating_sub(1);
                Some(value)
            }
            Slot::Free(known) => {
                *slot = Slot::Free(known);
                None
            }
        }
    }

    /// Each value with its place, in the order of places.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..)
            .zip(self.chunks.iter().flat_map(|chunk| chunk.iter()))
            .filter_map(|(place, slot)| Some((place, slot.value()?)))
    }

    fn slot(&mut self, place: u32) -> Option<&mut Slot<T>> {
        self.chunks.get_mut(index(place) / CHUNK)?.get_mut(index(place) % CHUNK)
    }
}

/// A chunk without values, made on the heap. (An array would be made on the stack first.)
fn chunk<T, const CHUNK: usize>() -> Option<Box<[Slot<T>; CHUNK]>> {
    let slots: Box<[Slot<T>]> = (0..CHUNK).map(|_| Slot::Free(None)).collect();
    slots.try_into().ok()
}

fn index(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use stockade_types::hold::Hold;

    use super::*;

    /// Slabs with millions of values waste no memory, neither in a value nor after a chunk.
    #[test]
    fn values_fill_their_chunks() {
        assert_eq!(Slab::<Hold, 1>::SLOT, size_of::<Hold>());
        let chunk = chunk_of(size_of::<Hold>());
        assert!(chunk * size_of::<Hold>() * 100 > CHUNK_BYTES * 96, "{chunk} holds");
    }

    #[test]
    fn places_are_stable_and_used_again() {
        let mut slab = Slab::<_, 7>::default();
        let places: Vec<u32> = (0..100).map(|n| slab.insert(n)).collect();
        assert_eq!(slab.remove(places[40]), Some(40));
        assert_eq!(slab.remove(places[40]), None);
        assert_eq!((slab.get(places[40]), slab.len()), (None, 99));
        assert_eq!(slab.remove(places[7]), Some(7));
        assert_eq!((slab.insert(1007), slab.insert(1000)), (places[7], places[40]), "the last freed first");
        assert_eq!(slab.get(places[99]), Some(&99));
        assert_eq!(slab.iter().count(), 100);
        assert_eq!(slab.get(5000), None);
    }
}
