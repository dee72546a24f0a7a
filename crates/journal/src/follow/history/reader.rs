//! A walk over batches, segment after segment, that verifies each step.

use std::io::Read;

use parking_lot::Mutex;
use stockade_types::ids::Lsn;

use super::HistoryError;
use crate::follow::marks::{Mark, Marks};
use crate::log::batch::{BATCH_HEAD, Batch, BatchHash, BatchHead, FrameError, parse_batch};
use crate::log::segment::{SEGMENT_HEAD, SegmentHead};
use crate::log::window::Window;
use crate::log::{LogError, Place};

/// An open segment.
pub(super) struct OpenSegment {
    file: String,
    first: Lsn,
    /// Where the next segment begins; none if this is the newest.
    next: Option<Lsn>,
    /// The window's initial position: the segment's head if that is byte 0, otherwise a batch.
    start: Mark,
    window: Window,
}

impl OpenSegment {
    pub(super) fn new(
        file: String,
        (first, next): (Lsn, Option<Lsn>),
        start: Mark,
        source: Box<dyn Read + Send>,
    ) -> Self {
        Self { file, first, next, start, window: Window::new(source, start.offset) }
    }

    /// Its first record, and that of the next segment; none if this is the newest.
    pub(super) const fn bounds(&self) -> (Lsn, Option<Lsn>) {
        (self.first, self.next)
    }

    fn damage(&self, lsn: Lsn, what: String) -> HistoryError {
        let place = Place { file: self.file.clone(), offset: self.window.offset(), lsn };
        HistoryError::Damage(LogError::Damage { place, what })
    }

    fn not_as_written(&self, lsn: Lsn, what: &str, error: FrameError) -> HistoryError {
        match error {
            FrameError::Bad(why) => self.damage(lsn, format!("{what} {why}")),
            FrameError::Foreign(found) => HistoryError::Damage(LogError::Foreign { file: self.file.clone(), found }),
        }
    }
}

/// A walk from one record to another.
pub(super) struct HistoryRead<'m> {
    marks: &'m Mutex<Marks>,
    from: Lsn,
    until: Lsn,
    bytes: u64,
    taken: u64,
    /// Once a batch was taken: the LSN after it, and its hash.
    reached: Option<(Lsn, BatchHash)>,
    /// The first record of the segment that was walked last.
    passed: Option<Lsn>,
    batches: Vec<Batch>,
}

impl<'m> HistoryRead<'m> {
    pub(super) const fn new(marks: &'m Mutex<Marks>, from: Lsn, until: Lsn, bytes: u64) -> Self {
        Self { marks, from, until, bytes, taken: 0, reached: None, passed: None, batches: Vec::new() }
    }

    /// Whether any batch was taken.
    pub(super) const fn has_batches(&self) -> bool {
        !self.batches.is_empty()
    }

    pub(super) fn into_batches(self) -> Vec<Batch> {
        self.batches
    }

    /// The next record to return.
    pub(super) fn place(&self) -> Lsn {
        self.reached.map_or(self.from, |(next, _)| next)
    }

    pub(super) fn has_more(&self) -> bool {
        self.place() < self.until && (self.batches.is_empty() || self.taken < self.bytes)
    }

    /// Walks over a segment to its end, or until enough was read.
    pub(super) fn pass(&mut self, mut segment: OpenSegment) -> Result<(), HistoryError> {
        segment.window.want(usize::try_from(self.bytes.saturating_sub(self.taken)).unwrap_or(usize::MAX));
        let mut at = self.begin(&mut segment)?;
        if let Some((_, chain)) = self.reached.filter(|(next, _)| *next == at.next) {
            at.chain = Some(chain);
        }
        if self.passed.replace(segment.first) == Some(segment.first) {
            return Err(segment.damage(at.next, "records are missing at the segment's end".to_owned()));
        }
        while self.has_more() {
            let view = segment.window.view().map_err(HistoryError::Io)?;
            if view.is_empty() {
                break;
            }
            let (head, length) = match parse_batch(view) {
                Ok(parsed) => parsed,
                Err(error) => return Err(segment.not_as_written(at.next, "what stands here", error)),
            };
            let hash = BatchHash::of(view.get(..length).unwrap_or_default());
            check(&segment, &head, &at)?;
            self.take(&mut segment, (head, hash), length)?;
            self.marks.lock().pass(segment.first, head.first, at.offset);
            segment.window.pass(length);
            at = Mark { next: head.next(), offset: segment.window.offset(), chain: Some(hash) };
        }
        if segment.next.is_some_and(|next| at.next > next || (self.has_more() && at.next < next)) {
            return Err(segment.damage(at.next, "the segment does not end where the next one begins".to_owned()));
        }
        self.marks.lock().stop(segment.first, at);
        Ok(())
    }

    /// Where to start in a segment; verifies the segment's head if the walk begins there.
    fn begin(&self, segment: &mut OpenSegment) -> Result<Mark, HistoryError> {
        if segment.start.offset > 0 {
            return Ok(segment.start);
        }
        let head = match SegmentHead::parse(segment.window.view().map_err(HistoryError::Io)?) {
            Ok(head) => head,
            Err(error) => return Err(segment.not_as_written(segment.first, "the segment's head", error)),
        };
        if head.first != segment.first {
            let what = format!("the segment begins with record {}, unlike its name", head.first);
            return Err(segment.damage(segment.first, what));
        }
        if self.reached.is_some_and(|(_, chain)| chain != head.before) {
            return Err(segment.damage(segment.first, "the segment was not written after the one before it".to_owned()));
        }
        segment.window.pass(SEGMENT_HEAD);
        Ok(Mark { next: segment.first, offset: segment.window.offset(), chain: Some(head.before) })
    }

    /// Takes the batch at the front of the window, if it is at or after the requested position.
    fn take(
        &mut self,
        segment: &mut OpenSegment,
        (head, hash): (BatchHead, BatchHash),
        length: usize,
    ) -> Result<(), HistoryError> {
        if head.next() <= self.from {
            return Ok(());
        }
        let view = segment.window.view().map_err(HistoryError::Io)?;
        let decoded = Batch::decode(head, hash, view.get(BATCH_HEAD..length).unwrap_or_default());
        let batch = decoded.map_err(|(lsn, what)| segment.damage(lsn, what.to_owned()))?;
        self.taken = self.taken.saturating_add(batch.bytes);
        self.reached = Some((head.next(), hash));
        self.batches.push(batch);
        Ok(())
    }
}

/// A whole batch must be the expected next one.
fn check(segment: &OpenSegment, head: &BatchHead, at: &Mark) -> Result<(), HistoryError> {
    if head.first != at.next {
        return Err(segment.damage(at.next, format!("found a batch that begins with record {}", head.first)));
    }
    if at.chain.is_some_and(|chain| chain != head.before) {
        return Err(segment.damage(at.next, "the batch was not written after the one before it".to_owned()));
    }
    Ok(())
}
