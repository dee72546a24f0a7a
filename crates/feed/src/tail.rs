//! The tail: the newest events, decoded once for all readers at the end.

use std::collections::VecDeque;
use std::sync::Arc;

use stockade_types::ids::Lsn;

use super::chunk::Chunk;
use super::cursor::Position;

/// Bytes of events kept for readers that are slightly behind. Beyond it the oldest are dropped; readers further behind
/// read files.
pub(crate) const TAIL_BYTES: usize = 4 * 1024 * 1024;

/// The last chunks of the journal, without a gap. Empty while nobody follows.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    /// Up to where it has read; none while nobody follows.
    end: Option<Lsn>,
    chunks: VecDeque<Arc<Chunk>>,
    weight: usize,
}

/// What the ring has after a position.
#[derive(Debug)]
pub(crate) enum Seen {
    Chunks(Vec<Arc<Chunk>>),
    End,
    Behind,
}

impl Ring {
    /// Starts after an LSN.
    pub(crate) fn begin(&mut self, end: Lsn) {
        self.clear();
        self.end = Some(end);
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Up to where it has read; none while nobody follows.
    pub(crate) const fn end(&self) -> Option<Lsn> {
        self.end
    }

    /// Appends the next chunk.
    pub(crate) fn push(&mut self, chunk: Chunk) {
        // The tail ended in the meantime.
        if self.end.is_none() {
            return;
        }
        self.end = Some(Lsn(chunk.end().next().0.saturating_sub(1)));
        self.weight = self.weight.saturating_add(chunk.weight());
        self.chunks.push_back(Arc::new(chunk));
        while self.weight > TAIL_BYTES
            && self.chunks.len() > 1
            && let Some(oldest) = self.chunks.pop_front()
        {
            self.weight = self.weight.saturating_sub(oldest.weight());
        }
    }

    /// The chunks after a position: at least one, and no more than fit `bytes` bytes.
    pub(crate) fn after(&self, after: Position, bytes: usize) -> Seen {
        let Some(end) = self.end else { return Seen::Behind };
        if after >= Position::behind(end) {
            return Seen::End;
        }
        if self.chunks.front().is_none_or(|oldest| after.next() < oldest.first()) {
            return Seen::Behind;
        }
        let from = self.chunks.partition_point(|chunk| chunk.end() <= after);
        let (mut found, mut weight) = (Vec::new(), 0_usize);
        for chunk in self.chunks.iter().skip(from) {
            weight = weight.saturating_add(chunk.weight());
            if weight > bytes && !found.is_empty() {
                break;
            }
            found.push(Arc::clone(chunk));
        }
        Seen::Chunks(found)
    }
}
