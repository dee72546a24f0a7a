//! What is asked of a drop: counted once, recorded as values, the same again from records.

use super::*;

const OPENS: u32 = 1_000_000;

fn asked(second: u32, customer: u64, outcome: Result<u64, Reason>) -> Asked<'static> {
    let customer = SubjectKey(u128::from(customer).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
    Asked { second, customer, tier: None, units: 2, outcome }
}

fn interval(begins: u32, requests: u32, units: u32) -> Interval {
    Interval { begins, requests, units }
}

#[test]
fn each_request_is_counted_once_whatever_the_threads() {
    let demand = Demand::default();
    let (threads, each) = (6_u64, 10_000_u64);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let demand = &demand;
            scope.spawn(move || {
                for n in 0..each {
                    let second = OPENS + u32::try_from(n / 1_000).expect("small");
                    let outcome = if n % 4 == 0 { Ok(2) } else { Err(Reason::SoldOut) };
                    demand.count(asked(second, thread * each + n, outcome));
                }
            });
        }
        for _ in 0..50 {
            let _changes = demand.take(OPENS, OPENS + 5);
        }
    });
    let changes = demand.take(OPENS, u32::MAX).expect("something was asked");
    assert_eq!((changes.sums.requests(), changes.sums.served), (threads * each, threads * each / 4));
    assert_eq!(changes.sums.refused[Reason::SoldOut.place()], threads * each * 3 / 4);
    assert_eq!(changes.sums.units_asked, threads * each * 2);
    let wanted: Vec<_> = (0..10).map(|n| interval(OPENS + n, 6_000, 3_000)).collect();
    assert_eq!(*demand.read().intervals, wanted);
    assert_eq!(changes.sums.peak, 6_000);
    assert_eq!(demand.take(OPENS, u32::MAX), None, "nothing was asked since");
}

#[test]
fn records_of_changes_make_the_same_again() {
    let (demand, other) = (Demand::default(), Demand::default());
    for n in 0..300_u32 {
        demand.count(asked(OPENS + n / 10, u64::from(n % 70), if n % 3 == 0 { Ok(1) } else { Err(Reason::NotOpen) }));
        if n % 50 == 0
            && let Some(changes) = demand.take(OPENS, OPENS + n / 10)
        {
            other.restore(&changes);
        }
    }
    other.restore(&demand.take(OPENS, u32::MAX).expect("changes"));
    assert_eq!(other.read(), demand.read());
    assert_eq!(other.taken(), demand.taken());
    let whole = Demand::default();
    whole.restore(&demand.taken());
    assert_eq!(whole.read(), demand.read());
    // What is counted after a start is added.
    whole.count(asked(OPENS + 29, 7, Ok(1)));
    assert_eq!(whole.read().sums.served, demand.read().sums.served + 1);
    let last = whole.take(OPENS, u32::MAX).expect("a change").intervals;
    assert_eq!(last, [interval(OPENS + 29, 11, 4)]);
}

#[test]
fn seconds_become_minutes_outside_the_first_hour_and_end_after_a_day() {
    let of = |after: i64| interval_of(u32::try_from(i64::from(OPENS) + after).expect("small"), OPENS);
    assert_eq!(of(0), Some(OPENS));
    assert_eq!(of(3_599), Some(OPENS + 3_599));
    assert_eq!(of(3_600), Some(OPENS + 3_600), "the minute that the hour ends in begins with its end");
    assert_eq!(of(3_700), Some((OPENS + 3_700) / 60 * 60));
    assert_eq!(of(-1), Some((OPENS - 1) / 60 * 60));
    assert_eq!((of(86_399).is_some(), of(86_400), of(-86_400).is_some(), of(-86_401)), (true, None, true, None));
    let demand = Demand::default();
    for second in (OPENS - 90_000..OPENS + 90_000).step_by(7) {
        demand.count(asked(second, 1, Ok(1)));
    }
    let _changes = demand.take(OPENS, u32::MAX);
    assert!(demand.read().intervals.len() <= stockade_types::record::INTERVALS_MAX);
}

#[test]
fn many_units_and_many_requests_of_a_second_overflow_no_word() {
    let demand = Demand::default();
    for _ in 0..70_000 {
        demand.count(asked(OPENS, 1, Ok(1)));
    }
    demand.count(asked(OPENS, 1, Ok(1_000_000)));
    let changes = demand.take(OPENS, u32::MAX).expect("changes");
    assert_eq!(changes.intervals, [interval(OPENS, 70_001, 1_070_000)]);
    assert_eq!(changes.sums.peak, 70_001);
}

#[test]
fn refusals_are_counted_by_the_tiers_that_a_drop_names() {
    let demand = Demand::default();
    let tier = |id: &str| id.parse::<TierId>().expect("a tier");
    let (gold, silver) = (tier("gold"), tier("silver"));
    for n in 0..10 {
        let of = if n % 3 == 0 { &silver } else { &gold };
        demand.count(Asked { tier: Some(of), ..asked(OPENS, n, Err(Reason::SoldOut)) });
        demand.count(Asked { tier: Some(of), ..asked(OPENS, n, Ok(1)) });
        demand.count(asked(OPENS, n, Err(Reason::NotOpen)));
    }
    let wanted = vec![(gold, 6), (silver, 4)];
    assert_eq!(demand.read().by_tier, wanted);
    let other = Demand::default();
    other.restore(&demand.take(OPENS, u32::MAX).expect("changes"));
    assert_eq!(other.read().by_tier, wanted);
    assert_eq!(other.read().customers, 10);
}

#[test]
fn a_second_that_still_runs_stays_in_its_cell() {
    let demand = Demand::default();
    demand.count(asked(OPENS, 1, Ok(1)));
    demand.count(asked(OPENS + 1, 2, Ok(1)));
    let changes = demand.take(OPENS, OPENS + 1).expect("changes");
    assert_eq!(changes.intervals, [interval(OPENS, 1, 1)]);
    assert_eq!(changes.sums.served, 2, "sums are those of this instant");
    assert_eq!(demand.take(OPENS, OPENS + 2).expect("changes").intervals, [interval(OPENS + 1, 1, 1)]);
}
