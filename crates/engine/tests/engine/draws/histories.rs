//! Random histories of a drop whose items have several pools. Every answer is compared with the naive model's, and at
//! the end the state with the one that the journal replays to.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};
use stockade_engine::Engine;
use stockade_engine::answer::{Fault, Outcome};
use stockade_engine::attempt::Decided;
use stockade_engine::command::{ExpiredPolicy, Reserve, Return};
use stockade_engine::context::Context;
use stockade_types::hold::HoldState;
use stockade_types::record::StockChange;
use stockade_types::refusal::Reason;
use stockade_types::time::Millis;

use super::naive::{Ask, Naive, Units};
use super::{free, sale, shown};
use crate::common::{
    AtOnce, START, World, adjust, claim, create, hold_id, lines, release, reserve, restart, settle, target,
};

/// Random histories in a default run.
const HISTORIES: u32 = 2_000;
const ITEMS: [&str; 3] = ["A", "B", "C"];

/// One step of a history. Holds are counted back from the last one.
#[derive(Debug, Clone)]
enum Act {
    Reserve { lines: Units, old: Option<usize>, partial: bool },
    Release { hold: usize, keep: Units },
    Claim { hold: usize, lines: Units, late: bool },
    Return { hold: usize, returned: Units, restock: bool },
    Add { item: usize, pool: usize, units: u64 },
    Tick(u64),
    Sweep,
    Restart,
}

fn acts() -> impl Strategy<Value = Act> {
    let item = || prop_oneof![3 => Just(0_usize), 2 => Just(1), 1 => Just(2)];
    let units = |least| prop::collection::btree_map(item(), 1_u32..6, least..=2);
    let hold = || 0_usize..4;
    prop_oneof![
        8 => (units(1), prop::option::weighted(0.3, hold()), prop::bool::weighted(0.3))
            .prop_map(|(lines, old, partial)| Act::Reserve { lines, old, partial }),
        3 => (hold(), units(0)).prop_map(|(hold, keep)| Act::Release { hold, keep }),
        3 => (hold(), units(0), any::<bool>()).prop_map(|(hold, lines, late)| Act::Claim { hold, lines, late }),
        3 => (hold(), units(0), any::<bool>())
            .prop_map(|(hold, returned, restock)| Act::Return { hold, returned, restock }),
        1 => (item(), 0_usize..3, 1_u64..4).prop_map(|(item, pool, units)| Act::Add { item, pool, units }),
        2 => (0_u64..400).prop_map(Act::Tick),
        1 => Just(Act::Sweep),
        1 => Just(Act::Restart),
    ]
}

fn wanted(units: &Units) -> Vec<(&'static str, u32)> {
    units.iter().map(|(item, units)| (ITEMS[*item], *units)).collect()
}

fn place(sku: &str) -> usize {
    ITEMS.iter().position(|item| *item == sku).expect("an item")
}

/// The engine's answer in the form of the model's.
fn said(answer: Result<Decided<Outcome>, Fault>) -> String {
    match answer.map(|decided| decided.value) {
        Err(Fault::Invalid(_)) => "invalid".to_owned(),
        Err(Fault::Precondition(_)) => "no".to_owned(),
        Err(fault) => format!("{fault:?}"),
        Ok(Outcome::Refused(refusal)) if refusal.reason == Reason::SoldOut => {
            let lines: Vec<_> = refusal.lines.iter().map(|line| (place(line.sku.as_str()), line.available)).collect();
            format!("SoldOut {lines:?} retry {:?}", refusal.retry_after.map(|span| span.0))
        }
        Ok(Outcome::Refused(_)) => "no".to_owned(),
        Ok(outcome @ Outcome::Hold(_)) => {
            let (state, has) = shown(&outcome);
            let has: Vec<_> = has.iter().map(|(sku, pool, units)| (place(sku), *pool, *units)).collect();
            format!("{state:?} {has:?}")
        }
    }
}

/// A running history.
struct Play {
    world: World,
    engine: Engine,
    model: Naive,
    made: Vec<u64>,
    asked: u64,
}

impl Play {
    fn context(&self) -> Context<'static> {
        Context::anonymous(self.world.now)
    }

    fn nth(&self, nth: usize) -> Option<u64> {
        self.made.iter().rev().nth(nth).copied()
    }

    /// One of the holds that can be superseded.
    fn held(&self, nth: usize) -> Option<u64> {
        self.nth(nth).filter(|id| self.model.holds[id].state == HoldState::Held)
    }

    /// The engine's answer and the expected one.
    fn play(&mut self, act: &Act) -> Option<(String, String)> {
        let context = self.context();
        match act {
            Act::Reserve { lines, old, partial } => {
                self.asked += 1;
                let old = old.and_then(|nth| self.held(nth));
                let ask = Ask { hold: self.asked, lines: lines.clone(), old, partial: *partial };
                let command = reserve(hold_id(ask.hold), "d", "ada", &wanted(lines));
                let command = Reserve { supersedes: old.map(hold_id), allow_partial: *partial, ..command };
                let answers = (said(settle(|| self.engine.reserve(&command, context))), self.model.reserve(&ask));
                if self.model.holds.contains_key(&ask.hold) {
                    self.made.push(ask.hold);
                }
                Some(answers)
            }
            Act::Release { hold, keep } => {
                let id = self.nth(*hold)?;
                let command = release(hold_id(id), &wanted(keep));
                // Releasing a released hold again returns the same answer, which the model does not have.
                (self.model.holds[&id].state != HoldState::Released)
                    .then(|| (said(settle(|| self.engine.release(&command, context))), self.model.release(id, keep)))
            }
            Act::Claim { hold, lines: of, late } => {
                let id = self.nth(*hold)?;
                let mut command = claim(hold_id(id), &id.to_string());
                command.lines = lines(&wanted(of));
                command.expired = if *late { ExpiredPolicy::TakeFreeStock } else { ExpiredPolicy::Refuse };
                (self.model.holds[&id].state != HoldState::Claimed)
                    .then(|| (said(settle(|| self.engine.claim(&command, context))), self.model.claim(id, of, *late)))
            }
            Act::Return { hold, returned, restock } => {
                let id = self.nth(*hold)?;
                let command =
                    Return { target: target(hold_id(id)), returned: lines(&wanted(returned)), restock: *restock };
                let says = said(settle(|| self.engine.return_units(&command, context)));
                Some((says, self.model.give_back(id, returned, *restock)))
            }
            Act::Add { item, pool, units } => {
                self.asked += 1;
                let known = self.model.pools[*item].get_mut(*pool)?;
                *known += units;
                let change = StockChange::Delta(i64::try_from(*units).expect("small"));
                let mut command = adjust("d", ITEMS[*item], self.asked, change);
                command.pool = Some(format!("p{pool}").parse().expect("an id"));
                self.engine.adjust_stock(&command, context).expect("an adjustment");
                None
            }
            Act::Tick(_) | Act::Sweep | Act::Restart => None,
        }
    }

    fn sweep(&self) {
        while self.engine.sweep(self.world.now).expect("a sweep") > 0 {}
    }

    fn same_stock(&self) -> TestCaseResult {
        self.sweep();
        prop_assert_eq!(free(&self.engine, self.world.now), self.model.all_free());
        Ok(())
    }

    fn restarted(self) -> Result<Self, TestCaseError> {
        self.sweep();
        let Self { world, engine, model, made, asked } = self;
        let (engine, live, replayed) = restart(engine, &world, AtOnce::Drawn(asked));
        prop_assert_eq!(live, replayed, "the journal replays to another state");
        Ok(Self { world, engine, model, made, asked })
    }
}

fn check(pools: &[Vec<u64>], history: &[Act]) -> TestCaseResult {
    let mut world = World::new();
    world.options.outage_grace = Millis(0);
    let (engine, _) = world.start();
    let items: Vec<_> = ITEMS.iter().copied().zip(pools.iter().map(Vec::as_slice)).collect();
    create(&engine, sale(&items), world.now);
    let model = Naive { pools: pools.to_vec(), holds: BTreeMap::new(), now: START.0 };
    let mut play = Play { world, engine, model, made: Vec::new(), asked: 0 };
    for act in history {
        if let Act::Tick(seconds) = act {
            play.world.now = play.world.now.plus(Millis::from_secs(*seconds));
            play.model.now = play.world.now.0;
        }
        play.model.expire();
        if let Some((says, expected)) = play.play(act) {
            prop_assert_eq!(says, expected, "{:?}", act);
        }
        prop_assert_eq!(play.engine.conservation_error(), 0);
        match act {
            Act::Sweep => play.same_stock()?,
            Act::Restart => play = play.restarted()?,
            Act::Reserve { .. }
            | Act::Release { .. }
            | Act::Claim { .. }
            | Act::Return { .. }
            | Act::Add { .. }
            | Act::Tick(_) => {}
        }
    }
    let play = play.restarted()?;
    play.same_stock()
}

#[test]
fn over_several_pools_the_engine_answers_like_the_naive_model() {
    let config = Config { cases: HISTORIES, max_shrink_iters: 2_000, failure_persistence: None, ..Config::default() };
    let pools = |most| prop::collection::vec(0_u64..5, 1..=most);
    let shapes = (pools(3), pools(3), pools(1)).prop_map(|(a, b, c)| vec![a, b, c]);
    let histories = (shapes, prop::collection::vec(acts(), 1..40));
    let outcome = TestRunner::new(config).run(&histories, |(pools, history)| check(&pools, &history));
    assert!(outcome.is_ok(), "{}", outcome.expect_err("a failure"));
}
