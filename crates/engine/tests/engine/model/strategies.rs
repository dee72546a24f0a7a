//! Random acts on the naive model.

use proptest::prelude::*;
use stockade_simulation::model::reserves::{Aim, Ask, Over};
use stockade_simulation::model::rules::Rule;
use stockade_simulation::model::stock::Adjust;
use stockade_simulation::model::updates::Update;
use stockade_simulation::model::{HOUR, Wanted};
use stockade_simulation::prelude::*;

use super::HOLDS;

pub fn rule() -> impl Strategy<Value = Rule> {
    let scope =
        prop_oneof![2 => Just(Scope::Item), 3 => Just(Scope::Drop), 2 => Just(Scope::Series), 1 => Just(Scope::Shop)];
    let skus = prop::option::weighted(0.3, prop::sample::subsequence(vec!["A", "B", "C", "D"], 1..=2));
    let maybe = |chance, most| prop::option::weighted(chance, 0_u32..most);
    let live = (maybe(0.2, 5), maybe(0.2, 3));
    let span = |chance, most| prop::option::weighted(chance, 1_u64..most);
    let times = (prop_oneof![3 => span(0.4, 2_500), 1 => span(0.4, 3 * HOUR)], span(0.2, 1_200));
    let units = (maybe(0.8, 6), maybe(0.25, 8));
    let whose = (scope, skus, prop::bool::weighted(0.3));
    (whose, units, live, times).prop_map(|((scope, skus, by_card), (max, gold), live, (rolling, cooldown))| {
        let bounds = max.is_some() || gold.is_some() || live != (None, None) || cooldown.is_some();
        let max = if bounds { max } else { Some(3) };
        let rolling = rolling.filter(|_| max.is_some() || gold.is_some());
        let skus = skus.unwrap_or_default();
        Rule { scope, skus, by_card, max, gold, live_units: live.0, live_holds: live.1, rolling, cooldown }
    })
}

pub fn ttls() -> impl Strategy<Value = Option<u64>> {
    prop::option::weighted(0.4, 1_u64..4_000)
}

pub fn asks() -> impl Strategy<Value = Ask> {
    // The last item does not exist at first.
    let item = prop_oneof![5 => Just(0_usize), 3 => Just(1), 2 => Just(2), 1 => Just(3)];
    let lines = prop::collection::btree_map(item, 1_u32..4, 1..=3);
    let lines = lines.prop_map(|map| map.into_iter().collect::<Vec<_>>()).prop_shuffle();
    let customer = prop_oneof![3 => Just(0_usize), 2 => Just(1), 1 => Just(2)];
    let cards = prop::collection::btree_set(1_u8..4, 0..=2);
    let who = (customer, cards, any::<bool>(), prop::bool::weighted(0.1));
    let aim = prop_oneof![9 => Just(Aim::Something), 1 => Just(Aim::Anything)];
    let manner = (ttls(), prop::option::weighted(0.4, 0..HOLDS), prop::bool::weighted(0.3), aim);
    let drop = prop_oneof![3 => Just(0_usize), 1 => Just(1)];
    (0..HOLDS, drop, who, lines, manner).prop_map(|(hold, drop, who, lines, (ttl, old, partial, aim))| {
        let (customer, cards, gold, over) = who;
        let (cards, lines) = (cards.into_iter().collect(), lines.into_iter().map(Wanted::from).collect());
        let (zones, over) = (Vec::new(), Over { limits: over, windows: false });
        Ask { hold, drop, customer, lines, ttl, cards, gold, zones, over, old, partial, aim }
    })
}

pub fn adjusts() -> impl Strategy<Value = Adjust> {
    let units = || 0_u64..20;
    let change = prop_oneof![
        4 => (-3_i64..4).prop_map(StockChange::Delta),
        1 => (units(), units()).prop_map(|(expected, units)| StockChange::SetReceived { expected, units }),
    ];
    let which = (0_usize..2, 0_usize..4, prop::option::weighted(0.7, 0_u16..3), 0_u64..8);
    (which, change).prop_map(|((drop, item, pool, number), change)| Adjust { drop, item, pool, number, change })
}

pub fn updates() -> impl Strategy<Value = Update> {
    prop_oneof![
        1 => (1_u64..3_000).prop_map(Update::Ttl),
        2 => (0_u32..6).prop_map(Update::MaxUnits),
        2 => prop::collection::vec(rule(), 0..=3).prop_map(Update::Limits),
        1 => (1_u64..20_000).prop_map(Update::Closes),
        2 => (0_u64..7).prop_map(Update::Add),
    ]
}
