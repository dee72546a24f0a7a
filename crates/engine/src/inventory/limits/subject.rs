//! One subject: its remembered holds, as far as limits need them.
//!
//! Nearly every subject has one hold of one line. That hold is kept as it is, without an allocation; for more, sums are
//! kept.

use prefetch_index::prefetch_index;
use stockade_types::definition::Conduct;
use stockade_types::hold::{Hold, HoldState, LinesView};
use stockade_types::ids::{DropNo, ItemNo, OrderKey};
use stockade_types::packed::Packed;
use stockade_types::record::{FactConduct, FactKind, OldUsage};
use stockade_types::time::{Millis, Timestamp};

use super::aggregate::{LiveSet, Many, ReservedUnits, SingleLine, Sum};
use super::archived::{Folded, Purchase};
use super::conduct::{Deed, deed, each, nth_newest};
use super::fact_conduct::{self, orders};
use crate::inventory::holds::{CountedHold, HoldSlot};

/// What one subject has.
#[derive(Debug, Default)]
pub enum Subject {
    /// No hold is remembered.
    #[default]
    None,
    /// One hold of one line, if its numbers fit.
    One(One),
    /// No hold is remembered, but units of one item and hour of an archived drop.
    Old(Purchase),
    /// The same with several items or hours.
    Olds(Box<Folded>),
    /// Anything else.
    Many(Box<Many>),
}

/// The only hold of a subject, with its only line. With the fields in this order the other variants of [`Subject`] fit
/// in front of the state, which serves as the tag: all take 24 bytes.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct One {
    place: HoldSlot,
    drop: DropNo,
    /// Milliseconds from its creation to its deadline. Once it is not live: to when it did what rules of conduct count,
    /// or 0.
    life: u32,
    item: ItemNo,
    /// Milliseconds since the epoch.
    created_at: Packed<6>,
    /// Live or claimed.
    units: Packed<3>,
    state: HoldState,
}

/// The hold that a subject counts.
#[derive(Debug, Clone, Copy)]
pub struct HoldKey {
    /// Its drop.
    pub drop: DropNo,
    /// Where it lives.
    pub place: HoldSlot,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What a subject counts of a hold.
#[derive(Debug, Clone, Copy)]
pub struct CountedHoldRef<'a> {
    /// Its state.
    pub state: HoldState,
    /// Its deadline.
    pub expires_at: Timestamp,
    /// When it did what rules of conduct count: see [`Hold::conduct_at`].
    pub conduct_at: Option<Timestamp>,
    /// Its lines.
    pub lines: LinesView<'a>,
}

impl<'a> CountedHoldRef<'a> {
    /// What the hold's subjects count; none once it is superseded. Its successor has its creation instant and counts
    /// for both, so a cart may change any number of times.
    #[inline]
    #[must_use]
    pub fn of(hold: &'a Hold) -> Option<Self> {
        if hold.superseded_by().is_some() {
            return None;
        }
        let (expires_at, conduct_at) = (hold.expires_at(), hold.conduct_at());
        Some(Self { state: hold.state, expires_at, conduct_at, lines: hold.lines() })
    }
}

impl<'a> From<&'a CountedHold> for CountedHoldRef<'a> {
    fn from(counted_hold: &'a CountedHold) -> Self {
        let CountedHold { state, expires_at, conduct_at, lines } = counted_hold;
        Self { state: *state, expires_at: *expires_at, conduct_at: *conduct_at, lines: lines.view() }
    }
}

impl CountedHoldRef<'_> {
    /// Its line, if it has exactly one: the item, and the units that count.
    #[inline]
    pub(super) fn only_line(&self) -> Option<(ItemNo, u32)> {
        let (item, units) = match self.lines {
            LinesView::One { item, pool: _, pinned: _, quantity } => (item, quantity),
            LinesView::Many([line]) => (line.item, line.quantity),
            LinesView::Many(_) => return None,
        };
        Some((item, if self.state.is_ended() { 0 } else { units }))
    }

    /// What it did that rules of conduct count.
    pub(super) fn deed(&self) -> Option<Deed> {
        self.conduct_at.map(|at| deed(self.state, at))
    }
}

impl Subject {
    /// Enters the change of a hold: `before` is none for a new hold, `after` for one that is forgotten. Its lines are
    /// the same in both and in the same order; only their units differ.
    pub fn enter(&mut self, hold_key: HoldKey, before: Option<CountedHoldRef<'_>>, after: Option<CountedHoldRef<'_>>) {
        match (&*self, before, after) {
            (Self::None, None, Some(after)) => self.begin(hold_key, after),
            (Self::One(one), Some(_), None) if one.place == hold_key.place => *self = Self::None,
            (Self::One(one), Some(_), Some(after)) if one.place == hold_key.place => match one.now(after) {
                Some(one) => *self = Self::One(one),
                None => self.change(|many| many.enter(hold_key, before, Some(after))),
            },
            (Self::None | Self::One(_) | Self::Old(_) | Self::Olds(_) | Self::Many(_), before, after) => {
                self.change(|many| many.enter(hold_key, before, after));
            }
        }
    }

    /// Adds units that the subject owns and that no hold contains any more: those of an archived drop. Rolling limits
    /// count them as reserved at `at`.
    pub fn fold(&mut self, usage: OldUsage) {
        match self {
            Self::None => *self = Self::Old(usage.into()),
            Self::Olds(folded) => folded.add(usage),
            Self::Many(many) => many.folded_mut().add(usage),
            Self::One(_) | Self::Old(_) => self.change(|many| many.folded_mut().add(usage)),
        }
    }

    /// Adds an order of an archived drop of which units came back at `at`.
    pub fn fold_return(&mut self, at: Timestamp) {
        match self {
            Self::Olds(folded) => folded.add_return(at),
            Self::Many(many) => many.folded_mut().add_return(at),
            Self::None | Self::One(_) | Self::Old(_) => self.change(|many| many.folded_mut().add_return(at)),
        }
    }

    /// Enters what a fact tells of one of its orders.
    pub fn enter_fact(&mut self, kind: FactKind, at: Timestamp, order: OrderKey) {
        self.change_facts(|facts| fact_conduct::enter(facts, kind, at, order));
    }

    /// Takes in what a snapshot has of its orders.
    pub(in crate::inventory) fn restore_facts(&mut self, image: &FactConduct) {
        let FactConduct { cancelled, charged_back, returned } = image;
        let lists =
            [(FactKind::Cancelled, cancelled), (FactKind::Chargeback, charged_back), (FactKind::Returned, returned)];
        self.change_facts(|facts| {
            for (kind, orders) in lists {
                orders.iter().for_each(|(at, order)| fact_conduct::enter(facts, kind, *at, *order));
            }
        });
    }

    /// `ReturnUnits` was called for the hold of an order: facts about that do not count any more.
    pub fn forget_fact_return(&mut self, order: OrderKey) {
        if self.facts().is_some_and(|facts| !facts.returned.is_empty()) {
            self.change_facts(|facts| fact_conduct::forget_return(facts, order));
        }
    }

    fn change_facts(&mut self, change: impl FnOnce(&mut FactConduct)) {
        match self {
            Self::Many(many) => many.folded_mut().change_facts(change),
            Self::None | Self::One(_) | Self::Old(_) | Self::Olds(_) => {
                self.change(|many| many.folded_mut().change_facts(change));
            }
        }
    }

    /// What facts tell of its orders, if they tell anything.
    #[must_use]
    pub fn facts(&self) -> Option<&FactConduct> {
        match self {
            Self::None | Self::One(_) | Self::Old(_) => None,
            Self::Olds(folded) => folded.facts(),
            Self::Many(many) => many.folded().facts(),
        }
    }

    /// What was folded into it, in a fixed order.
    #[must_use]
    pub fn folded(&self) -> Vec<OldUsage> {
        match self {
            Self::None | Self::One(_) => Vec::new(),
            Self::Old(bought) => vec![bought.usage()],
            Self::Olds(folded) => folded.iter().collect(),
            Self::Many(many) => many.folded().iter().collect(),
        }
    }

    /// When units came back of each order that was folded into it, oldest first.
    #[must_use]
    pub fn folded_returns(&self) -> Vec<Timestamp> {
        match self {
            Self::None | Self::One(_) | Self::Old(_) => Vec::new(),
            Self::Olds(folded) => each(folded.returns()).collect(),
            Self::Many(many) => each(many.folded().returns()).collect(),
        }
    }

    /// When the `nth` newest of its holds did what a rule counts, at `from` or later; none if fewer did.
    pub(super) fn nth_newest(&self, counts: Conduct, from: Timestamp, nth: u32) -> Option<Timestamp> {
        match self {
            Self::None | Self::Old(_) => None,
            Self::One(one) => {
                let (did, at) = one.deed()?;
                (did == counts && at >= from && nth <= 1).then_some(at)
            }
            Self::Olds(folded) => {
                let returns = [folded.returns()].into_iter().filter(|_| counts == Conduct::Returns);
                nth_newest(returns, folded.facts().map_or(&[][..], |facts| orders(facts, counts)), from, nth)
            }
            Self::Many(many) => many.nth_newest(counts, from, nth),
        }
    }

    /// Prefetches the sums of a subject of many holds, which are an allocation of their own.
    pub(super) fn fetch_sums(&self) {
        if let Self::Many(many) = self {
            prefetch_index(std::slice::from_ref(many.as_ref()), 0);
        }
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Whether it only has units of archived drops.
    #[must_use]
    pub const fn is_old(&self) -> bool {
        matches!(self, Self::Old(_) | Self::Olds(_))
    }

    /// A hold that is due at `now`: it must be given back before a limit may refuse.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> Option<HoldSlot> {
        let (at, place) = match self {
            Self::One(one) if one.state.is_live() => (one.expires_at(), one.place),
            Self::None | Self::One(_) | Self::Old(_) | Self::Olds(_) => return None,
            Self::Many(many) => many.first_live()?,
        };
        (at <= now).then_some(place)
    }

    /// Units live and claimed, of all items of a drop or of one of them. Folded units are not included.
    #[must_use]
    pub fn units(&self, drop: DropNo, item: Option<ItemNo>) -> u64 {
        match self {
            Self::One(one) if one.drop == drop && item.is_none_or(|item| one.item == item) => one.units.get(),
            // An archived drop takes no requests, so folded units of this drop are not needed.
            Self::None | Self::One(_) | Self::Old(_) | Self::Olds(_) => 0,
            Self::Many(many) => {
                let fits = |sum: &&Sum| item.is_none_or(|item| sum.item == item);
                many.sums_of(drop).iter().filter(fits).map(Sum::units).fold(0, u64::saturating_add)
            }
        }
    }

    /// Visits the sums of all items of which the subject has units.
    pub fn each_sum(&self, mut f: impl FnMut(Sum)) {
        match self {
            Self::None => {}
            Self::One(one) => one.sum().into_iter().for_each(f),
            Self::Old(bought) => f(Sum::from(bought.usage())),
            Self::Olds(folded) => folded.iter().for_each(|usage| f(usage.into())),
            Self::Many(many) => {
                many.sums().iter().for_each(|sum| f(*sum));
                many.folded().iter().for_each(|usage| f(usage.into()));
            }
        }
    }

    /// Visits the live holds, those of one drop and the same items together.
    pub fn each_live_set(&self, mut f: impl FnMut(LiveSet<'_>)) {
        match self {
            Self::None | Self::Old(_) | Self::Olds(_) => {}
            Self::One(one) => {
                if one.has_live_units() {
                    let first = (one.expires_at(), one.place);
                    f(LiveSet { drop: one.drop, items: &[one.item], count: 1, first, second: None });
                }
            }
            Self::Many(many) => many.each_live_set(f),
        }
    }

    /// Visits what remembered holds reserved at `from` or later, newest first, until `f` returns false.
    pub fn each_since(&self, from: Timestamp, mut f: impl FnMut(ReservedUnits) -> bool) {
        match self {
            Self::None | Self::Old(_) | Self::Olds(_) => {}
            Self::One(one) => {
                if one.created_at() >= from {
                    f(one.reserved());
                }
            }
            Self::Many(many) => many.each_since(from, f),
        }
    }

    /// Visits what was reserved at `from` or later and still has units, newest first, archived drops included.
    pub fn each_owned_since(&self, from: Timestamp, mut f: impl FnMut(ReservedUnits)) {
        match self {
            Self::None => {}
            Self::One(one) => {
                Some(one.reserved()).filter(|made| made.at >= from && made.units > 0).into_iter().for_each(f);
            }
            Self::Old(bought) => Some(bought.usage()).filter(|usage| usage.at >= from).into_iter().for_each(|usage| {
                f(usage.into());
            }),
            Self::Olds(folded) => folded.each_since(from, f),
            Self::Many(many) => many.each_owned_since(from, f),
        }
    }

    /// All of it in a fixed order and in one form, for comparing two inventories.
    pub(in crate::inventory) fn image(&self) -> Image {
        let mut image = Image::default();
        self.each_sum(|sum| image.sums.push((sum.drop, sum.item, sum.live, sum.owned)));
        self.each_since(Timestamp::default(), |made| {
            image.reserved.push((made.at, made.drop, made.item, made.holds, made.units));
            true
        });
        match self {
            Self::One(one) if one.has_live_units() => {
                image.live.push((one.drop, vec![one.item], vec![one.expires_at()]));
            }
            Self::None | Self::One(_) | Self::Old(_) | Self::Olds(_) => {}
            Self::Many(many) => image.live = many.live_image(),
        }
        (image.folded, image.folded_returns) = (self.folded(), self.folded_returns());
        image.facts = self.facts().cloned().unwrap_or_default();
        image.deeds = match self {
            Self::None | Self::Old(_) | Self::Olds(_) => Vec::new(),
            Self::One(one) => one.deed().into_iter().collect(),
            Self::Many(many) => many.deeds(),
        };
        image
    }

    fn begin(&mut self, hold_key: HoldKey, after: CountedHoldRef<'_>) {
        match One::of(hold_key, after) {
            Some(one) => *self = Self::One(one),
            None => self.change(|many| many.enter(hold_key, None, Some(after))),
        }
    }

    /// Changes the sums. A single hold becomes sums first; if no hold is left, only folded usage is kept.
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
                many.enter_single(one.hold_key(), one.item, None, Some(one.single_line()));
                many.enter_deed(None, one.deed());
            }
            Self::Old(bought) => *many.folded_mut() = bought.usage().into(),
            Self::Olds(folded) => *many.folded_mut() = *folded,
            Self::Many(already) => many = already,
        }
        many
    }
}

impl From<Folded> for Subject {
    fn from(folded: Folded) -> Self {
        match folded.only() {
            Some(usage) => Self::Old(usage.into()),
            None if folded.is_empty() => Self::None,
            None => Self::Olds(Box::new(folded)),
        }
    }
}

impl One {
    /// None for a hold of several lines or with numbers that do not fit: a deadline before its creation or over 49 days
    /// after it, a return in the millisecond of its creation, units over 2^24 - 1 (lines of one SKU together may have
    /// more), or a creation instant of more than 48 bits.
    fn of(hold_key: HoldKey, counted: CountedHoldRef<'_>) -> Option<Self> {
        let HoldKey { drop, place, created_at } = hold_key;
        let (none, state, item) = (Packed::ZERO, counted.state, ItemNo::default());
        let created_at = Packed::new(created_at.0)?;
        Self { place, drop, life: 0, item, created_at, units: none, state }.now(counted)
    }

    /// The same hold with changed units, state or deadline. Its place and its creation stay.
    fn now(&self, counted: CountedHoldRef<'_>) -> Option<Self> {
        let (item, units) = counted.only_line()?;
        let CountedHoldRef { state, expires_at, conduct_at, lines: _ } = counted;
        let span = |until: Timestamp| until.0.checked_sub(self.created_at.get());
        let life = match conduct_at {
            _ if state.is_live() => span(expires_at)?,
            Some(at) => span(at).filter(|span| *span > 0)?,
            None => 0,
        };
        Some(Self { life: u32::try_from(life).ok()?, item, units: Packed::new(units.into())?, state, ..*self })
    }

    fn hold_key(&self) -> HoldKey {
        HoldKey { drop: self.drop, place: self.place, created_at: self.created_at() }
    }

    fn created_at(&self) -> Timestamp {
        Timestamp(self.created_at.get())
    }

    /// Once it is not live: when it did what rules of conduct count.
    fn expires_at(&self) -> Timestamp {
        self.created_at().plus(Millis(self.life.into()))
    }

    /// What it did that rules of conduct count.
    fn deed(&self) -> Option<Deed> {
        (!self.state.is_live() && self.life > 0).then(|| deed(self.state, self.expires_at()))
    }

    fn single_line(&self) -> SingleLine {
        SingleLine::of(self.state, self.units.get(), self.expires_at())
    }

    fn has_live_units(&self) -> bool {
        self.state.is_live() && self.units != Packed::ZERO
    }

    fn sum(&self) -> Option<Sum> {
        let units = self.units.get();
        let (live, owned) = if self.state.is_live() { (units, 0) } else { (0, units) };
        (units > 0).then_some(Sum { drop: self.drop, item: self.item, live, owned })
    }

    fn reserved(&self) -> ReservedUnits {
        let Self { place: _, drop, life: _, item, created_at: _, units, state: _ } = *self;
        ReservedUnits { at: self.created_at(), drop, item, holds: 1, units: units.get() }
    }
}

/// A subject in a fixed order and in one form.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::inventory) struct Image {
    /// Units by drop and item: live and claimed.
    sums: Vec<(DropNo, ItemNo, u64, u64)>,
    /// By time, drop and item: holds and units.
    reserved: Vec<(Timestamp, DropNo, ItemNo, u32, u64)>,
    /// Deadlines of live holds by drop and items.
    live: Vec<(DropNo, Vec<ItemNo>, Vec<Timestamp>)>,
    /// From archived drops.
    folded: Vec<OldUsage>,
    /// The same of returns.
    folded_returns: Vec<Timestamp>,
    /// What facts tell of its orders.
    facts: FactConduct,
    /// What remembered holds did that rules of conduct count.
    deeds: Vec<Deed>,
}
