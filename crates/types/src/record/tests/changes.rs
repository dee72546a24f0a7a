//! Changes of holds: what they contain, and which are valid.

use super::*;

pub(super) fn old(fact: OldFact) -> Record {
    Record::Old(Box::new(fact))
}

/// A held hold of two lines with rare parts.
pub(super) fn held() -> Hold {
    let lines =
        [HoldLine::new(ItemNo(0), PoolNo(0), 2), HoldLine { returned: 1, ..HoldLine::new(ItemNo(7), PoolNo(1), 3) }];
    let mut held = full_hold(&lines);
    held.revision = Lsn(77);
    held
}

pub(super) fn changed(before: &Hold, change: &Change) -> HoldChange {
    HoldChange::of(before, change, Timestamp(1_796_403_600_500), Actor::of(change))
}

/// The units of each of two lines that a change moves: sold, released, returned.
pub(super) type Moves = [(u32, u32, u32); 2];

/// Every change, applied to a hold in a suitable state, and the units that it moves.
pub(super) fn changes() -> Vec<(HoldChange, Moves)> {
    let (held, at) = (held(), Timestamp(9));
    let order_ref = OrderRef::try_from("o").expect("a ref");
    let claimed = |late, kept: &[u32]| Change::Claimed { at, order_ref: order_ref.clone(), late, kept: kept.into() };
    let after = |before: &Hold, change: &Change| {
        let mut after = changed(before, change).hold;
        after.revision = Lsn(78);
        after
    };
    let sold = after(&held, &claimed(false, &[]));
    let expired = after(&held, &Change::Expired { at });
    let by = HoldId::from_bytes([9; 16]);
    let none = (0, 0, 0);
    vec![
        (changed(&held, &Change::Extended { expires_at: Timestamp(1_796_403_990_000) }), [none, none]),
        (
            changed(&held, &Change::Staged { stage: HoldState::Paying, expires_at: Timestamp(1_796_404_000_000) }),
            [none, none],
        ),
        (changed(&held, &claimed(false, &[])), [(2, 0, 0), (3, 0, 0)]),
        (changed(&held, &claimed(false, &[2, 1])), [(2, 0, 0), (1, 2, 0)]),
        (changed(&expired, &claimed(true, &[])), [(2, 0, 0), (3, 0, 0)]),
        // The units were given back when the hold expired.
        (changed(&expired, &claimed(true, &[1, 0])), [(1, 0, 0), none]),
        (changed(&held, &Change::Released { at, kept: [].into_iter().collect() }), [(0, 2, 0), (0, 3, 0)]),
        (changed(&held, &Change::Released { at, kept: [2, 1].into_iter().collect() }), [none, (0, 2, 0)]),
        (changed(&held, &Change::Expired { at }), [(0, 2, 0), (0, 3, 0)]),
        (changed(&held, &Change::Superseded { at, by }), [(0, 2, 0), (0, 3, 0)]),
        (
            changed(&sold, &Change::Returned { at: None, totals: [(1, 0), (3, 1)].into_iter().collect() }),
            [(0, 0, 1), (0, 0, 2)],
        ),
    ]
}

#[test]
fn a_change_says_what_it_moved_what_was_before_and_of_which_hold_it_is_the_next() {
    for (change, moved) in changes() {
        let reported: Vec<_> =
            change.moved().iter().map(|line| (line.quantity, line.released, line.returned)).collect();
        assert_eq!(reported, moved, "{change:?}");
    }
    let held = held();
    let change = changed(&held, &Change::Expired { at: Timestamp(9) });
    assert_eq!(
        (change.verb, change.actor, change.was, change.prev),
        (Verb::Expire, Actor::Engine, HoldState::Held, Lsn(77))
    );
    assert!(change.is_next_of(&held) && !change.is_late_claim());
    let others: [fn(&mut HoldFields); 6] = [
        |hold| hold.revision = Lsn(76),
        |hold| hold.state = HoldState::Paying,
        |hold| hold.drop = DropNo(8),
        |hold| hold.customer = CustomerId::try_from("eve").expect("an id"),
        |hold| hold.content = ContentHash(3),
        |hold| hold.lines = Lines::from_slice(&[HoldLine::new(ItemNo(0), PoolNo(0), 2)]),
    ];
    for other in others {
        let mut fields = HoldFields::from(held.clone());
        other(&mut fields);
        assert!(!change.is_next_of(&Hold::from(fields.clone())), "{fields:?}");
    }
}

#[test]
fn a_hold_in_another_s_place_is_not_its_own_and_the_one_that_the_other_names() {
    let by = held();
    let change = Change::Superseded { at: Timestamp(9), by: by.id };
    let before = Hold::from(HoldFields { id: HoldId::from_bytes([8; 16]), ..HoldFields::from(held()) });
    let superseded = |ended: HoldChange, made: Hold| bytes(&Record::Superseded(Box::new(Superseded { ended, made })));
    let made = Hold::from(HoldFields { revision: Lsn(0), ..HoldFields::from(by.clone()) });
    let sound = superseded(changed(&before, &change), made.clone());
    assert!(Record::decode(&sound).is_ok());
    let another = Hold::from(HoldFields { id: HoldId::from_bytes([7; 16]), ..HoldFields::from(made.clone()) });
    let mut live = changed(&before, &change);
    live.hold.state = HoldState::Held;
    let sold = Hold::from(HoldFields { state: HoldState::Claimed, ..HoldFields::from(made.clone()) });
    let wrong = [
        superseded(live, made.clone()),
        superseded(changed(&before, &change), sold),
        superseded(changed(&by, &change), made.clone()),
        superseded(changed(&before, &change), another),
        superseded(changed(&before, &Change::Expired { at: Timestamp(9) }), made),
        bytes(&old(OldFact::Superseded { old: by.id, at: Timestamp(9), hold: by })),
    ];
    for bytes in wrong {
        assert!(matches!(Record::decode(&bytes), Err(DecodeError::Bad(_))));
    }
}

#[test]
fn a_change_that_can_t_lead_from_the_state_before_to_the_one_after_is_none() {
    for (change, _) in changes() {
        for state in HoldState::ALL {
            let mut other = change.clone();
            other.hold.state = state;
            let read = Record::decode(&bytes(&Record::Changed(other))).is_ok();
            let live = change.verb == Verb::Extend && state.is_live();
            let back = change.verb == Verb::Release && matches!(state, HoldState::Held | HoldState::Released);
            assert_eq!(read, state == change.hold.state || live || back, "{change:?} to {state:?}");
        }
        let was = HoldState::Released;
        let mut other = change;
        other.was = was;
        assert!(Record::decode(&bytes(&Record::Changed(other))).is_err(), "nothing leads from {was:?}");
    }
}

#[test]
fn a_plain_change_takes_few_bytes() {
    let plain = Hold::from(HoldFields {
        settled_at: Timestamp(0),
        has_grace: false,
        extras: None,
        state: HoldState::Held,
        revision: Lsn(5_000_000_000),
        ..HoldFields::from(hold(&[HoldLine::new(ItemNo(0), PoolNo(0), 1)]))
    });
    let at = Timestamp(1_796_403_900_123);
    let expired = bytes(&Record::Changed(changed(&plain, &Change::Expired { at }))).len();
    assert_eq!(expired, 74, "docs/journal-format.md says so");
}
