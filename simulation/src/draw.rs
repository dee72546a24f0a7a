//! Draws requests of callers and operators.

use std::collections::BTreeMap;

use stockade_engine::command::Steer;
use stockade_types::definition::Scope;
use stockade_types::record::StockChange;

use crate::dice::Dice;
use crate::model::plan::Plan;
use crate::model::reserves::{Aim, Ask, Over};
use crate::model::rules::Rule;
use crate::model::state::{Model, ModelDrop};
use crate::model::stock::{Adjust, Reconcile};
use crate::model::updates::Update;
use crate::model::{HOUR, Shape, Units, Verb, Wanted};
use crate::plans::{self, SLOT};

/// Hold numbers that are drawn at random.
const HOLDS: u64 = 6;
/// Adjustment numbers that are drawn at random: few, so that some repeat.
const ADJUSTMENTS: u64 = 6;
/// Percent of the drops that have rules.
const WITH_RULES: u64 = 60;

pub fn shape(dice: &mut Dice) -> Shape {
    let limits = dice.below(4);
    let limits = (0..limits).map(|_| rule(dice)).collect();
    let units = |dice: &mut Dice| if dice.percent(33) { dice.below(4) } else { dice.between(4, 13) };
    if dice.percent(WITH_RULES) {
        let (units, plan) = plans::plan(dice, units);
        return Shape { units, limits, plan };
    }
    Shape { units: (0..3).map(|_| vec![units(dice)]).collect(), limits, plan: Plan::default() }
}

fn rule(dice: &mut Dice) -> Rule {
    let scope = dice.weighted(&[(2, Scope::Item), (3, Scope::Drop), (2, Scope::Series), (1, Scope::Shop)]);
    let skus: Vec<&'static str> = if dice.percent(30) {
        let all = ["A", "B", "C", "D"];
        let (one, other) = (dice.place(4), dice.place(4));
        all.into_iter().enumerate().filter(|(place, _)| *place == one || *place == other).map(|(_, sku)| sku).collect()
    } else {
        Vec::new()
    };
    let (by_card, mut max, gold) = (dice.percent(30), dice.units(80, 5), dice.units(25, 7));
    let (live_units, live_holds) = (dice.units(20, 4), dice.units(20, 2));
    let cooldown = dice.maybe(20, 1, 1_200);
    if max.is_none() && gold.is_none() && live_units.is_none() && live_holds.is_none() && cooldown.is_none() {
        max = Some(3);
    }
    let most = dice.weighted(&[(3, 2_500), (1, 3 * HOUR)]);
    let rolling = dice.maybe(40, 1, most).filter(|_| max.is_some() || gold.is_some());
    Rule { scope, skus, by_card, max, gold, live_units, live_holds, rolling, cooldown }
}

fn ttl(dice: &mut Dice) -> Option<u64> {
    dice.maybe(40, 1, 4_000)
}

/// Lines of up to `most` items among the first `items` of a drop; some name one of their pools.
fn lines(dice: &mut Dice, drop: &ModelDrop, (items, most): (usize, u64)) -> Units {
    let mut units = BTreeMap::new();
    for _ in 0..dice.between(u64::from(items > 3), most) {
        let item = dice.place(items);
        let pools = drop.pools.get(item).map_or(1, Vec::len);
        let named = dice.percent(if pools > 1 { 35 } else { 4 });
        // Rarely one that the item does not have.
        let pool = named.then(|| if dice.percent(3) { pools } else { dice.place(pools) });
        let pool = pool.map(|pool| u16::try_from(pool).expect("few"));
        units.insert((item, pool), u32::try_from(dice.between(1, 3)).expect("few"));
    }
    let line = |((item, pool), units)| Wanted { item, pool, units };
    units.into_iter().map(line).collect()
}

pub fn ask(dice: &mut Dice, model: &Model) -> Ask {
    let drop = dice.weighted(&[(3, 0), (1, 1)]);
    let known = &model.drops[drop];
    let mut lines = lines(dice, known, (4, 3));
    if known.plan.slot_required && dice.percent(60) || lines.iter().all(|line| known.plan.is_slot(line.item)) {
        // A visit with goods.
        lines.retain(|line| !known.plan.is_slot(line.item));
        for more in [(0, 1), (SLOT, 1)].map(Wanted::from) {
            if !lines.iter().any(|line| line.item == more.item) && (more.item == 0 || dice.percent(80)) {
                lines.push(more);
            }
        }
    }
    if dice.percent(50) {
        lines.reverse();
    }
    let ask = Ask {
        hold: dice.below(HOLDS),
        drop,
        customer: dice.weighted(&[(3, 0), (2, 1), (1, 2)]),
        lines,
        ttl: ttl(dice),
        cards: (1..4).filter(|_| dice.percent(33)).collect(),
        gold: dice.percent(50),
        zones: plans::ZONES.into_iter().filter(|_| dice.percent(40)).collect(),
        over: Over { limits: dice.percent(10), windows: dice.percent(6) },
        old: dice.maybe(40, 0, HOLDS - 1),
        partial: dice.percent(30),
        aim: dice.weighted(&[(9, Aim::Something), (1, Aim::Anything)]),
    };
    model.in_earnest(&ask)
}

pub fn verb(dice: &mut Dice, model: &Model) -> Verb {
    let drawn = dice.below(HOLDS);
    let hold = if dice.percent(97) { model.known(drawn) } else { drawn };
    let drop = &model.drops[model.drop_of(hold).unwrap_or(0)];
    match dice.below(13) {
        0 | 1 => Verb::Extend { hold, ttl: ttl(dice) },
        2 | 3 => Verb::Stage { hold, paying: dice.percent(50) },
        4..=6 => {
            let late = dice.percent(50);
            let hold = if late { model.expired().unwrap_or(hold) } else { hold };
            let order = u8::try_from(dice.below(2)).expect("small");
            let drop = &model.drops[model.drop_of(hold).unwrap_or(0)];
            let lines = if dice.percent(33) { lines(dice, drop, (3, 2)) } else { Vec::new() };
            Verb::Claim { hold, order, late, lines }
        }
        7..=9 => Verb::Release { hold, keep: lines(dice, drop, (3, 2)), abandon: dice.percent(50) },
        10 | 11 => Verb::Return { hold, returned: lines(dice, drop, (3, 2)), restock: dice.percent(50) },
        _ => Verb::Get { hold },
    }
}

pub fn update(dice: &mut Dice, drop: &ModelDrop) -> Update {
    if dice.percent(if drop.has_rules() { 50 } else { 4 }) {
        return Update::Plan(Box::new(plans::edited(dice, drop)));
    }
    match dice.below(8) {
        0 => Update::Ttl(dice.between(1, 3_000)),
        1 | 2 => Update::MaxUnits(u32::try_from(dice.below(6)).expect("few")),
        3 | 4 => {
            let rules = dice.below(4);
            Update::Limits((0..rules).map(|_| rule(dice)).collect())
        }
        5 => Update::Closes(dice.between(1, 20_000)),
        _ => Update::Add(dice.below(7)),
    }
}

pub fn adjust(dice: &mut Dice, model: &Model) -> Adjust {
    let (drop, item) = (dice.place(2), dice.place(4));
    let known = model.drops[drop].pools.get(item);
    let pools = known.map_or(0, Vec::len);
    let pool = (pools > 1 && dice.percent(70)).then(|| u16::try_from(dice.place(pools)).expect("few"));
    let usual = || model.drops[drop].plan.usual_pool(item, u16::try_from(pools).expect("few"));
    let at = usize::from(pool.unwrap_or_else(usual));
    let received = known.and_then(|pools| pools.get(at)).copied().unwrap_or(0);
    let by = i64::try_from(dice.below(4)).expect("few");
    let change = match dice.below(3) {
        0 => StockChange::Delta(by),
        1 => StockChange::Delta(-by),
        _ => {
            let units = (received + dice.below(4)).saturating_sub(2);
            StockChange::SetReceived { units, expected: received + u64::from(dice.percent(20)) }
        }
    };
    let number = if dice.percent(60) { dice.number() } else { dice.below(ADJUSTMENTS) };
    Adjust { drop, item, pool, number, change }
}

/// A count as of one of these records; what is on hand is drawn later.
pub fn reconcile(dice: &mut Dice, model: &Model, (first, last): (u64, u64)) -> Reconcile {
    let Adjust { drop, item, pool, number, .. } = adjust(dice, model);
    let dry_run = dice.percent(20);
    Reconcile { drop, item, pool, number, as_of: dice.between(first, last), on_hand: 0, dry_run }
}

pub fn steer(dice: &mut Dice) -> Steer {
    dice.weighted(&[(4, Steer::Pause), (6, Steer::Resume), (1, Steer::Close)])
}
