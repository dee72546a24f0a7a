//! The effect of a call on a state: the states that are possible after it returned this answer. None: it can't have
//! returned that answer there.

use super::event::{Figures, Seen, Setup, Shown, Verb, Why};
use super::lens::{Op, Part, Said, Subject};
use super::state::{Entry, Life, Span, State};
use super::terms::Terms;

/// The context of a step.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// The part of the history.
    pub part: &'a Part,
    /// The settings of the run.
    pub setup: &'a Setup,
    /// The server's lives.
    pub terms: &'a Terms,
    /// The present one.
    pub term: u32,
    /// The upper bound of the server's time, in milliseconds.
    pub latest: u64,
    /// Whether changes that no answer has acknowledged by now may be lost in the crash that ends this life.
    pub may_be_lost: bool,
    /// For each entry, the number of calls that are not over.
    pub left: &'a [u32],
}

/// Two holds past their deadline that no call refers to are interchangeable if these are equal: units and, for figures,
/// whether in payment.
type Kind = (i64, bool);

impl Scene<'_> {
    fn units(&self, id: u32) -> i64 {
        usize::try_from(id).ok().and_then(|id| self.part.units.get(id)).copied().unwrap_or(0)
    }

    /// Units of the book that are left; none if it has no bound.
    #[must_use]
    pub fn free(&self, state: &State) -> Option<i64> {
        let taken = state.entries.iter().map(|entry| match entry.life {
            Life::Live { .. } | Life::Claimed(_) => self.units(entry.id),
            Life::Adjusted => self.units(entry.id).saturating_neg(),
            Life::Released | Life::Expired => 0,
        });
        let taken = taken.fold(state.sold.saturating_sub(state.added), i64::saturating_add);
        self.part.capacity.map(|capacity| capacity.saturating_sub(taken))
    }

    /// Removes an entry that no call refers to any more, and keeps its units in the sums.
    pub fn settle(&self, state: &mut State, entry: &Entry) {
        let units = self.units(entry.id);
        match entry.life {
            Life::Claimed(_) => state.sold = state.sold.saturating_add(units),
            Life::Adjusted => state.added = state.added.saturating_add(units),
            Life::Live { .. } | Life::Released | Life::Expired => {}
        }
        state.remove(entry.id);
    }

    /// The possible states after a call that was answered.
    #[must_use]
    pub fn answered(&self, op: &Op, state: &State) -> Vec<State> {
        match (&op.said, op.verb) {
            (Said::Hold(seen), Verb::Reserve { ttl }) if state.get(op.id).is_none() => self.made(op, state, seen, ttl),
            (Said::Hold(seen), verb) => self.moved(op, state, seen, verb).into_iter().collect(),
            (
                Said::Refused {
                    why: Why::SoldOut | Why::LimitReached | Why::NotOpen | Why::DropClosed | Why::NotEligible,
                    short,
                },
                Verb::Reserve { .. },
            ) => self.short(op, state, *short).into_iter().collect(),
            (Said::Refused { why, .. }, _) => self.dead(op, state, *why).into_iter().collect(),
            (Said::Absent, _) => state.get(op.id).is_none().then(|| state.clone()).into_iter().collect(),
            (Said::Adjusted, _) => vec![adjusted(op, state)],
            (Said::Figures(figures), _) => self.figures(figures, state),
            (Said::Unknown, _) => Vec::new(),
        }
    }

    /// After a reserve of a new hold.
    fn made(&self, op: &Op, state: &State, seen: &Seen, ttl: u64) -> Vec<State> {
        let due = seen.created.saturating_add(ttl.min(self.setup.max_hold_life));
        if seen.state != Shown::Held || op.now != Some(seen.created) || seen.due != due {
            return Vec::new();
        }
        let life = Life::Live { due: Span::at(seen.due), paying: false };
        let entry = Entry { id: op.id, life, created: Span::at(seen.created), before: Vec::new() };
        self.with_room(state, self.units(op.id))
            .into_iter()
            .map(|mut state| {
                state.put(entry.clone());
                state
            })
            .collect()
    }

    /// The state, if that many units are free in it; else those in which enough holds that may be past their deadline
    /// have expired.
    fn with_room(&self, state: &State, units: i64) -> Vec<State> {
        // Figures include holds past their deadline until a sweep returns their units.
        let is_shown = matches!(self.part.subject, Subject::Figures(_));
        if is_shown || self.free(state).is_none_or(|free| free >= units) {
            return vec![state.clone()];
        }
        let due = self.may_be_due(state);
        let mut rooms = Vec::new();
        self.expire_some(state, &due, &mut |state| {
            let enough = self.free(state).is_none_or(|free| free >= units);
            if enough {
                rooms.push(state.clone());
            }
            enough
        });
        rooms
    }

    /// Whether a call could be answered only because holds that may be past their deadline have expired: a call without
    /// an answer may have given it its units instead.
    #[must_use]
    pub fn is_tight(&self, op: &Op, state: &State, answered: &[State]) -> bool {
        match (&op.said, op.verb) {
            (Said::Hold(_), Verb::Reserve { .. }) if state.get(op.id).is_none() => {
                self.free(state).is_some_and(|free| free < self.units(op.id))
            }
            (Said::Figures(_), _) => !answered.contains(state),
            (Said::Hold(_) | Said::Refused { .. } | Said::Absent | Said::Adjusted | Said::Unknown, _) => false,
        }
    }

    /// Holds that may be past their deadline, in the order of the deadlines. A hold has its kind with it if no call
    /// refers to it and, for figures, its deadline has surely passed: only the kind tells such holds apart. Else its
    /// deadline must be known: of such holds the one that is due first expires first.
    fn may_be_due(&self, state: &State) -> Vec<(u32, Option<Kind>)> {
        let ran_until = self.terms.ran_until(self.term);
        let is_shown = matches!(self.part.subject, Subject::Figures(_));
        let is_left = |id: u32| usize::try_from(id).ok().and_then(|id| self.left.get(id)).is_some_and(|left| *left > 0);
        let due = state.entries.iter().filter_map(|entry| match entry.life {
            Life::Live { due, paying } if due.from <= self.latest => {
                let alike = if is_shown { due.until <= ran_until } else { due.from == due.until };
                let alike = alike && entry.before.is_empty() && !is_left(entry.id);
                let kind = (self.units(entry.id), is_shown && paying);
                Some((due.until, entry.id, alike.then_some(kind)))
            }
            Life::Live { .. } | Life::Claimed(_) | Life::Released | Life::Expired | Life::Adjusted => None,
        });
        let mut due: Vec<_> = due.collect();
        due.sort_unstable_by_key(|(until, id, _)| (*until, *id));
        due.into_iter().map(|(_, id, kind)| (id, kind)).collect()
    }

    /// Every choice of these holds to expire, but for further ones once `enough` holds. Of interchangeable ones, the
    /// first.
    fn expire_some(&self, state: &State, due: &[(u32, Option<Kind>)], enough: &mut impl FnMut(&State) -> bool) {
        if enough(state) {
            return;
        }
        for (place, (id, kind)) in due.iter().enumerate() {
            let skipped = due.get(..place).unwrap_or_default();
            if kind.is_some() && skipped.iter().any(|(_, other)| other == kind) {
                continue;
            }
            let rest = due.get(place.saturating_add(1)..).unwrap_or_default();
            self.expire_some(&self.expired(state, *id), rest, enough);
        }
    }

    /// The state with this hold expired.
    #[must_use]
    pub fn expired(&self, state: &State, id: u32) -> State {
        let mut state = state.clone();
        if let Some(entry) = state.get(id).map(|entry| entry.becomes(Life::Expired, self.may_be_lost)) {
            state.put(entry);
        }
        state
    }

    /// After a refusal as sold out or limit reached.
    fn short(&self, op: &Op, state: &State, short: bool) -> Option<State> {
        if state.get(op.id).is_some() {
            return None;
        }
        let mut state = state.clone();
        if !short {
            return Some(state);
        }
        // Holds that were due by the server's time of this answer had been expired before it refused.
        let now = op.now?;
        let due: Vec<u32> = state
            .entries
            .iter()
            .filter(|entry| matches!(entry.life, Life::Live { due, .. } if due.until <= now))
            .map(|entry| entry.id)
            .collect();
        for id in due {
            state = self.expired(&state, id);
        }
        (self.free(&state)? < self.units(op.id)).then_some(state)
    }

    /// After a call that changed an existing hold.
    fn moved(&self, op: &Op, state: &State, seen: &Seen, verb: Verb) -> Option<State> {
        let entry = state.get(op.id)?;
        let now = op.now?;
        let created = entry.created.within(Span::at(seen.created))?;
        let life = match (entry.life, verb) {
            (Life::Live { due, .. }, _) if seen.state == Shown::Expired => {
                // It expired by the time of some call, which is no later than now.
                let due = due.within(Span::at(seen.due))?;
                (verb == Verb::GetHold && due.from <= self.latest).then_some(Life::Expired)?
            }
            (Life::Live { due, paying }, _) => {
                // It was not due at this time.
                let due = due.within(Span { from: now.saturating_add(1), until: u64::MAX })?;
                self.changed((due, paying), seen, (verb, now))?
            }
            (Life::Claimed(order), Verb::Claim { .. } | Verb::Reserve { .. } | Verb::GetHold) => {
                let same = seen.state == Shown::Claimed && seen.order == Some(order);
                let asked = if let Verb::Claim { order: asked } = verb { asked == order } else { true };
                (same && asked).then_some(entry.life)?
            }
            (Life::Released, Verb::Release | Verb::GetHold) => {
                (seen.state == Shown::Released).then_some(Life::Released)?
            }
            (Life::Expired, Verb::GetHold) => (seen.state == Shown::Expired).then_some(Life::Expired)?,
            (Life::Claimed(_) | Life::Released | Life::Expired | Life::Adjusted, _) => return None,
        };
        let mut state = state.clone();
        state.put(Entry { created, ..entry.durable(life) });
        Some(state)
    }

    /// What a call made of a live hold, if the answer shows it live.
    fn changed(&self, (due, paying): (Span, bool), seen: &Seen, (verb, now): (Verb, u64)) -> Option<Life> {
        let stage = if paying { Shown::Paying } else { Shown::Held };
        let shown = Span::at(seen.due);
        match verb {
            Verb::Reserve { .. } | Verb::GetHold => {
                let due = due.within(shown)?;
                (seen.state == stage).then_some(Life::Live { due, paying })
            }
            Verb::Extend { ttl, pay } => {
                let wish = self.wish((ttl, pay), Span::at(seen.created), Span::at(now)).from;
                let stage = if pay { Shown::Paying } else { stage };
                // The deadline is the later of the old one and the requested one.
                let fits = if seen.due == wish { due.from <= wish } else { due.within(shown).is_some() };
                let fits = fits && seen.due >= wish && seen.state == stage;
                fits.then_some(Life::Live { due: shown, paying: pay || paying })
            }
            Verb::Claim { order } => {
                let same = seen.state == Shown::Claimed && seen.order == Some(order);
                same.then_some(Life::Claimed(order))
            }
            Verb::Release => (seen.state == Shown::Released && !paying).then_some(Life::Released),
            Verb::Adjust | Verb::GetDrop => None,
        }
    }

    /// The deadline that an extension requests.
    fn wish(&self, (ttl, pay): (u64, bool), created: Span, now: Span) -> Span {
        let Setup { max_hold_life, payment_ttl, .. } = *self.setup;
        if pay {
            let total = created.plus(max_hold_life.saturating_add(payment_ttl));
            now.plus(payment_ttl).at_most(total)
        } else {
            now.plus(ttl).at_most(created.plus(max_hold_life))
        }
    }

    /// After a refusal that concerns the hold's state.
    fn dead(&self, op: &Op, state: &State, why: Why) -> Option<State> {
        let entry = state.get(op.id)?;
        let life = match (why, entry.life) {
            (Why::Expired, Life::Expired) | (Why::Released, Life::Released) | (Why::Claimed, Life::Claimed(_)) => {
                entry.life
            }
            (Why::Expired, Life::Live { due, .. }) => (due.from <= self.latest).then_some(Life::Expired)?,
            (Why::OrderMismatch, Life::Claimed(order)) => {
                let other = matches!(op.verb, Verb::Claim { order: asked } if asked != order);
                other.then_some(entry.life)?
            }
            (Why::Paying, Life::Live { due, paying: true }) => {
                let due = due.within(Span { from: op.now?.saturating_add(1), until: u64::MAX })?;
                (op.verb == Verb::Release).then_some(Life::Live { due, paying: true })?
            }
            (
                Why::SoldOut
                | Why::LimitReached
                | Why::Expired
                | Why::Released
                | Why::Claimed
                | Why::OrderMismatch
                | Why::Paying
                | Why::NotOpen
                | Why::DropClosed
                | Why::NotEligible,
                _,
            ) => return None,
        };
        let mut state = state.clone();
        state.put(entry.durable(life));
        Some(state)
    }

    /// The states that fit a stock as shown: some of the holds that may be due may have expired.
    fn figures(&self, shown: &Figures, state: &State) -> Vec<State> {
        let due = self.may_be_due(state);
        let mut states = Vec::new();
        self.expire_some(state, &due, &mut |state| {
            let same = self.shows(state, shown);
            if same {
                states.push(state.clone());
            }
            same
        });
        states
    }

    fn shows(&self, state: &State, shown: &Figures) -> bool {
        let sum = |wanted: fn(&Life) -> bool, base: i64| {
            let units = state.entries.iter().filter(|entry| wanted(&entry.life)).map(|entry| self.units(entry.id));
            units.fold(base, i64::saturating_add)
        };
        let Figures { received, free, held, paying, claimed } = *shown;
        let added = sum(|life| *life == Life::Adjusted, state.added);
        i64::from(received) == self.part.capacity.unwrap_or(0).saturating_add(added)
            && Some(i64::from(free)) == self.free(state)
            && i64::from(held) == sum(|life| matches!(life, Life::Live { paying: false, .. }), 0)
            && i64::from(paying) == sum(|life| matches!(life, Life::Live { paying: true, .. }), 0)
            && i64::from(claimed) == sum(|life| matches!(life, Life::Claimed(_)), state.sold)
    }

    /// The possible states after a call without an answer took effect.
    #[must_use]
    pub fn unknown(&self, op: &Op, state: &State) -> Vec<State> {
        // A call of an earlier life took effect before that life ended, if it did, and its effect was durable.
        let is_old = op.term < self.term;
        let may_be_lost = self.may_be_lost && !is_old;
        let until = if is_old { self.terms.latest(op.term) } else { self.latest };
        let now = Span { from: op.sent_wall.saturating_sub(self.setup.slack), until };
        let standing = |entry: &Entry| match entry.life {
            Life::Live { due, paying } if due.until > now.from => Some((due, paying)),
            Life::Live { .. } | Life::Claimed(_) | Life::Released | Life::Expired | Life::Adjusted => None,
        };
        let entry = state.get(op.id);
        let change = |life: Life| {
            let mut state = state.clone();
            if let Some(entry) = entry {
                state.put(entry.becomes(life, may_be_lost));
            }
            vec![state]
        };
        match (op.verb, entry) {
            (Verb::Reserve { ttl }, None) => {
                let due = now.plus(ttl.min(self.setup.max_hold_life));
                let due = self.terms.carried(due, op.term, self.term);
                let before = if may_be_lost { vec![None] } else { Vec::new() };
                let life = Life::Live { due, paying: false };
                let entry = Entry { id: op.id, life, created: now, before };
                let mut states = self.with_room(state, self.units(op.id));
                for state in &mut states {
                    state.put(entry.clone());
                }
                states
            }
            (Verb::Extend { ttl, pay }, Some(entry)) => standing(entry).map_or_else(Vec::new, |(due, paying)| {
                let wish = self.wish((ttl, pay), entry.created, now);
                let due = due.at_least(self.terms.carried(wish, op.term, self.term));
                change(Life::Live { due, paying: paying || pay })
            }),
            (Verb::Claim { order }, Some(entry)) => {
                standing(entry).map_or_else(Vec::new, |_standing| change(Life::Claimed(order)))
            }
            (Verb::Release, Some(entry)) => match standing(entry) {
                Some((_, false)) => change(Life::Released),
                Some((_, true)) | None => Vec::new(),
            },
            (Verb::Adjust, None) => {
                let before = if may_be_lost { vec![None] } else { Vec::new() };
                let mut state = state.clone();
                state.put(Entry { id: op.id, life: Life::Adjusted, created: now, before });
                vec![state]
            }
            (
                Verb::Reserve { .. }
                | Verb::Extend { .. }
                | Verb::Claim { .. }
                | Verb::Release
                | Verb::GetHold
                | Verb::Adjust
                | Verb::GetDrop,
                _,
            ) => Vec::new(),
        }
    }
}

/// The state with an adjustment made, by this call or by an earlier one.
fn adjusted(op: &Op, state: &State) -> State {
    let mut state = state.clone();
    state.put(Entry { id: op.id, life: Life::Adjusted, created: Span::at(0), before: Vec::new() });
    state
}
