//! A drop's lifecycle: which of its scheduled moments have come, and whether it is paused. These marks are facts: the
//! drop's state follows from them, not from a clock.

use crate::codec::{DecodeError, Reader, put_option, put_u64};
use crate::ids::DropNo;
use crate::time::Timestamp;

/// A drop's lifecycle. A separate entity: changing it does not change `Drop.revision`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifecycle {
    /// Which drop.
    pub drop: DropNo,
    /// New reserves are refused.
    pub paused: bool,
    /// If it has opened: the instant for which that was scheduled.
    pub opened: Option<Timestamp>,
    /// If it has closed: how.
    pub closed: Option<Closed>,
}

/// How a drop closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// The instant for which that was scheduled; if it was closed by hand, the instant of that.
    pub at: Timestamp,
    /// Whether an operator closed it.
    pub by_hand: bool,
}

/// A scheduled moment in a drop's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// What is scheduled.
    pub kind: MomentKind,
    /// When.
    pub scheduled_for: Timestamp,
}

/// A kind of scheduled moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MomentKind {
    /// It opens.
    Opens,
    /// It closes.
    Closes,
}

impl Lifecycle {
    /// The lifecycle of a new drop.
    #[must_use]
    pub const fn new(drop: DropNo) -> Self {
        Self { drop, paused: false, opened: None, closed: None }
    }

    /// Whether no scheduled moment has come. Format 1 can express only that.
    pub(super) fn is_steering(&self) -> bool {
        self.opened.is_none() && self.closed.is_none_or(|closed| closed.by_hand)
    }

    /// The next moment of a drop with this schedule; none once it is closed.
    #[must_use]
    pub fn next(&self, opens_at: Timestamp, closes_at: Option<Timestamp>) -> Option<Moment> {
        match (self.closed, self.opened) {
            (Some(_), _) => None,
            (None, None) => Some(Moment { kind: MomentKind::Opens, scheduled_for: opens_at }),
            (None, Some(_)) => closes_at.map(|at| Moment { kind: MomentKind::Closes, scheduled_for: at }),
        }
    }

    /// Records that a moment has come.
    pub const fn mark(&mut self, moment: Moment) {
        let Moment { kind, scheduled_for } = moment;
        match kind {
            MomentKind::Opens => self.opened = Some(scheduled_for),
            MomentKind::Closes => self.closed = Some(Closed { at: scheduled_for, by_hand: false }),
        }
    }

    /// Marks all moments up to `now`, for a drop of format 1, which has no facts for them. A drop that was closed by
    /// hand had opened if its opening was scheduled before, otherwise it never did.
    pub fn mark_before(&mut self, opens_at: Timestamp, closes_at: Option<Timestamp>, now: Timestamp) {
        match self.closed {
            Some(closed) if opens_at <= closed.at => self.opened = Some(opens_at),
            Some(_) => {}
            None => {
                self.turn(opens_at, closes_at, now);
            }
        }
    }

    /// Marks all moments up to `now` and returns them in order.
    pub fn turn(&mut self, opens_at: Timestamp, closes_at: Option<Timestamp>, now: Timestamp) -> Vec<Moment> {
        let mut come = Vec::new();
        while let Some(moment) = self.next(opens_at, closes_at).filter(|moment| moment.scheduled_for <= now) {
            self.mark(moment);
            come.push(moment);
        }
        come
    }
}

impl MomentKind {
    /// What happened to the drop, in a word.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Opens => "opened",
            Self::Closes => "closed",
        }
    }
}

/// Bits of the flags byte: it is paused,
const PAUSED: u8 = 1;
/// and was closed by hand.
const BY_HAND: u8 = 2;

pub(super) fn encode_marks(lifecycle: &Lifecycle, out: &mut Vec<u8>) {
    let Lifecycle { drop: _, paused, opened, closed } = lifecycle;
    let by_hand = closed.is_some_and(|closed| closed.by_hand);
    out.push(if *paused { PAUSED } else { 0 } | if by_hand { BY_HAND } else { 0 });
    put_option(out, opened.map(|at| at.0));
    put_option(out, closed.map(|closed| closed.at.0));
}

pub(super) fn decode_marks(reader: &mut Reader<'_>) -> Result<Lifecycle, DecodeError> {
    let flags = reader.u8()?;
    if flags & !(PAUSED | BY_HAND) != 0 {
        return Err(DecodeError::Bad("flags of a lifecycle"));
    }
    let (paused, by_hand) = (flags & PAUSED != 0, flags & BY_HAND != 0);
    let (opened, closed) = (reader.option()?.map(Timestamp), reader.option()?.map(Timestamp));
    if by_hand && closed.is_none() {
        return Err(DecodeError::Bad("flags of a lifecycle"));
    }
    let closed = closed.map(|at| Closed { at, by_hand });
    Ok(Lifecycle { drop: DropNo::default(), paused, opened, closed })
}

pub(super) fn encode_moment(Moment { kind, scheduled_for }: Moment, out: &mut Vec<u8>) {
    out.push(match kind {
        MomentKind::Opens => 1,
        MomentKind::Closes => 2,
    });
    put_u64(out, scheduled_for.0);
}

pub(super) fn decode_moment(reader: &mut Reader<'_>) -> Result<Moment, DecodeError> {
    let kind = match reader.u8()? {
        1 => MomentKind::Opens,
        2 => MomentKind::Closes,
        _ => return Err(DecodeError::Bad("moment")),
    };
    Ok(Moment { kind, scheduled_for: Timestamp(reader.u64()?) })
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
pub(super) fn encode_steering(Lifecycle { drop, paused, opened: _, closed }: &Lifecycle, out: &mut Vec<u8>) {
    put_u64(out, drop.0.into());
    out.push(u8::from(*paused));
    put_option(out, closed.map(|closed| closed.at.0));
}

pub(super) fn decode_steering(reader: &mut Reader<'_>) -> Result<Lifecycle, DecodeError> {
    let (drop, paused) = (DropNo(reader.small("drop number")?), super::flag(reader)?);
    let closed = reader.option()?.map(|at| Closed { at: Timestamp(at), by_hand: true });
    Ok(Lifecycle { drop, paused, opened: None, closed })
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
        assert_eq!(at(10), (vec![MomentKind::Opens], Some(opens), None));
        assert_eq!(at(99), (vec![MomentKind::Opens, MomentKind::Closes], Some(opens), ended));
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
