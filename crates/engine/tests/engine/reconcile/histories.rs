//! Random histories: what should be on hand as of any record is what a replay up to it has, with what was corrected
//! since.

use proptest::prelude::*;
use stockade_engine::answer::Reconciling;
use stockade_engine::command::ReconcileStock;
use stockade_simulation::prelude::*;
use stockade_simulation::reconcile::{expected, feed, reconciled};
use stockade_types::record::PoolFigures;

use super::Keeping;

/// Holds of a history.
const HOLDS: u64 = 6;

/// The pools of A: members and general.
const POOLS: [&str; 2] = ["members", "general"];

#[derive(Debug, Clone, Copy)]
enum Act {
    Reserve { hold: u64, units: [u32; 2], pool: Option<usize>, instead: Option<u64> },
    Pay(u64),
    Claim { hold: u64, units: Option<u32>, late: bool },
    Release { hold: u64, keep: u32 },
    Return { hold: u64, units: u32, restock: bool },
    Pass(u64),
    Adjust { pool: usize, change: StockChange },
    Reconcile { number: u64, back: u64, pool: Option<usize>, off: i64, dry_run: bool },
    Restart,
}

fn acts() -> impl Strategy<Value = Act> {
    let (hold, pool, units) = (|| 0..HOLDS, || 0..POOLS.len(), || 1_u32..5);
    let which = || prop::option::weighted(0.5, 0..POOLS.len());
    let change = prop_oneof![
        (-4_i64..5).prop_map(StockChange::Delta),
        (8_u64..24, 8_u64..24).prop_map(|(expected, units)| StockChange::SetReceived { expected, units }),
    ];
    let reconcile = (0_u64..30, 0_u64..20, which(), -6_i64..7, prop::bool::weighted(0.2));
    prop_oneof![
        8 => (hold(), [units(), 0..3], which(), prop::option::weighted(0.2, hold()))
            .prop_map(|(hold, units, pool, instead)| Act::Reserve { hold, units, pool, instead }),
        1 => hold().prop_map(Act::Pay),
        6 => (hold(), prop::option::weighted(0.4, units()), prop::bool::weighted(0.4))
            .prop_map(|(hold, units, late)| Act::Claim { hold, units, late }),
        2 => (hold(), 0_u32..3).prop_map(|(hold, keep)| Act::Release { hold, keep }),
        6 => (hold(), units(), any::<bool>())
            .prop_map(|(hold, units, restock)| Act::Return { hold, units, restock }),
        3 => (1_u64..200).prop_map(Act::Pass),
        3 => (pool(), change).prop_map(|(pool, change)| Act::Adjust { pool, change }),
        5 => reconcile.prop_map(|(number, back, pool, off, dry_run)| {
            Act::Reconcile { number, back, pool, off, dry_run }
        }),
        1 => Just(Act::Restart),
    ]
}

fn named(place: usize) -> stockade_types::ids::PoolId {
    POOLS[place].parse().expect("an id")
}

/// The units of A, or of one of its pools, that a replay up to a record has and that are not sold, and what
/// reconciliations have corrected since.
fn replayed(shop: &Keeping, as_of: Lsn, pool: Option<usize>) -> (i64, i64) {
    let records = records(&shop.world);
    let until = records.partition_point(|(lsn, _)| *lsn <= as_of);
    let then = loaded(&shop.world, &records[..until]);
    let is_of = |place: usize| pool.is_none_or(|pool| pool == place);
    let figures = then.drops.with_id(&drop_id("d"), |entry| entry.item_figures(ItemNo(0))).expect("the drop");
    let there = figures.iter().enumerate().filter(|(place, _)| is_of(*place)).map(|(_, figures)| {
        let PoolFigures { basis: PoolBasis { received, taken_out }, claimed, withdrawn, .. } = *figures;
        i64::try_from(received - taken_out - claimed - withdrawn).expect("few")
    });
    let corrected = records[until..].iter().filter_map(|(_, record)| {
        let Record::Adjusted(adjusted) = record else { return None };
        let Adjusted { adjustment, .. } = adjusted.as_ref();
        let StockChange::Reconcile(made) = adjustment.change else { return None };
        is_of(adjustment.pool.index()).then_some(made.applied)
    });
    (there.sum(), corrected.sum())
}

/// Does one thing. Whether it is refused does not matter here, nor that a request is no repeat of another.
fn act(shop: &mut Keeping, act: Act) {
    let now = shop.world.now;
    let send = |done: Result<Decided<Outcome>, Fault>| drop(done);
    match act {
        Act::Reserve { hold, units: [a, b], pool, instead } => {
            let goods = if b > 0 { vec![("A", a), ("B", b)] } else { vec![("A", a)] };
            let mut command = reserve(hold_id(hold), "d", "ada", &goods);
            command.lines[0].pool = pool.map(named);
            command.allow_partial = b > 1;
            command.supersedes = instead.map(hold_id);
            send(shop.engine.try_ask(&command, now));
        }
        Act::Pay(hold) => {
            send(shop.engine.try_ask(&Extend { stage: Some(Stage::Paying), ..extend(hold_id(hold), None) }, now));
        }
        Act::Claim { hold, units, late } => {
            let expired = if late { ExpiredPolicy::TakeFreeStock } else { ExpiredPolicy::Refuse };
            let lines = units.map_or_else(Vec::new, |units| lines(&[("A", units)]));
            send(shop.engine.try_ask(&Claim { expired, lines, ..claim(hold_id(hold), "order") }, now));
        }
        Act::Release { hold, keep } => {
            let keep: &[(&str, u32)] = if keep > 0 { &[("A", keep)] } else { &[] };
            send(shop.engine.try_ask(&release(hold_id(hold), keep), now));
        }
        Act::Return { hold, units, restock } => {
            let returned = lines(&[("A", units)]);
            send(shop.engine.try_ask(&Return { target: target(hold_id(hold)), returned, restock }, now));
        }
        Act::Pass(seconds) => {
            shop.world.now = now.plus(Millis::from_secs(seconds));
            Agenda::new(std::sync::Arc::clone(&shop.engine)).run_due(shop.world.now);
        }
        Act::Adjust { pool, change } => {
            let command = adjust("d", "A", 1_000 + shop.now().0, change);
            let command = stockade_engine::command::AdjustStock { pool: Some(named(pool)), ..command };
            drop(durable(&shop.engine, shop.engine.adjust_stock(&command, Context::anonymous(now))));
        }
        Act::Reconcile { number, back, pool, off, dry_run } => reconcile(shop, (number, back), pool, (off, dry_run)),
        Act::Restart => shop.restart(),
    }
}

/// A count that is off by some units of what a replay has, and its answer.
fn reconcile(shop: &Keeping, (number, back): (u64, u64), pool: Option<usize>, (off, dry_run): (i64, bool)) {
    shop.engine.journal().barrier().wait().expect("durable");
    let as_of = Lsn(shop.now().0.saturating_sub(back).max(1));
    let (there, corrected) = replayed(shop, as_of, pool);
    let on_hand = u64::try_from(there + corrected + off).unwrap_or(0);
    let id = AdjustmentId::from_bytes(*hold_id(number).as_bytes());
    let (drop, pool) = (drop_id("d"), pool.map(named));
    let command = ReconcileStock { drop, sku: sku("A"), pool, id, as_of, on_hand, dry_run };
    let before = shop.engine.view("d", shop.world.now);
    match reconciled(&shop.engine, &command, shop.world.now) {
        Ok(made) => {
            let drift = i64::try_from(on_hand).expect("few") - there - corrected;
            let is_known = !dry_run && made.view.stock == before.stock && made.applied != 0;
            assert!(is_known || made.drift == drift, "{} for {drift}: {command:?}", made.drift);
        }
        // The number was used for something else.
        Err(Fault::Exists { .. }) => {}
        Err(fault) => panic!("{command:?}: {fault:?}"),
    }
}

/// As of every record, and for all pools and each.
fn all_as_replayed(shop: &Keeping) {
    shop.engine.journal().barrier().wait().expect("durable");
    let feed = feed(&shop.engine);
    for pool in [None, Some(0), Some(1)] {
        let id = AdjustmentId::from_bytes([0xff; 16]);
        let command = ReconcileStock {
            drop: drop_id("d"),
            sku: sku("A"),
            pool: pool.map(named),
            id,
            as_of: Lsn(1),
            on_hand: 0,
            dry_run: true,
        };
        let counted = shop.engine.reconcile_stock(&command, None, Context::anonymous(shop.world.now));
        let Ok(Decided { value: Reconciling::Counted(counted), .. }) = counted else { panic!("{counted:?}") };
        shop.engine.journal().barrier().wait().expect("durable");
        for as_of in 1..=counted.at.0 {
            let (there, corrected) = replayed(shop, Lsn(as_of), pool);
            let known = expected(&feed, Lsn(as_of), &counted).expect("kept");
            assert_eq!(known.on_hand, there + corrected, "as of {as_of} of {}, {pool:?}", counted.at);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn what_should_be_on_hand_is_what_a_replay_has_and_what_was_corrected_since(
        history in prop::collection::vec(acts(), 1..70),
    ) {
        let mut shop = Keeping::new();
        for one in history {
            act(&mut shop, one);
        }
        all_as_replayed(&shop);
        prop_assert_eq!(shop.engine.conservation_error(), 0);
        shop.engine.journal().barrier().wait().expect("durable");
        let digest = shop.engine.inventory().digest();
        known_to_followers(&shop.world, AtOnce::Drawn(1), digest);
        shop.restart();
        prop_assert_eq!(shop.engine.inventory().digest(), digest);
        all_as_replayed(&shop);
    }
}
