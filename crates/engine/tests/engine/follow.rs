//! A follower of a journal has the state after each record, and refuses records that do not fit its state.

use stockade_engine::inventory::ReplayError;
use stockade_simulation::prelude::*;

/// Units of the drop.
const UNITS: u64 = 5;

/// A follower of a journal with a drop of one item.
fn follower() -> Inventory {
    let inventory = Inventory::new(DigestKey::from_bytes([1; 16]));
    follow(&inventory, &[(Lsn(1), drop_record(0, definition("d", &[("A", UNITS)], &[])))]);
    inventory
}

/// The n-th hold, of some units.
fn hold(n: u64, at: u64, some: u32) -> Hold {
    hold_at(n, at, |hold| hold.lines = units(some))
}

fn eve(hold: &mut HoldFields) {
    hold.customer = "eve".parse().expect("an id");
}

fn made(n: u64, units: u32) -> Record {
    Record::Hold(hold(n, 0, units))
}

fn change(n: u64, change: Change) -> Record {
    Record::Old(Box::new(OldFact::Change(hold_id(n), change)))
}

fn expired(n: u64) -> Record {
    change(n, Change::Expired { at: Timestamp(START.0 + 1_000) })
}

fn adjusted(received: u64, taken_out: u64) -> Record {
    let id = AdjustmentId::from_bytes([u8::try_from(received + taken_out).expect("small"); 16]);
    let adjustment = Adjustment { id, pool: PoolNo(0), change: StockChange::Delta(0) };
    let basis = PoolBasis { received, taken_out };
    Record::Adjusted(Box::new(Adjusted {
        drop: DropNo(0),
        item: ItemNo(0),
        adjustment,
        basis,
        at: Some(START),
        by: None,
    }))
}

/// Units free by the ledger, which must equal the counter.
fn free(inventory: &Inventory) -> u64 {
    let found = inventory.drops.with_number(DropNo(0), |drop| {
        assert_eq!(drop.conservation_error(), 0);
        drop.pool(ItemNo(0), PoolNo(0)).expect("a pool").stock().0.free
    });
    found.expect("the drop")
}

#[test]
fn units_go_out_of_the_counter_and_come_back_with_each_record() {
    let inventory = follower();
    let order_ref = OrderRef::try_from("o").expect("a ref");
    let late = Change::Claimed { at: START, order_ref, late: true, kept: [].into_iter().collect() };
    let successor = OldFact::Superseded { old: hold_id(2), at: START, hold: hold(3, 0, 2) };
    let steps = [
        (made(1, 3), UNITS - 3),
        (expired(1), UNITS),
        (change(1, late), UNITS - 3),
        (made(2, 1), UNITS - 4),
        (Record::Old(Box::new(successor)), UNITS - 5),
        (adjusted(UNITS + 2, 0), 2),
        (adjusted(UNITS + 2, 2), 0),
    ];
    for (lsn, (record, expected)) in (2..).map(Lsn).zip(steps) {
        inventory.follow(lsn, &record).expect("a sound record");
        assert_eq!(free(&inventory), expected, "{record:?}");
        let before = inventory.digest();
        inventory.follow(lsn, &record).expect("one that is known already");
        assert_eq!(inventory.digest(), before, "{record:?}");
    }
    assert_eq!(
        (inventory.owned(), inventory.ended()),
        (2, 2),
        "one was claimed after it had ended, another superseded"
    );
}

#[test]
fn an_id_is_used_again_once_its_hold_was_forgotten_by_who_wrote_that() {
    let inventory = follower();
    for (lsn, record) in (2..).map(Lsn).zip([made(1, 3), expired(1), made(1, 2)]) {
        inventory.follow(lsn, &record).expect("a sound record");
    }
    assert_eq!((free(&inventory), inventory.owned()), (UNITS - 2, 1));
    assert_eq!(inventory.holds.counts(), [1, 0, 0, 0, 0]);
    while inventory.evict_ended(START, Millis(0), 0) {}
    assert_eq!(inventory.holds.counts(), [1, 0, 0, 0, 0], "what is listed of the hold before is not taken for it");
}

#[test]
fn a_change_that_is_not_the_next_of_its_hold_is_said() {
    let expire = |before: &Hold| HoldChange::of(before, &Change::Expired { at: START }, START, Actor::Engine);
    let other = |change: fn(&mut HoldFields)| {
        let mut fields = HoldFields::from(hold(1, 2, 3));
        change(&mut fields);
        Record::Changed(expire(&Hold::from(fields)))
    };
    let wrong = [
        other(|hold| hold.revision = Lsn(1)),
        other(|hold| hold.state = HoldState::Paying),
        other(eve),
        other(|hold| hold.created_at = Timestamp(START.0 + 1)),
        other(|hold| hold.lines = Lines::from_slice(&[])),
    ];
    let sound = Record::Changed(expire(&hold(1, 2, 3)));
    for record in wrong {
        let inventory = follower();
        inventory.follow(Lsn(2), &made(1, 3)).expect("a hold");
        let error = inventory.follow(Lsn(3), &record).expect_err("another hold").to_string();
        assert!(error.contains("which is another"), "{error}");
        assert_eq!(free(&inventory), UNITS - 3, "nothing was changed");
        inventory.follow(Lsn(3), &sound).expect("the next of it");
        assert_eq!(free(&inventory), UNITS);
    }
}

#[test]
fn what_can_t_be_so_is_said() {
    let other = OldFact::Superseded { old: hold_id(1), at: START, hold: hold_at(2, 0, eve) };
    let image = StockImage { drop: DropNo(0), item: ItemNo(0), pools: Vec::new(), adjustments: Vec::new() };
    let usage = UsageImage { subject: stockade_types::ids::SubjectKey(1), usage: Vec::new(), returns: Vec::new() };
    let elsewhere = hold_at(2, 0, |hold| hold.drop = DropNo(1));
    let wrong = [
        (made(2, 3), "drop d, item A: 6 units are held or claimed, 5 were received"),
        (made(1, 1), "is made twice"),
        (Record::Hold(elsewhere), "is in a drop, item or pool that does not exist"),
        (Record::Old(Box::new(other)), "takes the place of another customer's"),
        (adjusted(UNITS, 3), "drop d, item A: 6 units are held or claimed, 5 were received"),
        (adjusted(0, 3), "more units are taken out than were received"),
        (Record::Stock(image), "it stands in snapshots only"),
        (Record::Usage(usage), "it stands in snapshots only"),
        (drop_record(0, definition("e", &[("A", UNITS)], &[])), "drop e is no change of d"),
    ];
    for (record, expected) in wrong {
        let inventory = follower();
        inventory.follow(Lsn(2), &made(1, 3)).expect("a hold");
        let error: ReplayError = inventory.follow(Lsn(3), &record).expect_err(expected);
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!((free(&inventory), inventory.owned()), (UNITS - 3, 1), "nothing was changed: {expected}");
    }
}
