//! From what the engine has counted, and its claimed holds, to the figures of reports.

use std::collections::BTreeMap;

use stockade_engine::Engine;
use stockade_engine::inventory::Stock;
use stockade_engine::operators::measure::{ClaimedHold, Measured};
use stockade_insight::report::{
    Afterwards, DemandBucket, DemandTotals, Figures, HoldCounts, Order, OrderLine, Report, SaleCounts, Tally,
    TallyError, TallyFigures,
};
use stockade_proto as pb;
use stockade_types::definition::Definition;
use stockade_types::hold::Hold;
use stockade_types::ids::{DropNo, SubjectKey, TierId};
use stockade_types::record::{DemandSums, FactTally, Interval};
use stockade_types::refusal::Reason;
use stockade_types::time::{Millis, Timestamp};

use super::view;

/// From the opening on by second for so long; otherwise by minute.
const HOUR: i64 = 3_600;

/// A computed report: its figures, and what was asked by interval.
#[derive(Debug)]
pub(super) struct Computed {
    pub(super) figures: pb::DropReport,
    pub(super) demand: Vec<pb::DemandBucket>,
}

/// The reports of drops, in their order, by walks over all holds.
pub(super) fn compute(engine: &Engine, drops: &[Measured], now: Timestamp) -> Vec<Computed> {
    let numbers: Vec<DropNo> = drops.iter().map(|drop| drop.number).collect();
    let repeated = engine.repeat_buyers(&numbers);
    let by_number: BTreeMap<DropNo, &Measured> = drops.iter().map(|drop| (drop.number, drop)).collect();
    let mut tallies: BTreeMap<DropNo, Result<Tally, TallyError>> =
        drops.iter().map(|drop| (drop.number, Ok(Tally::new(opened(drop))))).collect();
    engine.walk_claimed(&numbers, |ClaimedHold { hold, buyer }| {
        let Some((measured, known)) = by_number.get(&hold.drop).zip(tallies.get_mut(&hold.drop)) else { return };
        let is_first = repeated.get(&hold.drop).is_none_or(|buyers| !buyers.contains(&buyer));
        let added = known.as_mut().map_or(Ok(()), |tally| add(tally, (measured, hold), is_first, buyer));
        if let Err(error) = added {
            *known = Err(error);
        }
    });
    drops
        .iter()
        .map(|drop| {
            let tally = tallies.remove(&drop.number).unwrap_or_else(|| Ok(Tally::new(opened(drop))));
            let report = report(drop, tally, now);
            let demand = report.demand.iter().map(view::bucket).collect();
            Computed { figures: view::report(&Report { demand: Vec::new(), ..report }), demand }
        })
        .collect()
}

/// When it opened, or will.
fn opened(drop: &Measured) -> Timestamp {
    drop.lifecycle.opened.unwrap_or_else(|| drop.definition.schedule.opens_at.unwrap_or(drop.created_at))
}

/// Adds an order: a claimed hold. Pickup slots are no goods and don't count.
fn add(
    tally: &mut Tally,
    (measured, hold): (&Measured, &Hold),
    is_first: bool,
    buyer: SubjectKey,
) -> Result<(), TallyError> {
    let definition: &Definition = &measured.definition;
    let names = &definition.rules.names;
    let mut lines: Vec<OrderLine<'_>> = Vec::with_capacity(hold.lines().count());
    for line in hold.lines() {
        let Some(item) = definition.items.get(line.item.index()).filter(|item| item.slot.is_none()) else { continue };
        let offer = names.offer(line.pinned.offer);
        lines.push(OrderLine {
            sku: item.sku.as_str(),
            window: names.window(line.pinned.window).map_or("", |window| window.as_str()),
            pool: item.pools.get(line.pool.index()).map_or("", |pool| pool.id.as_str()),
            terms: offer.as_ref().map_or("", |(terms, _)| terms.as_str()),
            units: line.quantity.saturating_add(line.returned),
            returned: line.returned,
            price: offer.as_ref().map(|(_, price)| *price),
            cost: item.unit_cost,
        });
    }
    tally.add(&Order {
        buyer,
        is_first,
        // A hold does not keep them.
        tier: "",
        zone: "",
        held_at: hold.created_at(),
        claimed_at: hold.settled_at(),
        lines: &lines,
    })
}

fn report(drop: &Measured, tally: Result<Tally, TallyError>, now: Timestamp) -> Report {
    let goods = || drop.definition.items.iter().zip(&drop.stock).filter(|(item, _)| item.slot.is_none());
    let sum = |of: &dyn Fn(&Stock) -> u64| goods().flat_map(|(_, pools)| pools).map(of).fold(0, u64::saturating_add);
    let received = sum(&|stock| stock.received);
    let (totals, opened) = (drop.totals, opened(drop));
    let figures = Figures {
        opens_at: opened,
        closed_at: drop.lifecycle.closed.map(|closed| closed.at),
        as_of: now,
        sale: SaleCounts {
            units_received: received,
            units_withdrawn: sum(&|stock| stock.withdrawn),
            first_sold_out: (totals.sold_out_at > Timestamp::default()).then_some(totals.sold_out_at),
            times_sold_out: u32::try_from(totals.times_sold_out).unwrap_or(u32::MAX),
        },
        orders: match tally {
            Ok(tally) => tally.figures(received),
            Err(error) => {
                tracing::error!(drop = %drop.definition.id, %error, "the orders' figures are left out of the report");
                TallyFigures::default()
            }
        },
        holds: HoldCounts {
            made: totals.made,
            expired: totals.expired,
            released: totals.released,
            claimed: totals.claimed.saturating_add(totals.late),
            late_claims: totals.late,
        },
        demand: drop.demand.as_ref().map(|demand| demand_totals(&demand.sums, &demand.by_tier, demand.customers)),
        ..Figures::default()
    };
    let buckets = drop.demand.iter().flat_map(|demand| demand.intervals.iter());
    Report {
        drop_id: drop.definition.id.to_string(),
        shop: drop.definition.shop.to_string(),
        series: drop.definition.series.as_ref().map(ToString::to_string).unwrap_or_default(),
        sale_over: drop.is_over,
        demand: buckets.map(|interval| bucket(interval, opened)).collect(),
        // A hold keeps neither tier nor zone, so what was sold to whom is not known by them.
        by_tier: Vec::new(),
        by_zone: Vec::new(),
        // Known by facts alone.
        cancellation_rate: None,
        chargeback_rate: None,
        ..figures.report()
    }
}

fn demand_totals(sums: &DemandSums, by_tier: &[(TierId, u64)], customers: u64) -> DemandTotals {
    let of = |reason: Reason| sums.refused.get(reason.place()).copied().unwrap_or_default();
    let given = Reason::ALL.into_iter().filter(|reason| of(*reason) > 0);
    let mut refused_by_tier: BTreeMap<String, u64> =
        by_tier.iter().map(|(tier, count)| (tier.to_string(), *count)).collect();
    let of_tiers = refused_by_tier.values().copied().fold(0, u64::saturating_add);
    refused_by_tier.insert(String::new(), sums.all_refused().saturating_sub(of_tiers));
    let by_limits = [Reason::LimitReached, Reason::TooManyHolds, Reason::Cooldown];
    DemandTotals {
        requests: sums.requests(),
        units_asked: sums.units_asked,
        refused_by_reason: given.map(|reason| (reason.label().to_owned(), of(reason))).collect(),
        refused_by_tier,
        stopped_by_limits: by_limits.into_iter().map(of).fold(0, u64::saturating_add),
        customers,
        peak_per_second: sums.peak,
        late_claims_refused: sums.late_refused,
        missing: sums.uncounted,
    }
}

/// An interval as it is seen from the opening.
fn bucket(interval: &Interval, opened: Timestamp) -> DemandBucket {
    let after = i64::from(interval.begins).saturating_sub(opened.seconds().into());
    let width = if (0..HOUR).contains(&after) { Millis(1_000) } else { Millis(60_000) };
    DemandBucket {
        after_open: after.saturating_mul(1_000),
        width,
        requests: interval.requests.into(),
        units_held: interval.units.into(),
    }
}

/// Adds what became known since a report was recorded: late claims, what came back, and facts.
pub(super) fn add_afterwards(report: &mut pb::DropReport, drop: &Measured, facts: FactTally) {
    let goods = || drop.definition.items.iter().zip(&drop.stock).filter(|(item, _)| item.slot.is_none());
    let pools = || goods().flat_map(|(_, pools)| pools);
    let returned = pools().map(|stock| stock.returned_total).fold(0, u64::saturating_add);
    let claimed = pools().map(|stock| stock.claimed).fold(0, u64::saturating_add).saturating_add(returned);
    report.units_claimed_late = claimed.saturating_sub(report.units_claimed);
    let figures = Figures {
        orders: TallyFigures {
            orders: report.orders,
            units_claimed: report.units_claimed,
            units_returned: report.units_returned,
            ..TallyFigures::default()
        },
        afterwards: Afterwards {
            units_returned_late: returned.saturating_sub(report.units_returned),
            units_claimed_late: report.units_claimed_late,
            orders_late: drop.totals.claimed.saturating_add(drop.totals.late).saturating_sub(report.orders),
            ..afterwards(facts)
        },
        ..Figures::default()
    };
    let Report {
        return_rate, cancellation_rate, chargeback_rate, nps, nps_answers, support_contact_rate, orders, ..
    } = figures.report();
    report.return_rate = return_rate;
    // Without any fact of the drop nobody reports them.
    let is_reported = facts != FactTally::default();
    report.cancellation_rate = cancellation_rate.filter(|_| is_reported);
    report.chargeback_rate = chargeback_rate.filter(|_| is_reported);
    (report.nps, report.nps_answers, report.support_contact_rate) = (nps, nps_answers, support_contact_rate);
    report.orders = orders;
}

/// What facts say.
fn afterwards(facts: FactTally) -> Afterwards {
    let FactTally { cancelled, chargebacks, returned_units, promoters, passives, detractors, support_contacts, .. } =
        facts;
    let small = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    Afterwards {
        units_returned_by_facts: returned_units,
        cancelled,
        charged_back: chargebacks,
        promoters: small(promoters),
        passives: small(passives),
        detractors: small(detractors),
        support_contacts: (facts != FactTally::default()).then_some(support_contacts),
        ..Afterwards::default()
    }
}
