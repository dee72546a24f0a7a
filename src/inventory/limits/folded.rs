//! What a subject owns from archived drops.
//!
//! No hold tells of it any more, and it stays for good: one array in order, and nothing beside it.

use super::many::{Reserved, Sum};
use crate::ids::{DropNo, ItemNo};
use crate::packed::Packed;
use crate::record::OldUsage;
use crate::time::Timestamp;

/// One entry, where there is just one: an [`OldUsage`] in so little that a subject has room for it in itself.
#[derive(Debug, Clone, Copy)]
pub struct Purchase {
    at: Packed<8>,
    units: Packed<8>,
    drop: [u8; 4],
    item: [u8; 2],
}

/// Units by time, drop and item.
#[derive(Debug, Default)]
pub struct Folded {
    /// Ascending by time, drop and item, each once.
    entries: Vec<OldUsage>,
}

impl Folded {
    pub(super) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Its one entry, if it has just one.
    pub(super) const fn only(&self) -> Option<OldUsage> {
        match self.entries.as_slice() {
            [usage] => Some(*usage),
            _ => None,
        }
    }

    /// Adds units to those of the same item and time.
    pub(super) fn add(&mut self, usage: OldUsage) {
        match self.entries.binary_search_by_key(&key(&usage), key) {
            Ok(place) => {
                if let Some(known) = self.entries.get_mut(place) {
                    known.units = known.units.saturating_add(usage.units);
                }
            }
            Err(place) => self.entries.insert(place, usage),
        }
    }

    /// Each entry, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = OldUsage> {
        self.entries.iter().copied()
    }

    /// Visits what is of `from` or later, newest first.
    pub(super) fn each_since(&self, from: Timestamp, f: impl FnMut(Reserved)) {
        self.entries.iter().rev().take_while(|usage| usage.at >= from).map(|usage| Reserved::from(*usage)).for_each(f);
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
        Self { entries: vec![usage] }
    }
}

impl From<OldUsage> for Sum {
    fn from(OldUsage { drop, item, at: _, units }: OldUsage) -> Self {
        Self { drop, item, live: 0, owned: units }
    }
}

impl From<OldUsage> for Reserved {
    /// No hold is remembered of it.
    fn from(OldUsage { drop, item, at, units }: OldUsage) -> Self {
        Self { at, drop, item, holds: 0, units }
    }
}

fn key(usage: &OldUsage) -> (Timestamp, DropNo, ItemNo) {
    (usage.at, usage.drop, usage.item)
}
