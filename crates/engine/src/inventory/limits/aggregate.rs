//! A subject that has more than one hold of one line: sums, so that a request never reads holds one by one.
//!
//! Units are summed by drop and item. What was reserved is summed by time, drop and item, so that a rolling limit reads
//! only its window. Live holds are ordered by deadline, those of the same items together, so that counting them takes
//! one step for each set of items.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use smallvec::SmallVec;
use stockade_types::definition::Conduct;
use stockade_types::hold::{HoldLine, HoldState};
use stockade_types::ids::{DropNo, ItemNo};
use stockade_types::invariant;
use stockade_types::time::Timestamp;

use super::archived::Folded;
use super::conduct::{ConductLog, Deed, each, nth_newest};
use super::fact_conduct::orders;
use super::sorted::Sorted;
use super::subject::{CountedHoldRef, HoldKey};
use crate::inventory::holds::HoldSlot;

/// Items of a hold that have units, ascending.
type Items = SmallVec<[ItemNo; 4]>;
/// A deadline and its hold.
type Deadline = (Timestamp, HoldSlot);
/// The drop and the items that live holds have in common, and the deadlines of these holds.
type SameItems = (DropNo, Items, Sorted<Deadline, ()>);

/// Units that a subject has of one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// Its drop.
    pub drop: DropNo,
    /// Its item.
    pub item: ItemNo,
    /// Held and in payment.
    pub live: u64,
    /// Claimed.
    pub owned: u64,
}

impl Sum {
    /// All units.
    #[must_use]
    pub const fn units(&self) -> u64 {
        self.live.saturating_add(self.owned)
    }
}

/// What a subject reserved of one item at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReservedUnits {
    /// The instant.
    pub at: Timestamp,
    /// Its drop.
    pub drop: DropNo,
    /// Its item.
    pub item: ItemNo,
    /// Holds that are remembered, ended ones included.
    pub holds: u32,
    /// Their units that are held, in payment or claimed.
    pub units: u64,
}

/// Live holds of one drop and the same items.
#[derive(Debug, Clone, Copy)]
pub struct LiveSet<'a> {
    /// The drop.
    pub drop: DropNo,
    /// The items of which they have units, ascending.
    pub items: &'a [ItemNo],
    /// The number of holds.
    pub count: usize,
    /// The earliest deadline.
    pub first: Deadline,
    /// The one after it.
    pub second: Option<Deadline>,
}

/// All that a subject of many holds has.
#[derive(Debug, Default)]
pub struct Many {
    /// Ascending by drop and item; none without units.
    sums: SmallVec<[Sum; 1]>,
    /// By time, drop and item: holds and units.
    reserved: Sorted<(Timestamp, DropNo, ItemNo), (u32, u64)>,
    /// The keys of `reserved` that have units: few, if a subject has very many ended holds. Kept only while `reserved`
    /// is a tree; while it is short, it is searched itself.
    owned: BTreeSet<(Timestamp, DropNo, ItemNo)>,
    /// Ascending by drop and items; none is empty.
    live: SmallVec<[SameItems; 1]>,
    /// What its remembered holds did that rules of conduct count.
    conduct: ConductLog,
    /// From archived drops. No other field counts it.
    folded: Folded,
}

impl Many {
    /// Whether no hold is remembered.
    pub(super) fn has_no_hold(&self) -> bool {
        self.sums.is_empty() && self.reserved.is_empty() && self.live.is_empty()
    }

    pub(super) fn sums(&self) -> &[Sum] {
        &self.sums
    }

    pub(super) const fn folded(&self) -> &Folded {
        &self.folded
    }

    pub(super) const fn folded_mut(&mut self) -> &mut Folded {
        &mut self.folded
    }

    /// What it has of one drop's items.
    pub(super) fn sums_of(&self, drop: DropNo) -> &[Sum] {
        // Most subjects are in one drop: no search is needed then.
        if let ([first, ..], [.., last]) = (&*self.sums, &*self.sums)
            && first.drop == drop
            && last.drop == drop
        {
            return &self.sums;
        }
        let begin = self.sums.partition_point(|sum| sum.drop < drop);
        let end = self.sums.partition_point(|sum| sum.drop <= drop);
        self.sums.get(begin..end).unwrap_or_default()
    }

    /// The live hold with the earliest deadline.
    pub(super) fn first_live(&self) -> Option<Deadline> {
        self.live.iter().filter_map(|(_, _, holds)| holds.first_two().0).min()
    }

    pub(super) fn each_live_set(&self, mut f: impl FnMut(LiveSet<'_>)) {
        for (drop, items, holds) in &self.live {
            if let (Some(first), second) = holds.first_two() {
                f(LiveSet { drop: *drop, items, count: holds.len(), first, second });
            }
        }
    }

    pub(super) fn each_since(&self, from: Timestamp, mut f: impl FnMut(ReservedUnits) -> bool) {
        let from = (from, DropNo::default(), ItemNo::default());
        let reserved = |(at, drop, item), (holds, units)| ReservedUnits { at, drop, item, holds, units };
        self.reserved.each_down_to(&from, |key, counts| f(reserved(key, counts)));
    }

    /// What still has units, archived drops included, newest first.
    pub(super) fn each_owned_since(&self, from: Timestamp, mut f: impl FnMut(ReservedUnits)) {
        if self.folded.is_empty() {
            return self.each_held_since(from, f);
        }
        // Each is in order already; folded usage is rare and small.
        let mut owned: SmallVec<[ReservedUnits; 8]> = SmallVec::new();
        self.each_held_since(from, |made| owned.push(made));
        self.folded.each_since(from, |made| owned.push(made));
        owned.sort_by_key(|made| Reverse(made.at));
        owned.into_iter().for_each(&mut f);
    }

    /// As [`Many::each_since`], for what still has units.
    fn each_held_since(&self, from: Timestamp, mut f: impl FnMut(ReservedUnits)) {
        if !self.reserved.is_tree() {
            return self.each_since(from, |made| {
                if made.units > 0 {
                    f(made);
                }
                true
            });
        }
        let from = (from, DropNo::default(), ItemNo::default());
        for key in self.owned.range(from..).rev() {
            let (holds, units) = self.reserved.get(key).unwrap_or_default();
            let (at, drop, item) = *key;
            f(ReservedUnits { at, drop, item, holds, units });
        }
    }

    pub(super) fn live_image(&self) -> Vec<(DropNo, Vec<ItemNo>, Vec<Timestamp>)> {
        let deadlines = |holds: &Sorted<Deadline, ()>| holds.iter().map(|((at, _), ())| at).collect();
        self.live.iter().map(|(drop, items, holds)| (*drop, items.to_vec(), deadlines(holds))).collect()
    }

    pub(super) fn enter(
        &mut self,
        hold_key: HoldKey,
        before: Option<CountedHoldRef<'_>>,
        after: Option<CountedHoldRef<'_>>,
    ) {
        self.enter_deed(before.and_then(|counted| counted.deed()), after.and_then(|counted| counted.deed()));
        // Nearly every hold has one line: nothing must be gathered then.
        let Some(item) = only_item(after.or(before)) else { return self.enter_lines(hold_key, before, after) };
        self.enter_single(
            hold_key,
            item,
            before.map(|counted| single_line(&counted)),
            after.map(|counted| single_line(&counted)),
        );
    }

    /// Enters what a hold did that rules of conduct count.
    pub(super) fn enter_deed(&mut self, before: Option<Deed>, after: Option<Deed>) {
        self.conduct.enter(before, after);
    }

    /// What its remembered holds did, in a fixed order.
    pub(super) fn deeds(&self) -> Vec<Deed> {
        let of = |counts| self.conduct.of(counts).into_iter().flat_map(each).map(move |at| (counts, at));
        of(Conduct::UnclaimedHolds).chain(of(Conduct::Returns)).collect()
    }

    pub(super) fn nth_newest(&self, counts: Conduct, from: Timestamp, nth: u32) -> Option<Timestamp> {
        let archived = (counts == Conduct::Returns).then(|| self.folded.returns());
        let orders = self.folded.facts().map_or(&[][..], |facts| orders(facts, counts));
        nth_newest(self.conduct.of(counts).into_iter().chain(archived), orders, from, nth)
    }

    /// As [`Many::enter`], for a hold whose only line is of this item.
    #[inline]
    pub(super) fn enter_single(
        &mut self,
        hold_key: HoldKey,
        item: ItemNo,
        was: Option<SingleLine>,
        is: Option<SingleLine>,
    ) {
        let units = |weight: Option<SingleLine>| weight.map_or((0, 0), |weight| (weight.live, weight.owned));
        let all = |weight: Option<SingleLine>| weight.map_or(0, |weight| weight.live.saturating_add(weight.owned));
        self.count(hold_key.drop, item, units(was), units(is));
        let holds = i32::from(is.is_some()).saturating_sub(i32::from(was.is_some()));
        self.note((hold_key.created_at, hold_key.drop, item), holds, all(was), all(is));
        let until =
            |weight: Option<SingleLine>| weight.filter(|weight| weight.live > 0).map(|weight| weight.expires_at);
        let (was, is) = (until(was), until(is));
        if was != is {
            let items = &[item][..];
            self.follow(hold_key, was.map(|at| (at, items)), is.map(|at| (at, items)));
        }
    }

    fn enter_lines(
        &mut self,
        hold_key: HoldKey,
        before: Option<CountedHoldRef<'_>>,
        after: Option<CountedHoldRef<'_>>,
    ) {
        let Some(lines) = after.or(before).map(|counted| counted.lines) else { return };
        let (mut were, mut are) = (weights(before), weights(after));
        let mut last = None;
        for line in lines {
            let (was, is) = (were.next().unwrap_or_default(), are.next().unwrap_or_default());
            self.count(hold_key.drop, line.item, was, is);
            // A hold counts once for an item, however many pools its units are from.
            let first = last != Some(line.item);
            last = Some(line.item);
            let holds = i32::from(first && after.is_some()).saturating_sub(i32::from(first && before.is_some()));
            let (before, after) = (was.0.saturating_add(was.1), is.0.saturating_add(is.1));
            self.note((hold_key.created_at, hold_key.drop, line.item), holds, before, after);
        }
        let live = |counted: CountedHoldRef<'_>| counted.state.is_live().then(|| (counted.expires_at, items(&counted)));
        let (was, is) = (before.and_then(live), after.and_then(live));
        if was != is {
            let (was, is) = (was.as_ref(), is.as_ref());
            self.follow(hold_key, was.map(|(at, items)| (*at, &**items)), is.map(|(at, items)| (*at, &**items)));
        }
    }

    /// Counts units of an item: live and claimed, before and after.
    fn count(&mut self, drop: DropNo, item: ItemNo, before: (u64, u64), after: (u64, u64)) {
        if before == after {
            return;
        }
        let change = |units: u64, before: u64, after: u64| {
            let rest = units.checked_sub(before);
            invariant!(let Some(rest) = rest, "a subject has {units} units of item {item}, and {before} of them go");
            rest.saturating_add(after)
        };
        let found = match &*self.sums {
            [only] if (only.drop, only.item) == (drop, item) => Ok(0),
            sums => sums.binary_search_by_key(&(drop, item), |sum| (sum.drop, sum.item)),
        };
        match found {
            Ok(place) => {
                let Some(sum) = self.sums.get_mut(place) else { return };
                sum.live = change(sum.live, before.0, after.0);
                sum.owned = change(sum.owned, before.1, after.1);
                if sum.units() == 0 {
                    self.sums.remove(place);
                }
            }
            Err(place) => {
                let sum = Sum { drop, item, live: change(0, before.0, after.0), owned: change(0, before.1, after.1) };
                self.sums.insert(place, sum);
            }
        }
    }

    /// Notes holds that were added or removed, and units, by the time of the reserve.
    fn note(&mut self, key: (Timestamp, DropNo, ItemNo), holds: i32, before: u64, after: u64) {
        if holds == 0 && before == after {
            return;
        }
        let (known, had) = self.reserved.get(&key).unwrap_or_default();
        let (counted, rest) = (known.checked_add_signed(holds), had.checked_sub(before));
        invariant!(
            let (Some(known), Some(rest)) = (counted, rest),
            "a subject has {had} units of item {} by {known} holds, and {before} of them go, with {holds} holds", key.2
        );
        let units = rest.saturating_add(after);
        let was_tree = self.reserved.is_tree();
        self.reserved.set(key, ((known, units) != (0, 0)).then_some((known, units)));
        match (was_tree, self.reserved.is_tree()) {
            (false, false) => {}
            (true, false) => self.owned.clear(),
            (false, true) => {
                let owned = self.reserved.iter().filter(|(_, (_, units))| *units > 0);
                self.owned = owned.map(|(key, _)| key).collect();
            }
            (true, true) if units > 0 => {
                self.owned.insert(key);
            }
            (true, true) => {
                self.owned.remove(&key);
            }
        }
    }

    /// A live hold was added or removed, moved its deadline, or has units of other items: deadline and items, before
    /// and after.
    fn follow(&mut self, hold_key: HoldKey, was: Option<(Timestamp, &[ItemNo])>, is: Option<(Timestamp, &[ItemNo])>) {
        if let Some((at, items)) = was
            && let Ok(place) = self.set(hold_key.drop, items)
            && let Some((_, _, holds)) = self.live.get_mut(place)
        {
            holds.set((at, hold_key.place), None);
            // A set that is needed again at once is kept.
            if holds.is_empty() && is.is_none_or(|(_, now)| now != items) {
                self.live.remove(place);
            }
        }
        if let Some((at, items)) = is.filter(|(_, items)| !items.is_empty()) {
            match self.set(hold_key.drop, items) {
                Ok(place) => {
                    if let Some((_, _, holds)) = self.live.get_mut(place) {
                        holds.set((at, hold_key.place), Some(()));
                    }
                }
                Err(place) => {
                    let mut holds = Sorted::default();
                    holds.set((at, hold_key.place), Some(()));
                    self.live.insert(place, (hold_key.drop, items.into(), holds));
                }
            }
        }
    }

    fn set(&self, drop: DropNo, items: &[ItemNo]) -> Result<usize, usize> {
        if let [(known, set, _)] = &*self.live
            && *known == drop
            && **set == *items
        {
            return Ok(0);
        }
        self.live.binary_search_by(|(known, set, _)| (*known, &**set).cmp(&(drop, items)))
    }
}

/// What a hold of one line counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct SingleLine {
    live: u64,
    owned: u64,
    expires_at: Timestamp,
}

impl SingleLine {
    /// A hold in this state with this many units.
    #[inline]
    pub(super) const fn of(state: HoldState, units: u64, expires_at: Timestamp) -> Self {
        let (live, owned) = if state.is_live() { (units, 0) } else { (0, units) };
        Self { live, owned, expires_at }
    }
}

/// The item of a hold's line, if it has exactly one.
fn only_item(counted: Option<CountedHoldRef<'_>>) -> Option<ItemNo> {
    counted?.only_line().map(|(item, _)| item)
}

fn single_line(counted: &CountedHoldRef<'_>) -> SingleLine {
    let units = counted.only_line().map_or(0, |(_, units)| u64::from(units));
    SingleLine::of(counted.state, units, counted.expires_at)
}

/// Units of each line: live and claimed.
fn weights(counted: Option<CountedHoldRef<'_>>) -> impl Iterator<Item = (u64, u64)> {
    counted.into_iter().flat_map(|counted| {
        counted.lines.iter().map(move |line| {
            let units = u64::from(line.quantity);
            match counted.state {
                HoldState::Held | HoldState::Paying => (units, 0),
                HoldState::Claimed => (0, units),
                HoldState::Released | HoldState::Expired => (0, 0),
            }
        })
    })
}

fn items(counted: &CountedHoldRef<'_>) -> Items {
    let with_units = |line: &HoldLine| line.quantity > 0;
    let mut items: Items = counted.lines.iter().filter(with_units).map(|line| line.item).collect();
    items.dedup();
    items
}
