//! What a subject owns from archived drops, and what facts tell of its orders. No hold contains it any more and it is never removed: limits of a series or
//! shop count it as long as its drop is remembered. So it is kept small: 24 bytes for each item and hour, and 16 for each order with returns.

use stockade_types::ids::{DropNo, ItemNo};
use stockade_types::packed::Packed;
use stockade_types::record::{FactConduct, OldUsage};
use stockade_types::time::Timestamp;

use super::aggregate::{ReservedUnits, Sum};
use super::conduct::{self, Instants};
use super::sorted::Sorted;

/// Most instants of returns that are kept of a subject: as many as a rule can ask for.
pub(super) const RETURNS_MAX: usize = 1_000;

/// One entry: an [`OldUsage`] packed so small that a subject holds it without an allocation.
#[derive(Debug, Clone, Copy)]
pub struct Purchase {
    at: Packed<8>,
    units: Packed<8>,
    drop: [u8; 4],
    item: [u8; 2],
}

/// What was folded into a subject.
#[derive(Debug, Default)]
pub struct Folded {
    /// Units by the end of their hour, drop and item.
    units: Sorted<(Timestamp, DropNo, ItemNo), u64>,
    /// Orders of which units were returned, by the instant of their last return: the newest.
    returns: Instants,
    /// What facts tell of its orders.
    facts: Option<Box<FactConduct>>,
}

impl Folded {
    /// Adds units.
    pub(super) fn add(&mut self, OldUsage { drop, item, at, units }: OldUsage) {
        let key = (at, drop, item);
        let had = self.units.get(&key).unwrap_or_default();
        self.units.set(key, Some(had.saturating_add(units)));
    }

    /// Adds an order of which units came back at `at`. The newest are kept, as many as a rule can ask for: the same ones
    /// in whatever order they are added.
    pub(super) fn add_return(&mut self, at: Timestamp) {
        conduct::add(&mut self.returns, at, 1);
        if self.returns.len() > RETURNS_MAX
            && let (Some(oldest), _) = self.returns.first_two()
        {
            self.returns.set(oldest, None);
        }
    }

    pub(super) const fn returns(&self) -> &Instants {
        &self.returns
    }

    /// What facts tell of its orders, if they tell anything.
    pub(super) fn facts(&self) -> Option<&FactConduct> {
        self.facts.as_deref()
    }

    /// Changes that.
    pub(super) fn change_facts(&mut self, change: impl FnOnce(&mut FactConduct)) {
        let mut facts = self.facts.take().unwrap_or_default();
        change(&mut facts);
        self.facts = Some(facts).filter(|facts| !facts.is_empty());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.units.is_empty() && self.has_no_conduct()
    }

    fn has_no_conduct(&self) -> bool {
        self.returns.is_empty() && self.facts.is_none()
    }

    /// The only entry, if there is exactly one.
    pub(super) fn only(&self) -> Option<OldUsage> {
        if self.units.len() == 1 && self.has_no_conduct() { self.iter().next() } else { None }
    }

    /// All entries, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = OldUsage> {
        self.units.iter().map(|((at, drop, item), units)| OldUsage { drop, item, at, units })
    }

    /// What was reserved at `from` or later, newest first.
    pub(super) fn each_since(&self, from: Timestamp, mut f: impl FnMut(ReservedUnits)) {
        self.units.each_down_to(&(from, DropNo::default(), ItemNo::default()), |(at, drop, item), units| {
            f(OldUsage { drop, item, at, units }.into());
            true
        });
    }
}

impl Purchase {
    pub(super) fn usage(self) -> OldUsage {
        let Self { at, units, drop, item } = self;
        let (drop, item) = (DropNo(u32::from_le_bytes(drop)), ItemNo(u16::from_le_bytes(item)));
        OldUsage { drop, item, at: Timestamp(at.get()), units: units.get() }
    }
}

impl From<OldUsage> for Purchase {
    fn from(OldUsage { drop, item, at, units }: OldUsage) -> Self {
        let (drop, item) = (drop.0.to_le_bytes(), item.0.to_le_bytes());
        Self { at: at.0.into(), units: units.into(), drop, item }
    }
}

impl From<OldUsage> for Folded {
    fn from(usage: OldUsage) -> Self {
        let mut folded = Self::default();
        folded.add(usage);
        folded
    }
}

impl From<OldUsage> for Sum {
    fn from(OldUsage { drop, item, at: _, units }: OldUsage) -> Self {
        Self { drop, item, live: 0, owned: units }
    }
}

impl From<OldUsage> for ReservedUnits {
    /// No hold of it is remembered.
    fn from(OldUsage { drop, item, at, units }: OldUsage) -> Self {
        Self { at, drop, item, holds: 0, units }
    }
}
