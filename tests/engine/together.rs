//! Reserves that came together: decided in one go they come out as one by one.

use proptest::prelude::*;
use stockade::definition::Scope;
use stockade::engine::Engine;
use stockade::engine::answer::{Fault, Outcome};
use stockade::engine::command::Reserve;
use stockade::ids::Lsn;
use stockade::time::{Millis, Timestamp};

use crate::common::{START, World, create, definition, hold_id, reserve, settle, with_card};

/// Two engines with one key over two disks.
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
    let ask = |command| settle(|| engine.reserve(command, now));
    commands.iter().map(|command| ask(command).map(|answer| (said(&answer.outcome), answer.rests_on))).collect()
}

/// As whoever has a message of them does it: what is not decided in one go is asked for by itself.
fn together(engine: &Engine, commands: &[Reserve], now: Timestamp) -> (Vec<Told>, usize) {
    let (mut told, mut in_one_go): (Vec<Told>, usize) = (Vec::new(), 0);
    while told.len() < commands.len() {
        let before = told.len();
        let run: Vec<&Reserve> = commands[before..].iter().collect();
        let ended = engine.reserve_run(&run, now, |outcome, rests_on| told.push(Ok((said(outcome), rests_on))));
        in_one_go += told.len() - before;
        match ended {
            Err(fault) => told.push(Err(fault)),
            Ok(()) if told.len() == before => told.extend(one_by_one(engine, &commands[before..=before], now)),
            Ok(()) => {}
        }
    }
    (told, in_one_go)
}

fn said(outcome: &Outcome) -> String {
    format!("{outcome:?}")
}

/// Few units, few customers with few units each, few holds: so that everything happens that may.
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
    let (told, in_one_go) = together(&engine, &plain, START);
    assert_eq!(in_one_go, 8, "refusals too: six units, eight who ask: {told:?}");
    let mixed = [ask(10, "e", "A"), ask(11, "e", "A"), ask(12, "e", "nowhere"), ask(13, "e", "A"), ask(14, "d", "A")];
    let (told, in_one_go) = together(&engine, &mixed, START);
    assert!(matches!(&told[2], Err(Fault::Invalid(_))), "{told:?}");
    assert_eq!((in_one_go, told.iter().filter(|told| told.is_ok()).count()), (4, 4));
    let nothing: [&Reserve; 0] = [];
    assert_eq!(engine.reserve_run(&nothing, START, |_, _| unreachable!("nobody asked")), Ok(()));
}
