//! Reading from kept segments on into the journal, while they are moved, dropped, lost and damaged.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Waker};

use stockade_types::record::{Record, Restart};
use stockade_types::time::Millis;

use super::*;
use crate::files::file_log::FileLogOptions;
use crate::files::kept::{KeepPolicy, KeptSegments};
use crate::files::recover::ScannedJournal;
use crate::log::batch::{BatchHash, BatchHead, SealedBatch};
use crate::log::segment::{Durability, Trailer, parse_kept_name};
use crate::storage::simulated::StorageOperation;
use crate::storage::{SimulatedStorage, Storage as _};

const KEPT: &str = "kept/";
const ALL: KeepPolicy = KeepPolicy { age: Millis(u64::MAX), bytes: u64::MAX };
/// Most bytes of a segment: six batches of one record.
const SEGMENT: u64 = 700;

/// A journal of batches with one record each, the `n`-th written at `n`, of which everything is kept.
struct Shop {
    storage: SimulatedStorage,
    kept: SimulatedStorage,
    log: Arc<FileLog>,
    history: History,
    next: Lsn,
    chain: BatchHash,
    term: u64,
}

impl Shop {
    fn open(storage: &SimulatedStorage, durability: Durability, policy: KeepPolicy) -> Result<Self, LogError> {
        let (storage, kept) = (storage.clone(), storage.beside(KEPT));
        let options = FileLogOptions { durability, segment_bytes: SEGMENT };
        let found = ScannedJournal::scan(Arc::new(storage.clone()))?;
        let segments = KeptSegments::new(Arc::new(kept.clone()), policy);
        let (log, opened) = FileLog::serve_keeping(found, options, Some(segments))?;
        let log = Arc::new(log);
        let history = History::new(JournalName::from_bytes([7; 8]), Arc::clone(&log));
        let (next, chain, term) = (opened.next, opened.chain, opened.term);
        Ok(Self { storage, kept, log, history, next, chain, term })
    }

    fn new(policy: KeepPolicy) -> Self {
        Self::open(&SimulatedStorage::new(), Durability::Sync, policy).expect("opens")
    }

    /// A restart with what the disk has.
    fn again(&self, policy: KeepPolicy) -> Self {
        Self::open(&self.storage.reopen(), Durability::Sync, policy).expect("opens")
    }

    fn fill(&mut self, batches: u64) -> Result<(), LogError> {
        for _ in 0..batches {
            let written_at = Timestamp(self.next.0);
            let head = BatchHead { term: self.term, first: self.next, count: 0, written_at, before: self.chain };
            let batch = SealedBatch::of_records(head, &[record(self.next)]);
            self.log.append(self.next, &batch)?;
            (self.next, self.chain) = (batch.head().next(), batch.hash());
        }
        Ok(())
    }

    /// LSNs of the records from one on, read in calls of about `bytes` bytes.
    fn read(&self, from: u64, bytes: usize) -> Result<Vec<u64>, HistoryError> {
        let (mut places, mut from) = (Vec::new(), Lsn(from));
        loop {
            let batches = self.history.batches(from, bytes)?;
            let Some(last) = batches.last() else { return Ok(places) };
            from = last.head.next();
            for batch in &batches {
                assert!(batch.iter().all(|(lsn, read)| *read == record(lsn)), "its own record");
                places.push(batch.head.first.0);
            }
        }
    }

    fn oldest(&self) -> Lsn {
        self.history.oldest().expect("kept")
    }

    fn kept_files(&self) -> Vec<String> {
        self.kept.list().expect("lists")
    }

    /// Overwrites a kept file.
    fn put(&self, name: &str, bytes: &[u8]) {
        self.kept.remove(name).expect("removes");
        self.kept.create(name).expect("creates").append(bytes).expect("writes");
    }
}

fn record(lsn: Lsn) -> Record {
    Record::Restart(Restart { stopped_at: Timestamp(lsn.0), grace_until: Timestamp(1 << 40), at: None })
}

fn total(files: &BTreeMap<String, Vec<u8>>) -> u64 {
    u64::try_from(files.values().map(Vec::len).sum::<usize>()).expect("small")
}

fn places(first: u64, last: u64) -> Vec<u64> {
    (first..=last).collect()
}

#[test]
fn what_is_trimmed_is_kept_and_read_on_into_the_journal_from_any_record() {
    let mut shop = Shop::new(ALL);
    shop.fill(100).expect("fills");
    let before = shop.storage.files();
    shop.log.trim(Lsn(50)).expect("trims");
    let (live, kept) = (shop.storage.files(), shop.kept.files());
    assert!(kept.len() > 5 && live.len() > 5 && live.len() + kept.len() == before.len());
    assert_eq!(shop.log.bytes(), total(&live));
    assert!(shop.log.oldest() > Lsn(40) && shop.oldest() == Lsn(1));
    let journal = Arc::clone(&shop.log);
    assert!(matches!(journal.read(Lsn(1)), Err(LogError::WrongPosition { .. })), "the journal itself begins later");
    let check = |shop: &Shop| {
        for from in 1..=101 {
            for bytes in [0, 500, 5_000, usize::MAX] {
                assert_eq!(shop.read(from, bytes).expect("reads"), places(from, 100), "from {from}, {bytes} at once");
            }
        }
        assert_eq!(shop.history.batches(Lsn(3), 0).expect("reads").len(), 1, "at least one");
        assert!(matches!(shop.history.batches(Lsn(102), 1), Err(HistoryError::Beyond { end: Lsn(100) })));
    };
    check(&shop);
    check(&shop.again(ALL));
}

#[test]
fn a_start_looks_at_nothing_that_is_kept() {
    let mut shop = Shop::new(ALL);
    shop.fill(100).expect("fills");
    shop.log.trim(Lsn(90)).expect("trims");
    assert!(shop.kept_files().len() > 10);
    let again = shop.again(ALL);
    assert_eq!(again.kept.looks(), 0);
    assert_eq!(again.history.forced(), Lsn(100));
    again.history.tend(Timestamp(100)).expect("tends");
    let listed = again.kept.looks();
    assert!(listed > 10, "the first look after it lists them");
    again.history.tend(Timestamp(100)).expect("tends");
    assert_eq!((again.kept.looks(), again.oldest()), (listed, Lsn(1)), "once");
}

#[test]
fn segments_go_by_age_and_by_bytes_the_oldest_first() {
    let mut shop = Shop::new(KeepPolicy { age: Millis(50), ..ALL });
    shop.fill(100).expect("fills");
    shop.log.trim(Lsn(90)).expect("trims");
    assert_eq!(shop.oldest(), Lsn(1), "by age only where the time is known");
    shop.history.tend(Timestamp(100)).expect("tends");
    let oldest = shop.oldest().0;
    assert!((46..=51).contains(&oldest), "the last batch of what went was written at 50 at the latest: {oldest}");
    assert_eq!(shop.read(oldest, 999).expect("reads"), places(oldest, 100));
    assert!(
        matches!(shop.read(oldest - 1, 1), Err(HistoryError::NotKept { oldest: reported }) if reported.0 == oldest)
    );
    let again = shop.again(KeepPolicy { bytes: 2_000, ..ALL });
    again.history.tend(Timestamp(100)).expect("tends");
    let bytes = total(&again.kept.files());
    assert!((1_200..=2_000).contains(&bytes), "{bytes}");
    assert!(again.oldest() > Lsn(oldest));
    let none = again.again(KeepPolicy::NOTHING);
    none.history.tend(Timestamp(100)).expect("tends");
    assert_eq!((none.kept_files().len(), none.oldest()), (0, none.log.oldest()));
}

#[test]
fn a_trim_alone_keeps_no_more_bytes_than_it_should_and_nothing_where_nothing_is_kept() {
    for policy in [KeepPolicy { bytes: 1_000, ..ALL }, KeepPolicy { age: Millis(0), ..ALL }, KeepPolicy::NOTHING] {
        let mut shop = Shop::new(policy);
        shop.fill(100).expect("fills");
        shop.log.trim(Lsn(90)).expect("trims");
        let bytes = total(&shop.kept.files());
        let most = if policy.age == Millis(0) { 0 } else { policy.bytes };
        assert!(bytes <= most, "{bytes} of {policy:?}");
        assert_eq!(shop.read(100, 1).expect("reads"), [100]);
    }
}

#[test]
fn while_the_disk_is_low_the_oldest_go_first_of_all() {
    let mut shop = Shop::new(ALL);
    shop.fill(100).expect("fills");
    shop.log.trim(Lsn(90)).expect("trims");
    let all = total(&shop.storage.files()) + total(&shop.kept.files());
    let before = shop.kept_files();
    shop.storage.limit(all + 512 * 1024 * 1024 - 1_000);
    shop.history.tend(Timestamp(0)).expect("tends");
    assert_eq!(shop.kept_files(), before[2..], "two segments are a thousand bytes");
    shop.storage.limit(0);
    let segments = KeptSegments::new(Arc::new(shop.kept.clone()), ALL);
    segments.drop_while_disk_is_low().expect("drops");
    assert_eq!(shop.kept_files(), [""; 0], "before a start, too");
}

#[test]
fn who_has_a_segment_open_reads_on_while_it_is_moved_and_dropped() {
    let mut shop = Shop::new(ALL);
    shop.fill(30).expect("fills");
    let open = |shop: &Shop| shop.history.open(Lsn(3)).expect("opens");
    let (mut before, until) = (open(&shop), shop.history.forced().next());
    shop.log.trim(Lsn(20)).expect("trims");
    let kept = open(&shop);
    shop.history.tend(Timestamp(0)).expect("tends");
    while shop.log.kept().expect("some").make_room() {}
    assert_eq!(shop.kept_files(), [""; 0]);
    for segment in [std::mem::replace(&mut before, kept), before] {
        let mut read = HistoryRead::new(&shop.history.marks, Lsn(3), until, 1_000);
        read.pass(segment).expect("reads");
        assert_eq!(read.into_batches().first().map(|batch| batch.head.first), Some(Lsn(3)));
    }
    assert!(matches!(shop.read(3, 1), Err(HistoryError::NotKept { .. })), "a read that comes now is refused");
}

#[test]
fn a_segment_that_was_moved_and_is_still_known_of_in_the_journal_is_found() {
    let mut shop = Shop::new(ALL);
    shop.fill(30).expect("fills");
    let (segment, next) = shop.log.segment_of(Lsn(3)).expect("there");
    let kept = shop.log.kept().expect("some");
    assert!(kept.take_in(&shop.storage, &segment, next.expect("not the newest")));
    assert_eq!(shop.log.oldest(), Lsn(1), "the log has not said so yet");
    assert_eq!(shop.read(1, 999).expect("reads"), places(1, 30));
}

#[test]
fn behind_a_gap_nothing_is_kept_and_a_start_does_not_mind() {
    let mut shop = Shop::new(ALL);
    shop.fill(60).expect("fills");
    shop.log.trim(Lsn(55)).expect("trims");
    let files = shop.kept_files();
    shop.kept.remove(&files[3]).expect("removed by hand");
    let (after, _, _) = parse_kept_name(&files[4]).expect("a segment");
    let gap = parse_kept_name(&files[3]).expect("a segment").0;
    let check = |shop: &Shop| {
        for from in [gap, Lsn(1), Lsn(after.0 - 1)] {
            assert!(matches!(shop.read(from.0, 1), Err(HistoryError::NotKept { oldest }) if oldest == after), "{from}");
        }
        assert_eq!(shop.read(after.0, 999).expect("reads"), places(after.0, 60));
        assert_eq!(shop.oldest(), after);
    };
    check(&shop);
    check(&shop.again(ALL));
}

#[test]
fn damage_in_what_is_kept_is_told_to_who_reads_it_and_to_nobody_else() {
    let mut shop = Shop::new(ALL);
    shop.fill(60).expect("fills");
    shop.log.trim(Lsn(55)).expect("trims");
    let files = shop.kept_files();
    let whole = shop.kept.read(&files[3]).expect("there");
    let (first, next, _) = parse_kept_name(&files[3]).expect("a segment");
    let other = shop.kept.read(&files[2]).expect("there");
    let mut spoilt: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    for (what, place) in [("head", 20), ("first batch", 100), ("last byte", whole.len() - 1)] {
        spoilt.entry(what).or_insert_with(|| whole.clone())[place] ^= 1;
    }
    spoilt.insert("cut in a batch", whole[..whole.len() - 5].to_vec());
    let last = shop.history.batches(Lsn(next.0 - 1), 0).expect("reads")[0].bytes;
    spoilt.insert("cut behind a batch", whole[..whole.len() - usize::try_from(last).expect("small")].to_vec());
    spoilt.insert("empty", Vec::new());
    spoilt.insert("another segment", other);
    for (what, bytes) in spoilt {
        shop.put(&files[3], &bytes);
        for from in [1, first.0] {
            let disk = SimulatedStorage::with_files(all_files(&shop));
            let again = Shop::open(&disk, Durability::Sync, ALL).expect("starts");
            assert_eq!(again.oldest(), Lsn(1), "{what}: nobody has met it");
            let before = again.history.batches(Lsn(from), usize::MAX);
            if from < first.0 {
                let before: Vec<u64> = before.expect(what).iter().map(|batch| batch.head.first.0).collect();
                // The damaged segment's valid records before the damage.
                assert!(before.starts_with(&places(from, first.0 - 1)), "{what}: {before:?}");
                assert!(before.len() < places(from, next.0 - 1).len() && before.is_sorted(), "{what}: {before:?}");
            } else if what == "last byte" || what.starts_with("cut") {
                assert!(!before.expect(what).is_empty(), "{what}");
            } else {
                assert!(matches!(before, Err(HistoryError::Damage(_))), "{what}: {before:?}");
            }
            assert_eq!(again.oldest(), next, "{what}: who goes on from there does not come to it again");
            assert!(again.history.keeps(next).expect("kept") && !again.history.keeps(first).expect("kept"));
            for before in [1, next.0 - 1] {
                let error = again.read(before, 1).expect_err(what);
                assert!(matches!(error, HistoryError::NotKept { oldest } if oldest == next), "{what}: {error:?}");
            }
            assert_eq!(again.read(next.0, 999).expect("reads"), places(next.0, 60), "{what}");
        }
    }
}

/// All files of the machine.
fn all_files(shop: &Shop) -> BTreeMap<String, Vec<u8>> {
    let kept = shop.kept.files().into_iter().map(|(name, bytes)| (format!("{KEPT}{name}"), bytes));
    shop.storage.files().into_iter().chain(kept).collect()
}

#[test]
fn a_segment_that_was_not_written_after_the_one_before_it_is_damage() {
    let mut shop = Shop::new(ALL);
    shop.fill(60).expect("fills");
    shop.log.trim(Lsn(55)).expect("trims");
    // Another journal, with records at the same LSNs.
    let mut other = Shop::new(ALL);
    other.term += 1;
    other.fill(60).expect("fills");
    other.log.trim(Lsn(55)).expect("trims");
    let files = shop.kept_files();
    shop.put(&files[3], &other.kept.read(&files[3]).expect("the same places"));
    let first = parse_kept_name(&files[3]).expect("a segment").0;
    let before = shop.history.batches(Lsn(1), usize::MAX).expect("what is sound");
    assert_eq!(before.last().map(|batch| batch.head.next()), Some(first), "no record of the other journal");
    assert!(matches!(shop.read(first.0, 1), Err(HistoryError::NotKept { .. })));
    let again = shop.again(ALL);
    assert!(matches!(again.read(first.0, usize::MAX), Err(HistoryError::NotKept { .. })), "nor is the one behind it");
    assert!(again.oldest() > parse_kept_name(&files[3]).expect("a segment").1, "which was met");
}

#[test]
fn damage_in_the_journal_itself_is_stepped_over_while_it_is_served() {
    for is_newest in [false, true] {
        let mut shop = Shop::new(ALL);
        shop.fill(if is_newest { 57 } else { 60 }).expect("fills");
        let damaged = if is_newest { shop.next.0 - 1 } else { 20 };
        let (segment, next) = shop.log.segment_of(Lsn(damaged)).expect("there");
        assert_eq!(next.is_none(), is_newest);
        shop.storage.rot(&segment.file.name, 100);
        assert!(matches!(shop.read(1, usize::MAX), Err(HistoryError::NotKept { .. })), "what is before it is read");
        let sound = next.unwrap_or(shop.next);
        assert_eq!(shop.oldest(), sound, "the segment behind it, or what comes next");
        shop.fill(30).expect("goes on");
        shop.log.trim(Lsn(70)).expect("trims");
        assert_eq!(shop.oldest(), sound);
        for bytes in [0, 500, usize::MAX] {
            assert_eq!(shop.read(sound.0, bytes).expect("reads"), places(sound.0, shop.next.0 - 1), "{bytes}");
        }
        assert!(matches!(shop.read(sound.0 - 1, 1), Err(HistoryError::NotKept { oldest }) if oldest == sound));
    }
}

#[test]
fn a_crash_at_each_step_of_a_trim_loses_nothing_that_is_kept() {
    let mut steps = 0;
    loop {
        let mut shop = Shop::new(ALL);
        shop.fill(30).expect("fills");
        let begins = shop.storage.operations();
        shop.storage.crash_at(begins + steps);
        let trimmed = shop.log.trim(Lsn(20));
        let crashed = shop.storage.crashed();
        assert_eq!(trimmed.is_err(), crashed);
        for seed in 0..40 {
            let disk = shop.storage.reboot(seed);
            let mut again = Shop::open(&disk, Durability::Sync, ALL).expect("opens");
            assert_eq!(again.read(1, 999).expect("reads"), places(1, 30), "step {steps}, seed {seed}");
            again.log.trim(Lsn(25)).expect("trims further");
            again.fill(5).expect("goes on");
            again.history.tend(Timestamp(0)).expect("tends");
            assert_eq!(again.read(1, 999).expect("reads"), places(1, 35), "step {steps}, seed {seed}");
            assert_eq!(again.again(ALL).read(1, 999).expect("reads"), places(1, 35));
        }
        if !crashed {
            break;
        }
        steps += 1;
    }
    assert!(steps >= 6, "two segments, three steps each");
}

fn is_ready(beyond: &mut Beyond) -> bool {
    Pin::new(beyond).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[test]
fn with_os_durability_nothing_is_read_that_a_loss_of_power_could_take() {
    let mut shop = Shop::open(&SimulatedStorage::new(), Durability::Os, ALL).expect("opens");
    shop.fill(3).expect("fills");
    let mut beyond = shop.history.beyond(Lsn(0));
    assert_eq!((shop.history.forced(), shop.read(1, 999).expect("reads")), (Lsn(0), vec![]));
    assert!(!is_ready(&mut beyond) && matches!(shop.read(3, 1), Err(HistoryError::Beyond { end: Lsn(0) })));
    shop.log.sync().expect("syncs");
    assert!(is_ready(&mut beyond));
    assert_eq!((shop.history.forced(), shop.read(1, 999).expect("reads")), (Lsn(3), places(1, 3)));
    shop.fill(3).expect("fills");
    assert_eq!(shop.read(1, 999).expect("reads"), places(1, 3));
    shop.fill(10).expect("fills");
    let forced = shop.history.forced();
    assert!(forced > Lsn(3) && forced < Lsn(16), "a segment that is complete is forced: {forced}");
    for seed in 0..50 {
        let again = Shop::open(&shop.storage.reboot(seed), Durability::Os, ALL).expect("opens");
        assert!(again.next > forced && again.history.forced() >= forced, "what was read has kept its place");
        assert_eq!(again.read(1, 999).expect("reads"), places(1, again.next.0 - 1), "what a start has found is forced");
    }
}

#[test]
fn who_waits_hears_of_the_end_and_who_follows_is_known() {
    let mut shop = Shop::new(ALL);
    let (first, second) = (shop.history.follow(), shop.history.follow());
    drop(first);
    assert!(shop.history.is_followed());
    drop(second);
    assert!(!shop.history.is_followed());
    shop.fill(2).expect("fills");
    let (mut there, mut ahead) = (shop.history.beyond(Lsn(1)), shop.history.beyond(Lsn(2)));
    assert!(is_ready(&mut there) && !is_ready(&mut ahead));
    let trailer = Trailer { term: shop.term, next: shop.next, closed_at: Timestamp(1), chain: shop.chain };
    shop.log.close(&trailer).expect("closes");
    assert!(ahead.wait().is_err(), "there will be none");
    assert_eq!(shop.read(1, 999).expect("reads"), places(1, 2), "what is there can still be read");
}

#[test]
fn who_reads_on_does_not_begin_at_the_segments_begin() {
    let mut shop = Shop::new(ALL);
    shop.fill(5).expect("fills");
    assert_eq!(shop.read(1, 150).expect("reads"), places(1, 5));
    let stopped = shop.history.start(Lsn(1), Lsn(6));
    assert_eq!(stopped.next, Lsn(6));
    assert!(stopped.offset > 68 && stopped.chain == Some(shop.chain));
    shop.fill(1).expect("fills");
    assert_eq!(shop.read(6, 150).expect("reads"), [6]);
}

mod trouble;
