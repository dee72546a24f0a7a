//! What one customer wants and does. It depends on the scenario's seed and the visit's number alone, so that each run
//! has the same requests.

use std::time::Duration;

use uuid::Uuid;

use crate::numbers::micros;
use crate::scenario::{Crowd, Scenario};
use crate::wire::hold_id;

/// How a visit ends that got units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The units are sold.
    Buys,
    /// The units are released.
    GivesBack,
    /// The hold expires.
    WalksAway,
}

/// One visit.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The crowd, by its place in the scenario.
    pub crowd: u16,
    /// The drop, by its place in the scenario.
    pub drop: u16,
    /// Items by their place in the drop, and units.
    pub lines: Vec<(u16, u32)>,
    /// The hold's id.
    pub hold: Uuid,
    /// A ttl of the customer's own.
    pub ttl: Option<Duration>,
    /// Whether the customer asks for more time.
    pub extends: bool,
    /// Whether the hold goes into payment before the sale.
    pub pays: bool,
    /// How it ends.
    pub fate: Fate,
    /// How often the customer comes again.
    pub again: u16,
    /// How long after a refusal.
    pub again_after: Duration,
    think: (Duration, Duration),
    random: fastrand::Rng,
}

impl Plan {
    /// The visit with this number. None if the scenario has no crowds, which its check excludes.
    #[must_use]
    pub fn of(scenario: &Scenario, number: u64) -> Option<Self> {
        let mut random = fastrand::Rng::with_seed(scenario.load.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (place_of_crowd, crowd) = crowd(scenario, &mut random)?;
        let sales = scenario.drops.iter().enumerate();
        let theirs: Vec<usize> = sales
            .filter(|(_, sale)| crowd.drops.is_empty() || crowd.drops.contains(&sale.id))
            .map(|(place, _)| place)
            .collect();
        let drop = *theirs.get(random.usize(..theirs.len().max(1)))?;
        let goods = &scenario.drops.get(drop)?.items;
        let item =
            |sku: &str| goods.iter().position(|goods| goods.sku == sku).and_then(|item| u16::try_from(item).ok());
        let mut lines: Vec<(u16, u32)> = Vec::with_capacity(crowd.cart.len());
        for want in &crowd.cart {
            if random.f64() < want.chance {
                lines.push((item(&want.sku)?, want.units));
            }
        }
        if lines.is_empty() {
            let first = crowd.cart.first()?;
            lines.push((item(&first.sku)?, first.units));
        }
        let end = random.f64();
        let fate = match end {
            end if end < crowd.claim => Fate::Buys,
            end if end < crowd.claim + crowd.release => Fate::GivesBack,
            _ => Fate::WalksAway,
        };
        let (least, most) = crowd.think.unwrap_or_default();
        Some(Self {
            crowd: u16::try_from(place_of_crowd).ok()?,
            drop: u16::try_from(drop).ok()?,
            lines,
            hold: hold_id(&mut random),
            ttl: crowd.ttl.map(|ttl| ttl.0),
            extends: random.f64() < crowd.extend,
            // `pay` is a part of all customers but only buyers pay, so among buyers the chance is `pay / claim`.
            pays: fate == Fate::Buys && random.f64() * crowd.claim < crowd.pay,
            fate,
            again: crowd.again,
            again_after: crowd.again_after.0,
            think: (least.0, most.0),
            random,
        })
    }

    /// The customer of the crowd's visit number `come`: customers come in turn.
    #[must_use]
    pub fn turn(&self, scenario: &Scenario, coming: u64) -> u64 {
        let customers = scenario.crowds.get(usize::from(self.crowd)).map_or(1, |crowd| crowd.customers);
        coming.checked_rem(customers).unwrap_or(0)
    }

    /// That customer's id.
    #[must_use]
    pub fn customer(&self, turn: u64) -> String {
        format!("c{}-{turn}", self.crowd)
    }

    /// How long the customer thinks before the next step.
    pub fn thought(&mut self) -> Duration {
        let (least, most) = (micros(self.think.0), micros(self.think.1));
        Duration::from_micros(self.random.u64(least..=most.max(least)))
    }
}

/// Draws a crowd by the crowds' shares.
fn crowd<'s>(scenario: &'s Scenario, random: &mut fastrand::Rng) -> Option<(usize, &'s Crowd)> {
    let all: f64 = scenario.crowds.iter().map(|crowd| crowd.share).sum();
    let mut at = random.f64() * all;
    for (place, crowd) in scenario.crowds.iter().enumerate() {
        if at < crowd.share {
            return Some((place, crowd));
        }
        at -= crowd.share;
    }
    // Rounding may leave a remainder: it goes to the last crowd that has a share.
    scenario.crowds.iter().enumerate().rfind(|(_, crowd)| crowd.share > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::{count, real};

    const TEXT: &str = r#"
title = "t"
drops = [{ id = "d", items = [{ sku = "A", units = 1 }, { sku = "B", units = 1 }] }, { id = "e", items = [{ sku = "A", units = 1 }] }]
load = { arrivals = [{ shape = "herd", count = 1 }] }
crowds = [
    { name = "people", share = 3, customers = 10, drops = ["d"], cart = [{ sku = "A", units = 2 }, { sku = "B", chance = 0.25 }], claim = 0.5, pay = 0.25, release = 0.2, think = ["1s", "2s"] },
    { name = "bots", share = 1, customers = 5, cart = [{ sku = "A" }], again = 3, ttl = "7s" },
]
"#;

    fn plans() -> Vec<Plan> {
        let scenario = Scenario::parse(TEXT).expect("sound");
        (0..40_000).filter_map(|number| Plan::of(&scenario, number)).collect()
    }

    #[test]
    fn the_parts_are_as_the_scenario_says() {
        let plans = plans();
        let (bots, people): (Vec<&Plan>, Vec<&Plan>) = plans.iter().partition(|plan| plan.crowd == 1);
        let part = |some: usize, all: usize, wanted: f64| {
            let part = real(count(some)) / real(count(all));
            assert!((part - wanted).abs() < 0.02, "{part} for {wanted}");
        };
        part(bots.len(), plans.len(), 0.25);
        let of = |fate| people.iter().filter(|plan| plan.fate == fate).count();
        part(of(Fate::Buys), people.len(), 0.5);
        part(of(Fate::GivesBack), people.len(), 0.2);
        part(people.iter().filter(|plan| plan.pays).count(), people.len(), 0.25);
        part(people.iter().filter(|plan| plan.lines == [(0, 2), (1, 1)]).count(), people.len(), 0.25);
        part(bots.iter().filter(|plan| plan.drop == 1).count(), bots.len(), 0.5);
        assert!(people.iter().all(|plan| plan.drop == 0 && (plan.fate == Fate::Buys || !plan.pays)));
        assert!(bots.iter().all(|plan| plan.fate == Fate::WalksAway && plan.again == 3));
    }

    #[test]
    fn each_run_is_the_same_rush_and_customers_come_in_turn() {
        let scenario = Scenario::parse(TEXT).expect("sound");
        let plan = |number| Plan::of(&scenario, number).expect("a plan");
        assert_eq!((plan(7).hold, plan(7).thought()), (plan(7).hold, plan(7).thought()));
        assert_ne!(plan(7).hold, plan(8).hold);
        let bot = plans().into_iter().find(|plan| plan.crowd == 1).expect("a bot");
        let names = [0, 4, 5].map(|coming| bot.customer(bot.turn(&scenario, coming)));
        assert_eq!(names, ["c1-0", "c1-4", "c1-0"], "they start over");
    }
}
