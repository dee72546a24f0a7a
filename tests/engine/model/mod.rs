//! The engine against a naive model: random histories, every answer compared, and at the end the state that is there
//! against the state that its journal replays to.
//!
//! The model keeps plain lists, expires everything that is due before each step and counts by adding up. It shares
//! nothing with the engine but the words. A failing history is shrunk and printed with its seed.

mod naive;
mod rules;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestCaseResult};
use stockade::engine::Engine;
use stockade::engine::answer::{Answer, Fault, Outcome};
use stockade::engine::command::{ExpiredPolicy, Reserve, Return, Stage};
use stockade::ids::IdentityKind;
use stockade::time::{Millis, Timestamp};

use crate::common::{self, World, claim, create, definition, extend, hold_id, release, settle};
use naive::Model;
use rules::{Rule, rule};

/// Random histories in a default run.
const HISTORIES: u32 = 10_000;

/// Two drops of one series sell the same goods, in another order.
const DROPS: [&str; 2] = ["d", "e"];
const ITEMS: [[&str; 3]; 2] = [["A", "B", "C"], ["C", "A", "B"]];
const CUSTOMERS: [&str; 3] = ["ada", "bob", "cleo"];
const TTL: u64 = 1_000;
const LIFE: u64 = 2_500;
const PAYMENT: u64 = 1_500;
/// One step of a history.
#[derive(Debug, Clone)]
enum Act {
    Reserve(Ask),
    Extend { hold: u64, ttl: Option<u64> },
    Stage { hold: u64, paying: bool },
    Claim { hold: u64, order: u8, late: bool, lines: Vec<(usize, u32)> },
    Release { hold: u64, keep: Vec<(usize, u32)>, abandon: bool },
    Return { hold: u64, returned: Vec<(usize, u32)>, restock: bool },
    Get { hold: u64 },
    Tick(u64),
    Sweep,
    Snapshot,
    Restart,
}

/// Who asks for what.
#[derive(Debug, Clone)]
struct Ask {
    hold: u64,
    drop: usize,
    customer: usize,
    lines: Vec<(usize, u32)>,
    ttl: Option<u64>,
    cards: Vec<u8>,
    gold: bool,
    over: bool,
}

fn asks() -> impl Strategy<Value = Ask> {
    let lines = prop::collection::btree_map(0..ITEMS[0].len(), 1_u32..4, 1..=3);
    let ttl = prop::option::weighted(0.4, 1_u64..4_000);
    let cards = prop::collection::btree_set(1_u8..4, 0..=2);
    let who = (0..CUSTOMERS.len(), cards, any::<bool>(), prop::bool::weighted(0.1));
    let drop = prop_oneof![3 => Just(0_usize), 1 => Just(1)];
    (0_u64..6, drop, who, lines, ttl).prop_map(|(hold, drop, (customer, cards, gold, over), lines, ttl)| {
        let (lines, cards) = (lines.into_iter().collect(), cards.into_iter().collect());
        Ask { hold, drop, customer, lines, ttl, cards, gold, over }
    })
}

fn acts() -> impl Strategy<Value = Act> {
    let hold = 0_u64..6;
    let some = || {
        let lines = prop::collection::btree_map(0..ITEMS[0].len(), 1_u32..4, 0..=2);
        lines.prop_map(|map| map.into_iter().collect::<Vec<_>>())
    };
    let ttl = prop::option::weighted(0.4, 1_u64..4_000);
    prop_oneof![
        8 => asks().prop_map(Act::Reserve),
        2 => (hold.clone(), ttl).prop_map(|(hold, ttl)| Act::Extend { hold, ttl }),
        2 => (hold.clone(), any::<bool>()).prop_map(|(hold, paying)| Act::Stage { hold, paying }),
        3 => (hold.clone(), 0_u8..2, any::<bool>(), prop_oneof![2 => Just(Vec::new()), 1 => some()])
            .prop_map(|(hold, order, late, lines)| Act::Claim { hold, order, late, lines }),
        3 => (hold.clone(), some(), any::<bool>())
            .prop_map(|(hold, keep, abandon)| Act::Release { hold, keep, abandon }),
        2 => (hold.clone(), some(), any::<bool>())
            .prop_map(|(hold, returned, restock)| Act::Return { hold, returned, restock }),
        1 => hold.prop_map(|hold| Act::Get { hold }),
        3 => (0_u64..900).prop_map(Act::Tick),
        1 => Just(Act::Sweep),
        1 => Just(Act::Snapshot),
        1 => Just(Act::Restart),
    ]
}

/// What a drop is like in a history: units of each item, and limits.
type Shape = (Vec<u64>, Vec<Rule>);

fn shapes() -> impl Strategy<Value = [Shape; 2]> {
    let shape = || (prop::collection::vec(0_u64..7, 3), prop::collection::vec(rule(), 0..=3));
    [shape(), shape()]
}

/// The drop that the n-th hold of a history is in, as far as an act on it names goods: where the model knows none, the
/// engine finds none either.
fn items_of(model: &Model, hold: u64) -> [&'static str; 3] {
    ITEMS[model.drop_of(hold).unwrap_or(0)]
}

fn command(ask: &Ask) -> Reserve {
    let Ask { hold, drop, customer, lines, ttl, cards, gold, over } = ask;
    let lines: Vec<_> = lines.iter().map(|(item, units)| (ITEMS[*drop][*item], *units)).collect();
    let kind: IdentityKind = "card".parse().expect("a kind");
    Reserve {
        ttl: ttl.map(Millis),
        tiers: if *gold { vec!["gold".parse().expect("a tier")] } else { Vec::new() },
        identities: cards.iter().map(|card| (kind.clone(), card.to_string())).collect(),
        over_limits: over.then(|| "asked".into()),
        ..common::reserve(hold_id(*hold), DROPS[*drop], CUSTOMERS[*customer], &lines)
    }
}

/// `items` are the goods of the drop that the act is about.
fn engine_says(engine: &Engine, act: &Act, items: [&'static str; 3], now: Timestamp) -> String {
    let names = |lines: &[(usize, u32)]| lines.iter().map(|(item, units)| (items[*item], *units)).collect::<Vec<_>>();
    let answer = match act {
        Act::Reserve(ask) => {
            let command = command(ask);
            settle(|| engine.reserve(&command, now))
        }
        Act::Extend { hold, ttl } => settle(|| engine.extend(&extend(hold_id(*hold), ttl.map(Millis)), now)),
        Act::Stage { hold, paying } => {
            let mut command = extend(hold_id(*hold), None);
            command.stage = Some(if *paying { Stage::Paying } else { Stage::Held });
            settle(|| engine.extend(&command, now))
        }
        Act::Claim { hold, order, late, lines } => {
            let mut command = claim(hold_id(*hold), &order.to_string());
            command.expired = if *late { ExpiredPolicy::TakeFreeStock } else { ExpiredPolicy::Refuse };
            command.lines = common::lines(&names(lines));
            settle(|| engine.claim(&command, now))
        }
        Act::Release { hold, keep, abandon } => {
            let mut command = release(hold_id(*hold), &names(keep));
            command.abandon_payment = *abandon;
            settle(|| engine.release(&command, now))
        }
        Act::Return { hold, returned, restock } => {
            let returned = common::lines(&names(returned));
            let command = Return { target: common::target(hold_id(*hold)), returned, restock: *restock };
            settle(|| engine.return_units(&command, now))
        }
        Act::Get { hold } => engine
            .get_hold(hold_id(*hold), None, now)
            .map(|(view, ticket)| Answer { outcome: Outcome::Hold(view), ticket }),
        Act::Tick(_) | Act::Sweep | Act::Snapshot | Act::Restart => return String::new(),
    };
    match answer {
        Err(Fault::NoHold(_)) => "not found".to_owned(),
        Err(Fault::Exists { field, .. }) => format!("exists {field}"),
        Err(Fault::Invalid(_)) => "invalid".to_owned(),
        Err(Fault::Precondition(_)) => "precondition".to_owned(),
        Err(fault) => format!("{fault:?}"),
        Ok(Answer { outcome: Outcome::Hold(view), .. }) => show(&view),
        Ok(Answer { outcome: Outcome::Refused(refusal), .. }) => {
            let lines: Vec<_> =
                refusal.lines.iter().map(|line| (line.sku.as_str(), line.reason.label(), line.available)).collect();
            let retry = refusal.retry_after.map(|span| span.0);
            let limit = refusal.limit.as_ref().map(|limit| format!("{} {}/{}", limit.id, limit.used, limit.max));
            let told = match limit {
                Some(limit) => format!("{} {lines:?} {limit} retry {retry:?}", refusal.reason.label()),
                None => format!("{} {lines:?} retry {retry:?}", refusal.reason.label()),
            };
            match &refusal.hold {
                Some(view) if lines.is_empty() => format!("{} [{}]", refusal.reason.label(), show(view)),
                Some(view) => format!("{told} [{}]", show(view)),
                None => told,
            }
        }
    }
}

fn show(view: &stockade::engine::answer::HoldView) -> String {
    let hold = &view.hold;
    let lines: Vec<_> =
        hold.shown_lines().map(|line| (view.definition.sku(line.item).as_str(), line.quantity)).collect();
    let until = if hold.state.is_live() { common::START.until(hold.expires_at).0 } else { 0 };
    format!("{:?} {lines:?} until {until}", hold.state)
}

fn sweep_all(engine: &Engine, now: Timestamp) {
    while engine.sweep(now).expect("a sweep") > 0 {}
}

fn check(shapes: &[Shape; 2], history: &[Act]) -> TestCaseResult {
    let mut world = World::new();
    world.options.outage_grace = Millis(0);
    let mut model = Model::new(shapes);
    let (mut engine, _) = world.start();
    for ((units, rules), (id, items)) in shapes.iter().zip(DROPS.iter().zip(ITEMS)) {
        let items: Vec<_> = items.iter().copied().zip(units.iter().copied()).collect();
        let mut sale = definition(id, &items, &[]);
        sale.limits = rules.iter().enumerate().map(|(place, rule)| rule.limit(place)).collect();
        sale.series = Some("winter".parse().expect("a series"));
        (sale.hold_ttl, sale.max_hold_life, sale.payment_ttl) = (Millis(TTL), Millis(LIFE), Millis(PAYMENT));
        create(&engine, sale, world.now);
    }

    for act in history {
        model.now += if let Act::Tick(span) = act { *span } else { 0 };
        world.now = common::START.plus(Millis(model.now));
        model.expire();
        let items = match act {
            Act::Reserve(_) | Act::Tick(_) | Act::Sweep | Act::Snapshot | Act::Restart => ITEMS[0],
            Act::Extend { hold, .. }
            | Act::Stage { hold, .. }
            | Act::Claim { hold, .. }
            | Act::Release { hold, .. }
            | Act::Return { hold, .. }
            | Act::Get { hold } => items_of(&model, *hold),
        };
        let expected = match act {
            Act::Reserve(ask) => model.reserve(ask),
            Act::Extend { hold, .. }
            | Act::Stage { hold, .. }
            | Act::Claim { hold, .. }
            | Act::Release { hold, .. }
            | Act::Return { hold, .. }
            | Act::Get { hold } => model.on_hold(act, *hold),
            Act::Tick(_) => String::new(),
            Act::Sweep => {
                sweep_all(&engine, world.now);
                String::new()
            }
            Act::Snapshot => {
                engine.snapshot(&world.snapshots, world.now).expect("a snapshot");
                String::new()
            }
            Act::Restart => {
                engine = same_after_restart(engine, &world)?;
                String::new()
            }
        };
        let answer = engine_says(&engine, act, items, world.now);
        prop_assert_eq!(&answer, &expected, "{:?}", act);
        if ["Held", "Paying", "Claimed", "Released"].iter().any(|state| answer.starts_with(state)) {
            let again = engine_says(&engine, act, items, world.now);
            prop_assert_eq!(&again, &answer, "sent again: {:?}", act);
        }
        prop_assert_eq!(engine.conservation_error(), 0);
    }
    sweep_all(&engine, world.now);
    for (drop, id) in DROPS.iter().enumerate() {
        let (stock, _) = engine.get_drop(&common::drop_id(id), world.now).expect("the drop");
        for (item, pools) in stock.stock.iter().enumerate() {
            prop_assert_eq!(pools[0].free, model.free(drop, item));
        }
    }
    same_after_restart(engine, &world).map(drop)
}

/// hash(live state) = hash(replayed state).
fn same_after_restart(engine: Engine, world: &World) -> Result<Engine, TestCaseError> {
    // What was due is given back first: nothing is due while the server is down, with no grace.
    sweep_all(&engine, world.now);
    let live = engine.inventory().digest();
    engine.journal().close(world.now).expect("a clean stop");
    drop(engine);
    let (engine, _) = world.start();
    prop_assert_eq!(engine.inventory().digest(), live, "the journal replays to another state");
    Ok(engine)
}

#[test]
fn the_engine_answers_like_the_naive_model() {
    let config = Config { cases: HISTORIES, max_shrink_iters: 2_000, failure_persistence: None, ..Config::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let histories = (shapes(), prop::collection::vec(acts(), 1..40));
    let outcome = runner.run(&histories, |(shapes, history)| check(&shapes, &history));
    assert!(outcome.is_ok(), "{}", outcome.expect_err("a failure"));
}
