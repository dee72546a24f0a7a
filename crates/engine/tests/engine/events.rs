//! Events are read from the journal: the same ones from any position, after whatever happened to the journal since.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use stockade_engine::background::agenda::{Agenda, AgendaEntry};
use stockade_feed::{BadCursor, Detail, Event, Feed, FeedError, Filter, Kind, Position, Recent};
use stockade_simulation::prelude::*;
use stockade_types::definition::{
    Audience, Currency, Flow, Level, Money, Named, PriceStep, PriceTerms, Rules, Scarcity, Schedule, Signal,
    StockLevel, Tranche, Trigger, Window,
};
use stockade_types::time::Timestamp as At;

const EVERYTHING: KeepPolicy = KeepPolicy { age: Millis::from_secs(400 * 24 * 3_600), bytes: u64::MAX };

/// A machine that keeps segments that its journal no longer needs.
struct Keeping {
    world: World,
}

impl Keeping {
    fn new() -> Self {
        let mut world = World::new();
        // Many segments.
        world.options.log.segment_bytes = 2_000;
        Self { world }
    }

    fn kept(&self) -> SimulatedStorage {
        self.world.journal.beside("kept/")
    }

    fn start(&self) -> Arc<Engine> {
        let folder = self.world.folder().keeping_in(Arc::new(self.kept()), EVERYTHING);
        Arc::new(recover(&folder, &self.world.options, &|| self.world.now).expect("an engine").engine)
    }
}

pub fn feed(engine: &Arc<Engine>) -> Feed {
    engine.journal().barrier().wait().expect("durable");
    let names = Arc::clone(engine);
    Feed::new(engine.history().expect("a journal that is kept"), move |number| names.definition(number))
}

/// The event as readers get it: of the drop of a hold or of stock, only the names.
fn shown(event: &Event) -> Event {
    if let Detail::Drop { .. } = event.detail {
        return event.clone();
    }
    let names = |drop: &Arc<Definition>| {
        let (title, labels, limits) = (String::new(), BTreeMap::new(), Vec::new());
        let rules = Rules { names: drop.rules.names.clone(), ..Rules::default() };
        Arc::new(Definition { title, labels, limits, rules, schedule: Schedule::default(), ..drop.as_ref().clone() })
    };
    Event { drop: event.drop.as_ref().map(names), ..event.clone() }
}

/// All events after a position.
fn read(feed: &Feed, mut from: Position) -> Vec<Event> {
    let mut events = Vec::new();
    loop {
        let chunks = feed.read(from).expect("readable");
        let Some(last) = chunks.last() else { return events };
        for chunk in &chunks {
            events.extend(chunk.after(from).flatten().map(shown));
        }
        from = from.max(last.end());
    }
}

pub fn all(feed: &Feed) -> Vec<Event> {
    read(feed, feed.oldest().expect("kept"))
}

fn create_timed(engine: &Engine, id: &str, opens: u64, closes: u64) {
    let mut definition = definition(id, &[("A", 100), ("B", 50)], &[]);
    (definition.schedule.opens_at, definition.schedule.closes_at) = (Some(after(opens)), Some(after(closes)));
    create(engine, definition, START);
}

/// A drop with every kind of rule that gives events: what comes at an instant comes 18 s after the start; item C has one
/// unit.
fn create_planned(engine: &Engine, id: &str) {
    let mut drop = definition(id, &[("A", 100), ("B", 50), ("C", 1)], &[]);
    (drop.schedule.opens_at, drop.schedule.closes_at) = (Some(after(10)), Some(after(1_000)));
    let at = |seconds| Named::At(after(seconds)).into();
    let when = || Trigger::Moment(at(18));
    let money = |minor_units| Money { currency: Currency::of("EUR").expect("a code"), minor_units };
    let (audience, general) = (Audience::default, || "general".parse().expect("an id"));
    let mut members = drop.items[1].pools[0].clone();
    members.id = "members".parse().expect("an id");
    members.flows = vec![Flow { to: general(), when: Some(when()) }];
    drop.items[1].pools.insert(0, members);
    let signal = |id: &str, on| Signal {
        id: id.parse().expect("an id"),
        on,
        audience: audience(),
        channels: vec!["push".to_owned()],
        repeat_after: None,
        valid_for: Millis::from_secs(60),
        labels: BTreeMap::new(),
        defined_at: At::default(),
    };
    let level = StockLevel { sku: Some(sku("C")), pool: None, level: Level::FreeAtMost(0) };
    let rules = &mut drop.rules;
    rules.windows = vec![Window {
        id: "first".parse().expect("an id"),
        audience: audience(),
        skus: Vec::new(),
        pools: Vec::new(),
        starts: Some(at(10)),
        ends: Some(at(900)),
        hold_ttl: None,
    }];
    rules.prices = vec![PriceTerms {
        id: "usual".parse().expect("an id"),
        audience: audience(),
        skus: vec![sku("A")],
        pools: Vec::new(),
        starts: None,
        ends: None,
        price: money(100),
        steps: vec![PriceStep { when: when(), price: money(200) }],
    }];
    let tranche =
        |id: &str| Tranche { id: id.parse().expect("an id"), sku: sku("A"), pool: None, units: 5, when: when() };
    rules.tranches = vec![tranche("one"), tranche("two")];
    rules.signals = vec![
        signal("past", Trigger::Moment(Named::AfterOpening(-60_000).into())),
        signal("gone", Trigger::Stock(level)),
    ];
    rules.scarcity = Some(Scarcity::USUAL);
    create(engine, drop, START);
}

/// The agenda looks at levels of stock, and at what the public sees of it.
fn look(engine: &Arc<Engine>, now: Timestamp) {
    let mut agenda = Agenda::new(Arc::clone(engine));
    for entry in [AgendaEntry::StockLevels, AgendaEntry::Sale] {
        agenda.run_entry(entry, now);
    }
}

/// Operations in two drops, and in one with rules, that produce every kind of event.
fn traffic(engine: &Arc<Engine>) {
    create_planned(engine, "p");
    engine.ask(&reserve(hold_id(900), "p", "first", &[("C", 1)]), after(20));
    look(engine, after(21));
    engine.ask(&release(hold_id(900), &[]), after(22));
    look(engine, after(40));
    engine.steered("p", Steer::Close, after(950));
    create_timed(engine, "d", 10, 1_000);
    create_timed(engine, "e", 10, 1_000);
    for n in 0..40 {
        let drop = if n % 3 == 0 { "e" } else { "d" };
        let command = reserve(hold_id(n), drop, &format!("c{n}"), &[("A", 1), ("B", 1)]);
        engine.ask(&command, after(20));
    }
    for n in 0..8 {
        engine.ask(&extend(hold_id(n), Some(Millis::from_secs(301))), after(21));
        let paying = Extend { stage: Some(Stage::Paying), ..extend(hold_id(n), None) };
        engine.ask(&paying, after(22));
        engine.ask(&claim(hold_id(n), "order"), after(23));
    }
    for n in 8..12 {
        engine.ask(&release(hold_id(n), &[("A", 1)]), after(24));
        engine.ask(&release(hold_id(n), &[]), after(25));
    }
    for n in 12..16 {
        let drop = if n % 3 == 0 { "e" } else { "d" };
        let other = reserve(hold_id(100 + n), drop, &format!("c{n}"), &[("A", 2)]);
        let other = Reserve { supersedes: Some(hold_id(n)), ..other };
        engine.ask(&other, after(26));
    }
    let back = |n| Return { target: target(hold_id(n)), returned: Vec::new(), restock: true };
    engine.ask(&back(0), after(27));
    let more = adjust("d", "A", 900, StockChange::Delta(7));
    durable(engine, engine.adjust_stock(&more, Context::anonymous(after(28)))).expect("adjusted");
    engine.steered("d", Steer::Pause, after(29));
    engine.steered("d", Steer::Resume, after(30));
    let change = update(engine, "d", after(31), |drop| drop.title = "Knives".into());
    engine.updated(&change, after(31));
    engine.sweep_all(after(600));
    engine.steered("d", Steer::Close, after(700));
}

fn kinds(events: &[Event]) -> BTreeSet<Kind> {
    events.iter().map(|event| event.kind).collect()
}

/// From each kept LSN, and from after each event, the rest of all events follows.
fn the_same_from_everywhere(feed: &Feed, events: &[Event]) {
    for lsn in feed.oldest().expect("kept").next().0..=feed.end().next().0 {
        let from = Position::before(Lsn(lsn));
        let rest = events.partition_point(|event| event.position <= from);
        assert_eq!(read(feed, from), events[rest..], "from record {lsn}");
    }
    for (place, event) in events.iter().enumerate() {
        let cursor = feed.cursor(event.position);
        assert_eq!(feed.position(&cursor).as_ref(), Ok(&event.position));
        assert_eq!(read(feed, event.position), events[place + 1..], "behind {event:?}");
    }
}

/// Takes three snapshots, each of something new: the journal is trimmed up to the second.
fn trim(engine: &Engine, snapshots: &SimulatedStorage, now: Timestamp) {
    for n in 0..3 {
        create(engine, definition(&format!("new-{}-{n}", now.0), &[("A", 1)], &[]), now);
        engine.snapshot(snapshots, now).expect("a snapshot");
    }
}

fn end(engine: Arc<Engine>, now: Timestamp) {
    Arc::into_inner(engine).expect("one holder").stop(now);
}

/// The present events begin with the earlier ones, and are the same from every position.
fn goes_on_from(before: &mut Vec<Event>, engine: &Arc<Engine>, what: &str) {
    let feed = feed(engine);
    let events = all(&feed);
    assert!(events.starts_with(before), "{what}: {} events, {} before", events.len(), before.len());
    the_same_from_everywhere(&feed, &events);
    *before = events;
}

#[test]
fn from_every_place_the_rest_is_the_same_whatever_has_happened_since() {
    let mut machine = Keeping::new();
    machine.world.options.bounds.max_archived_drops = 0;
    let mut engine = machine.start();
    traffic(&engine);
    let mut events = all(&feed(&engine));
    let missing: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| !kinds(&events).contains(kind)).collect();
    let of_series = [Kind::SeriesCreated, Kind::SeriesUpdated, Kind::OccurrenceSkipped, Kind::OccurrenceFailed];
    let of_drops = [Kind::DropCancelled, Kind::DropArchived, Kind::EngineRestarted];
    assert_eq!(missing, [&of_drops[..], &of_series, &[Kind::ReportReady]].concat());
    trim(&engine, &machine.world.snapshots, after(701));
    assert!(!machine.kept().files().is_empty(), "segments were trimmed and kept");
    goes_on_from(&mut events, &engine, "snapshots and trimmed segments");

    machine.world.now = after(702);
    end(engine, after(702));
    engine = machine.start();
    goes_on_from(&mut events, &engine, "a stop and a start");

    let late = reserve(hold_id(500), "e", "late", &[("A", 1)]);
    engine.ask(&late, after(703));
    engine.journal().barrier().wait().expect("durable");
    goes_on_from(&mut events, &engine, "a hold");
    drop(engine);
    machine.world.lose_power(7);
    machine.world.now = after(999);
    engine = machine.start();
    goes_on_from(&mut events, &engine, "a loss of power");
    assert!(kinds(&events).contains(&Kind::EngineRestarted), "the hold was given more time");

    let long_after = after(9 * 24 * 3_600);
    engine.sweep_all(long_after);
    assert_eq!(engine.archive(long_after).expect("archived"), 3);
    assert!(engine.get_drop(&drop_id("d"), Context::anonymous(long_after)).is_err(), "archived, and forgotten");
    trim(&engine, &machine.world.snapshots, long_after);
    goes_on_from(&mut events, &engine, "archived drops");
    let archived = events.iter().filter(|event| event.kind == Kind::DropArchived).count();
    let ids: BTreeSet<_> = events.iter().map(|event| (event.lsn, event.what())).collect();
    assert_eq!((archived, ids.len()), (3, events.len()), "no id twice");
}

/// Power cuts with each durability.
const SEEDS: u64 = 8;
/// Power cuts in a row.
const CUTS: u64 = 4;

/// Makes and changes some holds, each in a batch of its own.
fn some_holds(engine: &Engine, ids: std::ops::Range<u64>, now: Timestamp) {
    let written = |durable_after| engine.journal().ticket(durable_after).wait().expect("written");
    for n in ids {
        let command = reserve(hold_id(n), "d", &format!("c{n}"), &[("A", 1), ("B", 1)]);
        written(engine.ask(&command, now).durable_after);
        let then = match n % 3 {
            0 => engine.try_ask(&claim(hold_id(n), "order"), now),
            1 => engine.try_ask(&release(hold_id(n), &[("A", 1)]), now),
            _ => continue,
        };
        written(then.expect("changed").durable_after);
    }
}

/// All events ever read, by their ids.
#[derive(Default)]
struct Told {
    events: Vec<Event>,
    by_id: BTreeMap<String, Event>,
}

impl Told {
    /// Reads all present events. They begin with the earlier ones, are the same from every position, and no id that was
    /// used for one event is used for another.
    fn again(&mut self, engine: &Arc<Engine>, what: &str) {
        goes_on_from(&mut self.events, engine, what);
        let journal = engine.history().expect("a journal that is kept").name();
        for event in &self.events {
            let id = format!("{journal}-{}-{}", event.lsn, event.what());
            let before = self.by_id.entry(id.clone()).or_insert_with(|| event.clone());
            assert_eq!(before, event, "{what}: {id} was another");
        }
        assert_eq!(self.by_id.len(), self.events.len(), "{what}: an id is given twice, or was reported and is gone");
    }
}

/// Returns how many records were lost that had been written but not forced.
fn power_cuts(durability: Durability, seed: u64) -> u64 {
    let mut machine = Keeping::new();
    machine.world.options.log.durability = durability;
    let (mut reported, mut lost) = (Told::default(), 0);
    let mut engine = machine.start();
    create_timed(&engine, "d", 10, 1_000);
    for cut in 0..CUTS {
        let (now, ids) = (after(20 + 20 * cut), 100 * cut..100 * cut + 6 + seed % 4);
        some_holds(&engine, ids.clone(), now);
        engine.journal().force().expect("forced");
        if cut == seed % CUTS {
            trim(&engine, &machine.world.snapshots, now);
        }
        reported.again(&engine, "before a cut");
        // Written, but with `os` not forced: no reader gets them.
        some_holds(&engine, ids.end..ids.end + 5, now);
        reported.again(&engine, "more is written");
        let written = engine.journal().appended().0;
        machine.world.journal.crash();
        drop(engine);
        machine.world.lose_power(seed * 1_000 + cut);
        machine.world.now = now.plus(Millis::from_secs(1));
        engine = machine.start();
        let found = engine.journal().appended().0;
        lost += written.saturating_sub(found);
        reported.again(&engine, "behind a cut");
    }
    assert!(reported.events.len() > 40, "{} events", reported.events.len());
    lost
}

#[test]
fn through_power_cuts_the_rest_is_the_same_from_every_place_and_no_id_is_given_to_another_event() {
    for durability in [Durability::Sync, Durability::Os] {
        let lost: u64 = (0..SEEDS).map(|seed| power_cuts(durability, seed)).sum();
        assert_eq!(lost > 0, durability == Durability::Os, "{lost} records were lost");
    }
}

#[test]
fn a_drop_s_opening_stands_before_its_first_hold_and_says_for_when_it_was() {
    let machine = Keeping::new();
    let engine = machine.start();
    create_timed(&engine, "d", 10, 20);
    engine.ask(&reserve(hold_id(1), "d", "ada", &[("A", 1)]), after(12));
    engine.sweep_all(after(600));
    let events = all(&feed(&engine));
    let reported: Vec<_> = events.iter().map(|event| (event.kind, event.at, event.scheduled_for)).collect();
    let expected = [
        (Kind::DropCreated, START, None),
        (Kind::DropOpened, after(12), Some(after(10))),
        (Kind::HoldCreated, after(12), None),
        (Kind::HoldExpired, after(600), Some(after(312))),
    ];
    assert_eq!(reported, expected);
}

#[test]
fn a_cursor_of_another_journal_or_behind_the_end_or_not_kept_names_the_oldest() {
    let machine = Keeping::new();
    let engine = machine.start();
    traffic(&engine);
    let feed = feed(&engine);
    let oldest = feed.cursor(feed.oldest().expect("kept"));
    let other = Keeping::new();
    let others = other.start();
    let foreign = self::feed(&others);
    assert_eq!(feed.position("nonsense"), Err(BadCursor::NoCursor));
    let of_another = feed.position(&foreign.cursor(foreign.oldest().expect("kept")));
    assert_eq!(of_another, Err(BadCursor::OfAnotherJournal { oldest: oldest.clone() }));
    let behind = feed.cursor(Position::behind(feed.end().next()));
    assert_eq!(feed.position(&behind), Err(BadCursor::BehindTheEnd { oldest: oldest.clone() }));
    assert_eq!(feed.position(&oldest), Ok(feed.oldest().expect("kept")));

    // Without a folder for kept segments, what is trimmed is gone.
    let mut world = World::new();
    world.options.log.segment_bytes = 2_000;
    let engine = Arc::new(world.start().0);
    traffic(&engine);
    let feed = self::feed(&engine);
    let first = feed.cursor(feed.oldest().expect("kept"));
    trim(&engine, &world.snapshots, after(701));
    let oldest = feed.oldest().expect("kept");
    assert!(oldest > Position::before(Lsn(1)));
    assert_eq!(feed.position(&first), Err(BadCursor::NotKept { oldest: feed.cursor(oldest) }));
    assert!(matches!(feed.read(Position::before(Lsn(1))), Err(FeedError::History(_))));
}

fn of(recent: Recent) -> Vec<Event> {
    let Recent::Chunks(chunks) = recent else { panic!("{recent:?}") };
    let before = Position::before(Lsn(0));
    chunks.iter().flat_map(|chunk| chunk.after(before).flatten().map(shown).collect::<Vec<_>>()).collect()
}

#[test]
fn who_is_at_the_tail_gets_what_was_decoded_for_all_and_who_is_behind_it_reads_files() {
    let machine = Keeping::new();
    let engine = machine.start();
    create_timed(&engine, "d", 10, 1_000);
    let feed = feed(&engine);
    let begin = feed.end();
    assert!(matches!(feed.recent(begin, usize::MAX), Recent::Behind), "nothing is decoded while nobody follows");
    assert_eq!(Position::behind(feed.begin_tail()), begin);
    assert!(matches!(feed.recent(begin, usize::MAX), Recent::End));
    assert!(matches!(feed.recent(feed.oldest().expect("kept"), usize::MAX), Recent::Behind));
    engine.ask(&reserve(hold_id(1), "d", "ada", &[("A", 1)]), after(12));
    engine.journal().barrier().wait().expect("durable");
    assert!(matches!(feed.recent(begin, usize::MAX), Recent::End), "it is behind until it goes on");
    assert_eq!(Position::behind(feed.advance().expect("decoded")), feed.end());
    let events = of(feed.recent(begin, usize::MAX));
    assert_eq!(events, read(&feed, begin));
    assert_eq!(kinds(&events), [Kind::HoldCreated, Kind::DropOpened].into());
    let at_once = of(feed.recent(begin, 1));
    assert!(events.starts_with(&at_once), "as much as was asked for, and a chunk at least");
    assert!(matches!(feed.recent(feed.end(), usize::MAX), Recent::End));
    feed.end_tail();
    assert!(matches!(feed.recent(begin, usize::MAX), Recent::Behind));
}

#[test]
fn the_tail_is_bounded_and_its_oldest_goes_first() {
    let machine = Keeping::new();
    let engine = machine.start();
    create_timed(&engine, "d", 10, 1_000);
    let mut definition = definition("large", &[("A", 100)], &[]);
    definition.title = "x".repeat(200);
    create(&engine, definition, START);
    let feed = feed(&engine);
    let begin = Position::behind(feed.begin_tail());
    let mut pauses = 0_u32;
    while !matches!(feed.recent(begin, 1), Recent::Behind) {
        for steer in [Steer::Pause, Steer::Resume] {
            engine.steered("large", steer, after(u64::from(pauses)));
        }
        pauses += 1;
        assert!(pauses < 10_000, "it has no bound");
        feed.advance().expect("decoded");
    }
    let kept = read(&feed, begin);
    assert!(kept.iter().map(Event::weight).sum::<usize>() > 3 * 1024 * 1024);
    assert!(matches!(feed.recent(feed.end(), 1), Recent::End), "who kept up is at its end");
}

#[test]
fn a_filter_wants_what_fits_in_all() {
    let machine = Keeping::new();
    let engine = machine.start();
    traffic(&engine);
    let events = all(&feed(&engine));
    let wanted = |pattern: &str, change: fn(&mut Filter)| {
        let mut filter = Filter::default();
        filter.add(pattern).expect("a pattern");
        change(&mut filter);
        events.iter().filter(|event| filter.wants(event)).count()
    };
    let count = |wanted: fn(&Event) -> bool| events.iter().filter(|event| wanted(event)).count();
    let any: fn(&mut Filter) = |_| {};
    assert_eq!(wanted("*", any), events.len());
    let holds = count(|event| matches!(event.detail, Detail::Hold { .. }));
    assert!(holds > 0 && holds < events.len());
    assert_eq!(wanted("hold.*", any), holds);
    let of_e = count(|event| event.drop.as_ref().is_some_and(|drop| drop.id.as_str() == "e"));
    assert!(of_e > 0 && of_e < events.len());
    assert_eq!(wanted("*", |filter| filter.drop = Some(drop_id("e"))), of_e);
    assert_eq!(wanted("*", |filter| filter.shop = Some("default".parse().expect("a shop"))), events.len());
    assert_eq!(wanted("*", |filter| filter.shop = Some("other".parse().expect("a shop"))), 0);
    assert_eq!(wanted("*", |filter| filter.series = Some("other".parse().expect("a series"))), 0);
    assert_eq!(wanted("*", |filter| filter.names = vec!["none".to_owned()]), 0);
    assert_eq!(wanted("*", |filter| filter.channels = vec!["push".to_owned()]), 2);
    assert_eq!(wanted("signal.*", any), 2);
    let by_name = |name: &str| {
        let mut filter = Filter::default();
        filter.add("*").expect("a pattern");
        filter.names = vec![name.to_owned()];
        events.iter().filter(|event| filter.wants(event)).map(|event| event.kind).collect::<Vec<_>>()
    };
    assert_eq!(by_name("gone"), [Kind::SignalFired]);
    assert_eq!(by_name("first"), [Kind::WindowOpened, Kind::WindowClosed]);
}
