//! What is measured of a drop: sums of its holds, and what was asked of it; the same after every kind of start.

use stockade_engine::background::agenda::{Agenda, AgendaEntry};
use stockade_engine::operators::measure::Measured;
use stockade_simulation::prelude::*;
use stockade_types::record::{DropTotals, ReportFact, ReportPart};
use stockade_types::refusal::Reason;

fn measured(engine: &Engine) -> Measured {
    engine.measured(&"d".parse().expect("an id")).expect("a drop")
}

/// Asks, and waits until the answer is durable.
fn done(engine: &Engine, command: &impl HoldCommand, at: Timestamp) -> Outcome {
    durable(engine, Ok(engine.ask(command, at))).expect("durable")
}

fn asks(engine: &Engine, n: u64, units: u32, at: Timestamp) -> Outcome {
    let command = reserve(hold_id(n), "d", &format!("customer-{n}"), &[("A", units)]);
    done(engine, &command, at)
}

/// Six of ten units are sold, one of them late; one hold expires, one is released; 20 customers are refused.
fn sale(engine: &Engine) -> Timestamp {
    create(engine, definition("d", &[("A", 10)], &[]), START);
    for n in 0..5 {
        assert!(matches!(asks(engine, n, 2, after(n)), Outcome::Hold(_)), "{n}");
    }
    for n in 100..120 {
        assert!(matches!(asks(engine, n, 1, after(2)), Outcome::Refused(_)), "{n}");
    }
    for n in 0..2 {
        done(engine, &claim(hold_id(n), "order"), after(10));
    }
    done(engine, &release(hold_id(2), &[]), after(11));
    let end = after(3_000);
    engine.sweep_all(end);
    let late = Claim { expired: ExpiredPolicy::TakeFreeStock, ..claim(hold_id(3), "late") };
    done(engine, &late, end);
    end
}

const TOTALS: DropTotals =
    DropTotals { made: 5, expired: 2, released: 1, claimed: 2, late: 1, times_sold_out: 0, sold_out_at: Timestamp(0) };

#[test]
fn sums_of_holds_are_the_same_from_a_journal_a_snapshot_and_both() {
    let mut world = World::new();
    let (mut engine, _) = world.start();
    let end = sale(&engine);
    world.now = end;
    assert_eq!(measured(&engine).totals, TOTALS);
    for snapshot in [false, true, false] {
        if snapshot {
            engine.snapshot(&world.snapshots, end).expect("a snapshot");
            let another = Claim { expired: ExpiredPolicy::TakeFreeStock, ..claim(hold_id(4), "later") };
            done(&engine, &another, end);
        }
        let (started, live, replayed) = restart(engine, &world, AtOnce::Drawn(3));
        assert_eq!(replayed, live, "the journal replays to another state");
        engine = started;
        let late = if snapshot { 2 } else { measured(&engine).totals.late };
        assert_eq!(measured(&engine).totals, DropTotals { late, ..TOTALS }, "snapshot: {snapshot}");
    }
    assert_eq!(measured(&engine).totals.late, 2);
}

#[test]
fn what_was_asked_is_recorded_and_known_after_a_start() {
    let mut world = World::new();
    world.options.bounds.records_demand = true;
    let (engine, _) = world.start();
    let engine = std::sync::Arc::new(engine);
    world.now = sale(&engine).plus(Millis(200_000));
    let asked = measured(&engine).demand.expect("something was asked").sums;
    assert_eq!((asked.served, asked.refused[Reason::SoldOut.place()], asked.requests()), (5, 20, 25));
    assert_eq!(asked.units_asked, 30);
    let mut agenda = Agenda::new(std::sync::Arc::clone(&engine));
    let next = agenda.run_entry(AgendaEntry::Demand, after(3_000));
    assert_eq!(next, after(3_005), "a while after the first request");
    agenda.run_entry(AgendaEntry::Demand, next);
    drop(agenda);
    let recorded = measured(&engine).demand.expect("what was asked");
    assert_eq!(recorded.sums.peak, 21, "customer 2 and the refused ones in one second");
    assert_eq!(recorded.intervals.iter().map(|of| u64::from(of.requests)).sum::<u64>(), 25);
    assert_eq!(recorded.intervals.iter().map(|of| u64::from(of.units)).sum::<u64>(), 10);
    // What is counted after the record is lost with the process.
    assert!(matches!(asks(&engine, 200, 20, after(3_000)), Outcome::Refused(_)));
    let engine = std::sync::Arc::into_inner(engine).expect("the only one");
    let (engine, live, replayed) = restart(engine, &world, AtOnce::Drawn(1));
    assert_eq!(replayed, live);
    let known = measured(&engine).demand.expect("what was asked");
    assert_eq!((known.customers, known.intervals), (recorded.customers, recorded.intervals));
    assert_eq!(known.sums.requests(), 25);
    engine.snapshot(&world.snapshots, after(3_100)).expect("a snapshot");
    let (engine, ..) = restart(engine, &world, AtOnce::Drawn(2));
    assert_eq!(measured(&engine).demand.expect("what was asked").sums.requests(), 25);
}

#[test]
fn a_walk_finds_claimed_holds_and_who_had_bought_before() {
    let world = World::new();
    let (engine, _) = world.start();
    create(&engine, definition("before", &[("B", 10)], &[]), START);
    for n in [0, 3, 4] {
        let command = reserve(hold_id(1_000 + n), "before", &format!("customer-{n}"), &[("B", 1)]);
        done(&engine, &command, START);
        if n != 4 {
            done(&engine, &claim(hold_id(1_000 + n), "first"), START);
        }
    }
    sale(&engine);
    let drop = measured(&engine).number;
    let mut seen = Vec::new();
    engine.walk_claimed(&[drop], |claimed| seen.push(claimed.hold.id));
    seen.sort_unstable();
    let mut wanted = [hold_id(0), hold_id(1), hold_id(3)];
    wanted.sort_unstable();
    assert_eq!(seen, wanted);
    assert_eq!(engine.repeat_buyers(&[drop])[&drop].len(), 2, "customers 0 and 3 had bought before");
}

#[test]
fn a_report_is_kept_once_and_outlasts_starts() {
    let mut world = World::new();
    let (mut engine, _) = world.start();
    let end = sale(&engine);
    world.now = end;
    let drop = measured(&engine).number;
    let fact = |bytes: &[u8], part| ReportFact {
        drop,
        id: "d".parse().expect("an id"),
        shop: "shop".parse().expect("a shop"),
        series: None,
        opens_at: START,
        at: end,
        part,
        bytes: bytes.into(),
    };
    assert_eq!(engine.unreported(None, 10).0, [], "the sale goes on");
    engine.steered("d", Steer::Close, end);
    assert_eq!(engine.unreported(None, 10).0.len(), 1);
    for (bytes, part) in
        [(b"first", ReportPart::Figures), (b"other", ReportPart::Figures), (b"askin", ReportPart::Demand)]
    {
        durable(&engine, engine.keep_report(fact(bytes, part), Context::anonymous(end))).expect("kept");
    }
    for snapshot in [false, true, false] {
        if snapshot {
            engine.snapshot(&world.snapshots, end).expect("a snapshot");
        }
        let (started, live, replayed) = restart(engine, &world, AtOnce::Drawn(1));
        assert_eq!(replayed, live);
        engine = started;
        let (figures, demand) = engine.report(&"d".parse().expect("an id")).expect("a report");
        assert_eq!((&*figures.bytes, demand.map(|fact| fact.bytes.len())), (&b"first"[..], Some(5)));
        assert_eq!(engine.unreported(None, 10).0, []);
    }
    engine.forget_reports(end.plus(Millis(2)), Millis(1_000), Millis(1));
    assert!(engine.report(&"d".parse().expect("an id")).expect("figures").1.is_none());
    engine.forget_reports(end.plus(Millis(2)), Millis(1), Millis(1));
    assert!(engine.report(&"d".parse().expect("an id")).is_none());
}
