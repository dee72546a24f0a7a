//! The part of the journal that is kept for readers, across snapshots, trims and starts.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use stockade_journal::{BatchHash, History, HistoryError};
use stockade_simulation::prelude::*;

const ALL: KeepPolicy = KeepPolicy { age: Millis(u64::MAX), bytes: u64::MAX };
/// Bytes of a segment: a few holds.
const SEGMENT: u64 = 2_000;

fn world(durability: Durability) -> World {
    let mut world = World::new();
    (world.options.log.segment_bytes, world.options.log.durability) = (SEGMENT, durability);
    world
}

fn kept(world: &World) -> SimulatedStorage {
    world.journal.beside("kept/")
}

fn folder(world: &World) -> DataFolder {
    world.folder().keeping_in(Arc::new(kept(world)), ALL)
}

fn start(world: &World) -> (Engine, Arc<History>) {
    let engine = recover(&folder(world), &world.options, &|| world.now).expect("an engine").engine;
    let history = engine.history().expect("it keeps something");
    (engine, history)
}

/// First LSNs and hashes of all batches from one LSN on.
fn read(history: &History, mut from: Lsn) -> Vec<(Lsn, BatchHash)> {
    let mut read = Vec::new();
    loop {
        let batches = history.batches(from, 1_000).expect("readable");
        let Some(last) = batches.last() else { return read };
        from = last.head.next();
        read.extend(batches.iter().map(|batch| (batch.head.first, batch.hash)));
    }
}

fn reserve_some(engine: &Engine, world: &World, ids: std::ops::Range<u64>) {
    for id in ids {
        let command = reserve(hold_id(id), "d", &format!("customer-{id}"), &[("A", 1)]);
        let answer = engine.ask(&command, world.now);
        engine.journal().ticket(answer.durable_after).wait().expect("durable");
    }
}

#[test]
fn what_snapshots_have_trimmed_is_read_on_after_a_start_that_does_not_look_at_it() {
    let mut world = world(Durability::Sync);
    let (engine, history) = start(&world);
    create(&engine, definition("d", &[("A", 1_000)], &[]), world.now);
    for round in 0..4 {
        reserve_some(&engine, &world, 50 * round..50 * (round + 1));
        engine.snapshot(&world.snapshots, world.now).expect("a snapshot");
    }
    assert!(kept(&world).list().expect("lists").len() > 5);
    let before = read(&history, Lsn(1));
    assert_eq!(before.first().map(|(first, _)| *first), Some(Lsn(1)));
    assert!(history.name().to_string().len() == 16 && history.forced() == engine.journal().durable());
    let name = history.name();
    drop((engine, history));
    world.journal = world.journal.reopen();
    let (engine, history) = start(&world);
    assert_eq!(kept(&world).looks(), 0, "a start with a week of history takes no longer");
    reserve_some(&engine, &world, 200..201);
    let after = read(&history, Lsn(1));
    assert!(after.len() > before.len() && after.starts_with(&before));
    assert_eq!((history.name(), history.oldest().expect("kept")), (name, Lsn(1)));
}

#[test]
fn a_start_is_not_refused_for_what_is_kept() {
    let mut world = world(Durability::Sync);
    let (engine, history) = start(&world);
    create(&engine, definition("d", &[("A", 1_000)], &[]), world.now);
    for round in 0..3 {
        reserve_some(&engine, &world, 50 * round..50 * (round + 1));
        engine.snapshot(&world.snapshots, world.now).expect("a snapshot");
    }
    drop((engine, history));
    world.journal = world.journal.reopen();
    let kept = kept(&world);
    for (place, name) in kept.list().expect("lists").into_iter().enumerate() {
        kept.remove(&name).expect("removed");
        if place % 2 == 0 {
            kept.create(&name).expect("made").append(b"rotten").expect("written");
        }
    }
    kept.create("letter").expect("made").append(b"dear").expect("written");
    let (_engine, history) = start(&world);
    assert!(matches!(history.batches(Lsn(1), 1), Err(HistoryError::NotKept { oldest }) if oldest > Lsn(1)));
    history.tend(world.now).expect("tends");
    assert_eq!(kept.read("letter").expect("there"), b"dear", "it is not the journal's");
}

#[test]
fn with_os_durability_what_was_read_is_never_another_fact_after_the_power_was_gone() {
    for seed in 0..40 {
        let mut world = world(Durability::Os);
        let (engine, history) = start(&world);
        create(&engine, definition("d", &[("A", 1_000)], &[]), world.now);
        reserve_some(&engine, &world, 0..10);
        let _following = history.follow();
        engine.journal().force().expect("forced");
        reserve_some(&engine, &world, 10..20);
        let seen = read(&history, Lsn(1));
        assert!(history.forced() < engine.journal().durable(), "the last are not forced yet");
        drop((engine, history));
        world.lose_power(seed);
        let (engine, history) = start(&world);
        reserve_some(&engine, &world, 20..30);
        engine.journal().force().expect("forced");
        assert!(read(&history, Lsn(1)).starts_with(&seen), "seed {seed}");
    }
}

#[test]
fn on_a_disk_segments_are_moved_for_their_owner_alone_and_read_after_a_start() {
    let place = tempfile::tempdir().expect("a folder");
    let world = world(Durability::Sync);
    let open = || {
        let folder = DataFolder::open(place.path()).expect("a data folder").keeping(ALL);
        let engine = recover(&folder, &world.options, &|| world.now).expect("an engine").engine;
        (folder, engine)
    };
    let (folder, engine) = open();
    create(&engine, definition("d", &[("A", 1_000)], &[]), world.now);
    for round in 0..3 {
        reserve_some(&engine, &world, 50 * round..50 * (round + 1));
        engine.snapshot(folder.snapshots.as_ref(), world.now).expect("a snapshot");
    }
    let before = read(&engine.history().expect("a history"), Lsn(1));
    drop((folder, engine));
    let kept = place.path().join("kept");
    let files: Vec<_> = std::fs::read_dir(&kept).expect("a folder").map(|file| file.expect("a file").path()).collect();
    assert!(files.len() > 3);
    for (path, mode) in files.iter().map(|file| (file, 0o600)).chain([(&kept, 0o700)]) {
        assert_eq!(std::fs::metadata(path).expect("there").permissions().mode() & 0o777, mode, "{}", path.display());
    }
    std::fs::set_permissions(&kept, std::fs::Permissions::from_mode(0o755)).expect("rights");
    let (folder, engine) = open();
    assert_eq!(std::fs::metadata(&kept).expect("there").permissions().mode() & 0o777, 0o700);
    let history = engine.history().expect("a history");
    assert!(read(&history, Lsn(1)).starts_with(&before));
    std::fs::remove_dir_all(&kept).expect("removed by hand");
    assert!(matches!(history.batches(Lsn(1), 1), Err(HistoryError::NotKept { oldest }) if oldest > Lsn(1)));
    history.tend(world.now).expect("it is not missed");
    for round in 3..6 {
        reserve_some(&engine, &world, 50 * round..50 * (round + 1));
        engine.snapshot(folder.snapshots.as_ref(), world.now).expect("a snapshot");
    }
    assert!(std::fs::read_dir(&kept).expect("made again").count() > 3);
    drop((folder, engine, history));
    std::fs::remove_dir_all(&kept).expect("removed by hand");
    drop(open());
    assert!(kept.is_dir(), "a start makes it again");
}

#[test]
fn without_a_folder_for_it_the_history_is_what_the_journal_has() {
    let world = world(Durability::Sync);
    let recovered = recover(&world.folder(), &world.options, &|| world.now).expect("an engine");
    let history = recovered.engine.history().expect("a journal that can be read");
    create(&recovered.engine, definition("d", &[("A", 1_000)], &[]), world.now);
    for round in 0..3 {
        reserve_some(&recovered.engine, &world, 50 * round..50 * (round + 1));
        recovered.engine.snapshot(&world.snapshots, world.now).expect("a snapshot");
    }
    assert!(
        history.oldest().expect("kept") > Lsn(1) && kept(&world).list().expect("lists").is_empty(),
        "no folder for it"
    );
    assert!(!read(&history, history.oldest().expect("kept")).is_empty());
}
