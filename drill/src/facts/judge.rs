//! Judges a drop's facts in the journal's order.

use std::collections::HashSet;
use std::fmt;

use stockade_proto as pb;

use super::books::Books;
use super::{Fact, Line, Moment};
use crate::rules::{Breach, Fired, Mark, Visitor};

/// Marks of what is made known: of the stock, and of signals.
const MADE_KNOWN: [&str; 5] = ["sold_out", "back_in_stock", "band_changed", "signal_fired", "signal_missed"];

/// Findings that are described in words; further ones are only counted.
const FINDINGS_MAX: usize = 10;

/// What the facts of a drop show. All counts of findings must be 0.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Trial {
    /// Records of the drop, at each of which all pools were added up.
    pub records: u64,
    /// Holds that were made.
    pub holds: u64,
    /// Facts of the rules: openings, windows, flows, tranches, steps, slots, closings.
    pub marks: u64,
    /// Starts after a crash or a stop.
    pub restarts: u64,
    /// Holds that were made before the drop opened, after it closed, or while it was paused.
    pub outside_drop: u64,
    /// Lines through a window outside its marks, or one that is not for the customer.
    pub outside_window: u64,
    /// Lines from a pool that is not for the customer and had not flowed.
    pub foreign_pool: u64,
    /// Lines at a price that was not the customer's then.
    pub wrong_price: u64,
    /// Lines of a pickup slot that were reserved or claimed late when it had begun.
    pub begun_slot: u64,
    /// Facts of the rules that came twice, too early, behind the closing, or without their level of
    /// stock.
    pub wrong_mark: u64,
    /// Records after which a pool does not add up.
    pub conservation: u64,
    /// Records that are missing or out of order.
    pub gaps: u64,
    /// The first findings in words.
    pub findings: Vec<String>,
}

impl Trial {
    /// The counts that must be 0, by name.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, u64); 8] {
        [
            ("holds outside the drop", self.outside_drop),
            ("lines outside a window", self.outside_window),
            ("lines of a foreign pool", self.foreign_pool),
            ("wrong prices", self.wrong_price),
            ("lines of a slot that has begun", self.begun_slot),
            ("wrong marks", self.wrong_mark),
            ("records that do not add up", self.conservation),
            ("gaps", self.gaps),
        ]
    }

    /// All findings together.
    #[must_use]
    pub fn violations(&self) -> u64 {
        self.counts().iter().map(|(_, count)| *count).fold(0, u64::saturating_add)
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records, holds, marks, restarts, .. } = self;
        write!(f, "journal: {records} records of the drop, {holds} holds, {marks} marks, {restarts} restarts")?;
        for (name, count) in self.counts().into_iter().filter(|(_, count)| *count > 0) {
            write!(f, "; {count} {name}")?;
        }
        Ok(())
    }
}

/// The drop at a record.
struct Court<'a> {
    drop: &'a pb::Drop,
    books: Books,
    marks: HashSet<Mark>,
    /// When the drop was to open.
    opening: String,
    paused: bool,
    trial: Trial,
}

/// Judges all facts of a drop, which was defined as `drop` and never changed. `tiers` knows the tiers of each customer.
#[must_use]
pub fn judge(drop: &pb::Drop, facts: &[Fact], tiers: impl Fn(&str) -> Vec<String>) -> Trial {
    let (marks, opening, trial) = (HashSet::new(), String::new(), Trial::default());
    let mut court = Court { drop, books: Books::of(drop), marks, opening, paused: false, trial };
    let mut next = 1;
    for fact in facts {
        if fact.lsn != next {
            court.found(|trial| &mut trial.gaps, || format!("record {next} is missing: {} is next", fact.lsn));
        }
        next = fact.lsn.saturating_add(1);
        if fact.kind == "restart" {
            court.trial.restarts = court.trial.restarts.saturating_add(1);
        }
        if fact.drop_id.as_deref() == Some(&drop.id) {
            court.hear(fact, &tiers);
        }
    }
    court.trial
}

impl Court<'_> {
    fn found(&mut self, count: impl Fn(&mut Trial) -> &mut u64, what: impl FnOnce() -> String) {
        let counter = count(&mut self.trial);
        *counter = counter.saturating_add(1);
        if self.trial.findings.len() < FINDINGS_MAX {
            self.trial.findings.push(what());
        }
    }

    fn hear(&mut self, fact: &Fact, tiers: &impl Fn(&str) -> Vec<String>) {
        self.trial.records = self.trial.records.saturating_add(1);
        let entered = match fact.kind.as_str() {
            "hold" => {
                self.made(fact, &tiers(fact.customer_id.as_deref().unwrap_or_default()));
                self.enter(fact)
            }
            "superseded" if fact.superseded_hold_id.is_some() => {
                let ended = self.books.end(fact.superseded_hold_id.as_deref().unwrap_or_default());
                ended.and_then(|()| self.enter(fact))
            }
            "claimed" if fact.late == Some(true) => {
                self.slots(fact);
                self.enter(fact)
            }
            "extended" | "claimed" | "released" | "expired" | "returned" | "superseded" => {
                let is_made = self.books.has(fact.hold_id.as_deref().unwrap_or_default());
                self.enter(fact).and(if is_made { Ok(()) } else { Err("no record made this hold".to_owned()) })
            }
            "adjusted" => self.books.adjusted(fact),
            _ => self.of_drop(fact),
        };
        let mut wrong: Vec<String> = entered.err().into_iter().collect();
        wrong.extend(self.books.overdrawn());
        wrong.extend(self.books.compared(fact));
        for what in wrong {
            self.found(|trial| &mut trial.conservation, || format!("record {}: {what}", fact.lsn));
        }
    }

    fn enter(&mut self, fact: &Fact) -> Result<(), String> {
        let (id, state) = (fact.hold_id.as_deref().unwrap_or_default(), fact.state.as_deref().unwrap_or_default());
        self.books.hold(id, state, fact.lines.as_deref().unwrap_or_default())
    }

    /// A change of the drop: what it has fired.
    fn of_drop(&mut self, fact: &Fact) -> Result<(), String> {
        self.paused = fact.paused.unwrap_or(self.paused);
        let mut entered = Ok(());
        for moment in fact.moments.iter().flatten() {
            // What is made known follows from the stock, and is no rule.
            if MADE_KNOWN.contains(&moment.what.as_str()) {
                continue;
            }
            let Some(mark) = moment.mark() else {
                let what = &moment.what;
                self.found(|trial| &mut trial.wrong_mark, || format!("record {}: {what:?} is no rule", fact.lsn));
                continue;
            };
            self.trial.marks = self.trial.marks.saturating_add(1);
            if let Some(what) = self.wrong(&mark, moment, fact) {
                self.found(|trial| &mut trial.wrong_mark, || format!("record {}: {mark:?} {what}", fact.lsn));
            }
            match &mark {
                Mark::Opened => self.opening.clone_from(&moment.scheduled_for),
                Mark::Tranche(id) => entered = entered.and(self.books.tranche(self.drop, id)),
                Mark::Closed
                | Mark::WindowOpened(_)
                | Mark::WindowClosed(_)
                | Mark::Flowed(..)
                | Mark::TermsStarted(_)
                | Mark::TermsEnded(_)
                | Mark::SlotStarted(_)
                | Mark::Stepped(..) => {}
            }
            self.marks.insert(mark);
        }
        if fact.closed.is_some() {
            self.marks.insert(Mark::Closed);
        }
        entered
    }

    /// What is wrong with a mark: it was there, it is early, or its level of stock was not reached.
    fn wrong(&self, mark: &Mark, moment: &Moment, fact: &Fact) -> Option<&'static str> {
        if self.marks.contains(mark) {
            return Some("was there before");
        }
        if fact.at.as_ref().is_some_and(|at| *at < moment.scheduled_for) {
            return Some("is earlier than it was to be");
        }
        if *mark != Mark::Opened && !self.marks.contains(&Mark::Opened) {
            return Some("is earlier than the opening");
        }
        if self.marks.contains(&Mark::Closed) && !matches!(mark, Mark::SlotStarted(_)) {
            return Some("is later than the closing");
        }
        let terms = |id: &String| self.drop.terms.iter().find(|terms| terms.id == *id);
        let triggers: Vec<&pb::Trigger> = match mark {
            Mark::Flowed(sku, pool, to) => {
                let item = self.drop.items.iter().filter(|item| item.sku == *sku);
                let pools = item.flat_map(|item| &item.pools).filter(|defined| defined.id == *pool);
                let flows = pools.flat_map(|pool| &pool.flows).filter(|flow| flow.to == *to);
                flows.map(|flow| flow.when.as_ref()).collect::<Option<_>>()?
            }
            Mark::Stepped(id, place) => {
                let step = terms(id).and_then(|terms| terms.steps.get(usize::from(*place)));
                step.and_then(|step| step.when.as_ref()).into_iter().collect()
            }
            Mark::Tranche(id) => {
                let tranche = self.drop.tranches.iter().filter(|tranche| tranche.id == *id);
                tranche.filter_map(|tranche| tranche.when.as_ref()).collect()
            }
            Mark::Opened
            | Mark::Closed
            | Mark::WindowOpened(_)
            | Mark::WindowClosed(_)
            | Mark::TermsStarted(_)
            | Mark::SlotStarted(_)
            | Mark::TermsEnded(_) => return None,
        };
        let counts = |sku: &str| match mark {
            Mark::Flowed(own, ..) => own == sku,
            Mark::Stepped(id, _) => {
                terms(id).is_some_and(|terms| terms.skus.is_empty() || terms.skus.iter().any(|of| of == sku))
            }
            Mark::Opened
            | Mark::Closed
            | Mark::WindowOpened(_)
            | Mark::WindowClosed(_)
            | Mark::Tranche(_)
            | Mark::TermsStarted(_)
            | Mark::SlotStarted(_)
            | Mark::TermsEnded(_) => true,
        };
        let may = |trigger: &&pb::Trigger| match &trigger.on {
            Some(pb::trigger::On::Stock(level)) => self.books.reaches(level, counts),
            // Its instant is `scheduled_for`, which has come.
            Some(pb::trigger::On::Moment(_)) | None => true,
        };
        (!triggers.iter().any(may)).then_some("fired without its level of stock")
    }

    /// Units that are taken: none of a slot that has begun.
    fn slots(&mut self, fact: &Fact) {
        let lines: &[Line] = fact.lines.as_deref().unwrap_or_default();
        for line in lines.iter().filter(|line| line.quantity > 0) {
            if self.marks.contains(&Mark::SlotStarted(line.sku.clone())) {
                let id = fact.hold_id.as_deref().unwrap_or_default();
                let what = || format!("record {}: hold {id} takes slot {}, which has begun", fact.lsn, line.sku);
                self.found(|trial| &mut trial.begun_slot, what);
            }
        }
    }

    /// A new hold: by the marks that are there.
    fn made(&mut self, fact: &Fact, tiers: &[String]) {
        self.trial.holds = self.trial.holds.saturating_add(1);
        let id = fact.hold_id.clone().unwrap_or_default();
        let created = fact.created_at.as_deref().unwrap_or_default();
        let runs = self.marks.contains(&Mark::Opened) && !self.marks.contains(&Mark::Closed) && !self.paused;
        if !runs || created < self.opening.as_str() {
            let what = || format!("record {}: hold {id} was made while the drop was not open", fact.lsn);
            self.found(|trial| &mut trial.outside_drop, what);
        }
        self.slots(fact);
        let marks = &self.marks;
        let fired = |mark: &Mark| if marks.contains(mark) { Fired::Yes } else { Fired::No };
        let visitor = Visitor { drop: self.drop, tiers, fired: &fired };
        let lines: &[Line] = fact.lines.as_deref().unwrap_or_default();
        let breaches: Vec<_> = lines.iter().filter_map(|line| visitor.served(&line.shown()).err()).collect();
        for (breach, what) in breaches {
            let what = || format!("record {}: hold {id}: {what}", fact.lsn);
            match breach {
                Breach::Window => self.found(|trial| &mut trial.outside_window, what),
                Breach::Pool => self.found(|trial| &mut trial.foreign_pool, what),
                Breach::Price => self.found(|trial| &mut trial.wrong_price, what),
            }
        }
    }
}
