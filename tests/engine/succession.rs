//! One record about two holds meets every snapshot that there can be: of one of them, of both, of neither.

use stockade::digest::DigestKey;
use stockade::hold::{Change, ContentHash, Hold, HoldFields, HoldLine, HoldState, Lines};
use stockade::ids::{CustomerId, DropNo, HoldId, ItemNo, Lsn, OrderRef, PoolNo};
use stockade::inventory::Inventory;
use stockade::record::{Record, Superseded};
use stockade::time::Timestamp;

use crate::common::{START, hold_id};

const OLD: u64 = 1;
const NEW: u64 = 2;
/// Where the record stands.
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
        rare: None,
    })
}

fn superseded() -> Record {
    Record::Superseded(Box::new(Superseded { old: hold_id(OLD), at: START, hold: hold(NEW, 3) }))
}

fn applied(records: &[(Lsn, Record)]) -> Inventory {
    let inventory = Inventory::new(DigestKey::from_bytes([1; 16]));
    for (lsn, record) in records {
        inventory.apply(*lsn, record).expect("a sound record");
    }
    inventory
}

/// A hold as a snapshot has it.
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
        let twice = [records, vec![(AT, superseded())]].concat();
        assert_eq!(applied(&twice).digest(), whole.digest(), "applied twice");
    }
}

#[test]
fn what_came_after_stays_and_what_is_forgotten_is_not_missed() {
    let order_ref = OrderRef::try_from("o").expect("a ref");
    let claimed = Change::Claimed { at: START, order_ref, late: false, kept: [].into_iter().collect() };
    let after = (Lsn(6), Record::Change(hold_id(NEW), claimed));
    let whole = applied(&[(Lsn(2), Record::Hold(hold(OLD, 2))), (AT, superseded()), after]);
    let [old, new] = [OLD, NEW].map(|n| image(&whole, hold_id(n)));
    assert_eq!(applied(&[old, new.clone(), (AT, superseded())]).digest(), whole.digest(), "a later sale stays");
    let forgotten = applied(&[new.clone(), (AT, superseded())]);
    assert_eq!(forgotten.digest(), applied(&[new]).digest(), "a hold that is forgotten does not come back");
}
