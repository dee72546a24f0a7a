//! Records of a drop with rules.

use super::{announced, figures, hold, largest_fact, small_drop};
use crate::definition::{
    Audience, Band, BandNo, Currency, Flow, ITEM_UNITS_MAX, Item, Level, Moment, Money, Named, OfferNo, Pool, PoolSize,
    PriceStep, PriceTerms, Rules, Scarcity, Signal, SignalNo, Slot, StockLevel, TermsNo, Tranche, TrancheNo, Trigger,
    Window, WindowNo,
};
use crate::hold::{Hold, HoldExtras, HoldFields, HoldLine, Pinned};
use crate::ids::{DropNo, ItemNo, PoolNo, Sku};
use crate::record::{
    DropFact, DropImage, DropVerb, FlowPlace, Lifecycle, Mark, MarkKind, Record, STOCK_MARKS_MAX, each_mark,
};
use crate::time::{Millis, Timestamp};

fn id<T: for<'t> TryFrom<&'t str>>(text: &str) -> T {
    T::try_from(text).ok().expect("an id")
}

const fn moment(named: Named) -> Moment {
    Moment { named, at: Timestamp(77) }
}

fn price(minor_units: i64) -> Money {
    Money { currency: Currency::of("EUR").expect("a code"), minor_units }
}

fn level(sku: Option<Sku>, level: Level) -> Trigger {
    Trigger::Stock(StockLevel { sku, pool: Some(id("general")), level })
}

fn window(sku: &Sku, audience: &Audience) -> Window {
    Window {
        id: id("early"),
        audience: audience.clone(),
        skus: vec![sku.clone()],
        pools: vec![id("general"), id("members")],
        starts: Some(moment(Named::At(Timestamp(9)))),
        ends: None,
        hold_ttl: Some(Millis(600_000)),
    }
}

fn prices(sku: &Sku, audience: Audience) -> PriceTerms {
    let steps = vec![
        PriceStep { when: level(Some(sku.clone()), Level::Sold(5_000)), price: price(1_500) },
        PriceStep { when: level(None, Level::Taken(10_000)), price: price(i64::MAX) },
    ];
    PriceTerms {
        id: id("normal"),
        audience,
        skus: vec![sku.clone()],
        pools: vec![id("general")],
        starts: None,
        ends: Some(moment(Named::At(Timestamp(9)))),
        price: price(1_000),
        steps,
    }
}

/// A drop with every rule that there is.
fn drop_with_rules() -> DropImage {
    let sku: Sku = id("a");
    let audience = Audience { tiers: vec![id("gold")], zones: vec![id("mitte")] };
    let mut image = small_drop();
    let flows = vec![
        Flow { to: id("general"), when: Some(Trigger::Moment(moment(Named::AfterOpening(-5)))) },
        Flow { to: id("general"), when: None },
        Flow { to: id("general"), when: Some(level(None, Level::FreeAtMost(3))) },
    ];
    let share = Pool {
        size: PoolSize::Share(1_200),
        audience: audience.clone(),
        place: Some("the market".into()),
        flows,
        ..Pool::plain(id("members"), 12)
    };
    let fixed = Pool { size: PoolSize::Units, ..Pool::plain(id("fixed"), 3) };
    let pools = vec![share, fixed, Pool::plain(id("general"), 85)];
    let starts = moment(Named::BeforeClosing(Millis(9)));
    let ends = moment(Named::Local { days: -2, seconds: 64_800 });
    image.definition.items = vec![
        Item { price_floor: Some(price(i64::MIN)), unit_cost: Some(price(1)), ..Item::plain(sku.clone(), pools) },
        Item {
            slot: Some(Slot { place: "gate".into(), starts, ends }),
            ..Item::plain(id("visit"), vec![Pool::plain(id("general"), 5)])
        },
    ];
    image.definition.rules = Rules {
        windows: vec![window(&sku, &audience)],
        prices: vec![prices(&sku, audience)],
        tranches: vec![Tranche {
            id: id("second"),
            sku,
            pool: Some(id("general")),
            units: 50,
            when: Trigger::Moment(moment(Named::AfterOpening(600_000))),
        }],
        slot_required: true,
        time_zone: "Europe/Berlin".into(),
        location: "Berlin".into(),
        zones: vec![id("mitte")],
        ..Rules::default()
    };
    image.definition.number_names().expect("few names");
    image
}

/// A lifecycle with a mark of every kind.
fn marked() -> Lifecycle {
    let place = FlowPlace { item: ItemNo(1), from: PoolNo(300), to: PoolNo(2) };
    let kinds = [
        MarkKind::Opens,
        MarkKind::WindowOpens(WindowNo(255)),
        MarkKind::WindowCloses(WindowNo(1)),
        MarkKind::Flow(place),
        MarkKind::Tranche(TrancheNo(3)),
        MarkKind::TermsStart(TermsNo(300)),
        MarkKind::TermsEnd(TermsNo(0)),
        MarkKind::PriceStep(TermsNo(1), 255),
        MarkKind::SlotStarts(ItemNo(1)),
    ];
    let mut lifecycle = Lifecycle::new(DropNo(7));
    for kind in kinds {
        lifecycle.mark(Mark { kind, scheduled_for: Timestamp(500) });
    }
    lifecycle
}

/// A drop with signals and bands, and without.
fn drop_with_signals() -> DropImage {
    let mut image = small_drop();
    let signal = |name: &str, on| Signal {
        id: id(name),
        on,
        audience: Audience { tiers: vec![id("gold")], zones: Vec::new() },
        channels: vec!["push".into(), "badge".into()],
        repeat_after: (name == "half").then_some(Millis(60_000)),
        valid_for: Millis(300_000),
        labels: [("text".to_owned(), "hurry".to_owned())].into(),
        defined_at: Timestamp(5),
    };
    let day_before = Named::Local { days: -1, seconds: 64_800 };
    let band = |name: &str, min_free| Band { id: id(name), min_free };
    let rules = &mut image.definition.rules;
    rules.signals =
        vec![signal("half", level(None, Level::Taken(5_000))), signal("tomorrow", Trigger::Moment(moment(day_before)))];
    rules.scarcity =
        Some(Scarcity { bands: vec![band("plenty", 5_000), band("gone", 0)], min_interval: Millis(7_000) });
    image.definition.number_names().expect("few names");
    image
}

/// A lifecycle with a mark of each kind that only signals and what the public sees have.
fn made_known() -> Lifecycle {
    let kinds = [
        MarkKind::Signal(SignalNo(300)),
        MarkKind::SignalMissed(SignalNo(0)),
        MarkKind::SoldOut(None),
        MarkKind::SoldOut(Some(ItemNo(3))),
        MarkKind::BackInStock(Some(ItemNo(255))),
        MarkKind::Band(ItemNo(2), BandNo(7)),
    ];
    let mut lifecycle = marked();
    for kind in kinds {
        lifecycle.mark(Mark { kind, scheduled_for: Timestamp(500) });
    }
    lifecycle
}

/// A record of each kind that only a drop with signals or bands has, or one whose stock is made known.
pub(super) fn samples_with_signals() -> Vec<Record> {
    let image = drop_with_signals();
    let lifecycle = Lifecycle { drop: image.number, ..made_known() };
    let marks = made_known().marks.iter().collect();
    let mut without = image.clone();
    (without.definition.rules.signals, without.definition.rules.scarcity) = (Vec::new(), None);
    let fact = DropFact { verb: DropVerb::Turn, lifecycle, image, marks, stock: vec![figures(7)], ..largest_fact() };
    let plain = DropFact {
        image: small_drop(),
        lifecycle: Lifecycle { drop: small_drop().number, ..made_known() },
        ..fact.clone()
    };
    vec![
        Record::Drop(Box::new(fact.image.clone())),
        Record::Drop(Box::new(without)),
        Record::Lifecycle(made_known()),
        Record::DropFact(Box::new(fact)),
        Record::DropFact(Box::new(plain)),
    ]
}

#[test]
fn marks_of_what_comes_again_take_the_place_of_the_ones_before() {
    let mut lifecycle = made_known();
    let count = lifecycle.marks.iter().count();
    let item = Some(ItemNo(3));
    for kind in [MarkKind::BackInStock(item), MarkKind::Band(ItemNo(2), BandNo(1)), MarkKind::Signal(SignalNo(300))] {
        lifecycle.mark(Mark { kind, scheduled_for: Timestamp(900) });
        assert_eq!(lifecycle.marks.at(kind), Some(Timestamp(900)), "{kind:?}");
        assert_eq!(lifecycle.marks.iter().count(), count, "{kind:?}");
    }
    assert!(!lifecycle.has(MarkKind::SoldOut(item)) && lifecycle.has(MarkKind::SoldOut(None)));
    assert_eq!(lifecycle.marks.band(ItemNo(2)), Some((BandNo(1), Timestamp(900))));
    assert_eq!([ItemNo(1), ItemNo(3)].map(|item| lifecycle.marks.band(item)), [None, None]);
    let window = Mark { kind: MarkKind::WindowOpens(WindowNo(255)), scheduled_for: Timestamp(900) };
    lifecycle.mark(window);
    assert_eq!(lifecycle.marks.at(window.kind), Some(Timestamp(500)), "a window opens once");
}

fn fact_with_rules() -> DropFact {
    let marks = marked().marks.iter().collect();
    let image = drop_with_rules();
    let lifecycle = Lifecycle { drop: image.number, ..marked() };
    DropFact { verb: DropVerb::Fire, lifecycle, image, marks, stock: vec![figures(7); 4], ..largest_fact() }
}

/// A hold of lines with windows and prices, made by staff over its windows.
fn pinned_hold() -> Hold {
    let line = |window, offer| HoldLine {
        pinned: Pinned { window: WindowNo(window), offer: OfferNo(offer) },
        ..HoldLine::new(ItemNo(0), PoolNo(1), 2)
    };
    let extras = HoldExtras { over_windows: Some("a friend of the house".into()), ..HoldExtras::default() };
    let fields = HoldFields::from(hold(&[line(0, 1), line(255, u16::MAX)]));
    Hold::from(HoldFields { extras: Some(Box::new(extras)), ..fields })
}

/// A record of each kind that only a drop with rules has.
pub(super) fn samples() -> Vec<Record> {
    vec![
        Record::Drop(Box::new(drop_with_rules())),
        Record::Drop(Box::new(DropImage { update: None, ..drop_with_rules() })),
        Record::Drop(Box::new(announced(drop_with_rules()))),
        Record::Lifecycle(marked()),
        Record::DropFact(Box::new(fact_with_rules())),
        Record::DropFact(Box::new(DropFact { image: announced(drop_with_rules()), ..fact_with_rules() })),
        Record::Hold(pinned_hold()),
    ]
}

#[test]
fn the_largest_fact_has_all_that_a_definition_can_fire_and_more_bytes_than_any_other() {
    let bytes = |fact: &DropFact| {
        let mut bytes = Vec::new();
        Record::DropFact(Box::new(fact.clone())).encode(&mut bytes);
        bytes
    };
    for image in [drop_with_rules(), announced(drop_with_signals())] {
        let largest = DropFact::largest(image.clone());
        assert_eq!(Record::decode(&bytes(&largest)), Ok(Record::DropFact(Box::new(largest.clone()))));
        let mut kinds = vec![MarkKind::Opens, MarkKind::Closes];
        each_mark(&image.definition, |kind, _| kinds.push(kind));
        let come: Vec<_> = largest.marks.iter().map(|mark| mark.kind).collect();
        assert_eq!(come[..kinds.len()], kinds, "all at once");
        assert!(kinds.iter().all(|kind| largest.lifecycle.has(*kind)), "and for ever");
        let items = image.definition.items.len();
        let of_stock = |marks: &mut dyn Iterator<Item = Mark>| marks.filter(|mark| mark.kind.is_of_stock()).count();
        assert_eq!(of_stock(&mut largest.lifecycle.marks.iter()), 2 * items + 1);
        assert_eq!(of_stock(&mut largest.marks.iter().copied()), (2 * items + 1).min(STOCK_MARKS_MAX));
        let pools = image.definition.items.iter().map(|item| item.pools.len()).sum();
        let usual = DropFact { stock: vec![figures(ITEM_UNITS_MAX); pools], at: Timestamp(1 << 41), ..largest.clone() };
        assert!(bytes(&usual).len() <= bytes(&largest).len());
    }
}
