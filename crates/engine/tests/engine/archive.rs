//! Archiving during late returns and claims: each is in the archived figures, or finds no hold.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use stockade_engine::Engine;
use stockade_engine::answer::{Fault, Outcome};
use stockade_engine::attempt::Decided;
use stockade_engine::command::{Claim, ExpiredPolicy, Return, Steer, Target};
use stockade_engine::context::Context;
use stockade_types::ids::HoldId;
use stockade_types::time::{Millis, Timestamp};

use crate::common::{START, World, claim, create, definition, drop_id, durable, hold_id, reserve, settle};

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
    done(engine, settle(|| engine.return_units(&command, Context::anonymous(now))))
}

fn claim_late(engine: &Engine, hold: HoldId, now: Timestamp) -> bool {
    let command = Claim { expired: ExpiredPolicy::TakeFreeStock, ..claim(hold, "late") };
    done(engine, settle(|| engine.claim(&command, Context::anonymous(now))))
}

/// A closed drop: even holds are claimed, odd ones have expired.
fn closed(engine: &Engine) {
    create(engine, definition("d", &[("A", 100)], &[]), START);
    for n in 0..HOLDS {
        let command = reserve(hold_id(n), "d", &format!("customer-{n}"), &[("A", 2)]);
        assert!(done(engine, settle(|| engine.reserve(&command, Context::anonymous(START)))));
        if n.is_multiple_of(2) {
            assert!(done(engine, settle(|| engine.claim(&claim(hold_id(n), "order"), Context::anonymous(START)))));
        }
    }
    let end = START.plus(Millis::from_secs(600));
    while engine.sweep(end).expect("a sweep") > 0 {}
    durable(engine, engine.steer(&drop_id("d"), Steer::Close, Context::anonymous(end))).expect("closed");
}

#[test]
fn what_comes_back_while_a_drop_is_archived_is_in_its_figures_or_finds_nothing() {
    for round in 0..ROUNDS {
        let mut world = World::new();
        let engine = world.start().0;
        closed(&engine);
        let now = START.plus(Millis::from_secs(8 * 24 * 3600));
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
        let stock = engine.get_drop(&drop_id("d"), Context::anonymous(now)).expect("a drop").value.stock[0][0];
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
        engine.journal().close(now).expect("a clean stop");
        drop(engine);
        world.now = now;
        assert_eq!(world.start().0.inventory().digest(), live, "round {round}");
    }
}
