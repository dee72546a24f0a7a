//! What each subject holds and owns, and whether it may have more.
//!
//! Usage is counted by drop and item, whatever limits there are: a limit of any breadth is a sum over it. A subject's
//! stripe stays locked from the check to the append, so two requests of one customer can't both fit where one does.
//! A subject that has nothing is not in the table: refused requests leave no trace.

use std::collections::BTreeSet;

use crossbeam_utils::CachePadded;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use parking_lot::Mutex;
use smallvec::SmallVec;

use super::holds::HoldRef;
use crate::definition::{Limit, Scope};
use crate::ids::{DropNo, ItemNo, SubjectKey};
use crate::time::Timestamp;

/// Stripes of the table.
const STRIPES: usize = 4096;

/// Units that a subject has of one item: held and claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Usage {
    drop: DropNo,
    item: ItemNo,
    units: u64,
}

/// A subject's live holds by deadline. Nearly every subject has one.
#[derive(Debug, Default)]
enum Live {
    #[default]
    None,
    One(Timestamp, HoldRef),
    #[expect(clippy::box_collection, reason = "the usual subject has one hold: the rare set must not make it larger")]
    Many(Box<BTreeSet<(Timestamp, HoldRef)>>),
}

/// What one subject has.
#[derive(Debug, Default)]
pub struct Subject {
    usage: SmallVec<[Usage; 1]>,
    live: Live,
}

type Stripe = CachePadded<Mutex<HashTable<(SubjectKey, Subject)>>>;

/// A subject's usage in a fixed order.
type Image = Vec<(DropNo, ItemNo, u64)>;

/// All subjects that have something.
#[derive(Debug)]
pub struct Subjects {
    stripes: Box<[Stripe]>,
}

/// A line that limits would refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokenLine<'d> {
    /// Which item.
    pub item: ItemNo,
    /// The first limit in the drop's order that it breaks.
    pub limit: &'d Limit,
    /// Units that the subject has under that limit.
    pub used: u64,
    /// Units of this line that the subject could have: the least that any limit leaves.
    pub left: u32,
}

/// Lines that limits would refuse, in the request's order of items.
pub type Broken<'d> = SmallVec<[BrokenLine<'d>; 2]>;

impl Subjects {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self { stripes: (0..STRIPES).map(|_| CachePadded::default()).collect() }
    }

    /// Locks a subject's stripe. A subject that has nothing afterwards is forgotten.
    #[expect(clippy::indexing_slicing, reason = "taken modulo the number of stripes")]
    pub fn with<R>(&self, key: SubjectKey, f: impl FnOnce(&mut Subject) -> R) -> R {
        let place = usize::try_from(key.place() % u64::try_from(STRIPES).unwrap_or(1)).unwrap_or(0);
        let mut stripe = self.stripes[place].lock();
        // The low half chooses within the stripe: the high half has already chosen the stripe.
        let hash = |key: &SubjectKey| u64::try_from(key.0 & u128::from(u64::MAX)).unwrap_or(0);
        match stripe.entry(hash(&key), |(other, _)| *other == key, |(other, _)| hash(other)) {
            Entry::Occupied(mut entry) => {
                let result = f(&mut entry.get_mut().1);
                if entry.get().1.is_empty() {
                    entry.remove();
                }
                result
            }
            Entry::Vacant(entry) => {
                let mut subject = Subject::default();
                let result = f(&mut subject);
                if !subject.is_empty() {
                    entry.insert((key, subject));
                }
                result
            }
        }
    }

    /// Subjects in the table.
    #[must_use]
    pub fn len(&self) -> usize {
        self.stripes.iter().map(|stripe| stripe.lock().len()).sum()
    }

    /// Whether nobody has anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Everything in it in a fixed order, for comparing two inventories.
    pub(super) fn image(&self) -> Vec<(SubjectKey, Image)> {
        let mut all: Vec<_> = self
            .stripes
            .iter()
            .flat_map(|stripe| stripe.lock().iter().map(|(key, subject)| (*key, subject.image())).collect::<Vec<_>>())
            .collect();
        all.sort_unstable();
        all
    }
}

impl Default for Subjects {
    fn default() -> Self {
        Self::new()
    }
}

impl Subject {
    /// A hold that is due at `now`: it must be given back before a limit may refuse.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> Option<HoldRef> {
        let (at, hold) = match &self.live {
            Live::None => return None,
            Live::One(at, hold) => (*at, *hold),
            Live::Many(holds) => *holds.first()?,
        };
        (at <= now).then_some(hold)
    }

    /// The lines of `wanted` that limits would refuse; none: all may be had.
    #[must_use]
    pub fn broken<'d>(&self, drop: DropNo, limits: &'d [Limit], wanted: &[(ItemNo, u32)]) -> Broken<'d> {
        let mut broken = Broken::new();
        for limit in limits {
            match limit.scope {
                Scope::Item => {
                    for (item, units) in wanted {
                        let used = self.used(drop, Some(*item));
                        if over(limit, used, u64::from(*units)) {
                            note(&mut broken, limit, used, (*item, *units));
                        }
                    }
                }
                Scope::Drop | Scope::Series | Scope::Shop => {
                    let used = self.used(drop, None);
                    if over(limit, used, wanted.iter().map(|(_, units)| u64::from(*units)).sum()) {
                        for line in wanted {
                            note(&mut broken, limit, used, *line);
                        }
                    }
                }
            }
        }
        broken
    }

    /// Counts a hold's units of one item: what it had before, what it has now.
    pub fn count(&mut self, drop: DropNo, item: ItemNo, before: u64, after: u64) {
        if before == after {
            return;
        }
        let place = self.usage.iter().position(|usage| usage.drop == drop && usage.item == item);
        let known = place.and_then(|place| self.usage.get_mut(place));
        let units = known.as_ref().map_or(0, |usage| usage.units).saturating_sub(before).saturating_add(after);
        match (known, place) {
            (Some(_), Some(place)) if units == 0 => {
                self.usage.swap_remove(place);
            }
            (Some(usage), _) => usage.units = units,
            (None, _) => self.usage.push(Usage { drop, item, units }),
        }
    }

    /// A live hold came, went, or moved its deadline.
    pub fn follow(&mut self, hold: HoldRef, before: Option<Timestamp>, after: Option<Timestamp>) {
        if before == after {
            return;
        }
        if let Some(at) = before {
            self.forget(at, hold);
        }
        if let Some(at) = after {
            match &mut self.live {
                Live::None => self.live = Live::One(at, hold),
                Live::One(first_at, first) => {
                    self.live = Live::Many(Box::new(BTreeSet::from([(*first_at, *first), (at, hold)])));
                }
                Live::Many(holds) => {
                    holds.insert((at, hold));
                }
            }
        }
    }

    fn forget(&mut self, at: Timestamp, hold: HoldRef) {
        let emptied = match &mut self.live {
            Live::None => false,
            Live::One(_, only) => *only == hold,
            Live::Many(holds) => holds.remove(&(at, hold)) && holds.is_empty(),
        };
        if emptied {
            self.live = Live::None;
        }
    }

    fn used(&self, drop: DropNo, item: Option<ItemNo>) -> u64 {
        self.usage
            .iter()
            .filter(|usage| usage.drop == drop && item.is_none_or(|item| usage.item == item))
            .map(|usage| usage.units)
            .sum()
    }

    fn is_empty(&self) -> bool {
        self.usage.is_empty() && matches!(self.live, Live::None)
    }

    fn image(&self) -> Image {
        let mut usage: Vec<_> = self.usage.iter().map(|Usage { drop, item, units }| (*drop, *item, *units)).collect();
        usage.sort_unstable();
        usage
    }
}

fn over(limit: &Limit, used: u64, wanted: u64) -> bool {
    used.saturating_add(wanted) > limit.max_units.map_or(u64::MAX, u64::from)
}

/// Notes that a limit refuses a line.
fn note<'d>(broken: &mut Broken<'d>, limit: &'d Limit, used: u64, (item, wanted): (ItemNo, u32)) {
    let left = limit.max_units.map_or(u64::MAX, u64::from).saturating_sub(used);
    let left = u32::try_from(left).unwrap_or(u32::MAX).min(wanted);
    match broken.iter_mut().find(|line| line.item == item) {
        Some(line) => line.left = left.min(line.left),
        None => broken.push(BrokenLine { item, limit, used, left }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::LimitId;

    const DROP: DropNo = DropNo(1);
    const KNIFE: ItemNo = ItemNo(0);
    const PAN: ItemNo = ItemNo(1);

    fn limit(id: &str, scope: Scope, max_units: u32) -> Limit {
        Limit { max_units: Some(max_units), ..Limit::new(LimitId::try_from(id).expect("an id"), scope) }
    }

    fn subject(knives: u64, pans: u64) -> Subject {
        let mut subject = Subject::default();
        subject.count(DROP, KNIFE, 0, knives);
        subject.count(DROP, PAN, 0, pans);
        subject.count(DropNo(2), KNIFE, 0, 9);
        subject
    }

    fn told<'d>(broken: &Broken<'d>) -> Vec<(ItemNo, &'d str, u64, u32)> {
        broken.iter().map(|line| (line.item, line.limit.id.as_str(), line.used, line.left)).collect()
    }

    #[test]
    fn an_item_limit_counts_each_item_by_itself() {
        let limits = [limit("two-of-each", Scope::Item, 2)];
        assert!(subject(1, 0).broken(DROP, &limits, &[(KNIFE, 1), (PAN, 2)]).is_empty());
        let broken = subject(1, 0).broken(DROP, &limits, &[(KNIFE, 2), (PAN, 2)]);
        assert_eq!(told(&broken), [(KNIFE, "two-of-each", 1, 1)]);
    }

    #[test]
    fn a_drop_limit_counts_all_items_of_this_drop_and_names_every_line() {
        let limits = [limit("three", Scope::Drop, 3)];
        assert!(subject(1, 1).broken(DROP, &limits, &[(KNIFE, 1)]).is_empty());
        let broken = subject(1, 1).broken(DROP, &limits, &[(KNIFE, 1), (PAN, 1)]);
        assert_eq!(told(&broken), [(KNIFE, "three", 2, 1), (PAN, "three", 2, 1)]);
    }

    #[test]
    fn of_several_broken_limits_the_first_is_told_and_the_least_is_left() {
        let limits = [limit("wide", Scope::Drop, 4), limit("narrow", Scope::Item, 1)];
        let broken = subject(0, 0).broken(DROP, &limits, &[(KNIFE, 5)]);
        assert_eq!(told(&broken), [(KNIFE, "wide", 0, 1)]);
    }

    #[test]
    fn each_line_is_told_with_the_limit_and_the_usage_that_are_its_own() {
        let limits = [limit("one-of-each", Scope::Item, 1)];
        let broken = subject(0, 1).broken(DROP, &limits, &[(KNIFE, 2), (PAN, 1)]);
        assert_eq!(told(&broken), [(KNIFE, "one-of-each", 0, 1), (PAN, "one-of-each", 1, 0)]);
    }

    #[test]
    fn a_subject_without_anything_leaves_no_entry() {
        let subjects = Subjects::new();
        let key = SubjectKey(7 << 64 | 9);
        let hold = HoldRef::from_raw(3);
        subjects.with(key, |subject| assert!(subject.broken(DROP, &[], &[]).is_empty()));
        assert!(subjects.is_empty());
        subjects.with(key, |subject| {
            subject.count(DROP, KNIFE, 0, 2);
            subject.follow(hold, None, Some(Timestamp(5)));
        });
        assert_eq!(subjects.len(), 1);
        subjects.with(key, |subject| {
            assert_eq!((subject.due(Timestamp(4)), subject.due(Timestamp(5))), (None, Some(hold)));
            subject.count(DROP, KNIFE, 2, 0);
            subject.follow(hold, Some(Timestamp(5)), None);
        });
        assert!(subjects.is_empty());
    }

    #[test]
    fn the_earliest_of_many_live_holds_is_due_first() {
        let mut subject = Subject::default();
        for (n, at) in [(1, 30), (2, 10), (3, 20)] {
            subject.follow(HoldRef::from_raw(n), None, Some(Timestamp(at)));
        }
        assert_eq!(subject.due(Timestamp(50)), Some(HoldRef::from_raw(2)));
        subject.follow(HoldRef::from_raw(2), Some(Timestamp(10)), Some(Timestamp(40)));
        assert_eq!(subject.due(Timestamp(50)), Some(HoldRef::from_raw(3)));
    }
}
