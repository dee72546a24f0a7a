//! A page of a list while it is filled: bounded by a count and by the bytes as they will be sent.
//!
//! Entries are made, converted and put here one by one, so a page never needs more memory than its bound and one entry.

/// Converted entries, bounded by a count and by a number of bytes.
#[derive(Debug)]
pub struct Page<V, T> {
    most: usize,
    room: usize,
    show: fn(&V) -> (T, usize),
    shown: Vec<T>,
}

impl<V, T> Page<V, T> {
    /// An empty page for at most `most` entries and about `room` bytes. `show` converts an entry and returns its bytes.
    #[must_use]
    pub const fn new(most: usize, room: usize, show: fn(&V) -> (T, usize)) -> Self {
        Self { most, room, show, shown: Vec::new() }
    }

    /// How many more entries it may take, if they are small.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.most.saturating_sub(self.shown.len())
    }

    /// Puts one more entry on the page. Returns whether there was room; the first entry always fits, however large it
    /// is.
    pub fn put(&mut self, view: &V) -> bool {
        if self.left() == 0 {
            return false;
        }
        let (shown, bytes) = (self.show)(view);
        if bytes > self.room && !self.shown.is_empty() {
            return false;
        }
        self.room = self.room.saturating_sub(bytes);
        self.shown.push(shown);
        true
    }

    /// The entries, in the order in which they were put.
    #[must_use]
    pub fn into_shown(self) -> Vec<T> {
        self.shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(most: usize, room: usize, sizes: &[usize]) -> Vec<usize> {
        let mut page = Page::new(most, room, |size: &usize| (*size, *size));
        let put = sizes.iter().take_while(|size| page.put(size)).count();
        assert_eq!(page.shown.len(), put);
        page.into_shown()
    }

    #[test]
    fn a_page_ends_at_its_count_or_at_its_bytes_and_has_one_thing_at_least() {
        assert_eq!(filled(2, 100, &[1, 1, 1]), [1, 1]);
        assert_eq!(filled(9, 100, &[60, 40, 1]), [60, 40]);
        assert_eq!(filled(9, 100, &[60, 41, 1]), [60]);
        assert_eq!(filled(9, 100, &[101, 1]), [101]);
        assert_eq!(filled(9, 100, &[]), [0; 0]);
    }
}
