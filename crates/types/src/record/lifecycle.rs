//! A drop's lifecycle: which of its scheduled moments have come, and whether it is paused. These marks are facts: the
//! drop's state follows from them, not from a clock.

use crate::codec::{DecodeError, Reader, put_option, put_u64};
use crate::definition::{Definition, Moment, Rules, TermsNo, TrancheNo, Trigger, WindowNo};
use crate::ids::{DropNo, ItemNo, PoolNo};
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

/// The fact that something of a drop's plan has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// What.
    pub kind: MarkKind,
    /// The instant for which it was scheduled; of a stock level the instant at which it was found, of a flow that was
    /// fired by hand the instant of that.
    pub scheduled_for: Timestamp,
}

/// What has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MarkKind {
    /// The drop opens.
    Opens,
    /// It closes.
    Closes,
    /// A window opens.
    WindowOpens(WindowNo),
    /// It closes.
    WindowCloses(WindowNo),
    /// A pool opens to those who may draw on another.
    Flow(FlowPlace),
    /// A tranche joins its pool.
    Tranche(TrancheNo),
    /// Terms begin to be offered.
    TermsStart(TermsNo),
    /// They are offered no more.
    TermsEnd(TermsNo),
    /// A price changes: the step at this place of the terms' list.
    PriceStep(TermsNo, u8),
    /// A pickup slot begins: it can't be reserved any more.
    SlotStarts(ItemNo),
}

/// A flow: the item, the pool whose units flow, and the pool whose customers get them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlowPlace {
    /// The item.
    pub item: ItemNo,
    /// The pool that opens.
    pub from: PoolNo,
    /// To whose customers.
    pub to: PoolNo,
}

/// Marks of a drop's rules, each at most once. They are only added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks(Vec<Mark>);

impl Marks {
    /// When this has come, if it has.
    #[must_use]
    pub fn at(&self, kind: MarkKind) -> Option<Timestamp> {
        let place = self.0.binary_search_by_key(&kind, |mark| mark.kind).ok()?;
        self.0.get(place).map(|mark| mark.scheduled_for)
    }

    /// Whether this has come.
    #[must_use]
    pub fn has(&self, kind: MarkKind) -> bool {
        self.at(kind).is_some()
    }

    /// All of them, in the order of kinds.
    pub fn iter(&self) -> impl Iterator<Item = Mark> + '_ {
        self.0.iter().copied()
    }

    fn set(&mut self, mark: Mark) {
        if let Err(place) = self.0.binary_search_by_key(&mark.kind, |mark| mark.kind) {
            self.0.insert(place, mark);
        }
    }
}

impl Lifecycle {
    /// The lifecycle of a new drop.
    #[must_use]
    pub const fn new(drop: DropNo) -> Self {
        Self { drop, paused: false, opened: None, closed: None, marks: Marks(Vec::new()) }
    }

    /// Whether no scheduled moment has come. Format 1 can express only that.
    pub(super) fn is_steering(&self) -> bool {
        self.opened.is_none() && self.closed.is_none_or(|closed| closed.by_hand) && self.marks.0.is_empty()
    }

    /// The next scheduled mark of a drop with this definition that opens at `opens_at`; none once it is closed. A drop
    /// that has not opened has no other mark before its opening.
    #[must_use]
    pub fn next(&self, definition: &Definition, opens_at: Timestamp) -> Option<Mark> {
        match (self.closed, self.opened) {
            (Some(_), _) => None,
            (None, None) => Some(Mark { kind: MarkKind::Opens, scheduled_for: opens_at }),
            (None, Some(_)) if definition.has_rules() => {
                planned(definition, opens_at).into_iter().find(|mark| !self.has(mark.kind))
            }
            (None, Some(_)) => closing(definition),
        }
    }

    /// Whether this has come.
    #[must_use]
    pub fn has(&self, kind: MarkKind) -> bool {
        match kind {
            MarkKind::Opens => self.opened.is_some(),
            MarkKind::Closes => self.closed.is_some(),
            other => self.marks.has(other),
        }
    }

    /// Records that something has come.
    pub fn mark(&mut self, mark: Mark) {
        match mark.kind {
            MarkKind::Opens => self.opened = Some(mark.scheduled_for),
            MarkKind::Closes => self.closed = Some(Closed { at: mark.scheduled_for, by_hand: false }),
            _of_a_rule => self.marks.set(mark),
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
        for mark in planned(definition, opens_at) {
            if self.closed.is_some() || mark.scheduled_for > now {
                break;
            }
            if !self.has(mark.kind) {
                self.mark(mark);
                come.push(mark);
            }
        }
        come
    }
}

fn closing(definition: &Definition) -> Option<Mark> {
    definition.schedule.closes_at.map(|at| Mark { kind: MarkKind::Closes, scheduled_for: at })
}

/// All that a definition schedules, in the order in which it comes. Windows and terms without a start or an end need no
/// mark: they begin and end with the drop.
fn planned(definition: &Definition, opens_at: Timestamp) -> Vec<Mark> {
    let mut all = vec![Mark { kind: MarkKind::Opens, scheduled_for: opens_at }];
    all.extend(closing(definition));
    if definition.has_rules() {
        each_planned(definition, |kind, moment| all.push(Mark { kind, scheduled_for: moment.at }));
        all.retain(|mark| mark.scheduled_for != Timestamp::NEVER);
        all.sort_by_key(|mark| (mark.scheduled_for, mark.kind.rank(), mark.kind));
    }
    all
}

/// Visits every mark that the rules of a definition schedule, with its moment.
pub fn each_planned(definition: &Definition, mut f: impl FnMut(MarkKind, Moment)) {
    let Rules { windows, prices, tranches, names, .. } = &definition.rules;
    let moment = |trigger: &Trigger| match trigger {
        Trigger::Moment(moment) => Some(*moment),
        Trigger::Stock(_) => None,
    };
    for window in windows {
        let Some(number) = names.window_no(&window.id) else { continue };
        if let Some(starts) = window.starts {
            f(MarkKind::WindowOpens(number), starts);
        }
        if let Some(ends) = window.ends {
            f(MarkKind::WindowCloses(number), ends);
        }
    }
    for terms in prices {
        let Some(number) = names.terms_no(&terms.id) else { continue };
        if let Some(starts) = terms.starts {
            f(MarkKind::TermsStart(number), starts);
        }
        if let Some(ends) = terms.ends {
            f(MarkKind::TermsEnd(number), ends);
        }
        for (place, step) in (0..).zip(&terms.steps) {
            if let Some(at) = moment(&step.when) {
                f(MarkKind::PriceStep(number, place), at);
            }
        }
    }
    for tranche in tranches {
        if let (Some(number), Some(at)) = (names.tranche_no(&tranche.id), moment(&tranche.when)) {
            f(MarkKind::Tranche(number), at);
        }
    }
    for (item, of) in (0..).map(ItemNo).zip(&definition.items) {
        if let Some(slot) = &of.slot {
            f(MarkKind::SlotStarts(item), slot.starts);
        }
        for (place, flow) in of.flows() {
            if let Some(at) = flow.when.as_ref().and_then(moment) {
                f(MarkKind::Flow(FlowPlace { item, from: place.0, to: place.1 }), at);
            }
        }
    }
}

impl MarkKind {
    /// What happened, in a few words.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Opens => "opened",
            Self::Closes => "closed",
            Self::WindowOpens(_) => "window_opened",
            Self::WindowCloses(_) => "window_closed",
            Self::Flow(_) => "flow_fired",
            Self::Tranche(_) => "tranche_released",
            Self::TermsStart(_) => "terms_started",
            Self::TermsEnd(_) => "terms_ended",
            Self::PriceStep(..) => "price_stepped",
            Self::SlotStarts(_) => "slot_started",
        }
    }

    /// Its place among the marks of one instant: first what ends, then what begins.
    const fn rank(self) -> u8 {
        match self {
            Self::WindowCloses(_) | Self::TermsEnd(_) | Self::SlotStarts(_) => 0,
            Self::Closes => 1,
            Self::Opens => 2,
            Self::WindowOpens(_) | Self::TermsStart(_) => 3,
            Self::Flow(_) => 4,
            Self::Tranche(_) => 5,
            Self::PriceStep(..) => 6,
        }
    }
}

/// Bits of the flags byte: it is paused,
const PAUSED: u8 = 1;
/// was closed by hand,
const BY_HAND: u8 = 2;
/// and marks of its rules follow.
const MARKED: u8 = 4;

pub(super) fn encode_marks(lifecycle: &Lifecycle, out: &mut Vec<u8>) {
    let Lifecycle { drop: _, paused, opened, closed, marks: Marks(marks) } = lifecycle;
    let by_hand = closed.is_some_and(|closed| closed.by_hand);
    let flags = [(*paused, PAUSED), (by_hand, BY_HAND), (!marks.is_empty(), MARKED)];
    out.push(flags.into_iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum());
    put_option(out, opened.map(|at| at.0));
    put_option(out, closed.map(|closed| closed.at.0));
    if !marks.is_empty() {
        put_u64(out, u64::try_from(marks.len()).unwrap_or(u64::MAX));
        marks.iter().for_each(|mark| encode_mark(*mark, out));
    }
}

pub(super) fn decode_marks(reader: &mut Reader<'_>) -> Result<Lifecycle, DecodeError> {
    let flags = reader.u8()?;
    if flags & !(PAUSED | BY_HAND | MARKED) != 0 {
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
            marks.set(decode_mark(reader)?);
        }
    }
    Ok(Lifecycle { drop: DropNo::default(), paused, opened, closed, marks })
}

pub(super) fn encode_mark(Mark { kind, scheduled_for }: Mark, out: &mut Vec<u8>) {
    let (number, parts): (u8, [Option<u16>; 3]) = match kind {
        MarkKind::Opens => (1, [None; 3]),
        MarkKind::Closes => (2, [None; 3]),
        MarkKind::WindowOpens(window) => (3, [Some(window.0.into()), None, None]),
        MarkKind::WindowCloses(window) => (4, [Some(window.0.into()), None, None]),
        MarkKind::Flow(FlowPlace { item, from, to }) => (5, [Some(item.0), Some(from.0), Some(to.0)]),
        MarkKind::Tranche(tranche) => (6, [Some(tranche.0), None, None]),
        MarkKind::TermsStart(terms) => (7, [Some(terms.0), None, None]),
        MarkKind::TermsEnd(terms) => (8, [Some(terms.0), None, None]),
        MarkKind::PriceStep(terms, step) => (9, [Some(terms.0), Some(step.into()), None]),
        MarkKind::SlotStarts(item) => (10, [Some(item.0), None, None]),
    };
    out.push(number);
    parts.into_iter().flatten().for_each(|part| put_u64(out, part.into()));
    put_u64(out, scheduled_for.0);
}

pub(super) fn decode_mark(reader: &mut Reader<'_>) -> Result<Mark, DecodeError> {
    let kind = match reader.u8()? {
        1 => MarkKind::Opens,
        2 => MarkKind::Closes,
        3 => MarkKind::WindowOpens(WindowNo(reader.small("window")?)),
        4 => MarkKind::WindowCloses(WindowNo(reader.small("window")?)),
        5 => MarkKind::Flow(FlowPlace {
            item: ItemNo(reader.small("item")?),
            from: PoolNo(reader.small("pool")?),
            to: PoolNo(reader.small("pool")?),
        }),
        6 => MarkKind::Tranche(TrancheNo(reader.small("tranche")?)),
        7 => MarkKind::TermsStart(TermsNo(reader.small("terms")?)),
        8 => MarkKind::TermsEnd(TermsNo(reader.small("terms")?)),
        9 => MarkKind::PriceStep(TermsNo(reader.small("terms")?), reader.small("price step")?),
        10 => MarkKind::SlotStarts(ItemNo(reader.small("item")?)),
        _ => return Err(DecodeError::Bad("mark")),
    };
    Ok(Mark { kind, scheduled_for: Timestamp(reader.u64()?) })
}

pub(super) fn encode(lifecycle: &Lifecycle, out: &mut Vec<u8>) {
    put_u64(out, lifecycle.drop.0.into());
    encode_marks(lifecycle, out);
}

pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Lifecycle, DecodeError> {
    let drop = DropNo(reader.small("drop number")?);
    Ok(Lifecycle { drop, ..decode_marks(reader)? })
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
mod tests {
    use super::*;

    #[test]
    fn moments_come_in_their_order_and_once() {
        let (opens, closes) = (Timestamp(10), Some(Timestamp(20)));
        let at = |now| {
            let mut life = Lifecycle::new(DropNo(0));
            let come: Vec<_> = life.turn(opens, closes, Timestamp(now)).iter().map(|moment| moment.kind).collect();
            assert_eq!(life.turn(opens, closes, Timestamp(now)), [], "once");
            (come, life.opened, life.closed)
        };
        let ended = Some(Closed { at: Timestamp(20), by_hand: false });
        assert_eq!(at(9), (vec![], None, None));
        assert_eq!(at(10), (vec![MarkKind::Opens], Some(opens), None));
        assert_eq!(at(99), (vec![MarkKind::Opens, MarkKind::Closes], Some(opens), ended));
    }

    #[test]
    fn a_drop_of_format_1_had_opened_when_it_was_closed_behind_its_opening() {
        let (opens, closes) = (Timestamp(10), Some(Timestamp(20)));
        let marked = |by_hand: Option<u64>, now| {
            let mut life = Lifecycle::new(DropNo(0));
            life.closed = by_hand.map(|at| Closed { at: Timestamp(at), by_hand: true });
            life.mark_before(opens, closes, Timestamp(now));
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
        assert_eq!(life.next(Timestamp(10), Some(Timestamp(20))), None);
    }
}
