//! A clock in doubt, and a journal that was written with a wrong clock.

use stockade_simulation::prelude::*;

const DAY: Millis = Millis::from_secs(24 * 3_600);

fn state(outcome: &Outcome) -> HoldState {
    match outcome {
        Outcome::Hold(view) => view.hold.state,
        Outcome::Refused(refusal) => panic!("refused: {refusal:?}"),
    }
}

#[test]
fn while_the_clock_is_in_doubt_no_hold_is_made_and_all_else_goes_on() {
    let (engine, _) = World::new().start();
    create(&engine, definition("d", &[("A", 9)], &[]), START);
    let command = |n| reserve(hold_id(n), "d", "ada", &[("A", 1)]);
    let asked = |command: &Reserve, now| engine.try_ask(command, now).map(|answer| answer.value);
    for n in 1..=3 {
        asked(&command(n), START).expect("a hold");
    }
    engine.doubt_clock(true);
    assert!(matches!(asked(&command(4), START), Err(Fault::Suspended(_))));
    let in_place_of = Reserve { supersedes: Some(hold_id(1)), ..command(4) };
    assert!(matches!(asked(&in_place_of, START), Err(Fault::Suspended(_))));
    let in_part = Reserve { allow_partial: true, ..command(4) };
    assert!(matches!(asked(&in_part, START), Err(Fault::Suspended(_))));
    let (again, new) = (command(1), command(5));
    let mut reported = Vec::new();
    let ended =
        engine.reserve_run(&[&again, &new], Context::anonymous(START), |decided| reported.push(state(decided.value)));
    assert!(matches!(&ended, Err(fault) if matches!(fault.value, Fault::Suspended(_))), "{ended:?}");
    assert_eq!(reported, [HoldState::Held], "a reserve that is sent again is answered as at first");
    let longer = Some(Millis::from_secs(400));
    let outcome = |answer: Result<Decided<Outcome>, Fault>| answer.expect("an answer").value;
    assert_eq!(state(&outcome(engine.try_ask(&extend(hold_id(1), longer), START))), HoldState::Held);
    assert_eq!(state(&outcome(engine.try_ask(&claim(hold_id(1), "o"), START))), HoldState::Claimed);
    assert_eq!(state(&outcome(engine.try_ask(&release(hold_id(2), &[]), START))), HoldState::Released);
    let due = after(300);
    let Outcome::Refused(refusal) = outcome(engine.try_ask(&claim(hold_id(3), "o"), due)) else {
        panic!("sold after its deadline");
    };
    assert_eq!(refusal.reason, Reason::HoldExpired, "time goes on");
    engine.doubt_clock(false);
    assert_eq!(state(&asked(&command(4), due).expect("a hold")), HoldState::Held);
}

/// A server whose clock was ten days ahead has made a hold and stopped.
fn written_in_the_future() -> (World, Timestamp) {
    let mut world = World::new();
    let ahead = START.plus(Millis(10 * DAY.0));
    world.now = ahead;
    let (engine, _) = world.start();
    create(&engine, definition("d", &[("A", 9)], &[]), ahead);
    engine.ask(&reserve(hold_id(1), "d", "ada", &[("A", 1)]), ahead);
    engine.journal().close(ahead).expect("a clean stop");
    world.now = START;
    (world, ahead)
}

#[test]
fn a_journal_from_the_future_is_served_once_that_has_come() {
    let (mut world, ahead) = written_in_the_future();
    let error = world.try_start().expect_err("ten days too early").to_string();
    assert!(error.contains("--accept-clock") && error.contains(&ahead.to_string()), "{error}");
    world.now = ahead;
    assert_eq!(world.try_start().expect("a start").now, ahead);
}

#[test]
fn a_journal_from_the_future_is_served_from_there_on_where_the_operator_accepts_it() {
    let (mut world, ahead) = written_in_the_future();
    world.options.accept_clock = true;
    let started = world.try_start().expect("a start");
    assert_eq!(started.now, ahead, "time goes on from the last record, not back to the wall clock");
    let (engine, now) = (started.engine, started.now);
    let answer = engine.ask(&claim(hold_id(1), "o"), now);
    assert_eq!(state(&answer.value), HoldState::Claimed, "what was live is live");
    let answer = engine.ask(&reserve(hold_id(2), "d", "ada", &[("A", 1)]), now);
    assert_eq!(state(&answer.value), HoldState::Held);
    engine.stop(now);
    world.options.accept_clock = false;
    world.try_start().expect_err("the wall clock has not caught up: it is to be accepted at each start until then");
}
