//! Events as they are put into a message: as many as fit, those of one record together.

use std::collections::VecDeque;
use std::sync::Arc;

use prost::Message as _;
use stockade_feed::{Chunk, Event, Feed, FeedError, Position};
use stockade_proto as pb;
use stockade_types::ids::Lsn;

use crate::grpc::convert::{self, Wanted};

/// Bytes of a message's events, as encoded: where one record more would go beyond, the message ends before it. Far below
/// what clients take in one message where nothing is said, 4 MiB.
pub const PAGE_BYTES: usize = 512 * 1024;
/// Bytes that an event takes in a message beside its own: tag and length.
const PER_EVENT: usize = 8;
/// Bytes of events that are searched at once, about: a thread is held for some ten milliseconds.
const SCAN_BYTES: usize = 8 * 1024 * 1024;
/// Records among which the newest are looked for first. As long as there are too few, twice as many.
const WINDOW: u64 = 1_024;
/// And at most.
const WINDOW_MAX: u64 = 32 * 1_024;

/// Events for one message.
#[derive(Debug)]
pub struct Page {
    /// In order.
    pub events: Vec<pb::Event>,
    /// Up to here everything was looked at.
    pub read_to: Position,
    bytes: usize,
}

/// What is read for whom: the events of this journal.
pub struct Source<'a> {
    /// The journal's.
    pub feed: &'a Feed,
    /// Which of them.
    pub wanted: &'a Wanted,
}

impl Page {
    /// Nothing was looked at behind this.
    pub const fn behind(read_to: Position) -> Self {
        Self { events: Vec::new(), read_to, bytes: 0 }
    }

    fn takes(&self, events: usize, bytes: usize, wanted: &Wanted) -> bool {
        self.events.is_empty()
            || (self.events.len().saturating_add(events) <= wanted.events
                && self.bytes.saturating_add(bytes) <= PAGE_BYTES)
    }

    /// Takes what is wanted of a chunk, as far as it fits. Says whether nothing more does.
    pub fn fill(&mut self, chunk: &Chunk, source: &Source<'_>) -> bool {
        let journal = source.feed.journal().to_string();
        for record in chunk.after(self.read_to) {
            let (shown, bytes) = source.shown(record, &journal);
            if !shown.is_empty() && !self.takes(shown.len(), bytes, source.wanted) {
                return true;
            }
            self.bytes = self.bytes.saturating_add(bytes);
            self.events.extend(shown);
            self.read_to = record.last().map_or(self.read_to, |last| last.position);
        }
        self.read_to = self.read_to.max(chunk.end());
        self.events.len() >= source.wanted.events
    }

    /// Takes what is wanted from chunks.
    pub fn of_chunks(after: Position, chunks: &[Arc<Chunk>], source: &Source<'_>) -> Self {
        let mut page = Self::behind(after);
        let _full = chunks.iter().any(|chunk| page.fill(chunk, source));
        page
    }

    /// Takes what is wanted from the disk, until the page is full, all was looked at, or much of it was. Blocks.
    ///
    /// # Errors
    /// [`FeedError`].
    pub fn of_files(after: Position, source: &Source<'_>) -> Result<Self, FeedError> {
        let (mut page, mut scanned) = (Self::behind(after), 0_usize);
        loop {
            let chunks = source.feed.read(page.read_to)?;
            if chunks.is_empty() {
                return Ok(page);
            }
            for chunk in chunks {
                if page.fill(&chunk, source) {
                    return Ok(page);
                }
                scanned = scanned.saturating_add(chunk.weight());
            }
            if scanned > SCAN_BYTES {
                return Ok(page);
            }
        }
    }
}

impl Source<'_> {
    /// What is wanted of one record's events, and its bytes.
    fn shown(&self, record: &[Event], journal: &str) -> (Vec<pb::Event>, usize) {
        let Self { feed, wanted } = self;
        let show = |event: &Event| convert::event(event, journal, feed.cursor(event.position), wanted.shown);
        let shown: Vec<_> = record.iter().filter(|event| wanted.filter.wants(event)).map(show).collect();
        let bytes = shown.iter().map(|event| event.encoded_len().saturating_add(PER_EVENT));
        let bytes = bytes.fold(0, usize::saturating_add);
        (shown, bytes)
    }
}

/// The newest events, gathered from the end backwards.
#[derive(Debug)]
pub struct Newest {
    page: Page,
    /// Up to here it is still to be looked.
    upto: Position,
    window: u64,
}

impl Newest {
    /// Those up to a position: nothing was looked at yet.
    pub const fn upto(end: Position) -> Self {
        Self { page: Page::behind(end), upto: end, window: WINDOW }
    }

    /// Whether none was found so far.
    pub const fn is_empty(&self) -> bool {
        self.page.events.is_empty()
    }

    /// The events that were found, newest first. What comes behind the end as it was is not among them.
    pub fn into_page(self) -> Page {
        self.page
    }

    /// Looks at the records before those that were looked at, down to `after`. Says whether that was all, or nothing more
    /// fits. Blocks.
    ///
    /// # Errors
    /// [`FeedError`].
    pub fn look(&mut self, after: Position, source: &Source<'_>) -> Result<bool, FeedError> {
        let from = Lsn(self.upto.next().0.saturating_sub(self.window).max(1));
        let from = Position::before(from).max(after);
        let mut found = self.between(from, source)?;
        while let Some((mut shown, bytes)) = found.pop_back() {
            if !self.page.takes(shown.len(), bytes, source.wanted) {
                return Ok(true);
            }
            shown.reverse();
            self.page.bytes = self.page.bytes.saturating_add(bytes);
            self.page.events.extend(shown);
        }
        self.upto = from;
        self.window = self.window.saturating_mul(2).min(WINDOW_MAX);
        Ok(from <= after || self.page.events.len() >= source.wanted.events)
    }

    /// The newest of what is wanted behind a position: no more than the page could take.
    fn between(&self, from: Position, source: &Source<'_>) -> Result<VecDeque<(Vec<pb::Event>, usize)>, FeedError> {
        let journal = source.feed.journal().to_string();
        let (mut found, mut bytes) = (VecDeque::new(), 0_usize);
        let mut place = from;
        while place < self.upto {
            let chunks = source.feed.read(place)?;
            if chunks.is_empty() {
                break;
            }
            for chunk in chunks {
                let records = chunk
                    .after(place)
                    .take_while(|record| record.first().is_some_and(|event| event.position <= self.upto));
                for record in records {
                    let (shown, more) = source.shown(record, &journal);
                    if shown.is_empty() {
                        continue;
                    }
                    bytes = bytes.saturating_add(more);
                    found.push_back((shown, more));
                    while found.len() > source.wanted.events || (bytes > PAGE_BYTES && found.len() > 1) {
                        let (_, less) = found.pop_front().unwrap_or_default();
                        bytes = bytes.saturating_sub(less);
                    }
                }
                place = place.max(chunk.end());
            }
        }
        Ok(found)
    }
}
