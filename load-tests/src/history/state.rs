//! One possible state of a book: what there may be after some of the calls took effect, in some order.
//!
//! A book is an item's stock or a customer's allowance: a number of units, of which holds have some until they are given
//! back. Where a call without an answer made a hold, or a restart moved its deadline, that is known as a span only.

/// From one millisecond to another, both within.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Span {
    /// Not before.
    pub from: u64,
    /// Not after.
    pub until: u64,
}

impl Span {
    /// An instant that is known.
    #[must_use]
    pub const fn at(instant: u64) -> Self {
        Self { from: instant, until: instant }
    }

    /// What of it lies in another one; none where nothing does.
    #[must_use]
    pub fn within(self, other: Self) -> Option<Self> {
        let (from, until) = (self.from.max(other.from), self.until.min(other.until));
        (from <= until).then_some(Self { from, until })
    }

    /// Both of its ends not before those of another.
    #[must_use]
    pub fn at_least(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), until: self.until.max(other.until) }
    }

    /// Both of its ends not after those of another.
    #[must_use]
    pub fn at_most(self, other: Self) -> Self {
        Self { from: self.from.min(other.from), until: self.until.min(other.until) }
    }

    /// Both of its ends later by so much.
    #[must_use]
    pub const fn plus(self, millis: u64) -> Self {
        Self { from: self.from.saturating_add(millis), until: self.until.saturating_add(millis) }
    }
}

/// Where a hold stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Life {
    /// Held, or at the till, until a deadline.
    Live {
        /// The deadline.
        due: Span,
        /// At the till.
        paying: bool,
    },
    /// Sold for this order.
    Claimed(u8),
    /// Given back.
    Released,
    /// Run out.
    Expired,
    /// No hold: an adjustment that was made.
    Adjusted,
}

/// A hold, or an adjustment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Which, by its number in the book.
    pub id: u32,
    /// Where it stands.
    pub life: Life,
    /// When it was made.
    pub created: Span,
    /// What a crash may make of it instead: where it stood before changes that nobody knows to be durable. None: it was
    /// not there.
    pub before: Vec<Option<Life>>,
}

/// A state of a book.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct State {
    /// Holds and adjustments that may still matter, ascending by number.
    pub entries: Vec<Entry>,
    /// Units that are sold for good, of holds that are in no call any more.
    pub sold: i64,
    /// Units that came in addition, of adjustments that are in no call any more.
    pub added: i64,
}

impl State {
    /// A hold or an adjustment; none where it is not there.
    #[must_use]
    pub fn get(&self, id: u32) -> Option<&Entry> {
        let place = self.entries.binary_search_by_key(&id, |entry| entry.id).ok()?;
        self.entries.get(place)
    }

    /// Enters one, or another state of it.
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

    /// Takes one out.
    pub fn remove(&mut self, id: u32) {
        self.entries.retain(|entry| entry.id != id);
    }
}

impl Entry {
    /// With another life, this one being kept for a crash where the change may not be durable.
    #[must_use]
    pub fn becomes(&self, life: Life, may_be_lost: bool) -> Self {
        let mut before = self.before.clone();
        if may_be_lost && !before.contains(&Some(self.life)) {
            before.push(Some(self.life));
        }
        Self { id: self.id, life, created: self.created, before }
    }

    /// As it is known to be durable: an answer said so.
    #[must_use]
    pub fn durable(&self, life: Life) -> Self {
        Self { id: self.id, life, created: self.created, before: Vec::new() }
    }
}
