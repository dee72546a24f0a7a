//! What a customer is offered of one line: through which window, from which pools in which order, at which price.

use stockade_types::definition::{OfferNo, WindowNo};
use stockade_types::hold::Pinned;
use stockade_types::ids::{ItemNo, PoolNo};
use stockade_types::refusal::Rule;
use stockade_types::time::Timestamp;

use super::places::Places;
use super::standing::{SlotState, Standing, StandingItem, StandingPool, StandingWindow, WindowState};
use super::visitor::Visitor;

/// What is offered of a line: pools and windows, in bits. [`Standing::choices`] spells it out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LineOffer {
    /// The customer's own pools: at least one, or one of the others, unless nothing was asked for.
    own: Places,
    /// Places whose flow to one of the customer's own has fired: they are drawn on after those.
    flowing: Places,
    /// The open windows. None for a drop without windows.
    windows: Places,
    /// Whether the line comes through no window: the drop has none, or staff overrides them.
    is_without_window: bool,
}

/// What is offered through one window, as an iterator: pools in the order of drawing, each with its price. At least one.
#[derive(Debug, Clone, Copy)]
pub struct WindowOffer<'s> {
    /// The window; 0 for a drop without windows.
    window: WindowNo,
    own: Places,
    flowing: Places,
    /// Where prices are found; none in a drop without rules.
    priced: Option<(&'s StandingItem, &'s Visitor)>,
}

/// What is offered of a line, window by window: see [`Standing::choices`].
#[derive(Debug, Clone)]
pub struct Choices<'s> {
    /// Whether all pools are offered through no window, and that is the next choice.
    is_whole_next: bool,
    /// All pools, whatever windows they come through.
    whole: WindowOffer<'s>,
    /// The windows that are still to be visited.
    open: Places,
    windows: &'s [StandingWindow],
    item: ItemNo,
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

impl StandingPool {
    /// The first of its prices that is for this customer.
    #[inline]
    fn price_for(&self, visitor: &Visitor) -> Option<OfferNo> {
        self.prices.iter().find(|price| visitor.is_in(price.audience)).map(|price| price.offer)
    }

    /// Whether a line may draw on it that names this pool, or none.
    #[inline]
    fn is_for_lines_of(&self, named: Option<PoolNo>, place: usize) -> bool {
        named.map_or(!self.is_place, |named| named.index() == place)
    }
}

impl StandingItem {
    /// The pools of this customer's own.
    #[inline]
    fn own(&self, visitor: &Visitor) -> Places {
        let places = self.pools.iter().enumerate();
        Places::of(places.filter(|(_, pool)| visitor.is_in(pool.audience)).map(|(place, _)| place))
    }

    /// The pools that a line may draw on: the customer's own, and those whose flow to one of these has fired.
    #[inline]
    fn eligible(&self, visitor: &Visitor, named: Option<PoolNo>) -> (Places, Places) {
        let own = self.own(visitor);
        let mut flowing = Places::default();
        let mut drawn = Places::default();
        for (place, pool) in self.pools.iter().enumerate() {
            if !pool.flows_to.and(own).is_empty() {
                flowing.add(place);
            }
            if pool.is_for_lines_of(named, place) && (!self.is_priced || pool.price_for(visitor).is_some()) {
                drawn.add(place);
            }
        }
        (own.and(drawn), flowing.without(own).and(drawn))
    }

    /// The rule by which this customer may draw on no pool: none is for them, or none has a price for them.
    fn closed_by(&self, visitor: &Visitor, named: Option<PoolNo>) -> Rule {
        let own = self.own(visitor);
        let mut pools = self.pools.iter().enumerate().filter(|(place, pool)| pool.is_for_lines_of(named, *place));
        let is_theirs = pools.any(|(place, pool)| own.has(place) || !pool.flows_to.and(own).is_empty());
        if is_theirs { Rule::Terms } else { Rule::Stock { free: None } }
    }
}

impl StandingWindow {
    /// The pools of an item that may be drawn on through it.
    #[inline]
    fn pools_of(&self, item: ItemNo) -> Places {
        self.pools.get(item.index()).copied().unwrap_or_default()
    }

    /// Whether it is for this customer and for any of these pools of an item.
    #[inline]
    fn is_for(&self, visitor: &Visitor, item: ItemNo, named: Option<PoolNo>) -> bool {
        let through = self.pools_of(item);
        let reaches = named.map_or(!through.is_empty(), |named| through.has(named.index()));
        reaches && visitor.is_in(self.audience)
    }
}

impl Standing {
    /// What is offered to a customer of a line, which may name a pool.
    ///
    /// # Errors
    /// Why nothing is.
    pub fn offer(&self, visitor: &Visitor, item: ItemNo, named: Option<PoolNo>) -> Result<LineOffer, NotOffered> {
        let Some(of) = self.items.get(item.index()) else {
            return Err((Closedness::NotEligible, Rule::Stock { free: None }));
        };
        if of.slot == SlotState::Begun {
            return Err((Closedness::Closed, Rule::Slot));
        }
        let (own, flowing) = of.eligible(visitor, named);
        let pools = own.or(flowing);
        if pools.is_empty() && self.comes_through_none(visitor) {
            return Err((Closedness::NotEligible, of.closed_by(visitor, named)));
        }
        if self.comes_through_none(visitor) {
            return Ok(LineOffer { own, flowing, windows: Places::default(), is_without_window: true });
        }
        let mut windows = Places::default();
        for (place, window) in self.windows.iter().enumerate() {
            let is_open = window.state == WindowState::Open && window.is_for(visitor, item, named);
            if is_open && !window.pools_of(item).and(pools).is_empty() {
                windows.add(place);
            }
        }
        if windows.is_empty() {
            return Err(self.closed_by(visitor, (item, of, pools), named));
        }
        Ok(LineOffer { own, flowing, windows, is_without_window: false })
    }

    /// Why no window offers a line of these pools to a customer.
    #[cold]
    fn closed_by(
        &self,
        visitor: &Visitor,
        (item, of, pools): (ItemNo, &StandingItem, Places),
        named: Option<PoolNo>,
    ) -> NotOffered {
        if pools.is_empty() {
            return (Closedness::NotEligible, of.closed_by(visitor, named));
        }
        let (mut next, mut last, mut is_any_open) = (None::<(Timestamp, WindowNo)>, WindowNo::default(), false);
        for window in self.windows.iter().filter(|window| window.is_for(visitor, item, named)) {
            last = window.number;
            match window.state {
                WindowState::ToCome(at) => {
                    let this = (at, window.number);
                    next = Some(next.map_or(this, |next| next.min(this)));
                }
                WindowState::Over => {}
                WindowState::Open => is_any_open = true,
            }
        }
        match next {
            _ if last == WindowNo::default() => (Closedness::NotEligible, Rule::Window(last)),
            Some((at, window)) => (Closedness::NotOpen(at), Rule::Window(window)),
            None if is_any_open => (Closedness::NotEligible, Rule::Window(last)),
            None => (Closedness::Closed, Rule::Window(last)),
        }
    }

    /// Whether this customer's lines come through no window.
    #[inline]
    fn comes_through_none(&self, visitor: &Visitor) -> bool {
        self.windows.is_empty() || visitor.is_over_windows()
    }

    /// An offer's choices: one for each window that is open to the line, in the order in which they are tried.
    #[inline]
    #[must_use]
    pub fn choices<'s>(&'s self, visitor: &'s Visitor, item: ItemNo, offer: LineOffer) -> Choices<'s> {
        let LineOffer { own, flowing, windows: open, is_without_window } = offer;
        let priced = self.items.get(item.index()).filter(|item| item.is_priced).map(|item| (item, visitor));
        let whole = WindowOffer { window: WindowNo::default(), own, flowing, priced };
        Choices { is_whole_next: is_without_window, whole, open, windows: &self.windows, item }
    }

    /// What may serve this customer later, of a line that stock can't serve now.
    #[must_use]
    pub fn later(&self, visitor: &Visitor, item: ItemNo, named: Option<PoolNo>) -> LaterChance {
        let mut later = LaterChance { at: Timestamp::NEVER, by_trigger: false };
        let Some(of) = self.items.get(item.index()) else { return later };
        let (own, flowing) = of.eligible(visitor, named);
        let theirs = own.or(flowing);
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
        if !visitor.is_over_windows() {
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
    fn through_open_windows(&self, visitor: &Visitor, item: ItemNo, named: Option<PoolNo>) -> Places {
        if self.comes_through_none(visitor) {
            return Places::ALL;
        }
        let open = self.windows.iter().filter(|window| window.state == WindowState::Open);
        let theirs = open.filter(|window| window.is_for(visitor, item, named));
        theirs.fold(Places::default(), |pools, window| pools.or(window.pools_of(item)))
    }
}

impl LineOffer {
    /// Whether several windows are open to the line.
    #[must_use]
    pub fn has_choice(self) -> bool {
        self.windows.count() > 1
    }
}

impl Choices<'_> {
    /// The first `count` pools of an item, for everyone and without a price: what a drop without rules offers.
    #[must_use]
    pub fn of_all(count: usize) -> Self {
        let own = Places::first(count);
        let whole = WindowOffer { window: WindowNo::default(), own, flowing: Places::default(), priced: None };
        Self { is_whole_next: true, whole, open: Places::default(), windows: &[], item: ItemNo::default() }
    }
}

impl<'s> Iterator for Choices<'s> {
    type Item = WindowOffer<'s>;

    #[inline]
    fn next(&mut self) -> Option<WindowOffer<'s>> {
        if std::mem::take(&mut self.is_whole_next) {
            return Some(self.whole);
        }
        let window = self.windows.get(self.open.next()?)?;
        let (through, WindowOffer { own, flowing, .. }) = (window.pools_of(self.item), self.whole);
        Some(WindowOffer { window: window.number, own: own.and(through), flowing: flowing.and(through), ..self.whole })
    }
}

/// The pools, in the order of drawing, each with what is pinned to its units.
#[expect(clippy::copy_iterator, reason = "a choice is looked at more than once, each time from its beginning")]
impl Iterator for WindowOffer<'_> {
    type Item = (PoolNo, Pinned);

    #[inline]
    fn next(&mut self) -> Option<(PoolNo, Pinned)> {
        let place = match self.own.next() {
            Some(place) => place,
            None => self.flowing.next()?,
        };
        let offer = match self.priced {
            None => OfferNo::default(),
            // An offered pool has a price for the customer.
            Some((item, visitor)) => item.pools.get(place)?.price_for(visitor)?,
        };
        Some((PoolNo(u16::try_from(place).ok()?), Pinned { window: self.window, offer }))
    }
}
