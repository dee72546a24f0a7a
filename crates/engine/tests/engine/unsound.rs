//! Impossible journals: what a follower refuses, a start and an offline check refuse in the same words. And journals
//! that only look impossible.

use stockade_simulation::prelude::*;
use stockade_types::definition::ITEMS_MAX;
use stockade_types::ids::SubjectKey;
use stockade_types::record::{AdjustmentsImage, Archived, Made, Sold, Superseded};

/// Units of each drop.
const UNITS: u64 = 5;
/// The number of the drop that is archived.
const ARCHIVED: u32 = 1;

fn made(n: u64, change: impl FnOnce(&mut HoldFields)) -> Record {
    Record::Made(Made { actor: Actor::Anonymous, hold: hold_at(n, 0, change) })
}

fn change(before: &Hold, change: &Change) -> HoldChange {
    HoldChange::of(before, change, START, Actor::of(change))
}

fn claimed() -> Change {
    let order_ref = OrderRef::try_from("order").expect("a ref");
    Change::Claimed { at: START, order_ref, late: false, kept: [].into_iter().collect() }
}

fn expired() -> Change {
    Change::Expired { at: START }
}

/// A record by which another hold supersedes the first one.
fn superseded(by: u64, made: impl FnOnce(&mut HoldFields)) -> Record {
    let ended = change(&hold_at(1, 3, |_| ()), &Change::Superseded { at: START, by: hold_id(by) });
    Record::Superseded(Box::new(Superseded { ended, made: hold_at(by, 0, made) }))
}

fn adjusted(basis: PoolBasis) -> Record {
    let adjustment =
        Adjustment { id: AdjustmentId::from_bytes([7; 16]), pool: PoolNo(0), change: StockChange::Delta(0) };
    Record::Adjusted(Box::new(Adjusted {
        drop: DropNo(0),
        item: ItemNo(0),
        adjustment,
        basis,
        at: Some(START),
        by: None,
    }))
}

/// The first records of all these journals: one of two drops is archived, the first hold is held, the second was sold
/// in the archived drop, and the third has expired.
fn beginning() -> Vec<Record> {
    let in_archived = |hold: &mut HoldFields| hold.drop = DropNo(ARCHIVED);
    let sold = Sold { claimed: 1, ..Sold::default() };
    vec![
        drop_record(0, definition("d", &[("A", UNITS)], &[])),
        drop_record(ARCHIVED, definition("old", &[("A", UNITS)], &[])),
        made(1, |_| ()),
        made(2, in_archived),
        Record::Changed(change(&hold_at(2, 4, in_archived), &claimed())),
        Record::Archived(Archived { drop: DropNo(ARCHIVED), at: START, pools: vec![sold] }),
        made(3, |_| ()),
        Record::Changed(change(&hold_at(3, 7, |_| ()), &expired())),
        drop_record(2, definition("e", &[("A", UNITS)], &[])),
    ]
}

/// The LSN of the wrong record.
const NEXT: Lsn = Lsn(10);

fn world() -> World {
    let mut world = World::new();
    world.options.outage_grace = Millis(0);
    world.folder();
    world
}

/// A machine with this journal, with a snapshot of its beginning or without.
fn machine(rest: &[Record], with_snapshot: bool) -> World {
    let world = world();
    world.append(&beginning(), world.now);
    if with_snapshot {
        let (engine, _) = world.start();
        engine.snapshot(&world.snapshots, world.now).expect("a snapshot");
        assert_eq!(engine.journal().appended().next(), NEXT);
    }
    world.append(rest, world.now);
    world
}

/// A follower from the first record on.
fn follower(key: DigestKey, rest: &[Record]) -> Result<Inventory, String> {
    let inventory = Inventory::new(key);
    let beginning = beginning();
    for (lsn, record) in (1..).map(Lsn).zip(&beginning) {
        inventory.follow(lsn, record).expect("a sound record");
    }
    for (lsn, record) in (NEXT.0..).map(Lsn).zip(rest) {
        inventory.follow(lsn, record).map_err(|error| error.to_string())?;
    }
    Ok(inventory)
}

/// Wrong records, each with the expected message.
fn unsound() -> Vec<(Vec<Record>, &'static str)> {
    let old = |fact| Record::Old(Box::new(fact));
    let late = Change::Claimed {
        at: START,
        order_ref: OrderRef::try_from("late").expect("a ref"),
        late: true,
        kept: [].into_iter().collect(),
    };
    let first = hold_at(1, 3, |_| ());
    let eve = |hold: &mut HoldFields| hold.customer = CustomerId::try_from("eve").expect("an id");
    let line = |item, pool| Lines::from_slice(&[HoldLine::new(ItemNo(item), PoolNo(pool), 1)]);
    let many: Vec<_> = (0..=ITEMS_MAX).map(|n| (format!("N{n}"), 1)).collect();
    let many: Vec<_> =
        [("A", UNITS)].into_iter().chain(many.iter().map(|(sku, units)| (sku.as_str(), *units))).collect();
    let not_there = "is in a drop, item or pool that does not exist";
    let only_in_snapshots = "it stands in snapshots only";
    let another = "which is another";
    let in_snapshots = [
        Record::Stock(StockImage { drop: DropNo(0), item: ItemNo(0), pools: Vec::new(), adjustments: Vec::new() }),
        Record::Adjustments(AdjustmentsImage {
            drop: DropNo(0),
            item: ItemNo(0),
            forgotten: START,
            adjustments: Vec::new(),
        }),
        Record::Usage(UsageImage { subject: SubjectKey(1), usage: Vec::new(), returns: Vec::new() }),
    ];
    let mut unsound = vec![
        (vec![made(1, |_| ())], "is made twice"),
        (vec![Record::Hold(first.clone())], "is made twice"),
        (vec![Record::Changed(change(&first, &claimed())), made(1, |_| ())], "is made twice"),
        (vec![made(4, |_| ()), superseded(4, |_| ())], "is made twice"),
        (
            vec![superseded(4, |_| ()), old(OldFact::Change(hold_id(1), late))],
            "is changed after another took its place",
        ),
        (
            vec![superseded(4, |_| ()), old(OldFact::Change(hold_id(1), expired()))],
            "is changed after another took its place",
        ),
        (vec![superseded(4, eve)], "takes the place of another customer's"),
        (vec![superseded(4, |hold| hold.drop = DropNo(2))], "takes the place of another customer's"),
        (
            vec![old(OldFact::Superseded { old: hold_id(1), at: START, hold: hold_at(4, 0, eve) })],
            "takes the place of another customer's",
        ),
        (vec![made(4, |hold| hold.drop = DropNo(ARCHIVED))], not_there),
        (vec![made(2, |hold| hold.drop = DropNo(ARCHIVED))], not_there),
        (vec![made(4, |hold| hold.drop = DropNo(7))], not_there),
        (vec![made(4, |hold| hold.lines = line(1, 0))], not_there),
        (vec![made(4, |hold| hold.lines = line(0, 1))], not_there),
        (vec![Record::Changed(change(&hold_at(1, 2, |_| ()), &expired()))], another),
        (vec![Record::Changed(change(&hold_at(1, 3, eve), &expired()))], another),
        (vec![Record::Changed(change(&hold_at(1, 3, |hold| hold.state = HoldState::Paying), &expired()))], another),
        (vec![drop_record(0, definition("x", &[("A", UNITS)], &[]))], "drop x is no change of d"),
        (vec![drop_record(0, definition("d", &[], &[]))], "drop d is no change of d"),
        (vec![drop_record(0, definition("d", &many, &[]))], "drop d has 258 items, and may have 256"),
        (vec![adjusted(PoolBasis { received: 2, taken_out: 3 })], "more units are taken out than were received"),
        (vec![made(4, |hold| hold.lines = units(5))], "drop d, item A: 6 units are held or claimed, 5 were received"),
    ];
    unsound.extend(in_snapshots.map(|record| (vec![record], only_in_snapshots)));
    unsound
}

#[test]
fn what_a_follower_refuses_a_start_and_an_offline_look_refuse_in_the_same_words() {
    for (rest, expected) in unsound() {
        let reported = follower(world().folder().key, &rest).expect_err(expected);
        assert!(reported.contains(expected), "{expected}: {reported}");
        for with_snapshot in [false, true] {
            let world = machine(&rest, with_snapshot);
            let found = verify_folder(&world.folder()).expect("a readable folder").findings;
            assert!(
                found.iter().any(|finding| finding.ends_with(&reported)),
                "{reported}, with {with_snapshot}: {found:?}"
            );
            let before = world.journal.files();
            match world.try_start() {
                Ok(_) => panic!("{reported}: a start takes it, with {with_snapshot}"),
                Err(error) => assert_eq!(error.to_string(), format!("the journal does not add up: {reported}")),
            }
            assert_eq!(world.journal.files(), before, "{reported}: nobody has touched it");
        }
    }
}

/// Ids that are reused after their holds were forgotten, and late requests for a hold that has left memory.
#[test]
fn what_only_looks_like_it_is_taken_by_all() {
    let second = hold_at(2, 5, |hold| (hold.drop, hold.state) = (DropNo(ARCHIVED), HoldState::Claimed));
    let returned = Change::Returned { at: None, totals: [(1, 1)].into_iter().collect() };
    let sound = [
        vec![made(3, |_| ())],
        vec![made(2, |_| ()), Record::Changed(change(&hold_at(2, NEXT.0, |_| ()), &claimed()))],
        vec![Record::Changed(change(&second, &returned))],
        vec![Record::Old(Box::new(OldFact::Change(hold_id(2), returned)))],
        vec![Record::Changed(change(&hold_at(9, 1, |_| ()), &expired()))],
        vec![superseded(4, |_| ()), made(3, |_| ())],
        vec![superseded(3, |_| ()), Record::Changed(change(&hold_at(3, NEXT.0, |_| ()), &claimed()))],
    ];
    for (rest, place) in sound.iter().zip(0..) {
        for with_snapshot in [false, true] {
            let world = machine(rest, with_snapshot);
            let followed = follower(world.folder().key, rest).expect("a sound journal");
            let found = verify_folder(&world.folder()).expect("a readable folder").findings;
            assert!(found.is_empty(), "{place}, with {with_snapshot}: {found:?}");
            let (engine, report) = world.start();
            assert_eq!((report.snapshot.is_some(), report.skipped.len()), (with_snapshot, 0), "{report:?}");
            assert_eq!(engine.inventory().digest(), followed.digest(), "{place}, with {with_snapshot}");
        }
    }
}
