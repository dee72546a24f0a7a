//! What a drop's rules allow a customer, by the contract alone: through which windows, from which pools, at which
//! price.
//!
//! Everything follows from the drop's definition, the customer's tiers, and what has fired. The caller says what
//! has fired: by the journal's order, exactly; or by the instants that `GetDrop` shows, with a margin for what fires at
//! a level of stock.

use serde::{Deserialize, Serialize};
use stockade_proto as pb;

use crate::wire::instant;

/// A fact that a drop's rules depend on. Once it is there, it stays.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// The drop is open.
    Opened,
    /// The drop is closed.
    Closed,
    /// This window is open.
    WindowOpened(String),
    /// This window is over.
    WindowClosed(String),
    /// A pool of a SKU is open to those of another pool: SKU, pool, the other pool.
    Flowed(String, String, String),
    /// The units of this tranche are there.
    Tranche(String),
    /// These terms count from now on.
    TermsStarted(String),
    /// These terms count no more.
    TermsEnded(String),
    /// The price of these terms has made this step.
    Stepped(String, u8),
    /// This pickup slot has begun: it can't be reserved any more.
    SlotStarted(String),
}

/// Whether a fact was there at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fired {
    /// Surely not.
    No,
    /// It can't be known.
    Perhaps,
    /// Surely.
    Yes,
}

/// What a hold's line breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breach {
    /// Its window.
    Window,
    /// Its pool.
    Pool,
    /// Its price.
    Price,
}

/// A customer at a drop, when some facts were there.
#[derive(Clone, Copy)]
pub struct Visitor<'a> {
    /// The drop, as it was defined.
    pub drop: &'a pb::Drop,
    /// The customer's tiers.
    pub tiers: &'a [String],
    /// What had fired.
    pub fired: &'a dyn Fn(&Mark) -> Fired,
}

impl Fired {
    fn but_not(self, end: Self) -> Self {
        match end {
            Self::No => self,
            Self::Perhaps => self.min(Self::Perhaps),
            Self::Yes => Self::No,
        }
    }
}

fn names(list: &[String], name: &str) -> bool {
    list.is_empty() || list.iter().any(|listed| listed == name)
}

impl<'a> Visitor<'a> {
    /// Whether the customer is in an audience. Customers here have no zones.
    fn is_in(&self, audience: Option<&pb::Audience>) -> bool {
        audience.is_none_or(|pb::Audience { tiers, zones }| {
            (tiers.is_empty() || tiers.iter().any(|tier| self.tiers.contains(tier))) && zones.is_empty()
        })
    }

    fn is_open(&self, window: &pb::Window) -> Fired {
        let opened = || (self.fired)(&Mark::WindowOpened(window.id.clone()));
        let closed = || (self.fired)(&Mark::WindowClosed(window.id.clone()));
        let from = if window.starts.is_some() { opened() } else { (self.fired)(&Mark::Opened) };
        from.but_not(if window.ends.is_some() { closed() } else { (self.fired)(&Mark::Closed) })
    }

    /// Whether a window, or the drop itself, lets the customer reserve a SKU.
    #[must_use]
    pub fn may_reserve(&self, sku: &str) -> Fired {
        let runs = (self.fired)(&Mark::Opened).but_not((self.fired)(&Mark::Closed));
        if self.drop.windows.is_empty() {
            return runs;
        }
        let theirs = |window: &&pb::Window| self.is_in(window.audience.as_ref()) && names(&window.skus, sku);
        let open = self.drop.windows.iter().filter(theirs).map(|window| self.is_open(window));
        open.max().unwrap_or(Fired::No).min(runs)
    }

    fn item(&self, sku: &str) -> Option<&'a pb::Item> {
        self.drop.items.iter().find(|item| item.sku == sku)
    }

    /// Whether the customer may draw on a pool: their own, or one that has flowed to their own.
    fn may_draw(&self, item: &pb::Item, pool: &pb::Pool) -> Fired {
        if self.is_in(pool.audience.as_ref()) {
            return Fired::Yes;
        }
        let own = |id: &str| item.pools.iter().any(|pool| pool.id == id && self.is_in(pool.audience.as_ref()));
        let mark = |flow: &pb::Flow| Mark::Flowed(item.sku.clone(), pool.id.clone(), flow.to.clone());
        let flows = pool.flows.iter().filter(|flow| own(&flow.to));
        flows.map(|flow| (self.fired)(&mark(flow))).max().unwrap_or(Fired::No)
    }

    /// The places of an item's pools that the customer may surely draw on; of an item without pools, its only one.
    #[must_use]
    pub fn pools(&self, sku: &str) -> Vec<usize> {
        let Some(item) = self.item(sku).filter(|item| !item.pools.is_empty()) else { return vec![0] };
        let pools = item.pools.iter().enumerate();
        pools.filter(|(_, pool)| self.may_draw(item, pool) == Fired::Yes).map(|(place, _)| place).collect()
    }

    /// The prices that units of a pool may have for the customer: terms and price. None: units of the SKU have no
    /// price.
    fn prices(&self, sku: &str, pool: &str) -> Option<Vec<(&'a str, Option<&'a pb::Money>)>> {
        let terms = || self.drop.terms.iter().filter(|terms| names(&terms.skus, sku));
        terms().next()?;
        let mut prices = Vec::new();
        for terms in terms().filter(|terms| names(&terms.pools, pool) && self.is_in(terms.audience.as_ref())) {
            let started = |id| if terms.starts.is_some() { (self.fired)(&Mark::TermsStarted(id)) } else { Fired::Yes };
            let ended = |id| if terms.ends.is_some() { (self.fired)(&Mark::TermsEnded(id)) } else { Fired::No };
            let fits = started(terms.id.clone()).but_not(ended(terms.id.clone()));
            if fits > Fired::No {
                self.steps(terms, &mut prices);
            }
            if fits == Fired::Yes {
                break;
            }
        }
        Some(prices)
    }

    /// The last step that has fired counts, or else the price at first.
    fn steps(&self, terms: &'a pb::Terms, prices: &mut Vec<(&'a str, Option<&'a pb::Money>)>) {
        for (place, step) in (0_u8..).zip(&terms.steps).collect::<Vec<_>>().into_iter().rev() {
            let fired = (self.fired)(&Mark::Stepped(terms.id.clone(), place));
            if fired > Fired::No {
                prices.push((&terms.id, step.price.as_ref()));
            }
            if fired == Fired::Yes {
                return;
            }
        }
        prices.push((&terms.id, terms.price.as_ref()));
    }

    /// What is wrong with a line that this customer was served.
    ///
    /// # Errors
    /// The breach, in words.
    pub fn served(&self, line: &pb::HoldLine) -> Result<(), (Breach, String)> {
        let pb::HoldLine { sku, pool, window, terms_id, unit_price, .. } = line;
        let breach = |breach, what: String| Err((breach, what));
        let item = self.item(sku).ok_or((Breach::Pool, format!("{sku} is no item of the drop")))?;
        let through = self.drop.windows.iter().find(|defined| defined.id == *window);
        match through {
            None if self.drop.windows.is_empty() && window.is_empty() => {}
            None => return breach(Breach::Window, format!("no window {window:?} is defined")),
            Some(defined) if !self.is_in(defined.audience.as_ref()) => {
                return breach(Breach::Window, format!("window {window} is not for tiers {:?}", self.tiers));
            }
            Some(defined) if !names(&defined.skus, sku) || !names(&defined.pools, pool) => {
                return breach(Breach::Window, format!("window {window} does not lead to pool {pool} of {sku}"));
            }
            Some(defined) if self.is_open(defined) == Fired::No => {
                return breach(Breach::Window, format!("window {window} was not open"));
            }
            Some(_) => {}
        }
        let may_draw = match item.pools.iter().find(|defined| defined.id == *pool) {
            Some(defined) => self.may_draw(item, defined),
            // An item without pools has one of this name.
            None if item.pools.is_empty() && pool == "general" => Fired::Yes,
            None => return breach(Breach::Pool, format!("no pool {pool:?} of {sku} is defined")),
        };
        if may_draw == Fired::No {
            return breach(Breach::Pool, format!("pool {pool} of {sku} was not open to tiers {:?}", self.tiers));
        }
        let fits = match self.prices(sku, pool) {
            None => terms_id.is_empty() && unit_price.is_none(),
            Some(prices) => prices.iter().any(|(id, price)| id == terms_id && *price == unit_price.as_ref()),
        };
        let shown = unit_price.as_ref().map_or(0, |price| price.minor_units);
        if fits { Ok(()) } else { breach(Breach::Price, format!("{shown} by terms {terms_id:?} was not the price")) }
    }

    /// How long a hold through a window lives.
    #[must_use]
    pub fn hold_ttl(&self, window: &str) -> Option<prost_types::Duration> {
        let own = self.drop.windows.iter().find(|defined| defined.id == window).and_then(|defined| defined.hold_ttl);
        own.or(self.drop.hold_ttl)
    }
}

/// Whether a trigger is an instant: then it is exact.
fn is_moment(trigger: Option<&pb::Trigger>) -> bool {
    trigger.is_some_and(|trigger| matches!(trigger.on, Some(pb::trigger::On::Moment(_))))
}

/// What had fired at an instant of the server's time, in milliseconds, by what `GetDrop` shows: `shown` is the drop as
/// the server shows it later. Within `margin` milliseconds after something has fired by a level of stock, or by hand,
/// it can't be known.
pub fn by_time(shown: &pb::Drop, at: u64, margin: u64) -> impl Fn(&Mark) -> Fired {
    let exact = move |since: Option<prost_types::Timestamp>| match since {
        Some(since) if instant(Some(since)) <= at => Fired::Yes,
        Some(_) | None => Fired::No,
    };
    let about = move |since: Option<prost_types::Timestamp>, is_exact: bool| match since {
        Some(_) if is_exact => exact(since),
        // Both ends: the instant is read before the fact is recorded, and a request may have read the clock before it.
        Some(since) if instant(Some(since)).saturating_add(margin) < at => Fired::Yes,
        Some(since) if instant(Some(since)) <= at.saturating_add(margin) => Fired::Perhaps,
        Some(_) | None => Fired::No,
    };
    move |mark| {
        let window = |id: &String| shown.windows.iter().find(|window| window.id == *id);
        match mark {
            Mark::Opened => exact(shown.opens_at),
            // A closing by hand is not shown with its instant.
            Mark::Closed if shown.state() == pb::DropState::Closed && shown.closes_at.is_none() => Fired::Perhaps,
            Mark::Closed => exact(shown.closes_at),
            Mark::WindowOpened(id) => exact(window(id).and_then(|window| window.starts_at)),
            Mark::WindowClosed(id) => exact(window(id).and_then(|window| window.ends_at)),
            Mark::Flowed(sku, pool, to) => {
                let item = shown.items.iter().find(|item| item.sku == *sku);
                let pool = item.and_then(|item| item.pools.iter().find(|defined| defined.id == *pool));
                let flows: Vec<_> = pool.iter().flat_map(|pool| &pool.flows).filter(|flow| flow.to == *to).collect();
                // Of several to one pool whichever comes first has fired them.
                let is_exact = flows.iter().all(|flow| is_moment(flow.when.as_ref()));
                flows.iter().map(|flow| about(flow.fired_at, is_exact)).max().unwrap_or(Fired::No)
            }
            Mark::SlotStarted(sku) => {
                let slot = shown.items.iter().find(|item| item.sku == *sku).and_then(|item| item.slot.as_ref());
                exact(slot.and_then(|slot| slot.resolved_starts_at))
            }
            Mark::Tranche(id) => {
                let tranche = shown.tranches.iter().find(|tranche| tranche.id == *id);
                tranche.map_or(Fired::No, |tranche| about(tranche.fired_at, is_moment(tranche.when.as_ref())))
            }
            // Their instants are not shown.
            Mark::TermsStarted(_) | Mark::TermsEnded(_) => Fired::Perhaps,
            Mark::Stepped(id, place) => {
                let terms = shown.terms.iter().find(|terms| terms.id == *id);
                let step = terms.and_then(|terms| terms.steps.get(usize::from(*place)));
                step.map_or(Fired::No, |step| about(step.fired_at, is_moment(step.when.as_ref())))
            }
        }
    }
}

/// The units that each pool of an item begins with, in the order of the pools; of an item without pools, all.
#[must_use]
pub fn sizes(item: &pb::Item) -> Vec<u64> {
    use pb::pool::Size;
    let size = |pool: &pb::Pool| match pool.size {
        Some(Size::Units(units)) => Some(units),
        Some(Size::ShareBasisPoints(points)) => {
            Some(item.quantity.saturating_mul(u64::from(points)).checked_div(10_000).unwrap_or(0))
        }
        None => None,
    };
    if item.pools.is_empty() {
        return vec![item.quantity];
    }
    let named = item.pools.iter().filter_map(size).fold(0, u64::saturating_add);
    item.pools.iter().map(|pool| size(pool).unwrap_or_else(|| item.quantity.saturating_sub(named))).collect()
}

/// The place of the pool to which stock goes that names none: the one without a size, else the first.
#[must_use]
pub fn rest(item: &pb::Item) -> usize {
    item.pools.iter().position(|pool| pool.size.is_none()).unwrap_or(0)
}

#[cfg(test)]
pub(crate) mod tests;
