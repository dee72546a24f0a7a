//! A batch of the journal as events.

use std::collections::HashMap;

use stockade_journal::Batch;
use stockade_types::ids::{DropNo, Lsn};

use super::cursor::Position;
use super::event::{Event, events};
use super::names::Named;

/// The events of one batch of the journal.
#[derive(Debug)]
pub struct Chunk {
    first: Lsn,
    end: Position,
    events: Vec<Event>,
    weight: usize,
}

impl Chunk {
    /// Converts a batch. Asks for each drop's names once.
    ///
    /// # Errors
    /// Those of `named`.
    pub(super) fn of<E>(batch: Batch, named: impl Fn(DropNo) -> Result<Named, E>) -> Result<Self, E> {
        let Batch { head, records, .. } = batch;
        let mut known: HashMap<DropNo, Named> = HashMap::new();
        let mut chunk = Vec::new();
        for (lsn, record) in std::iter::successors(Some(head.first), |lsn| Some(lsn.next())).zip(records) {
            let once = |number| match known.get(&number) {
                Some(known) => Ok(Named::clone(known)),
                None => named(number).inspect(|found| {
                    known.insert(number, Named::clone(found));
                }),
            };
            chunk.extend(events(lsn, record, once)?);
        }
        let weight = chunk.iter().map(Event::weight).fold(size_of::<Self>(), usize::saturating_add);
        Ok(Self { first: head.first, end: Position::before(head.next()), events: chunk, weight })
    }

    /// LSN of its first record, which need not have an event.
    #[must_use]
    pub const fn first(&self) -> Lsn {
        self.first
    }

    /// The position after its last record.
    #[must_use]
    pub const fn end(&self) -> Position {
        self.end
    }

    /// About the bytes that its events take.
    #[must_use]
    pub const fn weight(&self) -> usize {
        self.weight
    }

    /// Its events after a position, grouped by record.
    pub fn after(&self, after: Position) -> impl Iterator<Item = &[Event]> {
        let from = self.events.partition_point(|event| event.position <= after);
        let rest = self.events.get(from..).unwrap_or_default();
        rest.chunk_by(|one, other| one.lsn == other.lsn)
    }
}
