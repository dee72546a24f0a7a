//! Figures against naive definitions, on random orders.

use proptest::prelude::*;
use stockade_types::definition::{Currency, Money};
use stockade_types::ids::SubjectKey;
use stockade_types::time::{Millis, Timestamp};

use super::concentration::Concentration;
use super::measure::{Measure, Ratio};
use super::{
    Afterwards, DemandTotals, Figures, HoldCounts, KEYS_MAX, Order, OrderLine, SaleCounts, Tally, TallyError,
    TallyFigures, bucket_of,
};

const OPENS: Timestamp = Timestamp(1_000_000);
const NAMES: [&str; 4] = ["", "a", "b", "c"];

/// An order in figures: buyer, whether first, tier, zone, held after, claimed after, lines.
type Plain = (u8, bool, usize, usize, u32, u32, Vec<PlainLine>);
/// Window, pool, units, returned of a hundred, price, cost.
type PlainLine = (usize, usize, u32, u32, i64, Option<i64>);

fn money(minor_units: i64) -> Money {
    Money { currency: Currency::of("EUR").expect("a currency"), minor_units }
}

fn lines(plain: &[PlainLine]) -> Vec<OrderLine<'static>> {
    let line = |&(window, pool, units, returned, price, cost): &PlainLine| OrderLine {
        sku: NAMES[pool],
        window: NAMES[window],
        pool: NAMES[pool],
        terms: "",
        units,
        returned: units * returned / 100,
        price: Some(money(price)),
        cost: cost.map(money),
    };
    plain.iter().map(line).collect()
}

fn tally(orders: &[Plain], received: u64) -> TallyFigures {
    let mut tally = Tally::new(OPENS);
    for (buyer, is_first, tier, zone, held, more, plain) in orders {
        let held_at = OPENS.plus(Millis(u64::from(*held)));
        let order = Order {
            buyer: SubjectKey(u128::from(*buyer)),
            is_first: *is_first,
            tier: NAMES[*tier],
            zone: NAMES[*zone],
            held_at,
            claimed_at: held_at.plus(Millis(u64::from(*more))),
            lines: &lines(plain),
        };
        tally.add(&order).expect("small figures fit");
    }
    tally.figures(received)
}

fn orders() -> impl Strategy<Value = Vec<Plain>> {
    let line = (0..4_usize, 0..4_usize, 1..6_u32, 0..101_u32, 0..2_000_i64, proptest::option::of(0..900_i64));
    let order = (
        0..40_u8,
        any::<bool>(),
        0..4_usize,
        0..4_usize,
        0..200_000_u32,
        0..900_000_u32,
        proptest::collection::vec(line, 1..4),
    );
    proptest::collection::vec(order, 0..80)
}

fn units(order: &Plain) -> u64 {
    order.6.iter().map(|line| u64::from(line.2)).sum()
}

/// Units of each buyer, ascending.
fn by_buyer(orders: &[Plain]) -> Vec<u64> {
    let mut sums = std::collections::BTreeMap::<u8, u64>::new();
    for order in orders {
        *sums.entry(order.0).or_default() += units(order);
    }
    let mut sums: Vec<u64> = sums.into_values().collect();
    sums.sort_unstable();
    sums
}

/// The mean of all absolute differences, by twice the mean.
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "small figures")]
fn naive_gini(units: &[u64]) -> f64 {
    let differences: u64 = units.iter().flat_map(|a| units.iter().map(|b| a.abs_diff(*b))).sum();
    differences as f64 / (2 * units.len() as u64 * units.iter().sum::<u64>()) as f64
}

/// Equal, or shown at most 0.1 % too short.
fn is_near(shown: Option<Millis>, exact: Option<u64>) -> bool {
    match (shown, exact) {
        (Some(Millis(shown)), Some(exact)) => shown <= exact && exact - shown <= exact / 500,
        (shown, exact) => shown.is_none() && exact.is_none(),
    }
}

proptest! {
    #[test]
    fn the_tally_is_what_naive_sums_are(orders in orders(), received in 1..400_u64) {
        let figures = tally(&orders, received);
        let all: u64 = orders.iter().map(units).sum();
        let by_buyer = by_buyer(&orders);
        prop_assert_eq!(figures.units_claimed, all);
        prop_assert_eq!(figures.buyers, u64::try_from(by_buyer.len()).expect("small"));
        // A buyer is new if one of the orders is the first of all.
        let is_new = |buyer: u8| orders.iter().any(|order| order.0 == buyer && order.1);
        let buyers: std::collections::BTreeSet<u8> = orders.iter().map(|order| order.0).collect();
        let repeat = buyers.iter().filter(|buyer| !is_new(**buyer)).count();
        prop_assert_eq!(figures.repeat_buyers, u64::try_from(repeat).expect("small"));
        for (shares, of) in [(&figures.by_tier, 2_usize), (&figures.by_zone, 3)] {
            prop_assert_eq!(shares.iter().map(|share| share.units).sum::<u64>(), all);
            for share in shares {
                let here = |order: &&Plain| NAMES[if of == 2 { order.2 } else { order.3 }] == share.id;
                prop_assert_eq!(share.units, orders.iter().filter(here).map(units).sum::<u64>());
                let buyers: std::collections::BTreeSet<u8> = orders.iter().filter(here).map(|order| order.0).collect();
                prop_assert_eq!(share.buyers, u64::try_from(buyers.len()).expect("small"));
                let exact = (share.units * 20_000 + all) / (2 * all);
                prop_assert_eq!(u64::from(share.basis_points), exact);
            }
        }
        let of_pools: u64 = figures.by_pool.iter().chain(&figures.by_window).map(|share| share.units).sum();
        prop_assert_eq!(of_pools, 2 * all);
    }

    #[test]
    fn times_are_those_of_sorted_orders(orders in orders(), received in 1..400_u64) {
        let figures = tally(&orders, received);
        let mut claims: Vec<(u64, u64)> =
            orders.iter().map(|order| (u64::from(order.4) + u64::from(order.5), units(order))).collect();
        claims.sort_unstable();
        let mut come = 0;
        let half = claims.iter().find(|(_, units)| { come += units; 2 * come >= received }).map(|claim| claim.0);
        prop_assert!(is_near(figures.time_to_half, half), "{:?} {half:?}", figures.time_to_half);
        let mut spans: Vec<u64> = orders.iter().map(|order| u64::from(order.5)).collect();
        spans.sort_unstable();
        let median = spans.get(spans.len().div_ceil(2).saturating_sub(1)).copied();
        prop_assert!(is_near(figures.median_time_to_claim, median), "{:?} {median:?}", figures.median_time_to_claim);
    }

    #[test]
    fn money_is_the_sum_of_what_was_kept(orders in orders()) {
        let figures = tally(&orders, 1);
        let kept = |line: &PlainLine| i64::from(line.2 - line.2 * line.3 / 100);
        let revenue: i64 = orders.iter().flat_map(|order| &order.6).map(|line| kept(line) * line.4).sum();
        prop_assert_eq!(figures.money.iter().map(|line| line.revenue.minor_units).sum::<i64>(), revenue);
        for line in &figures.money {
            let here = |order: &Plain, one: &PlainLine| NAMES[order.2] == line.tier && NAMES[one.1] == line.sku;
            let lines: Vec<&PlainLine> =
                orders.iter().flat_map(|order| order.6.iter().filter(|one| here(order, one))).collect();
            let known = lines.iter().filter(|one| kept(one) > 0).all(|one| one.5.is_some());
            prop_assert_eq!(line.cost.is_some(), known && line.units > 0, "{:?}", line);
            if let Some(cost) = line.cost {
                let exact: i64 = lines.iter().map(|one| kept(one) * one.5.unwrap_or(0)).sum();
                prop_assert_eq!(cost.minor_units, exact);
            }
        }
    }

    #[test]
    fn concentration_is_that_of_the_definition(units in proptest::collection::vec(0..50_u64, 0..450)) {
        let found = Concentration::of(units.iter().copied());
        let mut sorted = units.clone();
        sorted.sort_unstable();
        let all: u64 = units.iter().sum();
        let top: u64 = sorted.iter().rev().take((units.len() / 100).max(1)).sum();
        prop_assert_eq!(found.top_1_percent(), Ratio::of(top, all));
        match found.gini() {
            None => prop_assert_eq!(all, 0),
            Some(gini) => prop_assert!((f64::from(gini) / 10_000.0 - naive_gini(&units)).abs() < 0.000_051),
        }
    }

    #[test]
    fn pieces_of_time_join_and_hold_their_instant(after_open in -90_000_000..90_000_000_i64) {
        match bucket_of(after_open) {
            None => prop_assert!(!(-3_600_000..86_400_000).contains(&after_open)),
            Some((start, width)) => {
                let end = start + i64::try_from(width.0).expect("small");
                prop_assert!((start..end).contains(&after_open));
                prop_assert_eq!(bucket_of(start), Some((start, width)));
                prop_assert!(bucket_of(end).is_none_or(|next| next.0 == end));
            }
        }
    }
}

#[test]
fn known_distributions_have_their_coefficients() {
    let gini = |units: &[u64]| Concentration::of(units.iter().copied()).gini();
    assert_eq!(gini(&[]), None);
    assert_eq!(gini(&[7]), Some(0));
    assert_eq!(gini(&[3; 100]), Some(0));
    assert_eq!(gini(&[1, 2, 3, 4]), Some(2_500));
    // One of a thousand has all.
    let mut one = vec![0; 999];
    one.push(5);
    assert_eq!(gini(&one), Some(9_990));
    let top = |units: &[u64]| Concentration::of(units.iter().copied()).top_1_percent();
    assert_eq!(top(&[1; 199]), Ratio::of(1, 199), "one buyer of 199 at most is 1 %");
    assert_eq!(top(&[1; 200]), Ratio::of(2, 200));
    assert_eq!(gini(&[u64::MAX, u64::MAX]), Some(0), "sums beyond 64 bits");
}

#[test]
fn what_does_not_fit_is_refused() {
    let line = OrderLine {
        sku: "s",
        window: "",
        pool: "p",
        terms: "t",
        units: 2,
        returned: 0,
        price: Some(money(i64::MAX / 2)),
        cost: Some(money(1)),
    };
    let add = |tally: &mut Tally, lines: &[OrderLine<'_>], zone: &str| {
        let buyer = SubjectKey(1);
        let (held_at, claimed_at) = (OPENS, OPENS);
        tally.add(&Order { buyer, is_first: true, tier: "", zone, held_at, claimed_at, lines })
    };
    let mut one = Tally::new(OPENS);
    assert_eq!(add(&mut one, &[line], ""), Ok(()));
    assert_eq!(add(&mut one, &[line], ""), Err(TallyError::Overflow("money.revenue")));
    let dear = OrderLine { units: 3, ..line };
    assert_eq!(add(&mut Tally::new(OPENS), &[dear], ""), Err(TallyError::Overflow("money.revenue")));
    let back = OrderLine { returned: 3, ..line };
    assert_eq!(add(&mut Tally::new(OPENS), &[back], ""), Err(TallyError::Returned));
    let cheap = OrderLine { price: None, ..line };
    let mut many = Tally::new(OPENS);
    for zone in 0..KEYS_MAX {
        assert_eq!(add(&mut many, &[cheap], &zone.to_string()), Ok(()));
    }
    assert_eq!(add(&mut many, &[cheap], "0"), Ok(()));
    assert_eq!(add(&mut many, &[cheap], "one more"), Err(TallyError::TooMany("by_zone")));
}

fn figures() -> Figures {
    Figures {
        opens_at: OPENS,
        closed_at: Some(OPENS.plus(Millis::from_secs(1_000))),
        as_of: OPENS.plus(Millis::from_secs(2_000)),
        sale: SaleCounts {
            units_received: 110,
            units_withdrawn: 10,
            first_sold_out: Some(OPENS.plus(Millis(42_000))),
            times_sold_out: 2,
        },
        orders: TallyFigures {
            orders: 40,
            units_claimed: 90,
            units_returned: 10,
            buyers: 30,
            repeat_buyers: 6,
            ..TallyFigures::default()
        },
        holds: HoldCounts { made: 70, expired: 12, released: 20, claimed: 38, late_claims: 2 },
        demand: Some(DemandTotals {
            requests: 400,
            units_asked: 800,
            refused_by_reason: [("sold_out".to_owned(), 300), ("limit_reached".to_owned(), 30)].into(),
            customers: 165,
            late_claims_refused: 2,
            missing: Millis::from_secs(10),
            ..DemandTotals::default()
        }),
        afterwards: Afterwards {
            units_returned_late: 3,
            units_returned_by_facts: 5,
            cancelled: 2,
            charged_back: 1,
            promoters: 10,
            passives: 4,
            detractors: 15,
            support_contacts: Some(50),
            units_claimed_late: 10,
            orders_late: 10,
        },
    }
}

#[test]
fn a_report_has_each_rate_by_its_definition() {
    let report = figures().report();
    assert_eq!(report.sell_through, Some(8_000));
    assert_eq!(report.time_to_sold_out, Some(Millis(42_000)));
    assert_eq!(report.abandonment_rate, Some(4_412), "10 that expired for good and 20 released, of those and 38");
    assert_eq!(report.repeat_fraction, Some(2_000));
    assert_eq!(report.return_rate, Some(1_800), "18 of 100");
    assert_eq!((report.orders, report.cancellation_rate, report.chargeback_rate), (50, Some(400), Some(200)));
    assert_eq!((report.nps, report.nps_answers), (Some(-17), 29));
    assert_eq!(report.support_contact_rate, Some(10_000));
    assert_eq!((report.requests, report.refused, report.customers), (Some(400), Some(330), Some(165)));
    assert_eq!(report.demand_to_stock, Some(30_000), "165 customers of 2 units each, by 110");
    let refused = Measure::LateClaimsRefused.value(figures().ratio(Measure::LateClaimsRefused).expect("known"));
    assert_eq!(refused, Some(500), "2 of 40 that were tried");
}

#[test]
fn what_is_not_known_is_left_out() {
    let mut lost = figures();
    // A hundredth of 1,000 seconds is 10.
    lost.demand.as_mut().expect("demand").missing = Millis(10_001);
    let report = lost.report();
    assert_eq!((report.requests, report.customers, report.demand_to_stock), (None, None, None));
    assert_eq!(report.demand_missing, Some(Millis(10_001)));
    let empty = Figures::default().report();
    assert_eq!((empty.sell_through, empty.gini, empty.nps, empty.return_rate), (None, None, None, None));
    assert_eq!((empty.abandonment_rate, empty.support_contact_rate, empty.demand_missing), (None, None, None));
}
