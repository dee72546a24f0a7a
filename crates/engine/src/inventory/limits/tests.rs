//! Subjects by themselves: what they keep, how small they are, and that they are empty once all is forgotten.

use stockade_types::definition::{CONDUCT_AT_LEAST_MAX, Conduct};
use stockade_types::hold::{HoldLine, HoldState, Lines};
use stockade_types::ids::{DropNo, ItemNo, PoolNo, SubjectKey};
use stockade_types::record::OldUsage;
use stockade_types::time::Timestamp;

use super::*;
use crate::inventory::HoldSlot;

const DROP: DropNo = DropNo(1);
const KNIFE: ItemNo = ItemNo(0);
const PAN: ItemNo = ItemNo(1);

/// A hold as its subject counts it.
#[derive(Clone)]
struct Seen {
    hold_key: HoldKey,
    state: HoldState,
    expires_at: Timestamp,
    lines: Lines,
}

impl Seen {
    fn counted(&self) -> CountedHoldRef<'_> {
        CountedHoldRef { state: self.state, expires_at: self.expires_at, conduct_at: None, lines: self.lines.view() }
    }

    fn made(&self, subject: &mut Subject) -> Self {
        subject.enter(self.hold_key, None, Some(self.counted()));
        self.clone()
    }

    fn becomes(&self, subject: &mut Subject, state: HoldState) -> Self {
        let after = Self { state, ..self.clone() };
        subject.enter(self.hold_key, Some(self.counted()), Some(after.counted()));
        after
    }

    fn forgotten(&self, subject: &mut Subject) {
        subject.enter(self.hold_key, Some(self.counted()), None);
    }
}

fn hold(n: u32, at: u64, until: u64, lines: &[(ItemNo, u32)]) -> Seen {
    let lines: Vec<_> = lines.iter().map(|(item, units)| HoldLine::new(*item, PoolNo(0), *units)).collect();
    Seen {
        hold_key: HoldKey { drop: DROP, place: HoldSlot::from_raw(n), created_at: Timestamp(at) },
        state: HoldState::Held,
        expires_at: Timestamp(until),
        lines: Lines::from_slice(&lines),
    }
}

fn live_holds(subject: &Subject) -> usize {
    let mut count = 0;
    subject.each_live_set(|set| count += set.count);
    count
}

fn reserved(subject: &Subject, from: u64) -> Vec<(u64, u32, u64)> {
    let mut reported = Vec::new();
    subject.each_since(Timestamp(from), |made| {
        reported.push((made.at.0, made.holds, made.units));
        true
    });
    reported
}

#[test]
fn the_usual_subject_takes_no_allocation_and_little_room() {
    assert_eq!(size_of::<Subject>(), 24);
    let mut subject = Subject::default();
    let held = hold(1, 5, 50, &[(KNIFE, 2)]).made(&mut subject);
    assert!(matches!(subject, Subject::One(_)));
    assert_eq!((subject.due(Timestamp(49)), subject.due(Timestamp(50))), (None, Some(held.hold_key.place)));
    assert_eq!((subject.units(DROP, None), live_holds(&subject)), (2, 1));
    let sold = held.becomes(&mut subject, HoldState::Claimed);
    assert_eq!((subject.due(Timestamp(50)), subject.units(DROP, Some(KNIFE)), live_holds(&subject)), (None, 2, 0));
    sold.forgotten(&mut subject);
    assert!(subject.is_empty());
}

/// All that can be read from a subject.
fn reported(subject: &Subject) -> impl PartialEq + std::fmt::Debug + use<> {
    let mut sets = Vec::new();
    subject.each_live_set(|set| sets.push((set.drop, set.items.to_vec(), set.count, set.first, set.second)));
    let due = [0, 49, 50, 1 << 33, 1 << 49, u64::MAX].map(|now| subject.due(Timestamp(now)));
    (subject.image(), sets, due, subject.units(DROP, Some(KNIFE)), owned(subject, 6), reserved(subject, 6))
}

#[test]
fn numbers_that_one_hold_has_no_room_for_are_told_as_they_are() {
    let late = u64::from(u32::MAX);
    let fits = [(5, 50, 2), (5, 5 + late, (1 << 24) - 1), ((1 << 48) - 1, (1 << 48) - 1, 1), (6, 6, 1)];
    let other = [(5, 6 + late, 2), (5, 50, 1 << 24), (1 << 48, 1 << 48, 1), (6, 5, 1), (5, u64::MAX, u32::MAX)];
    for (number, (at, until, units)) in fits.into_iter().chain(other).enumerate() {
        let mut subject = Subject::default();
        let held = hold(1, at, until, &[(KNIFE, units)]).made(&mut subject);
        assert_eq!(matches!(subject, Subject::One(_)), number < fits.len(), "{at} {until} {units}");
        // The same hold among sums, after the other hold is forgotten.
        let mut summed = Subject::default();
        let cart = hold(2, 6, 60, &[(KNIFE, 1), (PAN, 3)]).made(&mut summed);
        held.made(&mut summed);
        cart.forgotten(&mut summed);
        assert_eq!(reported(&subject), reported(&summed));
        let (sold, again) =
            (held.becomes(&mut subject, HoldState::Claimed), held.becomes(&mut summed, HoldState::Claimed));
        assert_eq!(reported(&subject), reported(&summed));
        sold.forgotten(&mut subject);
        again.forgotten(&mut summed);
        assert!(subject.is_empty() && summed.is_empty());
    }
}

#[test]
fn a_hold_whose_deadline_moves_too_far_off_is_counted_as_before() {
    let mut subject = Subject::default();
    let held = hold(1, 5, 50, &[(KNIFE, 2)]).made(&mut subject);
    let far = Seen { expires_at: Timestamp(1 << 40), ..held.clone() };
    subject.enter(held.hold_key, Some(held.counted()), Some(far.counted()));
    assert!(matches!(subject, Subject::Many(_)));
    assert_eq!((subject.due(Timestamp(50)), subject.due(far.expires_at)), (None, Some(held.hold_key.place)));
    assert_eq!((subject.units(DROP, None), live_holds(&subject), reserved(&subject, 0)), (2, 1, vec![(5, 1, 2)]));
    far.becomes(&mut subject, HoldState::Expired).forgotten(&mut subject);
    assert!(subject.is_empty());
}

#[test]
fn an_ended_hold_has_no_units_but_is_remembered_until_it_is_forgotten() {
    for second in [false, true] {
        let mut subject = Subject::default();
        let mut others = Vec::new();
        if second {
            others.push(
                hold(2, 6, 60, &[(KNIFE, 1), (PAN, 3)]).made(&mut subject).becomes(&mut subject, HoldState::Released),
            );
        }
        let ended = hold(1, 5, 50, &[(KNIFE, 2)]).made(&mut subject).becomes(&mut subject, HoldState::Expired);
        assert_eq!((subject.units(DROP, None), subject.due(Timestamp(99)), live_holds(&subject)), (0, None, 0));
        assert_eq!(reserved(&subject, 0).last(), Some(&(5, 1, 0)));
        assert_eq!(reserved(&subject, 6).len(), if second { 2 } else { 0 });
        for other in &others {
            other.forgotten(&mut subject);
        }
        ended.forgotten(&mut subject);
        assert!(subject.is_empty());
    }
}

#[test]
fn one_hold_and_sums_of_it_are_the_same() {
    let mut alone = Subject::default();
    let mut summed = Subject::default();
    for subject in [&mut alone, &mut summed] {
        hold(1, 5, 50, &[(KNIFE, 2)]).made(subject);
    }
    let cart = hold(2, 6, 60, &[(KNIFE, 1), (PAN, 3)]).made(&mut summed);
    assert!(matches!(summed, Subject::Many(_)));
    assert_ne!(alone.image(), summed.image());
    cart.becomes(&mut summed, HoldState::Released).forgotten(&mut summed);
    assert_eq!(alone.image(), summed.image());
}

#[test]
fn a_cart_is_one_live_hold_however_many_items_it_has() {
    let mut subject = Subject::default();
    let cart = hold(1, 5, 50, &[(KNIFE, 2), (PAN, 1)]).made(&mut subject);
    hold(2, 5, 40, &[(PAN, 1)]).made(&mut subject);
    assert_eq!((live_holds(&subject), subject.units(DROP, None), subject.units(DROP, Some(PAN))), (2, 4, 2));
    assert_eq!(subject.due(Timestamp(99)), Some(HoldSlot::from_raw(2)), "the earliest is due first");
    // Its pans are given back: it counts for knives only.
    let kept = [HoldLine::new(KNIFE, PoolNo(0), 2), HoldLine { released: 1, ..HoldLine::new(PAN, PoolNo(0), 0) }];
    let after = Seen { lines: Lines::from_slice(&kept), ..cart.clone() };
    subject.enter(cart.hold_key, Some(cart.counted()), Some(after.counted()));
    let mut sets = Vec::new();
    subject.each_live_set(|set| sets.push((set.items.to_vec(), set.count)));
    assert_eq!(sets, [(vec![KNIFE], 1), (vec![PAN], 1)]);
    assert_eq!(reserved(&subject, 0), [(5, 2, 1), (5, 1, 2)], "that there were pans in it is still remembered");
}

/// What limits of a series or shop count: units by item and hour, newest first, and their sum.
fn owned(subject: &Subject, from: u64) -> (Vec<(u64, ItemNo, u64)>, u64) {
    let (mut reported, mut sum) = (Vec::new(), 0);
    subject.each_owned_since(Timestamp(from), |made| reported.push((made.at.0, made.item, made.units)));
    subject.each_sum(|of_item| sum += of_item.units());
    (reported, sum)
}

#[test]
fn the_greatest_purchase_is_kept_as_it_is() {
    let most = OldUsage { drop: DropNo(u32::MAX), item: ItemNo(u16::MAX), at: Timestamp::NEVER, units: u64::MAX };
    let mut subject = Subject::default();
    subject.fold(most);
    assert!(matches!(subject, Subject::Old(_)));
    assert_eq!(subject.folded(), [most]);
}

#[test]
fn folded_units_count_without_a_hold_and_take_little() {
    let old = |item, at, units| OldUsage { drop: DROP, item, at: Timestamp(at), units };
    let mut subject = Subject::default();
    subject.fold(old(KNIFE, 7, 3));
    assert!(matches!(subject, Subject::Old(_)) && subject.is_old());
    subject.fold(old(KNIFE, 7, 4));
    assert!(matches!(subject, Subject::Old(_)), "of one item and hour: one entry");
    subject.fold(old(PAN, 5, 2));
    assert!(matches!(subject, Subject::Olds(_)) && subject.is_old());
    assert_eq!((owned(&subject, 0), live_holds(&subject)), ((vec![(7, KNIFE, 7), (5, PAN, 2)], 9), 0));
    assert_eq!(owned(&subject, 6).0, [(7, KNIFE, 7)]);
    assert_eq!(reserved(&subject, 0), [], "no reserve is remembered: cooldowns look at those");
    // With a hold in addition, and after it.
    let cart = hold(1, 6, 50, &[(KNIFE, 1)]).made(&mut subject);
    assert!(!subject.is_old());
    assert_eq!(owned(&subject, 0), (vec![(7, KNIFE, 7), (6, KNIFE, 1), (5, PAN, 2)], 10));
    subject.fold(old(PAN, 5, 1));
    cart.becomes(&mut subject, HoldState::Expired).forgotten(&mut subject);
    assert!(subject.is_old(), "nothing but what it bought is left");
    assert_eq!(subject.folded(), [old(PAN, 5, 3), old(KNIFE, 7, 7)]);
    let mut again = Subject::default();
    subject.folded().into_iter().for_each(|usage| again.fold(usage));
    assert_eq!(again.image(), subject.image());
}

#[test]
fn one_folded_purchase_takes_no_allocation_again_once_its_holds_are_forgotten() {
    let mut subject = Subject::default();
    let held = hold(1, 6, 50, &[(KNIFE, 1)]).made(&mut subject);
    subject.fold(OldUsage { drop: DROP, item: PAN, at: Timestamp(5), units: 2 });
    assert!(matches!(subject, Subject::Many(_)));
    assert_eq!(owned(&subject, 0).1, 3);
    held.forgotten(&mut subject);
    assert!(matches!(subject, Subject::Old(_)));
}

fn key(high: u128, low: u128) -> SubjectKey {
    SubjectKey((high << 64) | low)
}

#[test]
fn a_subject_without_anything_leaves_no_entry() {
    let subjects = Subjects::new();
    let (customer, card) = (key(7, 9), key(7, 10));
    let other = key(8, 9);
    let keys = [customer, other, card];
    for keys in [&keys[..1], &keys[..]] {
        subjects.with(keys, |subjects| assert!(subjects.iter().all(Subject::is_empty) && subjects.len() == keys.len()));
        assert!(subjects.is_empty());
        let held = subjects.with(keys, |subjects| {
            subjects.iter_mut().map(|subject| hold(3, 1, 5, &[(KNIFE, 2)]).made(subject)).collect::<Vec<_>>()
        });
        assert_eq!(subjects.len(), u64::try_from(keys.len()).expect("few"));
        subjects.with(&[*keys.last().expect("a key")], |one| assert_eq!(one[0].units(DROP, None), 2));
        subjects.with(keys, |subjects| {
            subjects.iter_mut().zip(&held).for_each(|(subject, held)| held.forgotten(subject));
        });
        assert!(subjects.is_empty());
    }
}

#[test]
fn several_subjects_come_in_the_order_of_their_keys() {
    let subjects = Subjects::new();
    let keys: Vec<SubjectKey> = (0..9_u128).rev().map(|n| key(n % 4, n)).collect();
    for (n, key) in (1..).zip(&keys) {
        subjects.with(&[*key], |one| hold(n, 1, 5, &[(KNIFE, n)]).made(&mut one[0]));
    }
    subjects.with(&keys, |all| {
        let units: Vec<_> = all.iter().map(|subject| subject.units(DROP, None)).collect();
        assert_eq!(units, (1..10).collect::<Vec<u64>>());
    });
    assert_eq!(subjects.len(), 9);
}

/// A subject of two holds, which has sums.
fn of_two() -> Subject {
    let mut subject = Subject::default();
    for n in 1..=2 {
        hold(n, 5, 50, &[(KNIFE, 2)]).made(&mut subject);
    }
    subject
}

#[test]
#[should_panic(expected = "a bug: a subject has 4 units of item 0, and 5 of them go")]
fn sums_that_would_fall_below_nothing_end_the_process() {
    hold(1, 5, 50, &[(KNIFE, 5)]).forgotten(&mut of_two());
}

#[test]
#[should_panic(expected = "a bug: a subject has 0 units of item 0 by 0 holds, and 2 of them go, with -1 holds")]
fn a_hold_that_was_made_at_another_time_ends_the_process() {
    hold(1, 6, 50, &[(KNIFE, 2)]).forgotten(&mut of_two());
}

#[test]
fn of_folded_returns_the_newest_are_kept_in_whatever_order_they_come() {
    let (mut first, mut last) = (Subject::None, Subject::None);
    (0..1_500).for_each(|n| first.fold_return(Timestamp(n)));
    (0..1_500).rev().for_each(|n| last.fold_return(Timestamp(n)));
    first.fold_return(Timestamp(1_499));
    last.fold_return(Timestamp(1_499));
    assert_eq!(first.image(), last.image());
    assert_eq!(u32::try_from(archived::RETURNS_MAX), Ok(CONDUCT_AT_LEAST_MAX));
    let nth = |nth| first.nth_newest(Conduct::Returns, Timestamp(0), nth);
    assert_eq!((first.folded_returns().len(), nth(1), nth(3)), (1_001, Some(Timestamp(1_499)), Some(Timestamp(1_498))));
    assert_eq!((nth(1_000), nth(1_002)), (Some(Timestamp(501)), None));
    assert_eq!(first.nth_newest(Conduct::UnclaimedHolds, Timestamp(0), 1), None);
}
