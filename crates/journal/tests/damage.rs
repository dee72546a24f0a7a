//! A journal with any byte changed, cut anywhere or with files missing: it is read correctly or refused, never read
//! wrongly.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that can't go on must stop")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use stockade_journal::storage::{SimulatedStorage, Storage};
use stockade_journal::{BatchHash, Durability, Ending, FileLog, Log, LogError, Start, inspect};
use stockade_types::ids::Lsn;

use support::{fill, open_and_read, options, record, trailer};

type Files = BTreeMap<String, Vec<u8>>;

/// Three segments of two records a batch.
const BATCHES: usize = 5;
const END: u64 = 1 + 2 * 5;

fn journal(durability: Durability, closed: bool) -> Files {
    let storage = SimulatedStorage::new();
    let (log, opened) = FileLog::open(Arc::new(storage.clone()), options(durability, 300)).expect("opens");
    let end = fill(&log, opened.start(), BATCHES).expect("appends");
    if closed {
        log.close(&trailer(end)).expect("closes");
    }
    let files = storage.files();
    assert_eq!(files.len(), 3, "{:?}", files.keys());
    files
}

/// The result of an inspection: the LSN after the last good record and the kind of ending, or the error.
fn inspected(storage: &SimulatedStorage) -> Result<(u64, Ending), LogError> {
    let before = storage.files();
    let mut inspection = inspect(storage)?;
    let mut next = inspection.oldest().map_or(1, |oldest| oldest.0);
    for batch in inspection.by_ref() {
        for (lsn, found) in batch?.iter() {
            assert_eq!((lsn.0, found), (next, &record(next)), "a wrong record");
            next += 1;
        }
    }
    let ending = inspection.ending().expect("reported at the end").clone();
    assert_eq!(storage.files(), before, "an inspection changes nothing");
    assert_eq!(storage.operations(), 0);
    Ok((next, ending))
}

/// Opens changed files: at most the last batch may be missing, or the refusal names a file of the journal.
fn check(files: &Files, durability: Durability, least: u64, what: &str) -> bool {
    let reported = inspected(&SimulatedStorage::with_files(files.clone()));
    let storage = SimulatedStorage::with_files(files.clone());
    match open_and_read(Arc::new(storage.clone()), durability) {
        Ok((_, opened, range)) => {
            assert!(range.start == 1 && range.end >= least && range.end <= END, "{what}: found {range:?}");
            let (next, ending) = reported.unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(next, range.end, "{what}");
            assert_eq!(opened.cut.is_some(), matches!(ending, Ending::Torn(_) | Ending::Lost(..)), "{what}");
            assert_eq!(opened.clean, matches!(ending, Ending::Clean(_)), "{what}");
            true
        }
        Err(error) => {
            let named = match &error {
                LogError::Damage { place, .. } => &place.file,
                LogError::Foreign { file, .. } => file,
                LogError::Io { .. }
                | LogError::Full(_)
                | LogError::Unknown(_)
                | LogError::Gone(_)
                | LogError::ForeignFiles(_)
                | LogError::Fenced { .. }
                | LogError::WrongPosition { .. }
                | LogError::Stopped => panic!("{what}: {error}"),
            };
            assert!(files.contains_key(named), "{what}: {error}");
            assert_eq!(reported.expect_err("both find it").to_string(), error.to_string(), "{what}");
            assert_eq!(&storage.files(), files, "{what}: a refused journal is left alone");
            false
        }
    }
}

#[test]
fn any_changed_byte_is_noticed_and_costs_the_last_batch_at_most() {
    for closed in [false, true] {
        let files = journal(Durability::Sync, closed);
        for (name, bytes) in &files {
            for place in 0..bytes.len() {
                for mask in [0x01, 0x80, 0xff] {
                    let mut changed = files.clone();
                    changed.get_mut(name).expect("there")[place] ^= mask;
                    let what = format!("closed {closed}: {name}, byte {place} changed by {mask:#x}");
                    let opens = check(&changed, Durability::Sync, END - 2, &what);
                    let last = files.last_key_value().expect("some").0 == name;
                    let (begins, trailer) = (bytes.len() - last_frame(closed), bytes.len() - 68);
                    let excused = last && if closed { place >= trailer } else { place >= begins };
                    assert_eq!(opens, excused, "{what}");
                }
            }
        }
    }
}

/// Bytes of the last batch, including the trailer.
fn last_frame(closed: bool) -> usize {
    let batch = support::batch(Start::FIRST, 2).bytes().len();
    if closed { batch + 68 } else { batch }
}

/// Bytes of a segment's header.
const HEAD: usize = 68;

/// The LSN after the whole batches before a cut of a segment.
fn whole(segment: &str, length: usize) -> u64 {
    let first: u64 = segment.trim_end_matches(".journal").parse().expect("a number");
    let batches = length.saturating_sub(HEAD) / last_frame(false);
    first + 2 * u64::try_from(batches.min(2)).expect("small")
}

#[test]
fn any_cut_gives_a_right_prefix_or_a_no() {
    for durability in [Durability::Sync, Durability::Os] {
        for closed in [false, true] {
            let files = journal(durability, closed);
            let newest = files.last_key_value().expect("some").0;
            for (name, bytes) in &files {
                for length in 0..bytes.len() {
                    let mut cut = files.clone();
                    cut.get_mut(name).expect("there").truncate(length);
                    let what = format!("{durability:?}, closed {closed}: {name} cut to {length}");
                    let opens = check(&cut, durability, whole(name, length), &what);
                    // Only a cut at the end looks like a torn write; elsewhere the following segment shows that there
                    // was more.
                    assert!(!opens || name == newest || durability == Durability::Os, "{what}");
                    assert!(opens || name != newest || length < HEAD, "{what}: a torn end is cut");
                }
            }
        }
    }
}

#[test]
fn with_os_durability_a_changed_byte_costs_what_follows_and_keeps_it_aside() {
    let files = journal(Durability::Os, false);
    for (name, bytes) in &files {
        for place in 68..bytes.len() {
            let mut changed = files.clone();
            changed.get_mut(name).expect("there")[place] ^= 0x10;
            assert!(check(&changed, Durability::Os, 1, &format!("{name}, byte {place}")), "it opens");
            let storage = SimulatedStorage::with_files(changed.clone());
            let (_, opened, _) = open_and_read(Arc::new(storage.clone()), Durability::Os).expect("opens");
            let later = files.keys().filter(|other| *other > name).count();
            let followed = later > 0 || place < bytes.len() - last_frame(false);
            assert_eq!(opened.lost.len(), if followed { later + 1 } else { 0 }, "{name}, byte {place}");
            let all: usize = storage.files().values().map(Vec::len).sum();
            let cut = opened.cut.expect("reported");
            assert_eq!((cut.file.as_str(), cut.lsn), (name.as_str(), opened.next));
            assert!(!followed || all == changed.values().map(Vec::len).sum::<usize>(), "nothing is thrown away");
        }
    }
}

#[test]
fn a_damaged_os_segment_before_a_forced_one_is_damage() {
    let storage = SimulatedStorage::with_files(journal(Durability::Os, false));
    let (log, opened) = FileLog::open(Arc::new(storage.clone()), options(Durability::Sync, 300)).expect("opens");
    fill(&log, opened.start(), 1).expect("appends");
    drop(log);
    let mut files = storage.files();
    assert_eq!(files.len(), 4, "the new durability begins a new segment");
    let first = files.keys().next().expect("some").clone();
    files.get_mut(&first).expect("there")[100] ^= 1;
    let error = FileLog::open(Arc::new(SimulatedStorage::with_files(files)), options(Durability::Sync, 300));
    assert!(matches!(error, Err(LogError::Damage { place, .. }) if place.file == first));
}

#[test]
fn a_missing_segment_is_damage_unless_it_is_the_oldest_or_the_newest() {
    let files = journal(Durability::Sync, false);
    for (place, name) in files.keys().enumerate() {
        let mut fewer = files.clone();
        fewer.remove(name);
        let found = open_and_read(Arc::new(SimulatedStorage::with_files(fewer)), Durability::Sync);
        match (place, found) {
            (0, Ok((_, _, range))) => assert_eq!(range, 5..END, "as if trimmed: a read from 1 is refused"),
            (1, Err(LogError::Damage { place, what })) => {
                assert_eq!(place.lsn.0, 5);
                assert!(what.contains("missing"), "{what}");
            }
            (2, Ok((_, _, range))) => assert_eq!(range, 1..9, "that more was there is not reported by what is left"),
            (place, found) => panic!("{place}: {found:?}"),
        }
    }
}

#[test]
fn swapped_and_repeated_batches_are_damage() {
    let files = journal(Durability::Sync, false);
    let (name, bytes) = files.first_key_value().expect("some");
    let length = last_frame(false);
    let (head, batches) = bytes.split_at(68);
    let (one, two) = batches.split_at(length);
    for parts in [[head, two, one], [head, one, one], [head, two, two]] {
        let mut changed = files.clone();
        changed.insert(name.clone(), parts.concat());
        let found = open_and_read(Arc::new(SimulatedStorage::with_files(changed)), Durability::Sync);
        assert!(matches!(found, Err(LogError::Damage { .. })), "{found:?}");
    }
}

#[test]
fn a_whole_batch_of_another_history_or_an_older_term_is_damage() {
    let files = journal(Durability::Sync, false);
    let (name, bytes) = files.first_key_value().expect("some");
    let (kept, second) = bytes.split_at(bytes.len() - last_frame(false));
    let mut wrong = Start { next: Lsn(3), ..Start::FIRST };
    for (chain, term) in [(BatchHash([9; 32]), 1), (BatchHash::of(&bytes[68..68 + second.len()]), 0)] {
        wrong.chain = chain;
        wrong.term = term;
        let mut changed = files.clone();
        changed.insert(name.clone(), [kept, support::batch(wrong, 2).bytes()].concat());
        let found = open_and_read(Arc::new(SimulatedStorage::with_files(changed)), Durability::Sync);
        assert!(matches!(&found, Err(LogError::Damage { place, .. }) if place.lsn == Lsn(3)), "{found:?}");
    }
}

#[test]
fn a_segment_that_says_another_term_or_time_than_stands_before_it_is_damage() {
    let files = journal(Durability::Sync, false);
    let name = files.last_key_value().expect("some").0;
    for place in [16, 24] {
        // Recovery rewrites the last segment and reads it separately, so its header must be valid.
        let mut changed = files.clone();
        let head = changed.get_mut(name).expect("there");
        head[place] += 1;
        let sum = crc32c::crc32c(&head[..64]);
        head[64..68].copy_from_slice(&sum.to_le_bytes());
        assert!(!check(&changed, Durability::Sync, END, &format!("byte {place} of a head")), "it opens");
    }
}

#[test]
fn a_crash_while_lost_batches_are_set_aside_leaves_a_journal_that_opens() {
    let mut files = journal(Durability::Os, false);
    files.values_mut().next().expect("some")[100] ^= 1;
    let mut crashes = 0;
    for place in 0..40 {
        let storage = SimulatedStorage::with_files(files.clone());
        storage.crash_at(place);
        if open_and_read(Arc::new(storage.clone()), Durability::Os).is_ok() {
            for seed in 0..20 {
                assert_eq!(storage.reboot(seed).files(), storage.files(), "what was set aside is on the disk");
            }
            break;
        }
        crashes += 1;
        for seed in 0..20 {
            let rebooted = storage.reboot(seed);
            let (_, _, range) = open_and_read(Arc::new(rebooted), Durability::Os)
                .unwrap_or_else(|error| panic!("crash at {place}, seed {seed}: {error}"));
            assert_eq!(range, 1..1, "crash at {place}, seed {seed}");
        }
    }
    assert!(crashes > 8, "{crashes}");
}

#[test]
fn bytes_after_the_last_batch_are_cut_but_not_if_they_were_more_than_one_batch() {
    let files = journal(Durability::Sync, false);
    let name = files.last_key_value().expect("some").0;
    for (extra, cut) in [(1, true), (100_000, true), (256 * 1024, true), (256 * 1024 + 1, false)] {
        let mut longer = files.clone();
        longer.get_mut(name).expect("there").extend(vec![0; extra]);
        let found = open_and_read(Arc::new(SimulatedStorage::with_files(longer)), Durability::Sync);
        match found {
            Ok((_, opened, range)) => {
                assert!(cut && range == (1..END), "{extra}");
                assert_eq!(opened.cut.expect("reported").bytes, u64::try_from(extra).expect("small"));
            }
            Err(LogError::Damage { .. }) => assert!(!cut, "{extra}"),
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn anything_after_a_clean_end_is_damage() {
    let files = journal(Durability::Sync, true);
    let name = files.last_key_value().expect("some").0;
    let mut longer = files.clone();
    longer.get_mut(name).expect("there").push(0);
    let found = open_and_read(Arc::new(SimulatedStorage::with_files(longer)), Durability::Sync);
    assert!(matches!(found, Err(LogError::Damage { .. })));
}

#[test]
fn files_that_are_not_the_journals_are_named() {
    let mut files = journal(Durability::Sync, false);
    files.insert("LOCK".to_owned(), Vec::new());
    assert!(check(&files, Durability::Sync, END, "a lock file is no stranger"));
    files.insert("notes.txt".to_owned(), b"mine".to_vec());
    let storage = SimulatedStorage::with_files(files.clone());
    let error = open_and_read(Arc::new(storage.clone()), Durability::Sync).expect_err("foreign");
    assert!(matches!(&error, LogError::ForeignFiles(names) if *names == ["notes.txt"]), "{error}");
    assert!(error.to_string().contains("notes.txt"));
    assert_eq!(storage.files(), files);
}

#[test]
fn an_unfinished_segment_is_removed_and_an_empty_folder_is_a_first_start() {
    let mut files = Files::new();
    files.insert("00000000000000000001.journal.new".to_owned(), b"half".to_vec());
    let storage = SimulatedStorage::with_files(files);
    let (_, opened, range) = open_and_read(Arc::new(storage.clone()), Durability::Sync).expect("opens");
    assert_eq!((range, opened.last_written_at, opened.cut), (1..1, None, None));
    assert_eq!(storage.list().expect("lists"), ["00000000000000000001.journal"]);
}

#[test]
fn opening_tells_when_it_was_written_last() {
    let open = SimulatedStorage::with_files(journal(Durability::Sync, false));
    let (_, opened, _) = open_and_read(Arc::new(open), Durability::Sync).expect("opens");
    assert_eq!((opened.last_written_at.map(|at| at.0), opened.clean), (Some(1000 + END - 2), false));
    let closed = SimulatedStorage::with_files(journal(Durability::Sync, true));
    let (_, opened, _) = open_and_read(Arc::new(closed), Durability::Sync).expect("opens");
    assert_eq!((opened.last_written_at.map(|at| at.0), opened.clean), (Some(9_999), true));
}
