//! Marks: the facts that something of a drop's plan has come, and what a definition schedules.

use crate::codec::{DecodeError, Reader, put_u64};
use crate::definition::{BandNo, Definition, Moment, Rules, SignalNo, TermsNo, TrancheNo, Trigger, WindowNo};
use crate::ids::{ItemNo, PoolNo};
use crate::time::Timestamp;

/// Most marks of what is made known of the stock in one record, so that its events fit into a message. The others follow
/// in the next, at once.
pub const STOCK_MARKS_MAX: usize = 16;

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
    /// A signal fires. It may fire again: the last time counts.
    Signal(SignalNo),
    /// A signal's moment came, too late to fire.
    SignalMissed(SignalNo),
    /// Nothing is free of an item, or of all goods together. It and the next replace each other.
    SoldOut(Option<ItemNo>),
    /// Something is free again.
    BackInStock(Option<ItemNo>),
    /// The public is shown this band of an item. It replaces the one before.
    Band(ItemNo, BandNo),
}

/// The marks that a record may have, by its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum MarkScope {
    /// That a drop opens and closes.
    Schedule,
    /// Those of windows, pools, tranches, prices and slots, too.
    Rules,
    /// Those of signals and of what the public sees of the stock, too.
    All,
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

/// Marks of a drop's rules, each at most once. They are only added, but those of a signal that fires again, and of what
/// the public sees of the stock, replace the ones before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks(Vec<Mark>);

impl Marks {
    /// None.
    pub(super) const NONE: Self = Self(Vec::new());

    /// These, in any order.
    pub(super) fn of(mut marks: Vec<Mark>) -> Self {
        marks.sort_by_key(|mark| mark.kind);
        marks.dedup_by_key(|mark| mark.kind);
        Self(marks)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

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

    /// The band that the public was shown last of an item, and since when.
    #[must_use]
    pub fn band(&self, item: ItemNo) -> Option<(BandNo, Timestamp)> {
        let place = self.0.partition_point(|mark| mark.kind < MarkKind::Band(item, BandNo(0)));
        let Mark { kind: MarkKind::Band(of, band), scheduled_for } = *self.0.get(place)? else { return None };
        (of == item).then_some((band, scheduled_for))
    }

    pub(super) fn remove_bands(&mut self) {
        self.0.retain(|mark| !matches!(mark.kind, MarkKind::Band(..)));
    }

    pub(super) fn set(&mut self, mark: Mark) {
        if mark.kind.scope() == MarkScope::All {
            self.0.retain(|known| !known.kind.is_replaced_by(mark.kind));
        }
        match self.0.binary_search_by_key(&mark.kind, |mark| mark.kind) {
            Err(place) => self.0.insert(place, mark),
            Ok(place) => {
                if let Some(known) = self.0.get_mut(place).filter(|known| matches!(known.kind, MarkKind::Signal(_))) {
                    *known = mark;
                }
            }
        }
    }
}

/// The scheduled closing.
pub(super) fn closing(definition: &Definition) -> Option<Mark> {
    definition.schedule.closes_at.map(|at| Mark { kind: MarkKind::Closes, scheduled_for: at })
}

/// All that a definition schedules, in the order in which it comes. Windows and terms without a start or an end need no
/// mark: they begin and end with the drop.
pub(super) fn planned(definition: &Definition, opens_at: Timestamp) -> Vec<Mark> {
    let mut all = vec![Mark { kind: MarkKind::Opens, scheduled_for: opens_at }];
    all.extend(closing(definition));
    if definition.has_rules() {
        each_planned(definition, |kind, moment| all.push(Mark { kind, scheduled_for: moment.at }));
        all.retain(|mark| mark.scheduled_for != Timestamp::NEVER);
        all.sort_by_key(|mark| (mark.scheduled_for, mark.kind.rank(), mark.kind));
    }
    all
}

/// When the last pickup slot of a drop ends; none without slots.
#[must_use]
pub fn last_slot_ends(definition: &Definition) -> Option<Timestamp> {
    let slots = definition.items.iter().filter_map(|item| item.slot.as_ref());
    slots.map(|slot| slot.ends.at).filter(|at| *at != Timestamp::NEVER).max()
}

/// Visits every mark that the rules of a definition schedule, with its moment.
pub fn each_planned(definition: &Definition, mut f: impl FnMut(MarkKind, Moment)) {
    each_mark(definition, |kind, moment| {
        if let Some(moment) = moment {
            f(kind, moment);
        }
    });
}

/// Visits every mark that the rules of a definition may get, with its moment if it has one: others come at a level of
/// stock or by hand.
pub fn each_mark(definition: &Definition, mut f: impl FnMut(MarkKind, Option<Moment>)) {
    let Rules { windows, prices, tranches, signals, names, .. } = &definition.rules;
    let moment = |trigger: &Trigger| match trigger {
        Trigger::Moment(moment) => Some(*moment),
        Trigger::Stock(_) => None,
    };
    for window in windows {
        let Some(number) = names.window_no(&window.id) else { continue };
        if window.starts.is_some() {
            f(MarkKind::WindowOpens(number), window.starts);
        }
        if window.ends.is_some() {
            f(MarkKind::WindowCloses(number), window.ends);
        }
    }
    for terms in prices {
        let Some(number) = names.terms_no(&terms.id) else { continue };
        if terms.starts.is_some() {
            f(MarkKind::TermsStart(number), terms.starts);
        }
        if terms.ends.is_some() {
            f(MarkKind::TermsEnd(number), terms.ends);
        }
        for (place, step) in (0..).zip(&terms.steps) {
            f(MarkKind::PriceStep(number, place), moment(&step.when));
        }
    }
    for tranche in tranches {
        if let Some(number) = names.tranche_no(&tranche.id) {
            f(MarkKind::Tranche(number), moment(&tranche.when));
        }
    }
    for signal in signals {
        if let Some(number) = names.signal_no(&signal.id) {
            f(MarkKind::Signal(number), moment(&signal.on));
        }
    }
    for (item, of) in (0..).map(ItemNo).zip(&definition.items) {
        if let Some(slot) = &of.slot {
            f(MarkKind::SlotStarts(item), Some(slot.starts));
        }
        for ((from, to), flow) in of.flows() {
            f(MarkKind::Flow(FlowPlace { item, from, to }), flow.when.as_ref().and_then(moment));
        }
    }
}

/// Visits the same, to set when each comes. The names of its rules have numbers.
pub fn each_planned_mut(definition: &mut Definition, mut f: impl FnMut(MarkKind, &mut Moment)) {
    let Definition { items, rules, .. } = definition;
    let Rules { windows, prices, tranches, signals, names, .. } = rules;
    for window in windows {
        let Some(number) = names.window_no(&window.id) else { continue };
        window.starts.iter_mut().for_each(|starts| f(MarkKind::WindowOpens(number), starts));
        window.ends.iter_mut().for_each(|ends| f(MarkKind::WindowCloses(number), ends));
    }
    for terms in prices {
        let Some(number) = names.terms_no(&terms.id) else { continue };
        terms.starts.iter_mut().for_each(|starts| f(MarkKind::TermsStart(number), starts));
        terms.ends.iter_mut().for_each(|ends| f(MarkKind::TermsEnd(number), ends));
        for (place, step) in (0..).zip(&mut terms.steps) {
            if let Trigger::Moment(at) = &mut step.when {
                f(MarkKind::PriceStep(number, place), at);
            }
        }
    }
    for tranche in tranches {
        if let (Some(number), Trigger::Moment(at)) = (names.tranche_no(&tranche.id), &mut tranche.when) {
            f(MarkKind::Tranche(number), at);
        }
    }
    for signal in signals {
        if let (Some(number), Trigger::Moment(at)) = (names.signal_no(&signal.id), &mut signal.on) {
            f(MarkKind::Signal(number), at);
        }
    }
    for (item, of) in (0..).map(ItemNo).zip(items) {
        if let Some(slot) = &mut of.slot {
            f(MarkKind::SlotStarts(item), &mut slot.starts);
        }
        let ids: Vec<_> = of.pools.iter().map(|pool| pool.id.clone()).collect();
        let to = |id| (0..).map(PoolNo).zip(&ids).find(|(_, known)| *known == id).map(|(place, _)| place);
        let pools = (0..).map(PoolNo).zip(&mut of.pools);
        for (from, flow) in pools.flat_map(|(from, pool)| pool.flows.iter_mut().map(move |flow| (from, flow))) {
            if let (Some(to), Some(Trigger::Moment(at))) = (to(&flow.to), &mut flow.when) {
                f(MarkKind::Flow(FlowPlace { item, from, to }), at);
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
            Self::Signal(_) => "signal_fired",
            Self::SignalMissed(_) => "signal_missed",
            Self::SoldOut(_) => "sold_out",
            Self::BackInStock(_) => "back_in_stock",
            Self::Band(..) => "band_changed",
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
            Self::Signal(_) | Self::SignalMissed(_) => 7,
            Self::SoldOut(_) | Self::BackInStock(_) | Self::Band(..) => 8,
        }
    }

    /// Whether it comes again and again, as the stock does, and is no part of a plan.
    #[must_use]
    pub const fn is_of_stock(self) -> bool {
        matches!(self, Self::SoldOut(_) | Self::BackInStock(_) | Self::Band(..))
    }

    /// The least records that have such marks.
    pub(super) const fn scope(self) -> MarkScope {
        match self {
            Self::Opens | Self::Closes => MarkScope::Schedule,
            Self::WindowOpens(_)
            | Self::WindowCloses(_)
            | Self::Flow(_)
            | Self::Tranche(_)
            | Self::TermsStart(_)
            | Self::TermsEnd(_)
            | Self::PriceStep(..)
            | Self::SlotStarts(_) => MarkScope::Rules,
            Self::Signal(_) | Self::SignalMissed(_) | Self::SoldOut(_) | Self::BackInStock(_) | Self::Band(..) => {
                MarkScope::All
            }
        }
    }

    /// Whether another mark takes its place.
    fn is_replaced_by(self, other: Self) -> bool {
        match (self, other) {
            (Self::SoldOut(one), Self::BackInStock(another)) | (Self::BackInStock(one), Self::SoldOut(another)) => {
                one == another
            }
            (Self::Band(one, _), Self::Band(another, _)) => one == another,
            _others => false,
        }
    }
}

/// Stands for all goods of a drop in place of an item's number.
const ALL_GOODS: u16 = u16::MAX;

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
        MarkKind::Signal(signal) => (11, [Some(signal.0), None, None]),
        MarkKind::SignalMissed(signal) => (12, [Some(signal.0), None, None]),
        // All goods together are one number behind the last item that there can be.
        MarkKind::SoldOut(item) => (13, [Some(item.map_or(ALL_GOODS, |item| item.0)), None, None]),
        MarkKind::BackInStock(item) => (14, [Some(item.map_or(ALL_GOODS, |item| item.0)), None, None]),
        MarkKind::Band(item, band) => (15, [Some(item.0), Some(band.0.into()), None]),
    };
    out.push(number);
    parts.into_iter().flatten().for_each(|part| put_u64(out, part.into()));
    put_u64(out, scheduled_for.0);
}

pub(super) fn decode_mark(reader: &mut Reader<'_>, scope: MarkScope) -> Result<Mark, DecodeError> {
    let item_or_all = |reader: &mut Reader<'_>| {
        let item: u16 = reader.small("item")?;
        Ok((item != ALL_GOODS).then_some(ItemNo(item)))
    };
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
        11 => MarkKind::Signal(SignalNo(reader.small("signal")?)),
        12 => MarkKind::SignalMissed(SignalNo(reader.small("signal")?)),
        13 => MarkKind::SoldOut(item_or_all(reader)?),
        14 => MarkKind::BackInStock(item_or_all(reader)?),
        15 => MarkKind::Band(ItemNo(reader.small("item")?), BandNo(reader.small("band")?)),
        _ => return Err(DecodeError::Bad("mark")),
    };
    if kind.scope() > scope {
        return Err(DecodeError::Bad("mark"));
    }
    Ok(Mark { kind, scheduled_for: Timestamp(reader.u64()?) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::{
        Audience, Definition, Flow, Item, Level, Money, Named, Pool, PriceStep, PriceTerms, Slot, StockLevel, Tranche,
        Window,
    };
    use crate::ids::DropNo;
    use crate::record::lifecycle::tests::plain;
    use crate::record::lifecycle::{Closed, Lifecycle};

    /// The same with every kind of rule, all but one at instant 15.
    fn with_rules() -> Definition {
        let at = |at| Some(Moment { named: Named::At(Timestamp(at)), at: Timestamp(at) });
        let when = || Trigger::Moment(Moment { named: Named::At(Timestamp(15)), at: Timestamp(15) });
        let price = Money { currency: crate::definition::Currency::of("EUR").expect("a code"), minor_units: 100 };
        let pool = |id: &str| Pool::plain(id.parse().expect("an id"), 5);
        let flow = Flow { to: "general".parse().expect("an id"), when: Some(when()) };
        let members = Pool { flows: vec![flow], ..pool("members") };
        let slot = Slot { place: "market".into(), starts: at(15).expect("set"), ends: at(16).expect("set") };
        let visit = Item { slot: Some(slot), ..Item::plain("visit".parse().expect("a sku"), vec![pool("general")]) };
        let level = StockLevel { sku: None, pool: None, level: Level::Sold(5_000) };
        let steps = vec![PriceStep { when: when(), price }, PriceStep { when: Trigger::Stock(level), price }];
        let window = Window {
            id: "early".parse().expect("an id"),
            audience: Audience::default(),
            skus: Vec::new(),
            pools: Vec::new(),
            starts: at(15),
            ends: at(17),
            hold_ttl: None,
        };
        let terms = PriceTerms {
            id: "normal".parse().expect("an id"),
            audience: Audience::default(),
            skus: Vec::new(),
            pools: Vec::new(),
            starts: at(15),
            ends: None,
            price,
            steps,
        };
        let sku = || "knife".parse().expect("a sku");
        let tranche = Tranche { id: "more".parse().expect("an id"), sku: sku(), pool: None, units: 5, when: when() };
        let rules = Rules { windows: vec![window], prices: vec![terms], tranches: vec![tranche], ..Rules::default() };
        let items = vec![Item::plain(sku(), vec![members, pool("general")]), visit];
        let mut definition = Definition { items, rules, ..plain() };
        definition.number_names().expect("few");
        definition
    }

    #[test]
    fn what_comes_at_one_instant_comes_in_a_fixed_order_first_what_ends() {
        let (definition, opens) = (with_rules(), Timestamp(10));
        let mut life = Lifecycle::new(DropNo(0));
        let mut come =
            |now| life.turn(&definition, opens, Timestamp(now)).iter().map(|m| m.kind.label()).collect::<Vec<_>>();
        assert_eq!(come(14), ["opened"]);
        let at_15 =
            ["slot_started", "window_opened", "terms_started", "flow_fired", "tranche_released", "price_stepped"];
        assert_eq!(come(15), at_15);
        assert!(come(16).is_empty());
        assert_eq!(come(99), ["window_closed", "closed"]);
        assert!(come(99).is_empty());
        assert_eq!(life.marks.iter().count(), 7, "a level of stock is no moment");
        let next = |life: &Lifecycle| life.next(&definition, opens).map(|mark| mark.scheduled_for.0);
        assert_eq!(last_slot_ends(&definition), Some(Timestamp(16)));
        let opened = Lifecycle { opened: Some(opens), ..Lifecycle::new(DropNo(0)) };
        assert_eq!([next(&Lifecycle::new(DropNo(0))), next(&opened), next(&life)], [Some(10), Some(15), None]);
    }

    #[test]
    fn once_a_drop_is_closed_only_its_slots_begin_and_nothing_of_one_that_never_opened() {
        let (definition, opens) = (with_rules(), Timestamp(10));
        let by_hand = |opened| {
            let closed = Some(Closed { at: Timestamp(12), by_hand: true });
            Lifecycle { opened, closed, ..Lifecycle::new(DropNo(0)) }
        };
        let mut life = by_hand(Some(opens));
        let slot = Mark { kind: MarkKind::SlotStarts(ItemNo(1)), scheduled_for: Timestamp(15) };
        assert_eq!(life.next(&definition, opens), Some(slot));
        assert_eq!(life.turn(&definition, opens, Timestamp(14)), []);
        assert_eq!(life.turn(&definition, opens, Timestamp(99)), [slot]);
        assert_eq!(life.next(&definition, opens), None);
        let mut never = by_hand(None);
        assert_eq!((never.next(&definition, opens), never.turn(&definition, opens, Timestamp(99))), (None, vec![]));
    }
}
