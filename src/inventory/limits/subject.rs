//! One subject: the holds of it that are remembered, as far as limits look at them.
//!
//! Nearly every subject has one hold of one line. That one is kept as it is, without an allocation; whoever has more
//! gets sums.

use super::folded::Folded;
use super::many::{LiveSet, Many, Reserved, Sum};
use crate::hold::{Hold, HoldState, Lines};
use crate::ids::{DropNo, ItemNo, PoolNo};
use crate::inventory::holds::{HoldRef, Standing};
use crate::record::OldUsage;
use crate::time::Timestamp;

/// What one subject has.
#[derive(Debug, Default)]
pub enum Subject {
    /// No hold is remembered.
    #[default]
    None,
    /// One hold of one line.
    One(One),
    /// No hold is remembered, but units of one item of an archived drop are.
    Old(OldUsage),
    /// As that, units of several, or of several hours.
    Olds(Box<Folded>),
    /// Anything else.
    Many(Box<Many>),
}

/// The one hold of a subject, and its one line.
#[derive(Debug, Clone, Copy)]
pub struct One {
    created_at: Timestamp,
    /// While it is live.
    expires_at: Timestamp,
    place: HoldRef,
    drop: DropNo,
    /// Units held or owned.
    units: u32,
    item: ItemNo,
    state: HoldState,
}

/// Which hold a subject counts.
#[derive(Debug, Clone, Copy)]
pub struct Whose {
    /// Its drop.
    pub drop: DropNo,
    /// Where it lives.
    pub place: HoldRef,
    /// When it was made.
    pub created_at: Timestamp,
}

/// How a hold stands, as far as a subject counts it.
#[derive(Debug, Clone, Copy)]
pub struct Counted<'a> {
    /// Where it stands.
    pub state: HoldState,
    /// Its deadline.
    pub expires_at: Timestamp,
    /// What it has.
    pub lines: &'a Lines,
}

impl<'a> Counted<'a> {
    /// As a hold's subjects count it: not at all, once another took its place. That one has its beginning, and stands
    /// for both, so that a cart may change as often as it likes.
    #[must_use]
    pub fn of(hold: &'a Hold) -> Option<Self> {
        let counted = Self { state: hold.state, expires_at: hold.expires_at, lines: &hold.lines };
        hold.superseded_by().is_none().then_some(counted)
    }
}

impl<'a> From<&'a Standing> for Counted<'a> {
    fn from(standing: &'a Standing) -> Self {
        Self { state: standing.state, expires_at: standing.expires_at, lines: &standing.lines }
    }
}

impl Counted<'_> {
    /// Its one line, if it has just one: the item, and the units that count.
    #[inline]
    pub(super) fn only_line(&self) -> Option<(ItemNo, u32)> {
        let (item, units) = match self.lines {
            Lines::One { item, pool: _, quantity } => (*item, *quantity),
            Lines::Many(lines) => match &**lines {
                [line] => (line.item, line.quantity),
                _ => return None,
            },
        };
        Some((item, if self.state.is_ended() { 0 } else { units }))
    }
}

impl Subject {
    /// Enters what became of a hold: nothing before it was made, nothing after it is forgotten. Between the two its
    /// lines stay the same and in the same order; only their units change.
    pub fn enter(&mut self, whose: Whose, before: Option<Counted<'_>>, after: Option<Counted<'_>>) {
        match (&*self, before, after) {
            (Self::None, None, Some(after)) => self.begin(whose, after),
            (Self::One(one), Some(_), None) if one.place == whose.place => *self = Self::None,
            (Self::One(one), Some(_), Some(after)) if one.place == whose.place => {
                *self = one.now(after).map_or(Self::None, Self::One);
            }
            (Self::None | Self::One(_) | Self::Old(_) | Self::Olds(_) | Self::Many(_), before, after) => {
                self.change(|many| many.enter(whose, before, after));
            }
        }
    }

    /// Adds units that the subject owns and that no hold tells of any more: those of an archived drop. Rolling limits
    /// count them as reserved at `at`.
    pub fn fold(&mut self, usage: OldUsage) {
        match self {
            Self::None => *self = Self::Old(usage),
            Self::Olds(folded) => folded.add(usage),
            Self::Many(many) => many.folded_mut().add(usage),
            Self::One(_) | Self::Old(_) => self.change(|many| many.folded_mut().add(usage)),
        }
    }

    /// What was folded into it, in a fixed order.
    #[must_use]
    pub fn folded(&self) -> Vec<OldUsage> {
        match self {
            Self::None | Self::One(_) => Vec::new(),
            Self::Old(usage) => vec![*usage],
            Self::Olds(folded) => folded.iter().collect(),
            Self::Many(many) => many.folded().iter().collect(),
        }
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Whether it only owns what it bought in archived drops.
    #[must_use]
    pub const fn is_old(&self) -> bool {
        matches!(self, Self::Old(_) | Self::Olds(_))
    }

    /// A hold that is due at `now`: it must be given back before a limit may refuse.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> Option<HoldRef> {
        let (at, place) = match self {
            Self::One(one) if one.state.is_live() => (one.expires_at, one.place),
            Self::None | Self::One(_) | Self::Old(_) | Self::Olds(_) => return None,
            Self::Many(many) => many.first_live()?,
        };
        (at <= now).then_some(place)
    }

    /// Units held and owned, of all items of a drop or of one of them.
    #[must_use]
    pub fn units(&self, drop: DropNo, item: Option<ItemNo>) -> u64 {
        match self {
            Self::One(one) if one.drop == drop && item.is_none_or(|item| one.item == item) => u64::from(one.units),
            // Nothing is asked for in an archived drop.
            Self::None | Self::One(_) | Self::Old(_) | Self::Olds(_) => 0,
            Self::Many(many) => {
                let fits = |sum: &&Sum| item.is_none_or(|item| sum.item == item);
                many.sums_of(drop).iter().filter(fits).map(Sum::units).fold(0, u64::saturating_add)
            }
        }
    }

    /// Visits what the subject has of each item of which it has any.
    pub fn each_sum(&self, mut f: impl FnMut(Sum)) {
        match self {
            Self::None => {}
            Self::One(one) => one.sum().into_iter().for_each(f),
            Self::Old(usage) => f(Sum::from(*usage)),
            Self::Olds(folded) => folded.iter().for_each(|usage| f(usage.into())),
            Self::Many(many) => {
                many.sums().iter().for_each(|sum| f(*sum));
                many.folded().iter().for_each(|usage| f(usage.into()));
            }
        }
    }

    /// Visits the live holds, those of one drop and the same items together: drop, items, how many, the first deadline
    /// and whose it is.
    pub fn each_live_set(&self, mut f: impl FnMut(LiveSet<'_>)) {
        match self {
            Self::None | Self::Old(_) | Self::Olds(_) => {}
            Self::One(one) => {
                if one.state.is_live() && one.units > 0 {
                    let first = (one.expires_at, one.place);
                    f(LiveSet { drop: one.drop, items: &[one.item], count: 1, first, second: None });
                }
            }
            Self::Many(many) => many.each_live_set(f),
        }
    }

    /// Visits what holds that are remembered reserved at `from` or later, newest first, until `f` says that it has seen
    /// enough.
    pub fn each_since(&self, from: Timestamp, mut f: impl FnMut(Reserved) -> bool) {
        match self {
            Self::None | Self::Old(_) | Self::Olds(_) => {}
            Self::One(one) => {
                if one.created_at >= from {
                    f(one.reserved());
                }
            }
            Self::Many(many) => many.each_since(from, f),
        }
    }

    /// Visits what was reserved at `from` or later and still has units, newest first, archived drops included.
    pub fn each_owned_since(&self, from: Timestamp, mut f: impl FnMut(Reserved)) {
        match self {
            Self::None => {}
            Self::One(one) => {
                Some(one.reserved()).filter(|made| made.at >= from && made.units > 0).into_iter().for_each(f);
            }
            Self::Old(usage) => {
                if usage.at >= from {
                    f(Reserved::from(*usage));
                }
            }
            Self::Olds(folded) => folded.each_since(from, f),
            Self::Many(many) => many.each_owned_since(from, f),
        }
    }

    /// Everything in a fixed order and in one form, for comparing two inventories.
    pub(in crate::inventory) fn image(&self) -> Image {
        let mut image = Image::default();
        self.each_sum(|sum| image.sums.push((sum.drop, sum.item, sum.live, sum.owned)));
        self.each_since(Timestamp::default(), |made| {
            image.reserved.push((made.at, made.drop, made.item, made.holds, made.units));
            true
        });
        match self {
            Self::One(one) if one.state.is_live() && one.units > 0 => {
                image.live.push((one.drop, vec![one.item], vec![one.expires_at]));
            }
            Self::None | Self::One(_) | Self::Old(_) | Self::Olds(_) => {}
            Self::Many(many) => image.live = many.live_image(),
        }
        image.folded = self.folded();
        image
    }

    fn begin(&mut self, whose: Whose, after: Counted<'_>) {
        match One::of(whose, after) {
            Some(one) => *self = Self::One(one),
            None => self.change(|many| many.enter(whose, None, Some(after))),
        }
    }

    /// Changes what is kept in sums. One hold becomes that first; where no hold is left, what was folded is kept alone.
    fn change(&mut self, f: impl FnOnce(&mut Many)) {
        if !matches!(self, Self::Many(_)) {
            *self = Self::Many(std::mem::take(self).into_many());
        }
        let Self::Many(many) = self else { return };
        f(many);
        if many.has_no_hold() {
            *self = std::mem::take(many.folded_mut()).into();
        }
    }

    fn into_many(self) -> Box<Many> {
        let mut many = Box::<Many>::default();
        match self {
            Self::None => {}
            Self::One(one) => {
                let lines = Lines::One { item: one.item, pool: PoolNo(0), quantity: one.units };
                let counted = Counted { state: one.state, expires_at: one.expires_at, lines: &lines };
                many.enter(Whose { drop: one.drop, place: one.place, created_at: one.created_at }, None, Some(counted));
            }
            Self::Old(usage) => *many.folded_mut() = usage.into(),
            Self::Olds(folded) => *many.folded_mut() = *folded,
            Self::Many(already) => many = already,
        }
        many
    }
}

impl From<Folded> for Subject {
    fn from(folded: Folded) -> Self {
        match folded.only() {
            Some(usage) => Self::Old(usage),
            None if folded.is_empty() => Self::None,
            None => Self::Olds(Box::new(folded)),
        }
    }
}

impl One {
    fn of(whose: Whose, counted: Counted<'_>) -> Option<Self> {
        let Whose { drop, place, created_at } = whose;
        let (item, units) = counted.only_line()?;
        let Counted { state, expires_at, lines: _ } = counted;
        Some(Self { created_at, expires_at, place, drop, units, item, state })
    }

    fn now(&self, after: Counted<'_>) -> Option<Self> {
        Self::of(Whose { drop: self.drop, place: self.place, created_at: self.created_at }, after)
    }

    fn sum(&self) -> Option<Sum> {
        let units = u64::from(self.units);
        let (live, owned) = if self.state.is_live() { (units, 0) } else { (0, units) };
        (units > 0).then_some(Sum { drop: self.drop, item: self.item, live, owned })
    }

    fn reserved(&self) -> Reserved {
        let Self { created_at, expires_at: _, place: _, drop, units, item, state: _ } = *self;
        Reserved { at: created_at, drop, item, holds: 1, units: u64::from(units) }
    }
}

/// A subject in a fixed order and in one form.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::inventory) struct Image {
    /// Units by drop and item: live and owned.
    sums: Vec<(DropNo, ItemNo, u64, u64)>,
    /// By time, drop and item: holds and units.
    reserved: Vec<(Timestamp, DropNo, ItemNo, u32, u64)>,
    /// Deadlines of live holds by drop and items.
    live: Vec<(DropNo, Vec<ItemNo>, Vec<Timestamp>)>,
    /// From archived drops.
    folded: Vec<OldUsage>,
}
