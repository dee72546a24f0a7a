//! Crashes at every operation of the disk: what was acknowledged survives, and what survives is a prefix of what was
//! done.
//!
//! One scripted history runs once to learn the state after each record. Then it runs again with a crash at each
//! operation of journal and snapshots, and starts on what the disk kept. That state must be the one after some record
//! that is not before the last acknowledged one. The start checks that every sum holds.

use std::sync::Arc;

use stockade_engine::command::Target;
use stockade_engine::operators::facts::ReportedFact;
use stockade_simulation::prelude::*;
use stockade_types::record::FactKind;

/// Seeds that choose which unsynced writes survive a crash.
const SEEDS: u64 = 3;

/// Steps while the drop is open, and with those long after its closing.
const OPEN: u64 = 30;
const STEPS: u64 = OPEN + 9;

/// Runs one step. Returns whether it was acknowledged.
fn step(engine: &Engine, world: &mut World, step: u64) -> bool {
    world.now = START.plus(Millis(step * 400));
    if step >= OPEN {
        world.now = world.now.plus(Millis::from_secs(8 * 24 * 3600));
        return afterwards(engine, world, step);
    }
    let (hold, now) = (hold_id(step), world.now);
    let before = |back: u64| hold_id(step.saturating_sub(back));
    let answer = match step % 10 {
        _ if step == 11 || step == 21 => {
            let command = adjust("d", "A", step, StockChange::Delta(if step == 11 { 3 } else { -2 }));
            return durable(engine, engine.adjust_stock(&command, Context::anonymous(now))).is_ok();
        }
        // One hold supersedes another, served as far as the limit allows. A third supersedes that one, with less.
        // Another one that supersedes is claimed later.
        3 | 4 if step == 13 || step == 14 || step == 23 => {
            let customer = if step == 23 { "customer-22" } else { "customer-12" };
            let wanted: &[(&str, u32)] = if step == 14 { &[("B", 1)] } else { &[("A", 2), ("B", 30)] };
            let mut command = reserve(hold, "d", customer, wanted);
            (command.supersedes, command.allow_partial) = (Some(before(1)), step != 14);
            engine.try_ask(&command, now).inspect(|answer| assert!(matches!(answer.value, Outcome::Hold(_))))
        }
        // An order is cancelled and sent back, by facts that come twice, and then by a return.
        _ if step == 17 || step == 27 => return tell(engine, now, step),
        _ if step == 26 => {
            let target = Target { hold: hold_id(3), drop: None, customer: None };
            engine.try_ask(&Return { target, returned: Vec::new(), restock: true }, now)
        }
        _ if step == 18 || step == 28 => {
            let command = update(engine, "d", now, |wanted| {
                wanted.terms.hold_ttl = Millis(4_000 + step);
                if step == 18 {
                    wanted.items.extend(definition("d", &[("C", 5)], &[]).items);
                }
            });
            return durable(engine, engine.update_drop(&command, Context::anonymous(now))).is_ok();
        }
        0 if step == 0 => {
            let items = [("A", 30), ("B", 40)];
            let mut drop = definition("d", &items, &[("nine", Scope::Drop, 9)]);
            let card = Some("card".parse().expect("a kind"));
            drop.limits.push(Limit {
                identity_kind: card,
                max_units: Some(9),
                max_units_by_tier: [("gold".parse().expect("a tier"), 12)].into(),
                rolling: Some(Millis(5_000)),
                cooldown: Some(Millis(300)),
                ..Limit::new("cards".parse().expect("an id"), Scope::Shop)
            });
            drop.series = Some("winter".parse().expect("a series"));
            drop.terms.hold_ttl = Millis(3_000);
            let command = CreateDrop { definition: drop, validate_only: false };
            return durable(engine, engine.create_drop(&command, Context::anonymous(now))).is_ok();
        }
        0 | 1 | 3 => engine.try_ask(&reserve(hold, "d", "ada", &[("A", 1)]), now),
        2 | 4 => {
            let customer = format!("customer-{step}");
            // From then on there are three items.
            let also = if step > 18 { ("C", 1) } else { ("B", 2) };
            let mut command = with_card(reserve(hold, "d", &customer, &[("A", 1), also]), "4242");
            command.tiers = vec!["gold".parse().expect("a tier")];
            command.over_limits = (step == 12).then(|| "the buyer called".into());
            engine.try_ask(&command, now)
        }
        5 => engine.try_ask(&claim(before(2), "order"), now),
        6 => engine.try_ask(&release(before(2), &[("B", 1)]), now),
        7 => engine.try_ask(&extend(before(3), None), now),
        8 => return engine.sweep(now).is_ok() && engine.journal().barrier().wait().is_ok(),
        _ => return engine.snapshot(&world.snapshots, now).is_ok(),
    };
    durable(engine, answer.map_err(Decided::from)).is_ok()
}

/// Records facts of the drop's orders and of demand: some of them again, one of this step alone.
fn tell(engine: &Engine, now: Timestamp, step: u64) -> bool {
    let fact = |(place, kind): (u8, FactKind)| ReportedFact {
        index: place.into(),
        id: format!("{kind:?}-{place}").parse().expect("an id"),
        kind,
        time: START,
        shop: "default".parse().expect("a shop"),
        drop: Some(drop_id("d")),
        order: Some("order".parse().expect("a ref")),
        sku: None,
        zone: Some("north".parse().expect("a zone")),
        customer: Some("ada".parse().expect("an id")),
        value: 1,
    };
    let place = u8::try_from(step).expect("small");
    let facts = FactKind::ALL.map(|kind| fact((0, kind))).into_iter().chain([fact((place, FactKind::View))]);
    durable(engine, engine.record_facts(&facts.collect::<Vec<_>>(), Context::anonymous(now))).is_ok()
}

/// Closes and archives the drop, and opens another one of its shop.
fn afterwards(engine: &Engine, world: &World, step: u64) -> bool {
    let now = world.now;
    match step - OPEN {
        0 => {
            // Closed a week earlier, by the clock of the steps before.
            let closed = START.plus(Millis(OPEN * 400));
            durable(engine, engine.steer(&drop_id("d"), Steer::Close, Context::anonymous(closed))).is_ok()
        }
        1 => engine.sweep(now).is_ok() && engine.journal().barrier().wait().is_ok(),
        2 => engine.archive(now).is_ok() && engine.journal().barrier().wait().is_ok(),
        4 => {
            let command = CreateDrop { definition: definition("e", &[("A", 9)], &[]), validate_only: false };
            durable(engine, engine.create_drop(&command, Context::anonymous(now))).is_ok()
        }
        5 => {
            let answer = engine.try_ask(&reserve(hold_id(step), "e", "ada", &[("A", 1)]), now);
            durable(engine, answer.map_err(Decided::from)).is_ok()
        }
        7 => tell(engine, now, step),
        _ => engine.snapshot(&world.snapshots, now).is_ok(),
    }
}

/// The results of an undisturbed run.
struct Undisturbed {
    /// The state after each record of the journal; the first is before all of them.
    states: Vec<[u8; 32]>,
    /// The journal's last LSN after each step; the first is before all of them.
    places: Vec<Lsn>,
    /// Number of operations of each disk.
    journal: u64,
    snapshots: u64,
}

impl Undisturbed {
    fn run(root: &SimulatedStorage) -> Self {
        let mut world = world(root);
        world.options.log.segment_bytes = 1 << 20; // One segment: nothing is trimmed.
        let (engine, _) = world.start();
        let mut places = vec![Lsn(0)];
        for n in 0..STEPS {
            assert!(step(&engine, &mut world, n), "step {n} of an undisturbed run");
            places.push(engine.journal().appended());
        }
        engine.journal().barrier().wait().expect("durable");
        drop(engine);
        let states = states(&world);
        let mut counted = self::world(root);
        play(&mut counted);
        Self { states, places, journal: counted.journal.operations(), snapshots: counted.snapshots.operations() }
    }
}

/// A machine with this data folder, whose key makes states comparable.
fn world(root: &SimulatedStorage) -> World {
    let mut world = World::new();
    world.root = SimulatedStorage::with_files(root.files());
    world.options.outage_grace = Millis(0);
    world.options.log.segment_bytes = 700;
    world
}

/// Runs until the crash. Returns how many steps were acknowledged.
fn play(world: &mut World) -> u64 {
    world.now = START;
    let Ok(started) = world.try_start() else { return 0 };
    for n in 0..STEPS {
        if !step(&started.engine, world, n) {
            return n;
        }
    }
    STEPS
}

fn crash_everywhere(operations: impl Fn(&Undisturbed) -> u64, crash_at: impl Fn(&World, u64)) {
    let made = World::new();
    made.folder();
    let undisturbed = Undisturbed::run(&made.root);
    let operations = operations(&undisturbed);
    assert!(operations > 15, "only {operations} operations");
    for place in 0..operations {
        for seed in 0..SEEDS {
            let mut world = world(&made.root);
            crash_at(&world, place);
            let acknowledged = play(&mut world);
            world.journal.crash();
            world.snapshots.crash();
            world.lose_power(seed * 1_000 + place);
            // The wall clock is at the journal's end: no time has passed, so no hold needs grace.
            world.now = START;
            world.options.accept_clock = true;
            let verified = verify_folder(&world.folder()).expect("a readable folder");
            assert!(verified.findings.is_empty(), "crash at {place}, seed {seed}: {:?}", verified.findings);
            let (engine, _) = world.start();
            let state = engine.inventory().digest();
            let survived = undisturbed.states.iter().rposition(|known| *known == state);
            let survived = survived.unwrap_or_else(|| panic!("crash at {place}, seed {seed}: a state that never was"));
            let least = undisturbed.places[usize::try_from(acknowledged).expect("small")];
            assert!(
                u64::try_from(survived).expect("small") >= least.0,
                "crash at {place}, seed {seed}: {least} was acknowledged, {survived} survived"
            );
            assert_eq!(engine.conservation_error(), 0, "crash at {place}, seed {seed}");
        }
    }
}

#[test]
fn a_follower_has_the_state_of_each_place_from_whichever_place_it_follows() {
    let mut world = World::new();
    world.options.outage_grace = Millis(60_000);
    let (mut engine, _) = world.start();
    for n in 0..STEPS {
        assert!(step(&engine, &mut world, n), "step {n}");
        // An outage that extends some holds by grace.
        if n == 16 {
            engine.stop(world.now);
            engine = world.start().0;
        }
    }
    engine.journal().close(world.now).expect("a clean stop");
    let live = engine.inventory().digest();
    let (records, states) = (records(&world), states(&world));
    assert_eq!(states.last(), Some(&live));
    for kind in ["DropFact", "Made", "Changed", "Superseded", "Restart", "Adjusted", "Facts"] {
        assert!(records.iter().any(|(_, record)| format!("{record:?}").starts_with(kind)), "no record is a {kind}");
    }
    for at_once in 0..records.len() {
        let follower = loaded(&world, &records[..at_once]);
        for (place, state) in (at_once..).zip(&states[at_once..]) {
            assert_eq!(follower.digest(), *state, "from record {at_once} on, after {place}");
            let conserved = |drop: &Arc<stockade_engine::inventory::DropEntry>| drop.conservation_error() == 0;
            assert!(follower.drops.all().iter().all(conserved), "from record {at_once} on, after {place}");
            // The last record once more, which must change nothing.
            let again = if place > at_once { place - 1 } else { place };
            follow(&follower, &records[again..records.len().min(place + 1)]);
        }
    }
}

#[test]
fn a_crash_at_any_operation_of_the_journal_loses_nothing_acknowledged() {
    crash_everywhere(|run| run.journal, |world, place| world.journal.crash_at(place));
}

#[test]
fn a_crash_at_any_operation_of_a_snapshot_loses_nothing_acknowledged() {
    crash_everywhere(|run| run.snapshots, |world, place| world.snapshots.crash_at(place));
}

#[test]
fn a_damaged_newest_snapshot_falls_back_to_the_one_before() {
    let mut world = World::new();
    let (engine, _) = world.start();
    create(&engine, definition("d", &[("A", 5)], &[]), world.now);
    for n in 0..3 {
        engine.ask(&reserve(hold_id(n), "d", "ada", &[("A", 1)]), world.now);
        engine.snapshot(&world.snapshots, world.now).expect("a snapshot");
    }
    let live = engine.inventory().digest();
    engine.stop(world.now);
    let mut files = world.snapshots.files();
    let newest = files.values_mut().next_back().expect("a snapshot");
    let middle = newest.len() / 2;
    newest[middle] ^= 1;
    world.snapshots = SimulatedStorage::with_files(files);
    let verified = verify_folder(&world.folder()).expect("a readable folder");
    assert_eq!(verified.findings.len(), 1, "reported once: {verified:?}");
    assert!(verified.findings[0].contains("damaged"), "{verified:?}");
    let (engine, report) = world.start();
    assert_eq!(report.skipped.len(), 1, "{report:?}");
    assert!(report.skipped[0].contains("damaged"), "{report:?}");
    assert_eq!(engine.inventory().digest(), live);
}

#[test]
fn a_folder_that_was_closed_in_order_verifies_and_says_so() {
    let world = World::new();
    let (engine, _) = world.start();
    create(&engine, definition("d", &[("A", 5)], &[]), world.now);
    for n in 0..3 {
        engine.ask(&reserve(hold_id(n), "d", "ada", &[("A", 1)]), world.now);
    }
    engine.snapshot(&world.snapshots, world.now).expect("a snapshot");
    engine.journal().close(world.now).expect("a clean stop");
    let verified = verify_folder(&world.folder()).expect("a readable folder");
    assert!(verified.findings.is_empty(), "{:?}", verified.findings);
    let notes = verified.notes.join("\n");
    for reported in ["snapshot 5: 6 entries", "5 records", "closed in order", "3 held", "0 units unaccounted for"] {
        assert!(notes.contains(reported), "{reported}: {notes}");
    }
}

#[test]
fn a_hold_that_was_made_while_its_drop_was_paused_is_a_finding() {
    let mut world = World::new();
    let (engine, _) = world.start();
    create(&engine, definition("d", &[("A", 5)], &[]), world.now);
    for steer in [Steer::Pause, Steer::Resume] {
        engine.steer(&drop_id("d"), steer, Context::anonymous(world.now)).expect("a drop");
    }
    engine.ask(&reserve(hold_id(1), "d", "ada", &[("A", 1)]), world.now);
    engine.stop(world.now);
    // The same journal without the record that ended the pause.
    let is_resume = |record: &Record| matches!(record, Record::DropFact(fact) if fact.verb == DropVerb::Resume);
    let mut records: Vec<Record> = records(&world).into_iter().map(|(_, record)| record).collect();
    records.retain(|record| !is_resume(record));
    world.journal = SimulatedStorage::default();
    world.append(&records, world.now);
    let findings = verify_folder(&world.folder()).expect("a readable folder").findings;
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    assert!(finding.contains("makes a hold in drop number 0, which is not open there"), "{finding}");
}
