//! All counts of a drop, and what follows from them: measures and the report. Each rate is defined here once.

use stockade_types::time::{Millis, Timestamp};

use super::demand::DemandTotals;
use super::measure::{MEASURES, Measure, Ratio};
use super::tally::TallyFigures;
use super::{Report, Share};

/// Demand's figures are left out where counts of more than this part of the sale were lost.
const MISSING_PART: u64 = 100;

/// What was counted of the stock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SaleCounts {
    /// Units received.
    pub units_received: u64,
    /// Units taken out again by the shop.
    pub units_withdrawn: u64,
    /// When first nothing was free.
    pub first_sold_out: Option<Timestamp>,
    /// How often nothing was free.
    pub times_sold_out: u32,
}

/// What was counted of holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HoldCounts {
    /// Holds that were made.
    pub made: u64,
    /// Holds that expired, those that were claimed late among them.
    pub expired: u64,
    /// Holds that were released whole.
    pub released: u64,
    /// Holds that were claimed, late ones among them.
    pub claimed: u64,
    /// Claims after the deadline that were served.
    pub late_claims: u64,
}

/// What became known afterwards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Afterwards {
    /// Units that came back after the sale, by `ReturnUnits`.
    pub units_returned_late: u64,
    /// Units that came back by facts.
    pub units_returned_by_facts: u64,
    /// Orders cancelled.
    pub cancelled: u64,
    /// Orders charged back.
    pub charged_back: u64,
    /// Answers of 9 and 10.
    pub promoters: u32,
    /// Answers of 7 and 8.
    pub passives: u32,
    /// Answers of 0 to 6.
    pub detractors: u32,
    /// Contacts to the support; nothing where no fact of them was ever recorded.
    pub support_contacts: Option<u64>,
    /// Units claimed after the sale was over,
    pub units_claimed_late: u64,
    /// and their orders.
    pub orders_late: u64,
}

/// All counts of a drop.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// Its opening.
    pub opens_at: Timestamp,
    /// Its end; nothing while it runs.
    pub closed_at: Option<Timestamp>,
    /// When it was counted.
    pub as_of: Timestamp,
    /// Of stock.
    pub sale: SaleCounts,
    /// Of orders until the sale was over.
    pub orders: TallyFigures,
    /// Of holds.
    pub holds: HoldCounts,
    /// Of demand; nothing where it was not counted.
    pub demand: Option<DemandTotals>,
    /// Of what came afterwards.
    pub afterwards: Afterwards,
}

impl Figures {
    /// Demand, unless too much of it was lost.
    fn known_demand(&self) -> Option<&DemandTotals> {
        let sale = self.opens_at.until(self.closed_at.unwrap_or(self.as_of));
        let is_known = |demand: &&DemandTotals| demand.missing.0.saturating_mul(MISSING_PART) <= sale.0;
        self.demand.as_ref().filter(is_known)
    }

    /// All orders, late ones among them.
    #[must_use]
    pub const fn all_orders(&self) -> u64 {
        self.orders.orders.saturating_add(self.afterwards.orders_late)
    }

    /// A measure as a ratio; nothing where it is not known.
    #[must_use]
    pub fn ratio(&self, measure: Measure) -> Option<Ratio> {
        let Afterwards { cancelled, charged_back, support_contacts, .. } = self.afterwards;
        let orders = self.all_orders();
        match measure {
            Measure::Top1PercentShare => self.orders.top_1_percent,
            Measure::AbandonmentRate => self.abandonment(),
            Measure::ReturnRate => self.returns(),
            Measure::CancellationRate => Ratio::of(cancelled, orders),
            Measure::ChargebackRate => Ratio::of(charged_back, orders),
            Measure::RepeatFraction => Ratio::of(self.orders.repeat_buyers, self.orders.buyers),
            Measure::Nps => self.nps(),
            Measure::SupportContactRate => Ratio::of(support_contacts?, orders),
            Measure::SellThrough => self.sell_through(),
            Measure::DemandToStock => self.demand_to_stock(),
            Measure::LateClaimsRefused => {
                let refused = self.known_demand()?.late_claims_refused;
                Ratio::of(refused, self.holds.claimed.saturating_add(refused))
            }
        }
    }

    /// All measures, in the order of their numbers.
    #[must_use]
    pub fn ratios(&self) -> [Option<Ratio>; MEASURES.len()] {
        MEASURES.map(|measure| self.ratio(measure))
    }

    fn abandonment(&self) -> Option<Ratio> {
        let HoldCounts { made: _, expired, released, claimed, late_claims } = self.holds;
        let abandoned = expired.saturating_sub(late_claims).saturating_add(released);
        Ratio::of(abandoned, abandoned.saturating_add(claimed))
    }

    fn returns(&self) -> Option<Ratio> {
        let after = &self.afterwards;
        let later = after.units_returned_late.saturating_add(after.units_returned_by_facts);
        let claimed = self.orders.units_claimed.saturating_add(after.units_claimed_late);
        Ratio::of(self.orders.units_returned.saturating_add(later), claimed)
    }

    fn nps(&self) -> Option<Ratio> {
        let Afterwards { promoters, detractors, .. } = self.afterwards;
        let answers = u128::from(self.answers());
        let part = i128::from(promoters).checked_sub(i128::from(detractors))?;
        (answers > 0).then_some(Ratio { part, whole: answers })
    }

    const fn answers(&self) -> u32 {
        let Afterwards { promoters, passives, detractors, .. } = self.afterwards;
        promoters.saturating_add(passives).saturating_add(detractors)
    }

    fn sell_through(&self) -> Option<Ratio> {
        let SaleCounts { units_received, units_withdrawn, .. } = self.sale;
        let sold = self.orders.units_claimed.saturating_sub(self.orders.units_returned);
        Ratio::of(sold, units_received.saturating_sub(units_withdrawn))
    }

    fn demand_to_stock(&self) -> Option<Ratio> {
        let demand = self.known_demand()?;
        let part = i128::from(demand.customers).checked_mul(i128::from(demand.units_asked))?;
        let whole = u128::from(demand.requests).checked_mul(u128::from(self.sale.units_received))?;
        (whole > 0).then_some(Ratio { part, whole })
    }

    /// The report, without names, buckets and findings, which the caller has.
    #[must_use]
    pub fn report(&self) -> Report {
        let points = |measure: Measure| {
            let value = self.ratio(measure).and_then(|ratio| measure.value(ratio))?;
            Some(u32::try_from(value.max(0)).unwrap_or(u32::MAX))
        };
        let orders = self.orders.clone();
        let mut report = Report {
            opens_at: self.opens_at,
            as_of: self.as_of,
            units_received: self.sale.units_received,
            units_claimed: orders.units_claimed,
            units_returned: orders.units_returned,
            sell_through: points(Measure::SellThrough),
            time_to_half: orders.time_to_half,
            time_to_sold_out: self.sale.first_sold_out.map(|at| self.opens_at.until(at)),
            times_sold_out: self.sale.times_sold_out,
            holds: self.holds.made,
            holds_expired: self.holds.expired,
            abandonment_rate: points(Measure::AbandonmentRate),
            late_claims: self.holds.late_claims,
            median_time_to_claim: orders.median_time_to_claim,
            buyers: orders.buyers,
            top_1_percent_share: points(Measure::Top1PercentShare),
            gini: orders.gini,
            by_tier: orders.by_tier,
            by_zone: orders.by_zone,
            by_window: orders.by_window,
            by_pool: orders.by_pool,
            money: orders.money,
            repeat_fraction: points(Measure::RepeatFraction),
            return_rate: points(Measure::ReturnRate),
            cancellation_rate: points(Measure::CancellationRate),
            chargeback_rate: points(Measure::ChargebackRate),
            nps: self.ratio(Measure::Nps).and_then(|ratio| i32::try_from(Measure::Nps.value(ratio)?).ok()),
            nps_answers: self.answers(),
            support_contact_rate: points(Measure::SupportContactRate),
            orders: self.all_orders(),
            units_claimed_late: self.afterwards.units_claimed_late,
            demand_missing: self.demand.as_ref().map(|demand| demand.missing).filter(|missing| *missing > Millis(0)),
            ..Report::default()
        };
        if let Some(demand) = self.known_demand() {
            show_demand(demand, &mut report);
            report.demand_to_stock = points(Measure::DemandToStock);
        }
        report
    }
}

fn show_demand(demand: &DemandTotals, report: &mut Report) {
    report.requests = Some(demand.requests);
    report.refused = Some(demand.refused_by_reason.values().fold(0, |sum: u64, refused| sum.saturating_add(*refused)));
    report.refused_by_reason = demand.refused_by_reason.clone();
    report.customers = Some(demand.customers);
    report.peak_per_second = Some(demand.peak_per_second);
    report.units_asked = Some(demand.units_asked);
    report.stopped_by_limits = Some(demand.stopped_by_limits);
    report.late_claims_refused = Some(demand.late_claims_refused);
    for share in &mut report.by_tier {
        share.refused = Some(demand.refused_by_tier.get(&share.id).copied().unwrap_or(0));
    }
    // Tiers that were refused and claimed nothing have a share, too.
    for (tier, refused) in &demand.refused_by_tier {
        if report.by_tier.iter().all(|share| share.id != *tier) {
            let share = Share { id: tier.clone(), refused: Some(*refused), ..Share::default() };
            report.by_tier.push(share);
        }
    }
}
