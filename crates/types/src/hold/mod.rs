//! Holds: units set aside for one customer until a deadline, and the changes to them.
//!
//! [`Hold::change`] makes no decisions. A record carries the whole hold after the change, and that replaces the hold.

mod lines;
mod packed;

use smallvec::SmallVec;

pub use lines::{HoldLine, Iter, Lines, LinesView, Pinned};
pub use packed::{Hold, HoldFields, HoldParts};

use crate::ids::{HoldId, IdentityKind, ItemNo, OrderRef, SubjectKey, TierId};
use crate::refusal::Reason;
use crate::time::{Millis, Timestamp};

/// Most lines in a hold.
pub const HOLD_LINES_MAX: usize = 32;

/// A hold's state. The numbers are part of the wire and of the disk's format and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HoldState {
    /// Set aside until the deadline.
    Held,
    /// In payment, until the deadline.
    Paying,
    /// Sold.
    Claimed,
    /// Given back before the sale.
    Released,
    /// Given back because the deadline passed.
    Expired,
}

impl HoldState {
    /// All states, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Held, Self::Paying, Self::Claimed, Self::Released, Self::Expired];

    /// Its index in [`HoldState::ALL`].
    #[inline]
    #[must_use]
    pub const fn place(self) -> usize {
        match self {
            Self::Held => 0,
            Self::Paying => 1,
            Self::Claimed => 2,
            Self::Released => 3,
            Self::Expired => 4,
        }
    }

    /// The number on the wire and on disk.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Held => 1,
            Self::Paying => 2,
            Self::Claimed => 3,
            Self::Released => 4,
            Self::Expired => 5,
        }
    }

    /// The state with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }

    /// The enum's name in lower case, as metrics label it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Paying => "paying",
            Self::Claimed => "claimed",
            Self::Released => "released",
            Self::Expired => "expired",
        }
    }

    /// Whether the hold's deadline still counts: its units go back when it passes.
    #[must_use]
    pub const fn is_live(self) -> bool {
        match self {
            Self::Held | Self::Paying => true,
            Self::Claimed | Self::Released | Self::Expired => false,
        }
    }

    /// Whether the hold's units were given back.
    #[must_use]
    pub const fn is_ended(self) -> bool {
        match self {
            Self::Held | Self::Paying | Self::Claimed => false,
            Self::Released | Self::Expired => true,
        }
    }
}

/// Keyed digest of what a request asks for: distinguishes a repeat from another request with the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash(pub u64);

/// What few holds have, or only at their end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct HoldExtras {
    /// The order it was claimed for.
    pub order_ref: Option<OrderRef>,
    /// Whether it was claimed after its deadline, from free stock.
    pub late: bool,
    /// The hold that took its place.
    pub superseded_by: Option<HoldId>,
    /// Further subjects that limits count the hold for: card, device, address. Ascending, each once.
    pub identities: Vec<Identity>,
    /// The customer's tiers, as far as a limit of the drop named them when the hold was made. Ascending.
    pub tiers: Vec<TierId>,
    /// Why staff overrode the limits for it.
    pub over_limits: Option<Box<str>>,
    /// Why staff overrode the windows and audiences for it.
    pub over_windows: Option<Box<str>>,
    /// Lines that were served short, in the order of the request that made the hold.
    pub shorts: Vec<ShortLine>,
    /// The longest life that conduct allows it, with all extensions, if that is shorter than the drop's.
    pub life_max: Option<Millis>,
    /// When units of it came back last after the sale; the epoch if none did.
    pub returned_at: Timestamp,
}

/// One of a customer's identities, as limits count it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// Its kind.
    pub kind: IdentityKind,
    /// Its key: the value itself is not kept.
    pub subject: SubjectKey,
}

/// A line that was served short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ShortLine {
    /// Which item.
    pub item: ItemNo,
    /// Units requested. Those served are in the hold's lines.
    pub requested: u32,
    /// Why not all of them were served.
    pub reason: Reason,
}

/// A change of a hold. Each carries results, not differences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The deadline moved.
    Extended {
        /// The new deadline.
        expires_at: Timestamp,
    },
    /// The hold went into payment, or back from it.
    Staged {
        /// [`HoldState::Held`] or [`HoldState::Paying`].
        stage: HoldState,
        /// The new deadline.
        expires_at: Timestamp,
    },
    /// It was claimed.
    Claimed {
        /// When.
        at: Timestamp,
        /// For which order.
        order_ref: OrderRef,
        /// After the deadline, from free stock.
        late: bool,
        /// Units claimed of each line, in the hold's order of lines; the others are given back. Empty: everything is
        /// claimed.
        kept: SmallVec<[u32; 4]>,
    },
    /// Units came back after the sale: the totals so far.
    Returned {
        /// When; records of format 1 don't say.
        at: Option<Timestamp>,
        /// Of each line, in the hold's order of lines: units returned, and how many of those are not for sale again.
        totals: SmallVec<[(u32, u32); 4]>,
    },
    /// Units were given back before the sale.
    Released {
        /// When.
        at: Timestamp,
        /// Units left in each line, in the hold's order of lines; empty: nothing is left and the hold ends.
        kept: SmallVec<[u32; 4]>,
    },
    /// Another hold of the same customer took its place.
    Superseded {
        /// When.
        at: Timestamp,
        /// Which.
        by: HoldId,
    },
    /// The deadline passed.
    Expired {
        /// When that was noticed.
        at: Timestamp,
    },
}

impl Hold {
    /// Applies a change. The caller sets the revision from the record.
    pub fn change(&mut self, change: &Change) {
        match change {
            Change::Extended { expires_at } => self.set_expires_at(*expires_at),
            Change::Staged { stage, expires_at } => {
                self.state = *stage;
                self.set_expires_at(*expires_at);
            }
            Change::Claimed { at, order_ref, late, kept } => {
                self.state = HoldState::Claimed;
                self.set_settled_at(*at);
                self.change_extras(|extras| {
                    extras.order_ref = Some(order_ref.clone());
                    extras.late = *late;
                });
                if !kept.is_empty() {
                    self.keep(kept);
                }
            }
            Change::Returned { at, totals } => {
                if let Some(at) = at {
                    self.change_extras(|extras| extras.returned_at = *at);
                }
                self.put_back(totals);
            }
            Change::Released { at, kept } if kept.is_empty() => self.end(HoldState::Released, *at),
            Change::Released { at: _, kept } => self.keep(kept),
            Change::Superseded { at, by } => {
                self.change_extras(|extras| extras.superseded_by = Some(*by));
                self.end(HoldState::Released, *at);
            }
            Change::Expired { at } => self.end(HoldState::Expired, *at),
        }
    }

    /// Whether the deadline has passed. The units are for sale from `expires_at` on.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.state.is_live() && now >= self.expires_at()
    }

    /// When it did what rules of conduct count, if it did: an ended hold, that it went unclaimed; a claimed one, that
    /// units of it came back.
    #[inline]
    #[must_use]
    pub fn conduct_at(&self) -> Option<Timestamp> {
        match self.state {
            HoldState::Held | HoldState::Paying => None,
            HoldState::Claimed => self.extras().map(|extras| extras.returned_at).filter(|at| at.0 > 0),
            HoldState::Expired => (!self.has_grace()).then(|| self.expires_at()),
            HoldState::Released => self.released_late(),
        }
    }

    /// When it was released, if that was after more than half of its time.
    fn released_late(&self) -> Option<Timestamp> {
        let (created_at, released_at) = (self.created_at(), self.settled_at());
        let (kept, granted) = (created_at.until(released_at).0, created_at.until(self.expires_at()).0);
        let is_late = kept > granted.saturating_sub(kept);
        (is_late && !self.has_grace() && self.superseded_by().is_none()).then_some(released_at)
    }

    /// The lines as they are shown: an ended hold has no units and has released what it had.
    pub fn shown_lines(&self) -> impl Iterator<Item = HoldLine> + '_ {
        let dead = self.state.is_ended();
        self.lines().iter().map(move |line| if dead { line.keeping(0) } else { line })
    }

    /// Units of an item that the hold has, or had when it ended.
    #[must_use]
    pub fn units_of(&self, item: ItemNo) -> u32 {
        self.sum_of(item, |line| line.quantity)
    }

    /// Units of an item that it had when it was made.
    #[must_use]
    pub fn at_first(&self, item: ItemNo) -> u32 {
        self.sum_of(item, HoldLine::at_first)
    }

    /// Units of an item that its request asked for: what it had when it was made, or more if that line was short.
    #[must_use]
    pub fn asked(&self, item: ItemNo) -> u32 {
        let short = self.shorts().iter().find(|short| short.item == item);
        short.map_or_else(|| self.at_first(item), |short| short.requested)
    }

    fn sum_of(&self, item: ItemNo, units: impl Fn(&HoldLine) -> u32) -> u32 {
        let of_item = self.lines().iter().filter(|line| line.item == item);
        of_item.map(|line| units(&line)).fold(0, u32::saturating_add)
    }

    fn end(&mut self, state: HoldState, at: Timestamp) {
        self.state = state;
        self.set_settled_at(at);
    }

    fn put_back(&mut self, totals: &[(u32, u32)]) {
        let lines: SmallVec<[HoldLine; 4]> = self
            .lines()
            .iter()
            .zip(totals)
            .map(|(line, (returned, withdrawn))| HoldLine {
                quantity: line.quantity.saturating_sub(returned.saturating_sub(line.returned)),
                returned: *returned,
                withdrawn: *withdrawn,
                ..line
            })
            .collect();
        self.set_lines(Lines::from_slice(&lines));
    }

    fn keep(&mut self, kept: &[u32]) {
        let kept = kept.iter().copied().chain(std::iter::repeat(0));
        let lines: SmallVec<[HoldLine; 4]> =
            self.lines().iter().zip(kept).map(|(line, keep)| line.keeping(keep)).collect();
        self.set_lines(Lines::from_slice(&lines));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{CustomerId, DropNo, Lsn, PoolNo};

    fn hold() -> Hold {
        Hold::from(HoldFields {
            id: HoldId::from_bytes([7; 16]),
            drop: DropNo(0),
            state: HoldState::Held,
            customer: CustomerId::try_from("ada").expect("an id"),
            content: ContentHash(1),
            created_at: Timestamp(1_000),
            expires_at: Timestamp(2_000),
            settled_at: Timestamp(0),
            has_grace: false,
            revision: Lsn(5),
            lines: Lines::from_slice(&[HoldLine::new(ItemNo(0), PoolNo(0), 3), HoldLine::new(ItemNo(1), PoolNo(0), 2)]),
            extras: None,
        })
    }

    #[test]
    fn each_state_knows_its_place() {
        assert_eq!(HoldState::ALL.map(HoldState::place), std::array::from_fn(|place| place));
    }

    #[test]
    fn a_release_keeps_what_it_says_and_never_grows() {
        let mut held = hold();
        let kept = SmallVec::from_slice(&[1, 9]);
        held.change(&Change::Released { at: Timestamp(1_500), kept });
        let lines: Vec<_> = held.lines().iter().map(|l| (l.quantity, l.released, l.at_first())).collect();
        assert_eq!(lines, [(1, 2, 3), (2, 0, 2)]);
        assert_eq!(held.state, HoldState::Held);
    }

    #[test]
    fn a_superseded_hold_says_by_which_and_is_released() {
        let mut held = hold();
        let by = HoldId::from_bytes([8; 16]);
        held.change(&Change::Superseded { at: Timestamp(1_500), by });
        assert_eq!(
            (held.state, held.superseded_by(), held.settled_at()),
            (HoldState::Released, Some(by), Timestamp(1_500))
        );
        assert!(held.shown_lines().all(|line| line.quantity == 0 && line.released > 0));
    }

    #[test]
    fn what_was_asked_and_given_at_first_is_told_whatever_became_of_it() {
        let short = |item, requested| ShortLine { item: ItemNo(item), requested, reason: Reason::SoldOut };
        let extras = HoldExtras { shorts: vec![short(2, 4), short(0, 9)], ..HoldExtras::default() };
        let mut held = Hold::from(HoldFields { extras: Some(Box::new(extras)), ..HoldFields::from(hold()) });
        held.change(&Change::Released { at: Timestamp(1_500), kept: SmallVec::from_slice(&[1, 0]) });
        let counts: Vec<_> = (0..4).map(|item| (held.asked(ItemNo(item)), held.at_first(ItemNo(item)))).collect();
        assert_eq!(counts, [(9, 3), (2, 2), (4, 0), (0, 0)]);
        assert_eq!(held.units_of(ItemNo(0)), 1);
    }

    #[test]
    fn an_ended_hold_has_nothing_left() {
        let mut held = hold();
        assert!(held.is_due(Timestamp(2_000)) && !held.is_due(Timestamp(1_999)), "due from the deadline on");
        held.change(&Change::Expired { at: Timestamp(2_000) });
        assert!(held.shown_lines().all(|line| line.quantity == 0 && line.released == line.at_first()));
        assert!(!held.is_due(Timestamp(9_000)), "a dead hold is never due");
    }
}
