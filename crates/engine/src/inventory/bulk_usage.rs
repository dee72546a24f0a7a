//! What follows from the holds after a replay, gathered so that it can be entered in the order of memory.
//!
//! Entered hold by hold, each subject and each deadline would be elsewhere in memory, and with ten million holds most
//! of a restart would be spent waiting for cache misses. Gathered by stripe and by deadline, neighbours are entered
//! together. At most [`A_STRIPE`] usages for each stripe and [`DUES_MAX`] deadlines are gathered at once, fewer if
//! there is little memory.

use std::sync::Arc;

use stockade_types::hold::Hold;
use stockade_types::ids::{DropNo, ItemNo, PoolNo, SubjectKey};
use stockade_types::time::Timestamp;

use super::drops::among;
use super::limits::{CountedHoldRef, HoldKey, Keys, STRIPES, Subjects};
use super::{CountedHold, DropEntry, HoldSlot};

/// Gathered usages of one stripe: 64 MiB in all stripes.
const A_STRIPE: usize = if cfg!(test) { 4 } else { 256 };
/// Gathered deadlines: 48 MiB.
const DUES_MAX: usize = if cfg!(test) { 64 } else { 2 * 1024 * 1024 };

/// A hold as a subject's usage.
struct Usage {
    subject: SubjectKey,
    hold_key: HoldKey,
    counted_hold: CountedHold,
}

/// A deadline in a pool. The derived order is the order of entering.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    drop: DropNo,
    item: ItemNo,
    pool: PoolNo,
    at: Timestamp,
    hold: HoldSlot,
}

/// What is gathered and not entered yet. [`BulkUsage::finish`] must be called.
pub(super) struct BulkUsage<'a> {
    drops: &'a [Arc<DropEntry>],
    subjects: &'a Subjects,
    usages: Vec<Vec<Usage>>,
    dues: Vec<Due>,
    /// Most usages of one stripe that are gathered.
    a_stripe: usize,
    /// Most deadlines that are gathered.
    dues_max: usize,
}

impl<'a> BulkUsage<'a> {
    /// Empty, for these drops in the order of their numbers and these subjects; takes about `room` bytes at most.
    pub(super) fn new(drops: &'a [Arc<DropEntry>], subjects: &'a Subjects, room: usize) -> Self {
        let (usages, dues) = ((0..STRIPES).map(|_| Vec::new()).collect(), Vec::new());
        // Half of `room` for each.
        let a_stripe = (room / 2 / STRIPES / size_of::<Usage>()).clamp(1, A_STRIPE);
        let dues_max = (room / 2 / size_of::<Due>()).clamp(1, DUES_MAX);
        Self { drops, subjects, usages, dues, a_stripe, dues_max }
    }

    /// Gathers a hold's usage by these subjects.
    pub(super) fn used(&mut self, keys: &Keys, place: HoldSlot, hold: &Hold) {
        let hold_key = HoldKey { drop: hold.drop, place, created_at: hold.created_at() };
        for subject in keys {
            let Some(usages) = self.usages.get_mut(Subjects::stripe(*subject)) else { continue };
            usages.push(Usage { subject: *subject, hold_key, counted_hold: CountedHold::of(hold) });
            if usages.len() >= self.a_stripe {
                enter_usages(self.subjects, usages);
            }
        }
    }

    /// Gathers a hold's deadline in a pool.
    pub(super) fn due(&mut self, at: Timestamp, hold: HoldSlot, (drop, item, pool): (DropNo, ItemNo, PoolNo)) {
        self.dues.push(Due { drop, item, pool, at, hold });
        if self.dues.len() >= self.dues_max {
            self.enter_dues();
        }
    }

    /// Enters all that is still gathered.
    pub(super) fn finish(mut self) {
        self.enter_dues();
        for usages in &mut self.usages {
            enter_usages(self.subjects, usages);
        }
    }

    fn enter_dues(&mut self) {
        self.dues.sort_unstable();
        let same = |one: &Due, next: &Due| (one.drop, one.item, one.pool) == (next.drop, next.item, next.pool);
        for dues in self.dues.chunk_by(same) {
            let pool = dues.first().and_then(|due| among(self.drops, due.drop)?.pool(due.item, due.pool));
            if let Some(pool) = pool {
                pool.enter_dues(dues.iter().map(|due| (due.at, due.hold)));
            }
        }
        self.dues.clear();
    }
}

/// In the order in which they were gathered: a subject's holds are entered as if each had been entered at once.
fn enter_usages(subjects: &Subjects, usages: &mut Vec<Usage>) {
    for Usage { subject, hold_key, counted_hold } in usages.drain(..) {
        subjects.with(&[subject], |subjects| {
            for subject in subjects {
                subject.enter(hold_key, None, Some(CountedHoldRef::from(&counted_hold)));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use stockade_types::definition::{Definition, Item, Pool, Schedule, Terms};
    use stockade_types::digest::DigestKey;
    use stockade_types::hold::{ContentHash, HoldFields, HoldLine, HoldState, Lines};
    use stockade_types::ids::{CustomerId, HoldId, Lsn, Sku};
    use stockade_types::record::{DropImage, Record};
    use stockade_types::time::Millis;

    use super::*;
    use crate::inventory::BulkLoad;

    const HOLDS: u64 = 2_000;

    fn drop_of_two_pools() -> DropImage {
        let pool = |id: &str| Pool::plain(id.parse().expect("an id"), 10_000);
        let item = |sku| Item::plain(Sku::try_from(sku).expect("a sku"), vec![pool("all"), pool("few")]);
        let definition = Definition {
            id: "d".parse().expect("an id"),
            title: String::new(),
            shop: "s".parse().expect("an id"),
            series: None,
            labels: BTreeMap::new(),
            schedule: Schedule { opens_at: None, closes_at: None },
            terms: Terms { hold_ttl: Millis(1), max_hold_life: Millis(1), payment_ttl: Millis(1) },
            items: vec![item("KNIFE"), item("PAN")],
            limits: Vec::new(),
            rules: stockade_types::definition::Rules::default(),
        };
        DropImage { number: DropNo(0), created_at: Timestamp(0), definition, request: [0; 32], update: None }
    }

    /// Few customers and few deadlines, so that holds share them; every fifth hold has ended, every third has two
    /// lines.
    fn hold(n: u64) -> Hold {
        let small = |of: u64| u16::try_from(n % of).expect("small");
        let line = |item| HoldLine::new(ItemNo(item), PoolNo(small(2)), 1 + u32::from(small(3)));
        let lines = if n.is_multiple_of(3) { vec![line(0), line(1)] } else { vec![line(small(2))] };
        Hold::from(HoldFields {
            id: HoldId::from_bytes(u128::from(n).to_le_bytes()),
            drop: DropNo(0),
            state: if n.is_multiple_of(5) { HoldState::Expired } else { HoldState::Held },
            customer: CustomerId::try_from(format!("c{}", n % 37).as_str()).expect("an id"),
            content: ContentHash(0),
            created_at: Timestamp(n),
            expires_at: Timestamp(10_000 + n * 7_919 % 300),
            settled_at: Timestamp(n),
            has_grace: false,
            revision: Lsn(n),
            lines: Lines::from_slice(&lines),
            extras: None,
        })
    }

    #[test]
    fn what_is_gathered_comes_to_what_hold_by_hold_would() {
        let (load, plain) = (BulkLoad::new(DigestKey::from_bytes([1; 16])), Subjects::new());
        load.apply(Lsn(1), &Record::Drop(Box::new(drop_of_two_pools()))).expect("a drop");
        for n in 2..HOLDS {
            load.apply(Lsn(n), &Record::Hold(hold(n))).expect("a hold");
        }
        let derived = load.finish(usize::MAX).expect("it adds up");

        let mut dues: BTreeMap<(ItemNo, PoolNo), Vec<(Timestamp, HoldSlot)>> = BTreeMap::new();
        let shop = drop_of_two_pools().definition.shop;
        derived.holds.for_each_shard(|shard| {
            for (place, hold) in shard.iter() {
                let hold_key = HoldKey { drop: hold.drop, place, created_at: hold.created_at() };
                plain.with(&[derived.key.customers(&shop).subject(&hold.customer)], |subjects| {
                    subjects[0].enter(hold_key, None, CountedHoldRef::of(hold));
                });
                for line in hold.lines().iter().filter(|_| hold.state.is_live()) {
                    dues.entry((line.item, line.pool)).or_default().push((hold.expires_at(), place));
                }
            }
        });
        assert_eq!(derived.subjects.image(), plain.image());
        let entry = derived.drops.with_number(DropNo(0), |entry| {
            for ((item, pool), expected) in &dues {
                let pool = entry.pool(*item, *pool).expect("a pool");
                let first = expected.iter().map(|(at, _)| *at).min().expect("some");
                let mut listed = pool.due(Timestamp::NEVER, usize::MAX);
                let mut expected: Vec<HoldSlot> = expected.iter().map(|(_, place)| *place).collect();
                listed.sort_unstable();
                expected.sort_unstable();
                assert_eq!((pool.next_due(), listed), (first, expected));
                assert_eq!(pool.conservation_error(), 0);
            }
        });
        assert!(entry.is_some() && dues.len() == 4, "each pool has some");
        assert_eq!(derived.ended(), (2..HOLDS).filter(|n| n.is_multiple_of(5)).count());
    }
}
