//! A long queue that grows by chunks.
//!
//! An array that doubles copies all its values at once: milliseconds for half a million, while a thread that adds one
//! waits with locks held. Here only the list of chunks is copied at times, a thousandth of that.

use std::collections::VecDeque;

use stockade_types::invariant;

/// Values in a chunk.
const CHUNK: usize = 1024;

/// First in, first out.
#[derive(Debug)]
pub(super) struct Chunks<T> {
    /// No chunk is empty; all but the last were full once.
    chunks: VecDeque<VecDeque<T>>,
    len: usize,
}

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Self { chunks: VecDeque::new(), len: 0 }
    }
}

impl<T> Chunks<T> {
    /// The number of values.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The oldest value.
    pub(super) fn front(&self) -> Option<&T> {
        self.chunks.front()?.front()
    }

    /// Takes the oldest value out.
    pub(super) fn pop_front(&mut self) -> Option<T> {
        let first = self.chunks.front_mut()?;
        let value = first.pop_front();
        if first.is_empty() {
            self.chunks.pop_front();
        }
        self.len = self.len.saturating_sub(usize::from(value.is_some()));
        value
    }

    /// Appends a value.
    pub(super) fn push_back(&mut self, value: T) {
        match self.chunks.back_mut() {
            Some(last) if last.len() < last.capacity() => last.push_back(value),
            Some(_) | None => {
                let mut chunk = VecDeque::with_capacity(CHUNK);
                chunk.push_back(value);
                self.chunks.push_back(chunk);
            }
        }
        self.len = self.len.saturating_add(1);
    }

    /// All values, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    /// The number of chunks.
    pub(super) fn chunks(&self) -> usize {
        self.chunks.len()
    }

    /// Removes the values of one chunk for which `stays` returns false. A caller that visits all chunks must go from
    /// the last to the first: then no value is missed, whatever is added and taken out in between.
    pub(super) fn retain_in(&mut self, chunk: usize, stays: impl FnMut(&T) -> bool) {
        let Some(values) = self.chunks.get_mut(chunk) else { return };
        let before = values.len();
        values.retain(stays);
        let gone = before.checked_sub(values.len()).and_then(|gone| self.len.checked_sub(gone));
        invariant!(let Some(left) = gone, "a queue of {} has lost more than it had", self.len);
        self.len = left;
        if values.is_empty() {
            self.chunks.remove(chunk);
        }
    }
}

impl<T> Extend<T> for Chunks<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        values.into_iter().for_each(|value| self.push_back(value));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_chunk_is_never_grown_and_an_empty_one_is_given_up() {
        let mut queue = Chunks::default();
        queue.extend(0..=CHUNK * 3);
        let room: Vec<usize> = queue.chunks.iter().map(VecDeque::capacity).collect();
        assert_eq!(room, [CHUNK; 4]);
        assert!((0..CHUNK * 2).all(|n| queue.pop_front() == Some(n)));
        assert_eq!((queue.chunks.len(), queue.len(), queue.front()), (2, CHUNK + 1, Some(&(CHUNK * 2))));
        retain(&mut queue, |n| *n >= CHUNK * 3);
        assert_eq!((queue.chunks.len(), queue.len()), (1, 1));
    }

    fn retain(queue: &mut Chunks<usize>, stays: impl Fn(&usize) -> bool) {
        (0..queue.chunks()).rev().for_each(|chunk| queue.retain_in(chunk, &stays));
    }

    #[test]
    fn no_chunk_is_passed_over_while_values_come_and_go_between_two_of_them() {
        let mut queue = Chunks::default();
        queue.extend(0..CHUNK * 4);
        for (nth, chunk) in (0..queue.chunks()).rev().enumerate() {
            queue.retain_in(chunk, |n| n % 2 == 0);
            // The whole first chunk once, so that those after it move up by one.
            let popped = if nth == 1 { CHUNK } else { 3 };
            assert!((0..popped).all(|_| queue.pop_front().is_some()));
            queue.extend((0..CHUNK / 2).map(|n| 2 * n));
        }
        assert!(queue.iter().all(|n| n % 2 == 0));
        assert_eq!(queue.len(), queue.iter().count());
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_queue(steps in prop::collection::vec((0_u8..4, 0_usize..900), 0..40)) {
            let (mut queue, mut plain) = (Chunks::default(), VecDeque::new());
            let mut next = 0_usize;
            for (what, many) in steps {
                match what {
                    0 | 1 => for _ in 0..many {
                        queue.push_back(next);
                        plain.push_back(next);
                        next += 1;
                    },
                    2 => for _ in 0..many {
                        prop_assert_eq!(queue.pop_front(), plain.pop_front());
                    },
                    _ => {
                        retain(&mut queue, |n| n % 3 != many % 3);
                        plain.retain(|n| n % 3 != many % 3);
                    }
                }
                prop_assert_eq!((queue.len(), queue.front()), (plain.len(), plain.front()));
            }
            prop_assert!(std::iter::from_fn(|| queue.pop_front()).eq(plain));
        }
    }
}
