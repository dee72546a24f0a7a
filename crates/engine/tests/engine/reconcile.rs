//! Reconciliations: what a system of record has on hand, as of a record, against what it should have.

mod histories;

use std::sync::Arc;

use stockade_engine::answer::Reconciling;
use stockade_engine::command::{AdjustStock, ReconcileStock};
use stockade_feed::FeedError;
use stockade_simulation::prelude::*;
use stockade_simulation::reconcile::{expected, feed, reconciled};
use stockade_types::definition::{Item, Moment, Named, Pool, PoolSize, Slot, Tranche, Trigger};
use stockade_types::record::Reconciliation;

use crate::adjustments::made_at;

const EVERYTHING: KeepPolicy = KeepPolicy { age: Millis::from_secs(400 * 24 * 3_600), bytes: u64::MAX };

pub const NOTHING: KeepPolicy = KeepPolicy { age: Millis(0), bytes: 0 };

/// A machine whose journal is kept, and its engine.
pub struct Keeping {
    pub world: World,
    pub engine: Arc<Engine>,
    pub policy: KeepPolicy,
}

impl Keeping {
    /// With a drop of 10 A for members, 20 for all, and 5 B; at second 100 there are 7 more A for members.
    pub fn new() -> Self {
        let mut world = World::new();
        // A start moves no deadline.
        world.options.outage_grace = Millis(0);
        world.options.log.segment_bytes = 500;
        let policy = EVERYTHING;
        let engine = Self::started(&world, policy);
        let mut sale = definition("d", &[("A", 0), ("B", 5)], &[]);
        let members = Pool { size: PoolSize::Units, ..Pool::plain("members".parse().expect("an id"), 10) };
        sale.items[0] = Item::plain(sku("A"), vec![members, Pool::plain("general".parse().expect("an id"), 20)]);
        let when = Trigger::Moment(Moment::from(Named::At(after(100))));
        let pool = Some("members".parse().expect("an id"));
        sale.rules.tranches = vec![Tranche { id: "more".parse().expect("an id"), sku: sku("A"), pool, units: 7, when }];
        create(&engine, sale, START);
        Self { world, engine, policy }
    }

    fn started(world: &World, policy: KeepPolicy) -> Arc<Engine> {
        let folder = world.folder().keeping_in(Arc::new(world.journal.beside("kept/")), policy);
        Arc::new(recover(&folder, &world.options, &|| world.now).expect("an engine").engine)
    }

    /// Stops in order and starts again.
    pub fn restart(&mut self) {
        self.engine.journal().close(self.world.now).expect("a clean stop");
        self.engine = Self::started(&self.world, self.policy);
    }

    pub fn now(&self) -> Lsn {
        self.engine.journal().appended()
    }

    /// A hold of A that is claimed, of this pool if one is named.
    fn sold(&self, n: u64, units: u32, pool: Option<&str>) {
        let mut command = reserve(hold_id(n), "d", "ada", &[("A", units)]);
        command.lines[0].pool = pool.map(|pool| pool.parse().expect("an id"));
        self.engine.granted(&command, self.world.now);
        self.engine.granted(&claim(hold_id(n), "order"), self.world.now);
    }

    fn returned(&self, n: u64, units: u32, restock: bool) {
        let returned = lines(&[("A", units)]);
        self.engine.granted(&Return { target: target(hold_id(n)), returned, restock }, self.world.now);
    }

    /// The drift, what was applied, and the shortage.
    fn compared(&self, command: &ReconcileStock) -> Result<(i64, i64, u64), Fault> {
        let answer = reconciled(&self.engine, command, self.world.now)?;
        Ok((answer.drift, answer.applied, answer.shortage))
    }

    /// Received and free units of the pools of A.
    fn stock(&self) -> Vec<(u64, u64)> {
        let view = self.engine.view("d", self.world.now);
        view.stock[0].iter().map(|pool| (pool.received, pool.free)).collect()
    }
}

/// The n-th reconciliation of all A.
fn of_a(n: u64, as_of: Lsn, on_hand: u64) -> ReconcileStock {
    let id = AdjustmentId::from_bytes(*hold_id(n).as_bytes());
    ReconcileStock { drop: drop_id("d"), sku: sku("A"), pool: None, id, as_of, on_hand, dry_run: false }
}

fn in_pool(command: ReconcileStock, pool: &str) -> ReconcileStock {
    ReconcileStock { pool: Some(pool.parse().expect("an id")), ..command }
}

fn exists(answer: &Result<(i64, i64, u64), Fault>) -> &'static str {
    let Err(Fault::Exists { field, .. }) = answer else { panic!("{answer:?}") };
    field
}

#[test]
fn what_was_sold_since_is_no_drift_and_the_difference_goes_to_the_pool_that_takes_the_rest() {
    let shop = Keeping::new();
    let before = shop.now();
    shop.sold(1, 4, None);
    let after_sale = shop.now();
    shop.sold(2, 3, None);
    assert_eq!(shop.compared(&of_a(1, before, 30)), Ok((0, 0, 0)), "it has seen no sale");
    assert_eq!(shop.compared(&of_a(2, after_sale, 26)), Ok((0, 0, 0)), "it has seen one");
    assert_eq!(shop.compared(&of_a(3, shop.now(), 23)), Ok((0, 0, 0)), "it has seen both");
    assert_eq!(shop.stock(), [(10, 3), (20, 20)]);
    assert_eq!(shop.compared(&of_a(4, after_sale, 28)), Ok((2, 2, 0)), "two more");
    assert_eq!(shop.stock(), [(10, 3), (22, 22)]);
    assert_eq!(shop.compared(&in_pool(of_a(5, after_sale, 5), "members")), Ok((-1, -1, 0)), "one fewer for members");
    assert_eq!(shop.stock(), [(9, 2), (22, 22)]);
}

#[test]
fn what_was_corrected_since_is_not_corrected_again_whoever_counts() {
    let shop = Keeping::new();
    let before = shop.now();
    assert_eq!(shop.compared(&of_a(1, before, 35)), Ok((5, 5, 0)));
    assert_eq!(shop.compared(&of_a(2, before, 35)), Ok((0, 0, 0)), "the same shelf, a minute later");
    assert_eq!(shop.compared(&in_pool(of_a(3, before, 25), "general")), Ok((0, 0, 0)), "of the pool that took it");
    assert_eq!(shop.compared(&of_a(4, shop.now(), 35)), Ok((0, 0, 0)), "it has taken the correction in");
    assert_eq!(shop.compared(&of_a(5, before, 34)), Ok((-1, -1, 0)), "another count of the same instant");
    let more = adjust("d", "A", 9, StockChange::Delta(3));
    durable(&shop.engine, shop.engine.adjust_stock(&more, Context::anonymous(START))).expect("adjusted");
    assert_eq!(shop.compared(&of_a(6, before, 34)), Ok((0, 0, 0)), "an adjustment is no correction");
    assert_eq!(shop.compared(&of_a(7, shop.now(), 37)), Ok((0, 0, 0)), "but it is there");
}

#[test]
fn units_that_customers_have_are_not_taken_out_and_are_the_shortage() {
    let mut shop = Keeping::new();
    shop.engine.granted(&reserve(hold_id(1), "d", "ada", &[("A", 26)]), START);
    assert_eq!(shop.stock(), [(10, 0), (20, 4)]);
    assert_eq!(shop.compared(&ReconcileStock { dry_run: true, ..of_a(1, shop.now(), 20) }), Ok((-10, 0, 6)));
    assert_eq!(shop.stock(), [(10, 0), (20, 4)], "nothing was changed");
    assert_eq!(shop.compared(&of_a(1, shop.now(), 20)), Ok((-10, -4, 6)));
    assert_eq!(shop.stock(), [(10, 0), (16, 0)]);
    // Once the hold is due, its units are taken out.
    shop.world.now = after(400);
    shop.engine.view("d", shop.world.now);
    assert_eq!(shop.compared(&of_a(2, shop.now(), 27)), Ok((-6, -6, 0)), "of 26, and 7 more for members");
    assert_eq!(shop.stock(), [(17, 17), (10, 10)]);
    // What other pools have free is not taken: it is a shortage until somebody takes it out of there.
    assert_eq!(shop.compared(&of_a(3, shop.now(), 12)), Ok((-15, -10, 5)));
    assert_eq!(shop.stock(), [(17, 17), (0, 0)]);
}

#[test]
fn an_id_is_used_once_and_its_answer_stays_through_restarts_snapshots_and_followers() {
    let mut shop = Keeping::new();
    let before = shop.now();
    let first = of_a(1, before, 28);
    shop.engine.granted(&reserve(hold_id(1), "d", "ada", &[("A", 29)]), START);
    let dry = ReconcileStock { dry_run: true, ..first.clone() };
    assert_eq!(shop.compared(&dry), Ok((-2, 0, 1)));
    assert_eq!(shop.compared(&ReconcileStock { on_hand: 31, ..dry }), Ok((1, 0, 0)), "a comparison is not remembered");
    assert_eq!(shop.compared(&first), Ok((-2, -1, 1)));
    let more = adjust("d", "A", 2, StockChange::Delta(3));
    durable(&shop.engine, shop.engine.adjust_stock(&more, Context::anonymous(START))).expect("adjusted");
    let check = |shop: &Keeping, start: &str| {
        assert_eq!(shop.compared(&first), Ok((-2, -1, 1)), "{start}");
        assert_eq!(shop.compared(&ReconcileStock { dry_run: true, ..first.clone() }), Ok((-2, -1, 1)), "{start}");
        for (other, field) in [
            (in_pool(first.clone(), "general"), "pool"),
            (in_pool(first.clone(), "members"), "pool"),
            (ReconcileStock { as_of: shop.now(), ..first.clone() }, "as_of"),
            (ReconcileStock { on_hand: 29, ..first.clone() }, "on_hand"),
            (of_a(2, before, 28), "change"),
        ] {
            assert_eq!(exists(&shop.compared(&other)), field, "{start}");
        }
        let adjustment = AdjustStock { id: first.id, ..adjust("d", "A", 1, StockChange::Delta(3)) };
        let refused = shop.engine.adjust_stock(&adjustment, Context::anonymous(START)).map(|_| ());
        assert!(matches!(refused, Err(Decided { value: Fault::Exists { field: "change", .. }, .. })), "{refused:?}");
        shop.engine.inventory().digest()
    };
    let digest = check(&shop, "live");
    known_to_followers(&shop.world, AtOnce::Each, digest);
    for start in ["from the journal", "from a snapshot", "from a snapshot of that"] {
        if start != "from the journal" {
            shop.engine.snapshot(&shop.world.snapshots, START).expect("a snapshot");
        }
        shop.restart();
        assert_eq!(check(&shop, start), digest, "{start}");
    }
    assert_eq!(shop.stock(), [(10, 0), (22, 3)]);
}

#[test]
fn an_old_id_that_is_not_remembered_is_refused() {
    let mut shop = Keeping::new();
    let at = |n: u64| START.plus(Millis(n));
    for n in 1..=257 {
        shop.world.now = at(n);
        let command = ReconcileStock { id: made_at(at(n)), ..of_a(0, shop.now(), 30) };
        assert_eq!(shop.compared(&command), Ok((0, 0, 0)));
    }
    shop.world.now = at(300).plus(Millis::from_secs(7 * 24 * 3_600));
    let last = ReconcileStock { id: made_at(shop.world.now), ..of_a(0, shop.now(), 30) };
    assert_eq!(shop.compared(&last), Ok((0, 0, 0)), "the tranche came after it");
    let refused = shop.compared(&ReconcileStock { id: made_at(at(1)), ..of_a(0, Lsn(2), 30) });
    let Err(Fault::Invalid(fields)) = &refused else { panic!("{refused:?}") };
    assert_eq!(fields[0].field, "reconciliation_id");
}

#[test]
fn what_does_not_fit_the_drop_is_refused_by_field() {
    let mut shop = Keeping::new();
    let asked = |change: fn(&mut ReconcileStock)| {
        let mut command = of_a(1, Lsn(1), 30);
        change(&mut command);
        shop.compared(&command).expect_err("refused")
    };
    assert!(matches!(asked(|asked| asked.drop = drop_id("other")), Fault::NoDrop(_)));
    let field = |fault| if let Fault::Invalid(fields) = fault { fields[0].field.clone() } else { panic!("{fault:?}") };
    assert_eq!(field(asked(|asked| asked.sku = sku("C"))), "sku");
    assert_eq!(field(asked(|asked| asked.pool = Some(pool_id(3)))), "pool");
    assert!(matches!(asked(|asked| asked.on_hand = 1_000_000_000_011), Fault::Precondition(_)), "more than may be");
    let most = of_a(1, Lsn(1), 1_000_000_000_010);
    assert_eq!(shop.compared(&most), Ok((999_999_999_980, 999_999_999_980, 0)));
    shop.engine.steered("d", Steer::Close, START);
    assert_eq!(shop.compared(&of_a(2, shop.now(), 1_000_000_000_009)), Ok((-1, -1, 0)), "also of a closed drop");
    shop.world.now = after(30 * 24 * 3_600);
    shop.engine.sweep_all(shop.world.now);
    Agenda::new(Arc::clone(&shop.engine)).run_due(shop.world.now);
    assert!(matches!(shop.compared(&of_a(3, shop.now(), 1)), Err(Fault::Precondition(_))), "archived");
}

#[test]
fn a_slot_that_has_begun_is_not_compared() {
    let mut shop = Keeping::new();
    let moment = |seconds| Moment::from(Named::At(after(seconds)));
    let slot = Slot { place: "market".into(), starts: moment(50), ends: moment(60) };
    let mut sale = definition("d2", &[("A", 5), ("visit", 5)], &[]);
    sale.items[1].slot = Some(slot);
    create(&shop.engine, sale, START);
    let created = shop.now();
    let visits = |n| ReconcileStock { drop: drop_id("d2"), sku: sku("visit"), ..of_a(n, created, 4) };
    assert_eq!(shop.compared(&visits(1)), Ok((-1, -1, 0)));
    shop.world.now = after(50);
    assert!(matches!(shop.compared(&visits(2)), Err(Fault::Precondition(_))));
}

#[test]
fn a_reconciliation_after_the_count_makes_it_anew_and_nothing_else_does() {
    let shop = Keeping::new();
    let command = of_a(1, shop.now(), 32);
    let ask = |expected| {
        let answer = shop.engine.reconcile_stock(&command, expected, Context::anonymous(START));
        durable(&shop.engine, answer).expect("an answer")
    };
    let Reconciling::Counted(counted) = ask(None) else { panic!("not counted") };
    let known = expected(&feed(&shop.engine), command.as_of, &counted).expect("kept");
    assert_eq!(shop.compared(&of_a(2, command.as_of, 32)), Ok((2, 2, 0)), "another one is faster");
    let Reconciling::Counted(counted) = ask(Some(known)) else { panic!("by a count from before the other one") };
    assert_eq!(counted.on_hand, 32);
    let known = expected(&feed(&shop.engine), command.as_of, &counted).expect("kept");
    shop.sold(3, 1, None);
    let more = adjust("d", "A", 9, StockChange::Delta(3));
    durable(&shop.engine, shop.engine.adjust_stock(&more, Context::anonymous(START))).expect("adjusted");
    let Reconciling::Done(done) = ask(Some(known)) else { panic!("a sale and an adjustment make no new count") };
    assert_eq!((done.drift, done.applied, done.view.stock[0][1].received), (0, 0, 25));
}

#[test]
fn returns_of_both_kinds_are_told_apart_and_where_that_is_not_known_nothing_is_compared() {
    let mut shop = Keeping::new();
    shop.sold(1, 6, None);
    let start = shop.now();
    for restock in [true, false, false, true, true] {
        shop.returned(1, u32::try_from(shop.now().0 - start.0 + 1).expect("few"), restock);
    }
    let last = shop.now();
    for (as_of, on_hand) in (start.0..=last.0).zip([24, 25, 25, 25, 26, 27]) {
        let dry = ReconcileStock { dry_run: true, ..of_a(1, Lsn(as_of), on_hand) };
        assert_eq!(shop.compared(&dry), Ok((0, 0, 0)), "as of {as_of}");
    }
    // The next return's totals are those of either kind: without the record before it nobody knows.
    shop.policy = NOTHING;
    for _ in 0..3 {
        shop.engine.snapshot(&shop.world.snapshots, START).expect("a snapshot");
        (0..7).for_each(|n| shop.sold(10 + n + shop.now().0, 1, None));
        shop.restart();
    }
    let history = shop.engine.history().expect("a history");
    history.tend(after(1)).expect("tended");
    assert!(history.oldest().expect("listed") > last, "{:?}", history.oldest());
    let as_of = shop.now();
    shop.returned(1, u32::try_from(last.0 - start.0 + 1).expect("few"), false);
    shop.engine.journal().barrier().wait().expect("durable");
    let answer = shop.engine.reconcile_stock(&of_a(1, as_of, 26), None, Context::anonymous(START));
    let Ok(Decided { value: Reconciling::Counted(counted), .. }) = answer else { panic!("{answer:?}") };
    let unknown = expected(&feed(&shop.engine), as_of, &counted);
    assert!(matches!(unknown, Err(FeedError::Unknown(lsn)) if lsn == as_of.next()), "{unknown:?}");
    assert!(expected(&feed(&shop.engine), as_of.next(), &counted).is_ok(), "as of that return");
}

#[test]
fn its_record_says_what_was_compared_and_is_an_event_with_its_id() {
    let shop = Keeping::new();
    let as_of = shop.now();
    shop.compared(&of_a(7, as_of, 28)).expect("compared");
    let (_, last) = records(&shop.world).pop().expect("a record");
    let Record::Adjusted(adjusted) = last else { panic!("{last:?}") };
    let of = Reconciliation { whole_item: true, as_of, on_hand: 28, drift: -2, applied: -2 };
    assert_eq!((adjusted.adjustment.change, adjusted.adjustment.pool), (StockChange::Reconcile(of), PoolNo(1)));
    let events = crate::events::all(&crate::events::feed(&shop.engine));
    let stockade_feed::Detail::Stock { cause, .. } = &events.last().expect("an event").detail else {
        panic!("{events:?}")
    };
    assert_eq!(*cause, AdjustmentId::from_bytes(*hold_id(7).as_bytes()));
}
