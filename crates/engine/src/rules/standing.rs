//! A drop's rules as they stand: its definition and the marks that are set, in numbers.

use smallvec::SmallVec;
use stockade_types::definition::{
    Definition, Item, OfferNo, PriceTerms, RuleNames, TermsNo, Trigger, Window, WindowNo,
};
use stockade_types::hold::HoldLine;
use stockade_types::ids::{ItemNo, PoolNo, TierId, ZoneId};
use stockade_types::record::{FlowPlace, Lifecycle, MarkKind};
use stockade_types::time::{Millis, Timestamp};

use super::places::Places;
use super::visitor::{AudienceNo, Audiences, Visitor};

/// The rules of a drop as they stand.
#[derive(Debug, Clone)]
pub struct Standing {
    audiences: Audiences,
    pub(super) windows: Vec<StandingWindow>,
    pub(super) items: Vec<StandingItem>,
    /// Whether goods are reserved with a pickup slot only.
    pub slot_required: bool,
    /// The shortest life that any window sets.
    shortest_hold_ttl: Option<Millis>,
}

/// A window, or one that is still to come.
#[derive(Debug, Clone)]
pub(super) struct StandingWindow {
    pub(super) number: WindowNo,
    pub(super) audience: AudienceNo,
    pub(super) state: WindowState,
    pub(super) hold_ttl: Option<Millis>,
    /// By item: the pools that may be drawn on through it.
    pub(super) pools: Vec<Places>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WindowState {
    /// It opens at this instant.
    ToCome(Timestamp),
    Open,
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SlotState {
    /// Goods.
    NoSlot,
    ToCome,
    Begun,
}

#[derive(Debug, Clone)]
pub(super) struct StandingItem {
    /// Whether it is a pickup slot, and if it has begun.
    pub(super) slot: SlotState,
    /// Whether any terms name a price of it, so that a pool without a price is for nobody.
    pub(super) is_priced: bool,
    pub(super) pools: Vec<StandingPool>,
    /// Stock that joins it by plan: which pool, and when if that is an instant.
    pub(super) tranches_to_come: SmallVec<[(usize, Option<Timestamp>); 1]>,
}

#[derive(Debug, Clone)]
pub(super) struct StandingPool {
    pub(super) audience: AudienceNo,
    /// Whether only lines that name it draw on it.
    pub(super) is_place: bool,
    /// The pools whose customers may draw on it by a flow that has fired.
    pub(super) flows_to: Places,
    /// Flows that have not fired: to whose customers, and when if that is an instant.
    pub(super) flows_to_come: SmallVec<[(usize, Option<Timestamp>); 1]>,
    /// Prices that are offered now, in the order in which they are tried.
    pub(super) prices: Vec<StandingPrice>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct StandingPrice {
    pub(super) audience: AudienceNo,
    pub(super) offer: OfferNo,
}

impl Standing {
    /// The rules of a drop that opens or has opened at `opens_at`; none if all customers are offered the same.
    #[must_use]
    pub fn of(definition: &Definition, lifecycle: &Lifecycle, opens_at: Timestamp) -> Option<Self> {
        if !definition.has_offers() {
            return None;
        }
        let rules = &definition.rules;
        let mut audiences = Audiences::default();
        let terms: Vec<CurrentTerms<'_>> = rules
            .prices
            .iter()
            .filter_map(|terms| CurrentTerms::of(definition, lifecycle, (terms, &mut audiences)))
            .collect();
        let windows: Vec<StandingWindow> = rules
            .windows
            .iter()
            .filter_map(|window| StandingWindow::of(definition, lifecycle, (window, opens_at), &mut audiences))
            .collect();
        let items = (0..).map(ItemNo).zip(&definition.items);
        let items = items.map(|item| StandingItem::of(definition, lifecycle, item, (&terms, &mut audiences))).collect();
        let shortest_hold_ttl = windows.iter().filter_map(|window| window.hold_ttl).min();
        Some(Self { audiences, windows, items, slot_required: rules.slot_required, shortest_hold_ttl })
    }

    /// The customer of a request, as these rules see one.
    #[must_use]
    pub fn visitor(&self, tiers: &[TierId], zones: &[ZoneId], is_over_windows: bool) -> Visitor {
        self.audiences.visitor(tiers, zones, is_over_windows)
    }

    /// Whether an item is a pickup slot.
    #[must_use]
    pub fn is_slot(&self, item: ItemNo) -> bool {
        self.items.get(item.index()).is_some_and(|item| item.slot != SlotState::NoSlot)
    }

    /// The shortest life that any window sets.
    #[must_use]
    pub const fn shortest_hold_ttl(&self) -> Option<Millis> {
        self.shortest_hold_ttl
    }

    /// Whether a pickup slot has begun.
    #[must_use]
    pub fn has_begun(&self, item: ItemNo) -> bool {
        self.items.get(item.index()).is_some_and(|item| item.slot == SlotState::Begun)
    }

    /// The life of a hold that came through this window, if the window sets one.
    #[must_use]
    pub fn hold_ttl(&self, window: WindowNo) -> Option<Millis> {
        self.windows.iter().find(|known| known.number == window)?.hold_ttl
    }
}

impl StandingWindow {
    fn of(
        definition: &Definition,
        lifecycle: &Lifecycle,
        (window, opens_at): (&Window, Timestamp),
        audiences: &mut Audiences,
    ) -> Option<Self> {
        let Window { id, audience, starts, ends, hold_ttl, .. } = window;
        let number = definition.rules.names.window_no(id)?;
        let begun = starts.is_none() && lifecycle.opened.is_some() || lifecycle.has(MarkKind::WindowOpens(number));
        let state = match (begun, ends.is_some() && lifecycle.has(MarkKind::WindowCloses(number))) {
            (_, true) => WindowState::Over,
            (true, false) => WindowState::Open,
            (false, false) => WindowState::ToCome(starts.map_or(opens_at, |starts| starts.at)),
        };
        let through = |item: &Item| {
            let reached = item.pools.iter().enumerate().filter(|(_, pool)| window.reaches(&pool.id));
            if window.covers(&item.sku) { Places::of(reached.map(|(place, _)| place)) } else { Places::default() }
        };
        let pools = definition.items.iter().map(through).collect();
        Some(Self { number, audience: audiences.number(audience), state, hold_ttl: *hold_ttl, pools })
    }
}

impl StandingItem {
    fn of(
        definition: &Definition,
        lifecycle: &Lifecycle,
        (number, item): (ItemNo, &Item),
        (terms, audiences): (&[CurrentTerms<'_>], &mut Audiences),
    ) -> Self {
        let to_come = definition.rules.tranches.iter().filter(|tranche| {
            let known = definition.rules.names.tranche_no(&tranche.id);
            tranche.sku == item.sku && !known.is_some_and(|known| lifecycle.has(MarkKind::Tranche(known)))
        });
        let tranches_to_come = to_come.filter_map(|tranche| {
            let named = |id| item.pool_no(id).map(PoolNo::index);
            let pool = tranche.pool.as_ref().map_or_else(|| item.usual_pool(), named)?;
            Some((pool, instant(&tranche.when)))
        });
        let pools = (0..).map(PoolNo).zip(&item.pools).map(|(from, pool)| {
            let mut flows_to = Places::default();
            let mut flows_to_come = SmallVec::new();
            for flow in &pool.flows {
                let Some(to) = item.pool_no(&flow.to) else { continue };
                match &flow.when {
                    _ if lifecycle.has(MarkKind::Flow(FlowPlace { item: number, from, to })) => {
                        flows_to.add(to.index());
                    }
                    when => flows_to_come.push((to.index(), when.as_ref().and_then(instant))),
                }
            }
            let here = terms.iter().filter(|terms| terms.of.covers(&item.sku) && terms.of.reaches(&pool.id));
            let prices = here.map(|terms| terms.price);
            StandingPool {
                audience: audiences.number(&pool.audience),
                is_place: pool.place.is_some(),
                flows_to,
                flows_to_come,
                prices: prices.collect(),
            }
        });
        Self {
            slot: match item.slot {
                None => SlotState::NoSlot,
                Some(_) if lifecycle.has(MarkKind::SlotStarts(number)) => SlotState::Begun,
                Some(_) => SlotState::ToCome,
            },
            is_priced: definition.rules.prices.iter().any(|terms| terms.covers(&item.sku)),
            pools: pools.collect(),
            tranches_to_come: tranches_to_come.collect(),
        }
    }
}

/// When it fires, if that is an instant.
const fn instant(trigger: &Trigger) -> Option<Timestamp> {
    match trigger {
        Trigger::Moment(moment) => Some(moment.at),
        Trigger::Stock(_) => None,
    }
}

/// Terms that are offered now, at their current price.
struct CurrentTerms<'a> {
    of: &'a PriceTerms,
    price: StandingPrice,
}

impl<'a> CurrentTerms<'a> {
    fn of(
        definition: &Definition,
        lifecycle: &Lifecycle,
        (terms, audiences): (&'a PriceTerms, &mut Audiences),
    ) -> Option<Self> {
        let names: &RuleNames = &definition.rules.names;
        let number: TermsNo = names.terms_no(&terms.id)?;
        let begun = terms.starts.is_none() || lifecycle.has(MarkKind::TermsStart(number));
        let over = terms.ends.is_some() && lifecycle.has(MarkKind::TermsEnd(number));
        // A price never goes back: the last step of the list that has fired counts, whenever it fired.
        let fired = (0..).zip(&terms.steps).filter(|(place, _)| lifecycle.has(MarkKind::PriceStep(number, *place)));
        let price = fired.last().map_or(terms.price, |(_, step)| step.price);
        let offer = names.offer_no(number, price)?;
        (begun && !over).then(|| {
            let audience = audiences.number(&terms.audience);
            Self { of: terms, price: StandingPrice { audience, offer } }
        })
    }
}

/// How long a hold of these lines lives if nothing else is asked for: the shortest life that a window of them sets; the
/// drop's if none does.
#[must_use]
pub fn usual_ttl(
    definition: &Definition,
    standing: Option<&Standing>,
    lines: impl Iterator<Item = HoldLine>,
) -> Millis {
    let with_own = standing.filter(|standing| standing.shortest_hold_ttl.is_some());
    let of_windows = with_own.and_then(|standing| lines.filter_map(|line| standing.hold_ttl(line.pinned.window)).min());
    of_windows.unwrap_or(definition.terms.hold_ttl)
}
