//! A growing table of values with stable places: chunks, so that growing never copies what is there, and never
//! reserves more than one chunk ahead.

/// Values a chunk: small enough that thousands of half-empty slabs cost little.
const CHUNK: usize = 32;

/// Values at stable places, freed places used again.
#[derive(Debug)]
pub(super) struct Slab<T> {
    chunks: Vec<Box<[Option<T>]>>,
    free: Vec<u32>,
    used: u32,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), free: Vec::new(), used: 0 }
    }
}

impl<T> Slab<T> {
    /// Values in it.
    pub(super) fn len(&self) -> usize {
        index(self.used).saturating_sub(self.free.len())
    }

    /// Puts a value in and says where.
    pub(super) fn insert(&mut self, value: T) -> u32 {
        let place = self.free.pop().unwrap_or_else(|| {
            let fresh = self.used;
            self.used = self.used.saturating_add(1);
            fresh
        });
        if index(place) / CHUNK == self.chunks.len() {
            self.chunks.push((0..CHUNK).map(|_| None).collect());
        }
        if let Some(slot) = self.slot(place) {
            *slot = Some(value);
        }
        place
    }

    /// The value there.
    pub(super) fn get(&self, place: u32) -> Option<&T> {
        self.chunks.get(index(place) / CHUNK)?.get(index(place) % CHUNK)?.as_ref()
    }

    /// The value there, to change.
    pub(super) fn get_mut(&mut self, place: u32) -> Option<&mut T> {
        self.slot(place)?.as_mut()
    }

    /// Takes the value out and frees its place.
    pub(super) fn remove(&mut self, place: u32) -> Option<T> {
        let value = self.slot(place)?.take()?;
        self.free.push(place);
        Some(value)
    }

    /// Each value with its place, in the order of places.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(self.chunks.iter().flatten()).filter_map(|(place, slot)| Some((place, slot.as_ref()?)))
    }

    /// Each value with its place, to change.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        (0..).zip(self.chunks.iter_mut().flatten()).filter_map(|(place, slot)| Some((place, slot.as_mut()?)))
    }

    fn slot(&mut self, place: u32) -> Option<&mut Option<T>> {
        self.chunks.get_mut(index(place) / CHUNK)?.get_mut(index(place) % CHUNK)
    }
}

fn index(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_stable_and_used_again() {
        let mut slab = Slab::default();
        let places: Vec<u32> = (0..100).map(|n| slab.insert(n)).collect();
        assert_eq!(slab.remove(places[40]), Some(40));
        assert_eq!(slab.remove(places[40]), None);
        assert_eq!((slab.get(places[40]), slab.len()), (None, 99));
        assert_eq!(slab.insert(1000), places[40]);
        assert_eq!(slab.get(places[99]), Some(&99));
        assert_eq!(slab.iter().count(), 100);
        assert_eq!(slab.get(5000), None);
    }
}
