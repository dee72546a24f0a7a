//! The events of each kind of record.

use std::collections::BTreeMap;
use std::convert::Infallible;

use stockade_types::definition::{Item, Pool, Schedule, Terms};
use stockade_types::hold::{Change, ContentHash, HoldFields, HoldLine, Lines};
use stockade_types::ids::{CustomerId, DropId, HoldId, OrderRef, PoolId, PoolNo, ShopId, Sku, SubjectKey};
use stockade_types::record::{
    Adjustment, AdjustmentsImage, Archived, Closed, DropFact, DropImage, DropVerb, FlowPlace, Mark, OldFact, Origin,
    PoolBasis, StockChange, StockImage, UsageImage,
};
use stockade_types::time::Millis;

use super::*;

const LSN: Lsn = Lsn(40);

fn definition() -> Definition {
    let pool = Pool::plain(PoolId::try_from("general").expect("an id"), 9);
    let item = |sku| Item::plain(Sku::try_from(sku).expect("a sku"), vec![pool.clone()]);
    Definition {
        id: DropId::try_from("knife").expect("an id"),
        title: String::new(),
        shop: ShopId::try_from("s").expect("an id"),
        series: None,
        labels: BTreeMap::new(),
        schedule: Schedule { opens_at: Some(Timestamp(10)), closes_at: Some(Timestamp(20)) },
        terms: Terms { hold_ttl: Millis(1), max_hold_life: Millis(1), payment_ttl: Millis(1) },
        items: vec![item("A"), item("B")],
        limits: Vec::new(),
        rules: Rules::default(),
    }
}

fn given(record: Record) -> Vec<Event> {
    let named = |number| {
        assert_eq!(number, DropNo(3));
        Ok::<_, Infallible>(Arc::new(definition()))
    };
    let Ok(events) = events(LSN, record, named);
    events.into_vec()
}

fn only(record: Record) -> Event {
    let mut events = given(record);
    assert_eq!(events.len(), 1, "{events:?}");
    let event = events.remove(0);
    assert_eq!((event.lsn, event.position), (LSN, Position::behind(LSN)));
    event
}

fn hold(id: u8, state: HoldState) -> Hold {
    Hold::from(HoldFields {
        id: HoldId::from_bytes([id; 16]),
        drop: DropNo(3),
        state,
        customer: CustomerId::try_from("ada").expect("an id"),
        content: ContentHash(1),
        created_at: Timestamp(1_000),
        expires_at: Timestamp(2_000),
        settled_at: Timestamp(0),
        has_grace: false,
        revision: Lsn(7),
        lines: Lines::from_slice(&[HoldLine::new(ItemNo(0), PoolNo(0), 3), HoldLine::new(ItemNo(1), PoolNo(0), 2)]),
        extras: None,
    })
}

fn change(before: &Hold, change: &Change) -> Record {
    Record::Changed(HoldChange::of(before, change, Timestamp(1_500), Actor::of(change)))
}

/// A hold's event: its type, the states before and after, and the units moved of each line: sold, released, returned.
type Told = (Kind, Option<HoldState>, HoldState, Vec<(u32, u32, u32)>);

fn reported(event: &Event) -> Told {
    let Detail::Hold { hold, was, moved } = &event.detail else { panic!("{event:?}") };
    assert_eq!(hold.revision, LSN, "a hold's revision is its record's place");
    assert_eq!(event.drop.as_ref().map(|drop| drop.id.as_str()), Some("knife"));
    let moved = moved.iter().map(|line| (line.quantity, line.released, line.returned)).collect();
    (event.kind, *was, hold.state, moved)
}

#[test]
fn a_hold_that_is_made_sets_units_aside() {
    let event = only(Record::Made(Made { actor: Actor::Anonymous, hold: hold(1, HoldState::Held) }));
    assert_eq!(reported(&event), (Kind::HoldCreated, None, HoldState::Held, vec![(3, 0, 0), (2, 0, 0)]));
    assert_eq!((event.at, event.scheduled_for, event.actor), (Timestamp(1_000), None, Actor::Anonymous));
}

#[test]
fn each_change_of_a_hold_has_its_type_and_says_what_was_before_and_what_it_moved() {
    use HoldState::{Claimed, Expired, Held, Paying, Released};
    let at = Timestamp(1_500);
    let staged = |stage| Change::Staged { stage, expires_at: Timestamp(2_500) };
    let order_ref = OrderRef::try_from("o").expect("a ref");
    let claimed = |late| Change::Claimed { at, order_ref: order_ref.clone(), late, kept: SmallVec::new() };
    let some = SmallVec::from_slice(&[1, 2]);
    let released = |kept| Change::Released { at, kept };
    let returned = Change::Returned { at: None, totals: SmallVec::from_slice(&[(1, 0), (0, 0)]) };
    let none = vec![(0, 0, 0); 2];
    let (all_sold, all_back) = (vec![(3, 0, 0), (2, 0, 0)], vec![(0, 3, 0), (0, 2, 0)]);
    let expected = [
        (Held, Change::Extended { expires_at: Timestamp(2_500) }, Kind::HoldExtended, Held, none.clone()),
        (Held, staged(Paying), Kind::HoldPaying, Paying, none.clone()),
        (Paying, staged(Held), Kind::HoldExtended, Held, none.clone()),
        (Paying, Change::Extended { expires_at: Timestamp(2_500) }, Kind::HoldExtended, Paying, none),
        (Paying, claimed(false), Kind::HoldClaimed, Claimed, all_sold.clone()),
        (Expired, claimed(true), Kind::HoldClaimed, Claimed, all_sold),
        (Held, released(SmallVec::new()), Kind::HoldReleased, Released, all_back.clone()),
        (Held, released(some), Kind::HoldReleased, Held, vec![(0, 2, 0), (0, 0, 0)]),
        (Claimed, returned, Kind::HoldReturned, Claimed, vec![(0, 0, 1), (0, 0, 0)]),
        (Paying, Change::Expired { at }, Kind::HoldExpired, Expired, all_back),
    ];
    for (was, what, kind, is, moved) in expected {
        let event = only(change(&hold(1, was), &what));
        assert_eq!(reported(&event), (kind, Some(was), is, moved), "{what:?}");
        assert_eq!(event.at, at, "{what:?}");
        let deadline = (kind == Kind::HoldExpired).then_some(Timestamp(2_000));
        assert_eq!(event.scheduled_for, deadline, "{what:?}");
        let by = if kind == Kind::HoldExpired { Actor::Engine } else { Actor::Anonymous };
        assert_eq!(event.actor, by, "{what:?}");
    }
}

#[test]
fn a_hold_that_takes_another_s_place_gives_two_events_with_places_of_their_own() {
    let by = HoldId::from_bytes([2; 16]);
    let at = Timestamp(1_500);
    let ended = HoldChange::of(&hold(1, HoldState::Held), &Change::Superseded { at, by }, at, Actor::Anonymous);
    let made = hold(2, HoldState::Held);
    let events = given(Record::Superseded(Box::new(Superseded { ended, made })));
    let reported: Vec<_> = events.iter().map(reported).collect();
    let ended = (Kind::HoldSuperseded, Some(HoldState::Held), HoldState::Released, vec![(0, 3, 0), (0, 2, 0)]);
    assert_eq!(reported, [ended, (Kind::HoldCreated, None, HoldState::Held, vec![(3, 0, 0), (2, 0, 0)])]);
    assert!(events.iter().all(|event| event.at == at), "its own time, not the old hold's");
    let places: Vec<_> = events.iter().map(|event| event.position).collect();
    assert_eq!(places, [Position::at(LSN, 1, false), Position::behind(LSN)]);
    assert_eq!(places[0].next(), LSN, "who has read the first reads this record again");
}

fn fact(verb: DropVerb, lifecycle: Lifecycle, moments: &[MarkKind]) -> Record {
    let scheduled_for = |kind| Timestamp(if kind == MarkKind::Opens { 10 } else { 20 });
    let image = DropImage {
        number: DropNo(3),
        created_at: Timestamp(1),
        definition: definition(),
        request: [0; 32],
        update: None,
    };
    Record::DropFact(Box::new(DropFact {
        verb,
        at: Timestamp(25),
        origin: if verb == DropVerb::Turn { Origin::ENGINE } else { Origin::ANONYMOUS },
        image,
        lifecycle,
        marks: moments.iter().map(|kind| Mark { kind: *kind, scheduled_for: scheduled_for(*kind) }).collect(),
        stock: vec![PoolFigures::default(); 2],
    }))
}

#[test]
fn each_fact_about_a_drop_has_its_type() {
    let by_hand = Some(Closed { at: Timestamp(25), by_hand: true });
    let new = || Lifecycle::new(DropNo(3));
    let open = || Lifecycle { opened: Some(Timestamp(10)), ..new() };
    let expected = [
        (DropVerb::Create, new(), Kind::DropCreated),
        (DropVerb::Update, new(), Kind::DropUpdated),
        (DropVerb::Pause, Lifecycle { paused: true, ..open() }, Kind::DropPaused),
        (DropVerb::Resume, open(), Kind::DropResumed),
        (DropVerb::Close, Lifecycle { closed: by_hand, ..open() }, Kind::DropClosed),
        (DropVerb::Close, Lifecycle { closed: by_hand, ..new() }, Kind::DropCancelled),
        (DropVerb::Archive, Lifecycle { closed: by_hand, ..open() }, Kind::DropArchived),
    ];
    for (verb, lifecycle, kind) in expected {
        let event = only(fact(verb, lifecycle.clone(), &[]));
        assert_eq!((event.kind, event.at, event.scheduled_for), (kind, Timestamp(25), None));
        let Detail::Drop { lifecycle: is, is_archived, opens_at, .. } = event.detail else { panic!("{verb:?}") };
        assert_eq!((&*is, is_archived, opens_at), (&lifecycle, verb == DropVerb::Archive, Timestamp(10)));
    }
}

#[test]
fn a_drop_that_opens_and_closes_by_one_record_gives_both_in_their_order() {
    let closed = Some(Closed { at: Timestamp(20), by_hand: false });
    let lifecycle = Lifecycle { opened: Some(Timestamp(10)), closed, ..Lifecycle::new(DropNo(3)) };
    let events = given(fact(DropVerb::Turn, lifecycle.clone(), &[MarkKind::Opens, MarkKind::Closes]));
    let reported: Vec<_> = events
        .iter()
        .map(|event| {
            let Detail::Drop { lifecycle, .. } = &event.detail else { panic!("{event:?}") };
            (event.kind, event.scheduled_for, lifecycle.closed.is_some(), event.actor)
        })
        .collect();
    let opened = (Kind::DropOpened, Some(Timestamp(10)), false, Actor::Engine);
    assert_eq!(reported, [opened, (Kind::DropClosed, Some(Timestamp(20)), true, Actor::Engine)]);
    let opened = only(fact(DropVerb::Turn, Lifecycle { closed: None, ..lifecycle }, &[MarkKind::Opens]));
    assert_eq!(opened.kind, Kind::DropOpened);
}

#[test]
fn a_signal_before_an_opening_by_the_same_record_is_of_a_drop_that_is_not_open() {
    use stockade_types::definition::SignalNo;
    let lifecycle = Lifecycle { opened: Some(Timestamp(10)), ..Lifecycle::new(DropNo(3)) };
    let events = given(fact(DropVerb::Turn, lifecycle, &[MarkKind::Signal(SignalNo(0)), MarkKind::Opens]));
    let opened: Vec<_> = events
        .iter()
        .map(|event| {
            let Detail::Drop { lifecycle, .. } = &event.detail else { panic!("{event:?}") };
            (event.kind, lifecycle.opened.is_some())
        })
        .collect();
    assert_eq!(opened, [(Kind::SignalFired, false), (Kind::DropOpened, true)]);
}

/// A drop with a window and a pool that flow at moments, a price that steps and tranches that come at levels of stock.
fn ruled() -> Definition {
    use stockade_types::definition::{
        Audience, Currency, Flow, Level, Moment, Money, Named as At, PriceStep, PriceTerms, Rules, StockLevel, Tranche,
        Trigger, Window,
    };
    let moment = || Moment { named: At::At(Timestamp(20)), at: Timestamp(20) };
    let level = || Trigger::Stock(StockLevel { sku: None, pool: None, level: Level::Sold(1) });
    let price = |minor_units| Money { currency: Currency::of("EUR").expect("a code"), minor_units };
    let window = Window {
        id: "early".parse().expect("an id"),
        audience: Audience::default(),
        skus: Vec::new(),
        pools: Vec::new(),
        starts: Some(moment()),
        ends: Some(moment()),
        hold_ttl: None,
    };
    let terms = PriceTerms {
        id: "usual".parse().expect("an id"),
        audience: Audience::default(),
        skus: Vec::new(),
        pools: Vec::new(),
        starts: None,
        ends: None,
        price: price(1),
        steps: vec![PriceStep { when: level(), price: price(2) }],
    };
    let tranche = |id: &str| Tranche {
        id: id.parse().expect("an id"),
        sku: "A".parse().expect("a sku"),
        pool: None,
        units: 5,
        when: level(),
    };
    let mut drop = definition();
    let flow = Flow { to: "general".parse().expect("an id"), when: Some(Trigger::Moment(moment())) };
    let members = Pool { flows: vec![flow], ..Pool::plain("members".parse().expect("an id"), 3) };
    drop.items[1].pools.insert(0, members);
    let tranches = vec![tranche("more"), tranche("most")];
    drop.rules = Rules { windows: vec![window], prices: vec![terms], tranches, ..Rules::default() };
    drop.number_names().expect("few names");
    drop
}

#[test]
fn each_thing_of_a_plan_that_has_come_gives_an_event_with_its_name() {
    use stockade_types::definition::{TermsNo, TrancheNo, WindowNo};
    let window = WindowNo(1);
    let flow = MarkKind::Flow(FlowPlace { item: ItemNo(1), from: PoolNo(0), to: PoolNo(1) });
    let kinds = [
        MarkKind::WindowCloses(window),
        MarkKind::Closes,
        MarkKind::Opens,
        MarkKind::WindowOpens(window),
        MarkKind::TermsStart(TermsNo(0)),
        flow,
        MarkKind::Tranche(TrancheNo(0)),
        MarkKind::Tranche(TrancheNo(1)),
        MarkKind::PriceStep(TermsNo(0), 0),
    ];
    let closed = Some(Closed { at: Timestamp(20), by_hand: false });
    let lifecycle = Lifecycle { opened: Some(Timestamp(10)), closed, ..Lifecycle::new(DropNo(3)) };
    let Record::DropFact(mut fact) = fact(DropVerb::Turn, lifecycle, &kinds) else { panic!("a fact") };
    fact.image.definition = ruled();
    let received = |received| PoolFigures { basis: PoolBasis { received, taken_out: 0 }, ..PoolFigures::default() };
    fact.stock = vec![received(19), received(3), received(9)];
    let events = given(Record::DropFact(fact));
    let reported: Vec<_> = events
        .iter()
        .map(|event| {
            let Detail::Drop { stock, .. } = &event.detail else { panic!("{event:?}") };
            (event.kind, event.what(), event.name(), event.scheduled_for.is_some(), stock[0].basis.received)
        })
        .collect();
    let expected = [
        (Kind::WindowClosed, "closed.2", Some("early"), true, 9),
        (Kind::DropClosed, "closed", None, true, 9),
        (Kind::DropOpened, "opened", None, true, 9),
        (Kind::WindowOpened, "opened.2", Some("early"), true, 9),
        (Kind::PoolFlowed, "flowed", Some("members"), true, 9),
        (Kind::TrancheAdded, "added", Some("more"), false, 14),
        (Kind::TrancheAdded, "added.2", Some("most"), false, 19),
        (Kind::TermsStepped, "stepped", Some("usual"), false, 19),
    ];
    let expected = expected.map(|(kind, what, name, at, received)| (kind, what.to_owned(), name, at, received));
    assert_eq!(reported, expected, "the drop's own events keep the plain word, and no two end alike");
    let by_name = |name: &str| {
        let mut filter = super::super::Filter::default();
        filter.add("*").expect("a pattern");
        filter.names = vec![name.to_owned()];
        events.iter().filter(|event| filter.wants(event)).map(|event| event.kind).collect::<Vec<_>>()
    };
    assert_eq!(by_name("early"), [Kind::WindowClosed, Kind::WindowOpened]);
    assert_eq!((by_name("members"), by_name("general")), (vec![Kind::PoolFlowed], vec![]));
}

#[test]
fn a_flow_that_is_fired_by_hand_was_scheduled_for_no_instant() {
    let flow = MarkKind::Flow(FlowPlace { item: ItemNo(1), from: PoolNo(0), to: PoolNo(1) });
    let Record::DropFact(mut fact) = fact(DropVerb::Fire, Lifecycle::new(DropNo(3)), &[flow]) else { panic!("a fact") };
    fact.image.definition = ruled();
    let event = only(Record::DropFact(fact));
    assert_eq!((event.kind, event.scheduled_for, event.actor), (Kind::PoolFlowed, None, Actor::Anonymous));
}

fn adjusted(at: Option<Timestamp>, by: Option<AdjustedBy>) -> Record {
    let change = StockChange::Delta(3);
    Record::Adjusted(Box::new(Adjusted {
        drop: DropNo(3),
        item: ItemNo(1),
        adjustment: Adjustment { id: AdjustmentId::from_bytes([5; 16]), pool: PoolNo(0), change },
        basis: PoolBasis::default(),
        at,
        by: by.map(Box::new),
    }))
}

#[test]
fn an_adjustment_says_of_which_item_by_what_and_what_there_was_then() {
    let figures = PoolFigures { claimed: 4, ..PoolFigures::default() };
    let by = AdjustedBy { origin: Origin::ANONYMOUS, stock: vec![figures] };
    let event = only(adjusted(Some(Timestamp(9)), Some(by)));
    assert_eq!((event.kind, event.at), (Kind::StockAdjusted, Timestamp(9)));
    let cause = AdjustmentId::from_bytes([5; 16]);
    assert_eq!(event.detail, Detail::Stock { item: ItemNo(1), stock: vec![figures], cause });
}

#[test]
fn a_start_after_an_outage_is_one_event() {
    let restart = |at| Record::Restart(Restart { stopped_at: Timestamp(5), grace_until: Timestamp(35), at });
    let event = only(restart(Some(Timestamp(7))));
    assert_eq!((event.kind, event.at, event.drop), (Kind::EngineRestarted, Timestamp(7), None));
    assert_eq!(event.detail, Detail::Restart { stopped_at: Timestamp(5), grace_until: Timestamp(35) });
    assert_eq!(given(restart(None)), [], "format 1 does not say when");
}

#[test]
fn what_format_1_says_and_what_only_snapshots_have_gives_none() {
    let at = Timestamp(1_500);
    let Record::DropFact(fact) = fact(DropVerb::Create, Lifecycle::new(DropNo(3)), &[]) else { panic!("a fact") };
    let stock = StockImage { drop: DropNo(3), item: ItemNo(0), pools: Vec::new(), adjustments: Vec::new() };
    let adjustments = AdjustmentsImage { drop: DropNo(3), item: ItemNo(0), forgotten: at, adjustments: Vec::new() };
    let changed = OldFact::Change(HoldId::from_bytes([1; 16]), Change::Expired { at });
    let superseded = OldFact::Superseded { old: HoldId::from_bytes([1; 16]), at, hold: hold(2, HoldState::Held) };
    let old = [
        Record::Drop(Box::new(fact.image)),
        Record::Lifecycle(Lifecycle { opened: Some(at), ..Lifecycle::new(DropNo(3)) }),
        Record::Upgraded(at),
        Record::Hold(hold(1, HoldState::Held)),
        Record::Old(Box::new(changed)),
        Record::Old(Box::new(superseded)),
        Record::Stock(stock),
        Record::Adjustments(adjustments),
        Record::Archived(Archived { drop: DropNo(3), at, pools: Vec::new() }),
        Record::Usage(UsageImage { subject: SubjectKey(1), usage: Vec::new(), returns: Vec::new() }),
        adjusted(Some(at), None),
        adjusted(None, None),
    ];
    for record in old {
        assert_eq!(given(record.clone()), [], "{record:?}");
    }
}

#[test]
fn a_series_and_its_occurrences_without_a_drop_are_events_of_the_shop() {
    use stockade_types::series::SeriesState;

    let Record::DropFact(template) = fact(DropVerb::Create, Lifecycle::new(DropNo(3)), &[]) else { panic!("a fact") };
    let series = Series {
        id: "weekly".parse().expect("an id"),
        shop: "s".parse().expect("an id"),
        title: String::new(),
        state: SeriesState::Active,
        time_zone: "UTC".to_owned(),
        starts_at: "2026-12-04T18:00:00".to_owned(),
        rules: Vec::new(),
        closes: None,
        template: template.image.definition,
        create_ahead_days: 14,
        guards: Vec::new(),
        made_follow: true,
    };
    let change = |verb| {
        let image = stockade_types::record::DefinedImage {
            kind: DefinedKind::Series,
            id: "weekly".parse().expect("an id"),
            created_at: Timestamp(5),
            request: [0; 32],
            update: None,
            bytes: series.encode().into(),
        };
        Record::Defined(Box::new(DefinedFact { verb, at: Timestamp(9), origin: Origin::ANONYMOUS, image }))
    };
    for (verb, kind) in [(DefinedVerb::Create, Kind::SeriesCreated), (DefinedVerb::Update, Kind::SeriesUpdated)] {
        let event = only(change(verb));
        assert_eq!((event.kind, event.at, event.actor), (kind, Timestamp(9), Actor::Anonymous));
        assert_eq!((event.shop(), event.series(), event.drop_id()), (Some(&series.shop), Some(&series.id), None));
    }
    let result = |verb| {
        Record::Occurrence(Box::new(OccurrenceFact {
            series: series.id.clone(),
            shop: series.shop.clone(),
            local: "2026-12-04T18:00".parse().expect("a time"),
            verb,
            at: Timestamp(9),
            origin: Origin::ENGINE,
            opens_at: Timestamp(20),
            by: Lsn(7),
            reason: "missed".into(),
        }))
    };
    for (verb, kind) in
        [(OccurrenceVerb::Skip, Kind::OccurrenceSkipped), (OccurrenceVerb::Fail, Kind::OccurrenceFailed)]
    {
        let event = only(result(verb));
        assert_eq!((event.kind, event.scheduled_for), (kind, Some(Timestamp(20))));
        assert_eq!(event.drop_id().map(DropId::as_str), Some("weekly-20261204T1800"));
    }
    for verb in [OccurrenceVerb::Create, OccurrenceVerb::Change, OccurrenceVerb::Cancel] {
        assert_eq!(given(result(verb)), [], "its drop says it");
    }
}
