//! Cursors: positions between events, as callers keep them.
//!
//! A cursor says which event its holder has read last. Its bytes are the journal's name, the LSN, the event's number
//! within the record, and a checksum, in base64url. The checksum detects cursors that are cut, mistyped or made up.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use stockade_journal::JournalName;
use stockade_types::codec::Reader;
use stockade_types::ids::Lsn;
use stockade_types::webhook::EventPlace;

/// First byte: the version of the format.
const FORM: u8 = 1;
/// Bytes of a cursor before its checksum.
const BODY_BYTES: usize = 1 + 8 + 8 + 2;
/// The place after all events of a record, however many it has.
const ALL: u16 = u16::MAX;

/// A position between events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    lsn: Lsn,
    /// How many of the record's events are before it; [`ALL`] for all of them.
    place: u16,
}

/// Why reading can't continue from a cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCursor {
    /// It is not a cursor.
    #[error("is not a cursor of this service")]
    NoCursor,
    /// It is of another journal.
    #[error("the cursor is of another journal: the oldest cursor of this one is {oldest}")]
    OfAnotherJournal {
        /// The oldest that there is.
        oldest: String,
    },
    /// It is after the end of the journal.
    #[error("the cursor is after the end of this journal, which has lost records: the oldest cursor is {oldest}")]
    BehindTheEnd {
        /// The oldest that there is.
        oldest: String,
    },
    /// Whether reading can continue can't be determined now, but maybe later.
    #[error("reading from the cursor is not possible now: {why}")]
    NotNow {
        /// The reason.
        why: String,
    },
    /// The events after it are no longer kept.
    #[error("the events after the cursor are no longer kept: the oldest cursor is {oldest}")]
    NotKept {
        /// The oldest that there is.
        oldest: String,
    },
}

impl Position {
    /// Before all events of a record.
    #[must_use]
    pub const fn before(lsn: Lsn) -> Self {
        Self { lsn: Lsn(lsn.0.saturating_sub(1)), place: ALL }
    }

    /// After all events of a record.
    #[must_use]
    pub const fn behind(lsn: Lsn) -> Self {
        Self { lsn, place: ALL }
    }

    /// After an event of a record; the first one has the place 1.
    #[must_use]
    pub(super) const fn at(lsn: Lsn, place: u16, is_last: bool) -> Self {
        Self { lsn, place: if is_last { ALL } else { place } }
    }

    /// As the journal keeps it.
    #[must_use]
    pub const fn place(self) -> EventPlace {
        EventPlace { lsn: self.lsn, place: self.place }
    }

    /// As the journal has kept it.
    #[must_use]
    pub const fn of_place(place: EventPlace) -> Self {
        let EventPlace { lsn, place } = place;
        Self { lsn, place }
    }

    /// The record at or after which it is.
    #[must_use]
    pub const fn lsn(self) -> Lsn {
        self.lsn
    }

    /// The record from which to read on.
    #[must_use]
    pub const fn next(self) -> Lsn {
        if self.place == ALL { self.lsn.next() } else { self.lsn }
    }

    /// Encodes it as a cursor.
    #[must_use]
    pub(super) fn cursor(self, journal: JournalName) -> String {
        let mut bytes = Vec::with_capacity(BODY_BYTES.saturating_add(4));
        bytes.push(FORM);
        bytes.extend_from_slice(&journal.to_bytes());
        bytes.extend_from_slice(&self.lsn.0.to_be_bytes());
        bytes.extend_from_slice(&self.place.to_be_bytes());
        let checksum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&checksum.to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Decodes a cursor: the journal's name and the position.
    pub(super) fn of_cursor(text: &str) -> Option<(JournalName, Self)> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (body, checksum) = bytes.split_at_checked(BODY_BYTES)?;
        if checksum != crc32c::crc32c(body).to_be_bytes() {
            return None;
        }
        let mut reader = Reader::new(body);
        if reader.u8().ok()? != FORM {
            return None;
        }
        let journal = JournalName::from_bytes(reader.array().ok()?);
        let lsn = Lsn(u64::from_be_bytes(reader.array().ok()?));
        Some((journal, Self { lsn, place: u16::from_be_bytes(reader.array().ok()?) }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(number: u64) -> JournalName {
        JournalName::from_bytes(number.to_le_bytes())
    }

    #[test]
    fn positions_stand_in_the_order_of_events() {
        let lsn = Lsn(7);
        let order = [
            Position::before(lsn),
            Position::at(lsn, 1, false),
            Position::at(lsn, 2, true),
            Position::at(Lsn(8), 1, false),
            Position::behind(Lsn(8)),
        ];
        assert!(order.is_sorted());
        assert_eq!(order.map(|position| position.next().0), [7, 7, 8, 8, 9]);
        assert_eq!(Position::at(lsn, 2, true), Position::behind(lsn), "behind its last event");
    }

    proptest! {
        #[test]
        fn a_cursor_is_read_as_it_was_given_out(journal: u64, lsn: u64, place: u16) {
            let position = Position { lsn: Lsn(lsn), place };
            let cursor = position.cursor(name(journal));
            prop_assert_eq!(Position::of_cursor(&cursor), Some((name(journal), position)));
        }

        #[test]
        fn what_was_not_given_out_is_no_cursor(lsn: u64, at: prop::sample::Index, with in "[A-Za-z0-9_=+/ -]") {
            let cursor = Position::behind(Lsn(lsn)).cursor(name(9));
            let at = at.index(cursor.len());
            let mut changed = cursor.clone();
            changed.replace_range(at..=at, &with);
            prop_assert!(changed == cursor || Position::of_cursor(&changed).is_none());
            prop_assert!(Position::of_cursor(&cursor[..at]).is_none());
            let longer = cursor + &with;
            prop_assert!(Position::of_cursor(&longer).is_none());
        }

        #[test]
        fn any_text_is_looked_at(text in ".{0,64}") {
            prop_assert!(Position::of_cursor(&text).is_none());
        }
    }
}
