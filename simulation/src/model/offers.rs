//! What rules offer of a line in the naive model, by the contract's words, and what they may bring later.

use super::plan;
use super::reserves::Ask;
use super::state::Model;
use super::{Place, Wanted};

/// What a line may draw on through one window: the pools in order, each with its price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    pub window: Option<u8>,
    pub pools: Vec<(u16, Option<usize>)>,
}

/// Why nothing of a line is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    Closed,
    NotOpen(u64),
    NotEligible,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    ToCome(u64),
    Open,
    Over,
}

impl Model {
    /// The choices of a line, in the order of windows.
    pub fn offered(&self, ask: &Ask, line: Wanted) -> Result<Vec<Choice>, Why> {
        let plan = &self.drops[ask.drop].plan;
        if self.has_begun(ask.drop, line.item) {
            return Err(Why::Closed);
        }
        let pools = self.eligible(ask, line);
        if pools.is_empty() {
            return Err(Why::NotEligible);
        }
        if plan.windows.is_empty() || ask.over.windows {
            return Ok(vec![Choice { window: None, pools }]);
        }
        let theirs = self.windows_for(ask, line);
        let open = theirs.iter().filter(|(_, stage)| *stage == Stage::Open).map(|(window, _)| {
            let through = pools.iter().filter(|(pool, _)| plan.windows[*window].reach.reaches(*pool));
            Choice { window: Some(plan.windows[*window].id), pools: through.copied().collect() }
        });
        let choices: Vec<Choice> = open.filter(|choice| !choice.pools.is_empty()).collect();
        let next = theirs.iter().filter_map(|(_, stage)| if let Stage::ToCome(at) = stage { Some(*at) } else { None });
        match (choices.is_empty(), next.min()) {
            (false, _) => Ok(choices),
            (true, Some(at)) => Err(Why::NotOpen(at)),
            (true, None) if !theirs.is_empty() && theirs.iter().all(|(_, stage)| *stage == Stage::Over) => {
                Err(Why::Closed)
            }
            (true, None) => Err(Why::NotEligible),
        }
    }

    /// The windows that are for this customer and a line, by their places.
    fn windows_for(&self, ask: &Ask, line: Wanted) -> Vec<(usize, Stage)> {
        let drop = &self.drops[ask.drop];
        let mut all = Vec::new();
        for (place, window) in drop.plan.windows.iter().enumerate() {
            let pools = 0..u16::try_from(drop.pools[line.item].len()).expect("few");
            let mut pools = pools.filter(|pool| line.pool.is_none_or(|named| named == *pool));
            let here = window.reach.covers(line.item) && pools.any(|pool| window.reach.reaches(pool));
            if here && (ask.over.windows || window.crowd.has(ask.gold, &ask.zones)) {
                all.push((place, self.stage_of(ask.drop, place)));
            }
        }
        all
    }

    /// A window's stage, by what has fired.
    fn stage_of(&self, drop: usize, place: usize) -> Stage {
        let drop = &self.drops[drop];
        let window = &drop.plan.windows[place];
        let opened =
            if window.span.starts.is_none() { drop.opened.is_some() } else { drop.has_fired(&plan::opens(window.id)) };
        match window.span.starts {
            _ if window.span.ends.is_some() && drop.has_fired(&plan::closes(window.id)) => Stage::Over,
            _ if opened => Stage::Open,
            Some(_) => {
                let planned = drop.plan.planned(0).into_iter();
                let starts = planned.filter(|(_, _, what)| *what == plan::opens(window.id)).find_map(|(at, ..)| at);
                starts.map_or(Stage::Over, Stage::ToCome)
            }
            None => Stage::ToCome(drop.plan.opens),
        }
    }

    /// The pools that a line may draw on, with prices: the customer's own, then those whose flow to one of these has
    /// fired.
    fn eligible(&self, ask: &Ask, line: Wanted) -> Vec<(u16, Option<usize>)> {
        let drop = &self.drops[ask.drop];
        let pools = 0..u16::try_from(drop.pools[line.item].len()).expect("few");
        let own = |pool: u16| self.is_own(ask, (line.item, pool));
        let first = pools.clone().filter(|pool| own(*pool));
        let then = pools.filter(|pool| !own(*pool) && self.has_flown(ask, (line.item, *pool)));
        let all = first.chain(then).filter(|pool| self.may_name(ask, line, *pool));
        all.filter_map(|pool| Some((pool, self.price(ask, (line.item, pool))?))).collect()
    }

    /// Whether a pool has opened to this customer by a flow.
    fn has_flown(&self, ask: &Ask, place: Place) -> bool {
        let drop = &self.drops[ask.drop];
        let fired = |to: u16| drop.has_fired(&plan::flows(ask.drop, place, to));
        drop.plan.pool(place).flows.iter().any(|(to, _)| fired(*to) && self.is_own(ask, (place.0, *to)))
    }

    fn is_own(&self, ask: &Ask, place: Place) -> bool {
        ask.over.windows || self.drops[ask.drop].plan.pool(place).crowd.has(ask.gold, &ask.zones)
    }

    /// A pool is drawn on by lines that name it or, unless it is a place, by those that name none.
    fn may_name(&self, ask: &Ask, line: Wanted, pool: u16) -> bool {
        match line.pool {
            Some(named) => named == pool,
            None => !self.drops[ask.drop].plan.pool((line.item, pool)).is_place,
        }
    }

    /// The price of a pool's units for this customer: that of the first terms that fit. None if none fit; the price is
    /// none if no terms name the item.
    #[expect(clippy::option_option, reason = "whether it is for this customer, and whether it has a price")]
    fn price(&self, ask: &Ask, (item, pool): Place) -> Option<Option<usize>> {
        let drop = &self.drops[ask.drop];
        if !drop.plan.prices.iter().any(|terms| terms.reach.covers(item)) {
            return Some(None);
        }
        let fits = drop.plan.prices.iter().find(|terms| {
            let begun = terms.span.starts.is_none() || drop.has_fired(&plan::starts(terms.id));
            let over = terms.span.ends.is_some() && drop.has_fired(&plan::ends(terms.id));
            let here = terms.reach.covers(item) && terms.reach.reaches(pool);
            begun && !over && here && (ask.over.windows || terms.crowd.has(ask.gold, &ask.zones))
        })?;
        let steps = fits.steps.iter().enumerate().rev();
        let step = steps.filter(|(place, _)| drop.has_fired(&plan::steps_to(fits.id, *place))).map(|(_, step)| step.1);
        let price = step.into_iter().next().unwrap_or(fits.price);
        Some(drop.offers.iter().position(|offer| *offer == (fits.id, price)))
    }

    /// When a flow, a tranche or a window may bring units of this line to this customer, and whether something may at
    /// an instant that is not known.
    pub fn later(&self, ask: &Ask, line: Wanted) -> (Option<u64>, bool) {
        let drop = &self.drops[ask.drop];
        let now: Vec<u16> = match self.offered(ask, line) {
            Ok(choices) => choices.iter().flat_map(|choice| choice.pools.iter().map(|(pool, _)| *pool)).collect(),
            Err(_) => Vec::new(),
        };
        let eligible = self.eligible(ask, line);
        let planned = drop.plan.planned(ask.drop);
        let instant = |what: &str| planned.iter().find(|(_, _, of)| of == what).and_then(|(at, ..)| *at);
        let (mut at, mut unknown) = (Vec::new(), false);
        let mut comes = |what: &str| match instant(what) {
            _ if drop.has_fired(what) => {}
            Some(instant) => at.push(instant),
            None => unknown = true,
        };
        for tranche in drop.plan.tranches.iter().filter(|tranche| tranche.item == line.item) {
            if now.contains(&drop.pool_of(tranche)) {
                comes(&plan::comes(tranche.id));
            }
        }
        for (place, to, _) in drop.plan.flows().into_iter().filter(|(place, ..)| place.0 == line.item) {
            let open = self.is_own(ask, place) || self.has_flown(ask, place);
            if !open && self.is_own(ask, (line.item, to)) && self.may_name(ask, line, place.1) {
                comes(&plan::flows(ask.drop, place, to));
            }
        }
        if !ask.over.windows {
            for (window, stage) in self.windows_for(ask, line) {
                let reach = &drop.plan.windows[window].reach;
                let more = eligible.iter().any(|(pool, _)| reach.reaches(*pool) && !now.contains(pool));
                if let Stage::ToCome(opens) = stage
                    && more
                {
                    at.push(opens);
                }
            }
        }
        (at.into_iter().min(), unknown)
    }
}
