//! The feed: what the journal says, as events, for those who follow it.
//!
//! An event follows from a record, the record's place, and names that never change, and from nothing else: a
//! reader that comes again, from whichever place that is still kept, reads the same. Nothing here is on the way of a request, and nothing
//! is read or decoded while nobody follows. This room knows no engine, no wire and no runtime: reading blocks, and who
//! may not block asks the tail.

mod chunk;
mod cursor;
mod event;
mod filter;
mod kind;
mod names;
mod tail;

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

pub use chunk::Chunk;
pub use cursor::{BadCursor, Position};
pub use event::{Detail, Event};
pub use filter::{BadType, Filter};
pub use kind::{Kind, PREFIX};
pub use names::Names;

pub use stockade_journal::{Following, HistoryError};

use stockade_journal::{Batch, Beyond, History, JournalName};
use stockade_types::ids::{DropNo, Lsn};

use names::{Forgotten, Named};
use tail::{Ring, Seen};

/// About so many bytes of the journal are read at once.
const READ_BYTES: usize = 256 * 1024;
/// Bytes of events that were read from files and are kept for who reads on: pages are smaller than what is read at once.
const READ_KEPT_BYTES: usize = 4 * 1024 * 1024;

/// Why there is nothing to read.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// What the journal has can't be read from there.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// A drop that was archived and forgotten while it was read about: what names it can't be read yet.
    #[error("what names drop number {0} can't be read yet")]
    Unnamed(DropNo),
}

/// What the tail has behind a position.
#[derive(Debug)]
pub enum Recent {
    /// This, in order.
    Chunks(Vec<Arc<Chunk>>),
    /// Nothing: it is all read.
    End,
    /// It does not reach back so far.
    Behind,
}

/// The events of a journal.
pub struct Feed {
    history: Arc<History>,
    names: Box<dyn Names>,
    /// The names of drops that the engine has forgotten.
    forgotten: Mutex<Forgotten>,
    ring: Mutex<Ring>,
    /// What was read from files last.
    read: Mutex<VecDeque<Arc<Chunk>>>,
}

fn not_now(error: &HistoryError) -> BadCursor {
    BadCursor::NotNow { why: error.to_string() }
}

impl Feed {
    /// Of this journal, with the names of its drops.
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

    /// What names the journal.
    #[must_use]
    pub fn journal(&self) -> JournalName {
        self.history.name()
    }

    /// Before the oldest event that can be read. Blocks.
    ///
    /// # Errors
    /// [`HistoryError::Io`]: it can't be known now.
    pub fn oldest(&self) -> Result<Position, HistoryError> {
        self.history.oldest().map(Position::before)
    }

    /// Behind the newest event that can be read.
    #[must_use]
    pub fn end(&self) -> Position {
        Position::behind(self.history.forced())
    }

    /// For as long as it is held, what is appended can be read soon, whatever the journal's durability.
    pub fn follow(&self) -> Following {
        self.history.follow()
    }

    /// Whether its journal has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.history.has_ended()
    }

    /// Resolves once there is something to read behind a place.
    pub fn beyond(&self, lsn: Lsn) -> Beyond {
        self.history.beyond(lsn)
    }

    /// A position as callers keep it.
    #[must_use]
    pub fn cursor(&self, position: Position) -> String {
        position.cursor(self.journal())
    }

    /// The position that a caller has kept. Blocks.
    ///
    /// # Errors
    /// [`BadCursor`] when it is none, or nothing can be read from there.
    pub fn position(&self, cursor: &str) -> Result<Position, BadCursor> {
        let (journal, position) = Position::of_cursor(cursor).ok_or(BadCursor::NoCursor)?;
        let oldest = || self.oldest().map(|oldest| self.cursor(oldest)).map_err(|error| not_now(&error));
        if journal != self.journal() {
            return Err(BadCursor::OfAnotherJournal { oldest: oldest()? });
        }
        if position > self.end() {
            return Err(BadCursor::BehindTheEnd { oldest: oldest()? });
        }
        if !self.history.keeps(position.next()).map_err(|error| not_now(&error))? {
            return Err(BadCursor::NotKept { oldest: oldest()? });
        }
        Ok(position)
    }

    /// What follows a position, from the disk: at least a batch of the journal; nothing at its end. Blocks.
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

    /// What was read from files before and is still there: the chunk that goes on behind a position, and those that follow
    /// it without a gap.
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

    /// What the tail has behind a position, at most about `bytes` bytes of it. Never blocks for the disk.
    #[must_use]
    pub fn recent(&self, after: Position, bytes: usize) -> Recent {
        match self.ring.lock().after(after, bytes) {
            Seen::Chunks(chunks) => Recent::Chunks(chunks),
            Seen::End => Recent::End,
            Seen::Behind => Recent::Behind,
        }
    }

    /// Begins a tail: from now on [`Feed::advance`] decodes what comes. Says behind which place it begins.
    #[must_use]
    pub fn begin_tail(&self) -> Lsn {
        let end = self.history.forced();
        self.ring.lock().begin(end);
        end
    }

    /// Decodes what has come since for all who are at the tail, about 256 KiB of the journal. Says up to which place. Blocks;
    /// for one thread at a time.
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

    /// Ends the tail: nobody is there any more.
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

    /// The names of a drop that the engine has forgotten: the fact that archived it has them, and stands behind all others
    /// about it and its holds.
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
