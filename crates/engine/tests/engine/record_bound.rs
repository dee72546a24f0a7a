//! The largest drops: every record about one that is taken fits its bound, whatever of it fires, and one that could
//! outgrow it is refused.

use std::sync::Arc;

use stockade_engine::answer::InvalidField;
use stockade_engine::background::agenda::AgendaEntry;
use stockade_simulation::prelude::*;
use stockade_types::definition::{
    Audience, Currency, Flow, Item, LIMIT_TIERS_MAX, LIMITS_MAX, Money, Named, PRICE_STEPS_MAX, PRICE_TERMS_MAX, Pool,
    PriceStep, PriceTerms, SIGNALS_MAX, Signal, TRANCHES_MAX, Tranche, Trigger, WINDOWS_MAX, Window,
};
use stockade_types::record::{DROP_IMAGE_BYTES_MAX, ORIGIN_TEXT_MAX, Origin, RECORD_BYTES_MAX};

/// Late in the year 9999: instants take as many bytes as they can.
const LATE: Timestamp = Timestamp(253_402_000_000_000);
/// Items with pools that flow, and the pools of each: every pool can have all of its flows.
const ITEMS: usize = 56;
const POOLS: usize = 9;
const FLOWS: usize = ITEMS * POOLS * (POOLS - 1);

fn id<T: for<'t> TryFrom<&'t str>>(text: &str) -> T {
    T::try_from(text).ok().expect("an id")
}

const fn late(seconds: u64) -> Timestamp {
    LATE.plus(Millis::from_secs(seconds))
}

fn when() -> Trigger {
    Trigger::Moment(Named::AfterOpening(20_000).into())
}

fn items() -> Vec<Item> {
    let pool_id = |pool: usize| id(&format!("p{pool}"));
    let pool = |pool: usize| {
        let others = (0..POOLS).filter(|other| *other != pool);
        let flows = others.map(|other| Flow { to: pool_id(other), when: Some(when()) }).collect();
        Pool { flows, ..Pool::plain(pool_id(pool), u64::from(pool == 0)) }
    };
    (0..ITEMS).map(|item| Item::plain(sku(&format!("S{item}")), (0..POOLS).map(pool).collect())).collect()
}

/// Limits that name this many tiers together.
fn limits(tiers: usize) -> Vec<Limit> {
    let names = |n: usize| {
        let of_limit = (0..LIMIT_TIERS_MAX).take(tiers.saturating_sub(n * LIMIT_TIERS_MAX));
        of_limit.map(|tier| (id(&format!("{tier:0>64}")), 1)).collect()
    };
    let limit = |n: usize| Limit { max_units_by_tier: names(n), ..Limit::new(id(&format!("l{n}")), Scope::Drop) };
    (0..LIMITS_MAX).map(limit).collect()
}

/// As many rules of each kind as there may be, all due 20 s behind the opening.
fn largest(tiers: usize) -> Definition {
    let mut drop = definition("d", &[("A", 1)], &[]);
    let moment = Some(Named::AfterOpening(20_000).into());
    let audience = Audience::default;
    let price = Money { currency: Currency::of("EUR").expect("a code"), minor_units: 100 };
    drop.schedule.opens_at = Some(late(10));
    drop.schedule.closes_at = Some(late(1_000));
    (drop.items, drop.limits) = (items(), limits(tiers));
    let window = |n: usize| Window {
        id: id(&format!("w{n}")),
        audience: audience(),
        skus: Vec::new(),
        pools: Vec::new(),
        starts: moment,
        ends: Some(Named::AfterOpening(900_000).into()),
        hold_ttl: None,
    };
    let terms = |n: usize| PriceTerms {
        id: id(&format!("t{n}")),
        audience: audience(),
        skus: Vec::new(),
        pools: Vec::new(),
        starts: moment,
        ends: Some(Named::AfterOpening(900_000).into()),
        price,
        steps: vec![PriceStep { when: when(), price }; PRICE_STEPS_MAX],
    };
    let tranche =
        |n: usize| Tranche { id: id(&format!("r{n}")), sku: sku("S1"), pool: Some(id("p0")), units: 1, when: when() };
    let signal = |n: usize| Signal {
        id: id(&format!("s{n}")),
        on: when(),
        audience: audience(),
        channels: Vec::new(),
        repeat_after: None,
        valid_for: Millis::from_secs(60),
        labels: std::collections::BTreeMap::new(),
        defined_at: Timestamp::default(),
    };
    drop.rules.windows = (0..WINDOWS_MAX).map(window).collect();
    drop.rules.prices = (0..PRICE_TERMS_MAX).map(terms).collect();
    drop.rules.tranches = (0..TRANCHES_MAX).map(tranche).collect();
    drop.rules.signals = (0..SIGNALS_MAX).map(signal).collect();
    drop
}

/// Why a drop that names this many tiers is refused; none if it would be taken.
fn refusal(engine: &Engine, tiers: usize) -> Option<Vec<InvalidField>> {
    let command = CreateDrop { definition: largest(tiers), validate_only: true };
    match engine.create_drop(&command, Context::anonymous(LATE)) {
        Ok(_) => None,
        Err(Decided { value: Fault::Invalid(fields), .. }) => Some(fields),
        Err(other) => panic!("another fault: {:?}", other.value),
    }
}

/// How many tiers the largest drop names that is taken.
fn at_the_edge(engine: &Engine) -> usize {
    let (mut taken, mut refused) = (0, LIMITS_MAX * LIMIT_TIERS_MAX);
    assert!(refusal(engine, taken).is_none(), "without any it is taken");
    while refused - taken > 1 {
        let middle = taken.midpoint(refused);
        if refusal(engine, middle).is_none() { taken = middle } else { refused = middle }
    }
    taken
}

#[test]
fn the_largest_drop_that_is_taken_makes_no_record_that_is_too_large() {
    let mut world = World::new();
    world.now = LATE;
    let (engine, _) = world.start();
    let engine = Arc::new(engine);
    let tiers = at_the_edge(&engine);
    let fields = refusal(&engine, tiers + 1).expect("one more is refused");
    let named: Vec<&str> = fields.iter().map(|field| field.field.as_str()).collect();
    assert_eq!(named, ["drop.items", "drop.terms", "drop.signals", "drop.tranches", "drop.windows"]);
    let description = &fields[0].description;
    assert!(description.starts_with(&format!("can fire {FLOWS} times: ")), "{description}");
    assert!(description.ends_with(&format!(" bytes, {RECORD_BYTES_MAX} at most")), "{description}");

    create(&engine, largest(tiers), LATE);
    let mut agenda = Agenda::new(Arc::clone(&engine));
    agenda.run_entry(AgendaEntry::Moments, late(60));
    for n in 0..ITEMS {
        let n = u64::try_from(n).expect("few");
        engine.granted(&reserve(hold_id(n), "d", "ada", &[(&format!("S{n}"), 1)]), late(60));
    }
    agenda.run_entry(AgendaEntry::Sale, late(60));
    let more = update(&engine, "d", late(61), |wanted| wanted.title = "x".repeat(200));
    assert!(engine.update_drop(&more, Context::anonymous(late(61))).is_err(), "no byte more of anything");
    let text = || Some("x".repeat(ORIGIN_TEXT_MAX).into());
    let origin = Origin { peer: text(), request_id: text(), ..Origin::ANONYMOUS };
    let closing = Context { now: late(62), origin: &origin };
    engine.steer(&drop_id("d"), Steer::Close, closing).expect("closed");
    engine.journal().barrier().wait().expect("durable");

    let sizes = |(_, record): (Lsn, Record)| {
        let Record::DropFact(fact) = &record else { return None };
        let marks = fact.marks.len();
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        Some((bytes.len(), marks))
    };
    let sizes: Vec<(usize, usize)> = records(&world).into_iter().filter_map(sizes).collect();
    let (most, marks) = sizes.iter().copied().max().expect("facts");
    assert!(most <= RECORD_BYTES_MAX, "{most} bytes");
    assert!(most > RECORD_BYTES_MAX / 10 * 9 && marks > FLOWS, "{most} bytes: the bound is not far off");
    assert!(sizes.len() > 5, "created, turned, made known, closed");
    let engine = (drop(agenda), Arc::into_inner(engine).expect("nobody else has it")).1;
    world.now = late(63);
    restart(engine, &world, AtOnce::Drawn(1));
}

#[test]
fn an_update_that_could_outgrow_a_record_is_refused_by_its_fields() {
    let mut world = World::new();
    world.now = LATE;
    let (engine, _) = world.start();
    let tiers = at_the_edge(&engine);
    create(&engine, largest(tiers), LATE);
    let more = update(&engine, "d", LATE, |wanted| wanted.limits = limits(tiers + 1));
    for validate_only in [true, false] {
        let command = UpdateDrop { validate_only, ..more.clone() };
        let Err(Decided { value: Fault::Invalid(fields), .. }) = engine.update_drop(&command, Context::anonymous(LATE))
        else {
            panic!("it is taken")
        };
        assert_eq!(fields[0].field, "drop.items");
    }
    let fewer = update(&engine, "d", LATE, |wanted| wanted.limits = limits(tiers - 1));
    engine.updated(&fewer, LATE);
}

#[test]
fn the_bound_of_a_definition_alone_is_as_it_was() {
    let (engine, _) = World::new().start();
    let mut drop = definition("d", &[("A", 1)], &[]);
    drop.limits = limits(LIMITS_MAX * LIMIT_TIERS_MAX);
    let command = CreateDrop { definition: drop, validate_only: true };
    let Err(Decided { value: Fault::Invalid(fields), .. }) = engine.create_drop(&command, Context::anonymous(START))
    else {
        panic!("it is taken")
    };
    assert_eq!(fields[0].field, "drop.limits");
    assert!(fields[0].description.ends_with(&format!("{DROP_IMAGE_BYTES_MAX} at most")), "{:?}", fields[0]);
}
