//! Archiving during late returns and claims: each is in the archived figures, or finds no hold.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use stockade_engine::command::Target;
use stockade_simulation::prelude::*;

const HOLDS: u64 = 24;
const ROUNDS: u64 = 60;

/// Whether the verb succeeded; false if the hold no longer existed.
fn done(engine: &Engine, answer: Result<Decided<Outcome>, Fault>) -> bool {
    match answer {
        Ok(Decided { value: Outcome::Hold(_), durable_after }) => {
            engine.journal().ticket(durable_after).wait().expect("durable");
            true
        }
        Ok(Decided { value: Outcome::Refused(refusal), .. }) => panic!("refused: {refusal:?}"),
        Err(Fault::NoHold(_)) => false,
        Err(fault) => panic!("{fault}"),
    }
}

fn come_back(engine: &Engine, hold: HoldId, now: Timestamp) -> bool {
    let target = Target { hold, drop: None, customer: None };
    let command = Return { target, returned: Vec::new(), restock: false };
    done(engine, engine.try_ask(&command, now))
}

fn claim_late(engine: &Engine, hold: HoldId, now: Timestamp) -> bool {
    let command = Claim { expired: ExpiredPolicy::TakeFreeStock, ..claim(hold, "late") };
    done(engine, engine.try_ask(&command, now))
}

/// A closed drop: even holds are claimed, odd ones have expired.
fn closed(engine: &Engine) {
    create(engine, definition("d", &[("A", 100)], &[]), START);
    for n in 0..HOLDS {
        let command = reserve(hold_id(n), "d", &format!("customer-{n}"), &[("A", 2)]);
        assert!(done(engine, engine.try_ask(&command, START)));
        if n.is_multiple_of(2) {
            assert!(done(engine, engine.try_ask(&claim(hold_id(n), "order"), START)));
        }
    }
    let end = after(600);
    engine.sweep_all(end);
    engine.steered("d", Steer::Close, end);
}

#[test]
fn what_comes_back_while_a_drop_is_archived_is_in_its_figures_or_finds_nothing() {
    for round in 0..ROUNDS {
        let mut world = World::new();
        let engine = world.start().0;
        closed(&engine);
        let now = after(8 * 24 * 3600);
        let (returned, late) = (AtomicU64::new(0), AtomicU64::new(0));
        let together = Barrier::new(3);
        let archived = thread::scope(|scope| {
            scope.spawn(|| {
                together.wait();
                for n in (0..HOLDS).filter(|n| n.is_multiple_of(2)) {
                    returned.fetch_add(u64::from(come_back(&engine, hold_id(n), now)), Ordering::Relaxed);
                }
            });
            scope.spawn(|| {
                together.wait();
                for n in (0..HOLDS).filter(|n| !n.is_multiple_of(2)) {
                    late.fetch_add(u64::from(claim_late(&engine, hold_id(n), now)), Ordering::Relaxed);
                }
            });
            together.wait();
            // At a different moment in each round.
            (0..round * 20).for_each(|_| std::hint::spin_loop());
            engine.archive(now).expect("a look")
        });
        assert_eq!(archived, 1, "nothing was live");
        let (returned, late) = (returned.into_inner() * 2, late.into_inner() * 2);
        let stock = engine.view("d", now).stock[0][0];
        let claimed = HOLDS + late - returned;
        assert_eq!((stock.claimed, stock.withdrawn, stock.returned_total), (claimed, returned, returned), "{round}");
        assert_eq!(stock.free, 100 - claimed - returned, "{round}");
        assert_eq!(engine.conservation_error(), 0);
        assert!((0..HOLDS).all(|n| matches!(
            engine.get_hold(hold_id(n), None, Context::anonymous(now)),
            Err(Decided { value: Fault::NoHold(_), .. })
        )));
        assert_eq!(engine.inventory().holds.counts().iter().sum::<u64>(), 0, "all are out of memory");
        let live = engine.inventory().digest();
        engine.stop(now);
        world.now = now;
        assert_eq!(world.start().0.inventory().digest(), live, "round {round}");
    }
}
