//! A hold as it is stored in memory, in 80 bytes: ten million may be live at once.
//!
//! What does not fit these bytes is stored elsewhere: nothing is rounded or lost.

mod times;
mod body;

use std::fmt;

use super::{ContentHash, HoldExtras, HoldState, Identity, Lines, LinesView, ShortLine};
use crate::ids::{CustomerId, DropNo, HoldId, Lsn, OrderRef, TierId};
use crate::packed::Packed;
use crate::time::{Millis, Timestamp};
use body::Body;
use times::{ShortTimes, Times};

/// Units set aside for one customer. All that the engine knows of a hold is in here. It is built from [`HoldFields`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Hold {
    /// The caller's UUID.
    pub id: HoldId,
    /// In which drop.
    pub drop: DropNo,
    /// Its state.
    pub state: HoldState,
    created_at: Packed<6>,
    life: Packed<5>,
    /// For whom.
    pub customer: CustomerId,
    /// Digest of the request that made it.
    pub content: ContentHash,
    /// LSN of the record that made it what it is.
    pub revision: Lsn,
    body: Body,
}

/// All fields of a hold, to build one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldFields {
    /// The caller's UUID.
    pub id: HoldId,
    /// In which drop.
    pub drop: DropNo,
    /// Its state.
    pub state: HoldState,
    /// For whom.
    pub customer: CustomerId,
    /// Digest of the request that made it.
    pub content: ContentHash,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when the units are set aside.
    pub expires_at: Timestamp,
    /// When it was claimed, released or expired; the epoch while it is held.
    pub settled_at: Timestamp,
    /// Whether its deadline is one that an outage moved.
    pub has_grace: bool,
    /// LSN of the record that made it what it is.
    pub revision: Lsn,
    /// What it has.
    pub lines: Lines,
    /// What few holds have, or only at their end.
    pub extras: Option<Box<HoldExtras>>,
}

/// All fields of a hold, borrowed. A destructuring pattern on it can't miss a new field.
#[derive(Debug)]
#[expect(missing_docs, reason = "they are documented there")]
pub struct HoldParts<'a> {
    pub id: HoldId,
    pub drop: DropNo,
    pub state: HoldState,
    pub customer: &'a CustomerId,
    pub content: ContentHash,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub settled_at: Timestamp,
    pub has_grace: bool,
    pub revision: Lsn,
    pub lines: LinesView<'a>,
    pub extras: Option<&'a HoldExtras>,
}

impl From<HoldFields> for Hold {
    #[inline]
    fn from(fields: HoldFields) -> Self {
        let HoldFields {
            id,
            drop,
            state,
            customer,
            content,
            created_at,
            expires_at,
            settled_at,
            has_grace,
            revision,
            lines,
            extras,
        } = fields;
        let (none, body) = (Packed::ZERO, Body::new(lines, extras));
        let mut hold =
            Self { id, drop, state, created_at: Packed::ZERO, life: none, customer, content, revision, body };
        hold.set_times(Times { created_at, expires_at, settled_at, has_grace });
        hold
    }
}

impl From<Hold> for HoldFields {
    fn from(hold: Hold) -> Self {
        let HoldParts {
            id,
            drop,
            state,
            customer,
            content,
            created_at,
            expires_at,
            settled_at,
            has_grace,
            revision,
            lines,
            extras,
        } = hold.parts();
        let (customer, lines, extras) = (customer.clone(), lines.to_lines(), extras.cloned().map(Box::new));
        Self {
            id,
            drop,
            state,
            customer,
            content,
            created_at,
            expires_at,
            settled_at,
            has_grace,
            revision,
            lines,
            extras,
        }
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts().fmt(f)
    }
}

impl Hold {
    /// All of its fields.
    #[must_use]
    #[inline]
    pub fn parts(&self) -> HoldParts<'_> {
        let Self { id, drop, state, created_at: _, life: _, customer, content, revision, body } = self;
        let Times { created_at, expires_at, settled_at, has_grace } = self.times();
        HoldParts {
            id: *id,
            drop: *drop,
            state: *state,
            customer,
            content: *content,
            created_at,
            expires_at,
            settled_at,
            has_grace,
            revision: *revision,
            lines: body.lines(),
            extras: body.extras(),
        }
    }

    /// When it was made.
    #[inline]
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        self.times().created_at
    }

    /// Until when the units are set aside.
    #[inline]
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.times().expires_at
    }

    /// When it was claimed, released or expired; the epoch while it is held.
    #[inline]
    #[must_use]
    pub fn settled_at(&self) -> Timestamp {
        self.times().settled_at
    }

    /// Whether its deadline is one that an outage moved.
    #[inline]
    #[must_use]
    pub fn has_grace(&self) -> bool {
        self.times().has_grace
    }

    /// The longest life that conduct allows it.
    #[must_use]
    pub fn life_max(&self) -> Option<Millis> {
        self.extras()?.life_max
    }

    /// What it has.
    #[inline]
    #[must_use]
    pub fn lines(&self) -> LinesView<'_> {
        self.body.lines()
    }

    /// What few holds have, or only at their end.
    #[inline]
    #[must_use]
    pub fn extras(&self) -> Option<&HoldExtras> {
        self.body.extras()
    }

    /// The order it was claimed for.
    #[must_use]
    pub fn order_ref(&self) -> Option<&OrderRef> {
        self.extras()?.order_ref.as_ref()
    }

    /// Whether it was claimed after its deadline, from free stock.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.extras().is_some_and(|extras| extras.late)
    }

    /// The hold that took its place.
    #[inline]
    #[must_use]
    pub fn superseded_by(&self) -> Option<HoldId> {
        self.extras()?.superseded_by
    }

    /// Further subjects that limits count the hold for.
    #[must_use]
    pub fn identities(&self) -> &[Identity] {
        self.extras().map_or(&[], |extras| &extras.identities)
    }

    /// The customer's tiers, as far as a limit of the drop named them.
    #[must_use]
    pub fn tiers(&self) -> &[TierId] {
        self.extras().map_or(&[], |extras| &extras.tiers)
    }

    /// Whether staff overrode the windows and audiences for it.
    #[must_use]
    pub fn is_over_windows(&self) -> bool {
        self.extras().is_some_and(|extras| extras.over_windows.is_some())
    }

    /// Whether staff overrode the limits for it.
    #[must_use]
    pub fn is_over_limits(&self) -> bool {
        self.extras().is_some_and(|extras| extras.over_limits.is_some())
    }

    /// Lines that were served short, in the order of the request that made the hold.
    #[must_use]
    pub fn shorts(&self) -> &[ShortLine] {
        self.extras().map_or(&[], |extras| &extras.shorts)
    }

    /// Moves the deadline.
    #[inline]
    pub fn set_expires_at(&mut self, expires_at: Timestamp) {
        match times::life(self.created_at.get(), expires_at.0) {
            Some(life) if self.body.times().is_none() => self.life = life,
            Some(_) | None => self.set_times(Times { expires_at, has_grace: false, ..self.times() }),
        }
    }

    /// Moves the deadline because of an outage.
    pub fn give_grace(&mut self, expires_at: Timestamp) {
        self.set_times(Times { expires_at, has_grace: true, ..self.times() });
    }

    #[inline]
    pub(super) fn set_settled_at(&mut self, settled_at: Timestamp) {
        match times::settled(self.created_at.get(), settled_at.0) {
            Some(settled) if self.body.times().is_none() => self.body.set_settled(settled),
            Some(_) | None => self.set_times(Times { settled_at, ..self.times() }),
        }
    }

    pub(super) fn set_lines(&mut self, lines: Lines) {
        self.body.change(|extended| extended.lines = lines);
    }

    pub(super) fn change_extras(&mut self, f: impl FnOnce(&mut HoldExtras)) {
        self.body.change(|extended| f(extended.extras.get_or_insert_default()));
    }

    #[inline]
    fn times(&self) -> Times {
        let Self { created_at, life, body, .. } = self;
        let short = ShortTimes { created_at: *created_at, life: *life, settled: body.settled() };
        body.times().unwrap_or_else(|| short.into())
    }

    /// Stores them in the hold's own bytes if they fit, otherwise with what is rare.
    #[inline]
    fn set_times(&mut self, times: Times) {
        let nothing = ShortTimes { created_at: Packed::ZERO, life: Packed::ZERO, settled: Packed::ZERO };
        let short = times.short();
        if short.is_none() || self.body.times().is_some() {
            self.body.change(|extended| extended.times = short.is_none().then(|| Box::new(times)));
        }
        let ShortTimes { created_at, life, settled } = short.unwrap_or(nothing);
        (self.created_at, self.life) = (created_at, life);
        self.body.set_settled(settled);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::{OfferNo, WindowNo};
    use crate::hold::{HoldLine, Pinned};
    use crate::ids::{ItemNo, PoolNo};

    fn fields() -> HoldFields {
        HoldFields {
            id: HoldId::from_bytes([7; 16]),
            drop: DropNo(3),
            state: HoldState::Held,
            customer: CustomerId::try_from("ada").expect("an id"),
            content: ContentHash(1),
            created_at: Timestamp(1_000),
            expires_at: Timestamp(2_000),
            settled_at: Timestamp(0),
            has_grace: false,
            revision: Lsn(5),
            lines: Lines::from_slice(&[HoldLine::new(ItemNo(4), PoolNo(5), 6)]),
            extras: None,
        }
    }

    /// Holds with every combination of kinds of lines, rare data and times.
    fn all() -> Vec<HoldFields> {
        let line = HoldLine::new(ItemNo(1), PoolNo(2), 3);
        let pinned =
            |window, offer| [HoldLine { pinned: Pinned { window: WindowNo(window), offer: OfferNo(offer) }, ..line }];
        let (few, many) = (pinned(255, 255), pinned(1, 256));
        let cart = [line, HoldLine::new(ItemNo(2), PoolNo(0), 1)];
        let lines = [&[line][..], &[HoldLine { released: 1, ..line }], &cart, &few, &many];
        let late = HoldExtras { late: true, ..HoldExtras::default() };
        let far = u64::MAX;
        let times = [(1, 2, 0), (1, 2, 3), (9, 8, 0), (9, 8, 7), (far, far, far), (0, 0, 0), (0, far, 0), (5, 6, far)];
        let mut all = Vec::new();
        for lines in lines {
            for extras in [None, Some(Box::new(late.clone()))] {
                for (created_at, expires_at, settled_at) in times {
                    let [created_at, expires_at, settled_at] = [created_at, expires_at, settled_at].map(Timestamp);
                    let (lines, extras) = (Lines::from_slice(lines), extras.clone());
                    for has_grace in [false, true] {
                        let (lines, extras) = (lines.clone(), extras.clone());
                        all.push(HoldFields {
                            created_at,
                            expires_at,
                            settled_at,
                            has_grace,
                            lines,
                            extras,
                            ..fields()
                        });
                    }
                }
            }
        }
        all
    }

    #[test]
    fn a_hold_takes_80_bytes() {
        // The memory target depends on it: 10 million holds may be live at once.
        assert_eq!((size_of::<Hold>(), size_of::<Body>()), (80, 16));
    }

    #[test]
    fn what_a_hold_is_made_of_it_tells() {
        for fields in all() {
            assert_eq!(HoldFields::from(Hold::from(fields.clone())), fields);
        }
    }

    #[test]
    fn whatever_a_hold_was_before_it_equals_what_is_made_so_at_once() {
        for was in all() {
            for is in all().into_iter().filter(|is| is.created_at == was.created_at && is.extras == was.extras) {
                let mut hold = Hold::from(was.clone());
                hold.set_settled_at(is.settled_at);
                hold.set_lines(is.lines.clone());
                if is.has_grace {
                    hold.give_grace(is.expires_at);
                } else {
                    hold.set_expires_at(is.expires_at);
                }
                assert_eq!(hold, Hold::from(is.clone()));
                assert_eq!(HoldFields::from(hold), is);
            }
        }
        for was in all().into_iter().filter(|was| was.extras.is_none()) {
            let mut hold = Hold::from(was.clone());
            hold.change_extras(|extras| extras.late = true);
            let extras = Some(Box::new(HoldExtras { late: true, ..HoldExtras::default() }));
            assert_eq!(hold, Hold::from(HoldFields { extras, ..was }));
        }
    }
}
