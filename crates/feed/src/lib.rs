//! The feed: the journal's records as events, for followers.
//!
//! An event depends only on its record, the record's LSN, and names that never change. So a reader that returns to any
//! position that is still kept reads the same events. The feed is not part of any request's path, and nothing is read
//! or decoded while nobody follows. This crate does not depend on the engine, the wire or a runtime: reads block, and
//! callers that must not block use the tail.
//!
//! - [`Feed`]: the events of one journal, in a [`Chunk`] for each batch.
//! - [`Event`], [`Kind`] and [`Detail`]: an event, its type, and what it is about. [`Filter`] selects events.
//! - [`Position`]: a position between two events; as text it is a cursor.
//! - [`Feed::moved`]: by how much records moved a stock, [`StockPlace`].
//! - [`HoldChanges`]: the changes of single holds, found without a search.
//! - [`Names`]: the source of drops' names. Most records have only the drop's number.
//!
//! `README.md` has an example.

#![warn(unreachable_pub)]

mod chunk;
mod cursor;
mod drop_facts;
mod event;
mod filter;
mod hold_changes;
mod kind;
mod moved;
mod names;
mod tail;

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

pub use chunk::Chunk;
pub use cursor::{BadCursor, Position};
pub use event::{Detail, Event};
pub use filter::{BadType, Filter};
pub use hold_changes::{HoldChanges, HoldRecord};
pub use kind::{Kind, PREFIX};
pub use moved::StockPlace;
pub use names::Names;

pub use stockade_journal::{Following, HistoryError};

use stockade_journal::{Batch, Beyond, History, JournalName};
use stockade_types::ids::{DropNo, Lsn};

use names::{Forgotten, Named};
use tail::{Ring, Seen};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// About the bytes of the journal that are read at once.
const READ_BYTES: usize = 256 * 1024;
/// Bytes of events that were read from files and are cached for the next page: pages are smaller than one read.
const READ_KEPT_BYTES: usize = 4 * 1024 * 1024;

/// Why events can't be read.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The journal can't be read from there.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// A drop was archived and removed from memory while records about it were read, and its names can't be read yet.
    #[error("the names of drop number {0} can't be read yet")]
    Unnamed(DropNo),
    /// What a record moved of a stock is not known any more.
    #[error("what record {0} moved is not known any more")]
    Unknown(Lsn),
}

/// The result of reading the tail after a position.
#[derive(Debug)]
pub enum Recent {
    /// These chunks, in order.
    Chunks(Vec<Arc<Chunk>>),
    /// Nothing: the reader is at the end.
    End,
    /// The position is before the tail.
    Behind,
}

/// The events of a journal.
pub struct Feed {
    history: Arc<History>,
    names: Box<dyn Names>,
    /// The names of drops that the engine has removed.
    forgotten: Mutex<Forgotten>,
    ring: Mutex<Ring>,
    /// The chunks that were read from files last.
    read: Mutex<VecDeque<Arc<Chunk>>>,
}

fn cursor_unreadable_now(error: &HistoryError) -> BadCursor {
    BadCursor::NotNow { why: error.to_string() }
}

impl Feed {
    /// The feed of this journal, with the names of its drops.
    #[must_use]
    pub fn new(history: Arc<History>, names: impl Names + 'static) -> Self {
        Self {
            history,
            names: Box::new(names),
            forgotten: Mutex::default(),
            ring: Mutex::default(),
            read: Mutex::default(),
        }
    }

    /// The journal's name.
    #[must_use]
    pub fn journal(&self) -> JournalName {
        self.history.name()
    }

    /// The position before the oldest event that can be read. Blocks.
    ///
    /// # Errors
    /// [`HistoryError::Io`]: it can't be determined now.
    pub fn oldest(&self) -> Result<Position, HistoryError> {
        self.history.oldest().map(Position::before)
    }

    /// The position after the newest event that can be read.
    #[must_use]
    pub fn end(&self) -> Position {
        Position::behind(self.history.forced())
    }

    /// While the result exists, appended records can be read soon, whatever the journal's durability.
    pub fn follow(&self) -> Following {
        self.history.follow()
    }

    /// Whether its journal has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.history.has_ended()
    }

    /// Resolves once there is something to read after an LSN.
    pub fn beyond(&self, lsn: Lsn) -> Beyond {
        self.history.beyond(lsn)
    }

    /// A position as a cursor.
    #[must_use]
    pub fn cursor(&self, position: Position) -> String {
        position.cursor(self.journal())
    }

    /// The position of a cursor. Blocks.
    ///
    /// # Errors
    /// [`BadCursor`] when it is not a cursor, or nothing can be read from there.
    pub fn position(&self, cursor: &str) -> Result<Position, BadCursor> {
        self.readable(self.named(cursor)?)
    }

    /// The position that a cursor of this journal names, whether anything can be read from there or not. Blocks.
    ///
    /// # Errors
    /// [`BadCursor`] when it is not a cursor, or of another journal.
    pub fn named(&self, cursor: &str) -> Result<Position, BadCursor> {
        let (journal, position) = Position::of_cursor(cursor).ok_or(BadCursor::NoCursor)?;
        if journal == self.journal() {
            return Ok(position);
        }
        Err(BadCursor::OfAnotherJournal { oldest: self.oldest_cursor()? })
    }

    /// The position, if events can be read from there. Blocks.
    ///
    /// # Errors
    /// [`BadCursor`] when they can't.
    pub fn readable(&self, position: Position) -> Result<Position, BadCursor> {
        if position > self.end() {
            return Err(BadCursor::BehindTheEnd { oldest: self.oldest_cursor()? });
        }
        if !self.history.keeps(position.next()).map_err(|error| cursor_unreadable_now(&error))? {
            return Err(BadCursor::NotKept { oldest: self.oldest_cursor()? });
        }
        Ok(position)
    }

    fn oldest_cursor(&self) -> Result<String, BadCursor> {
        self.oldest().map(|oldest| self.cursor(oldest)).map_err(|error| cursor_unreadable_now(&error))
    }

    /// The chunks after a position, from the disk: at least one batch of the journal; nothing at its end. Blocks.
    ///
    /// # Errors
    /// [`FeedError`].
    pub fn read(&self, after: Position) -> Result<Vec<Arc<Chunk>>, FeedError> {
        let kept = self.read_before(after);
        if !kept.is_empty() {
            return Ok(kept);
        }
        let chunks: Vec<_> = self.decoded(after)?.into_iter().map(Arc::new).collect();
        let mut read = self.read.lock();
        read.extend(chunks.iter().cloned());
        let mut weight = read.iter().map(|chunk| chunk.weight()).fold(0, usize::saturating_add);
        while weight > READ_KEPT_BYTES
            && let Some(oldest) = read.pop_front()
        {
            weight = weight.saturating_sub(oldest.weight());
        }
        Ok(chunks)
    }

    /// The cached chunk after a position, and those that follow it without a gap.
    fn read_before(&self, after: Position) -> Vec<Arc<Chunk>> {
        let read = self.read.lock();
        let mut place = after;
        let found = read.iter().skip_while(|chunk| chunk.first() > after.next() || after >= chunk.end());
        let follow = found.take_while(|chunk| {
            let follows = chunk.first() <= place.next() && place < chunk.end();
            place = chunk.end();
            follows
        });
        follow.cloned().collect()
    }

    fn decoded(&self, after: Position) -> Result<Vec<Chunk>, FeedError> {
        if after >= self.end() {
            return Ok(Vec::new());
        }
        let batches = self.history.batches(after.next(), READ_BYTES)?;
        batches.into_iter().map(|batch| self.chunk(batch)).collect()
    }

    /// What the tail has after a position, at most about `bytes` bytes of it. Never reads the disk.
    #[must_use]
    pub fn recent(&self, after: Position, bytes: usize) -> Recent {
        match self.ring.lock().after(after, bytes) {
            Seen::Chunks(chunks) => Recent::Chunks(chunks),
            Seen::End => Recent::End,
            Seen::Behind => Recent::Behind,
        }
    }

    /// Begins a tail: from now on [`Feed::advance`] decodes new records. Returns the LSN after which it begins.
    #[must_use]
    pub fn begin_tail(&self) -> Lsn {
        let end = self.history.forced();
        self.ring.lock().begin(end);
        end
    }

    /// Decodes new records for all readers at the tail, about 256 KiB of the journal. Returns the LSN up to which it
    /// did. Blocks; for one thread at a time.
    ///
    /// # Errors
    /// [`FeedError`].
    pub fn advance(&self) -> Result<Lsn, FeedError> {
        let Some(end) = self.ring.lock().end() else { return Ok(self.history.forced()) };
        let chunks = self.decoded(Position::behind(end))?;
        let mut ring = self.ring.lock();
        for chunk in chunks {
            ring.push(chunk);
        }
        Ok(ring.end().unwrap_or(end))
    }

    /// Ends the tail, when nobody follows any more.
    pub fn end_tail(&self) {
        self.ring.lock().clear();
    }

    fn chunk(&self, batch: Batch) -> Result<Chunk, FeedError> {
        let first = batch.head.first;
        Chunk::of(batch, |number| match self.names.definition(number) {
            Some(definition) => Ok(definition),
            None => self.forgotten(number, first),
        })
    }

    /// The names of a drop that the engine has removed. The fact that archived it contains them, and comes after all
    /// other records about it and its holds.
    fn forgotten(&self, number: DropNo, from: Lsn) -> Result<Named, FeedError> {
        if let Some(named) = self.forgotten.lock().get(number) {
            return Ok(named);
        }
        let mut place = from;
        while place <= self.history.forced() {
            for batch in self.history.batches(place, READ_BYTES)? {
                place = batch.head.next();
                let mut forgotten = self.forgotten.lock();
                batch.records.iter().for_each(|record| forgotten.learn(record));
                if let Some(named) = forgotten.get(number) {
                    return Ok(named);
                }
            }
        }
        Err(FeedError::Unnamed(number))
    }
}
