//! A sorted map for what is nearly always short.
//!
//! A few entries are in one array: an entry that is last in order, as nearly every new one is, is appended, and all of
//! them fit on one or two cache lines. A B-tree takes half a kilobyte for its first entry; with two of them and a map
//! for each of 100,000 customers of ten holds, they took a third of a reserve's time. Very many entries become a tree,
//! so that no step grows with their number.

use std::collections::BTreeMap;

/// Most entries of an array.
const ARRAY_MAX: usize = 64;
/// Entries at which a tree becomes an array again: far below [`ARRAY_MAX`], so that a few changes cause neither.
const TREE_MIN: usize = ARRAY_MAX / 4;

/// Entries in the order of their keys.
#[derive(Debug)]
pub(super) enum Sorted<K, V> {
    Few(Vec<(K, V)>),
    Many(BTreeMap<K, V>),
}

impl<K, V> Default for Sorted<K, V> {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl<K: Ord + Copy, V: Copy> Sorted<K, V> {
    /// The number of entries.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(entries) => entries.len(),
            Self::Many(entries) => entries.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it is a tree now.
    pub(super) const fn is_tree(&self) -> bool {
        match self {
            Self::Few(_) => false,
            Self::Many(_) => true,
        }
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        match self {
            Self::Few(entries) => entries.get(place(entries, key).ok()?).map(|(_, value)| *value),
            Self::Many(entries) => entries.get(key).copied(),
        }
    }

    /// Sets the key's value, or removes the key.
    pub(super) fn set(&mut self, key: K, value: Option<V>) {
        match (&mut *self, value) {
            (Self::Few(entries), value) => match (place(entries, &key), value) {
                (Ok(found), Some(value)) => {
                    if let Some(entry) = entries.get_mut(found) {
                        entry.1 = value;
                    }
                }
                (Ok(found), None) => {
                    entries.remove(found);
                }
                (Err(_), None) => {}
                (Err(_), Some(value)) if entries.len() >= ARRAY_MAX => {
                    let tree = entries.drain(..).chain([(key, value)]).collect();
                    *self = Self::Many(tree);
                }
                (Err(free), Some(value)) => entries.insert(free, (key, value)),
            },
            (Self::Many(entries), Some(value)) => {
                entries.insert(key, value);
            }
            (Self::Many(entries), None) => {
                entries.remove(&key);
                if entries.len() <= TREE_MIN {
                    let few = std::mem::take(entries).into_iter().collect();
                    *self = Self::Few(few);
                }
            }
        }
    }

    /// Visits the entries from `from` on, last first, until `f` returns false.
    pub(super) fn each_down_to(&self, from: &K, mut f: impl FnMut(K, V) -> bool) {
        match self {
            Self::Few(entries) => {
                let mut entries = entries.iter().rev().take_while(|(key, _)| key >= from);
                let _seen_enough = entries.all(|(key, value)| f(*key, *value));
            }
            Self::Many(entries) => {
                let _seen_enough = entries.range(from..).rev().all(|(key, value)| f(*key, *value));
            }
        }
    }

    /// The entries in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (K, V)> {
        let (few, many): (&[(K, V)], _) = match self {
            Self::Few(entries) => (entries, None),
            Self::Many(entries) => (&[], Some(entries)),
        };
        few.iter().copied().chain(many.into_iter().flatten().map(|(key, value)| (*key, *value)))
    }

    /// The first two keys.
    pub(super) fn first_two(&self) -> (Option<K>, Option<K>) {
        let mut keys = self.iter().map(|(key, _)| key);
        (keys.next(), keys.next())
    }
}

/// Where a key is, or would be inserted.
#[inline]
fn place<K: Ord, V>(entries: &[(K, V)], key: &K) -> Result<usize, usize> {
    match entries.last() {
        // New keys are nearly always last.
        Some((last, _)) if last < key => Err(entries.len()),
        Some(_) => entries.binary_search_by(|(known, _)| known.cmp(key)),
        None => Err(0),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_becomes_a_tree_and_an_array_again() {
        let mut sorted = Sorted::default();
        (0..ARRAY_MAX).for_each(|n| sorted.set(n, Some(())));
        assert!(!sorted.is_tree());
        sorted.set(ARRAY_MAX, Some(()));
        assert!(sorted.is_tree() && sorted.len() == ARRAY_MAX + 1);
        (TREE_MIN + 1..=ARRAY_MAX).for_each(|n| sorted.set(n, None));
        assert!(sorted.is_tree() && sorted.len() == TREE_MIN + 1);
        sorted.set(0, None);
        assert!(!sorted.is_tree());
        assert_eq!(sorted.first_two(), (Some(1), Some(2)));
    }

    proptest! {
        #[test]
        fn agrees_with_a_tree(steps in prop::collection::vec((0_u32..150, any::<Option<u8>>()), 0..600), from in 0_u32..150, most in 1_usize..20) {
            let (mut sorted, mut model) = (Sorted::default(), BTreeMap::new());
            for (key, value) in steps {
                sorted.set(key, value);
                match value {
                    Some(value) => model.insert(key, value),
                    None => model.remove(&key),
                };
                prop_assert_eq!((sorted.len(), sorted.is_empty()), (model.len(), model.is_empty()));
                prop_assert_eq!(sorted.get(&key), value);
            }
            let all: Vec<_> = model.iter().map(|(key, value)| (*key, *value)).collect();
            prop_assert_eq!(sorted.iter().collect::<Vec<_>>(), all.clone());
            prop_assert_eq!(sorted.first_two(), (all.first().map(|e| e.0), all.get(1).map(|e| e.0)));
            let mut seen = Vec::new();
            sorted.each_down_to(&from, |key, value| {
                seen.push((key, value));
                seen.len() < most
            });
            let expected: Vec<_> = all.into_iter().rev().take_while(|(key, _)| *key >= from).take(most).collect();
            prop_assert_eq!(seen, expected);
        }
    }
}
