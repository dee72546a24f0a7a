//! Checks a scenario. Every fault is reported by its key, in the file's own spelling.

use std::time::Duration;

use super::{Action, Arrivals, Before, Crowd, Event, Load, Sale, Scenario, ShapeName, Span};
use crate::schedule::expected;

/// The longest load: a run is bounded in time.
const LENGTH_MAX: Duration = Duration::from_mins(30);
/// The most arrivals of a scenario: a run is bounded in count, and all answers are kept for the audit.
pub const ARRIVALS_MAX: u64 = 5_000_000;
/// The most holds that are made before the load.
const HOLDS_MAX: u64 = 10_000_000;
/// The most connections.
const CONNECTIONS_MAX: u16 = 1_024;
/// How often a customer comes again at most.
const RETRIES_MAX: u16 = 100;

/// Collects faults.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn must(&mut self, fits: bool, key: &str, what: &str) {
        if !fits {
            self.0.push(format!("{key} {what}"));
        }
    }

    fn part(&mut self, part: f64, key: &str) {
        self.must((0.0..=1.0).contains(&part), key, "must be from 0 to 1");
    }
}

/// All faults.
pub fn faults(scenario: &Scenario) -> Vec<String> {
    let mut faults = Faults::default();
    let Scenario { title, server: _, drops, before, load, crowds, events } = scenario;
    faults.must(!title.trim().is_empty(), "title", "must say what it is");
    faults.must(!drops.is_empty(), "drops", "must have one at least");
    faults.must(!crowds.is_empty(), "crowds", "must have one at least");
    for (place, sale) in drops.iter().enumerate() {
        of_sale(&mut faults, &format!("drops[{place}]"), sale, drops.get(..place).unwrap_or_default());
    }
    if let Some(before) = before {
        of_before(&mut faults, before, drops);
    }
    of_load(&mut faults, load);
    faults.must(scenario.length() <= LENGTH_MAX, "load", "must not be longer than 30m");
    for (place, crowd) in crowds.iter().enumerate() {
        of_crowd(&mut faults, &format!("crowds[{place}]"), crowd, drops);
    }
    let parts: f64 = crowds.iter().map(|crowd| crowd.share).sum();
    faults.must(parts > 0.0, "crowds", "must have a share above 0 among them");
    for (place, event) in events.iter().enumerate() {
        of_event(&mut faults, &format!("events[{place}]"), event, drops);
    }
    faults.0
}

fn of_sale(faults: &mut Faults, key: &str, sale: &Sale, before: &[Sale]) {
    let twin = before.iter().any(|other| other.id == sale.id);
    faults.must(!twin, &format!("{key}.id"), "is there twice");
    faults.must(!sale.id.is_empty() && sale.id.len() <= 40, &format!("{key}.id"), "must be 1-40 characters");
    faults.must(!sale.items.is_empty(), &format!("{key}.items"), "must have one at least");
    for (place, goods) in sale.items.iter().enumerate() {
        faults.must(goods.units > 0, &format!("{key}.items[{place}].units"), "must be above 0");
        let twin = sale.items.iter().take(place).any(|other| other.sku == goods.sku);
        faults.must(!twin, &format!("{key}.items[{place}].sku"), "is there twice");
    }
    faults.must(sale.limit != Some(0), &format!("{key}.limit"), "must be above 0");
    if let Err(what) = sale.definition(&sale.id) {
        faults.must(false, &format!("{key}.rules:"), &what);
    }
}

fn of_before(faults: &mut Faults, before: &Before, drops: &[Sale]) {
    let goods = drops.iter().find(|sale| sale.id == before.drop).map(|sale| &sale.items);
    faults.must(goods.is_some(), "before.drop", &format!("is no drop: {:?}", before.drop));
    let stock = goods.and_then(|goods| goods.iter().find(|goods| goods.sku == before.sku)).map(|goods| goods.units);
    faults.must(goods.is_none() || stock.is_some(), "before.sku", &format!("is no item of it: {:?}", before.sku));
    let fits = (1..=HOLDS_MAX).contains(&before.holds);
    faults.must(fits, "before.holds", &format!("must be 1 to {HOLDS_MAX}"));
    faults.must(stock.is_none_or(|stock| stock >= before.holds), "before.holds", "are more than there are units");
    let opens = drops.iter().any(|sale| sale.id == before.drop && sale.opens_after.is_some());
    faults.must(!opens, "before.drop", "opens after the load begins: nothing of it can be held before");
    let has_rules = drops.iter().any(|sale| sale.id == before.drop && sale.rules.is_some());
    faults.must(!has_rules, "before.drop", "has rules: nothing of it can be held before");
    let loose = before.expire_within.is_some() && before.expire_after.is_none();
    faults.must(!loose, "before.expire_within", "needs before.expire_after");
}

fn of_load(faults: &mut Faults, load: &Load) {
    let fits = (1..=CONNECTIONS_MAX).contains(&load.connections);
    faults.must(fits, "load.connections", &format!("must be 1 to {CONNECTIONS_MAX}"));
    let one = load.arrivals.is_empty() != load.closed.is_none();
    faults.must(one, "load", "must have either arrivals (an open loop) or closed (a closed one)");
    if let Some(closed) = &load.closed {
        faults.must(closed.in_flight > 0, "load.closed.in_flight", "must be above 0");
        faults.must(closed.length > Span::default(), "load.closed.length", "must be above 0s");
    }
    for (place, arrivals) in load.arrivals.iter().enumerate() {
        of_arrivals(faults, &format!("load.arrivals[{place}]"), arrivals);
    }
    let phases: Vec<_> = load.arrivals.iter().map(Arrivals::phase).collect();
    let few = expected(&phases) <= ARRIVALS_MAX;
    faults.must(few, "load.arrivals", &format!("must not be more than {ARRIVALS_MAX}"));
    faults.must(load.twice_every != Some(0), "load.twice_every", "must be above 0");
    faults.must(load.timeout > Span::default(), "load.timeout", "must be above 0s");
    faults.must(load.settle.0 <= LENGTH_MAX, "load.settle", "must not be longer than 30m");
}

fn of_arrivals(faults: &mut Faults, key: &str, arrivals: &Arrivals) {
    let Arrivals { shape, after: _, length, rate, from, count } = arrivals;
    let (herd, ramp) = (*shape == ShapeName::Herd, *shape == ShapeName::Ramp);
    let above = |rate: &f64| rate.is_finite() && *rate > 0.0;
    if herd {
        faults.must(rate.is_none(), &format!("{key}.rate"), "is not a herd's: it has a count");
        faults.must(count.is_some_and(|count| count > 0), &format!("{key}.count"), "must be above 0");
    } else {
        faults.must(rate.as_ref().is_some_and(above), &format!("{key}.rate"), "must be above 0");
        faults.must(count.is_none(), &format!("{key}.count"), "is a herd's alone: others have a rate and a length");
        faults.must(*length > Span::default(), &format!("{key}.length"), "must be above 0s");
    }
    if ramp {
        let fits = from.is_some_and(|from| from.is_finite() && from >= 0.0);
        faults.must(fits, &format!("{key}.from"), "must be 0 or above");
    } else {
        faults.must(from.is_none(), &format!("{key}.from"), "is a ramp's alone");
    }
}

fn of_crowd(faults: &mut Faults, key: &str, crowd: &Crowd, drops: &[Sale]) {
    faults.must(crowd.share >= 0.0 && crowd.share.is_finite(), &format!("{key}.share"), "must be 0 or above");
    faults.must(crowd.customers > 0, &format!("{key}.customers"), "must be above 0");
    for drop in &crowd.drops {
        let known = drops.iter().any(|sale| sale.id == *drop);
        faults.must(known, &format!("{key}.drops"), &format!("has no drop: {drop:?}"));
    }
    faults.must(!crowd.cart.is_empty(), &format!("{key}.cart"), "must have a line at least");
    let theirs = |sale: &&Sale| crowd.drops.is_empty() || crowd.drops.contains(&sale.id);
    for (place, want) in crowd.cart.iter().enumerate() {
        let everywhere = drops.iter().filter(theirs).all(|sale| sale.items.iter().any(|goods| goods.sku == want.sku));
        let what = format!("is not in every drop that they come for: {:?}", want.sku);
        faults.must(everywhere, &format!("{key}.cart[{place}].sku"), &what);
        let twin = crowd.cart.iter().take(place).any(|other| other.sku == want.sku);
        faults.must(!twin, &format!("{key}.cart[{place}].sku"), "is there twice");
        faults.must(want.units > 0, &format!("{key}.cart[{place}].units"), "must be above 0");
        faults.part(want.chance, &format!("{key}.cart[{place}].chance"));
    }
    for (part, name) in
        [(crowd.extend, "extend"), (crowd.pay, "pay"), (crowd.claim, "claim"), (crowd.release, "release")]
    {
        faults.part(part, &format!("{key}.{name}"));
    }
    let whole = crowd.claim + crowd.release <= 1.0 + f64::EPSILON;
    faults.must(whole, &format!("{key}.release"), "and claim must not be more than 1 together");
    faults.must(crowd.pay <= crowd.claim, &format!("{key}.pay"), "must not be more than claim");
    let in_order = crowd.think.is_none_or(|(least, most)| least <= most);
    faults.must(in_order, &format!("{key}.think"), "must have the shorter span first");
    faults.must(crowd.again <= RETRIES_MAX, &format!("{key}.again"), &format!("must not be more than {RETRIES_MAX}"));
}

fn of_event(faults: &mut Faults, key: &str, event: &Event, drops: &[Sale]) {
    let sale = drops.iter().find(|sale| sale.id == event.drop);
    faults.must(sale.is_some(), &format!("{key}.drop"), &format!("is no drop: {:?}", event.drop));
    if event.action != Action::Restock {
        let bare = event.sku.is_none() && event.units.is_none();
        faults.must(bare, key, "has a sku or units, which are a restock's alone");
        return;
    }
    faults.must(event.units.is_some_and(|units| units > 0), &format!("{key}.units"), "must be above 0");
    let sku = event.sku.as_deref().unwrap_or_default();
    let known = sale.is_none_or(|sale| sale.items.iter().any(|goods| goods.sku == sku));
    faults.must(known, &format!("{key}.sku"), &format!("is no item of the drop: {sku:?}"));
}
