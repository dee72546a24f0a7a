//! The drop that is sold, with rules: a window for members and one for all, pools of members that flow at a level of
//! stock and at a moment, a tranche, prices by tier that step, an opening and a closing.

#![expect(clippy::unnecessary_wraps, reason = "what is made here stands in optional fields")]

use std::time::Duration;

use stockade_drill::facts::Fact;
use stockade_drill::rules::{Mark, Visitor, by_time, rest, sizes};
use stockade_drill::wire;
use stockade_proto as pb;

use super::ask::sku;
use super::event::{Setup, Times};
use super::floor::DROP;

/// The tier that has rules of its own.
const MEMBER: &str = "member";
/// One customer in this many is a member.
const MEMBERS: u32 = 3;
/// Units of each item that are for members at first.
const FOR_MEMBERS: [u64; 3] = [0, 1, 2];
/// The item whose pool flows at a moment; that of the other one flows at a level.
const TIMED: usize = 1;
/// The tranche: its item, and its units.
pub const SECOND: (u8, u32) = (2, 2);
/// Its id.
pub const SECOND_ID: &str = "second";
/// How long after a rule has fired at a level a call may have been decided without it, in milliseconds: longer than a
/// pause.
const MARGIN: u64 = 1_000;

/// The tiers of a customer.
#[must_use]
pub fn tiers(customer: u32) -> Vec<String> {
    if customer.is_multiple_of(MEMBERS) { vec![MEMBER.to_owned()] } else { Vec::new() }
}

fn members() -> Option<pb::Audience> {
    Some(pb::Audience { tiers: vec![MEMBER.to_owned()], zones: Vec::new() })
}

fn euros(minor_units: i64) -> Option<pb::Money> {
    Some(pb::Money { currency_code: "EUR".to_owned(), minor_units })
}

fn after(millis: u64) -> Option<pb::Moment> {
    Some(pb::Moment { when: Some(pb::moment::When::AfterOpen(wire::span(Duration::from_millis(millis)))) })
}

fn moment(millis: u64) -> Option<pb::Trigger> {
    after(millis).map(|moment| pb::Trigger { on: Some(pb::trigger::On::Moment(moment)) })
}

fn taken(points: u32, pool: &str) -> Option<pb::Trigger> {
    let level = Some(pb::stock_level::Level::TakenBasisPoints(points));
    let level = pb::StockLevel { level, pool: pool.to_owned(), ..pb::StockLevel::default() };
    Some(pb::Trigger { on: Some(pb::trigger::On::Stock(level)) })
}

/// An instant of the wire.
fn at(millis: u64) -> Option<prost_types::Timestamp> {
    let span = wire::span(Duration::from_millis(millis));
    Some(prost_types::Timestamp { seconds: span.seconds, nanos: span.nanos })
}

/// The drop as it is defined.
#[must_use]
pub fn drop(setup: &Setup) -> pb::Drop {
    let millis = |span| Some(wire::span(Duration::from_millis(span)));
    let skus: Vec<String> = (0_u8..).zip(&setup.stock).map(|(item, _)| sku(item)).collect();
    let items = skus.iter().zip(&setup.stock).map(|(sku, units)| (sku.as_str(), u64::from(*units)));
    let plain = pb::Drop {
        hold_ttl: millis(1_000),
        max_hold_life: millis(setup.max_hold_life),
        payment_ttl: millis(setup.payment_ttl),
        ..wire::drop(DROP, items, Some(setup.limit))
    };
    match setup.rules {
        Some(times) => with_rules(plain, times),
        None => plain,
    }
}

fn with_rules(plain: pb::Drop, times: Times) -> pb::Drop {
    let Times { opens, all, second, flow, step, closes } = times;
    let mut drop = plain;
    for (place, (item, units)) in
        drop.items.iter_mut().zip(FOR_MEMBERS).enumerate().filter(|(_, (_, units))| *units > 0)
    {
        let when = if place == TIMED { moment(flow) } else { taken(8_000, "public") };
        let flows = vec![pb::Flow { to: "public".to_owned(), when, fired_at: None }];
        let size = Some(pb::pool::Size::Units(units));
        let public = pb::Pool { id: "public".to_owned(), ..pb::Pool::default() };
        let own = pb::Pool { id: "members".to_owned(), audience: members(), size, flows, ..pb::Pool::default() };
        item.pools = vec![own, public];
    }
    let window =
        |id: &str, audience, starts| pb::Window { id: id.to_owned(), audience, starts, ..pb::Window::default() };
    drop.windows = vec![window("members", members(), None), window("all", None, after(all))];
    let steps = vec![
        pb::PriceStep { when: taken(9_000, ""), price: euros(4_500), fired_at: None },
        pb::PriceStep { when: moment(step), price: euros(5_000), fired_at: None },
    ];
    let terms = |id: &str, audience, price| pb::Terms { id: id.to_owned(), audience, price, ..pb::Terms::default() };
    drop.terms =
        vec![terms("members", members(), euros(3_600)), pb::Terms { steps, ..terms("usual", None, euros(4_000)) }];
    let (item, units) = SECOND;
    let when = moment(second);
    let (id, units) = (SECOND_ID.to_owned(), u64::from(units));
    drop.tranches = vec![pb::Tranche { id, sku: sku(item), units, when, ..pb::Tranche::default() }];
    (drop.opens_at, drop.closes_at) = (at(opens), at(opens.saturating_add(closes)));
    drop
}

/// An instant as the journal prints it, in milliseconds.
#[must_use]
pub fn millis(text: &str) -> Option<u64> {
    let since = humantime::parse_rfc3339(text).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

/// The drop as it is known after the run.
pub struct Market {
    drop: pb::Drop,
    /// The same with the instants at which its rules came and fired.
    shown: pb::Drop,
}

impl Market {
    /// The drop with what the journal says has fired; none for one without rules.
    #[must_use]
    pub fn of(setup: &Setup, facts: &[Fact]) -> Option<Self> {
        let Times { opens, all, closes, .. } = setup.rules?;
        let drop = drop(setup);
        let mut shown = drop.clone();
        let closing = at(opens.saturating_add(closes));
        for window in &mut shown.windows {
            let from = if window.starts.is_some() { opens.saturating_add(all) } else { opens };
            (window.starts_at, window.ends_at) = (at(from), closing);
        }
        for moment in facts.iter().flat_map(|fact| fact.moments.iter().flatten()) {
            let fired = at(millis(&moment.scheduled_for).unwrap_or_default());
            match moment.mark() {
                Some(Mark::Flowed(sku, pool, to)) => {
                    let items = shown.items.iter_mut().filter(|item| item.sku == sku);
                    let pools = items.flat_map(|item| &mut item.pools).filter(|defined| defined.id == pool);
                    let flows = pools.flat_map(|pool| &mut pool.flows).filter(|flow| flow.to == to);
                    flows.for_each(|flow| flow.fired_at = fired);
                }
                Some(Mark::Stepped(terms, place)) => {
                    let terms = shown.terms.iter_mut().find(|defined| defined.id == terms);
                    if let Some(step) = terms.and_then(|terms| terms.steps.get_mut(usize::from(place))) {
                        step.fired_at = fired;
                    }
                }
                Some(
                    Mark::Opened
                    | Mark::Closed
                    | Mark::WindowOpened(_)
                    | Mark::WindowClosed(_)
                    | Mark::SlotStarted(_)
                    | Mark::Tranche(_)
                    | Mark::TermsStarted(_)
                    | Mark::TermsEnded(_),
                )
                | None => {}
            }
        }
        Some(Self { drop, shown })
    }

    /// The drop as it was defined.
    #[must_use]
    pub const fn defined(&self) -> &pb::Drop {
        &self.drop
    }

    /// Asks about a customer at an instant of the server's time.
    pub fn ask<T>(&self, customer: u32, now: u64, question: impl FnOnce(Visitor<'_>) -> T) -> T {
        let (tiers, fired) = (tiers(customer), by_time(&self.shown, now, MARGIN));
        question(Visitor { drop: &self.drop, tiers: &tiers, fired: &fired })
    }

    /// The pools of an item that a customer may surely draw on, a bit each.
    #[must_use]
    pub fn pools(&self, item: u8, customer: u32, now: u64) -> u8 {
        self.ask(customer, now, |visitor| mask(&visitor.pools(&sku(item))))
    }

    /// The sets of pools of an item that may be asked for together: all, and what is everyone's from the beginning.
    #[must_use]
    pub fn sets(&self, item: u8) -> Vec<u8> {
        let Some(defined) = self.item(item).filter(|item| !item.pools.is_empty()) else { return vec![mask(&[0])] };
        let everyone = |(_, pool): &(usize, &pb::Pool)| pool.audience.is_none();
        let all: Vec<usize> = (0..defined.pools.len()).collect();
        let open: Vec<usize> = defined.pools.iter().enumerate().filter(everyone).map(|(place, _)| place).collect();
        vec![mask(&open), mask(&all)]
    }

    /// Units that the pools of a set begin with.
    #[must_use]
    pub fn capacity(&self, item: u8, set: u8) -> Option<i64> {
        let sizes = sizes(self.item(item)?);
        let of_set = sizes.iter().enumerate().filter(|(place, _)| set & mask(&[*place]) != 0);
        Some(of_set.map(|(_, units)| i64::try_from(*units).unwrap_or(i64::MAX)).fold(0, i64::saturating_add))
    }

    /// Whether a pool of an item is in a set.
    #[must_use]
    pub fn is_in(&self, item: u8, pool: &str, set: u8) -> bool {
        let pools = self.item(item).map(|item| item.pools.as_slice()).unwrap_or_default();
        // An item without pools has one.
        let place = pools.iter().position(|defined| defined.id == pool).or(pools.is_empty().then_some(0));
        place.is_some_and(|place| set & mask(&[place]) != 0)
    }

    /// Whether stock that is added goes to a pool of a set.
    #[must_use]
    pub fn takes_rest(&self, item: u8, set: u8) -> bool {
        self.item(item).is_some_and(|item| set & mask(&[rest(item)]) != 0)
    }

    fn item(&self, item: u8) -> Option<&pb::Item> {
        self.drop.items.get(usize::from(item))
    }
}

/// A bit for each place.
fn mask(places: &[usize]) -> u8 {
    places.iter().filter(|place| **place < 8).fold(0, |mask, place| mask | (1 << place))
}
