//! A drop's lifecycle: which of its scheduled moments have come, and whether it is paused. These marks are facts: the
//! drop's state follows from them, not from a clock.

use super::marks::{Mark, MarkKind, MarkScope, Marks, closing, decode_mark, encode_mark, planned};
use crate::codec::{DecodeError, Reader, put_option, put_u64};
use crate::definition::Definition;
use crate::ids::DropNo;
use crate::time::Timestamp;

/// A drop's lifecycle. A separate entity: changing it does not change `Drop.revision`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifecycle {
    /// Which drop.
    pub drop: DropNo,
    /// New reserves are refused.
    pub paused: bool,
    /// If it has opened: the instant for which that was scheduled.
    pub opened: Option<Timestamp>,
    /// If it has closed: how.
    pub closed: Option<Closed>,
    /// What else has come.
    pub marks: Marks,
}

/// How a drop closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// The instant for which that was scheduled; if it was closed by hand, the instant of that.
    pub at: Timestamp,
    /// Whether an operator closed it.
    pub by_hand: bool,
}

impl Lifecycle {
    /// The lifecycle of a new drop.
    #[must_use]
    pub const fn new(drop: DropNo) -> Self {
        Self { drop, paused: false, opened: None, closed: None, marks: Marks::NONE }
    }

    /// What was made known of the stock by bands counts no more once the drop has other bands.
    pub fn redefine(&mut self, before: &Definition, after: &Definition) {
        if before.rules.scarcity != after.rules.scarcity {
            self.marks.remove_bands();
        }
    }

    /// The least records that have such marks as its rules have.
    pub(super) fn scope(&self) -> MarkScope {
        self.marks.iter().map(|mark| mark.kind.scope()).max().unwrap_or(MarkScope::Schedule)
    }

    /// Whether no scheduled moment has come. Format 1 can express only that.
    pub(super) fn is_steering(&self) -> bool {
        self.opened.is_none() && self.closed.is_none_or(|closed| closed.by_hand) && self.marks.is_empty()
    }

    /// The next scheduled mark of a drop with this definition that opens at `opens_at`. Only signals come before the
    /// opening; once the drop is closed, only its pickup slots are still to begin.
    #[must_use]
    pub fn next(&self, definition: &Definition, opens_at: Timestamp) -> Option<Mark> {
        match (self.closed, self.opened) {
            (None, None) if definition.rules.signals.is_empty() => {
                Some(Mark { kind: MarkKind::Opens, scheduled_for: opens_at })
            }
            (None, _) | (Some(_), Some(_)) if definition.has_rules() => {
                planned(definition, opens_at).into_iter().find(|mark| self.is_to_come(*mark))
            }
            (None, _) => closing(definition),
            (Some(_), _) => None,
        }
    }

    /// Whether a scheduled mark has not come and can still come. Slots begin also after the drop has closed, for a late
    /// claim needs a slot that has not begun; a signal for the instant of a scheduled closing comes behind it. A drop that
    /// closed before it opened has no holds, so nothing of it comes.
    fn is_to_come(&self, Mark { kind, scheduled_for }: Mark) -> bool {
        let may_come = self.closed.is_none_or(|closed| match kind {
            MarkKind::SlotStarts(_) => self.opened.is_some(),
            MarkKind::Signal(_) => !closed.by_hand && scheduled_for <= closed.at,
            MarkKind::Opens
            | MarkKind::Closes
            | MarkKind::WindowOpens(_)
            | MarkKind::WindowCloses(_)
            | MarkKind::Flow(_)
            | MarkKind::Tranche(_)
            | MarkKind::TermsStart(_)
            | MarkKind::TermsEnd(_)
            | MarkKind::PriceStep(..)
            | MarkKind::SignalMissed(_)
            | MarkKind::SoldOut(_)
            | MarkKind::BackInStock(_)
            | MarkKind::Band(..) => false,
        });
        may_come && !self.has(kind)
    }

    /// Whether this has come.
    #[must_use]
    pub fn has(&self, kind: MarkKind) -> bool {
        match kind {
            MarkKind::Opens => self.opened.is_some(),
            MarkKind::Closes => self.closed.is_some(),
            MarkKind::WindowOpens(_)
            | MarkKind::WindowCloses(_)
            | MarkKind::Flow(_)
            | MarkKind::Tranche(_)
            | MarkKind::TermsStart(_)
            | MarkKind::TermsEnd(_)
            | MarkKind::PriceStep(..)
            | MarkKind::SlotStarts(_)
            | MarkKind::SoldOut(_)
            | MarkKind::BackInStock(_)
            | MarkKind::Band(..) => self.marks.has(kind),
            // What was missed does not come any more.
            MarkKind::Signal(number) | MarkKind::SignalMissed(number) => {
                self.marks.has(MarkKind::Signal(number)) || self.marks.has(MarkKind::SignalMissed(number))
            }
        }
    }

    /// Records that something has come.
    pub fn mark(&mut self, mark: Mark) {
        match mark.kind {
            MarkKind::Opens => self.opened = Some(mark.scheduled_for),
            MarkKind::Closes => self.closed = Some(Closed { at: mark.scheduled_for, by_hand: false }),
            MarkKind::WindowOpens(_)
            | MarkKind::WindowCloses(_)
            | MarkKind::Flow(_)
            | MarkKind::Tranche(_)
            | MarkKind::TermsStart(_)
            | MarkKind::TermsEnd(_)
            | MarkKind::PriceStep(..)
            | MarkKind::SlotStarts(_)
            | MarkKind::Signal(_)
            | MarkKind::SignalMissed(_)
            | MarkKind::SoldOut(_)
            | MarkKind::BackInStock(_)
            | MarkKind::Band(..) => self.marks.set(mark),
        }
    }

    /// Marks all moments up to `now`, for a drop of format 1, which has no facts for them. A drop that was closed by
    /// hand had opened if its opening was scheduled before, otherwise it never did.
    pub fn mark_before(&mut self, definition: &Definition, opens_at: Timestamp, now: Timestamp) {
        match self.closed {
            Some(closed) if opens_at <= closed.at => self.opened = Some(opens_at),
            Some(_) => {}
            None => {
                self.turn(definition, opens_at, now);
            }
        }
    }

    /// Marks all that is scheduled up to `now` and returns it in order.
    pub fn turn(&mut self, definition: &Definition, opens_at: Timestamp, now: Timestamp) -> Vec<Mark> {
        let mut come = Vec::new();
        for mut mark in planned(definition, opens_at) {
            if mark.scheduled_for > now {
                break;
            }
            if !self.is_to_come(mark) {
                continue;
            }
            if let MarkKind::Signal(number) = mark.kind
                && definition.signal(number).is_some_and(|signal| signal.is_missed(mark.scheduled_for, now))
            {
                mark.kind = MarkKind::SignalMissed(number);
            }
            self.mark(mark);
            come.push(mark);
        }
        come
    }
}

/// Bits of the flags byte: it is paused,
const PAUSED: u8 = 1;
/// was closed by hand,
const BY_HAND: u8 = 2;
/// and marks of its rules follow.
const MARKED: u8 = 4;

pub(super) fn encode_marks(lifecycle: &Lifecycle, out: &mut Vec<u8>) {
    let Lifecycle { drop: _, paused, opened, closed, marks } = lifecycle;
    let by_hand = closed.is_some_and(|closed| closed.by_hand);
    let flags = [(*paused, PAUSED), (by_hand, BY_HAND), (!marks.is_empty(), MARKED)];
    out.push(flags.into_iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum());
    put_option(out, opened.map(|at| at.0));
    put_option(out, closed.map(|closed| closed.at.0));
    if !marks.is_empty() {
        put_u64(out, u64::try_from(marks.iter().count()).unwrap_or(u64::MAX));
        for mark in marks.iter() {
            encode_mark(mark, out);
        }
    }
}

pub(super) fn decode_marks(reader: &mut Reader<'_>, scope: MarkScope) -> Result<Lifecycle, DecodeError> {
    let flags = reader.u8()?;
    let known = PAUSED | BY_HAND | if scope > MarkScope::Schedule { MARKED } else { 0 };
    if flags & !known != 0 {
        return Err(DecodeError::Bad("flags of a lifecycle"));
    }
    let (paused, by_hand) = (flags & PAUSED != 0, flags & BY_HAND != 0);
    let (opened, closed) = (reader.option()?.map(Timestamp), reader.option()?.map(Timestamp));
    if by_hand && closed.is_none() {
        return Err(DecodeError::Bad("flags of a lifecycle"));
    }
    let closed = closed.map(|at| Closed { at, by_hand });
    let mut marks = Marks::default();
    if flags & MARKED != 0 {
        for _ in 0..reader.count(3)? {
            marks.set(decode_mark(reader, scope)?);
        }
    }
    Ok(Lifecycle { drop: DropNo::default(), paused, opened, closed, marks })
}

pub(super) fn encode(lifecycle: &Lifecycle, out: &mut Vec<u8>) {
    put_u64(out, lifecycle.drop.0.into());
    encode_marks(lifecycle, out);
}

pub(super) fn decode(reader: &mut Reader<'_>, scope: MarkScope) -> Result<Lifecycle, DecodeError> {
    let drop = DropNo(reader.small("drop number")?);
    Ok(Lifecycle { drop, ..decode_marks(reader, scope)? })
}

/// As in format 1: only pause and close by hand.
pub(super) fn encode_steering(Lifecycle { drop, paused, opened: _, closed, marks: _ }: &Lifecycle, out: &mut Vec<u8>) {
    put_u64(out, drop.0.into());
    out.push(u8::from(*paused));
    put_option(out, closed.map(|closed| closed.at.0));
}

pub(super) fn decode_steering(reader: &mut Reader<'_>) -> Result<Lifecycle, DecodeError> {
    let (drop, paused) = (DropNo(reader.small("drop number")?), reader.flag("flag")?);
    let closed = reader.option()?.map(|at| Closed { at: Timestamp(at), by_hand: true });
    Ok(Lifecycle { paused, closed, ..Lifecycle::new(drop) })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::definition::{Definition, Rules, Schedule, Terms};
    use crate::time::Millis;

    /// A drop that opens at 10 and closes at 20.
    pub(in crate::record) fn plain() -> Definition {
        Definition {
            id: "d".parse().expect("an id"),
            title: String::new(),
            shop: "s".parse().expect("an id"),
            series: None,
            labels: std::collections::BTreeMap::new(),
            schedule: Schedule { opens_at: Some(Timestamp(10)), closes_at: Some(Timestamp(20)) },
            terms: Terms { hold_ttl: Millis(1), max_hold_life: Millis(1), payment_ttl: Millis(1) },
            items: Vec::new(),
            limits: Vec::new(),
            rules: Rules::default(),
        }
    }

    #[test]
    fn moments_come_in_their_order_and_once() {
        let (definition, opens) = (plain(), Timestamp(10));
        let at = |now| {
            let mut life = Lifecycle::new(DropNo(0));
            let come: Vec<_> = life.turn(&definition, opens, Timestamp(now)).iter().map(|mark| mark.kind).collect();
            assert_eq!(life.turn(&definition, opens, Timestamp(now)), [], "once");
            (come, life.opened, life.closed)
        };
        let ended = Some(Closed { at: Timestamp(20), by_hand: false });
        assert_eq!(at(9), (vec![], None, None));
        assert_eq!(at(10), (vec![MarkKind::Opens], Some(opens), None));
        assert_eq!(at(99), (vec![MarkKind::Opens, MarkKind::Closes], Some(opens), ended));
    }

    #[test]
    fn a_signal_comes_before_the_opening_with_the_closing_or_too_late() {
        use crate::definition::{Audience, Moment, Named, Signal, Trigger};
        let signal = |id: &str, at| Signal {
            id: id.parse().expect("an id"),
            on: Trigger::Moment(Moment { named: Named::At(Timestamp(at)), at: Timestamp(at) }),
            audience: Audience::default(),
            channels: Vec::new(),
            repeat_after: None,
            valid_for: Millis(3),
            labels: std::collections::BTreeMap::new(),
            defined_at: Timestamp(4),
        };
        let mut definition = plain();
        definition.rules.signals = [("past", 3), ("before", 5), ("last", 20)].map(|(id, at)| signal(id, at)).into();
        definition.number_names().expect("few names");
        let opens = Timestamp(10);
        let come = |steps: &[u64]| {
            let mut life = Lifecycle::new(DropNo(0));
            let mut all = Vec::new();
            for now in steps {
                all.extend(life.turn(&definition, opens, Timestamp(*now)).iter().map(|mark| mark.kind.label()));
            }
            assert_eq!(life.next(&definition, opens).is_none(), life.closed.is_some());
            all
        };
        assert_eq!(come(&[4]), ["signal_missed"], "it was past when it was defined");
        assert_eq!(come(&[4, 8]), ["signal_missed", "signal_fired"]);
        assert_eq!(come(&[9]), ["signal_missed", "signal_missed"], "too late");
        assert_eq!(come(&[5, 10, 23]), ["signal_missed", "signal_fired", "opened", "closed", "signal_fired"]);
        assert_eq!(come(&[5, 24]), ["signal_missed", "signal_fired", "opened", "closed", "signal_missed"]);
    }

    #[test]
    fn a_drop_of_format_1_had_opened_when_it_was_closed_behind_its_opening() {
        let (definition, opens) = (plain(), Timestamp(10));
        let marked = |by_hand: Option<u64>, now| {
            let mut life = Lifecycle::new(DropNo(0));
            life.closed = by_hand.map(|at| Closed { at: Timestamp(at), by_hand: true });
            life.mark_before(&definition, opens, Timestamp(now));
            (life.opened.is_some(), life.closed.map(|closed| (closed.at.0, closed.by_hand)))
        };
        assert_eq!([marked(None, 9), marked(None, 10)], [(false, None), (true, None)]);
        assert_eq!(marked(None, 20), (true, Some((20, false))));
        assert_eq!(marked(Some(15), 99), (true, Some((15, true))));
        assert_eq!(marked(Some(5), 99), (false, Some((5, true))), "it was cancelled");
    }

    #[test]
    fn what_is_closed_by_hand_has_no_moment_any_more() {
        let closed = Some(Closed { at: Timestamp(5), by_hand: true });
        let life = Lifecycle { closed, ..Lifecycle::new(DropNo(0)) };
        assert_eq!(life.next(&plain(), Timestamp(10)), None);
    }
}
