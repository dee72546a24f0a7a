//! The power goes at every operation of the disk: what was acknowledged is there, and what is there is a prefix of what
//! was done.
//!
//! One scripted history is played once to learn the state after each step. Then it is played again and again, with a
//! crash at each operation of journal and snapshots, and started again on what the disk kept: the state must be the one
//! after some step that is not before the last acknowledged one. Starting checks that every sum holds.

use stockade::engine::Engine;
use stockade::storage::SimulatedStorage;
use stockade::time::Millis;

use crate::common::{START, World, claim, create, definition, extend, hold_id, release, reserve, settle};

/// Seeds of what a crash leaves of unsynced writes.
const SEEDS: u64 = 3;

const STEPS: u64 = 30;

/// One step; says whether it was acknowledged.
fn step(engine: &Engine, world: &mut World, step: u64) -> bool {
    world.now = START.plus(Millis(step * 400));
    let (hold, now) = (hold_id(step), world.now);
    let before = |back: u64| hold_id(step.saturating_sub(back));
    let answer = match step % 10 {
        0 if step == 0 => {
            let items = [("A", 30), ("B", 40)];
            let mut drop = definition("d", &items, &[("nine", stockade::definition::Scope::Drop, 9)]);
            drop.hold_ttl = Millis(3_000);
            let command = stockade::engine::command::CreateDrop { definition: drop, validate_only: false };
            return engine.create_drop(&command, now).is_ok_and(|(_, ticket)| ticket.wait().is_ok());
        }
        0 | 1 | 3 => settle(|| engine.reserve(&reserve(hold, "d", "ada", &[("A", 1)]), now)),
        2 | 4 => {
            let customer = format!("customer-{step}");
            settle(|| engine.reserve(&reserve(hold, "d", &customer, &[("A", 1), ("B", 2)]), now))
        }
        5 => settle(|| engine.claim(&claim(before(2), "order"), now)),
        6 => settle(|| engine.release(&release(before(2), &[("B", 1)]), now)),
        7 => settle(|| engine.extend(&extend(before(3), None), now)),
        8 => return engine.sweep(now).is_ok() && engine.journal().barrier().wait().is_ok(),
        _ => return engine.snapshot(&world.snapshots, now).is_ok(),
    };
    answer.is_ok_and(|answer| answer.ticket.wait().is_ok())
}

/// The state after each step of an undisturbed run, and how many operations each disk saw.
fn undisturbed(root: &SimulatedStorage) -> (Vec<[u8; 32]>, u64, u64) {
    let mut world = world(root);
    let (engine, _) = world.start();
    let mut states = vec![engine.inventory().digest()];
    for n in 0..STEPS {
        assert!(step(&engine, &mut world, n), "step {n} of an undisturbed run");
        states.push(engine.inventory().digest());
    }
    (states, world.journal.operations(), world.snapshots.operations())
}

/// A machine whose data folder has been made: its key makes states comparable.
fn world(root: &SimulatedStorage) -> World {
    let mut world = World::new();
    world.root = SimulatedStorage::with_files(root.files());
    world.options.outage_grace = Millis(0);
    world.options.log.segment_bytes = 700;
    world
}

/// Plays until the crash; says how many steps were acknowledged.
fn play(world: &mut World) -> u64 {
    let options = stockade::engine::recover::StartOptions { wall: START, ..world.options };
    let Ok(started) = stockade::engine::recover::recover(&world.folder(), &options) else { return 0 };
    for n in 0..STEPS {
        if !step(&started.engine, world, n) {
            return n;
        }
    }
    STEPS
}

fn crash_everywhere(operations: u64, crash_at: impl Fn(&World, u64)) {
    let made = World::new();
    made.folder();
    let (states, ..) = undisturbed(&made.root);
    for place in 0..operations {
        for seed in 0..SEEDS {
            let mut world = world(&made.root);
            crash_at(&world, place);
            let acknowledged = play(&mut world);
            world.journal.crash();
            world.snapshots.crash();
            world.lose_power(seed * 1_000 + place);
            // Started with a wall clock that stands at the journal's end: no time passes, so no hold needs more of it.
            world.now = START;
            world.options.accept_clock = true;
            let (engine, _) = world.start();
            let state = engine.inventory().digest();
            let steps = states.iter().rposition(|known| *known == state);
            let steps = steps.unwrap_or_else(|| panic!("crash at {place}, seed {seed}: a state that never was"));
            let least = usize::try_from(acknowledged).expect("small");
            assert!(steps >= least, "crash at {place}, seed {seed}: step {least} was acknowledged, {steps} survived");
            assert_eq!(engine.conservation_error(), 0, "crash at {place}, seed {seed}");
        }
    }
}

#[test]
fn a_crash_at_any_operation_of_the_journal_loses_nothing_acknowledged() {
    let made = World::new();
    made.folder();
    let (_, journal, _) = undisturbed(&made.root);
    assert!(journal > 60, "{journal} operations");
    crash_everywhere(journal, |world, place| world.journal.crash_at(place));
}

#[test]
fn a_crash_at_any_operation_of_a_snapshot_loses_nothing_acknowledged() {
    let made = World::new();
    made.folder();
    let (_, _, snapshots) = undisturbed(&made.root);
    assert!(snapshots > 15, "{snapshots} operations");
    crash_everywhere(snapshots, |world, place| world.snapshots.crash_at(place));
}

#[test]
fn a_damaged_newest_snapshot_falls_back_to_the_one_before() {
    let mut world = World::new();
    let (engine, _) = world.start();
    create(&engine, definition("d", &[("A", 5)], &[]), world.now);
    for n in 0..3 {
        settle(|| engine.reserve(&reserve(hold_id(n), "d", "ada", &[("A", 1)]), world.now)).expect("an answer");
        engine.snapshot(&world.snapshots, world.now).expect("a snapshot");
    }
    let live = engine.inventory().digest();
    engine.journal().close(world.now).expect("a clean stop");
    drop(engine);
    let mut files = world.snapshots.files();
    let newest = files.values_mut().next_back().expect("a snapshot");
    let middle = newest.len() / 2;
    newest[middle] ^= 1;
    world.snapshots = SimulatedStorage::with_files(files);
    let (engine, report) = world.start();
    assert_eq!(report.skipped.len(), 1, "{report:?}");
    assert!(report.skipped[0].contains("damaged"), "{report:?}");
    assert_eq!(engine.inventory().digest(), live);
}
