//! What each kind of record looks like in a dump, and which records a filter passes.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use smallvec::SmallVec;
use stockade_types::definition::{Definition, Item, Limit, Pool, Schedule, Scope, Terms};
use stockade_types::hold::{
    Change, ContentHash, Hold, HoldExtras, HoldFields, HoldLine, HoldState, Identity, Lines, ShortLine,
};
use stockade_types::ids::{
    AdjustmentId, CustomerId, DropId, DropNo, HoldId, ItemNo, LimitId, Lsn, OrderRef, PoolNo, SubjectKey,
};
use stockade_types::record::{
    Actor, Adjusted, Adjustment, DropFact, DropImage, DropVerb, HoldChange, Lifecycle, Made, Mark, MarkKind, OldFact,
    Origin, PoolBasis, PoolFigures, Record, Restart, StockChange, StockImage, Superseded,
};
use stockade_types::refusal::Reason;
use stockade_types::time::{Millis, Timestamp};

use super::drops::KnownDrops;
use super::fact::fact;

const NOON: Timestamp = Timestamp(1_796_403_600_000);
const AT_NOON: &str = "2026-12-04T17:00:00.000Z";

fn id<T: for<'a> TryFrom<&'a str, Error: std::fmt::Debug>>(text: &str) -> T {
    T::try_from(text).expect("an id")
}

fn drop_record(number: u32, name: &str) -> Record {
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
    let request = [0xab; 32];
    let number = DropNo(number);
    Record::Drop(Box::new(DropImage { number, created_at: NOON, definition, request, update: None }))
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
        revision: Lsn(2),
        lines: Lines::from_slice(&[HoldLine::new(ItemNo(0), PoolNo(0), 2)]),
        extras: None,
    })
}

fn adjustment() -> Adjustment {
    Adjustment { id: AdjustmentId::from_bytes([9; 16]), pool: PoolNo(0), change: StockChange::Delta(-3) }
}

/// A record as JSON, where drop 0 is known.
fn shown(record: &Record) -> Value {
    let mut drops = KnownDrops::new(None);
    drops.meet(&drop_record(0, "knife"));
    let line = fact(record, &drops).line(Lsn(7), NOON, true);
    let mut shown: Value = serde_json::from_str(&line).expect("JSON");
    let fields = shown.as_object_mut().expect("an object");
    assert_eq!((fields.remove("lsn"), fields.remove("written_at")), (Some(json!(7)), Some(json!(AT_NOON))));
    shown
}

const HOLD: &str = "01010101-0101-0101-0101-010101010101";
const ADJUSTMENT: &str = "09090909-0909-0909-0909-090909090909";

#[test]
fn a_drop_is_shown_whole() {
    let wanted = json!({
        "kind": "drop", "drop_id": "knife", "drop_number": 0, "created_at": AT_NOON, "title": "The knife",
        "shop": "default", "series": null, "labels": {"season": "winter"}, "opens_at": null, "closes_at": AT_NOON,
        "hold_ttl_ms": 300_000, "max_hold_life_ms": 600_000, "payment_ttl_ms": 900_000,
        "items": [{"sku": "KNIFE/20cm", "pools": [{"id": "general", "units": 300}]}],
        "limits": [{"id": "two-each", "scope": "drop", "max_units": 2}], "request_digest": "ab".repeat(32),
        "updated_from": null, "update_digest": null,
    });
    assert_eq!(shown(&drop_record(0, "knife")), wanted);
    let steering = Record::Lifecycle(Lifecycle { paused: true, ..Lifecycle::new(DropNo(0)) });
    let wanted = json!({
        "kind": "lifecycle", "drop_id": "knife", "drop_number": 0, "paused": true, "opened": null, "closed": null,
        "closed_by_hand": false,
    });
    assert_eq!(shown(&steering), wanted);
}

#[test]
fn a_fact_about_a_drop_shows_the_drop_after_it_and_where_it_came_from() {
    let Record::Drop(image) = drop_record(0, "knife") else { panic!("a drop") };
    let mut wanted = shown(&drop_record(0, "knife"));
    let opens = Mark { kind: MarkKind::Opens, scheduled_for: NOON };
    let basis = PoolBasis { received: 300, taken_out: 0 };
    let fact = DropFact {
        verb: DropVerb::Turn,
        at: NOON,
        origin: Origin { peer: Some("127.0.0.1:9".into()), request_id: Some("r-1".into()), ..Origin::ENGINE },
        image: *image,
        lifecycle: Lifecycle { opened: Some(NOON), ..Lifecycle::new(DropNo(0)) },
        marks: vec![opens],
        stock: vec![PoolFigures { basis, held: 2, ..PoolFigures::default() }],
    };
    let more = json!({
        "kind": "drop_turned", "at": AT_NOON, "actor": "engine", "peer": "127.0.0.1:9", "request_id": "r-1",
        "paused": false, "opened": AT_NOON, "closed": null, "closed_by_hand": false,
        "moments": [{"what": "opened", "scheduled_for": AT_NOON}],
        "stock": [{
            "received": 300, "taken_out": 0, "held": 2, "paying": 0, "claimed": 0, "withdrawn": 0, "returned_total": 0,
        }],
    });
    wanted.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    assert_eq!(shown(&Record::DropFact(Box::new(fact))), wanted);
    assert_eq!(shown(&Record::Upgraded(NOON)), json!({"kind": "upgraded", "at": AT_NOON}));
}

#[test]
fn a_limit_is_shown_with_what_it_bounds() {
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
    let Record::Drop(mut image) = drop_record(0, "knife") else { panic!("a drop") };
    image.definition.series = Some(id("winter"));
    image.definition.limits = vec![bounded];
    let shown = shown(&Record::Drop(image));
    let wanted = json!([{
        "id": "by-card", "scope": "shop", "skus": ["KNIFE/20cm"], "identity_kind": "card", "max_units": 2,
        "max_units_by_tier": {"gold": 4}, "max_live_units": 3, "max_live_holds": 1, "rolling_ms": 5, "cooldown_ms": 6,
    }]);
    assert_eq!((&shown["limits"], &shown["series"]), (&wanted, &json!("winter")));
}

#[test]
fn a_hold_is_shown_with_names_where_they_are_known_and_with_numbers_where_not() {
    let wanted = json!({
        "kind": "hold", "hold_id": HOLD, "drop_id": "knife", "drop_number": 0, "customer_id": "ada", "state": "held",
        "lines": [{"sku": "KNIFE/20cm", "pool": "general", "quantity": 2}], "created_at": AT_NOON,
        "expires_at": AT_NOON, "settled_at": null, "order_ref": null, "late": false, "superseded_by": null,
        "content_digest": "000000000000001f", "identities": [], "tiers": [], "over_limits": null, "short_lines": [],
    });
    assert_eq!(shown(&Record::Hold(hold_of(0, 1))), wanted);
    let line = HoldLine { returned: 1, withdrawn: 1, ..HoldLine::new(ItemNo(4), PoolNo(5), 2) };
    let (order_ref, superseded_by) = (Some(id::<OrderRef>("A-1")), Some(HoldId::from_bytes([1; 16])));
    let extras = HoldExtras {
        identities: vec![Identity { kind: id("card"), subject: SubjectKey(0xc) }],
        tiers: vec![id("gold")],
        over_limits: Some("a gift".into()),
        shorts: vec![ShortLine { item: ItemNo(4), requested: 3, reason: Reason::SoldOut }],
        ..HoldExtras::default()
    };
    let stranger = Hold::from(HoldFields {
        settled_at: NOON,
        lines: Lines::from_slice(&[line]),
        extras: Some(Box::new(HoldExtras { order_ref, late: true, superseded_by, ..extras })),
        ..hold_of(3, 2).into()
    });
    let shown = shown(&Record::Hold(stranger));
    assert_eq!((&shown["drop_id"], &shown["drop_number"]), (&Value::Null, &json!(3)));
    assert_eq!(shown["lines"], json!([{"item": 4, "pool_number": 5, "quantity": 2, "returned": 1, "withdrawn": 1}]));
    assert_eq!(
        (&shown["order_ref"], &shown["late"], &shown["superseded_by"]),
        (&json!("A-1"), &json!(true), &json!(HOLD))
    );
    assert_eq!(shown["settled_at"], AT_NOON);
    assert_eq!(shown["identities"], json!([{"kind": "card", "digest": "0000000000000000000000000000000c"}]));
    assert_eq!((&shown["tiers"], &shown["over_limits"]), (&json!(["gold"]), &json!("a gift")));
    assert_eq!(shown["short_lines"], json!([{"item": 4, "requested": 3, "reason": "sold_out"}]));
}

#[test]
fn a_change_shows_the_hold_after_it_and_what_was_before() {
    let mut before = hold_of(0, 1);
    before.revision = Lsn(41);
    let change = Change::Released { at: NOON, kept: SmallVec::from_slice(&[1]) };
    let made = shown(&Record::Made(Made { actor: Actor::Anonymous, hold: before.clone() }));
    assert_eq!((&made["kind"], &made["actor"]), (&json!("hold"), &json!("anonymous")));
    let change = HoldChange::of(&before, &change, NOON, Actor::Anonymous);
    let mut wanted = made.clone();
    wanted["kind"] = "released".into();
    wanted["at"] = AT_NOON.into();
    wanted["was"] = "held".into();
    wanted["prev"] = 41.into();
    wanted["lines"] = json!([{"sku": "KNIFE/20cm", "pool": "general", "quantity": 1, "released": 1}]);
    wanted["moved"] = json!([{"released": 1}]);
    assert_eq!(shown(&Record::Changed(change)), wanted);
    let by = Change::Superseded { at: NOON, by: HoldId::from_bytes([2; 16]) };
    let ended = HoldChange::of(&before, &by, NOON, Actor::Anonymous);
    let superseded = shown(&Record::Superseded(Box::new(Superseded { ended, made: hold_of(0, 2) })));
    let mut wanted = shown(&Record::Made(Made { actor: Actor::Anonymous, hold: hold_of(0, 2) }));
    wanted["kind"] = "superseded".into();
    wanted["superseded_hold_id"] = HOLD.into();
    wanted["at"] = AT_NOON.into();
    wanted["was"] = "held".into();
    wanted["prev"] = 41.into();
    wanted["moved"] = json!([{"released": 2}]);
    assert_eq!(superseded, wanted);
}

#[test]
fn each_change_of_format_1_is_a_kind() {
    let kept = SmallVec::from_slice(&[1]);
    let table = [
        (Change::Extended { expires_at: NOON }, json!({"kind": "extended", "expires_at": AT_NOON})),
        (
            Change::Staged { stage: HoldState::Paying, expires_at: NOON },
            json!({"kind": "staged", "stage": "paying", "expires_at": AT_NOON}),
        ),
        (
            Change::Claimed { at: NOON, order_ref: id("A-1"), late: true, kept: kept.clone() },
            json!({"kind": "claimed", "at": AT_NOON, "order_ref": "A-1", "late": true, "kept": [1]}),
        ),
        (
            Change::Returned { totals: SmallVec::from_slice(&[(2, 1)]) },
            json!({"kind": "returned", "returned": [2], "withdrawn": [1]}),
        ),
        (Change::Released { at: NOON, kept }, json!({"kind": "released", "at": AT_NOON, "kept": [1]})),
        (
            Change::Superseded { at: NOON, by: HoldId::from_bytes([1; 16]) },
            json!({"kind": "superseded", "at": AT_NOON, "superseded_by": HOLD}),
        ),
        (Change::Expired { at: NOON }, json!({"kind": "expired", "at": AT_NOON})),
    ];
    for (change, mut wanted) in table {
        wanted["hold_id"] = HOLD.into();
        assert_eq!(shown(&Record::Old(Box::new(OldFact::Change(HoldId::from_bytes([1; 16]), change)))), wanted);
    }
}

#[test]
fn stock_and_restarts_are_shown() {
    let basis = PoolBasis { received: 297, taken_out: 3 };
    let adjusted =
        Adjusted { drop: DropNo(0), item: ItemNo(0), adjustment: adjustment(), basis, at: Some(NOON), by: None };
    let wanted = json!({
        "kind": "adjusted", "drop_id": "knife", "drop_number": 0, "sku": "KNIFE/20cm", "pool": "general",
        "adjustment_id": ADJUSTMENT, "change": {"delta": -3}, "received": 297, "taken_out": 3, "at": AT_NOON,
    });
    assert_eq!(shown(&Record::Adjusted(adjusted)), wanted);
    let image = StockImage { drop: DropNo(0), item: ItemNo(0), pools: vec![basis], adjustments: vec![adjustment()] };
    let wanted = json!({
        "kind": "stock", "drop_id": "knife", "drop_number": 0, "item": 0,
        "pools": [{"received": 297, "taken_out": 3}],
        "adjustments": [{"adjustment_id": ADJUSTMENT, "pool_number": 0, "change": {"delta": -3}}],
    });
    assert_eq!(shown(&Record::Stock(image)), wanted);
    let restart = Record::Restart(Restart { stopped_at: NOON, grace_until: NOON, at: Some(NOON) });
    assert_eq!(
        shown(&restart),
        json!({"kind": "restart", "stopped_at": AT_NOON, "grace_until": AT_NOON, "at": AT_NOON})
    );
}

#[test]
fn a_drop_takes_its_holds_with_it_and_an_id_that_is_used_again_goes_to_its_new_drop() {
    let mut drops = KnownDrops::new(Some(id::<DropId>("knife")));
    let change =
        |place| Record::Old(Box::new(OldFact::Change(HoldId::from_bytes([place; 16]), Change::Expired { at: NOON })));
    let told = [
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
    for (record, wanted) in told {
        assert_eq!(drops.meet(&record), wanted, "{record:?}");
    }
}
