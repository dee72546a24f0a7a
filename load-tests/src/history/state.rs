//! One possible state of a book after some of the calls took effect, in some order.
//!
//! A book is an item's stock or a customer's limit: a number of units, some of which holds have until they end. Where a
//! call without an answer made a hold, or a restart moved its deadline, its times are known as spans only.

/// From one millisecond to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Span {
    /// The earliest instant.
    pub from: u64,
    /// The latest instant.
    pub until: u64,
}

impl Span {
    /// A known instant.
    #[must_use]
    pub const fn at(instant: u64) -> Self {
        Self { from: instant, until: instant }
    }

    /// The intersection with another span, if there is one.
    #[must_use]
    pub fn within(self, other: Self) -> Option<Self> {
        let (from, until) = (self.from.max(other.from), self.until.min(other.until));
        (from <= until).then_some(Self { from, until })
    }

    /// Raises both ends to at least those of another.
    #[must_use]
    pub fn at_least(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), until: self.until.max(other.until) }
    }

    /// Lowers both ends to at most those of another.
    #[must_use]
    pub fn at_most(self, other: Self) -> Self {
        Self { from: self.from.min(other.from), until: self.until.min(other.until) }
    }

    /// Moves both ends later by a number of milliseconds.
    #[must_use]
    pub const fn plus(self, millis: u64) -> Self {
        Self { from: self.from.saturating_add(millis), until: self.until.saturating_add(millis) }
    }
}

/// The state of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Life {
    /// Held or in payment, until a deadline.
    Live {
        /// The deadline.
        due: Span,
        /// Whether it is in payment.
        paying: bool,
    },
    /// Sold for this order.
    Claimed(u8),
    /// Released.
    Released,
    /// Past its deadline.
    Expired,
    /// No hold: an adjustment that was made.
    Adjusted,
}

/// A hold, or an adjustment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Its number in the book.
    pub id: u32,
    /// Its state.
    pub life: Life,
    /// When it was made.
    pub created: Span,
    /// The states that a crash may restore: those before changes that are not known to be durable. None: it did not
    /// exist.
    pub before: Vec<Option<Life>>,
}

/// A state of a book.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct State {
    /// Holds and adjustments that may still matter, ascending by number.
    pub entries: Vec<Entry>,
    /// Units that are sold, of holds that no call refers to any more.
    pub sold: i64,
    /// Units that were added, by adjustments that no call refers to any more.
    pub added: i64,
}

impl State {
    /// A hold or an adjustment, if it exists.
    #[must_use]
    pub fn get(&self, id: u32) -> Option<&Entry> {
        let place = self.entries.binary_search_by_key(&id, |entry| entry.id).ok()?;
        self.entries.get(place)
    }

    /// Inserts or replaces an entry.
    pub fn put(&mut self, entry: Entry) {
        match self.entries.binary_search_by_key(&entry.id, |entry| entry.id) {
            Ok(place) => {
                if let Some(known) = self.entries.get_mut(place) {
                    *known = entry;
                }
            }
            Err(place) => self.entries.insert(place, entry),
        }
    }

    /// Removes an entry.
    pub fn remove(&mut self, id: u32) {
        self.entries.retain(|entry| entry.id != id);
    }
}

impl Entry {
    /// The entry in another state. The present one is kept for a crash if the change may not be durable.
    #[must_use]
    pub fn becomes(&self, life: Life, may_be_lost: bool) -> Self {
        let mut before = self.before.clone();
        if may_be_lost && !before.contains(&Some(self.life)) {
            before.push(Some(self.life));
        }
        Self { id: self.id, life, created: self.created, before }
    }

    /// The entry as durable: an answer acknowledged it.
    #[must_use]
    pub fn durable(&self, life: Life) -> Self {
        Self { id: self.id, life, created: self.created, before: Vec::new() }
    }
}
