//! A view that moves over a file's bytes: memory holds what a batch needs, never the whole file.

use std::io::{self, Read};

use super::batch::BATCH_BYTES_MAX;

/// The most bytes buffered.
const BUFFER: usize = 4 * BATCH_BYTES_MAX;
/// The fewest bytes buffered in addition to a batch's worth. With fewer, the buffer would be shifted for each batch.
const WINDOW_BYTES_MIN: usize = BATCH_BYTES_MAX / 4;

pub(crate) struct Window {
    source: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    /// Bytes to buffer.
    room: usize,
    /// Bytes of the buffer before the view.
    passed: usize,
    /// The view's offset in the file.
    offset: u64,
    ended: bool,
}

impl Window {
    /// A view that begins at `offset` of a file, which is the position of `source`.
    pub(crate) fn new(source: Box<dyn Read + Send>, offset: u64) -> Self {
        Self { source, buffer: Vec::new(), room: BUFFER, passed: 0, offset, ended: false }
    }

    /// Sets about how many bytes will be wanted, so that not many more are read at once.
    pub(crate) fn want(&mut self, bytes: usize) {
        // The batch in which they end must be read whole.
        self.room = bytes.max(WINDOW_BYTES_MIN).saturating_add(BATCH_BYTES_MAX).min(BUFFER);
    }

    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    /// The next bytes: at least a batch's worth, or all that are left.
    pub(crate) fn view(&mut self) -> io::Result<&[u8]> {
        if !self.ended && self.buffer.len().saturating_sub(self.passed) < BATCH_BYTES_MAX {
            self.fill()?;
        }
        Ok(self.buffer.get(self.passed..).unwrap_or_default())
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.passed);
        self.passed = 0;
        let wanted = u64::try_from(self.room.saturating_sub(self.buffer.len())).unwrap_or(0);
        let read = self.source.by_ref().take(wanted).read_to_end(&mut self.buffer)?;
        self.ended = u64::try_from(read).unwrap_or(0) < wanted;
        Ok(())
    }

    /// Moves the view forward by `count` bytes.
    pub(crate) fn pass(&mut self, count: usize) {
        let count = count.min(self.buffer.len().saturating_sub(self.passed));
        self.passed = self.passed.saturating_add(count);
        self.offset = self.offset.saturating_add(u64::try_from(count).unwrap_or(0));
    }
}

impl std::fmt::Debug for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Window").field("offset", &self.offset).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_come_by_whatever_the_steps() {
        let bytes: Vec<u8> = (0..5_000_000_u32).map(|n| u8::try_from(n % 251).expect("small")).collect();
        for (step, asked) in
            [(1_000_003, usize::MAX), (BATCH_BYTES_MAX, BATCH_BYTES_MAX), (70_001, BUFFER), (70_001, 0)]
        {
            let mut window = Window::new(Box::new(io::Cursor::new(bytes.clone())), 0);
            window.want(asked);
            let mut seen = Vec::new();
            loop {
                let view = window.view().expect("reads");
                assert!(
                    view.len() >= BATCH_BYTES_MAX || seen.len() + view.len() == bytes.len(),
                    "a batch's worth, or the rest"
                );
                let taken = view.len().min(step);
                if taken == 0 {
                    break;
                }
                seen.extend_from_slice(&view[..taken]);
                window.pass(taken);
                assert_eq!(window.offset(), u64::try_from(seen.len()).expect("fits"));
            }
            assert!(seen == bytes, "step {step}");
        }
    }

    #[test]
    fn no_more_is_read_than_may_be_needed() {
        for (asked, read) in
            [(0, BATCH_BYTES_MAX + WINDOW_BYTES_MIN), (BATCH_BYTES_MAX, 2 * BATCH_BYTES_MAX), (usize::MAX, BUFFER)]
        {
            let mut window = Window::new(Box::new(io::repeat(1)), 0);
            window.want(asked);
            assert_eq!(window.view().expect("reads").len(), read, "{asked}");
        }
    }
}
