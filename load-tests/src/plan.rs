//! What the visits of a scenario are. Each depends on the scenario's seed and the visit's number alone, so that each run
//! has the same requests.

use stockade_drill::customers::{Fate, Plan, Think};
use stockade_drill::wire::hold_id;

use crate::scenario::{Crowd, Scenario};

/// The visit with this number; `customer` tells a crowd's customer who comes next. None if the scenario has no crowds,
/// which its check excludes.
#[must_use]
pub fn plan(scenario: &Scenario, number: u64, next: impl Fn(u16) -> u64) -> Option<Plan> {
    let mut random = fastrand::Rng::with_seed(scenario.load.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let (place_of_crowd, crowd) = crowd(scenario, &mut random)?;
    let sales = scenario.drops.iter().enumerate();
    let theirs: Vec<usize> = sales
        .filter(|(_, sale)| crowd.drops.is_empty() || crowd.drops.contains(&sale.id))
        .map(|(place, _)| place)
        .collect();
    let drop = *theirs.get(random.usize(..theirs.len().max(1)))?;
    let goods = &scenario.drops.get(drop)?.items;
    let item = |sku: &str| goods.iter().position(|goods| goods.sku == sku).and_then(|item| u16::try_from(item).ok());
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
    let place = u16::try_from(place_of_crowd).ok()?;
    // Customers come in turn.
    let turn = next(place).checked_rem(crowd.customers).unwrap_or(0);
    Some(Plan {
        crowd: place,
        turn,
        customer: format!("c{place}-{turn}"),
        drop: u16::try_from(drop).ok()?,
        lines,
        hold: hold_id(&mut random),
        ttl: crowd.ttl.map(|ttl| ttl.0),
        repeats: false,
        extends: random.f64() < crowd.extend,
        // `pay` is a part of all customers but only buyers pay, so among buyers the chance is `pay / claim`.
        pays: fate == Fate::Buys && random.f64() * crowd.claim < crowd.pay,
        fate,
        again: crowd.again,
        again_after: crowd.again_after.0,
        think: Think::between(least.0, most.0, random),
    })
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
    use stockade_drill::numbers::{count, real};

    use super::*;

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
        (0..40_000).filter_map(|number| plan(&scenario, number, |_crowd| number)).collect()
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
        let plan = |number| plan(&scenario, number, |_crowd| number).expect("a plan");
        assert_eq!((plan(7).hold, plan(7).think.thought()), (plan(7).hold, plan(7).think.thought()));
        assert_ne!(plan(7).hold, plan(8).hold);
        let bot = plans().iter().position(|plan| plan.crowd == 1).expect("a bot");
        let bot = u64::try_from(bot).expect("few");
        let names = [0, 4, 5].map(|coming| super::plan(&scenario, bot, |_crowd| coming).expect("a plan").customer);
        assert_eq!(names, ["c1-0", "c1-4", "c1-0"], "they start over");
    }
}
