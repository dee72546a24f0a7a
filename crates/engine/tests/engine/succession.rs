//! A record about two holds is applied to every possible snapshot: with one of them, with both, with neither.

use stockade_simulation::prelude::*;

const OLD: u64 = 1;
const NEW: u64 = 2;
/// The record's LSN.
const AT: Lsn = Lsn(5);

fn hold(n: u64, some: u32) -> Hold {
    hold_at(n, 0, |hold| hold.lines = units(some))
}

fn superseded() -> Record {
    Record::Old(Box::new(OldFact::Superseded { old: hold_id(OLD), at: START, hold: hold(NEW, 3) }))
}

/// An inventory with their drop and these records, loaded at once.
fn applied(records: &[(Lsn, Record)]) -> Inventory {
    let drop = (Lsn(1), drop_record(0, definition("d", &[("A", 9)], &[])));
    loaded_by(DigestKey::from_bytes([1; 16]), [&drop].into_iter().chain(records))
}

/// The same, with the last record applied by a follower.
fn followed(records: &[(Lsn, Record)]) -> Inventory {
    let (first, last) = records.split_at(records.len() - 1);
    let inventory = applied(first);
    follow(&inventory, last);
    inventory
}

/// The image of a hold in a snapshot.
fn image(inventory: &Inventory, id: HoldId) -> (Lsn, Record) {
    inventory.holds.with_id(&id, |shard| {
        let hold = shard.get(shard.find(&id).expect("there")).expect("there").clone();
        (hold.revision, Record::Hold(hold))
    })
}

#[test]
fn whichever_of_the_two_a_snapshot_has_seen_the_record_makes_the_same_of_it() {
    let before = (Lsn(2), Record::Hold(hold(OLD, 2)));
    let whole = applied(&[before.clone(), (AT, superseded())]);
    let [old, new] = [OLD, NEW].map(|n| image(&whole, hold_id(n)));
    assert_eq!((old.0, new.0), (AT, AT), "both have its place as their revision");
    for snapshot in [vec![before.clone()], vec![before, new.clone()], vec![old.clone()], vec![old, new]] {
        let records = [snapshot, vec![(AT, superseded())]].concat();
        assert_eq!(applied(&records).digest(), whole.digest(), "{records:?}");
        assert_eq!(followed(&records).digest(), whole.digest(), "followed: {records:?}");
        let twice = [records, vec![(AT, superseded())]].concat();
        assert_eq!(applied(&twice).digest(), whole.digest(), "applied twice");
        assert_eq!(followed(&twice).digest(), whole.digest(), "followed once more");
    }
}

#[test]
fn what_came_after_stays_and_what_is_forgotten_is_not_missed() {
    let order_ref = OrderRef::try_from("o").expect("a ref");
    let claimed = Change::Claimed { at: START, order_ref, late: false, kept: [].into_iter().collect() };
    let after = (Lsn(6), Record::Old(Box::new(OldFact::Change(hold_id(NEW), claimed))));
    let whole = applied(&[(Lsn(2), Record::Hold(hold(OLD, 2))), (AT, superseded()), after]);
    let [old, new] = [OLD, NEW].map(|n| image(&whole, hold_id(n)));
    for state in [applied, followed] {
        let later = state(&[old.clone(), new.clone(), (AT, superseded())]);
        assert_eq!(later.digest(), whole.digest(), "a later sale stays");
        let forgotten = state(&[new.clone(), (AT, superseded())]);
        assert_eq!(
            forgotten.digest(),
            applied(std::slice::from_ref(&new)).digest(),
            "a hold that is forgotten does not come back"
        );
    }
}
