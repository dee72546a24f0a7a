//! Remembered adjustments of an item's stock, reconciliations among them, so that one sent again is not applied again.
//!
//! Each is remembered for seven days, and the last 256 for longer; at most 100,000 of one item. Of the forgotten ones
//! only the latest instant is kept at which one of them may have been made. An id of version 7 contains its instant, so
//! an id from before that instant that is not remembered may be one of the forgotten.

use std::collections::VecDeque;
use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashTable};
use stockade_types::ids::{AdjustmentId, Lsn, PoolNo};
use stockade_types::packed::Packed;
use stockade_types::record::{Adjustment, Reconciliation, StockChange};
use stockade_types::time::{Millis, Timestamp};

/// Adjustments of an item that are remembered however old they are.
pub(super) const REMEMBERED_MIN: usize = 256;
/// Most adjustments of an item that are remembered.
pub(super) const REMEMBERED_MAX: usize = if cfg!(test) { 1_000 } else { 100_000 };
/// How long each is remembered, up to [`REMEMBERED_MAX`].
const REMEMBERED_FOR: Millis = Millis::from_secs(7 * 24 * 60 * 60);
/// The clock that made an id of version 7 may be ahead by this much.
const AHEAD_MAX: Millis = Millis::from_secs(24 * 60 * 60);

/// The adjustments of one item.
#[derive(Debug, Default)]
pub struct ItemAdjustments {
    /// LSN of the last one; 0 before the first.
    pub revision: Lsn,
    /// LSN of the last reconciliation since the start; 0 before the first. Not in snapshots: it is compared with counts of
    /// this process only.
    pub reconciled: Lsn,
    /// Oldest first.
    last: VecDeque<Remembered>,
    /// The numbers of the adjustments, by id. `first` is the number of the oldest.
    places: HashTable<u32>,
    first: u32,
    hasher: DefaultHashBuilder,
    /// The latest instant at which a forgotten adjustment may have been made; 0 while none was forgotten.
    forgotten: Timestamp,
}

/// One adjustment, packed: an item may have 100,000.
#[derive(Debug, Clone, Copy)]
struct Remembered {
    id: AdjustmentId,
    /// When it was made; 0 if that is not known.
    at: Packed<8>,
    pool: [u8; 2],
    change: PackedChange,
}

/// A change, packed; a difference is a signed number's bytes.
#[derive(Debug, Clone, Copy)]
enum PackedChange {
    Delta(Packed<8>),
    SetReceived {
        expected: Packed<8>,
        units: Packed<8>,
    },
    /// As of a record, units on hand, drift, what was applied.
    Reconcile {
        whole_item: bool,
        of: [Packed<8>; 4],
    },
}

fn signed(packed: Packed<8>) -> i64 {
    i64::from_le_bytes(packed.get().to_le_bytes())
}

fn unsigned(number: i64) -> Packed<8> {
    u64::from_le_bytes(number.to_le_bytes()).into()
}

impl From<StockChange> for PackedChange {
    fn from(change: StockChange) -> Self {
        match change {
            StockChange::Delta(delta) => Self::Delta(unsigned(delta)),
            StockChange::SetReceived { expected, units } => {
                Self::SetReceived { expected: expected.into(), units: units.into() }
            }
            StockChange::Reconcile(Reconciliation { whole_item, as_of, on_hand, drift, applied }) => {
                let of = [as_of.0.into(), on_hand.into(), unsigned(drift), unsigned(applied)];
                Self::Reconcile { whole_item, of }
            }
        }
    }
}

impl From<PackedChange> for StockChange {
    fn from(packed: PackedChange) -> Self {
        match packed {
            PackedChange::Delta(delta) => Self::Delta(signed(delta)),
            PackedChange::SetReceived { expected, units } => {
                Self::SetReceived { expected: expected.get(), units: units.get() }
            }
            PackedChange::Reconcile { whole_item, of: [as_of, on_hand, drift, applied] } => {
                let (as_of, on_hand) = (Lsn(as_of.get()), on_hand.get());
                let (drift, applied) = (signed(drift), signed(applied));
                Self::Reconcile(Reconciliation { whole_item, as_of, on_hand, drift, applied })
            }
        }
    }
}

impl Remembered {
    fn new(adjustment: &Adjustment, at: Option<Timestamp>) -> Self {
        let Adjustment { id, pool, change } = *adjustment;
        let at = at.unwrap_or_default().0.into();
        Self { id, at, pool: pool.0.to_le_bytes(), change: change.into() }
    }

    fn adjustment(&self) -> Adjustment {
        Adjustment { id: self.id, pool: PoolNo(u16::from_le_bytes(self.pool)), change: self.change.into() }
    }

    fn at(&self) -> Option<Timestamp> {
        Some(Timestamp(self.at.get())).filter(|at| at.0 > 0)
    }

    /// Its age counts from when it was applied or when its id was made, whichever is later.
    fn counts_from(&self) -> Option<Timestamp> {
        let at = self.at()?;
        Some(made_at(&self.id).map_or(at, |made| at.max(made.min(at.plus(AHEAD_MAX)))))
    }
}

impl ItemAdjustments {
    /// The adjustment with this id, if it is remembered.
    #[must_use]
    pub fn find(&self, id: &AdjustmentId) -> Option<Adjustment> {
        let of = |number: &u32| self.numbered(*number).is_some_and(|known| known.id == *id);
        let number = self.places.find(self.hasher.hash_one(id.as_bytes()), of)?;
        self.numbered(*number).map(Remembered::adjustment)
    }

    /// Whether an adjustment with this id, which is not remembered, may have been made and forgotten: the id is of
    /// version 7 and not later than all that were forgotten. Of other ids it is not known.
    #[must_use]
    pub fn may_be_forgotten(&self, id: &AdjustmentId) -> bool {
        made_at(id).is_some_and(|made| made <= self.forgotten)
    }

    /// Remembers an adjustment made at `at`, and forgets those that are old by then or beyond the bound.
    pub fn remember(&mut self, lsn: Lsn, adjustment: &Adjustment, at: Option<Timestamp>) {
        self.revision = lsn;
        match adjustment.change {
            StockChange::Reconcile(_) => self.reconciled = lsn,
            StockChange::Delta(_) | StockChange::SetReceived { .. } => {}
        }
        self.put(adjustment, at);
        let now = at.unwrap_or_default();
        while let Some(oldest) = self.last.front().copied() {
            let is_old = oldest.counts_from().is_none_or(|from| from.plus(REMEMBERED_FOR) <= now);
            let goes = self.last.len() > REMEMBERED_MAX || (self.last.len() > REMEMBERED_MIN && is_old);
            if !goes {
                break;
            }
            self.forget(&oldest, now);
        }
    }

    /// Adds a snapshot's adjustments after those that are there.
    pub(super) fn restore(&mut self, forgotten: Timestamp, adjustments: &[(Adjustment, Option<Timestamp>)]) {
        self.forgotten = self.forgotten.max(forgotten);
        for (adjustment, at) in adjustments {
            if self.find(&adjustment.id).is_none() {
                self.put(adjustment, *at);
            }
        }
    }

    /// The latest instant at which a forgotten adjustment may have been made; 0 while none was forgotten.
    #[must_use]
    pub(super) const fn forgotten(&self) -> Timestamp {
        self.forgotten
    }

    /// The remembered adjustments, oldest first, with the instants at which they were made, if known.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Adjustment, Option<Timestamp>)> {
        self.last.iter().map(|known| (known.adjustment(), known.at()))
    }

    /// Nothing but the revision.
    pub(super) fn without_ids(&self) -> Self {
        Self { revision: self.revision, ..Self::default() }
    }

    fn put(&mut self, adjustment: &Adjustment, at: Option<Timestamp>) {
        let number = self.first.wrapping_add(u32::try_from(self.last.len()).unwrap_or(0));
        self.last.push_back(Remembered::new(adjustment, at));
        let Self { last, places, first, hasher, .. } = self;
        let hash = |number: &u32| {
            let place = usize::try_from(number.wrapping_sub(*first)).unwrap_or(usize::MAX);
            last.get(place).map_or(0, |known| hasher.hash_one(known.id.as_bytes()))
        };
        places.insert_unique(hasher.hash_one(adjustment.id.as_bytes()), number, hash);
    }

    fn forget(&mut self, oldest: &Remembered, now: Timestamp) {
        let number = self.first;
        if let Ok(found) = self.places.find_entry(self.hasher.hash_one(oldest.id.as_bytes()), |known| *known == number)
        {
            found.remove();
        }
        self.last.pop_front();
        self.first = self.first.wrapping_add(1);
        // An old record has no instant. Then the id's instant counts, if it is not in the future.
        let made = oldest.counts_from().or_else(|| made_at(&oldest.id).map(|made| made.min(now)));
        self.forgotten = self.forgotten.max(made.unwrap_or_default());
    }

    fn numbered(&self, number: u32) -> Option<&Remembered> {
        self.last.get(usize::try_from(number.wrapping_sub(self.first)).ok()?)
    }
}

/// When an id was made, if it is of version 7.
fn made_at(id: &AdjustmentId) -> Option<Timestamp> {
    id.made_at().map(Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 60 * 60 * 1_000;

    /// An id of version 7 that was made at this instant.
    fn id(at: u64, n: u8) -> AdjustmentId {
        let mut bytes = [n; 16];
        bytes[..6].copy_from_slice(&at.to_be_bytes()[2..]);
        (bytes[6], bytes[8]) = (0x70, 0x80);
        AdjustmentId::from_bytes(bytes)
    }

    fn adjustment(id: AdjustmentId) -> Adjustment {
        Adjustment { id, pool: PoolNo(0), change: StockChange::Delta(-3) }
    }

    fn remember(known: &mut ItemAdjustments, at: u64, n: u8) {
        known.remember(known.revision.next(), &adjustment(id(at, n)), Some(Timestamp(at)));
    }

    #[test]
    fn an_adjustment_is_remembered_for_a_week_or_as_one_of_the_last_and_what_is_older_may_have_been() {
        let mut known = ItemAdjustments::default();
        for n in 0..600_u64 {
            remember(&mut known, 1_000 + n, 1);
        }
        assert_eq!((known.last.len(), known.forgotten), (600, Timestamp(0)), "none is a week old");
        assert!(!known.may_be_forgotten(&id(5, 9)));
        remember(&mut known, 1_100 + 7 * DAY, 1);
        assert_eq!((known.last.len(), known.forgotten), (500, Timestamp(1_100)), "those of that week");
        assert_eq!(known.find(&id(1_100, 1)), None);
        assert_eq!(known.find(&id(1_101, 1)), Some(adjustment(id(1_101, 1))));
        for (at, may) in [(0, true), (1_100, true), (1_101, false)] {
            assert_eq!(known.may_be_forgotten(&id(at, 9)), may, "{at}");
        }
        let random = AdjustmentId::from_bytes([0x44; 16]);
        assert!(!known.may_be_forgotten(&random), "nobody can tell");
        remember(&mut known, 2_000 + 30 * DAY, 1);
        assert_eq!(known.last.len(), REMEMBERED_MIN);
        assert_eq!(known.places.len(), REMEMBERED_MIN);
    }

    #[test]
    fn the_bound_counts_and_numbers_may_wrap() {
        let mut known = ItemAdjustments { first: u32::MAX - 10, ..ItemAdjustments::default() };
        let most = u64::try_from(REMEMBERED_MAX).expect("small");
        for at in 1..=most + 50 {
            remember(&mut known, at, 1);
        }
        assert_eq!(
            (known.last.len(), known.places.len(), known.forgotten),
            (REMEMBERED_MAX, REMEMBERED_MAX, Timestamp(50))
        );
        for at in 51..=most + 50 {
            assert!(known.find(&id(at, 1)).is_some(), "{at}");
        }
        let mut again = ItemAdjustments::default();
        again.restore(known.forgotten(), &known.iter().collect::<Vec<_>>());
        assert!(again.iter().eq(known.iter()) && again.forgotten == known.forgotten);
    }

    #[test]
    fn an_id_that_is_ahead_is_remembered_until_it_is_a_week_old_and_old_records_go_by_their_number() {
        let mut known = ItemAdjustments::default();
        let ahead = id(DAY / 2, 7);
        known.remember(Lsn(1), &adjustment(ahead), Some(Timestamp(1)));
        (2..400).for_each(|at| remember(&mut known, at, 1));
        remember(&mut known, 7 * DAY + 500, 1);
        assert!(known.find(&ahead).is_some() && known.last.len() == 400, "it stands before the others");
        remember(&mut known, 8 * DAY, 1);
        assert!(known.find(&ahead).is_none() && known.may_be_forgotten(&ahead));

        let mut old = ItemAdjustments::default();
        for n in 0..300 {
            old.remember(Lsn(n), &adjustment(id(n, 1)), None);
        }
        assert_eq!((old.last.len(), old.forgotten), (REMEMBERED_MIN, Timestamp(0)));
        old.remember(Lsn(300), &adjustment(id(400, 1)), Some(Timestamp(400)));
        assert_eq!((old.last.len(), old.forgotten), (REMEMBERED_MIN, Timestamp(44)));
    }

    #[test]
    fn one_takes_little_and_each_change_comes_back() {
        let of = |drift, applied| Reconciliation { whole_item: true, as_of: Lsn(7), on_hand: 5, drift, applied };
        for change in [
            StockChange::Delta(i64::MIN),
            StockChange::SetReceived { expected: 4, units: u64::MAX },
            StockChange::Reconcile(of(-9, -2)),
            StockChange::Reconcile(Reconciliation { whole_item: false, ..of(3, 3) }),
        ] {
            let adjustment = Adjustment { change, ..adjustment(id(5, 1)) };
            assert_eq!(Remembered::new(&adjustment, None).adjustment(), adjustment);
        }
        assert!(size_of::<Remembered>() <= 60, "{}", size_of::<Remembered>());
    }
}
