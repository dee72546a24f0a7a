//! Every kind of record: round trip, damage, and its largest size.

mod changes;
mod channel;
mod defined;
mod facts;
mod measured;
mod occurrence;
mod rules;

use std::collections::{BTreeMap, BTreeSet};

use smallvec::SmallVec;

use super::*;
use crate::definition::{
    Definition, ITEM_UNITS_MAX, ITEMS_MAX, Item, LABELS_MAX, LIMITS_MAX, Limit, Pool, Rules, Schedule, Scope,
    TITLE_MAX, Terms,
};
use crate::hold::{Change, ContentHash, HoldExtras, HoldFields, HoldLine, HoldState, Identity, Lines, ShortLine};
use crate::ids::{
    AdjustmentId, CustomerId, DropId, HoldId, IdentityKind, ItemNo, LimitId, Lsn, OrderRef, PoolId, PoolNo, SeriesId,
    ShopId, Sku, SubjectKey, TierId,
};
use crate::refusal::Reason;
use crate::time::Millis;
use changes::{changed, changes, held, old};

fn largest_drop() -> DropImage {
    let text = |n: usize| "x".repeat(n);
    let items = (0..ITEMS_MAX)
        .map(|n| {
            let pool = Pool::plain(PoolId::try_from(text(64).as_str()).expect("a pool"), ITEM_UNITS_MAX);
            Item::plain(Sku::try_from(format!("{n:0>128}").as_str()).expect("a sku"), vec![pool])
        })
        .collect();
    let limits = (0..LIMITS_MAX)
        .map(|n| {
            let id = LimitId::try_from(format!("{n:0>64}").as_str()).expect("a limit");
            Limit { max_units: Some(u32::MAX), ..Limit::new(id, Scope::Drop) }
        })
        .collect();
    DropImage {
        number: DropNo(u32::MAX),
        created_at: Timestamp(1),
        request: [9; 32],
        update: Some(LastUpdate { base: Lsn(u64::MAX), request: [8; 32], announced: None }),
        definition: Definition {
            id: DropId::try_from(text(64).as_str()).expect("an id"),
            title: text(TITLE_MAX),
            shop: ShopId::try_from("s").expect("a shop"),
            series: None,
            labels: (0..LABELS_MAX).map(|n| (format!("{n:0>64}"), text(256))).collect::<BTreeMap<_, _>>(),
            schedule: Schedule { opens_at: None, closes_at: Some(Timestamp(u64::MAX - 1)) },
            terms: Terms { hold_ttl: Millis(300_000), max_hold_life: Millis(600_000), payment_ttl: Millis(900_000) },
            items,
            limits,
            rules: Rules::default(),
        },
    }
}

fn small_drop() -> DropImage {
    let mut drop = largest_drop();
    drop.definition.items.truncate(1);
    drop.definition.limits.truncate(1);
    drop.definition.labels.clear();
    drop
}

/// The same drop, of which what calendars show has changed.
fn announced(drop: DropImage) -> DropImage {
    let announced = Some(Announced { changes: 3, at: Timestamp(u64::MAX) });
    DropImage { update: drop.update.map(|update| LastUpdate { announced, ..update }), ..drop }
}

fn hold(lines: &[HoldLine]) -> Hold {
    Hold::from(HoldFields {
        id: HoldId::from_bytes([3; 16]),
        drop: DropNo(7),
        state: HoldState::Claimed,
        customer: CustomerId::try_from("customer-012").expect("an id"),
        content: ContentHash(u64::MAX),
        created_at: Timestamp(1_796_403_600_123),
        expires_at: Timestamp(1_796_403_900_123),
        settled_at: Timestamp(1_796_403_700_000),
        has_grace: false,
        revision: Lsn(0),
        lines: Lines::from_slice(lines),
        extras: Some(Box::new(HoldExtras {
            order_ref: Some(OrderRef::try_from("order/1").expect("a ref")),
            late: true,
            superseded_by: Some(HoldId::from_bytes([4; 16])),
            ..HoldExtras::default()
        })),
    })
}

/// A limit with every part set.
fn full_limit() -> Limit {
    Limit {
        skus: vec![Sku::try_from("a").expect("a sku"), Sku::try_from("b").expect("a sku")],
        identity_kind: Some(IdentityKind::try_from("card").expect("a kind")),
        max_units: Some(0),
        max_units_by_tier: BTreeMap::from([(TierId::try_from("gold").expect("a tier"), 4)]),
        max_live_units: Some(u32::MAX),
        max_live_holds: Some(1),
        rolling: Some(Millis(86_400_000)),
        cooldown: Some(Millis(30_000)),
        ..Limit::new(LimitId::try_from("l").expect("an id"), Scope::Series)
    }
}

fn drop_in_series() -> DropImage {
    let mut image = largest_drop();
    image.definition.items.truncate(1);
    let only = |limit: Limit| Limit { rolling: None, ..limit };
    image.definition.limits = vec![full_limit(), Limit { scope: Scope::Shop, ..only(full_limit()) }];
    image.definition.series = Some(SeriesId::try_from("winter").expect("a series"));
    image
}

/// A hold with every part set.
fn full_hold(lines: &[HoldLine]) -> Hold {
    let kind = |kind: &str| IdentityKind::try_from(kind).expect("a kind");
    let extras = HoldExtras {
        identities: vec![
            Identity { kind: kind("card"), subject: SubjectKey(u128::MAX - 5) },
            Identity { kind: kind("device"), subject: SubjectKey(0) },
        ],
        tiers: vec![TierId::try_from("gold").expect("a tier")],
        over_limits: Some("the buyer called".into()),
        shorts: vec![
            ShortLine { item: ItemNo(0), requested: 9, reason: Reason::SoldOut },
            ShortLine { item: ItemNo(7), requested: u32::MAX, reason: Reason::LimitReached },
        ],
        ..HoldExtras::default()
    };
    Hold::from(HoldFields { state: HoldState::Held, extras: Some(Box::new(extras)), ..HoldFields::from(hold(lines)) })
}

fn adjustment(change: StockChange) -> Adjustment {
    Adjustment { id: AdjustmentId::from_bytes([5; 16]), pool: PoolNo(0), change }
}

fn reconciliation(drift: i64, applied: i64) -> StockChange {
    let (whole_item, as_of, on_hand) = (drift < 0, Lsn(u64::MAX), u64::MAX);
    StockChange::Reconcile(Reconciliation { whole_item, as_of, on_hand, drift, applied })
}

fn samples() -> Vec<Record> {
    [
        plain_samples(),
        rules::samples(),
        rules::samples_with_signals(),
        defined::samples(),
        channel::samples(),
        occurrence::samples(),
        facts::samples(),
        measured::samples(),
    ]
    .concat()
}

fn plain_samples() -> Vec<Record> {
    let line = HoldLine::new(ItemNo(0), PoolNo(0), 2);
    let back = HoldLine { released: 1, returned: 3, withdrawn: 2, ..HoldLine::new(ItemNo(255), PoolNo(2), 9) };
    let id = HoldId::from_bytes([3; 16]);
    let at = Timestamp(5);
    let by_hand = Some(Closed { at, by_hand: true });
    vec![
        Record::Drop(Box::new(largest_drop())),
        Record::Drop(Box::new(drop_in_series())),
        Record::Hold(full_hold(&[line])),
        old(OldFact::Superseded { old: HoldId::from_bytes([4; 16]), at, hold: full_hold(&[line]) }),
        old(OldFact::Change(id, Change::Superseded { at, by: HoldId::from_bytes([9; 16]) })),
        Record::Drop(Box::new(DropImage { update: None, ..small_drop() })),
        Record::Drop(Box::new(small_drop())),
        Record::Drop(Box::new(announced(small_drop()))),
        Record::Lifecycle(Lifecycle { paused: true, closed: by_hand, ..Lifecycle::new(DropNo(1)) }),
        Record::Lifecycle(Lifecycle::new(DropNo(1))),
        Record::Lifecycle(Lifecycle { opened: Some(at), closed: by_hand, ..Lifecycle::new(DropNo(1)) }),
        Record::Lifecycle(Lifecycle { paused: true, opened: Some(at), ..Lifecycle::new(DropNo(1)) }),
        Record::Upgraded(at),
        Record::Hold(hold(&[line])),
        Record::Hold(hold(&[line, back])),
        Record::Hold(Hold::from(HoldFields {
            settled_at: Timestamp(0),
            has_grace: false,
            extras: None,
            state: HoldState::Held,
            ..HoldFields::from(hold(&[line]))
        })),
        old(OldFact::Change(id, Change::Extended { expires_at: at })),
        old(OldFact::Change(id, Change::Staged { stage: HoldState::Paying, expires_at: at })),
        old(OldFact::Change(
            id,
            Change::Claimed {
                at,
                order_ref: OrderRef::try_from("o").expect("a ref"),
                late: false,
                kept: SmallVec::new(),
            },
        )),
        old(OldFact::Change(
            id,
            Change::Claimed {
                at,
                order_ref: OrderRef::try_from("o").expect("a ref"),
                late: true,
                kept: SmallVec::from_slice(&[2, 0]),
            },
        )),
        old(OldFact::Change(id, Change::Returned { at: None, totals: SmallVec::from_slice(&[(2, 1), (0, 0)]) })),
        old(OldFact::Change(id, Change::Released { at, kept: SmallVec::new() })),
        old(OldFact::Change(id, Change::Released { at, kept: SmallVec::from_slice(&[0, 1_000_000]) })),
        old(OldFact::Change(id, Change::Expired { at })),
        Record::Archived(Archived {
            drop: DropNo(3),
            at,
            pools: vec![Sold { claimed: u64::MAX, withdrawn: 1, returned_total: 2 }, Sold::default()],
        }),
        Record::Usage(UsageImage { subject: SubjectKey(1), usage: Vec::new(), returns: vec![at, at] }),
        Record::Usage(UsageImage {
            returns: Vec::new(),
            subject: SubjectKey(u128::MAX / 3),
            usage: vec![OldUsage { drop: DropNo(3), item: ItemNo(1), at, units: 300 }],
        }),
        Record::Restart(Restart { stopped_at: at, grace_until: Timestamp(30_005), at: None }),
    ]
    .into_iter()
    .chain(samples_of_stock(at))
    .chain(samples_of_holds())
    .chain(facts_about_drops())
    .collect()
}

fn samples_of_holds() -> Vec<Record> {
    let made = Hold::from(HoldFields { id: HoldId::from_bytes([9; 16]), revision: Lsn(0), ..HoldFields::from(held()) });
    let ended = changed(&held(), &Change::Superseded { at: Timestamp(9), by: made.id });
    let restart = Restart { stopped_at: Timestamp(5), grace_until: Timestamp(30_005), at: Some(Timestamp(7)) };
    let changes = changes().into_iter().map(|(change, _)| Record::Changed(change));
    let others = [
        Record::Made(Made { actor: Actor::Anonymous, hold: made.clone() }),
        Record::Superseded(Box::new(Superseded { ended, made })),
        Record::Restart(restart),
    ];
    changes.chain(others).collect()
}

fn figures(units: u64) -> PoolFigures {
    let basis = PoolBasis { received: units, taken_out: units };
    PoolFigures { basis, held: units, paying: units, claimed: units, withdrawn: units, returned_total: units }
}

/// An origin with every part set.
fn origin() -> Origin {
    let text = || Some("x".repeat(ORIGIN_TEXT_MAX).into());
    Origin { actor: Actor::Anonymous, peer: text(), request_id: text() }
}

fn adjusted_by(at: Timestamp) -> Adjusted {
    Adjusted {
        drop: DropNo(1),
        item: ItemNo(2),
        adjustment: adjustment(StockChange::Delta(3)),
        basis: PoolBasis { received: 3, taken_out: 0 },
        at: Some(at),
        by: Some(Box::new(AdjustedBy { origin: origin(), stock: vec![figures(3), PoolFigures::default()] })),
    }
}

/// A fact about the largest drop, with every part set.
fn largest_fact() -> DropFact {
    let moment = |kind| Mark { kind, scheduled_for: Timestamp(u64::MAX - 1) };
    let closed = Some(Closed { at: Timestamp(u64::MAX - 1), by_hand: false });
    DropFact {
        verb: DropVerb::Turn,
        at: Timestamp(u64::MAX),
        origin: origin(),
        lifecycle: Lifecycle {
            paused: true,
            opened: Some(Timestamp(u64::MAX - 1)),
            closed,
            ..Lifecycle::new(DropNo(u32::MAX))
        },
        marks: vec![moment(MarkKind::Opens), moment(MarkKind::Closes)],
        stock: vec![figures(u64::MAX); ITEMS_MAX],
        image: largest_drop(),
    }
}

fn facts_about_drops() -> Vec<Record> {
    let verbs = [
        DropVerb::Create,
        DropVerb::Update,
        DropVerb::Pause,
        DropVerb::Resume,
        DropVerb::Close,
        DropVerb::Archive,
        DropVerb::Turn,
    ];
    let fact = |verb| DropFact {
        verb,
        at: Timestamp(5),
        origin: Origin::ENGINE,
        lifecycle: Lifecycle::new(DropNo(u32::MAX)),
        marks: Vec::new(),
        stock: vec![figures(7)],
        image: small_drop(),
    };
    verbs.into_iter().map(|verb| Record::DropFact(Box::new(fact(verb)))).collect()
}

#[test]
fn a_drop_s_archive_is_made_of_its_figures() {
    let facts = facts_about_drops();
    let archived =
        facts.iter().filter_map(|fact| if let Record::DropFact(fact) = fact { fact.archived() } else { None });
    let sold = Sold { claimed: 7, withdrawn: 7, returned_total: 7 };
    let wanted = Archived { drop: DropNo(u32::MAX), at: Timestamp(5), pools: vec![sold] };
    assert_eq!(archived.collect::<Vec<_>>(), [wanted], "of that verb alone");
}

fn samples_of_stock(at: Timestamp) -> Vec<Record> {
    vec![
        Record::Adjusted(Box::new(Adjusted {
            drop: DropNo(1),
            item: ItemNo(2),
            adjustment: adjustment(StockChange::Delta(i64::MIN)),
            basis: PoolBasis { received: u64::MAX, taken_out: 7 },
            at: None,
            by: None,
        })),
        Record::Adjusted(Box::new(Adjusted {
            drop: DropNo(1),
            item: ItemNo(2),
            adjustment: adjustment(StockChange::Delta(3)),
            basis: PoolBasis { received: 3, taken_out: 0 },
            at: Some(at),
            by: None,
        })),
        Record::Adjusted(Box::new(adjusted_by(at))),
        Record::Adjusted(Box::new(Adjusted { adjustment: adjustment(reconciliation(-9, -2)), ..adjusted_by(at) })),
        Record::Adjustments(AdjustmentsImage {
            drop: DropNo(1),
            item: ItemNo(2),
            forgotten: at,
            adjustments: vec![
                (adjustment(StockChange::Delta(-3)), Some(at)),
                (adjustment(reconciliation(5, 5)), Some(at)),
                (adjustment(reconciliation(i64::MIN, 0)), None),
            ],
        }),
        Record::Adjustments(AdjustmentsImage {
            drop: DropNo(1),
            item: ItemNo(2),
            forgotten: at,
            adjustments: vec![
                (adjustment(StockChange::Delta(-3)), None),
                (adjustment(StockChange::SetReceived { expected: u64::MAX, units: 5 }), Some(at)),
            ],
        }),
        Record::Stock(StockImage {
            drop: DropNo(1),
            item: ItemNo(2),
            pools: vec![PoolBasis { received: 5, taken_out: 0 }],
            adjustments: vec![adjustment(StockChange::SetReceived { expected: 4, units: 5 })],
        }),
    ]
}

fn bytes(record: &Record) -> Vec<u8> {
    let mut out = Vec::new();
    record.encode(&mut out);
    out
}

#[test]
fn what_is_encoded_is_decoded() {
    for record in samples() {
        assert_eq!(Record::decode(&bytes(&record)).as_ref(), Ok(&record));
    }
}

#[test]
fn each_kind_has_a_sample_and_is_read_and_no_other_is() {
    let sampled: BTreeSet<u8> = samples().iter().filter_map(|record| bytes(record).first().copied()).collect();
    assert!(sampled.iter().eq(kind::ALL), "{sampled:?} have a sample");
    let is_known = |kind: &u8| Record::decode(&[*kind]) != Err(DecodeError::Bad("record kind"));
    assert!((0..=u8::MAX).filter(is_known).eq(kind::ALL.iter().copied()));
    assert_eq!(kind::ALL.last(), Some(&Record::KIND_MAX));
}

/// The bytes that are accepted at a place of a record; others are refused with these words.
fn read_at(record: &Record, place: usize, refused: &'static str) -> Vec<u8> {
    let whole = bytes(record);
    let is_read = |byte: &u8| {
        let mut changed = whole.clone();
        changed[place] = *byte;
        Record::decode(&changed) != Err(DecodeError::Bad(refused))
    };
    (0..=u8::MAX).filter(is_read).collect()
}

/// A new one needs a new kind of record: see the table of kinds.
#[test]
fn what_may_stand_inside_a_kind_is_what_its_first_build_could_read() {
    let is_of = |wanted: u8| move |record: &Record| bytes(record).first() == Some(&wanted);
    let sample = |wanted: u8| samples().into_iter().find(is_of(wanted)).expect("a sample");
    let (made, changed, fact) = (sample(kind::MADE), sample(kind::CHANGED), sample(kind::DROP_FACT));
    assert_eq!(read_at(&made, 1, "actor"), [0, 1]);
    assert_eq!(read_at(&changed, 1, "verb"), [1, 2, 3, 4, 5, 6]);
    assert_eq!(read_at(&changed, 2, "flags of a change"), (0..16).collect::<Vec<_>>());
    assert_eq!(read_at(&changed, 3, "actor"), [0, 1]);
    assert_eq!(read_at(&fact, 1, "verb"), [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn a_reconciliation_changes_no_more_than_the_drift_and_stands_in_a_kind_of_its_own() {
    let of = |drift, applied| {
        let record = Adjusted { adjustment: adjustment(reconciliation(drift, applied)), ..adjusted_by(Timestamp(5)) };
        bytes(&Record::Adjusted(Box::new(record)))
    };
    for (drift, applied, is_sound) in
        [(0, 0, true), (3, 3, true), (3, 2, false), (-3, -3, true), (-3, 0, true), (-3, -4, false), (-3, 1, false)]
    {
        assert_eq!(Record::decode(&of(drift, applied)).is_ok(), is_sound, "{applied} of {drift}");
    }
    let (mut reconciled, mut adjusted) = (of(3, 3), bytes(&Record::Adjusted(Box::new(adjusted_by(Timestamp(5))))));
    std::mem::swap(&mut reconciled[0], &mut adjusted[0]);
    for swapped in [reconciled, adjusted] {
        assert_eq!(Record::decode(&swapped), Err(DecodeError::Bad("stock change")));
    }
}

#[test]
fn a_record_cut_anywhere_or_with_a_byte_more_is_refused() {
    for record in samples().iter().skip(1) {
        let mut whole = bytes(record);
        for cut in 0..whole.len() {
            assert!(Record::decode(&whole[..cut]).is_err(), "{record:?} cut at {cut}");
        }
        whole.push(0);
        assert_eq!(Record::decode(&whole), Err(DecodeError::Long));
    }
}

#[test]
fn flipped_bytes_never_panic() {
    for record in samples().iter().skip(1) {
        let whole = bytes(record);
        for place in 0..whole.len() {
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[place] ^= 1 << bit;
                let _outcome = Record::decode(&flipped);
            }
        }
    }
}

#[test]
fn a_fact_about_two_holds_makes_no_record_larger() {
    // Every reserve moves a record.
    assert!(size_of::<Record>() <= 120, "{} bytes", size_of::<Record>());
}

#[test]
fn the_largest_record_fits_its_bound_and_a_plain_reserve_is_small() {
    let largest = bytes(&Record::Drop(Box::new(largest_drop()))).len();
    assert!(largest <= DROP_IMAGE_BYTES_MAX, "{largest} bytes");
    let largest = bytes(&Record::DropFact(Box::new(largest_fact())));
    assert!(largest.len() <= RECORD_BYTES_MAX, "{} bytes", largest.len());
    assert_eq!(Record::decode(&largest), Ok(Record::DropFact(Box::new(largest_fact()))));
    let plain = hold(&[HoldLine::new(ItemNo(0), PoolNo(0), 1)]);
    let plain = Hold::from(HoldFields {
        settled_at: Timestamp(0),
        has_grace: false,
        extras: None,
        state: HoldState::Held,
        ..HoldFields::from(plain)
    });
    let small = bytes(&Record::Made(Made { actor: Actor::Anonymous, hold: plain })).len();
    assert!(small <= 64, "{small} bytes");
}
