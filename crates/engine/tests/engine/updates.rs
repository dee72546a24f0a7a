//! A drop that is changed while many reserve its units: nothing is lost, nothing is sold twice, and no refusal is
//! false.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;

use stockade_simulation::prelude::*;

const THREADS: u64 = 3;

fn changed(engine: &Engine, command: &UpdateDrop) -> Lsn {
    engine.updated(command, START).revision
}

fn steer(engine: &Engine, steer: Steer) {
    engine.steered("d", steer, START);
}

fn same_after_restart(world: &World, engine: Engine) -> Engine {
    let (engine, live, replayed) = restart(engine, world, AtOnce::Drawn(1));
    assert_eq!(replayed, live, "the journal replays to another state");
    engine
}

#[test]
fn items_that_are_added_under_a_herd_are_sold_to_the_last_unit_and_no_further() {
    const UNITS: u64 = 7;
    const ADDED: usize = 60;
    let world = World::new();
    let (engine, _) = world.start();
    create(&engine, definition("d", &[("N0", UNITS)], &[]), START);
    let (there, won) = (AtomicUsize::new(1), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1..=ADDED {
                let command = update(&engine, "d", START, |wanted| {
                    wanted.terms.hold_ttl = Millis(60_000 + u64::try_from(n).expect("small"));
                    wanted.items.extend(definition("d", &[(&format!("N{n}"), UNITS)], &[]).items);
                });
                changed(&engine, &command);
                there.store(n + 1, Ordering::Release);
                if n == ADDED / 2 {
                    engine.snapshot(&world.snapshots, START).expect("a snapshot");
                }
            }
        });
        for t in 0..THREADS {
            let (engine, there, won) = (&engine, &there, &won);
            scope.spawn(move || {
                // Until some time after the last item was added.
                let mut rounds_with_all = 0;
                for round in 0_u64.. {
                    let items = there.load(Ordering::Acquire);
                    rounds_with_all += usize::from(items > ADDED);
                    if round >= 4_000 && rounds_with_all > 500 {
                        break;
                    }
                    // The newest items most often; each thread in an order of its own.
                    let back = usize::try_from(round * (t + 1) % 5).expect("small");
                    let sku = format!("N{}", items.saturating_sub(1 + back));
                    let command = reserve(hold_id(t * 1_000_000 + round), "d", "x", &[(&sku, 1)]);
                    match engine.ask(&command, START).value {
                        Outcome::Hold(_) => {
                            won.fetch_add(1, Ordering::Relaxed);
                        }
                        Outcome::Refused(refusal) => assert_eq!(refusal.reason, Reason::SoldOut),
                    }
                }
            });
        }
    });
    let view = engine.view("d", START);
    assert_eq!(view.definition.items.len(), ADDED + 1);
    let sold: u64 = view.stock.iter().map(|pools| pools[0].held).sum();
    assert_eq!(sold, won.load(Ordering::Relaxed), "every hold is in the books");
    assert!(sold > UNITS * 2, "new items were sold while others were added: {sold}");
    // The remaining units can be reserved: no unit was lost.
    for (n, pools) in (0..).zip(&view.stock) {
        let sku = format!("N{n}");
        for unit in 0..pools[0].free {
            let command = reserve(hold_id(9_000_000 + n * 100 + unit), "d", "y", &[(&sku, 1)]);
            let answer = engine.ask(&command, START);
            assert!(matches!(answer.value, Outcome::Hold(_)), "{sku}: {answer:?}");
        }
    }
    let view = engine.view("d", START);
    assert!(view.stock.iter().all(|pools| (pools[0].free, pools[0].held) == (0, UNITS)), "{:?}", view.stock);
    assert_eq!(engine.conservation_error(), 0);
    same_after_restart(&world, engine);
}

#[test]
fn a_herd_is_served_by_one_definition_or_the_other_and_every_unit_comes_back() {
    let world = World::new();
    let (engine, _) = world.start();
    let limit =
        |max| vec![Limit { max_units: Some(max), ..Limit::new("most".try_into().expect("an id"), Scope::Drop) }];
    let mut sale = definition("d", &[("A", 50), ("B", 50)], &[]);
    sale.limits = limit(1);
    create(&engine, sale, START);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let updater = scope.spawn(|| {
            for n in 0..300_u64 {
                let command = update(&engine, "d", START, |wanted| {
                    wanted.limits = limit(1 + u32::try_from(n % 3).expect("small"));
                    wanted.terms.hold_ttl = Millis::from_secs(100 + n % 50);
                });
                changed(&engine, &command);
            }
        });
        for t in 0..THREADS {
            let (engine, over) = (&engine, &over);
            scope.spawn(move || {
                let mut n = 0;
                while !over.load(Ordering::Relaxed) {
                    n += 1;
                    let id = hold_id(t * 10_000_000 + n);
                    // Units within every maximum that the limit ever has, or within some.
                    let units = 1 + u32::try_from(n % 3).expect("small");
                    let customer = format!("c{t}");
                    let command = reserve(id, "d", &customer, &[(if n % 2 == 0 { "A" } else { "B" }, units)]);
                    let answer = engine.ask(&command, START);
                    match answer.value {
                        Outcome::Hold(view) => {
                            let ttl = START.until(view.hold.expires_at()).0;
                            assert!((100_000..300_001).contains(&ttl), "{ttl}");
                            engine.ask(&release(id, &[]), START);
                        }
                        Outcome::Refused(refusal) => {
                            assert!(units > 1, "one unit is always allowed and always there: {refusal:?}");
                            assert_eq!(refusal.reason, Reason::LimitReached);
                        }
                    }
                }
            });
        }
        updater.join().expect("the changes");
        over.store(true, Ordering::Relaxed);
    });
    let view = engine.view("d", START);
    assert!(view.stock.iter().all(|pools| pools[0].free == 50), "{:?}", view.stock);
    assert_eq!(engine.conservation_error(), 0);
    same_after_restart(&world, engine);
}

#[test]
fn of_many_changes_of_one_revision_one_is_made_and_each_is_told_what_became_of_it() {
    let world = World::new();
    let (engine, _) = world.start();
    create(&engine, definition("d", &[("A", 5)], &[]), START);
    for round in 0..100 {
        let titled = |n: u64| update(&engine, "d", START, |wanted| wanted.title = format!("{round}-{n}"));
        let commands: Vec<_> = (0..4).map(|n| titled(n / 2)).collect();
        let appended = engine.journal().appended();
        let reported: Vec<_> = thread::scope(|scope| {
            let engine = &engine;
            let asked: Vec<_> = commands
                .iter()
                .map(|command| scope.spawn(move || engine.update_drop(command, Context::anonymous(START))))
                .collect();
            asked.into_iter().map(|asked| asked.join().expect("an answer")).collect()
        });
        let view = engine.view("d", START);
        assert_eq!(view.revision, Lsn(appended.0 + 1), "one change, one record");
        assert_eq!(engine.journal().appended(), view.revision, "and no other");
        for (command, reported) in commands.iter().zip(reported) {
            match reported {
                Ok(Decided { value: shown, .. }) => {
                    assert_eq!((&shown.definition.title, shown.revision), (&command.wanted.title, view.revision));
                    assert_eq!(command.wanted.title, view.definition.title);
                }
                Err(Decided { value: Fault::Stale(_), .. }) => assert_ne!(command.wanted.title, view.definition.title),
                Err(fault) => panic!("{fault:?}"),
            }
        }
    }
}

#[test]
fn a_change_hides_no_steering_and_a_steering_no_change_whatever_they_are_read_back_from() {
    let world = World::new();
    let (mut engine, _) = world.start();
    create(&engine, definition("d", &[("A", 5)], &[]), START);
    steer(&engine, Steer::Pause);
    changed(&engine, &update(&engine, "d", START, |wanted| wanted.title = "after the pause".to_owned()));
    for snapshot in [false, true] {
        if snapshot {
            engine.snapshot(&world.snapshots, START).expect("a snapshot");
        }
        engine = same_after_restart(&world, engine);
        let view = engine.view("d", START);
        assert_eq!((view.state, view.definition.title.as_str()), (DropState::Paused, "after the pause"));
    }
    let repeated = update(&engine, "d", START, |wanted| wanted.title = "once more".to_owned());
    let revision = changed(&engine, &repeated);
    steer(&engine, Steer::Resume);
    engine.snapshot(&world.snapshots, START).expect("a snapshot");
    engine = same_after_restart(&world, engine);
    assert_eq!(changed(&engine, &repeated), revision, "sent again after all that: the same answer");
    let view = engine.view("d", START);
    assert_eq!((view.state, view.revision), (DropState::Open, revision));
}

#[test]
fn only_trying_a_change_shows_it_and_changes_nothing() {
    let world = World::new();
    let (engine, _) = world.start();
    create(&engine, definition("d", &[("A", 5)], &[]), START);
    let before = (engine.inventory().digest(), engine.journal().appended());
    let mut command = update(&engine, "d", START, |wanted| {
        wanted.items.extend(definition("d", &[("B", 9)], &[]).items);
        wanted.schedule.closes_at = Some(START.plus(Millis(1)));
    });
    command.validate_only = true;
    let view = engine.update_drop(&command, Context::anonymous(START)).expect("it could be changed").value;
    assert_eq!((view.definition.items.len(), view.stock[1][0].free, view.revision), (2, 9, command.revision));
    command.wanted.schedule.closes_at = Some(Timestamp(START.0));
    assert!(
        matches!(engine.update_drop(&command, Context::anonymous(START)), Err(fault) if matches!(fault.value, Fault::Invalid(_))),
        "it would be closed before it opens"
    );
    assert_eq!((engine.inventory().digest(), engine.journal().appended()), before);
}
