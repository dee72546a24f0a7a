//! A growing table of values with stable places: chunks, so that growing never copies what is there, and never
//! reserves more than one chunk ahead.

use prefetch_index::prefetch_index;

/// Bytes of a chunk: a size that allocators have, so that nothing is lost behind it, and small enough that thousands of
/// half-empty slabs cost little.
const CHUNK_BYTES: usize = 2048;

/// Values at stable places, freed places used again: the last freed first, which is still in the caches.
#[derive(Debug)]
pub(super) struct Slab<T> {
    /// Each of [`Slab::CHUNK`] slots.
    chunks: Vec<Box<[Slot<T>]>>,
    /// The first free place, if any was freed: it names the next. A list of its own would be one more cache miss.
    free: Option<u32>,
    /// Places that were ever used.
    used: u32,
    values: u32,
}

#[derive(Debug)]
enum Slot<T> {
    Value(T),
    /// Free, and so is the place that it names.
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

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), free: None, used: 0, values: 0 }
    }
}

impl<T> Slab<T> {
    /// Bytes of a value, or of a free place.
    #[cfg(test)]
    pub(super) const SLOT: usize = size_of::<Slot<T>>();

    /// Values a chunk.
    const CHUNK: usize = CHUNK_BYTES / size_of::<Slot<T>>();

    /// Values in it.
    pub(super) fn len(&self) -> usize {
        index(self.values)
    }

    /// Puts a value in and says where.
    pub(super) fn insert(&mut self, value: T) -> u32 {
        self.values = self.values.saturating_add(1);
        let place = self.free.unwrap_or(self.used);
        if self.free.is_none() {
            self.used = self.used.saturating_add(1);
            if index(place) / Self::CHUNK == self.chunks.len() {
                self.chunks.push((0..Self::CHUNK).map(|_| Slot::Free(None)).collect());
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

    /// Has the place fetched where the next value goes: the lines of its beginning and of what stands behind it.
    pub(super) fn fetch_next(&self) {
        let place = index(self.free.unwrap_or(self.used));
        if let Some(chunk) = self.chunks.get(place / Self::CHUNK) {
            prefetch_index(chunk, place % Self::CHUNK);
            prefetch_index(chunk, (place % Self::CHUNK).saturating_add(1));
        }
    }

    /// Has the value there fetched: the lines of its beginning and of what stands behind it.
    pub(super) fn fetch(&self, place: u32) {
        if let Some(chunk) = self.chunks.get(index(place) / Self::CHUNK) {
            prefetch_index(chunk, index(place) % Self::CHUNK);
            prefetch_index(chunk, (index(place) % Self::CHUNK).saturating_add(1));
        }
    }

    /// The value there.
    pub(super) fn get(&self, place: u32) -> Option<&T> {
        self.chunks.get(index(place) / Self::CHUNK)?.get(index(place) % Self::CHUNK)?.value()
    }

    /// The value there, to change.
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
        (0..).zip(self.chunks.iter().flatten()).filter_map(|(place, slot)| Some((place, slot.value()?)))
    }

    /// Each value with its place, to change.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        (0..).zip(self.chunks.iter_mut().flatten()).filter_map(|(place, slot)| Some((place, slot.value_mut()?)))
    }

    fn slot(&mut self, place: u32) -> Option<&mut Slot<T>> {
        self.chunks.get_mut(index(place) / Self::CHUNK)?.get_mut(index(place) % Self::CHUNK)
    }
}

fn index(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hold::Hold;

    #[test]
    fn a_free_place_costs_no_more_than_a_value() {
        assert_eq!(Slab::<Hold>::SLOT, size_of::<Hold>());
    }

    #[test]
    fn a_chunk_of_holds_fills_its_size() {
        let bytes = Slab::<Hold>::CHUNK * Slab::<Hold>::SLOT;
        assert!(bytes * 100 > CHUNK_BYTES * 96, "{bytes} bytes");
    }

    #[test]
    fn places_are_stable_and_used_again() {
        let mut slab = Slab::default();
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
