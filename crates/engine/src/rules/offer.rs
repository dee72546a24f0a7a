//! What a customer is offered of one line: through which window, from which pools in which order, at which price.

use smallvec::SmallVec;
use stockade_types::definition::{OfferNo, WindowNo};
use stockade_types::ids::{ItemNo, PoolNo, TierId, ZoneId};
use stockade_types::refusal::Rule;
use stockade_types::time::Timestamp;

use super::standing::{Pools, SlotState, Standing, StandingItem, StandingPool, StandingWindow, WindowState};

/// The customer of a request, as rules see one.
#[derive(Debug, Clone, Copy)]
pub struct Visitor<'a> {
    /// The customer's tiers.
    pub tiers: &'a [TierId],
    /// The customer's zones.
    pub zones: &'a [ZoneId],
    /// Staff overrides windows and audiences.
    pub is_over_windows: bool,
}

/// What is offered of a line: one choice for each window that is open, in the order in which they are tried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LineOffer {
    /// At least one, unless nothing was asked for.
    pub choices: SmallVec<[WindowOffer; 1]>,
}

/// What is offered through one window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowOffer {
    /// The window; 0 for a drop without windows.
    pub window: WindowNo,
    /// The pools, in the order of drawing, each with its price. At least one.
    pub pools: SmallVec<[(PoolNo, OfferNo); 4]>,
}

/// Why nothing of a line is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closedness {
    /// It has ended for this customer: all windows, or the slot has begun.
    Closed,
    /// A window opens for this customer at this instant.
    NotOpen(Timestamp),
    /// No window, pool or price is for this customer.
    NotEligible,
}

/// Why nothing of a line is offered, and the rule that says so.
pub type NotOffered = (Closedness, Rule);

/// What may serve a customer later who is not served now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaterChance {
    /// The earliest instant at which a flow, a tranche or a window brings units that are not this customer's to have now;
    /// [`Timestamp::NEVER`] for none.
    pub at: Timestamp,
    /// Whether one may come at an instant that is not known: by a level of stock, or by hand.
    pub by_trigger: bool,
}

impl LaterChance {
    /// Something may serve the customer at this instant, or at one that is not known.
    fn may_come(&mut self, at: Option<Timestamp>) {
        match at {
            Some(at) => self.at = self.at.min(at),
            None => self.by_trigger = true,
        }
    }
}

impl Visitor<'_> {
    fn is_in(&self, audience: &stockade_types::definition::Audience) -> bool {
        self.is_over_windows || audience.contains(self.tiers, self.zones)
    }
}

impl StandingPool {
    /// The first of its prices that is for this customer.
    fn price_for(&self, visitor: Visitor<'_>) -> Option<OfferNo> {
        self.prices.iter().find(|price| visitor.is_in(&price.audience)).map(|price| price.offer)
    }

    /// Whether a line may draw on it that names this pool, or none.
    fn is_for_lines_of(&self, named: Option<PoolNo>, place: usize) -> bool {
        named.map_or(!self.is_place, |named| named.index() == place)
    }
}

impl StandingItem {
    /// The pools of this customer's own.
    fn own(&self, visitor: Visitor<'_>) -> Pools {
        let mut own = Pools::default();
        for (place, pool) in self.pools.iter().enumerate() {
            if visitor.is_in(&pool.audience) {
                own.add(place);
            }
        }
        own
    }

    /// The pools that a line may draw on, in order: the customer's own, then those whose flow to one of these has fired.
    fn eligible(&self, visitor: Visitor<'_>, named: Option<PoolNo>) -> SmallVec<[(PoolNo, OfferNo); 4]> {
        let own = self.own(visitor);
        let mut pools = SmallVec::new();
        for flowing in [false, true] {
            for (place, pool) in self.pools.iter().enumerate() {
                let is_own = own.has(place);
                let fits = if flowing { !is_own && !pool.flows_to.and(own).is_empty() } else { is_own };
                if !fits || !pool.is_for_lines_of(named, place) {
                    continue;
                }
                let price = if self.is_priced { pool.price_for(visitor) } else { Some(OfferNo::default()) };
                if let (Some(price), Ok(number)) = (price, u16::try_from(place)) {
                    pools.push((PoolNo(number), price));
                }
            }
        }
        pools
    }

    /// The rule by which this customer may draw on no pool: none is for them, or none has a price for them.
    fn closed_by(&self, visitor: Visitor<'_>, named: Option<PoolNo>) -> Rule {
        let own = self.own(visitor);
        let mut pools = self.pools.iter().enumerate().filter(|(place, pool)| pool.is_for_lines_of(named, *place));
        let is_theirs = pools.any(|(place, pool)| own.has(place) || !pool.flows_to.and(own).is_empty());
        if is_theirs { Rule::Terms } else { Rule::Stock { free: None } }
    }
}

impl StandingWindow {
    /// The pools of an item that may be drawn on through it.
    fn pools_of(&self, item: ItemNo) -> Pools {
        self.pools.get(item.index()).copied().unwrap_or_default()
    }

    /// Whether it is for this customer and for any of these pools of an item.
    fn is_for(&self, visitor: Visitor<'_>, item: ItemNo, named: Option<PoolNo>) -> bool {
        let through = self.pools_of(item);
        let reaches = named.map_or(!through.is_empty(), |named| through.has(named.index()));
        reaches && visitor.is_in(&self.audience)
    }
}

impl Standing {
    /// What is offered to a customer of a line, which may name a pool.
    ///
    /// # Errors
    /// Why nothing is.
    pub fn offer(&self, visitor: Visitor<'_>, item: ItemNo, named: Option<PoolNo>) -> Result<LineOffer, NotOffered> {
        let Some(of) = self.items.get(item.index()) else {
            return Err((Closedness::NotEligible, Rule::Stock { free: None }));
        };
        if of.slot == SlotState::Begun {
            return Err((Closedness::Closed, Rule::Slot));
        }
        let pools = of.eligible(visitor, named);
        let by_pools = || (Closedness::NotEligible, of.closed_by(visitor, named));
        if self.windows.is_empty() || visitor.is_over_windows {
            let choice = WindowOffer { window: WindowNo::default(), pools };
            return if choice.pools.is_empty() { Err(by_pools()) } else { Ok(LineOffer::of(choice)) };
        }
        let mut choices: SmallVec<[WindowOffer; 1]> = SmallVec::new();
        let (mut next, mut last) = (None::<(Timestamp, WindowNo)>, WindowNo::default());
        for window in self.windows.iter().filter(|window| window.is_for(visitor, item, named)) {
            last = window.number;
            match window.state {
                WindowState::ToCome(at) => {
                    let this = (at, window.number);
                    next = Some(next.map_or(this, |next| next.min(this)));
                }
                WindowState::Over => {}
                WindowState::Open => {
                    let through = window.pools.get(item.index()).copied().unwrap_or(Pools::ALL);
                    let here = pools.iter().filter(|(pool, _)| through.has(pool.index())).copied();
                    let choice = WindowOffer { window: window.number, pools: here.collect() };
                    if !choice.pools.is_empty() {
                        choices.push(choice);
                    }
                }
            }
        }
        match (choices.is_empty(), next) {
            (false, _) => Ok(LineOffer { choices }),
            (true, _) if pools.is_empty() => Err(by_pools()),
            (true, _) if last == WindowNo::default() => Err((Closedness::NotEligible, Rule::Window(last))),
            (true, Some((at, window))) => Err((Closedness::NotOpen(at), Rule::Window(window))),
            (true, None) if self.is_any_open(visitor, item, named) => {
                Err((Closedness::NotEligible, Rule::Window(last)))
            }
            (true, None) => Err((Closedness::Closed, Rule::Window(last))),
        }
    }

    fn is_any_open(&self, visitor: Visitor<'_>, item: ItemNo, named: Option<PoolNo>) -> bool {
        let mut fitting = self.windows.iter().filter(|window| window.is_for(visitor, item, named));
        fitting.any(|window| window.state == WindowState::Open)
    }

    /// What may serve this customer later, of a line that stock can't serve now.
    #[must_use]
    pub fn later(&self, visitor: Visitor<'_>, item: ItemNo, named: Option<PoolNo>) -> LaterChance {
        let mut later = LaterChance { at: Timestamp::NEVER, by_trigger: false };
        let Some(of) = self.items.get(item.index()) else { return later };
        let theirs = Pools::of(of.eligible(visitor, named).iter().map(|(pool, _)| pool.index()));
        let now = self.through_open_windows(visitor, item, named).and(theirs);
        for (_, at) in of.tranches_to_come.iter().filter(|(pool, _)| now.has(*pool)) {
            later.may_come(*at);
        }
        let own = of.own(visitor);
        for (place, pool) in of.pools.iter().enumerate() {
            let is_open = own.has(place) || !pool.flows_to.and(own).is_empty();
            if !is_open && pool.is_for_lines_of(named, place) {
                let to_him = pool.flows_to_come.iter().filter(|(to, _)| own.has(*to));
                to_him.for_each(|(_, at)| later.may_come(*at));
            }
        }
        if !visitor.is_over_windows {
            for window in self.windows.iter().filter(|window| window.is_for(visitor, item, named)) {
                if let WindowState::ToCome(at) = window.state
                    && !window.pools_of(item).and(theirs).without(now).is_empty()
                {
                    later.may_come(Some(at));
                }
            }
        }
        later
    }

    /// The pools of an item that windows leave to this customer now.
    fn through_open_windows(&self, visitor: Visitor<'_>, item: ItemNo, named: Option<PoolNo>) -> Pools {
        if self.windows.is_empty() || visitor.is_over_windows {
            return Pools::ALL;
        }
        let open = self.windows.iter().filter(|window| window.state == WindowState::Open);
        let theirs = open.filter(|window| window.is_for(visitor, item, named));
        theirs.fold(Pools::default(), |pools, window| pools.or(window.pools_of(item)))
    }
}

impl LineOffer {
    fn of(choice: WindowOffer) -> Self {
        Self { choices: SmallVec::from_buf([choice]) }
    }
}
