//! Frozen journals, good and bad: this build reads what an earlier build wrote, byte for byte.
//!
//! `cargo test -p stockade-journal --test fixtures -- --ignored` writes the folders, for a new format version only.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test that can't go on must stop")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::{fs, io};

use smallvec::SmallVec;
use stockade_journal::storage::{DiskStorage, SimulatedStorage, Storage};
use stockade_journal::{
    BatchHead, Durability, Ending, FileLog, FileLogOptions, Log, LogError, SealedBatch, Start, Trailer, inspect,
};
use stockade_types::definition::{Definition, Item, Limit, Pool, Schedule, Scope, Terms};
use stockade_types::hold::{Change, ContentHash, Hold, HoldFields, HoldLine, HoldState, Lines};
use stockade_types::ids::{
    CustomerId, DropId, DropNo, HoldId, ItemNo, LimitId, Lsn, OrderRef, PoolId, PoolNo, ShopId, Sku,
};
use stockade_types::record::{DropImage, Lifecycle, OldFact, Record, Restart};
use stockade_types::time::{Millis, Timestamp};

type Files = BTreeMap<String, Vec<u8>>;

const AT: u64 = 1_796_403_600_000;
const FIRST: &str = "00000000000000000001.journal";
const SECOND: &str = "00000000000000000005.journal";

fn id<T: for<'a> TryFrom<&'a str, Error: std::fmt::Debug>>(text: &str) -> T {
    T::try_from(text).expect("an id")
}

fn drop_image() -> DropImage {
    let pool = Pool::plain(id::<PoolId>("general"), 300);
    DropImage {
        number: DropNo(0),
        created_at: Timestamp(AT),
        request: [5; 32],
        update: None,
        definition: Definition {
            id: id::<DropId>("knife-1204"),
            title: "Messer, 20 cm".to_owned(),
            shop: id::<ShopId>("default"),
            series: None,
            labels: BTreeMap::from([("season".to_owned(), "winter".to_owned())]),
            schedule: Schedule { opens_at: Some(Timestamp(AT)), closes_at: None },
            terms: Terms { hold_ttl: Millis(300_000), max_hold_life: Millis(600_000), payment_ttl: Millis(900_000) },
            items: vec![Item::plain(id::<Sku>("KNIFE/20cm"), vec![pool])],
            limits: vec![Limit { max_units: Some(2), ..Limit::new(id::<LimitId>("two-each"), Scope::Drop) }],
            rules: stockade_types::definition::Rules::default(),
        },
    }
}

fn hold(n: u8) -> Hold {
    Hold::from(HoldFields {
        id: HoldId::from_bytes([n; 16]),
        drop: DropNo(0),
        state: HoldState::Held,
        customer: id::<CustomerId>("customer-1"),
        content: ContentHash(0x0123_4567_89ab_cdef),
        created_at: Timestamp(AT + 1),
        expires_at: Timestamp(AT + 300_001),
        settled_at: Timestamp(0),
        has_grace: false,
        revision: Lsn(0),
        lines: Lines::from_slice(&[HoldLine::new(ItemNo(0), PoolNo(0), 2)]),
        extras: None,
    })
}

/// Batches with each kind of record and each kind of change.
fn batches() -> Vec<Vec<Record>> {
    let change = |n: u8, change| Record::Old(Box::new(OldFact::Change(HoldId::from_bytes([n; 16]), change)));
    let at = Timestamp(AT + 9);
    vec![
        vec![Record::Drop(Box::new(drop_image())), Record::Hold(hold(1))],
        vec![Record::Hold(hold(2)), Record::Lifecycle(Lifecycle { paused: true, ..Lifecycle::new(DropNo(0)) })],
        vec![
            change(1, Change::Extended { expires_at: Timestamp(AT + 400_000) }),
            change(1, Change::Claimed { at, order_ref: id::<OrderRef>("order/1"), late: false, kept: SmallVec::new() }),
            change(2, Change::Released { at, kept: [1].into_iter().collect() }),
        ],
        vec![
            change(2, Change::Expired { at: Timestamp(AT + 300_001) }),
            Record::Restart(Restart { stopped_at: at, grace_until: Timestamp(AT + 30_009), at: None }),
        ],
    ]
}

fn written(durability: Durability, closed: bool) -> Files {
    let storage = SimulatedStorage::new();
    let options = FileLogOptions { durability, segment_bytes: 600 };
    let (log, opened) = FileLog::open(Arc::new(storage.clone()), options).expect("opens");
    let Start { mut next, mut chain, term } = opened.start();
    for records in batches() {
        let head = BatchHead { term, first: next, count: 0, written_at: Timestamp(AT + next.0), before: chain };
        let batch = SealedBatch::of_records(head, &records);
        log.append(next, &batch).expect("appends");
        (next, chain) = (batch.head().next(), batch.hash());
    }
    if closed {
        let closed_at = Timestamp(AT + 500_000);
        log.close(&Trailer { term, next, closed_at, chain }).expect("closes");
    }
    storage.files()
}

fn changed(mut files: Files, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Files {
    change(files.get_mut(name).expect("there"));
    files
}

fn fixtures() -> Vec<(&'static str, Files)> {
    let open = || written(Durability::Sync, false);
    vec![
        ("closed", written(Durability::Sync, true)),
        ("open", open()),
        ("torn", changed(open(), SECOND, |bytes| bytes.truncate(bytes.len() - 20))),
        ("rotten", changed(open(), FIRST, |bytes| bytes[200] ^= 0x04)),
        ("foreign", changed(open(), FIRST, |bytes| bytes[4] = 2)),
        ("os-hole", changed(written(Durability::Os, false), SECOND, |bytes| bytes[68..100].fill(0))),
    ]
}

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/journal").join(name)
}

#[test]
#[ignore = "writes the frozen folders anew: for a new format version only"]
fn write_fixtures() -> io::Result<()> {
    for (name, files) in fixtures() {
        fs::create_dir_all(folder(name))?;
        for (file, bytes) in files {
            fs::write(folder(name).join(file), bytes)?;
        }
    }
    Ok(())
}

fn frozen(name: &str) -> Files {
    let storage = DiskStorage::open(folder(name)).expect("opens");
    let files: Files = storage
        .list()
        .expect("lists")
        .into_iter()
        .map(|file| {
            let bytes = storage.read(&file).expect("reads");
            (file, bytes)
        })
        .collect();
    assert!(!files.is_empty(), "{name} is there");
    files
}

/// The records and the kind of ending, or the error.
fn inspected(name: &str) -> Result<(Vec<Record>, Ending), LogError> {
    let storage = DiskStorage::open(folder(name)).expect("opens");
    let mut inspection = inspect(&storage)?;
    let mut records = Vec::new();
    for batch in inspection.by_ref() {
        records.extend(batch?.records);
    }
    Ok((records, inspection.ending().expect("reported").clone()))
}

fn opened(name: &str, durability: Durability) -> Result<(u64, Vec<String>), LogError> {
    let storage = SimulatedStorage::with_files(frozen(name));
    let options = FileLogOptions { durability, ..FileLogOptions::default() };
    let (log, opened) = FileLog::open(Arc::new(storage), options)?;
    let read = log.read(Lsn(1))?.flat_map(|batch| batch.expect("whole").records).fold(1, |next, _| next + 1);
    assert_eq!(opened.next.0, read);
    Ok((opened.next.0, opened.lost))
}

#[test]
fn this_build_writes_the_same_bytes() {
    for (name, files) in fixtures() {
        assert_eq!(frozen(name), files, "{name}: the format has changed without a new version");
    }
}

#[test]
fn good_journals_are_read() {
    let all: Vec<Record> = batches().concat();
    let (records, ending) = inspected("closed").expect("good");
    assert_eq!(records, all);
    assert!(matches!(ending, Ending::Clean(trailer) if trailer.closed_at == Timestamp(AT + 500_000)));
    assert_eq!(inspected("open").expect("good"), (all, Ending::Open));
    for name in ["closed", "open"] {
        assert_eq!(opened(name, Durability::Sync).expect("good"), (10, vec![]));
    }
}

#[test]
fn a_torn_end_is_cut() {
    let (records, ending) = inspected("torn").expect("readable");
    assert_eq!(records.len(), 7);
    assert!(matches!(ending, Ending::Torn(cut) if cut.file == SECOND && cut.lsn == Lsn(8)));
    assert_eq!(opened("torn", Durability::Sync).expect("good"), (8, vec![]));
}

#[test]
fn rot_is_refused_and_its_place_is_named() {
    for error in [inspected("rotten").expect_err("rot"), opened("rotten", Durability::Sync).expect_err("rot")] {
        let text = error.to_string();
        assert!(
            matches!(error, LogError::Damage { .. }) && text.contains(FIRST) && text.contains("record 1"),
            "{text}"
        );
    }
}

#[test]
fn another_format_is_refused_by_its_number() {
    let error = opened("foreign", Durability::Sync).expect_err("foreign");
    assert!(matches!(error, LogError::Foreign { found: 2, .. }), "{error}");
    assert!(error.to_string().contains("format 2"), "{error}");
}

#[test]
fn a_hole_in_an_os_journal_is_cut_and_kept_aside() {
    let (records, ending) = inspected("os-hole").expect("readable");
    assert_eq!(records.len(), 4);
    assert!(matches!(ending, Ending::Lost(cut, later) if cut.lsn == Lsn(5) && later.is_empty()));
    let lost = vec!["00000000000000000005.0.lost".to_owned()];
    assert_eq!(opened("os-hole", Durability::Os).expect("cut"), (5, lost));
}
