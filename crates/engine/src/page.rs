//! A page of a list while it is filled: it ends at its count, and at its bytes as they will be sent.
//!
//! What is listed is made, shown and put here one by one, so a page never needs more memory than it may have and one
//! thing more.

/// Things of one kind, as they are shown, up to a count and up to a number of bytes.
#[derive(Debug)]
pub struct Page<V, T> {
    most: usize,
    room: usize,
    show: fn(&V) -> (T, usize),
    shown: Vec<T>,
}

impl<V, T> Page<V, T> {
    /// An empty page for at most `most` things and about `room` bytes. `show` says how one is shown, and its bytes.
    #[must_use]
    pub const fn new(most: usize, room: usize, show: fn(&V) -> (T, usize)) -> Self {
        Self { most, room, show, shown: Vec::new() }
    }

    /// How many more it may take, if they are small.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.most.saturating_sub(self.shown.len())
    }

    /// Puts one more on the page. Says whether there was room: for the first there is, however large it is.
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

    /// What is on it, in the order in which it was put there.
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
