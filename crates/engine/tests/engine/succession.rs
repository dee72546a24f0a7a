//! A record about two holds is applied to every possible snapshot: with one of them, with both, with neither.

use stockade_engine::inventory::{BulkLoad, Inventory};
use stockade_types::digest::DigestKey;
use stockade_types::hold::{Change, ContentHash, Hold, HoldFields, HoldLine, HoldState, Lines};
use stockade_types::ids::{CustomerId, DropNo, HoldId, ItemNo, Lsn, OrderRef, PoolNo};
use stockade_types::record::{DropImage, OldFact, Record};
use stockade_types::time::Timestamp;

use crate::common::{START, definition, hold_id};

const OLD: u64 = 1;
const NEW: u64 = 2;
/// The record's LSN.
const AT: Lsn = Lsn(5);

fn hold(n: u64, units: u32) -> Hold {
    Hold::from(HoldFields {
        id: hold_id(n),
        drop: DropNo(0),
        state: HoldState::Held,
        customer: CustomerId::try_from("ada").expect("an id"),
        content: ContentHash(n),
        created_at: START,
        expires_at: Timestamp(START.0 + 1_000),
        settled_at: Timestamp::default(),
        revision: Lsn(0),
        lines: Lines::from_slice(&[HoldLine::new(ItemNo(0), PoolNo(0), units)]),
        extras: None,
    })
}

fn superseded() -> Record {
    Record::Old(Box::new(OldFact::Superseded { old: hold_id(OLD), at: START, hold: hold(NEW, 3) }))
}

/// An inventory with their drop and these records, loaded at once.
fn applied(records: &[(Lsn, Record)]) -> Inventory {
    let definition = definition("d", &[("A", 9)], &[]);
    let image = DropImage { number: DropNo(0), created_at: START, definition, request: [0; 32], update: None };
    let load = BulkLoad::new(DigestKey::from_bytes([1; 16]));
    load.apply(Lsn(1), &Record::Drop(Box::new(image))).expect("a drop");
    for (lsn, record) in records {
        load.apply(*lsn, record).expect("a sound record");
    }
    load.finish(usize::MAX).expect("sums that hold")
}

/// The same, with the last record applied by a follower.
fn followed(records: &[(Lsn, Record)]) -> Inventory {
    let ((lsn, record), first) = records.split_last().expect("a record");
    let inventory = applied(first);
    inventory.follow(*lsn, record).expect("a sound record");
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
