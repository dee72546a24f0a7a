//! Offsets of batches within segments, as readers have found them. With these, a reader that continues, or begins in
//! the middle, need not walk from a segment's begin.

use std::collections::BTreeMap;

use stockade_types::ids::Lsn;

use crate::log::batch::BatchHash;

/// About the bytes between two marks.
const SPACING: u64 = 256 * 1024;
/// Most segments with marks. One of the usual size has 256 marks of 16 bytes, the longest possible 4,096.
const SEGMENTS_MAX: usize = 64;

/// The place of a batch within a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// The batch's first record.
    pub(super) next: Lsn,
    /// Its byte offset in the file.
    pub(super) offset: u64,
    /// Hash of the batch before, if it is known.
    pub(super) chain: Option<BatchHash>,
}

#[derive(Debug, Default)]
struct OfSegment {
    /// Ascending LSNs and offsets.
    spaced: Vec<(Lsn, u64)>,
    /// Where the last reader stopped.
    stopped: Option<Mark>,
    used: u64,
}

/// Marks of the segments that were read most recently.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// By the segment's first record.
    segments: BTreeMap<Lsn, OfSegment>,
    uses: u64,
}

impl Marks {
    fn of(&mut self, segment: Lsn) -> &mut OfSegment {
        self.uses = self.uses.saturating_add(1);
        if self.segments.len() >= SEGMENTS_MAX && !self.segments.contains_key(&segment) {
            let longest_unused = self.segments.iter().min_by_key(|(_, marks)| marks.used).map(|(first, _)| *first);
            longest_unused.and_then(|first| self.segments.remove(&first));
        }
        let marks = self.segments.entry(segment).or_default();
        marks.used = self.uses;
        marks
    }

    /// The nearest known place at or before a record of the segment; none before its first mark.
    pub(super) fn before(&mut self, segment: Lsn, lsn: Lsn) -> Option<Mark> {
        let OfSegment { spaced, stopped, .. } = self.of(segment);
        let passed = spaced.partition_point(|(next, _)| *next <= lsn);
        let spaced = passed.checked_sub(1).and_then(|place| spaced.get(place));
        let spaced = spaced.map(|(next, offset)| Mark { next: *next, offset: *offset, chain: None });
        // Of two marks for the same place, the one with the hash.
        let stopped = stopped.filter(|mark| mark.next <= lsn);
        if stopped.map(|mark| mark.next) >= spaced.map(|mark| mark.next) { stopped } else { spaced }
    }

    /// Notes that a batch begins here.
    pub(super) fn pass(&mut self, segment: Lsn, next: Lsn, offset: u64) {
        let spaced = &mut self.of(segment).spaced;
        let last = spaced.last().copied().unwrap_or_default();
        if next > last.0 && offset >= last.1.saturating_add(SPACING) {
            spaced.push((next, offset));
        }
    }

    /// Notes that a reader stopped here.
    pub(super) fn stop(&mut self, segment: Lsn, mark: Mark) {
        self.of(segment).stopped = Some(mark);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_place_before_a_record_is_found() {
        let mut marks = Marks::default();
        assert_eq!(marks.before(Lsn(1), Lsn(9)), None);
        for n in 1..100 {
            marks.pass(Lsn(1), Lsn(n), n * SPACING / 2);
        }
        let spaced = |n| Some(Mark { next: Lsn(n), offset: n * SPACING / 2, chain: None });
        assert_eq!((marks.before(Lsn(1), Lsn(1)), marks.before(Lsn(1), Lsn(2))), (None, spaced(2)));
        assert_eq!((marks.before(Lsn(1), Lsn(51)), marks.before(Lsn(1), Lsn(1_000))), (spaced(50), spaced(98)));
        let stopped = Mark { next: Lsn(51), offset: 51 * SPACING / 2, chain: Some(BatchHash::NONE) };
        marks.stop(Lsn(1), stopped);
        assert_eq!((marks.before(Lsn(1), Lsn(51)), marks.before(Lsn(1), Lsn(52))), (Some(stopped), spaced(52)));
        assert_eq!(marks.before(Lsn(2), Lsn(51)), None, "another segment");
    }

    #[test]
    fn the_segments_that_were_not_read_for_longest_are_forgotten() {
        let mut marks = Marks::default();
        for segment in 1..=200 {
            marks.pass(Lsn(segment), Lsn(segment), SPACING);
            assert!(marks.before(Lsn(1), Lsn(1)).is_some(), "the first is read again and again");
        }
        assert_eq!(marks.segments.len(), SEGMENTS_MAX);
        assert_eq!(marks.before(Lsn(100), Lsn(100)), None);
    }
}
