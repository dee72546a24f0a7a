//! A drop's rules in the naive model, by the contract's words: windows, pools with audiences and flows, prices,
//! tranches, slots. Items, pools and customers are numbers here; the engine gets the same as a definition.

use stockade_types::definition::{
    Audience, Currency, Definition, Flow, Level, Moment, Money, Named, PoolSize, PriceStep, PriceTerms, Slot,
    StockLevel, Tranche, Trigger, Window,
};
use stockade_types::ids::{PoolId, Sku};
use stockade_types::time::Millis;

use super::ITEMS;
use super::conduct::ConductPlan;
use super::words::{START, pool_id, sku};

/// An instant as a definition names it. All times are in milliseconds, instants since [`START`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    At(u64),
    AfterOpening(u64),
    BeforeClosing(u64),
}

/// What makes a flow, a tranche or a price step fire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fires {
    When(When),
    Level(Stand),
}

/// A level of stock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stand {
    pub item: Option<usize>,
    pub pool: Option<u16>,
    pub figure: Figure,
}

/// How much is left or gone; shares in basis points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    FreeAtMost(u64),
    Sold(u32),
    Taken(u32),
}

/// Whom a rule is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Crowd {
    pub tiers: Vec<&'static str>,
    pub zones: Vec<&'static str>,
}

impl Crowd {
    pub fn has(&self, gold: bool, zones: &[&'static str]) -> bool {
        let tier = self.tiers.is_empty() || gold && self.tiers.contains(&"gold");
        tier && (self.zones.is_empty() || zones.iter().any(|zone| self.zones.contains(zone)))
    }

    pub(super) fn audience(&self) -> Audience {
        Audience {
            tiers: self.tiers.iter().map(|tier| tier.parse().expect("a tier")).collect(),
            zones: self.zones.iter().map(|zone| zone.parse().expect("a zone")).collect(),
        }
    }
}

/// Which items and pools a window or a price is for; none: all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    pub items: Vec<usize>,
    pub pools: Vec<u16>,
}

impl Reach {
    pub fn covers(&self, item: usize) -> bool {
        self.items.is_empty() || self.items.contains(&item)
    }

    pub fn reaches(&self, pool: u16) -> bool {
        self.pools.is_empty() || self.pools.contains(&pool)
    }

    fn named(&self, drop: usize) -> (Vec<Sku>, Vec<PoolId>) {
        let mut skus: Vec<Sku> = self.items.iter().map(|item| sku(ITEMS[drop][*item])).collect();
        let mut pools: Vec<PoolId> = self.pools.iter().map(|pool| pool_id(*pool)).collect();
        skus.sort_unstable();
        pools.sort_unstable();
        (skus, pools)
    }
}

/// From when to when; left out: with the drop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    pub starts: Option<When>,
    pub ends: Option<When>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowPlan {
    pub id: u8,
    pub crowd: Crowd,
    pub reach: Reach,
    pub span: Span,
    pub ttl: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PricePlan {
    pub id: u8,
    pub crowd: Crowd,
    pub reach: Reach,
    pub span: Span,
    pub price: i64,
    pub steps: Vec<(Fires, i64)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TranchePlan {
    pub id: u8,
    pub item: usize,
    pub pool: Option<u16>,
    pub units: u64,
    pub fires: Fires,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PoolPlan {
    /// Whether it has units of its own, not what the others leave.
    pub is_sized: bool,
    pub crowd: Crowd,
    pub is_place: bool,
    /// To whose pool, and when; none: by hand alone.
    pub flows: Vec<(u16, Option<Fires>)>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ItemPlan {
    pub pools: Vec<PoolPlan>,
    /// From when to when, if it is a pickup slot.
    pub slot: Option<(When, When)>,
}

/// A drop's rules; none by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// When the drop opens; 0: at once.
    pub opens: u64,
    pub closes: Option<u64>,
    pub items: Vec<ItemPlan>,
    pub windows: Vec<WindowPlan>,
    pub prices: Vec<PricePlan>,
    pub tranches: Vec<TranchePlan>,
    pub conduct: Vec<ConductPlan>,
    pub slot_required: bool,
    /// The next id of a window, a price or a tranche: none is used twice.
    pub next: u8,
}

/// Something that a plan schedules: the instant, none if there is no such instant; the rank among those of one instant
/// (what ends, the closing, the opening, what begins); and what it is.
pub type Planned = (Option<u64>, u8, String);

/// Something that fires at an instant or at a level of stock: of these items, unless it names one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Triggered {
    pub what: String,
    pub fires: Fires,
    pub items: Vec<usize>,
}

/// Ranks of a closing and an opening.
pub const CLOSES: u8 = 1;
pub const OPENS: u8 = 2;

impl Plan {
    pub fn is_slot(&self, item: usize) -> bool {
        self.items.get(item).is_some_and(|item| item.slot.is_some())
    }

    pub fn pool(&self, (item, pool): (usize, u16)) -> PoolPlan {
        self.items.get(item).and_then(|item| item.pools.get(usize::from(pool))).cloned().unwrap_or_default()
    }

    /// The pool of an item with `pools` pools that stock goes to if none is named.
    pub fn usual_pool(&self, item: usize, pools: u16) -> u16 {
        let rest = (0..pools).rev().find(|pool| !self.pool((item, *pool)).is_sized);
        rest.unwrap_or(pools.saturating_sub(1))
    }

    fn at(&self, when: When) -> Option<u64> {
        match when {
            When::At(at) => Some(at),
            When::AfterOpening(span) => Some(self.opens + span),
            When::BeforeClosing(span) => self.closes?.checked_sub(span),
        }
    }

    /// All that it schedules, but the opening and the closing.
    pub fn planned(&self, drop: usize) -> Vec<Planned> {
        self.scheduled(drop).into_iter().map(|(when, rank, what)| (self.at(when), rank, what)).collect()
    }

    /// The same, as it is defined.
    pub fn scheduled(&self, drop: usize) -> Vec<(When, u8, String)> {
        let mut all = Vec::new();
        let mut add = |when: Option<When>, rank, what: String| {
            if let Some(when) = when {
                all.push((when, rank, what));
            }
        };
        for window in &self.windows {
            add(window.span.starts, 3, opens(window.id));
            add(window.span.ends, 0, closes(window.id));
        }
        for terms in &self.prices {
            add(terms.span.starts, 3, starts(terms.id));
            add(terms.span.ends, 0, ends(terms.id));
        }
        for (item, plan) in self.items.iter().enumerate() {
            add(plan.slot.map(|slot| slot.0), 0, begins(drop, item));
        }
        for Triggered { what, fires, .. } in self.triggers(drop, 0) {
            if let Fires::When(when) = fires {
                add(Some(when), 4, what);
            }
        }
        all
    }

    /// All that fires at an instant or at a level, in the order in which it fires: price steps, flows, tranches. The drop
    /// has `items` items.
    pub fn triggers(&self, drop: usize, items: usize) -> Vec<Triggered> {
        let mut all = Vec::new();
        for terms in &self.prices {
            let of: Vec<usize> = (0..items).filter(|item| terms.reach.covers(*item)).collect();
            let step = |(place, (fires, _)): (usize, &(Fires, i64))| Triggered {
                what: steps_to(terms.id, place),
                fires: fires.clone(),
                items: of.clone(),
            };
            all.extend(terms.steps.iter().enumerate().map(step));
        }
        for (place, to, fires) in self.flows() {
            let flow = |fires| Triggered { what: flows(drop, place, to), fires, items: vec![place.0] };
            all.extend(fires.map(flow));
        }
        let goods: Vec<usize> = (0..items).filter(|item| !self.is_slot(*item)).collect();
        let tranche = |tranche: &TranchePlan| Triggered {
            what: comes(tranche.id),
            fires: tranche.fires.clone(),
            items: goods.clone(),
        };
        all.extend(self.tranches.iter().map(tranche));
        all
    }

    /// Its flows: from which pool, to whose, and when.
    pub fn flows(&self) -> Vec<((usize, u16), u16, Option<Fires>)> {
        let mut all = Vec::new();
        for (item, plan) in self.items.iter().enumerate() {
            for (pool, of) in (0..).zip(&plan.pools) {
                all.extend(of.flows.iter().map(|(to, fires)| ((item, pool), *to, fires.clone())));
            }
        }
        all
    }

    /// Whether an instant lies outside the drop, of a slot before its opening, or something ends before it has begun.
    /// `kept` is the instant of something that has come at the moment that is still its own: it stays wherever it lies.
    pub fn is_wrong(&self, drop: usize, kept: impl Fn(&str, When) -> Option<u64>) -> bool {
        let closes = self.closes.unwrap_or(u64::MAX);
        let at = |what: &str, when: When| kept(what, when).or_else(|| self.at(when));
        let is_outside = |(when, _, what): &(When, u8, String)| {
            let latest = if is_beginning(what) { u64::MAX } else { closes };
            kept(what, *when).is_none() && !self.at(*when).is_some_and(|at| (self.opens..=latest).contains(&at))
        };
        let windows = self.windows.iter().map(|window| (opens(window.id), self::closes(window.id), window.span));
        let prices = self.prices.iter().map(|terms| (starts(terms.id), ends(terms.id), terms.span));
        let is_empty = |(first, last, span): (String, String, Span)| {
            let starts = span.starts.map_or(Some(self.opens), |when| at(&first, when));
            let ends = span.ends.map_or(Some(closes), |when| at(&last, when));
            ends.zip(starts).is_some_and(|(ends, starts)| ends <= starts)
        };
        let no_slot = |(item, plan): (usize, &ItemPlan)| {
            let Some((starts, ends)) = plan.slot else { return false };
            let begun = kept(&begins(drop, item), starts).is_some();
            !begun && (self.at(ends).is_none() || self.at(ends) <= self.at(starts))
        };
        self.scheduled(drop).iter().any(is_outside)
            || windows.chain(prices).any(is_empty)
            || self.items.iter().enumerate().any(no_slot)
    }

    /// When the last slot ends.
    pub fn last_slot_ends(&self) -> Option<u64> {
        self.items.iter().filter_map(|item| self.at(item.slot?.1)).max()
    }

    /// Sets a definition's rules to these.
    pub fn apply(&self, drop: usize, wanted: &mut Definition) {
        let rules = &mut wanted.rules;
        rules.slot_required = self.slot_required;
        rules.windows = self.windows.iter().map(|window| window.window(drop)).collect();
        rules.prices = self.prices.iter().map(|terms| terms.terms(drop)).collect();
        let tranche = |tranche: &TranchePlan| Tranche {
            id: format!("r{}", tranche.id).parse().expect("an id"),
            sku: sku(ITEMS[drop][tranche.item]),
            pool: tranche.pool.map(pool_id),
            units: tranche.units,
            when: tranche.fires.trigger(drop),
        };
        rules.tranches = self.tranches.iter().map(tranche).collect();
        rules.conduct = self.conduct.iter().map(ConductPlan::rule).collect();
        for (item, plan) in wanted.items.iter_mut().zip(&self.items) {
            item.slot = plan.slot.map(|(starts, ends)| Slot {
                place: "market".to_owned(),
                starts: starts.moment(),
                ends: ends.moment(),
            });
            for (pool, plan) in item.pools.iter_mut().zip(&plan.pools) {
                pool.size = if plan.is_sized { PoolSize::Units } else { PoolSize::Rest };
                pool.audience = plan.crowd.audience();
                pool.place = plan.is_place.then(|| "market".to_owned());
                let flow = |(to, fires): &(u16, Option<Fires>)| Flow {
                    to: pool_id(*to),
                    when: fires.as_ref().map(|fires| fires.trigger(drop)),
                };
                pool.flows = plan.flows.iter().map(flow).collect();
            }
        }
    }
}

impl When {
    fn moment(self) -> Moment {
        let named = match self {
            Self::At(at) => Named::At(START.plus(Millis(at))),
            Self::AfterOpening(span) => Named::AfterOpening(i64::try_from(span).expect("a short time")),
            Self::BeforeClosing(span) => Named::BeforeClosing(Millis(span)),
        };
        named.into()
    }
}

impl Fires {
    fn trigger(&self, drop: usize) -> Trigger {
        match self {
            Self::When(when) => Trigger::Moment(when.moment()),
            Self::Level(Stand { item, pool, figure }) => Trigger::Stock(StockLevel {
                sku: item.map(|item| sku(ITEMS[drop][item])),
                pool: pool.map(pool_id),
                level: match *figure {
                    Figure::FreeAtMost(units) => Level::FreeAtMost(units),
                    Figure::Sold(points) => Level::Sold(points),
                    Figure::Taken(points) => Level::Taken(points),
                },
            }),
        }
    }
}

impl WindowPlan {
    fn window(&self, drop: usize) -> Window {
        let (skus, pools) = self.reach.named(drop);
        Window {
            id: format!("w{}", self.id).parse().expect("an id"),
            audience: self.crowd.audience(),
            skus,
            pools,
            starts: self.span.starts.map(When::moment),
            ends: self.span.ends.map(When::moment),
            hold_ttl: self.ttl.map(Millis),
        }
    }
}

impl PricePlan {
    /// Its prices: before any step, then after each.
    pub fn prices(&self) -> impl Iterator<Item = i64> + '_ {
        std::iter::once(self.price).chain(self.steps.iter().map(|(_, price)| *price))
    }

    fn terms(&self, drop: usize) -> PriceTerms {
        let (skus, pools) = self.reach.named(drop);
        let step = |(fires, price): &(Fires, i64)| PriceStep { when: fires.trigger(drop), price: euros(*price) };
        PriceTerms {
            id: format!("t{}", self.id).parse().expect("an id"),
            audience: self.crowd.audience(),
            skus,
            pools,
            starts: self.span.starts.map(When::moment),
            ends: self.span.ends.map(When::moment),
            price: euros(self.price),
            steps: self.steps.iter().map(step).collect(),
        }
    }
}

fn euros(minor_units: i64) -> Money {
    Money { currency: Currency::of("EUR").expect("a code"), minor_units }
}

// What can have come, in words.

pub fn opens(window: u8) -> String {
    format!("window w{window} opens")
}

pub fn closes(window: u8) -> String {
    format!("window w{window} closes")
}

pub fn starts(terms: u8) -> String {
    format!("terms t{terms} start")
}

pub fn ends(terms: u8) -> String {
    format!("terms t{terms} end")
}

pub fn steps_to(terms: u8, step: usize) -> String {
    format!("terms t{terms} take step {step}")
}

pub fn flows(drop: usize, (item, from): (usize, u16), to: u16) -> String {
    format!("{} flows from {from} to {to}", ITEMS[drop][item])
}

pub fn comes(tranche: u8) -> String {
    format!("tranche r{tranche} comes")
}

pub fn begins(drop: usize, item: usize) -> String {
    format!("{} begins", ITEMS[drop][item])
}

/// Whether that is the beginning of a slot.
pub fn is_beginning(what: &str) -> bool {
    what.ends_with(" begins")
}
