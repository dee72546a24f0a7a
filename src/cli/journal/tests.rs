//! Lines of a dump as they stand in `golden.txt`, and which records a filter passes.

use std::collections::BTreeMap;

use smallvec::SmallVec;
use stockade_types::definition::{Definition, Item, Limit, Named, Pool, Schedule, Scope, Terms};
use stockade_types::hold::{
    Change, ContentHash, Hold, HoldExtras, HoldFields, HoldLine, HoldState, Identity, Lines, ShortLine,
};
use stockade_types::ids::{
    AdjustmentId, CustomerId, DropId, DropNo, FactKey, HoldId, ItemNo, LimitId, Lsn, OrderRef, PoolNo, SubjectKey,
};
use stockade_types::record::{
    Actor, Adjusted, AdjustedBy, Adjustment, AdjustmentsImage, Archived, ChannelFact, ChannelProgress, Closed,
    DefinedFact, DefinedImage, DefinedKind, DefinedUpdate, DefinedVerb, DropFact, DropImage, DropVerb,
    Fact as Reported, FactKind, FactTally, Facts, FactsImage, HoldChange, LastUpdate, Lifecycle, Made, Mark, MarkKind,
    OccurrenceFact, OccurrenceVerb, OldFact, OldUsage, Origin, PoolBasis, PoolFigures, Reconciliation, Record, Restart,
    Sent, Sold, StockChange, StockImage, Superseded, UsageImage,
};
use stockade_types::refusal::Reason;
use stockade_types::series::{Guard, GuardKind, Series, SeriesState};
use stockade_types::time::{Millis, Timestamp};
use stockade_types::webhook::EventPlace;

use super::drops::KnownDrops;
use super::fact::fact;

const NOON: Timestamp = Timestamp(1_796_403_600_000);

fn id<T: for<'a> TryFrom<&'a str, Error: std::fmt::Debug>>(text: &str) -> T {
    T::try_from(text).expect("an id")
}

fn image(number: u32, name: &str) -> DropImage {
    let pools = vec![Pool::plain(id("general"), 300)];
    let two_each = Limit { max_units: Some(2), ..Limit::new(id::<LimitId>("two-each"), Scope::Drop) };
    let definition = Definition {
        id: id(name),
        title: "The knife".to_owned(),
        shop: id("default"),
        series: None,
        labels: BTreeMap::from([("season".to_owned(), "winter".to_owned())]),
        schedule: Schedule { opens_at: None, closes_at: Some(NOON) },
        terms: Terms { hold_ttl: Millis(300_000), max_hold_life: Millis(600_000), payment_ttl: Millis(900_000) },
        items: vec![Item::plain(id("KNIFE/20cm"), pools)],
        limits: vec![two_each],
        rules: stockade_types::definition::Rules::default(),
    };
    DropImage { number: DropNo(number), created_at: NOON, definition, request: [0xab; 32], update: None }
}

fn drop_record(number: u32, name: &str) -> Record {
    Record::Drop(Box::new(image(number, name)))
}

/// A drop with everything that a drop can have.
fn full_image() -> DropImage {
    let bounded = Limit {
        skus: vec![id("KNIFE/20cm")],
        identity_kind: Some(id("card")),
        max_units: Some(2),
        max_units_by_tier: BTreeMap::from([(id("gold"), 4)]),
        max_live_units: Some(3),
        max_live_holds: Some(1),
        rolling: Some(Millis(5)),
        cooldown: Some(Millis(6)),
        ..Limit::new(id::<LimitId>("by-card"), Scope::Shop)
    };
    let mut image = image(0, "knife");
    image.definition.series = Some(id("winter"));
    image.definition.schedule.opens_at = Some(NOON);
    image.definition.limits = vec![bounded, Limit::new(id("a"), Scope::Item), Limit::new(id("b"), Scope::Series)];
    image.update = Some(LastUpdate { base: Lsn(5), request: [0xcd; 32], announced: None });
    image
}

fn hold_of(drop: u32, place: u8) -> Hold {
    Hold::from(HoldFields {
        id: HoldId::from_bytes([place; 16]),
        drop: DropNo(drop),
        state: HoldState::Held,
        customer: id::<CustomerId>("ada"),
        content: ContentHash(0x1f),
        created_at: NOON,
        expires_at: NOON,
        settled_at: Timestamp(0),
        has_grace: false,
        revision: Lsn(2),
        lines: Lines::from_slice(&[HoldLine::new(ItemNo(0), PoolNo(0), 2)]),
        extras: None,
    })
}

/// A hold with everything that a hold can have, of a drop that is not known.
fn stranger() -> Hold {
    let extras = HoldExtras {
        order_ref: Some(id::<OrderRef>("A 1")),
        late: true,
        superseded_by: Some(HoldId::from_bytes([1; 16])),
        identities: vec![Identity { kind: id("card"), subject: SubjectKey(0xc) }],
        tiers: vec![id("gold")],
        over_limits: Some("a \"gift\"".into()),
        shorts: vec![ShortLine { item: ItemNo(4), requested: 3, reason: Reason::SoldOut }],
        ..HoldExtras::default()
    };
    let line = HoldLine { released: 1, returned: 1, withdrawn: 1, ..HoldLine::new(ItemNo(4), PoolNo(5), 4) };
    let (settled_at, lines) = (NOON, Lines::from_slice(&[line]));
    Hold::from(HoldFields { settled_at, lines, extras: Some(Box::new(extras)), ..hold_of(3, 2).into() })
}

/// Every change of a hold.
fn changes() -> [Change; 7] {
    let kept = SmallVec::from_slice(&[1]);
    [
        Change::Extended { expires_at: NOON.plus(Millis(1)) },
        Change::Staged { stage: HoldState::Paying, expires_at: NOON },
        Change::Claimed { at: NOON, order_ref: id("A-1"), late: true, kept: kept.clone() },
        Change::Returned { at: None, totals: SmallVec::from_slice(&[(2, 1)]) },
        Change::Released { at: NOON, kept },
        Change::Superseded { at: NOON, by: HoldId::from_bytes([2; 16]) },
        Change::Expired { at: NOON },
    ]
}

/// Records of each kind, with what their fields can be.
fn records() -> Vec<Record> {
    use DropVerb::{Archive, Close, Create, Pause, Resume, Turn, Update};
    let (drop, item, number) = (DropNo(0), ItemNo(0), AdjustmentId::from_bytes([9; 16]));
    let closed = Some(Closed { at: NOON, by_hand: true });
    let basis = PoolBasis { received: 297, taken_out: 3 };
    let stock = vec![PoolFigures { basis, held: 2, ..PoolFigures::default() }];
    let origin = Origin { peer: Some("127.0.0.1:9".into()), request_id: Some("r-1".into()), ..Origin::ENGINE };
    let turns = |verb| {
        let moment = |kind| Mark { kind, scheduled_for: NOON };
        let moments = vec![moment(MarkKind::Opens), moment(MarkKind::Closes)];
        let lifecycle = Lifecycle { opened: Some(NOON), ..Lifecycle::new(drop) };
        let (origin, image, stock) = (origin.clone(), image(0, "knife"), stock.clone());
        Record::DropFact(Box::new(DropFact { verb, at: NOON, origin, image, lifecycle, marks: moments, stock }))
    };
    let mut sold = hold_of(0, 1);
    sold = Hold::from(HoldFields { state: HoldState::Claimed, revision: Lsn(41), ..sold.into() });
    let changed = |change: &Change| {
        let before = if matches!(change, Change::Returned { .. }) { &sold } else { &hold_of(0, 1) };
        HoldChange::of(before, change, NOON, Actor::Anonymous)
    };
    let ended = changed(&Change::Superseded { at: NOON, by: HoldId::from_bytes([2; 16]) });
    let old = |fact| Record::Old(Box::new(fact));
    let adjustment = |change| Adjustment { id: number, pool: PoolNo(0), change };
    let added = adjustment(StockChange::Delta(-3));
    let set = adjustment(StockChange::SetReceived { expected: 5, units: 6 });
    let adjusted = |drop, adjustment: &Adjustment, at, by| {
        Record::Adjusted(Box::new(Adjusted { drop, item, adjustment: *adjustment, basis, at, by }))
    };
    let by = AdjustedBy { origin: origin.clone(), stock: stock.clone() };
    let both = vec![(added, None), (set, Some(NOON))];
    let mut all = vec![
        drop_record(0, "knife"),
        Record::Drop(Box::new(full_image())),
        Record::Lifecycle(Lifecycle { paused: true, ..Lifecycle::new(drop) }),
        Record::Lifecycle(Lifecycle { closed, ..Lifecycle::new(DropNo(3)) }),
        Record::Upgraded(NOON),
        Record::Hold(hold_of(0, 1)),
        Record::Hold(stranger()),
        Record::Made(Made { actor: Actor::Anonymous, hold: hold_of(0, 1) }),
        Record::Superseded(Box::new(Superseded { ended, made: hold_of(0, 2) })),
        old(OldFact::Superseded { old: HoldId::from_bytes([1; 16]), at: NOON, hold: hold_of(0, 2) }),
        Record::Restart(Restart { stopped_at: NOON, grace_until: NOON, at: None }),
        Record::Restart(Restart { stopped_at: NOON, grace_until: NOON, at: Some(NOON) }),
        adjusted(drop, &added, Some(NOON), Some(Box::new(by))),
        adjusted(DropNo(3), &set, None, None),
        Record::Stock(StockImage { drop, item, pools: vec![basis], adjustments: vec![added, set] }),
        Record::Adjustments(AdjustmentsImage { drop, item, forgotten: NOON, adjustments: both }),
        Record::Archived(Archived {
            drop,
            at: NOON,
            pools: vec![Sold { claimed: 3, withdrawn: 2, returned_total: 1 }],
        }),
        Record::Usage(UsageImage {
            returns: Vec::new(),
            subject: SubjectKey(0xc),
            usage: vec![OldUsage { drop, item, at: NOON, units: 7 }],
        }),
    ];
    all.extend([Create, Update, Pause, Resume, Close, Turn, Archive].map(turns));
    all.extend(changes().iter().map(|change| Record::Changed(changed(change))));
    let compared = Reconciliation { whole_item: true, as_of: Lsn(5), on_hand: 291, drift: -9, applied: -2 };
    let compared = adjustment(StockChange::Reconcile(compared));
    let reconciled = adjusted(drop, &compared, Some(NOON), Some(Box::new(AdjustedBy { origin, stock })));
    let remembered = AdjustmentsImage { drop, item, forgotten: NOON, adjustments: vec![(compared, Some(NOON))] };
    all.extend(changes().map(|change| old(OldFact::Change(HoldId::from_bytes([1; 16]), change))));
    all.extend([reconciled, Record::Adjustments(remembered)]);
    all
}

/// A series that was changed, and an occurrence of it.
fn of_series() -> [Record; 2] {
    let origin = Origin { actor: Actor::Anonymous, peer: Some("[::1]:5".into()), request_id: None };
    let mut template = image(0, "weekly").definition;
    template.schedule = Schedule::default();
    let guard = |kind, skips| Guard { kind, skips };
    let series = Series {
        id: id("weekly"),
        shop: id("default"),
        title: "Knives of {date}".to_owned(),
        state: SeriesState::Active,
        time_zone: "Europe/Berlin".to_owned(),
        starts_at: "2026-12-04T18:00:00".to_owned(),
        rules: vec!["RRULE:FREQ=WEEKLY".to_owned()],
        closes: Some(Named::AfterOpening(7_200_000)),
        template,
        create_ahead_days: 14,
        guards: vec![guard(GuardKind::Overlap, true), guard(GuardKind::DropsAWeek(4), false)],
        made_follow: true,
    };
    let image = DefinedImage {
        kind: DefinedKind::Series,
        id: id("weekly"),
        created_at: NOON,
        request: [0xab; 32],
        update: Some(DefinedUpdate { base: Lsn(5), request: [0xcd; 32] }),
        bytes: series.encode().into(),
    };
    let change = DefinedFact { verb: DefinedVerb::Update, at: NOON, origin: origin.clone(), image };
    let result = OccurrenceFact {
        series: id("weekly"),
        shop: id("default"),
        local: "2026-12-04T18:00".parse().expect("a time"),
        verb: OccurrenceVerb::Skip,
        at: NOON,
        origin,
        opens_at: NOON,
        by: Lsn(5),
        reason: "missed".into(),
    };
    [Record::Defined(Box::new(change)), Record::Occurrence(Box::new(result))]
}

#[test]
fn a_series_and_its_occurrences_are_printed_whole() {
    let printed = |record: &Record| {
        let line = fact(record, &KnownDrops::new(None)).line(Lsn(7), NOON, true);
        serde_json::from_str::<serde_json::Value>(&line).expect("JSON")
    };
    let [changed, skipped] = of_series().map(|record| printed(&record));
    assert_eq!((&changed["kind"], &changed["id"]), (&"series_updated".into(), &"weekly".into()));
    assert_eq!((&changed["updated_from"], &changed["peer"]), (&5.into(), &"[::1]:5".into()));
    let definition = &changed["definition"];
    assert_eq!((&definition["state"], &definition["rules"][0]), (&"active".into(), &"RRULE:FREQ=WEEKLY".into()));
    assert_eq!(definition["closes"]["after_open_ms"], 7_200_000);
    assert_eq!((&definition["guards"][0]["kind"], &definition["guards"][1]["max"]), (&"overlap".into(), &4.into()));
    assert_eq!(definition["template"]["items"].as_array().map(Vec::len), Some(1));
    assert_eq!((&skipped["kind"], &skipped["reason"]), (&"occurrence_skipped".into(), &"missed".into()));
    let of = (&skipped["drop_id"], &skipped["series_revision"]);
    assert_eq!(of, (&"weekly-20261204T1800".into(), &5.into()));
}

#[test]
fn a_channel_is_printed_with_what_it_has_sent() {
    let sent = Sent { audience: [0xab; 16], last_at: NOON, count: 2 };
    let progress = ChannelProgress { decided_to: EventPlace { lsn: Lsn(6), place: 1 }, sent: vec![sent] };
    let record = Record::Channel(ChannelFact { at: NOON, channel: id("push"), progress: Some(progress) });
    let line = fact(&record, &KnownDrops::new(None)).line(Lsn(7), NOON, false);
    let (audience, at) = ("ab".repeat(16), "2026-12-04T17:00:00.000Z");
    let sent = format!("[{{\"audience\":\"{audience}\",\"count\":2,\"last_at\":\"{at}\"}}]");
    assert_eq!(line, format!("       7 {at} channel  at={at} id=push decided_to=6 sent={sent}"));
    let forgotten = Record::Channel(ChannelFact { at: NOON, channel: id("push"), progress: None });
    let line = fact(&forgotten, &KnownDrops::new(None)).line(Lsn(7), NOON, false);
    assert_eq!(line, format!("       7 {at} channel  at={at} id=push forgotten=true"));
}

#[test]
fn facts_are_printed_whole_and_name_no_customer() {
    let mut drops = KnownDrops::new(None);
    drops.meet(&drop_record(0, "knife"));
    let cancelled = Reported {
        key: FactKey(0xa),
        content: 0xb,
        kind: FactKind::Returned,
        time: NOON,
        shop: id("default"),
        drop: Some(DropNo(0)),
        order: Some(id("A-1")),
        sku: None,
        zone: None,
        value: 2,
        subjects: vec![SubjectKey(0xc)],
        holds: vec![HoldId::from_bytes([1; 16])],
    };
    let origin = Origin { peer: Some("[::1]:5".into()), ..Origin::ANONYMOUS };
    let printed = |record: &Record| {
        let line = fact(record, &drops).line(Lsn(7), NOON, true);
        serde_json::from_str::<serde_json::Value>(&line).expect("JSON")
    };
    let recorded = Record::Facts(Facts { at: NOON, origin, facts: vec![cancelled] });
    let line = printed(&recorded);
    assert_eq!((&line["kind"], &line["peer"]), (&"facts".into(), &"[::1]:5".into()));
    let wanted = serde_json::json!([{
        "id_digest": format!("{:032x}", 0xa), "content_digest": format!("{:016x}", 0xb), "kind": "returned",
        "time": NOON.to_string(), "shop": "default", "drop_number": 0, "drop_id": "knife", "order_ref": "A-1", "value": 2,
        "subject_digests": [format!("{:032x}", 0xc)], "hold_ids": [HoldId::from_bytes([1; 16]).to_string()],
    }]);
    assert_eq!(line["facts"], wanted);
    let of = |wanted: &str, record: &Record| {
        let mut drops = KnownDrops::new(Some(id(wanted)));
        drops.meet(&drop_record(0, "knife"));
        drops.meet(record)
    };
    assert!(of("knife", &recorded) && !of("spoon", &recorded));
    let tally = FactTally { views: 3, ..FactTally::default() };
    let kept = printed(&Record::FactsImage(FactsImage::Tallies(vec![(DropNo(0), Lsn(4), tally)])));
    assert_eq!((&kept["kind"], &kept["drops"][0]["tally"]["views"]), (&"fact_tallies".into(), &3.into()));
}

#[test]
fn every_kind_of_record_is_printed_as_ever() {
    let mut drops = KnownDrops::new(None);
    drops.meet(&drop_record(0, "knife"));
    let lines = |record: &Record| [false, true].map(|json| fact(record, &drops).line(Lsn(7), NOON, json));
    let printed: Vec<String> = records().iter().flat_map(lines).collect();
    for (printed, golden) in printed.iter().zip(include_str!("golden.txt").lines()) {
        assert_eq!(printed, golden);
    }
    assert_eq!(printed.len(), include_str!("golden.txt").lines().count());
}

#[test]
fn a_drop_takes_its_holds_with_it_and_an_id_that_is_used_again_goes_to_its_new_drop() {
    let mut drops = KnownDrops::new(Some(id::<DropId>("knife")));
    let change =
        |place| Record::Old(Box::new(OldFact::Change(HoldId::from_bytes([place; 16]), Change::Expired { at: NOON })));
    let reported = [
        (drop_record(0, "knife"), true),
        (drop_record(1, "pan"), false),
        (Record::Hold(hold_of(0, 1)), true),
        (Record::Hold(hold_of(0, 1)), true),
        (Record::Hold(hold_of(1, 2)), false),
        (change(1), true),
        (change(2), false),
        (Record::Hold(hold_of(1, 1)), false),
        (change(1), false),
        (Record::Lifecycle(Lifecycle { paused: true, ..Lifecycle::new(DropNo(0)) }), true),
        (Record::Restart(Restart { stopped_at: NOON, grace_until: NOON, at: Some(NOON) }), false),
    ];
    for (record, wanted) in reported {
        assert_eq!(drops.meet(&record), wanted, "{record:?}");
    }
}
