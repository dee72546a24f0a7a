//! Draws the rules of drops, and changes of them.

use stockade_types::definition::Conduct;

use crate::dice::Dice;
use crate::model::HOUR;
use crate::model::conduct::ConductPlan;
use crate::model::plan::{
    Crowd, Figure, Fires, ItemPlan, Plan, PoolPlan, PricePlan, Reach, Span, Stand, TranchePlan, When, WindowPlan,
};
use crate::model::rules::Rule;
use crate::model::state::ModelDrop;

/// The zones of customers.
pub const ZONES: [&str; 2] = ["mitte", "nord"];
/// The item that may be a pickup slot.
pub const SLOT: usize = 2;
/// Items at first.
const ITEMS: usize = 3;
/// Most pools of an item.
const POOLS: u64 = 3;
/// Most milliseconds between a drop's opening and what it schedules.
const SOON: u64 = 9_000;

/// Rules, and the units of each pool.
pub fn plan(dice: &mut Dice, units: impl Fn(&mut Dice) -> u64) -> (Vec<Vec<u64>>, Plan) {
    let opens = dice.maybe(25, 1, 3_000).unwrap_or(0);
    let closes = dice.maybe(20, 15_000, 40_000).map(|span| opens + span);
    let mut plan = Plan { opens, closes, ..Plan::default() };
    let with_slot = dice.percent(35);
    let mut stock = Vec::new();
    for item in 0..ITEMS {
        let slot = (with_slot && item == SLOT).then(|| {
            // Some only after the sale.
            let sale = plan.closes.filter(|_| dice.percent(60)).map_or(0, |closes| closes - plan.opens);
            let starts = sale + dice.between(1_000, SOON);
            (When::AfterOpening(starts), When::AfterOpening(starts + dice.between(1, 1_000)))
        });
        let pools = if slot.is_some() { 1 } else { dice.between(1, POOLS) };
        let of: Vec<u64> = (0..pools).map(|_| units(dice) / pools.min(2)).collect();
        stock.push(of);
        plan.items.push(ItemPlan { pools: Vec::new(), slot });
        if pools > 1 {
            plan.items[item].pools = self::pools(dice, &plan, u16::try_from(pools).expect("few"));
        }
    }
    plan.slot_required = with_slot && dice.percent(40);
    for _ in 0..dice.below(4) {
        let window = window(dice, &mut plan);
        plan.windows.push(window);
    }
    if !plan.windows.is_empty() && dice.percent(60) {
        // Everyone may come in the end.
        let starts = dice.percent(60).then(|| When::AfterOpening(dice.below(3_000)));
        let (crowd, reach) = (Crowd::default(), Reach::default());
        let (id, span) = (id(&mut plan), Span { starts, ends: None });
        plan.windows.push(WindowPlan { id, crowd, reach, span, ttl: None });
    }
    for _ in 0..dice.below(3) {
        let terms = terms(dice, &mut plan);
        plan.prices.push(terms);
    }
    if !plan.prices.is_empty() && dice.percent(70) {
        let terms = terms(dice, &mut plan);
        let (crowd, reach, span) = (Crowd::default(), Reach::default(), Span::default());
        plan.prices.push(PricePlan { crowd, reach, span, ..terms });
    }
    for _ in 0..dice.below(3) {
        let tranche = tranche(dice, &mut plan, &stock);
        plan.tranches.push(tranche);
    }
    if dice.percent(45) {
        for _ in 0..dice.between(1, 2) {
            let conduct = conduct(dice, &mut plan);
            plan.conduct.push(conduct);
        }
    }
    if plan.is_wrong(0, |_, _| None) {
        // Something is empty or lies outside: no drop could be made of it.
        return self::plan(dice, units);
    }
    (stock, plan)
}

/// The rules of a drop with one change.
pub fn edited(dice: &mut Dice, drop: &ModelDrop) -> Plan {
    let mut plan = drop.plan.clone();
    let windows = plan.windows.len();
    match dice.below(16) {
        0 | 1 if windows > 0 => {
            let window = dice.place(windows);
            plan.windows[window].span.starts = dice.percent(80).then(|| when(dice, &plan));
        }
        2 if windows > 0 => {
            let window = dice.place(windows);
            plan.windows[window].span.ends = dice.percent(60).then(|| when(dice, &plan));
        }
        3 if windows > 0 => {
            let window = dice.place(windows);
            plan.windows[window].ttl = dice.maybe(70, 300, 3_000);
        }
        4 if windows > 0 => {
            plan.windows.remove(dice.place(windows));
        }
        5 if windows < 5 => {
            let window = window(dice, &mut plan);
            plan.windows.insert(dice.place(windows + 1), window);
        }
        6 if !plan.prices.is_empty() => {
            plan.prices.remove(dice.place(plan.prices.len()));
        }
        7 | 8 if !plan.prices.is_empty() => {
            let terms = dice.place(plan.prices.len());
            let steps = steps(dice, &plan);
            let terms = &mut plan.prices[terms];
            match dice.below(3) {
                0 => terms.price = price(dice),
                1 => terms.steps = steps,
                _ => terms.steps.extend(steps.into_iter().take(1)),
            }
        }
        9 if plan.prices.len() < 5 => {
            let terms = terms(dice, &mut plan);
            plan.prices.insert(dice.place(plan.prices.len() + 1), terms);
        }
        10 if !plan.tranches.is_empty() && dice.percent(60) => {
            let tranche = dice.place(plan.tranches.len());
            if dice.percent(50) {
                plan.tranches.remove(tranche);
            } else {
                plan.tranches[tranche].units = dice.between(1, 4);
            }
        }
        10 if plan.tranches.len() < 4 => {
            let tranche = tranche(dice, &mut plan, &drop.pools);
            plan.tranches.push(tranche);
        }
        11 | 12 => edit_pools(dice, &mut plan),
        13 if !plan.conduct.is_empty() => {
            plan.conduct.remove(dice.place(plan.conduct.len()));
        }
        14 if plan.conduct.len() < 4 => {
            let conduct = conduct(dice, &mut plan);
            plan.conduct.push(conduct);
        }
        _ => plan.slot_required = plan.is_slot(SLOT) && dice.percent(50),
    }
    plan
}

/// A rule of conduct, by customer or by card.
fn conduct(dice: &mut Dice, plan: &mut Plan) -> ConductPlan {
    let ttl = dice.maybe(50, 100, 1_200);
    let (by_card, cooldown) = (dice.percent(25), dice.maybe(20, 1, 1_200));
    let (max, live_units) = (dice.units(35, 4), dice.units(30, 3));
    let max = if ttl.is_none() && cooldown.is_none() && live_units.is_none() { max.or(Some(2)) } else { max };
    ConductPlan {
        id: id(plan),
        counts: dice.weighted(&[(3, Conduct::UnclaimedHolds), (2, Conduct::Returns)]),
        at_least: dice.weighted(&[(4, 1), (2, 2), (1, 3)]),
        within: dice.weighted(&[(2, 3_000), (2, 20_000), (1, 3 * HOUR)]),
        crowd: crowd(dice, 60),
        ttl,
        bounds: Rule { by_card, max, live_units, cooldown, ..Rule::plain(0) },
    }
}

fn edit_pools(dice: &mut Dice, plan: &mut Plan) {
    let item = dice.place(ITEMS);
    let pools = plan.items.get(item).map_or(0, |item| item.pools.len());
    if pools < 2 {
        return;
    }
    let pool = dice.place(pools);
    let of = self::pools(dice, plan, u16::try_from(pools).expect("few")).swap_remove(pool);
    let known = &mut plan.items[item].pools[pool];
    if dice.percent(50) { known.crowd = of.crowd } else { known.flows = of.flows }
}

/// A new id.
fn id(plan: &mut Plan) -> u8 {
    plan.next += 1;
    plan.next
}

fn when(dice: &mut Dice, plan: &Plan) -> When {
    let span = dice.below(SOON);
    match dice.below(10) {
        0..=2 => When::At(plan.opens + span),
        3 | 4 if plan.closes.is_some() => When::BeforeClosing(span + dice.below(SOON)),
        _ => When::AfterOpening(span),
    }
}

fn span(dice: &mut Dice, plan: &Plan) -> Span {
    let starts = dice.percent(60).then(|| when(dice, plan));
    let ends = dice.percent(45).then(|| match starts {
        Some(When::AfterOpening(starts)) => When::AfterOpening(starts + dice.between(500, SOON)),
        Some(When::At(starts)) => When::At(starts + dice.between(500, SOON)),
        Some(When::BeforeClosing(starts)) => When::BeforeClosing(dice.below(starts + 1)),
        None => when(dice, plan),
    });
    Span { starts, ends }
}

fn crowd(dice: &mut Dice, everyone: u64) -> Crowd {
    if dice.percent(everyone) {
        return Crowd::default();
    }
    let tiers = dice.weighted(&[(2, &[][..]), (4, &["gold"][..]), (1, &["black"][..]), (2, &["black", "gold"][..])]);
    let zones = dice.weighted(&[(4, &[][..]), (2, &ZONES[..1]), (1, &ZONES[1..]), (1, &ZONES[..])]);
    Crowd { tiers: tiers.to_vec(), zones: zones.to_vec() }
}

fn reach(dice: &mut Dice) -> Reach {
    let items = if dice.percent(30) { (0..ITEMS).filter(|_| dice.percent(60)).collect() } else { Vec::new() };
    let pools = if dice.percent(25) { (0..3).filter(|_| dice.percent(60)).collect() } else { Vec::new() };
    Reach { items, pools }
}

fn window(dice: &mut Dice, plan: &mut Plan) -> WindowPlan {
    let (crowd, reach, span) = (crowd(dice, 30), reach(dice), span(dice, plan));
    WindowPlan { id: id(plan), crowd, reach, span, ttl: dice.maybe(40, 300, 3_000) }
}

fn price(dice: &mut Dice) -> i64 {
    100 * i64::try_from(dice.between(5, 12)).expect("small")
}

fn steps(dice: &mut Dice, plan: &Plan) -> Vec<(Fires, i64)> {
    (0..dice.below(3)).map(|_| (fires(dice, plan), price(dice))).collect()
}

fn terms(dice: &mut Dice, plan: &mut Plan) -> PricePlan {
    let (crowd, reach, span) = (crowd(dice, 50), reach(dice), span(dice, plan));
    PricePlan { id: id(plan), crowd, reach, span, price: price(dice), steps: steps(dice, plan) }
}

fn fires(dice: &mut Dice, plan: &Plan) -> Fires {
    if dice.percent(45) {
        return Fires::When(when(dice, plan));
    }
    let share = |dice: &mut Dice| u32::try_from(dice.between(500, 9_000)).expect("small");
    let figure = match dice.below(3) {
        0 => Figure::FreeAtMost(dice.below(4)),
        1 => Figure::Sold(share(dice) / 3 + 1),
        _ => Figure::Taken(share(dice)),
    };
    let item = dice.percent(50).then(|| dice.place(ITEMS));
    let pool = dice.percent(25).then(|| u16::try_from(dice.below(2)).expect("few"));
    Fires::Level(Stand { item, pool, figure })
}

fn tranche(dice: &mut Dice, plan: &mut Plan, stock: &[Vec<u64>]) -> TranchePlan {
    let item = dice.place(ITEMS);
    let pool = dice.percent(50).then(|| u16::try_from(dice.place(stock[item].len())).expect("few"));
    TranchePlan { id: id(plan), item, pool, units: dice.between(1, 4), fires: fires(dice, plan) }
}

/// So many pools of an item: some for members, some to pick up from, most with flows; one or none has the rest.
fn pools(dice: &mut Dice, plan: &Plan, pools: u16) -> Vec<PoolPlan> {
    let rest = dice.weighted(&[(5, Some(pools - 1)), (2, Some(0)), (1, None)]);
    let pool = |pool: u16| {
        let mut flows = Vec::new();
        for to in (0..pools).filter(|to| *to != pool) {
            if dice.percent(45) {
                flows.push((to, dice.percent(75).then(|| fires(dice, plan))));
            }
        }
        let crowd = crowd(dice, if Some(pool) == rest { 75 } else { 30 });
        PoolPlan { is_sized: Some(pool) != rest, crowd, is_place: dice.percent(15), flows }
    };
    (0..pools).map(pool).collect()
}
