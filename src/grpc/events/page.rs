//! The events of a message: as many as fit, never a part of a record's events.

use std::collections::VecDeque;
use std::sync::Arc;

use prost::Message as _;
use stockade_feed::{Chunk, Event, Feed, FeedError, Position};
use stockade_proto as pb;
use stockade_types::ids::Lsn;

use crate::grpc::convert::{self, EventSelection};

/// Most bytes of a message's encoded events: the message ends before a record that would exceed this. Clients accept
/// 4 MiB in a message by default.
pub(super) const PAGE_BYTES: usize = 512 * 1024;
/// Bytes that a message adds to an event: its tag and length.
const PER_EVENT: usize = 8;
/// About how many bytes of events are searched at once: this holds a thread for about ten milliseconds.
const SCAN_BYTES: usize = 8 * 1024 * 1024;
/// How many of the last records are searched first for the newest events. The number doubles while too few are found,
const WINDOW: u64 = 1_024;
/// up to this.
const WINDOW_MAX: u64 = 32 * 1_024;

/// The events of one message.
#[derive(Debug)]
pub(super) struct EventPage {
    /// In order.
    pub events: Vec<pb::Event>,
    /// Everything up to here was searched.
    pub read_to: Position,
    bytes: usize,
}

/// The journal's events, and the request that they are read for.
pub(super) struct Source<'a> {
    /// The journal's feed.
    pub feed: &'a Feed,
    /// The request.
    pub wanted: &'a EventSelection,
}

impl EventPage {
    /// An empty page; nothing after this position was searched.
    pub(super) const fn behind(read_to: Position) -> Self {
        Self { events: Vec::new(), read_to, bytes: 0 }
    }

    fn takes(&self, events: usize, bytes: usize, wanted: &EventSelection) -> bool {
        self.events.is_empty()
            || (self.events.len().saturating_add(events) <= wanted.events
                && self.bytes.saturating_add(bytes) <= PAGE_BYTES)
    }

    /// Adds the wanted events of a chunk that fit. Returns whether the page is full.
    pub(super) fn fill(&mut self, chunk: &Chunk, source: &Source<'_>) -> bool {
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

    /// A page of the wanted events of these chunks.
    pub(super) fn of_chunks(after: Position, chunks: &[Arc<Chunk>], source: &Source<'_>) -> Self {
        let mut page = Self::behind(after);
        let _full = chunks.iter().any(|chunk| page.fill(chunk, source));
        page
    }

    /// A page of the wanted events on the disk. Ends if the page is full, the end is reached, or about `SCAN_BYTES`
    /// were searched. Blocks.
    ///
    /// # Errors
    /// [`FeedError`].
    pub(super) fn of_files(after: Position, source: &Source<'_>) -> Result<Self, FeedError> {
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
    /// The wanted events of one record, with their bytes.
    fn shown(&self, record: &[Event], journal: &str) -> (Vec<pb::Event>, usize) {
        let Self { feed, wanted } = self;
        let show = |event: &Event| convert::event(event, journal, feed.cursor(event.position), wanted.shown);
        let shown: Vec<_> = record.iter().filter(|event| wanted.filter.wants(event)).map(show).collect();
        let bytes = shown.iter().map(|event| event.encoded_len().saturating_add(PER_EVENT));
        let bytes = bytes.fold(0, usize::saturating_add);
        (shown, bytes)
    }
}

/// The newest events, searched from the end backwards.
#[derive(Debug)]
pub(super) struct Newest {
    page: EventPage,
    /// Everything after this position was searched.
    upto: Position,
    window: u64,
}

impl Newest {
    /// Starts at this end; nothing was searched yet.
    pub(super) const fn upto(end: Position) -> Self {
        Self { page: EventPage::behind(end), upto: end, window: WINDOW }
    }

    /// Whether nothing was found so far.
    pub(super) const fn is_empty(&self) -> bool {
        self.page.events.is_empty()
    }

    /// The events that were found, newest first. Events after the end at the start are not among them.
    pub(super) fn into_page(self) -> EventPage {
        self.page
    }

    /// Searches the records before those that were searched, down to `after`. Returns whether the search is complete
    /// or the page is full. Blocks.
    ///
    /// # Errors
    /// [`FeedError`].
    pub(super) fn look(&mut self, after: Position, source: &Source<'_>) -> Result<bool, FeedError> {
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

    /// The newest wanted events after a position, no more than the page could take.
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
