//! Reserves that are decided in one run have the same results as when decided one by one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use proptest::prelude::*;
use stockade_simulation::prelude::*;

/// Two engines with the same key on two disks.
fn twins() -> [Engine; 2] {
    let world = World::new();
    let (first, _) = world.start();
    first.journal().close(START).expect("a clean stop");
    drop(first);
    let same = || World {
        root: world.root.reboot(1),
        journal: world.journal.reboot(1),
        snapshots: world.snapshots.reboot(1),
        ..World::new()
    };
    [same().start().0, same().start().0]
}

type Told = Result<(String, Lsn), Fault>;

fn one_by_one(engine: &Engine, commands: &[Reserve], now: Timestamp) -> Vec<Told> {
    let ask = |command| engine.try_ask(command, now);
    commands.iter().map(|command| ask(command).map(|answer| (said(&answer.value), answer.durable_after))).collect()
}

/// Decides reserves in runs, as a batch does. What a run leaves undecided is tried singly.
fn together(engine: &Engine, commands: &[Reserve], now: Timestamp) -> (Vec<Told>, usize) {
    let (mut reported, mut in_one_go): (Vec<Told>, usize) = (Vec::new(), 0);
    while reported.len() < commands.len() {
        let before = reported.len();
        let run: Vec<&Reserve> = commands[before..].iter().collect();
        let ended = engine.reserve_run(&run, Context::anonymous(now), |decided| {
            reported.push(Ok((said(decided.value), decided.durable_after)));
        });
        in_one_go += reported.len() - before;
        match ended {
            Err(fault) => reported.push(Err(fault.value)),
            Ok(()) if reported.len() == before => reported.extend(one_by_one(engine, &commands[before..=before], now)),
            Ok(()) => {}
        }
    }
    (reported, in_one_go)
}

fn said(outcome: &Outcome) -> String {
    format!("{outcome:?}")
}

/// Few units, few customers with low limits, few holds: so that everything possible happens.
fn command() -> impl Strategy<Value = Reserve> {
    let lines = prop_oneof![
        6 => Just(vec![("A", 1)]),
        2 => Just(vec![("B", 2)]),
        2 => Just(vec![("A", 1), ("B", 1)]),
        1 => Just(vec![("nowhere", 1)]),
    ];
    let drop = prop_oneof![12 => Just("d"), 2 => Just("e"), 1 => Just("none")];
    let hows = (0_u64..40, 0_u64..6, drop, lines, 0_u64..40, 0_u8..12);
    hows.prop_map(|(hold, customer, drop, lines, old, how)| {
        let plain = reserve(hold_id(hold), drop, &format!("c{customer}"), &lines);
        match how {
            0 if old != hold => Reserve { supersedes: Some(hold_id(old)), ..plain },
            1 => Reserve { allow_partial: true, ..plain },
            2 => with_card(plain, "4242"),
            3 => Reserve { ttl: Some(Millis(7)), ..plain },
            _ => plain,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn reserves_come_out_together_as_they_would_one_by_one(
        messages in prop::collection::vec((prop::collection::vec(command(), 1..9), 0_u64..6), 1..12)
    ) {
        let [alone, twin] = twins();
        for engine in [&alone, &twin] {
            create(engine, definition("d", &[("A", 12), ("B", 7)], &[("each", Scope::Drop, 4)]), START);
            create(engine, definition("e", &[("A", 3), ("B", 3)], &[]), START);
        }
        let mut now = START;
        for (commands, later) in messages {
            now = now.plus(Millis(later));
            prop_assert_eq!(together(&twin, &commands, now).0, one_by_one(&alone, &commands, now));
        }
        prop_assert_eq!(twin.inventory().digest(), alone.inventory().digest());
        prop_assert_eq!(twin.journal().appended(), alone.journal().appended());
    }
}

#[test]
fn a_plain_message_is_decided_in_one_go_up_to_what_can_t_be() {
    let (engine, _) = World::new().start();
    create(&engine, definition("d", &[("A", 6)], &[]), START);
    create(&engine, definition("e", &[("A", 6)], &[]), START);
    let ask = |n: u64, drop: &str, sku: &str| reserve(hold_id(n), drop, &format!("c{n}"), &[(sku, 1)]);
    let plain: Vec<Reserve> = (0..8).map(|n| ask(n, "d", "A")).collect();
    let (reported, in_one_go) = together(&engine, &plain, START);
    assert_eq!(in_one_go, 8, "refusals too: six units, eight who ask: {reported:?}");
    let mixed = [ask(10, "e", "A"), ask(11, "e", "A"), ask(12, "e", "nowhere"), ask(13, "e", "A"), ask(14, "d", "A")];
    let (reported, in_one_go) = together(&engine, &mixed, START);
    assert!(matches!(&reported[2], Err(Fault::Invalid(_))), "{reported:?}");
    assert_eq!((in_one_go, reported.iter().filter(|reported| reported.is_ok()).count()), (4, 4));
    let nothing: [&Reserve; 0] = [];
    assert_eq!(engine.reserve_run(&nothing, Context::anonymous(START), |_| unreachable!("nobody asked")), Ok(()));
}

#[test]
fn where_the_journal_has_room_for_some_the_first_are_decided() {
    let (engine, _) = World::new().start();
    create(&engine, definition("d", &[("A", 9)], &[]), START);
    let asks: Vec<Reserve> = (0..8).map(|n| reserve(hold_id(n), "d", &format!("c{n}"), &[("A", 1)])).collect();
    let run: Vec<&Reserve> = asks.iter().collect();
    let taken: Vec<_> =
        (0..QUEUED_OPERATIONS_MAX - 5).map(|_| engine.journal().permit().expect("there is room")).collect();
    let mut reported = 0;
    assert_eq!(
        engine.reserve_run(&run, Context::anonymous(START), |_| reported += 1),
        Ok(()),
        "the next is to be asked for by itself"
    );
    assert!(
        (5..8).contains(&reported),
        "as many as there was room for, or as the writer has made room for since: {reported}"
    );
    drop(taken);
    let held = engine.inventory().holds.counts()[0];
    assert_eq!(held, reported, "the first, and no others");
    assert!(matches!(engine.reserve(run[0], Context::anonymous(START)), Ok(Decided { value: Outcome::Hold(_), .. })));
    assert_eq!(engine.inventory().holds.counts()[0], held, "the first was there");
}

/// Two threads reserve the same units in runs, a third returns due ones: nothing is sold twice, no customer exceeds the
/// limit, and a replay has the same state.
#[test]
fn runs_of_several_threads_agree_on_every_unit() {
    let mut world = World::new();
    let (engine, _) = world.start();
    let mut d = definition("d", &[("A", 40)], &[("each", Scope::Drop, 3)]);
    (d.terms.hold_ttl, d.terms.max_hold_life) = (Millis(40), Millis(40));
    create(&engine, d, START);
    let clock = AtomicU64::new(START.0);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..2_u64)
            .map(|worker| {
                let (engine, clock) = (&engine, &clock);
                scope.spawn(move || {
                    for message in 0..400_u64 {
                        let now = Timestamp(clock.fetch_add(1, Ordering::AcqRel));
                        let asks: Vec<Reserve> = (0..8)
                            .map(|n| (worker * 100_000 + message * 8 + n, (message + n) % 20))
                            .map(|(n, who)| reserve(hold_id(n), "d", &format!("c{who}"), &[("A", 1)]))
                            .collect();
                        let (reported, _) = together(engine, &asks, now);
                        assert!(reported.iter().all(Result::is_ok), "{reported:?}");
                    }
                })
            })
            .collect();
        while workers.iter().any(|worker| !worker.is_finished()) {
            engine.sweep(Timestamp(clock.load(Ordering::Acquire))).expect("a sweep");
        }
    });
    assert_eq!(engine.conservation_error(), 0);
    assert!(engine.inventory().owned() <= 40);
    assert!(engine.journal().appended() > Lsn(100), "units went round");
    // All holds end, so that no grace applies at the start.
    world.now = Timestamp(clock.load(Ordering::Acquire)).plus(Millis(40));
    engine.sweep_all(world.now);
    assert_eq!(engine.inventory().owned(), 0);
    let (_engine, live, replayed) = restart(engine, &world, AtOnce::Drawn(1));
    assert_eq!(live, replayed);
}
