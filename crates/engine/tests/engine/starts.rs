//! Starts that are refused change nothing, and starts that go on report what they are based on.

use std::cell::Cell;
use std::collections::BTreeMap;

use stockade_engine::background::snapshots::SnapshotPolicy;
use stockade_engine::lifecycle::verify::verify;
use stockade_simulation::prelude::*;

fn hold(engine: &Engine, n: u64, now: Timestamp) {
    let answer = engine.ask(&reserve(hold_id(n), "d", "ada", &[("A", 1)]), now);
    engine.journal().ticket(answer.durable_after).wait().expect("durable");
}

/// Changes a byte in the middle of the newest snapshot.
fn damage_newest(world: &mut World) {
    let mut files = world.snapshots.files();
    let newest = files.iter_mut().rfind(|(name, _)| name.ends_with(".snapshot")).expect("a snapshot").1;
    let middle = newest.len() / 2;
    newest[middle] ^= 1;
    world.snapshots = SimulatedStorage::with_files(files);
}

#[test]
fn a_start_that_the_clock_forbids_is_forbidden_again_and_changes_nothing() {
    let mut world = World::new();
    let (engine, _) = world.start();
    create(&engine, definition("d", &[("A", 5)], &[]), world.now);
    engine.stop(world.now.plus(Millis::from_secs(3_600)));
    let files = world.journal.files();
    for time in 0..2 {
        let error = world.try_start().expect_err("the wall clock is an hour behind the stop");
        assert!(matches!(error, RecoverError::Clock { .. }), "time {time}: {error}");
        assert_eq!(world.journal.files(), files, "time {time}");
    }
    world.now = world.now.plus(Millis::from_secs(3_600));
    assert!(world.start().1.clean, "the stop in order is still known");
}

#[test]
fn a_snapshot_of_another_history_is_not_used() {
    let mine = World::new();
    let mut other = World::new();
    other.root = mine.root.clone();
    for (world, units) in [(&mine, 5), (&other, 50)] {
        let (engine, _) = world.start();
        create(&engine, definition("d", &[("A", units)], &[]), world.now);
        hold(&engine, 1, world.now);
        engine.snapshot(&world.snapshots, world.now).expect("a snapshot of all there is");
        engine.journal().close(world.now).expect("a clean stop");
    }
    assert_eq!(mine.snapshots.files().keys().next(), other.snapshots.files().keys().next(), "at one place");
    let digest = mine.start().0.inventory().digest();
    let mixed = World { snapshots: other.snapshots.clone(), ..World::new() };
    let mixed = World { root: mine.root.clone(), journal: mine.journal.clone(), ..mixed };
    let verified = verify_folder(&mixed.folder()).expect("readable");
    assert!(verified.findings.iter().any(|finding| finding.contains("another journal")), "{verified:?}");
    let (engine, report) = mixed.start();
    assert_eq!((report.snapshot, report.skipped.len()), (None, 1), "{report:?}");
    assert!(report.skipped[0].contains("another journal"), "{report:?}");
    assert_eq!(engine.inventory().digest(), digest);
}

#[test]
fn a_damaged_snapshot_is_none_of_the_kept() {
    let mut world = World::new();
    world.options.log.segment_bytes = 300;
    let (engine, _) = world.start();
    create(&engine, definition("d", &[("A", 9)], &[]), world.now);
    for n in 0..3 {
        hold(&engine, n, world.now);
        engine.snapshot(&world.snapshots, world.now).expect("a snapshot");
    }
    drop(engine);
    damage_newest(&mut world);
    let (engine, report) = world.start();
    let aside = "00000000000000000005.snapshot.bad";
    assert_eq!((report.snapshot, report.set_aside.as_slice()), (Some(Lsn(4)), [aside.to_owned()].as_slice()));
    hold(&engine, 3, world.now);
    engine.snapshot(&world.snapshots, world.now).expect("a snapshot");
    let live = engine.inventory().digest();
    drop(engine);
    damage_newest(&mut world);
    let (engine, report) = world.start();
    assert_eq!(report.snapshot, Some(Lsn(4)), "the good one was kept, and its journal: {report:?}");
    assert_eq!(engine.inventory().digest(), live);
    drop(engine);
    let verified = verify_folder(&world.folder()).expect("readable");
    assert!(verified.findings.is_empty() && verified.notes.join(" ").contains(aside), "{verified:?}");
}

#[test]
fn the_grace_begins_when_the_replay_has_ended() {
    let world = World::new();
    let (engine, _) = world.start();
    create(&engine, definition("d", &[("A", 5)], &[]), world.now);
    hold(&engine, 1, world.now);
    drop(engine);
    let readings = Cell::new(0_u64);
    let replay = Millis::from_secs(280);
    let wall = || {
        readings.set(readings.get() + 1);
        if readings.get() == 1 { START } else { START.plus(replay) }
    };
    let recovered = recover(&world.folder(), &world.options, &wall).expect("an engine");
    assert_eq!(recovered.now, START.plus(replay));
    assert_eq!(recovered.report.grace_until, Some(START.plus(replay).plus(world.options.outage_grace)));
}

/// A world whose journal has lost two records that a snapshot has.
fn journal_put_back(durability: Durability) -> World {
    let mut world = World::new();
    world.options.log.durability = durability;
    let (engine, _) = world.start();
    create(&engine, definition("d", &[("A", 5)], &[]), world.now);
    hold(&engine, 1, world.now);
    let files = world.journal.files();
    hold(&engine, 2, world.now);
    hold(&engine, 3, world.now);
    engine.snapshot(&world.snapshots, world.now).expect("a snapshot");
    drop(engine);
    world.journal = SimulatedStorage::with_files(files);
    world
}

#[test]
fn a_journal_that_ends_before_a_snapshot_is_refused_by_the_records_that_are_missing() {
    let world = journal_put_back(Durability::Sync);
    let before = (world.journal.files(), world.snapshots.files());
    for _ in 0..2 {
        let error = world.try_start().expect_err("acknowledged records are gone");
        assert!(matches!(error, RecoverError::Behind { upto: Lsn(5), next: Lsn(4), .. }), "{error}");
        assert!(error.to_string().contains("records 4 to 5 are missing"), "{error}");
        assert_eq!((world.journal.files(), world.snapshots.files()), before);
    }
    let verified = verify_folder(&world.folder()).expect("readable");
    assert!(verified.findings.iter().any(|finding| finding.contains("4 to 5 are missing")), "{verified:?}");
    let emptied = World { journal: SimulatedStorage::default(), ..world };
    let error = emptied.try_start().expect_err("no journal at all");
    assert!(matches!(error, RecoverError::Behind { next: Lsn(1), .. }), "{error}");
}

#[test]
fn with_os_durability_such_a_snapshot_is_set_aside_and_told() {
    let world = journal_put_back(Durability::Os);
    let (engine, report) = world.start();
    assert_eq!((report.snapshot, report.last, report.set_aside.len()), (None, Lsn(3), 1), "{report:?}");
    assert!(report.skipped[0].contains("4 to 5 are missing"), "{report:?}");
    assert_eq!(engine.inventory().holds.counts()[0], 1);
}

#[test]
fn a_process_that_ends_again_and_again_comes_to_its_snapshot() {
    let mut world = World::new();
    let every = Millis::from_secs(300);
    let policy = SnapshotPolicy { every, bytes: 1_500 };
    let (engine, _) = world.start();
    create(&engine, definition("d", &[("A", 100)], &[]), world.now);
    let mut written = engine.journal().written();
    drop(engine);
    let mut due = None;
    for n in 0..20 {
        world.now = START.plus(Millis(n));
        let recovered = world.try_start().expect("an engine");
        let (last, journal) = (recovered.last_snapshot, recovered.engine.journal());
        assert_eq!((last.at, last.before), (START, written), "start {n}");
        assert!(policy.is_due(&last, START.plus(every), journal.appended(), 0), "by time");
        if policy.is_due(&last, world.now, journal.appended(), journal.written()) {
            due = Some(n);
            break;
        }
        hold(&recovered.engine, n, world.now);
        written += journal.written();
    }
    assert!(due.is_some_and(|starts| starts > 2), "by bytes: {due:?}");
}

#[test]
fn a_start_knows_when_the_last_snapshot_was_taken() {
    let mut world = World::new();
    let (engine, _) = world.start();
    assert_eq!(engine.readings().snapshot.last_success, None);
    create(&engine, definition("d", &[("A", 5)], &[]), world.now);
    let taken = engine.snapshot(&world.snapshots, world.now).expect("a snapshot");
    drop(engine);
    world.now = START.plus(Millis(9_000));
    let recovered = world.try_start().expect("an engine");
    assert_eq!(recovered.engine.readings().snapshot.last_success, Some(START));
    let last = recovered.last_snapshot;
    assert_eq!((last.at, last.from, last.bytes, last.before), (START, taken.from, taken.bytes, 0));
}

fn contents(folder: &std::path::Path) -> BTreeMap<String, bool> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    entries.map(|entry| (entry.path().display().to_string(), entry.path().is_dir())).collect()
}

#[test]
fn a_foreign_folder_is_left_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("letter"), "dear").expect("a file");
    let before = contents(folder.path());
    let error = DataFolder::open(folder.path()).expect_err("not a data folder");
    assert!(matches!(error, FolderError::Foreign { .. }), "{error}");
    assert_eq!(contents(folder.path()), before);
    std::fs::remove_file(folder.path().join("letter")).expect("removed");
    std::fs::create_dir(folder.path().join("journal")).expect("a folder");
    std::fs::write(folder.path().join("journal/00000000000000000001.journal"), "x").expect("a file");
    let before = contents(folder.path());
    let error = DataFolder::open(folder.path()).expect_err("its key is gone");
    assert!(error.to_string().contains("restore that file"), "{error}");
    assert_eq!(contents(folder.path()), before);
    std::fs::rename(folder.path().join("journal"), folder.path().join("kept")).expect("renamed");
    let before = contents(folder.path());
    let error = DataFolder::open(folder.path()).expect_err("so are those of what was kept");
    assert!(error.to_string().contains("kept segments") && error.to_string().contains("restore that file"), "{error}");
    assert_eq!(contents(folder.path()), before);
}

#[test]
fn a_look_at_a_folder_that_is_served_says_so() {
    let place = tempfile::tempdir().expect("a folder");
    let folder = DataFolder::open(place.path()).expect("a new folder");
    let recovered = recover(&folder, &World::new().options, &|| START).expect("an engine");
    let verified = verify(place.path()).expect("readable");
    assert!(verified.notes[0].contains("serves this folder"), "{verified:?}");
    drop(recovered);
    drop(folder);
    let verified = verify(place.path()).expect("readable");
    assert!(verified.findings.is_empty() && !verified.notes.join(" ").contains("serves"), "{verified:?}");
}
