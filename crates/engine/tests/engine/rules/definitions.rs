//! Drops with rules, and changes of these.

use stockade_types::definition::{
    Audience, Band, Currency, Definition, Flow, Item, Level, Moment, Money, Named, Pool, PoolSize, PriceStep,
    PriceTerms, Scarcity, Slot, StockLevel, Tranche, Trigger, Window,
};
use stockade_types::time::{Millis, Timestamp};

use stockade_simulation::world::{START, definition, sku};

fn id<T: for<'t> TryFrom<&'t str>>(text: &str) -> T {
    T::try_from(text).ok().expect("an id")
}

/// A moment `seconds` after the opening.
pub fn after(seconds: i64) -> Moment {
    Named::AfterOpening(seconds * 1_000).into()
}

pub fn at_moment(seconds: i64) -> Trigger {
    Trigger::Moment(after(seconds))
}

/// A level of the item's or the drop's stock.
pub const fn at_level(level: Level) -> Trigger {
    Trigger::Stock(StockLevel { sku: None, pool: None, level })
}

pub fn euros(cents: i64) -> Money {
    Money { currency: Currency::of("EUR").expect("a code"), minor_units: cents }
}

/// `tier,…@zone,…`.
pub fn audience(text: &str) -> Audience {
    let (tiers, zones) = text.split_once('@').unwrap_or((text, ""));
    let named = |text: &str| text.split(',').filter(|id| !id.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    Audience {
        tiers: named(tiers).iter().map(|tier| id(tier)).collect(),
        zones: named(zones).iter().map(|zone| id(zone)).collect(),
    }
}

/// A drop that opens 10 s after the start and closes after an hour, with these items; each has one pool of its units.
pub fn sale(items: &[(&str, u64)]) -> Definition {
    let mut sale = definition("d", items, &[]);
    sale.schedule.opens_at = Some(START.plus(Millis::from_secs(10)));
    sale.schedule.closes_at = Some(START.plus(Millis::from_secs(3_610)));
    sale
}

pub fn pool(name: &str, units: u64, whose: &str) -> Pool {
    Pool { size: PoolSize::Units, audience: audience(whose), ..Pool::plain(id(name), units) }
}

pub fn flow(to: &str, when: Option<Trigger>) -> Flow {
    Flow { to: id(to), when }
}

/// 3 units for members and 5 for everyone; the members' open to all by this trigger.
pub fn members(when: Option<Trigger>) -> Definition {
    let mut sale = sale(&[("A", 0)]);
    let members = Pool { flows: vec![flow("general", when)], ..pool("members", 3, "gold") };
    sale.items = vec![Item::plain(sku("A"), vec![members, Pool::plain(id("general"), 5)])];
    sale
}

pub fn window(name: &str, whose: &str, starts: Option<i64>, ends: Option<i64>) -> Window {
    Window {
        id: id(name),
        audience: audience(whose),
        skus: Vec::new(),
        pools: Vec::new(),
        starts: starts.map(after),
        ends: ends.map(after),
        hold_ttl: None,
    }
}

/// Members from the opening on, with holds of 600 s; the neighbourhood 60 s later; all others after 120 s.
pub fn windows() -> Definition {
    let mut sale = sale(&[("A", 5), ("B", 5)]);
    sale.terms.max_hold_life = Millis::from_secs(1_200);
    sale.rules.windows = vec![
        Window { hold_ttl: Some(Millis::from_secs(600)), ..window("members", "gold", None, Some(300)) },
        Window { skus: vec![sku("A")], ..window("near", "@mitte", Some(60), None) },
        window("all", "", Some(120), None),
    ];
    sale
}

pub fn terms(name: &str, whose: &str, cents: i64) -> PriceTerms {
    PriceTerms {
        id: id(name),
        audience: audience(whose),
        skus: Vec::new(),
        pools: Vec::new(),
        starts: None,
        ends: None,
        price: euros(cents),
        steps: Vec::new(),
    }
}

/// A member's price; for all an early price for 60 s, then one that rises after 120 s and once half is sold.
pub fn prices() -> Definition {
    let mut sale = sale(&[("A", 4), ("B", 4)]);
    let steps = vec![
        PriceStep { when: at_moment(120), price: euros(1_200) },
        PriceStep { when: at_level(Level::Sold(5_000)), price: euros(1_500) },
    ];
    sale.rules.prices = vec![
        terms("member", "gold", 700),
        PriceTerms { ends: Some(after(60)), skus: vec![sku("A")], ..terms("early", "", 800) },
        PriceTerms { starts: Some(after(60)), skus: vec![sku("A")], steps, ..terms("normal", "", 1_000) },
    ];
    sale
}

/// 2 units at first, 3 more after 60 s, 4 more once nothing is free.
pub fn tranches() -> Definition {
    let mut sale = sale(&[("A", 2)]);
    let tranche = |name, units, when| Tranche { id: id(name), sku: sku("A"), pool: None, units, when };
    sale.rules.tranches =
        vec![tranche("second", 3, at_moment(60)), tranche("third", 4, at_level(Level::FreeAtMost(0)))];
    sale
}

/// Goods with a visit to one of two slots, the first of which begins after 100 s.
pub fn slots(required: bool) -> Definition {
    slots_at([100, 200], required)
}

/// The same with slots that begin so many seconds after the opening.
pub fn slots_at(starts: [i64; 2], required: bool) -> Definition {
    let mut sale = sale(&[("A", 9), ("six", 2), ("seven", 2)]);
    for (item, starts) in sale.items.iter_mut().skip(1).zip(starts) {
        item.slot = Some(Slot { place: "market".into(), starts: after(starts), ends: after(starts + 50) });
    }
    sale.rules.slot_required = required;
    sale
}

/// 2 units to pick up in each of two places, and 2 that are sent.
pub fn places() -> Definition {
    let mut sale = sale(&[("A", 0)]);
    let place = |name: &str| Pool { place: Some(name.into()), ..pool(name, 2, "") };
    sale.items = vec![Item::plain(sku("A"), vec![place("north"), place("south"), Pool::plain(id("general"), 2)])];
    sale
}

/// A change of a definition by its name.
pub fn change(name: &str) -> impl FnOnce(&mut Definition) + use<> {
    let name = name.to_owned();
    move |wanted| match name.as_str() {
        "near-starts-later" => wanted.rules.windows[1].starts = Some(after(90)),
        "no-near" => drop(wanted.rules.windows.remove(1)),
        "no-all" => drop(wanted.rules.windows.remove(2)),
        "no-member" => drop(wanted.rules.prices.remove(0)),
        "members-longer" => wanted.rules.windows[0].ends = Some(after(400)),
        "normal-dearer" => wanted.rules.prices[2].price = euros(2_000),
        "first-step-later" => wanted.rules.prices[2].steps[0].when = at_moment(500),
        "no-terms" => wanted.rules.prices.clear(),
        "second-larger" => wanted.rules.tranches[0].units = 9,
        "no-second" => drop(wanted.rules.tranches.remove(0)),
        "no-flow" => wanted.items[0].pools[0].flows.clear(),
        "members-for-black" => wanted.items[0].pools[0].audience = audience("black"),
        "fewer-for-members" => wanted.items[0].pools[0].units = 2,
        "zone" => wanted.rules.time_zone = "Europe/Berlin".into(),
        "before-opening" => wanted.rules.windows[1].starts = Some(Moment::from(Named::At(START))),
        "behind-closing" => wanted.rules.windows[1].ends = Some(Moment::from(Named::At(Timestamp(u64::MAX / 2)))),
        "closes-at-50" => wanted.schedule.closes_at = Some(START.plus(Millis::from_secs(50))),
        "closes-at-900" => wanted.schedule.closes_at = Some(START.plus(Millis::from_secs(900))),
        "slots-required" => wanted.rules.slot_required = true,
        "slot-before-opening" => {
            let slot = Slot { place: "market".into(), starts: Named::At(START).into(), ends: after(1) };
            let early = definition("d", &[("early", 1)], &[]).items.remove(0);
            wanted.items.push(Item { slot: Some(slot), ..early });
        }
        "slot-ends-first" => {
            let slot = Slot { place: "market".into(), starts: after(9_000), ends: after(8_000) };
            let early = definition("d", &[("early", 1)], &[]).items.remove(0);
            wanted.items.push(Item { slot: Some(slot), ..early });
        }
        "signal-late" => wanted.rules.signals[2].on = at_moment(99),
        "signal-gone" => drop(wanted.rules.signals.remove(2)),
        "signal-past" => wanted.rules.signals.push(super::signals::signal("new", at_moment(1))),
        "bands" => {
            let band = |name: &str, min_free| Band { id: id(name), min_free };
            wanted.rules.scarcity = Some(Scarcity { bands: vec![band("some", 1), band("none", 0)], ..Scarcity::USUAL });
        }
        other => panic!("no change {other}"),
    }
}
