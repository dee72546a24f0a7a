//! Facts of other systems: taken once by their ids, counted by drop and hour, and what they tell of customers.

use stockade_engine::Bounds;
use stockade_engine::command::Target;
use stockade_engine::operators::facts::{RecordedFacts, ReportedFact};
use stockade_simulation::prelude::*;
use stockade_types::definition::{Audience, Conduct, ConductRule};
use stockade_types::ids::{FactId, ShopId, ZoneId};
use stockade_types::record::{Demand, FACT_KEPT, FACTS_MAX, FactKind, FactTally};

const DAY: Millis = Millis::from_secs(24 * 3_600);

/// A fact of the drop `d`, about the order `o` if its kind needs one.
fn fact(id: &str, kind: FactKind) -> ReportedFact {
    ReportedFact {
        index: 0,
        id: FactId::try_from(id).expect("an id"),
        kind,
        time: START,
        shop: shop(),
        drop: Some(drop_id("d")),
        order: (!kind.is_demand()).then(|| OrderRef::try_from("o").expect("a ref")),
        sku: None,
        zone: None,
        customer: None,
        value: 1,
    }
}

fn shop() -> ShopId {
    "default".parse().expect("a shop")
}

fn of_order(id: &str, kind: FactKind, order: &str) -> ReportedFact {
    ReportedFact { order: Some(order.parse().expect("a ref")), ..fact(id, kind) }
}

fn record_at(engine: &Engine, facts: &[ReportedFact], now: Timestamp) -> Result<RecordedFacts, Fault> {
    let placed = (0..).zip(facts).map(|(index, fact)| ReportedFact { index, ..fact.clone() });
    durable(engine, engine.record_facts(&placed.collect::<Vec<_>>(), Context::anonymous(now)))
}

fn record(engine: &Engine, facts: &[ReportedFact]) -> RecordedFacts {
    record_at(engine, facts, START).expect("recorded")
}

/// The numbers of recorded and known facts, and each fault's place and field.
fn told(recorded: &RecordedFacts) -> (u32, u32, Vec<(u32, &'static str)>) {
    let faults = recorded.faults.iter().map(|fault| (fault.index, fault.field)).collect();
    (recorded.recorded, recorded.known, faults)
}

fn tally(engine: &Engine, drop: &str) -> FactTally {
    engine.fact_tally(&drop_id(drop)).expect("a drop")
}

fn world() -> (World, Engine) {
    let world = World::new();
    let engine = world.start().0;
    create(&engine, definition("d", &[("A", 100)], &[]), START);
    (world, engine)
}

/// A rule that allows one unit of `e` to who did something this often within 400 days.
fn strict(counts: Conduct, at_least: u32) -> ConductRule {
    let limit = Limit { max_units: Some(1), ..Limit::new("strict".parse().expect("an id"), Scope::Drop) };
    let within = Millis::from_secs(400 * 24 * 3_600);
    ConductRule { counts, at_least, within, audience: Audience::default(), hold_ttl: None, limit }
}

/// A drop with rules of conduct.
fn create_strict(engine: &Engine, id: &str, rules: &[ConductRule]) {
    let mut drop = definition(id, &[("A", 100)], &[]);
    drop.rules.conduct = rules.to_vec();
    create(engine, drop, START);
}

/// A claimed hold of two units.
fn buy(engine: &Engine, n: u64, customer: &str, order: &str) {
    engine.granted(&with_card(reserve(hold_id(n), "d", customer, &[("A", 2)]), "4242"), START);
    engine.granted(&claim(hold_id(n), order), START);
}

/// Whether a customer gets two units of `e`.
fn gets_two(engine: &Engine, n: u64, customer: &str, now: Timestamp) -> bool {
    let asked = engine.ask(&reserve(hold_id(n), "e", customer, &[("A", 2)]), now).value;
    match asked {
        Outcome::Hold(_) => {
            engine.granted(&release(hold_id(n), &[]), now);
            true
        }
        Outcome::Refused(refusal) => {
            assert_eq!(refusal.reason, Reason::LimitReached);
            false
        }
    }
}

fn units_back(engine: &Engine, n: u64) {
    let target = Target { hold: hold_id(n), drop: None, customer: None };
    engine.granted(&Return { target, returned: Vec::new(), restock: false }, START);
}

#[test]
fn a_fact_is_taken_once_by_its_id_and_another_with_its_id_is_a_fault() {
    let (world, engine) = world();
    let list = [fact("a", FactKind::Cancelled), fact("b", FactKind::SupportContact), fact("a", FactKind::Cancelled)];
    assert_eq!(told(&record(&engine, &list)), (2, 1, vec![]));
    assert_eq!(told(&record(&engine, &list)), (0, 3, vec![]));
    let other = ReportedFact { time: after(1), ..fact("a", FactKind::Cancelled) };
    let of_another_shop =
        ReportedFact { shop: "other".parse().expect("a shop"), drop: None, ..fact("a", FactKind::View) };
    let more = [other.clone(), fact("c", FactKind::View), fact("c", FactKind::Interest), of_another_shop];
    assert_eq!(told(&record(&engine, &more)), (2, 0, vec![(0, "id"), (2, "id")]));
    let (engine, live, replayed) = restart(engine, &world, AtOnce::Each);
    assert_eq!(replayed, live);
    assert_eq!(told(&record(&engine, &list)), (0, 3, vec![]));
    assert_eq!(told(&record(&engine, &[other])), (0, 0, vec![(0, "id")]));
    let wanted = FactTally { cancelled: 1, support_contacts: 1, views: 1, ..FactTally::default() };
    assert_eq!(tally(&engine, "d"), wanted);
}

#[test]
fn what_a_fact_says_that_cannot_be_is_named_and_the_others_are_taken() {
    let (_world, engine) = world();
    let now = START.plus(FACT_KEPT);
    let soon = now.plus(Millis::from_secs(300));
    let at = |id: &str, time| ReportedFact { time, ..fact(id, FactKind::View) };
    let list = [
        at("1", Timestamp(START.0 - 1)),
        at("2", START),
        at("3", soon),
        at("4", Timestamp(soon.0 + 1)),
        ReportedFact { drop: Some(drop_id("z")), ..fact("5", FactKind::Nps) },
        ReportedFact { shop: "other".parse().expect("a shop"), ..fact("6", FactKind::Nps) },
        ReportedFact { sku: Some("Z".parse().expect("a sku")), ..fact("7", FactKind::Nps) },
        ReportedFact { sku: Some("A".parse().expect("a sku")), ..fact("8", FactKind::Nps) },
        // The first with this id was not taken.
        fact("5", FactKind::Nps),
    ];
    let recorded = record_at(&engine, &list, now).expect("recorded");
    let wanted = vec![(0, "time"), (3, "time"), (4, "drop_id"), (5, "drop_id"), (6, "sku")];
    assert_eq!(told(&recorded), (4, 0, wanted));
}

#[test]
fn tallies_and_demand_are_the_same_after_starts_from_every_part_of_a_journal_and_from_a_snapshot() {
    let (world, mut engine) = world();
    let nps = |id: &str, value| ReportedFact { value, ..fact(id, FactKind::Nps) };
    let seen = |id: &str, zone: &str, hours: u64, value| ReportedFact {
        time: Timestamp(START.0 - hours * 3_600_000),
        drop: (hours == 0).then(|| drop_id("d")),
        zone: ZoneId::try_from(zone).ok(),
        value,
        ..fact(id, FactKind::View)
    };
    let wish = ReportedFact { value: 7, zone: ZoneId::try_from("north").ok(), ..fact("w", FactKind::Interest) };
    let list = [
        ReportedFact { value: 3, ..fact("r", FactKind::Returned) },
        fact("c", FactKind::Cancelled),
        fact("b", FactKind::Chargeback),
        fact("s", FactKind::SupportContact),
        nps("6", 6),
        nps("7", 7),
        nps("8", 8),
        nps("9", 9),
        nps("10", 10),
        seen("v", "north", 0, 5),
        seen("x", "north", 1, 2),
        seen("y", "", 1, 4),
        wish,
    ];
    assert_eq!(told(&record(&engine, &list)), (13, 0, vec![]));
    let wanted = FactTally {
        cancelled: 1,
        chargebacks: 1,
        returned_units: 3,
        promoters: 2,
        passives: 2,
        detractors: 1,
        support_contacts: 1,
        views: 5,
        interest: 7,
    };
    let hour = u32::try_from(START.0 / 3_600_000).expect("an hour");
    let north = || ZoneId::try_from("north").ok();
    let of = |views, interest| Demand { views, interest };
    let demand = [(None, hour - 1, of(4, 0)), (north(), hour - 1, of(2, 0)), (north(), hour, of(5, 7))];
    for snapshot in [false, true, false] {
        if snapshot {
            engine.snapshot(&world.snapshots, START).expect("a snapshot");
            record(&engine, &[seen("late", "north", 30, 1)]);
        }
        let (started, live, replayed) = restart(engine, &world, AtOnce::Drawn(3));
        assert_eq!(replayed, live, "the journal replays to another state");
        engine = started;
        assert_eq!(tally(&engine, "d"), wanted);
        assert_eq!(engine.demand(&shop(), None, hour - 1, 100), demand);
        assert_eq!(engine.demand(&shop(), north().as_ref(), hour, 100), demand[2..]);
        assert_eq!(engine.demand(&shop(), None, 0, 1).len(), 1);
    }
    assert_eq!(engine.inventory().facts.lock().demand_hours(), 4);
}

#[test]
fn a_long_list_is_recorded_in_pieces_and_known_when_it_is_sent_again() {
    let (world, engine) = world();
    let list: Vec<_> = (0..=(FACTS_MAX * 2)).map(|n| fact(&format!("f{n}"), FactKind::View)).collect();
    let count = u32::try_from(list.len()).expect("few");
    let (first, _) = list.split_at(FACTS_MAX + 3);
    record(&engine, first);
    assert_eq!(told(&record(&engine, &list)), (count - 253, 253, vec![]));
    assert_eq!(told(&record(&engine, &list)), (0, count, vec![]));
    engine.stop(START);
    let pieces: Vec<usize> = records(&world)
        .iter()
        .filter_map(|(_, record)| if let Record::Facts(facts) = record { Some(facts.facts.len()) } else { None })
        .collect();
    assert_eq!(pieces, [250, 3, 248]);
}

#[test]
fn a_cancelled_order_counts_for_its_customer_and_their_card_by_its_hold() {
    let (world, engine) = world();
    let card = ConductRule { at_least: 2, ..strict(Conduct::Cancellations, 2) };
    let card = ConductRule {
        limit: Limit {
            identity_kind: Some("card".parse().expect("a kind")),
            ..Limit { max_units: Some(1), ..Limit::new("card".parse().expect("an id"), Scope::Drop) }
        },
        ..card
    };
    create_strict(&engine, "e", &[strict(Conduct::Cancellations, 1), card]);
    for (n, customer) in [(1, "ada"), (2, "eve"), (3, "kim")] {
        buy(&engine, n, customer, &format!("order-{n}"));
    }
    // Without an order that is known here nobody did it.
    record(&engine, &[of_order("0", FactKind::Cancelled, "order-0"), of_order("1", FactKind::Nps, "order-1")]);
    assert!(gets_two(&engine, 10, "ada", START));
    record(&engine, &[of_order("a", FactKind::Cancelled, "order-1")]);
    assert!(!gets_two(&engine, 11, "ada", START));
    assert!(gets_two(&engine, 12, "eve", START));
    let with_card = |n: u64| with_card(reserve(hold_id(n), "e", "zoe", &[("A", 2)]), "4242");
    engine.granted(&with_card(13), START);
    engine.granted(&release(hold_id(13), &[]), START);
    // Another fact about the same order tells nothing new.
    record(&engine, &[of_order("again", FactKind::Cancelled, "order-1")]);
    engine.granted(&with_card(14), START);
    engine.granted(&release(hold_id(14), &[]), START);
    record(&engine, &[of_order("b", FactKind::Cancelled, "order-2")]);
    assert_eq!(engine.refused(&with_card(15), START).limit.expect("a rule").id.as_str(), "card");
    // Staff may set it aside.
    let over = Reserve { over_limits: Some("the buyer called".into()), ..with_card(16) };
    engine.granted(&over, START);
    let (engine, live, replayed) = restart(engine, &world, AtOnce::Each);
    assert_eq!(replayed, live);
    assert!(!gets_two(&engine, 17, "eve", START) && gets_two(&engine, 18, "kim", START));
    let late = START.plus(FACT_KEPT);
    assert!(!gets_two(&engine, 19, "eve", Timestamp(late.0 - 1)) && gets_two(&engine, 20, "eve", late));
}

#[test]
fn what_was_claimed_since_the_last_search_is_found() {
    let (_world, engine) = world();
    create_strict(&engine, "e", &[strict(Conduct::Chargebacks, 1)]);
    for (n, customer) in [(1, "ada"), (2, "eve"), (3, "kim")] {
        buy(&engine, n, customer, &format!("order-{n}"));
        assert!(gets_two(&engine, 10 + n, customer, START));
        record(&engine, &[of_order(customer, FactKind::Chargeback, &format!("order-{n}"))]);
        assert!(!gets_two(&engine, 20 + n, customer, START), "{customer}");
    }
}

#[test]
fn once_the_drops_holds_have_left_memory_the_named_customer_counts_and_conduct_outlasts_them() {
    let (mut world, engine) = world();
    create_strict(&engine, "e", &[strict(Conduct::Cancellations, 1)]);
    for (n, customer) in [(1, "ada"), (2, "eve"), (3, "kim")] {
        buy(&engine, n, customer, &format!("order-{n}"));
    }
    record(&engine, &[of_order("a", FactKind::Cancelled, "order-1")]);
    engine.steered("d", Steer::Close, START);
    let now = START.plus(Millis(DAY.0 * 8));
    assert_eq!(engine.archive(now).expect("archived"), 1);
    let named = |id: &str, order: &str, customer: &str| ReportedFact {
        customer: Some(customer.parse().expect("an id")),
        ..of_order(id, FactKind::Cancelled, order)
    };
    let list = [of_order("b", FactKind::Cancelled, "order-2"), named("c", "order-3", "kim")];
    assert_eq!(told(&record_at(&engine, &list, now).expect("recorded")), (2, 0, vec![]));
    let known = |engine: &Engine, n: u64| {
        let customers = [(n, "ada"), (n + 1, "eve"), (n + 2, "kim")];
        let gets = customers.map(|(n, customer)| gets_two(engine, n, customer, now));
        assert_eq!(gets, [false, true, false]);
    };
    assert_eq!(tally(&engine, "d").cancelled, 3);
    known(&engine, 10);
    world.now = now;
    let (engine, live, replayed) = restart(engine, &world, AtOnce::Each);
    assert_eq!(replayed, live);
    engine.snapshot(&world.snapshots, now).expect("a snapshot");
    let live = engine.inventory().digest();
    engine.stop(now);
    let engine = world.start().0;
    assert_eq!(engine.inventory().digest(), live, "from a snapshot");
    known(&engine, 20);
    assert_eq!(tally(&engine, "d").cancelled, 3);
}

#[test]
fn an_order_counts_as_returned_once_whoever_tells_it_first() {
    let (world, engine) = world();
    create_strict(&engine, "e", &[strict(Conduct::Returns, 2)]);
    for (n, customer) in [(1, "ada"), (2, "ada"), (3, "eve"), (4, "eve")] {
        buy(&engine, n, customer, &format!("order-{n}"));
    }
    // Ada: the call first, then the fact. Eve: the fact first, then the call.
    units_back(&engine, 1);
    record(&engine, &[of_order("1", FactKind::Returned, "order-1"), of_order("3", FactKind::Returned, "order-3")]);
    units_back(&engine, 3);
    assert!(gets_two(&engine, 10, "ada", START) && gets_two(&engine, 11, "eve", START));
    record(&engine, &[of_order("2", FactKind::Returned, "order-2"), of_order("4", FactKind::Returned, "order-4")]);
    assert!(!gets_two(&engine, 12, "ada", START) && !gets_two(&engine, 13, "eve", START));
    assert_eq!(tally(&engine, "d").returned_units, 4);
    let (engine, live, replayed) = restart(engine, &world, AtOnce::Each);
    assert_eq!(replayed, live);
    assert!(!gets_two(&engine, 14, "ada", START) && !gets_two(&engine, 15, "eve", START));
}

#[test]
fn an_id_is_free_again_after_400_days_and_old_demand_is_gone() {
    let (mut world, engine) = world();
    record(&engine, &[fact("a", FactKind::View)]);
    let (just, later) = (Timestamp(START.plus(FACT_KEPT).0 - 1), START.plus(FACT_KEPT));
    let at = |id: &str, time| ReportedFact { time, ..fact(id, FactKind::Interest) };
    assert_eq!(told(&record_at(&engine, &[at("a", just)], just).expect("recorded")), (0, 0, vec![(0, "id")]));
    assert_eq!(told(&record_at(&engine, &[at("a", later)], later).expect("recorded")), (1, 0, vec![]));
    world.now = later;
    let (engine, live, replayed) = restart(engine, &world, AtOnce::Each);
    assert_eq!(replayed, live);
    assert_eq!(engine.inventory().facts.lock().len(), 1);
    let much_later = later.plus(Millis(FACT_KEPT.0 + 3 * DAY.0));
    record_at(&engine, &[at("b", much_later)], much_later).expect("recorded");
    let hours: Vec<u32> = engine.demand(&shop(), None, 0, 100).iter().map(|(_, hour, _)| *hour).collect();
    assert_eq!(hours, [u32::try_from(much_later.0 / 3_600_000).expect("an hour")]);
    assert_eq!(tally(&engine, "d"), FactTally { views: 1, interest: 2, ..FactTally::default() });
}

#[test]
fn more_facts_than_the_bound_are_refused_until_older_ones_are_forgotten() {
    let mut world = World::new();
    world.options.bounds = Bounds { max_facts: 3, ..world.options.bounds };
    let engine = world.start().0;
    create(&engine, definition("d", &[("A", 100)], &[]), START);
    let list = ["a", "b", "c"].map(|id| fact(id, FactKind::View));
    record(&engine, &list);
    assert_eq!(told(&record(&engine, &list)), (0, 3, vec![]), "what is known takes no room");
    let more = |now| record_at(&engine, &[ReportedFact { time: now, ..fact("d", FactKind::View) }], now);
    assert!(matches!(more(START), Err(Fault::Exhausted(_))));
    assert_eq!(told(&more(START.plus(FACT_KEPT)).expect("recorded")), (1, 0, vec![]));
}

/// A million facts in lists of 5,000, and one walk over a million holds: figures for docs/performance.md.
#[test]
#[ignore = "a measurement, run by hand: see docs/performance.md"]
fn a_million_facts_take_bounded_time_and_memory() {
    const MILLION: u64 = 1_000_000;
    let engine = Engine::ephemeral(DigestKey::from_bytes([1; 16]), Bounds::default()).expect("an engine");
    create(&engine, definition("d", &[("A", 2 * MILLION)], &[]), START);
    let resident = || stockade_engine::memory::resident().unwrap_or_default() / 1024 / 1024;
    let since = |from: u64| cpu_millis().saturating_sub(from);
    for n in 0..MILLION {
        engine.granted(&reserve(hold_id(n), "d", &format!("customer-{n}"), &[("A", 1)]), START);
        engine.granted(&claim(hold_id(n), &format!("order-{n}")), START);
    }
    let list = |from: u64, of: &dyn Fn(u64) -> ReportedFact| (from..from + 5_000).map(of).collect::<Vec<_>>();
    let cancelled = |n: u64| of_order(&format!("c-{n}"), FactKind::Cancelled, &format!("order-{n}"));
    let view = |n: u64| ReportedFact {
        time: Timestamp(START.0 - n % 9_000 * 3_600_000),
        zone: Some(format!("zone-{}", n % 50).parse().expect("a zone")),
        ..fact(&format!("v-{n}"), FactKind::View)
    };
    let from = cpu_millis();
    record(&engine, &[cancelled(MILLION - 1)]);
    eprintln!("one cancellation, with a walk over a million holds: {} ms of a core", since(from));
    let from = cpu_millis();
    record(&engine, &[cancelled(MILLION - 2)]);
    eprintln!("another one, by what the walk kept: {} ms of a core", since(from));
    let (before, from) = (resident(), cpu_millis());
    for n in (0..MILLION).step_by(5_000) {
        assert_eq!(record(&engine, &list(n, &view)).recorded, 5_000);
    }
    eprintln!("a million views: {} ms of a core, {} MiB", since(from), resident().saturating_sub(before));
    let from = cpu_millis();
    for n in (0..MILLION).step_by(5_000) {
        assert_eq!(record(&engine, &list(n, &view)).known, 5_000);
    }
    eprintln!("the same again, known: {} ms of a core", since(from));
    let (before, from) = (resident(), cpu_millis());
    for n in (0..100_000).step_by(5_000) {
        assert_eq!(record(&engine, &list(n, &cancelled)).recorded, 5_000);
    }
    eprintln!(
        "a hundred thousand cancellations: {} ms of a core, {} MiB",
        since(from),
        resident().saturating_sub(before)
    );
}

/// The time that this thread has been on a core: what others do on the machine does not change it.
fn cpu_millis() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|nanos| nanos.parse::<u64>().ok()).unwrap_or_default() / 1_000_000
}
