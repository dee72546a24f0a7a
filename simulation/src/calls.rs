//! Callers: their requests, the check of each answer against the model, and what an answer guarantees.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use stockade_engine::Engine;
use stockade_journal::Ticket;
use stockade_types::hold::HoldState;
use stockade_types::record::{PoolBasis, Record, Restart};
use stockade_types::time::Timestamp;

use crate::compare::{self, remembered};
use crate::draw;
use crate::model::Verb;
use crate::model::reserves::Ask;
use crate::model::says::{self, Said};
use crate::model::state::{Model, ModelHold};
use crate::model::words::START;
use crate::simulation::{Checked, Plant, Simulation};

/// Requests that callers may send again.
const SENT_MAX: usize = 24;

/// A request as it was sent.
#[derive(Debug, Clone)]
pub enum Sent {
    Reserve(Ask),
    On(Verb),
}

/// A caller that waits for durability.
#[derive(Debug)]
pub struct Pending(Ticket);

impl Pending {
    pub const fn new(ticket: Ticket) -> Self {
        Self(ticket)
    }

    /// Whether the caller has an answer by now, and whether the record is durable.
    pub fn poll(&mut self) -> Option<bool> {
        match Pin::new(&mut self.0).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(reported) => Some(reported.is_ok()),
            Poll::Pending => None,
        }
    }

    pub const fn lsn(&self) -> u64 {
        self.0.lsn().0
    }
}

/// The state before an operation, which its records are checked against.
#[derive(Debug)]
pub struct Before {
    /// The LSN of the last record before it.
    pub appended: u64,
    /// Holds that were due.
    pub due: BTreeSet<u64>,
    /// The model with those holds expired.
    pub was: Model,
    /// The same model; later with the operation applied.
    pub seen: Model,
    /// The states after an operation's records but the last.
    pub earlier: Vec<Model>,
}

impl Simulation {
    pub(crate) fn call(&mut self) -> Checked {
        let seen = self.seen();
        let sent = if self.dice.percent(45) {
            Sent::Reserve(draw::ask(&mut self.dice, &seen))
        } else {
            Sent::On(draw::verb(&mut self.dice, &seen))
        };
        if self.sent.len() == SENT_MAX {
            let gone = self.dice.place(SENT_MAX);
            self.sent.swap_remove(gone);
        }
        self.sent.push(sent.clone());
        self.send(&sent)
    }

    /// A caller without an answer, or that did not wait for one, sends the request again.
    pub(crate) fn call_again(&mut self) -> Checked {
        if self.sent.is_empty() {
            return Ok(());
        }
        let place = self.dice.place(self.sent.len());
        let mut sent = self.sent.get(place).cloned().expect("one of them");
        self.coverage.count("did again");
        if let Sent::Reserve(ask) = &mut sent
            && self.dice.percent(20)
        {
            // The same id by mistake for another request.
            (ask.partial, ask.customer) =
                if self.dice.percent(50) { (!ask.partial, ask.customer) } else { (ask.partial, 1) };
        }
        self.send(&sent)
    }

    /// The model as callers see it: due holds are expired.
    pub(crate) fn seen(&self) -> Model {
        let mut seen = self.truth.clone();
        seen.now = self.machine.now();
        seen.expire();
        seen
    }

    pub(crate) fn before(&self) -> Before {
        let seen = self.seen();
        let live = self.truth.holds.iter().filter(|(_, hold)| hold.is_live());
        let due = live.map(|(id, _)| *id).filter(|id| !seen.holds.get(id).is_some_and(ModelHold::is_live));
        let (due, was) = (due.collect(), seen.clone());
        Before { appended: self.engine().journal().appended().0, due, was, seen, earlier: Vec::new() }
    }

    fn send(&mut self, sent: &Sent) -> Checked {
        let now = self.machine.instant();
        let engine = self.engine();
        let mut before = self.before();
        let (hold, expected, mut said) = match sent {
            Sent::Reserve(ask) => {
                let mut asked = ask.clone();
                if self.options.plant == Some(Plant::LimitPassed) && ask.hold % 8 == 0 {
                    asked.over.limits = true;
                }
                if self.options.plant == Some(Plant::ForgottenKey) && before.seen.holds.contains_key(&ask.hold) {
                    asked.hold = self.dice.number();
                }
                let expected = before.seen.reserve(ask);
                (ask.hold, expected, says::reserved(&engine, &asked, now))
            }
            Sent::On(verb) => {
                // If the model has no such hold, the engine finds none either, whichever drop is named.
                let drop = before.seen.drop_of(verb.hold()).unwrap_or(0);
                let expected = before.seen.on_hold(verb, verb.hold());
                (verb.hold(), expected, says::answered(&engine, verb, drop, now))
            }
        };
        self.log(&format!("{sent:?} -> {}", said.text));
        self.count_call(sent, &said.text);
        if said.text != expected {
            return self.violated(format!("expected {expected}, got {}", said.text));
        }
        if self.options.plant == Some(Plant::UnitTwice) && said.text.starts_with("Released") {
            give_twice(&engine, hold);
        }
        if self.options.plant == Some(Plant::StrayRecord) && before.seen == before.was {
            stray(&engine, now);
        }
        self.explain(before)?;
        self.check(compare::hold(&engine, &self.truth, hold))?;
        if self.options.plant == Some(Plant::EarlyRefusal)
            && said.text.starts_with(char::is_lowercase)
            && said.text.ends_with(']')
        {
            said.ticket = Some(Ticket::ready());
        }
        self.rests_on_what_it_shows(&said)?;
        self.wait_for(said);
        Ok(())
    }

    /// Checks that an answer or a refusal that shows a hold waits until that state of the hold is durable.
    fn rests_on_what_it_shows(&self, said: &Said) -> Checked {
        let (Some(ticket), Some(shown)) = (&said.ticket, said.shown) else { return Ok(()) };
        if ticket.lsn().0 < shown {
            return self.violated(format!("an answer waits for {}, but shows {shown}", ticket.lsn()));
        }
        Ok(())
    }

    /// The caller waits, or goes away.
    pub(crate) fn wait_for(&mut self, said: Said) {
        let Some(ticket) = said.ticket else { return };
        if self.dice.percent(10) {
            self.coverage.count("call cancelled");
            return;
        }
        self.pending.push(Pending::new(ticket));
    }

    /// Explains each record that an operation has appended. It must be the expiry of a due hold, or, last, the
    /// requested operation; that record must exist if the operation changes anything.
    pub(crate) fn explain(&mut self, before: Before) -> Checked {
        let Before { appended, due, was, seen, earlier } = before;
        let mut states: Vec<Model> = earlier.into_iter().chain((seen != was).then_some(seen)).collect();
        let engine = self.engine();
        let last = engine.journal().appended().0;
        let mut expired: BTreeMap<u64, u64> = BTreeMap::new();
        let mut ended_otherwise = Vec::new();
        for id in due {
            match remembered(&engine, id) {
                Some(hold) if hold.revision.0 <= appended => {
                    // No request has reached this hold yet: by the records it is live.
                    for state in &mut states {
                        if let (Some(hold), Some(was)) = (state.holds.get_mut(&id), self.truth.holds.get(&id)) {
                            (hold.state, hold.conduct_at) = (was.state, was.conduct_at);
                        }
                    }
                }
                Some(hold) if hold.state == HoldState::Expired => {
                    expired.insert(hold.revision.0, id);
                }
                Some(_) => ended_otherwise.push(id),
                None => return self.violated(format!("hold {id} is gone")),
            }
        }
        // The operation's own records are the last ones.
        let main = (last + 1).saturating_sub(u64::try_from(states.len()).expect("few"));
        if main <= appended || (main..=last).any(|lsn| expired.contains_key(&lsn)) {
            return self.violated("what was asked for has no record");
        }
        let mut unexplained: Vec<u64> = (appended + 1..main).filter(|lsn| !expired.contains_key(lsn)).collect();
        for id in ended_otherwise {
            // It was claimed late: it expired first, and the record of that is no longer its revision.
            match unexplained.pop() {
                Some(lsn) => expired.insert(lsn, id),
                None => return self.violated(format!("hold {id} was due and has no record of its expiry")),
            };
        }
        if let Some(lsn) = unexplained.first() {
            return self.violated(format!("record {lsn} says what nobody asked for"));
        }
        let now = self.machine.now();
        let mut states = states.into_iter();
        for lsn in appended + 1..=last {
            if let Some(hold) = expired.get(&lsn).and_then(|id| self.truth.holds.get_mut(id)) {
                hold.end(HoldState::Expired, hold.expires_at);
            } else if let Some(state) = states.next() {
                self.truth = state;
            }
            self.history.append(now, &self.truth);
        }
        self.truth.now = now;
        Ok(())
    }

    /// Answers the callers whose records have become durable.
    pub(crate) fn answers(&mut self) -> Checked {
        let durable = self.engine().journal().durable().0;
        for mut pending in std::mem::take(&mut self.pending) {
            match self.heard(&mut pending) {
                Some(true) => self.reported(pending.lsn(), durable)?,
                Some(false) => return self.violated("a caller got the error of a failed journal"),
                None if self.options.plant == Some(Plant::EarlyAcknowledgement) => self.acknowledged = pending.lsn(),
                None => {
                    self.waits(pending.lsn(), durable)?;
                    self.pending.push(pending);
                }
            }
        }
        Ok(())
    }

    /// The caller's answer by now.
    pub(crate) fn heard(&self, pending: &mut Pending) -> Option<bool> {
        if self.options.plant == Some(Plant::NeverTold) { None } else { pending.poll() }
    }

    /// Checks that a caller that still waits does so for something that is not durable yet.
    pub(crate) fn waits(&self, lsn: u64, durable: u64) -> Checked {
        if lsn <= durable {
            return self.violated(format!("a caller waits for record {lsn}, and {durable} is durable"));
        }
        Ok(())
    }

    pub(crate) fn reported(&mut self, lsn: u64, durable: u64) -> Checked {
        self.coverage.count("call acknowledged");
        self.acknowledged = self.acknowledged.max(lsn);
        if lsn > durable {
            return self.violated(format!("record {lsn} was acknowledged, {durable} is durable"));
        }
        Ok(())
    }

    fn count_call(&mut self, sent: &Sent, text: &str) {
        let did = match sent {
            Sent::Reserve(ask) => {
                let named = ask.lines.iter().any(|line| line.pool.is_some());
                let over_windows = ask.over.windows && self.truth.drops[ask.drop].has_rules();
                for (is, what) in [
                    (ask.over.limits, "over limits"),
                    (ask.partial, "partly"),
                    (over_windows, "over windows"),
                    (named, "from a named pool"),
                    (text.contains(" w"), "through a window"),
                    (text.contains('='), "at a price"),
                    (self.truth.life_max(ask).is_some(), "a shorter life by conduct"),
                ] {
                    if is && text.starts_with("Held") {
                        self.coverage.count(&format!("did reserve {what}"));
                    }
                }
                if ask.old.is_some() && text.starts_with("Held") { "supersede" } else { "reserve" }
            }
            Sent::On(Verb::Extend { .. }) => "extend",
            Sent::On(Verb::Stage { .. }) => "stage",
            Sent::On(Verb::Claim { late: true, .. }) if text.starts_with("Claimed") => "claim late",
            Sent::On(Verb::Claim { .. }) => "claim",
            Sent::On(Verb::Release { .. }) => "release",
            Sent::On(Verb::Return { .. }) => "return",
            Sent::On(Verb::Get { .. }) => "get",
        };
        self.coverage.count(&format!("did {did}"));
        let first = text.split([' ', '[']).next().unwrap_or_default();
        match first {
            "exists" => self.coverage.count("answer already_exists"),
            "not" => self.coverage.count("answer not_found"),
            "invalid" | "precondition" => self.coverage.count(&format!("answer {first}")),
            state if state.starts_with(char::is_uppercase) => {
                self.coverage.count(&format!("answer {}", state.to_lowercase()));
            }
            reason => {
                self.coverage.count(&format!("refused {reason}"));
                if text.contains("] c") {
                    self.coverage.count("refused by conduct");
                }
                if text.contains("may come back") {
                    self.coverage.count("refused sold_out and may come back");
                }
            }
        }
    }
}

/// Appends a record that changes nothing and that no request explains.
fn stray(engine: &Engine, now: Timestamp) {
    let record = Record::Restart(Restart { stopped_at: now, grace_until: START, at: None });
    if let Ok(permit) = engine.journal().permit() {
        let _ticket = engine.journal().append(permit, &[record], now);
    }
}

/// Does what a faulty counter would do that returns a released unit twice.
fn give_twice(engine: &Engine, hold: u64) {
    let Some(hold) = remembered(engine, hold) else { return };
    let _done = engine.inventory().drops.with_number(hold.drop, |drop| {
        for pool in drop.pools() {
            let basis = pool.basis();
            let more = PoolBasis { received: basis.received + 1, ..basis };
            pool.adjust(engine.journal().appended(), more);
        }
    });
}
