//! The striped ledger compared with one in a single piece, by one thread and by threads in all stripes.

use std::collections::BTreeMap;
use std::mem::size_of;
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;

use super::super::pool::Pool;
use super::*;

/// Consecutive numbers are in different stripes.
fn hold(n: u32) -> HoldSlot {
    let stripes = u32::try_from(STRIPES).expect("few");
    HoldSlot::from_raw(((n % stripes) << 20) | (n / stripes))
}

fn usage(units: u32, due: Option<u64>) -> PoolUsage {
    let due = due.map(Timestamp);
    if due.is_some() {
        PoolUsage { held: units, due, ..PoolUsage::default() }
    } else {
        PoolUsage { claimed: units, ..PoolUsage::default() }
    }
}

fn change(n: u32, before: PoolUsage, after: PoolUsage) -> UsageChange {
    UsageChange { hold: hold(n), before, after }
}

#[test]
#[cfg(target_pointer_width = "64")]
fn a_pool_without_holds_has_no_stripes_and_one_with_holds_a_kilobyte_more() {
    assert_eq!(size_of::<Ledger>(), 56);
    assert_eq!(size_of::<Pool>(), 384);
    assert_eq!(size_of::<Stripes>(), 1_152);
    let ledger = Ledger::new(5);
    let _looks = (ledger.cut(), ledger.due(Timestamp::NEVER, 1), ledger.free_at_most(), ledger.image());
    ledger.set_basis(Lsn(1), PoolBasis { received: 6, taken_out: 0 });
    assert!(ledger.stripes.get().is_none() && ledger.next_due_without(hold(0)) == Timestamp::NEVER);
    ledger.enter(Lsn(2), &change(0, PoolUsage::default(), usage(1, Some(3))));
    assert!(ledger.stripes.get().is_some());
}

#[test]
fn holds_spread_over_all_stripes() {
    let mut stripes: Vec<usize> = (0..80).map(|n| stripe_of(hold(n))).collect();
    stripes.sort_unstable();
    stripes.dedup();
    assert_eq!(stripes, (0..STRIPES).collect::<Vec<_>>());
}

#[test]
fn who_locks_all_sees_a_hold_in_one_stripe_while_it_changes_stripes() {
    let (ledger, done) = (Ledger::new(1), AtomicBool::new(false));
    ledger.enter(Lsn(1), &change(0, PoolUsage::default(), usage(1, Some(9))));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..50_000 {
                let (none, some) = (PoolUsage::default(), usage(1, Some(9)));
                // Between stripes in both directions, and within one.
                let (from, to) = ((n * 3) % 16, (n * 3 + 3) % 16);
                ledger.transfer(Lsn(u64::from(n)), &change(from, some, none), &change(to, none, some));
            }
            done.store(true, Ordering::Release);
        });
        let mut looks = 0_u64;
        while !done.load(Ordering::Acquire) || looks == 0 {
            looks += 1;
            let cut = ledger.cut();
            assert_eq!((cut.sums.held, cut.free()), (1, Some(0)));
            assert_eq!(ledger.next_due(), Timestamp(9));
            assert_eq!(ledger.due(Timestamp(9), 5).len(), 1);
            assert_eq!(ledger.image(), [(Timestamp(9), 1)]);
        }
    });
    assert_eq!(ledger.free_at_most(), Some(0));
}

#[test]
fn the_next_deadline_is_exact_when_threads_have_come_and_gone_in_all_stripes() {
    let ledger = Ledger::new(1_000);
    for round in 0..200_u32 {
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let ledger = &ledger;
                scope.spawn(move || {
                    for n in (0..40).filter(|n| n % 4 == thread) {
                        let at = Some(u64::from((n * 7 + round) % 40));
                        ledger.enter(Lsn(1), &change(n, PoolUsage::default(), usage(1, at)));
                        if n % 5 > 0 {
                            ledger.enter(Lsn(2), &change(n, usage(1, at), PoolUsage::default()));
                        }
                    }
                });
            }
        });
        let left: Vec<_> = (0..40_u32).step_by(5).map(|n| (n, u64::from((n * 7 + round) % 40))).collect();
        let first = left.iter().map(|(_, at)| *at).min();
        assert_eq!(Some(ledger.next_due().0), first);
        assert_eq!(ledger.free_at_most(), Some(992));
        for (n, at) in left {
            ledger.enter(Lsn(3), &change(n, usage(1, Some(at)), PoolUsage::default()));
        }
        assert_eq!((ledger.next_due(), ledger.cut().free()), (Timestamp::NEVER, Some(1_000)));
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// A hold has this many units now: until a deadline, claimed, or none.
    Enter(u32, u32, Option<u64>),
    Transfer(u32, u32, u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_u32..24, 0_u32..4, prop::option::weighted(0.8, 0_u64..6)).prop_map(|(n, u, at)| Step::Enter(n, u, at)),
        (0_u32..24, 0_u32..24, 0_u64..6).prop_map(|(from, to, at)| Step::Transfer(from, to, at)),
    ]
}

proptest! {
    #[test]
    fn stripes_come_to_what_one_ledger_would(steps in prop::collection::vec(step(), 0..200), now in 0_u64..7) {
        let ledger = Ledger::new(1_000);
        let mut model: BTreeMap<u32, PoolUsage> = BTreeMap::new();
        let has = |model: &BTreeMap<u32, PoolUsage>, n| model.get(&n).copied().unwrap_or_default();
        let next = |model: &BTreeMap<u32, PoolUsage>, without| {
            let dues = model.iter().filter(|(n, _)| Some(**n) != without).filter_map(|(_, usage)| usage.due);
            dues.min().unwrap_or(Timestamp::NEVER)
        };
        for (lsn, step) in (1..).map(Lsn).zip(steps) {
            let before = next(&model, None);
            match step {
                Step::Enter(n, units, at) => {
                    let after = if units == 0 { PoolUsage::default() } else { usage(units, at) };
                    let nearer = ledger.enter(lsn, &change(n, has(&model, n), after));
                    model.insert(n, after);
                    prop_assert_eq!(nearer, next(&model, None) < before);
                }
                Step::Transfer(from, to, at) if from != to && has(&model, to) == PoolUsage::default() => {
                    let old = has(&model, from);
                    let new = if old.out() == 0 { old } else { usage(old.held.max(old.claimed), Some(at)) };
                    let (left, came) = (change(from, old, PoolUsage::default()), change(to, has(&model, to), new));
                    ledger.transfer(lsn, &left, &came);
                    model.insert(from, PoolUsage::default());
                    model.insert(to, new);
                }
                Step::Transfer(..) => continue,
            }
            let cut = ledger.cut();
            let sum = |of: fn(&PoolUsage) -> u32| model.values().map(of).map(u64::from).sum::<u64>();
            prop_assert_eq!((cut.sums.held, cut.sums.claimed), (sum(|u| u.held), sum(|u| u.claimed)));
            prop_assert_eq!(cut.as_of, lsn);
            prop_assert_eq!(ledger.free_at_most(), cut.free());
            prop_assert_eq!(ledger.next_due(), next(&model, None));
            prop_assert_eq!(ledger.next_due_without(hold(3)), next(&model, Some(3)));
        }
        let dues = model.iter().filter_map(|(n, usage)| Some((usage.due?, hold(*n))));
        let mut dues: Vec<_> = dues.filter(|(at, _)| at.0 <= now).collect();
        let mut listed = ledger.due(Timestamp(now), usize::MAX);
        dues.sort_unstable();
        listed.sort_unstable();
        let mut expected: Vec<_> = dues.into_iter().map(|(_, hold)| hold).collect();
        expected.sort_unstable();
        prop_assert_eq!(listed, expected);
    }

    #[test]
    fn what_is_entered_without_deadlines_gets_them_later(dues in prop::collection::vec(0_u64..50, 1..60)) {
        let (at_once, later) = (Ledger::new(100), Ledger::new(100));
        let mut gathered = Vec::new();
        for (n, at) in (0..).zip(&dues) {
            let after = usage(1, Some(*at));
            at_once.enter(Lsn(1), &change(n, PoolUsage::default(), after));
            later.enter(Lsn(1), &change(n, PoolUsage::default(), PoolUsage { due: None, ..after }));
            gathered.push((Timestamp(*at), hold(n)));
        }
        prop_assert_eq!(later.next_due(), Timestamp::NEVER);
        gathered.sort_unstable();
        later.enter_dues(gathered.into_iter());
        prop_assert_eq!((later.next_due(), later.image()), (at_once.next_due(), at_once.image()));
        prop_assert_eq!(later.free_at_most(), at_once.free_at_most());
    }
}
