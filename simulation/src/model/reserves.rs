//! Reserves in the naive model, including those that supersede a hold and partial ones.

use std::collections::BTreeMap;

use stockade_engine::answer::{HoldView, RefusedLine};
use stockade_engine::command::Reserve;
use stockade_types::hold::HoldState;
use stockade_types::ids::IdentityKind;
use stockade_types::time::Millis;

use super::offers::{Choice, Why};
use super::rules::{Limited, Question, Subjects};
use super::state::{Model, ModelHold};
use super::words::{self, hold_id};
use super::{CUSTOMERS, DROPS, ITEMS, LIFE, Part, Parts, Place, Units, Wanted, by_item, in_order};

/// A reserve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    pub hold: u64,
    pub drop: usize,
    pub customer: usize,
    /// In the request's order.
    pub lines: Units,
    pub ttl: Option<u64>,
    pub cards: Vec<u8>,
    pub gold: bool,
    pub zones: Vec<&'static str>,
    pub over: Over,
    pub old: Option<u64>,
    pub partial: bool,
    pub aim: Aim,
}

/// What staff steps over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Over {
    pub limits: bool,
    pub windows: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// At existing items and holds.
    Something,
    /// At whatever was drawn, even if it is invalid.
    Anything,
}

/// What stock gives a line: units by part, or how many are free if it can't serve the line whole.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Drawn {
    line: Wanted,
    /// Units that the customer has already, in the hold that is superseded.
    own: u32,
    parts: Vec<(Part, u32)>,
    /// Set if it is short: how many units are free.
    short: Option<u32>,
}

impl Drawn {
    /// Units that the line can have.
    fn there(&self) -> u32 {
        self.own.min(self.line.units) + self.parts.iter().map(|(_, units)| units).sum::<u32>()
    }
}

/// What the answer to a reserve says about lines that got less.
pub fn shorts(view: &HoldView) -> String {
    let line =
        |line: &RefusedLine| format!(" {}:{} {} of {}", line.sku, line.reason.label(), line.available, line.requested);
    view.short_lines().iter().map(line).collect()
}

impl Ask {
    fn content(&self) -> BTreeMap<usize, u32> {
        by_item(&self.lines).into_iter().collect()
    }

    /// The units of each item and pool.
    fn by_pool(&self) -> BTreeMap<(usize, Option<u16>), u32> {
        self.lines.iter().map(|line| ((line.item, line.pool), line.units)).collect()
    }

    /// The lines as a refusal names them: items as the request names them first, each with its lines as they are served.
    fn as_told(&self) -> Units {
        let first = |item: usize| self.lines.iter().position(|line| line.item == item);
        let mut lines = in_order(&self.lines);
        lines.sort_by_key(|line| first(line.item));
        lines
    }

    pub fn command(&self) -> Reserve {
        let Self { hold, drop, customer, lines, ttl, cards, gold, zones, over, old, partial, aim: _ } = self;
        let kind: IdentityKind = "card".parse().expect("a kind");
        Reserve {
            ttl: ttl.map(Millis),
            tiers: if *gold { vec!["gold".parse().expect("a tier")] } else { Vec::new() },
            zones: zones.iter().map(|zone| zone.parse().expect("a zone")).collect(),
            identities: cards.iter().map(|card| (kind.clone(), card.to_string())).collect(),
            over_limits: over.limits.then(|| "asked".into()),
            over_windows: over.windows.then(|| "a friend".into()),
            supersedes: old.map(hold_id),
            allow_partial: *partial,
            lines: words::wanted(*drop, lines),
            ..words::reserve(hold_id(*hold), DROPS[*drop], CUSTOMERS[*customer], &[])
        }
    }
}

impl Model {
    /// The request adjusted to the state, if it is aimed at something: a new id, existing items and pools, and an own
    /// hold to supersede.
    pub fn in_earnest(&self, ask: &Ask) -> Ask {
        let mut ask = ask.clone();
        if ask.aim == Aim::Anything {
            return ask;
        }
        ask.hold = (0..u64::MAX).find(|id| !self.holds.contains_key(id)).expect("one of many");
        ask.old = ask.old.filter(|_| !self.holds.is_empty()).map(|old| self.known(old));
        if let Some(old) = ask.old.and_then(|old| self.holds.get(&old)) {
            (ask.drop, ask.customer) = (old.ask.drop, old.ask.customer);
        }
        let known = |line: &Wanted| self.drops[ask.drop].has(*line);
        if ask.lines.iter().any(known) {
            ask.lines.retain(known);
        }
        ask
    }

    /// The id of the n-th existing hold, modulo their number: live holds first, then the latest.
    pub fn known(&self, nth: u64) -> u64 {
        let mut known: Vec<_> = self.holds.iter().map(|(id, hold)| (!hold.is_live(), u64::MAX - id)).collect();
        known.sort_unstable();
        let nth = usize::try_from(nth).expect("small") % known.len().max(1);
        known.get(nth).map_or(0, |(_, id)| u64::MAX - id)
    }

    pub fn reserve(&mut self, ask: &Ask) -> String {
        let (id, drop) = (ask.hold, &self.drops[ask.drop]);
        if ask.lines.iter().any(|line| !drop.has(*line)) {
            return "invalid".to_owned();
        }
        let closed = "closed [] retry None".to_owned();
        if drop.archived.is_some() {
            return closed;
        }
        if let Some(hold) = self.holds.get(&id).or_else(|| self.leaving(id)) {
            return self.again(hold, ask);
        }
        if let Some(old) = ask.old
            && let Some(refused) = self.not_superseded(old, ask)
        {
            return refused;
        }
        if self.closed_since(ask.drop).is_some() {
            return closed;
        }
        if drop.paused {
            return "paused [] retry None".to_owned();
        }
        if drop.opened.is_none() {
            return format!("not_open [] retry {:?}", Some(drop.plan.opens - self.now));
        }
        let offers = match self.offers(ask) {
            Ok(offers) => offers,
            Err(refused) => return refused,
        };
        let served = if ask.partial { self.partly(ask, &offers) } else { self.wholly(ask, &offers) };
        let (has, shorts) = match served {
            Ok(served) => served,
            Err(refused) => return refused,
        };
        self.make(ask, has, shorts);
        self.show(id) + &self.holds[&id].shorts
    }

    /// What rules offer of each line, in the order of serving; nothing of one that the customer has whole already.
    fn offers(&self, ask: &Ask) -> Result<Vec<Vec<Choice>>, String> {
        let lines = in_order(&ask.lines);
        let plan = &self.drops[ask.drop].plan;
        let has_slot = lines.iter().any(|line| plan.is_slot(line.item));
        if lines.iter().all(|line| plan.is_slot(line.item)) {
            return Err("invalid".to_owned());
        }
        let found: Vec<_> = lines.iter().map(|line| (*line, self.offer_of(ask, *line))).collect();
        let closed: Vec<(Wanted, Why)> =
            found.iter().filter_map(|(line, of)| Some((*line, *of.as_ref().err()?))).collect();
        if !closed.is_empty() {
            let is_slot = |line: &Wanted| plan.is_slot(line.item);
            let others = found.iter().any(|(line, of)| of.is_ok() && !is_slot(line));
            if !ask.partial || !others || closed.iter().any(|(line, _)| is_slot(line)) {
                return Err(self.not_offered(ask, &closed));
            }
        }
        let offers: Vec<Vec<Choice>> = found.into_iter().map(|(_, offer)| offer.unwrap_or_default()).collect();
        for (line, offer) in lines.iter().zip(&offers).filter(|(line, _)| line.pool.is_none()) {
            let offered = |pool| offer.iter().any(|choice| choice.pools.iter().any(|(of, _)| *of == pool));
            if lines.iter().any(|other| other.item == line.item && other.pool.is_some_and(offered)) {
                return Err("invalid".to_owned());
            }
        }
        if plan.slot_required && !ask.over.windows && !has_slot {
            return Err("slot_required [] retry None".to_owned());
        }
        Ok(offers)
    }

    fn offer_of(&self, ask: &Ask, line: Wanted) -> Result<Vec<Choice>, Why> {
        if line.units <= self.own(ask, line) { Ok(Vec::new()) } else { self.offered(ask, line) }
    }

    /// Why nothing is offered of a line that needs something.
    fn barred(&self, ask: &Ask, line: Wanted) -> Option<&'static str> {
        self.offer_of(ask, line).err().map(|why| label(&why))
    }

    fn not_offered(&self, ask: &Ask, closed: &[(Wanted, Why)]) -> String {
        let first = ["closed", "not_open", "not_eligible"].into_iter();
        let reason = first.into_iter().find(|first| closed.iter().any(|(_, why)| label(why) == *first));
        // Worth another try once all windows are open; never if one line is refused for good.
        let opens = closed.iter().map(|(_, why)| if let Why::NotOpen(at) = why { Some(*at) } else { None });
        let opens = opens.reduce(|one, other| one.zip(other).map(|(one, other)| one.max(other))).flatten();
        let reported = ask.as_told().into_iter().filter_map(|line| {
            let (_, why) = closed.iter().find(|(of, _)| *of == line)?;
            Some(line.reported(ask.drop, label(why), self.own(ask, line)))
        });
        let (reported, retry) = (reported.collect::<Vec<_>>(), opens.map(|at| at - self.now));
        format!("{} {reported:?} retry {retry:?}", reason.expect("one of them"))
    }

    /// Units of a line that the customer has already, in the hold that is superseded.
    fn own(&self, ask: &Ask, line: Wanted) -> u32 {
        self.own_parts(ask, line).iter().map(|(_, units)| units).sum()
    }

    /// The same by part: units of a place stay only with a line that names it, all others with a line that names their
    /// pool or else with the one that names none.
    fn own_parts(&self, ask: &Ask, line: Wanted) -> Vec<(Part, u32)> {
        let Some(old) = ask.old.and_then(|old| self.holds.get(&old)) else { return Vec::new() };
        let named = |place: Place| ask.lines.iter().any(|other| other.pool == Some(place.1) && other.is_of(place));
        let plan = &self.drops[ask.drop].plan;
        let stays = |place: Place| line.pool.is_some() || !named(place) && !plan.pool(place).is_place;
        let all = old.has.iter().filter(|(part, _)| line.is_of(part.place()) && stays(part.place()));
        all.map(|(part, units)| (*part, *units)).collect()
    }

    /// Draws each line from stock: through the first window that serves it whole. If none does, nothing or, partly, what
    /// there is, window by window.
    fn draw(&self, ask: &Ask, offers: &[Vec<Choice>]) -> Vec<Drawn> {
        let mut taken: BTreeMap<Place, u32> = BTreeMap::new();
        let mut all = Vec::new();
        for (line, offer) in in_order(&ask.lines).into_iter().zip(offers) {
            let own = self.own(ask, line);
            let need = line.units.saturating_sub(own);
            let draw = |choices: &[Choice]| {
                let (mut rest, mut mine) = (need, taken.clone());
                let mut parts = Vec::new();
                for choice in choices {
                    for (pool, price) in &choice.pools {
                        let of_pool = mine.entry((line.item, *pool)).or_default();
                        let free = u32::try_from(self.free_in(ask.drop, (line.item, *pool))).expect("small");
                        let units = rest.min(free - *of_pool);
                        (*of_pool, rest) = (*of_pool + units, rest - units);
                        if units > 0 {
                            let (item, pool, window, offer) = (line.item, *pool, choice.window, *price);
                            parts.push((Part { item, pool, window, offer }, units));
                        }
                    }
                }
                (parts, need - rest, mine)
            };
            let each: Vec<_> = offer.iter().map(|choice| draw(std::slice::from_ref(choice))).collect();
            let most = each.iter().map(|(_, units, _)| *units).max().unwrap_or(0);
            let whole = each.into_iter().find(|(_, units, _)| *units == need);
            let short = (whole.is_none() && need > 0).then_some(most);
            let (parts, units, mine) = match whole {
                Some(whole) => whole,
                None if ask.partial => draw(offer),
                None => (Vec::new(), 0, taken.clone()),
            };
            taken = mine;
            // Partly, windows together may serve whole what none of them does alone.
            let short = if ask.partial { short.map(|_| units).filter(|units| *units < need) } else { short };
            all.push(Drawn { line, own, parts, short });
        }
        all
    }

    /// What a line gets: `units`, first those that the customer has, then those drawn.
    fn gets(&self, ask: &Ask, drawn: &Drawn, units: u32, has: &mut Parts) {
        let mut rest = units;
        for (part, units) in self.own_parts(ask, drawn.line).into_iter().chain(drawn.parts.iter().copied()) {
            let units = units.min(rest);
            rest -= units;
            if units > 0 {
                *has.entry(part).or_default() += units;
            }
        }
    }

    fn wholly(&self, ask: &Ask, offers: &[Vec<Choice>]) -> Result<(Parts, String), String> {
        let drawn = self.draw(ask, offers);
        if let Some(refused) = self.refused(ask, (&drawn, offers)) {
            return Err(refused);
        }
        let mut has = Parts::new();
        for drawn in &drawn {
            self.gets(ask, drawn, drawn.line.units, &mut has);
        }
        Ok((has, String::new()))
    }

    /// Serves what there is and limits allow, one line after the other, items as the request names them first; and the
    /// answer's text about items that get less. Nothing is served of goods alone, or of a slot that is not whole.
    fn partly(&self, ask: &Ask, offers: &[Vec<Choice>]) -> Result<(Parts, String), String> {
        let plan = &self.drops[ask.drop].plan;
        let all = self.draw(ask, offers);
        let mut served: Vec<(Wanted, u32)> = Vec::new();
        let mut shorts: BTreeMap<usize, &str> = BTreeMap::new();
        for line in ask.as_told() {
            let drawn = all.iter().find(|drawn| drawn.line == line).expect("each line is drawn");
            let there = drawn.there();
            let (mut gets, mut reason) = (there, "sold_out");
            if there > 0 {
                let lines: Units = served.iter().map(|(line, units)| Wanted { units: *units, ..*line }).collect();
                let with = [&lines[..], &[Wanted { units: there, ..line }]].concat();
                let (limited, _) = self.limits_on(ask, &by_item(&with));
                if let (Some((why, _)), Some(room)) = (limited.lines.get(&line.item), limited.room.get(&line.item)) {
                    let before = lines.iter().filter(|other| other.item == line.item).map(|other| other.units);
                    gets = there.min(room.saturating_sub(before.sum()));
                    reason = if there < line.units { reason } else { why.label() };
                }
            }
            reason = self.barred(ask, line).unwrap_or(reason);
            served.push((line, gets));
            if gets < line.units {
                shorts.entry(line.item).or_insert(reason);
            }
        }
        let goods = served.iter().any(|(line, units)| *units > 0 && !plan.is_slot(line.item));
        if !goods || served.iter().any(|(line, units)| plan.is_slot(line.item) && *units < line.units) {
            return Err(self.refused(ask, (&all, offers)).expect("nothing is served and nothing is refused"));
        }
        let mut has = Parts::new();
        for drawn in &all {
            let units = served.iter().find(|(line, _)| *line == drawn.line).map_or(0, |(_, units)| *units);
            self.gets(ask, drawn, units, &mut has);
        }
        let of = |item: usize| has.iter().filter(|(part, _)| part.item == item).map(|(_, units)| units).sum::<u32>();
        let reported = by_item(&ask.lines).into_iter().filter_map(|(item, units)| {
            Some(format!(" {}:{} {} of {units}", ITEMS[ask.drop][item], shorts.get(&item)?, of(item)))
        });
        let reported = reported.collect();
        Ok((has, reported))
    }

    fn make(&mut self, ask: &Ask, has: Parts, shorts: String) {
        let life_max = self.life_max(ask);
        let life = life_max.map_or(LIFE, |of_conduct| of_conduct.min(LIFE));
        let ttl = ask.ttl.unwrap_or_else(|| self.usual_ttl(ask.drop, &has)).min(life);
        let drop = &self.drops[ask.drop];
        let (mut created_at, mut expires_at) = (self.now, self.now + ttl);
        let gold = ask.gold && drop.rules.iter().any(|rule| rule.gold.is_some());
        if let Some(old) = ask.old.and_then(|old| self.holds.get_mut(&old)) {
            created_at = old.created_at;
            expires_at = old.expires_at.max(expires_at.min(created_at + life));
            (old.state, old.superseded_by) = (HoldState::Released, Some(ask.hold));
        }
        let hold = ModelHold {
            ask: ask.clone(),
            gold,
            shorts,
            superseded_by: None,
            has,
            state: HoldState::Held,
            created_at,
            expires_at,
            grace: false,
            life_max,
            conduct_at: None,
            order: None,
            returned: Parts::new(),
            withdrawn: Parts::new(),
        };
        self.holds.insert(ask.hold, hold);
    }

    /// The life of a hold of these units if nothing else is asked for: the shortest that the windows set that they came
    /// through, else the drop's.
    pub fn usual_ttl(&self, drop: usize, has: &Parts) -> u64 {
        let windows = &self.drops[drop].plan.windows;
        let of = |part: &Part| windows.iter().find(|window| Some(window.id) == part.window)?.ttl;
        has.keys().filter_map(of).min().unwrap_or(self.drops[drop].ttl)
    }

    fn again(&self, hold: &ModelHold, ask: &Ask) -> String {
        let asked = &hold.ask;
        let lines = asked.by_pool() != ask.by_pool();
        let others = lines || asked.old != ask.old;
        // The pools that a request has named are not kept: that they differ is told only where a place is named.
        let plan = &self.drops[ask.drop].plan;
        let named = ask.lines.iter().any(|line| line.pool.is_some());
        let places = || hold.has.keys().any(|part| plan.pool(part.place()).is_place);
        let differs = [
            ("drop_id", asked.drop != ask.drop),
            ("customer.id", asked.customer != ask.customer),
            ("lines", asked.content() != ask.content()),
            ("allow_partial", asked.partial != ask.partial && !others),
            ("lines", (others || asked.partial != ask.partial) && (named || places())),
            ("supersedes", others),
        ];
        if let Some((field, _)) = differs.iter().find(|(_, differs)| *differs) {
            return format!("exists {field}");
        }
        match hold.state {
            HoldState::Held | HoldState::Paying | HoldState::Claimed => self.show(ask.hold) + &hold.shorts,
            HoldState::Released => self.dead(ask.hold, hold.released()),
            HoldState::Expired => self.dead(ask.hold, "hold_expired"),
        }
    }

    /// Why this request can't supersede the hold.
    fn not_superseded(&self, old: u64, ask: &Ask) -> Option<String> {
        let theirs = |hold: &&ModelHold| (hold.ask.customer, hold.ask.drop) == (ask.customer, ask.drop);
        let Some(hold) = self.holds.get(&old).filter(theirs) else {
            return Some("not found".to_owned());
        };
        let reason = match hold.state {
            HoldState::Held => return None,
            HoldState::Paying => "payment_in_progress",
            HoldState::Claimed => "hold_claimed",
            HoldState::Released => hold.released(),
            HoldState::Expired => "hold_expired",
        };
        Some(self.dead(old, reason))
    }

    /// The result of the limits for these units of a request, and the refusal of its lines.
    fn limits_on(&self, ask: &Ask, units: &[(usize, u32)]) -> (Limited, Option<String>) {
        if ask.over.limits {
            return (Limited::default(), None);
        }
        let subjects = Subjects { customer: ask.customer, cards: &ask.cards, gold: ask.gold };
        let slots = &self.slots();
        let question = Question { drop: ask.drop, subjects, units, slots, late: None, now: self.now };
        let limited = self.limited(&question, ask.old, &self.active(ask));
        let barred = |line: &Wanted| Some(line.reported(ask.drop, self.barred(ask, *line)?, self.own(ask, *line)));
        let reported = limited.reported(&question, &ask.as_told(), barred);
        (limited, reported)
    }

    /// Why the customer can't have all of these lines now.
    fn refused(&self, ask: &Ask, (drawn, offers): (&[Drawn], &[Vec<Choice>])) -> Option<String> {
        let (limited, told_by_limits) = self.limits_on(ask, &by_item(&ask.lines));
        if drawn.iter().all(|drawn| drawn.short.is_none() || self.barred(ask, drawn.line).is_some()) {
            return told_by_limits;
        }
        let mut reported = Vec::new();
        let (mut retry, mut may_come_back) = (Some(0), true);
        for line in ask.as_told() {
            let at = drawn.iter().position(|drawn| drawn.line == line).expect("each line is drawn");
            if let Some(why) = self.barred(ask, line) {
                reported.push(line.reported(ask.drop, why, drawn[at].own));
                continue;
            }
            let left = limited.lines.get(&line.item);
            let Some(free) = drawn[at].short else {
                reported.extend(left.map(|(reason, left)| line.reported(ask.drop, reason.label(), *left)));
                continue;
            };
            let there = free + drawn[at].own;
            reported.push(line.reported(ask.drop, "sold_out", left.map_or(there, |(_, left)| there.min(*left))));
            let pools: Vec<u16> = offers[at].iter().flat_map(|choice| choice.pools.iter().map(|of| of.0)).collect();
            let others = self.holds.iter().filter(|(id, _)| Some(**id) != ask.old).map(|(_, hold)| hold);
            let live = others.filter(|hold| hold.ask.drop == ask.drop && hold.is_live());
            let holding = live.filter(|hold| pools.iter().any(|pool| hold.owns_in((line.item, *pool)) > 0));
            let (later, unknown) = self.later(ask, line);
            let next = holding.map(|hold| hold.expires_at).chain(later).min().map(|at| at - self.now);
            retry = retry.and_then(|latest: u64| next.map(|next| next.max(latest)));
            may_come_back &= next.is_some() || unknown;
        }
        let back = if may_come_back { " may come back" } else { "" };
        Some(format!("sold_out {reported:?} retry {retry:?}{back}"))
    }
}

const fn label(why: &Why) -> &'static str {
    match why {
        Why::Closed => "closed",
        Why::NotOpen(_) => "not_open",
        Why::NotEligible => "not_eligible",
    }
}
