//! What has fired in the naive model: at its moment, at a level of stock, by hand; and what an update may not touch any
//! more.

use stockade_engine::Engine;
use stockade_engine::answer::DropView;
use stockade_engine::command::FireFlow;
use stockade_engine::context::Context;
use stockade_types::hold::HoldState;
use stockade_types::record::MarkKind;
use stockade_types::time::Timestamp;

use super::plan::{self, CLOSES, Figure, Fires, OPENS, Plan, Planned, PricePlan, Span, Stand, TranchePlan, Triggered};
use super::says::Said;
use super::state::{Model, ModelDrop};
use super::stock;
use super::words::{START, drop_id, pool_id, sku};
use super::{DROPS, ITEMS, Place, sale};

/// Units of a part of the stock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    pub received: u64,
    pub free: u64,
    pub held: u64,
    pub paying: u64,
    pub claimed: u64,
    pub withdrawn: u64,
}

impl ModelDrop {
    pub fn has_fired(&self, what: &str) -> bool {
        self.fired.contains_key(what)
    }

    /// Whether it has rules.
    pub fn has_rules(&self) -> bool {
        let Plan { opens, closes, next, .. } = self.plan;
        self.plan != Plan { opens, closes, next, ..Plan::default() }
    }

    /// All that is scheduled, with opening and closing, and has not come by now, in order. Behind the closing only slots
    /// begin, and of a drop that never opened nothing.
    fn due(&self, drop: usize, now: u64) -> Vec<Planned> {
        if self.archived.is_some() || self.closed.is_some() && self.opened.is_none() {
            return Vec::new();
        }
        let mut all = self.plan.planned(drop);
        all.retain(|(_, _, what)| !self.has_fired(what) && (self.closed.is_none() || plan::is_beginning(what)));
        if self.opened.is_none() {
            all.push((Some(self.plan.opens), OPENS, String::new()));
        }
        if self.closed.is_none() {
            all.push((self.plan.closes, CLOSES, String::new()));
        }
        all.retain(|(at, ..)| at.is_some_and(|at| at <= now));
        all.sort();
        all
    }

    fn fire(&mut self, what: &str, at: u64) {
        self.fired.insert(what.to_owned(), at);
        let Some(tranche) = self.plan.tranches.iter().find(|tranche| plan::comes(tranche.id) == what) else { return };
        let pool = self.pool_of(tranche);
        self.pools[tranche.item][usize::from(pool)] += tranche.units;
    }

    /// The pool that a tranche joins.
    pub fn pool_of(&self, tranche: &TranchePlan) -> u16 {
        let pools = u16::try_from(self.pools[tranche.item].len()).expect("few");
        tranche.pool.unwrap_or_else(|| self.plan.usual_pool(tranche.item, pools))
    }

    /// Whether an update to this plan would change something that has fired.
    pub fn touches_fired(&self, drop: usize, wanted: &Plan) -> bool {
        let is = &self.plan;
        let moved = |what: [(String, bool); 2], is: Span, wanted: Span| {
            let starts = (self.has_fired(&what[0].0) || what[0].1) && is.starts != wanted.starts;
            starts || (self.has_fired(&what[1].0) || what[1].1) && is.ends != wanted.ends
        };
        let windows = is.windows.iter().any(|window| {
            let same = wanted.windows.iter().find(|other| other.id == window.id);
            // One that opens with the drop has opened with it.
            let opened = window.span.starts.is_none() && self.opened.is_some();
            let what = [(plan::opens(window.id), opened), (plan::closes(window.id), false)];
            let has_fired = || what.iter().any(|(name, known)| *known || self.has_fired(name));
            same.map_or_else(has_fired, |other| moved(what.clone(), window.span, other.span))
        });
        let steps = |terms: &PricePlan, other: &PricePlan| {
            let fired = |(place, _): &(usize, _)| self.has_fired(&plan::steps_to(terms.id, *place));
            terms.steps.iter().enumerate().filter(fired).any(|(place, step)| other.steps.get(place) != Some(step))
        };
        let prices = is.prices.iter().any(|terms| {
            let same = wanted.prices.iter().find(|other| other.id == terms.id);
            let what = [(plan::starts(terms.id), false), (plan::ends(terms.id), false)];
            let stepped = || (0..terms.steps.len()).any(|place| self.has_fired(&plan::steps_to(terms.id, place)));
            let has_fired = || stepped() || what.iter().any(|(name, _)| self.has_fired(name));
            same.map_or_else(has_fired, |other| moved(what.clone(), terms.span, other.span) || steps(terms, other))
        });
        let tranches = is
            .tranches
            .iter()
            .any(|tranche| self.has_fired(&plan::comes(tranche.id)) && !wanted.tranches.contains(tranche));
        let kept = wanted.flows();
        let flows = is
            .flows()
            .into_iter()
            .any(|flow| self.has_fired(&plan::flows(drop, flow.0, flow.1)) && !kept.contains(&flow));
        windows || prices || tranches || flows
    }
}

impl Model {
    /// The drop of which something is due, that with the earliest moment first. Behind the two drops come those of series.
    pub fn next_due(&self) -> Option<usize> {
        let first = |drop: usize| Some((self.drops[drop].due(drop, self.now).first()?.0, drop));
        let made = (self.drops.len()..).zip(&self.defined.made).filter(|(_, made)| !made.opened);
        let made = made.map(|(drop, made)| (Some(made.opens()), drop)).filter(|(at, _)| *at <= Some(self.now));
        (0..self.drops.len()).filter_map(first).chain(made).min().map(|(_, drop)| drop)
    }

    /// Fires all that is due of a drop; behind its closing only slots begin. Returns what each record says, and the model
    /// after it: before a closing it is made known what has changed of the stock by then.
    pub fn turn(&mut self, drop: usize) -> Vec<(Vec<String>, Self)> {
        if let Some(of_series) = drop.checked_sub(self.drops.len()) {
            self.defined.made[of_series].opened = true;
            return vec![(vec![String::new()], self.clone())];
        }
        let mut records = Vec::new();
        let mut due = self.drops[drop].due(drop, self.now);
        let closing = due.iter().position(|(_, rank, _)| *rank == CLOSES).filter(|_| self.is_on_sale(drop));
        if let Some(closing) = closing {
            let mut before = self.clone();
            let first = before.come(drop, &due[..closing]);
            let changes = before.last_changes(drop);
            if !changes.is_empty() {
                if !first.is_empty() {
                    records.push((first, before.clone()));
                }
                before.make_known(drop, &changes);
                records.push((changes, before.clone()));
                *self = before;
                due.drain(..closing);
            }
        }
        let come = self.come(drop, &due);
        records.push((come, self.clone()));
        records
    }

    fn come(&mut self, drop: usize, due: &[Planned]) -> Vec<String> {
        let mut come = Vec::new();
        for (at, rank, what) in due {
            let (known, at) = (&mut self.drops[drop], at.expect("it has an instant"));
            if known.closed.is_some() && !plan::is_beginning(what) {
                continue;
            }
            match *rank {
                OPENS => known.opened = Some(at),
                CLOSES => known.closed = Some(at),
                _ => known.fire(what, at),
            }
            come.push(what.clone());
        }
        come
    }

    /// Whether a drop on sale closes by its time within this number of milliseconds.
    pub fn closes_within(&self, span: u64) -> bool {
        let closes = |drop: &usize| self.drops[*drop].plan.closes.is_some_and(|at| at <= self.now + span);
        (0..self.drops.len()).any(|drop| self.is_on_sale(drop) && closes(&drop))
    }

    /// Fires all that is due of all drops.
    pub fn turn_all(&mut self) {
        while let Some(drop) = self.next_due() {
            self.turn(drop);
        }
    }

    /// Whether a drop is open and has something that fires at a level of stock and has not fired.
    pub fn watches(&self, drop: usize) -> bool {
        !self.to_come_by_level(drop).is_empty()
    }

    /// What fires at a level, of which items, and at which.
    fn to_come_by_level(&self, drop: usize) -> Vec<(String, Vec<usize>, Stand)> {
        let known = &self.drops[drop];
        let all = known.plan.triggers(drop, known.pools.len()).into_iter();
        let levels = all.filter_map(|Triggered { what, fires, items }| match fires {
            Fires::Level(stand) if !known.has_fired(&what) => Some((what, items, stand)),
            Fires::Level(_) | Fires::When(_) => None,
        });
        if self.state(drop) == "Open" { levels.collect() } else { Vec::new() }
    }

    /// What fires at a look at a drop's stock: all whose level is reached, of tranches the first.
    pub fn reached(&self, drop: usize) -> Vec<String> {
        let mut has_tranche = false;
        let mut reached = Vec::new();
        for (what, items, stand) in self.to_come_by_level(drop) {
            let tranche = self.drops[drop].plan.tranches.iter().any(|tranche| plan::comes(tranche.id) == what);
            if self.stands_at(drop, items, &stand) && !(tranche && has_tranche) {
                has_tranche |= tranche;
                reached.push(what);
            }
        }
        reached
    }

    /// Fires what a look has found.
    pub fn fire(&mut self, drop: usize, what: &[String]) {
        for what in what {
            self.drops[drop].fire(what, self.now);
        }
    }

    fn stands_at(&self, drop: usize, usual: Vec<usize>, stand: &Stand) -> bool {
        let items = stand.item.map_or(usual, |item| vec![item]);
        let mut sum = Figures::default();
        for item in items {
            for pool in 0..u16::try_from(self.drops[drop].pools[item].len()).expect("few") {
                if stand.pool.is_none_or(|named| named == pool) {
                    let of = self.figures(drop, (item, pool));
                    sum.received += of.received;
                    sum.free += of.free;
                    sum.held += of.held + of.paying;
                    sum.claimed += of.claimed;
                    sum.withdrawn += of.withdrawn;
                }
            }
        }
        let sellable = sum.received - sum.withdrawn;
        let is_part = |part: u64, points: u32| sellable > 0 && part * 10_000 >= sellable * u64::from(points);
        match stand.figure {
            Figure::FreeAtMost(most) => sum.received > 0 && sum.free <= most,
            Figure::Sold(points) => is_part(sum.claimed, points),
            Figure::Taken(points) => is_part(sum.claimed + sum.held, points),
        }
    }

    /// Whether an item is a pickup slot that has begun.
    pub fn has_begun(&self, drop: usize, item: usize) -> bool {
        self.drops[drop].has_fired(&plan::begins(drop, item))
    }

    /// The units of a pool. What is free of a slot that has begun is withdrawn.
    pub fn figures(&self, drop: usize, place: Place) -> Figures {
        let known = &self.drops[drop];
        let holds = self.holds.values().filter(|hold| hold.drop() == drop).chain(known.archived.iter().flatten());
        let mut figures = Figures {
            received: known.pools[place.0][usize::from(place.1)],
            free: self.free_in(drop, place),
            withdrawn: known.adjustments.taken_out(place),
            ..Figures::default()
        };
        for hold in holds {
            figures.withdrawn += u64::from(hold.withdrawn_in(place));
            let owned = u64::from(hold.owns_in(place));
            match hold.state {
                HoldState::Held => figures.held += owned,
                HoldState::Paying => figures.paying += owned,
                HoldState::Claimed => figures.claimed += owned,
                HoldState::Released | HoldState::Expired => {}
            }
        }
        if self.has_begun(drop, place.0) {
            figures.withdrawn += std::mem::take(&mut figures.free);
        }
        figures
    }

    /// Fires a flow by hand.
    pub fn fire_flow(&mut self, drop: usize, from: Place, to: u16) -> String {
        if !self.drops[drop].plan.flows().iter().any(|flow| (flow.0, flow.1) == (from, to)) {
            return "invalid".to_owned();
        }
        let what = plan::flows(drop, from, to);
        if self.drops[drop].has_fired(&what) {
            return self.state(drop);
        }
        if self.closed_since(drop).is_some() {
            return "precondition".to_owned();
        }
        self.fire(drop, &[what]);
        self.state(drop)
    }

    /// All that has come, with its instant.
    pub fn marks(&self, drop: usize) -> Vec<String> {
        self.drops[drop].fired.iter().map(|(what, at)| format!("{what} {at}")).collect()
    }
}

/// The engine's answer to a flow fired by hand.
pub fn fired(engine: &Engine, drop: usize, from: Place, to: u16, now: Timestamp) -> Said {
    let sku = sku(ITEMS[drop][from.0]);
    let command = FireFlow { drop: drop_id(DROPS[drop]), sku, pool: pool_id(from.1), to: pool_id(to) };
    stock::said(engine, engine.fire_flow(&command, Context::anonymous(now)))
}

/// The marks of a drop that the engine shows, in the form of [`Model::marks`].
pub fn shown_marks(drop: usize, view: &DropView) -> Vec<String> {
    let names = &view.definition.rules.names;
    let terms = |number| {
        let is_it = |id: &u8| names.terms_no(&format!("t{id}").parse().expect("an id")) == Some(number);
        (0..u8::MAX).find(is_it).expect("terms with a name")
    };
    let id = |text: &str| text[1..].parse::<u8>().expect("a number");
    let window = |number| id(names.window(number).expect("a window with a name").as_str());
    let reported = view.marks.iter().map(|mark| {
        let what = match mark.kind {
            MarkKind::WindowOpens(number) => plan::opens(window(number)),
            MarkKind::WindowCloses(number) => plan::closes(window(number)),
            MarkKind::Flow(flow) => plan::flows(drop, (flow.item.index(), flow.from.0), flow.to.0),
            MarkKind::Tranche(number) => plan::comes(id(names.tranche(number).expect("a tranche").as_str())),
            MarkKind::TermsStart(number) => plan::starts(terms(number)),
            MarkKind::TermsEnd(number) => plan::ends(terms(number)),
            MarkKind::PriceStep(number, step) => plan::steps_to(terms(number), usize::from(step)),
            MarkKind::SlotStarts(item) => plan::begins(drop, item.index()),
            MarkKind::Opens | MarkKind::Closes | MarkKind::Signal(_) | MarkKind::SignalMissed(_) => {
                mark.kind.label().to_owned()
            }
            MarkKind::SoldOut(_) | MarkKind::BackInStock(_) | MarkKind::Band(..) => {
                sale::in_words(mark.kind, &view.definition).expect("a mark of the stock")
            }
        };
        format!("{what} {}", START.until(mark.scheduled_for).0)
    });
    let mut reported: Vec<String> = reported.collect();
    reported.sort_unstable();
    reported
}
