//! What limits leave of a request that is served in part or that supersedes a hold.

use stockade_types::definition::{Definition, Item, Limit, Pool, Schedule, Scope, Terms};
use stockade_types::hold::{ContentHash, Hold, HoldExtras, HoldFields, HoldLine, HoldState, Identity, Lines};
use stockade_types::ids::{DropNo, HoldId, IdentityKind, ItemNo, LimitId, Lsn, PoolNo, Sku, SubjectKey};
use stockade_types::record::DropImage;
use stockade_types::refusal::Reason;
use stockade_types::time::{Millis, Timestamp};

use super::*;
use crate::inventory::{Drops, HoldSlot};

const KNIFE: ItemNo = ItemNo(0);
const PAN: ItemNo = ItemNo(1);
const NOW: Timestamp = Timestamp(1_000);

fn limit(id: &str, scope: Scope) -> Limit {
    Limit::new(LimitId::try_from(id).expect("an id"), scope)
}

fn of_units(id: &str, scope: Scope, max_units: u32) -> Limit {
    Limit { max_units: Some(max_units), ..limit(id, scope) }
}

fn definition() -> Definition {
    let item = |sku: &str| {
        Item::plain(Sku::try_from(sku).expect("a sku"), vec![Pool::plain("general".parse().expect("an id"), 9)])
    };
    Definition {
        id: "d".parse().expect("an id"),
        title: String::new(),
        shop: "shop".parse().expect("an id"),
        series: None,
        labels: std::collections::BTreeMap::new(),
        schedule: Schedule { opens_at: None, closes_at: None },
        terms: Terms { hold_ttl: Millis(1), max_hold_life: Millis(1), payment_ttl: Millis(1) },
        items: vec![item("KNIFE"), item("PAN")],
        limits: Vec::new(),
        rules: stockade_types::definition::Rules::default(),
    }
}

/// Asks in a drop with knives and pans.
fn asking<R>(
    limits: &[Limit],
    identities: &[Identity],
    purpose: Purpose<'_>,
    f: impl FnOnce(LimitQuery<'_>) -> R,
) -> R {
    let drops = Drops::default();
    let id = definition().id;
    drops.with_registry(|registry| {
        let number = registry.new_drop_number().number;
        let image = DropImage { number, created_at: NOW, definition: definition(), request: [0; 32], update: None };
        registry.put(Lsn(1), &image);
    });
    let asked = drops.with_id_among(&id, |drop, drop_table| {
        let lines = &[(KNIFE, 2), (PAN, 2)];
        f(LimitQuery { drop, drop_table, limits, conduct: &[], lines, tiers: &[], identities, now: NOW, purpose })
    });
    asked.expect("the drop")
}

fn card(n: u128) -> Identity {
    Identity { kind: IdentityKind::try_from("card").expect("a kind"), subject: SubjectKey(n) }
}

fn hold(cards: &[Identity]) -> Hold {
    let lines = [HoldLine::new(KNIFE, PoolNo(0), 2), HoldLine::new(PAN, PoolNo(0), 1)];
    Hold::from(HoldFields {
        id: HoldId::from_bytes([1; 16]),
        drop: DropNo(0),
        state: HoldState::Held,
        customer: "ada".parse().expect("an id"),
        content: ContentHash(0),
        created_at: Timestamp(990),
        expires_at: Timestamp(2_000),
        settled_at: Timestamp(0),
        has_grace: false,
        revision: Lsn(1),
        lines: Lines::from_slice(&lines),
        extras: Some(Box::new(HoldExtras { identities: cards.to_vec(), ..HoldExtras::default() })),
    })
}

fn with_it(subject: &mut Subject, place: HoldSlot, hold: &Hold) {
    let hold_key = HoldKey { drop: hold.drop, place, created_at: hold.created_at() };
    subject.enter(hold_key, None, CountedHoldRef::of(hold));
}

#[test]
fn what_is_granted_leaves_so_much_less_for_the_next_line() {
    let limits = [of_units("three", Scope::Drop, 3), of_units("two-each", Scope::Item, 2)];
    asking(&limits, &[], Purpose::Reserve, |query| {
        let nothing = [Subject::default()];
        assert_eq!(query.room(&nothing, &[], (KNIFE, 2)), (2, None));
        assert_eq!(query.room(&nothing, &[], (KNIFE, 9)), (2, Some(Reason::LimitReached)));
        assert_eq!(query.room(&nothing, &[(KNIFE, 2)], (PAN, 2)), (1, Some(Reason::LimitReached)));
        assert_eq!(query.room(&nothing, &[(KNIFE, 3)], (PAN, 2)), (0, Some(Reason::LimitReached)));
    });
    let sku = Sku::try_from("PAN").expect("a sku");
    let limits = [
        Limit { max_live_holds: Some(0), skus: vec![sku], ..limit("no-pans", Scope::Drop) },
        of_units("one", Scope::Drop, 1),
    ];
    asking(&limits, &[], Purpose::Reserve, |query| {
        let nothing = [Subject::default()];
        assert_eq!(query.room(&nothing, &[], (KNIFE, 2)), (1, Some(Reason::LimitReached)));
        assert_eq!(query.room(&nothing, &[(KNIFE, 1)], (PAN, 2)), (0, Some(Reason::TooManyHolds)));
    });
}

#[test]
fn a_hold_whose_place_is_taken_does_not_count_by_any_bound() {
    let limits = [
        Limit {
            max_live_units: Some(4),
            max_live_holds: Some(1),
            cooldown: Some(Millis(500)),
            rolling: Some(Millis(500)),
            ..of_units("all", Scope::Drop, 4)
        },
        of_units("ever", Scope::Shop, 4),
    ];
    let (place, old) = (HoldSlot::from_raw(7), hold(&[]));
    let mut subject = Subject::default();
    with_it(&mut subject, place, &old);
    let violations = |subject: &Subject, purpose| {
        asking(&limits, &[], purpose, |query| {
            let violations = query.check(std::slice::from_ref(subject), ItemNo::index);
            violations.reported.map(|violation| (violation.reason, violation.used))
        })
    };
    let instead = Purpose::Instead(ExcludedHold { place, hold: &old });
    assert_eq!(violations(&subject, Purpose::Reserve), Some((Reason::Cooldown, 0)));
    assert_eq!(violations(&subject, instead), None);
    // Another hold counts as always, and the time to wait is that hold's.
    let other = Hold::from(HoldFields {
        created_at: Timestamp(400),
        expires_at: Timestamp(3_000),
        ..HoldFields::from(hold(&[]))
    });
    with_it(&mut subject, HoldSlot::from_raw(8), &other);
    assert_eq!(violations(&subject, instead), Some((Reason::TooManyHolds, 1)));
    asking(&limits, &[], instead, |query| {
        let violation = query.check(std::slice::from_ref(&subject), ItemNo::index).reported.expect("a hit");
        assert_eq!((violation.over_at, violation.limit.id.as_str()), (Some(Timestamp(3_000)), "all"));
    });
}

#[test]
fn a_hold_counts_for_the_cards_that_it_was_made_with_and_for_no_other() {
    let cards = Some(IdentityKind::try_from("card").expect("a kind"));
    let limits = [Limit { identity_kind: cards, ..of_units("cards", Scope::Drop, 4) }];
    let (place, old) = (HoldSlot::from_raw(7), hold(&[card(1)]));
    let instead = Purpose::Instead(ExcludedHold { place, hold: &old });
    let used = |asked: Identity, purpose| {
        let mut of_card = Subject::default();
        with_it(&mut of_card, place, &old);
        asking(&limits, &[asked], purpose, |query| {
            query.check(&[Subject::default(), of_card], ItemNo::index).reported.map(|violation| violation.used)
        })
    };
    assert_eq!(used(card(1), Purpose::Reserve), Some(3));
    assert_eq!(used(card(1), instead), None);
    assert_eq!(used(card(2), instead), Some(3), "what another card has is another's");
}
