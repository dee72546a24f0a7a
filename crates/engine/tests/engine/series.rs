//! Series: which drops they make and when, what becomes of made drops when a series changes, and that all of it is the
//! same after a start and for a follower. Each test is a calendar with what comes of it.

use stockade_engine::background::agenda::AgendaEntry;
use stockade_engine::operators::series::{
    CreateSeries, OccurrenceState, OccurrenceView, PreviewOf, SeriesChanged, UpdateSeries,
};
use stockade_simulation::prelude::*;
use stockade_types::definition::{Named, Schedule};
use stockade_types::ids::SeriesId;
use stockade_types::record::OccurrenceVerb;
use stockade_types::series::{Guard, GuardKind, Series, SeriesState};

const DAY: u64 = 24 * 3_600_000;

pub fn at(text: &str) -> Timestamp {
    let at: jiff::Timestamp = text.parse().expect("an instant");
    Timestamp(u64::try_from(at.as_millisecond()).expect("after 1970"))
}

/// Fridays at six in the evening in Berlin, for two hours.
pub fn fridays() -> Series {
    let mut template = definition("fridays", &[("A", 5)], &[]);
    template.schedule = Schedule::default();
    Series {
        id: "fridays".parse().expect("an id"),
        shop: template.shop.clone(),
        title: "Knives of {date}".to_owned(),
        state: SeriesState::Active,
        time_zone: "Europe/Berlin".to_owned(),
        starts_at: "2026-12-04T18:00:00".to_owned(),
        rules: vec!["RRULE:FREQ=WEEKLY".to_owned()],
        closes: Some(Named::AfterOpening(2 * 3_600_000)),
        template,
        create_ahead_days: 14,
        guards: Vec::new(),
        made_follow: true,
    }
}

pub fn named(id: &str, starts_at: &str, rules: &[&str]) -> Series {
    let rules = rules.iter().map(ToString::to_string).collect();
    Series { id: id.parse().expect("an id"), starts_at: starts_at.to_owned(), rules, ..fridays() }
}

pub fn made(engine: &Engine, series: &Series, now: &str) -> SeriesChanged {
    let command = CreateSeries { series: series.clone(), validate_only: false };
    durable(engine, engine.create_series(&command, Context::anonymous(at(now)))).expect("a series")
}

pub fn changed(engine: &Engine, series: &Series, now: &str) -> SeriesChanged {
    let context = Context::anonymous(at(now));
    let revision = engine.get_series(&series.id, context).expect("a series").value.revision;
    let command = UpdateSeries { series: series.clone(), keep_state: false, revision, validate_only: false };
    let answer = durable(engine, engine.update_series(&command, context)).expect("changed");
    assert_eq!(durable(engine, engine.update_series(&command, context)).expect("sent again"), answer);
    answer
}

pub fn preview(engine: &Engine, series: &str, from: &str, count: usize) -> Vec<OccurrenceView> {
    let of = PreviewOf::Known(series.parse::<SeriesId>().expect("an id"));
    engine.preview_series(&of, (at(from), count), Context::anonymous(at(from))).expect("a preview").value
}

/// Each occurrence in a line: local time, state, drop, reason.
pub fn lines(occurrences: &[OccurrenceView]) -> Vec<String> {
    let line = |of: &OccurrenceView| {
        let (local, state) = (of.local.strftime("%m-%d %H:%M"), format!("{:?}", of.state).to_lowercase());
        let drop = of.drop.as_str().rsplit('-').next().unwrap_or_default().to_owned();
        format!("{local} {state} {drop} {}", of.reason).trim_end().to_owned()
    };
    occurrences.iter().map(line).collect()
}

/// The drops there are, each with its opening, its state and what is left of it.
pub fn drops(engine: &Engine) -> Vec<String> {
    let entries = engine.inventory().drops.all();
    let line = |entry: &std::sync::Arc<stockade_engine::inventory::DropEntry>| {
        let inner = entry.read();
        let received: u64 = entry.stock(&inner).0.iter().flatten().map(|pool| pool.received).sum();
        let opens = inner.definition.schedule.opens_at.expect("planned").to_string();
        let state = format!("{:?}", inner.state()).to_lowercase();
        format!("{} {} {state} {received}", inner.definition.id, opens.trim_end_matches(":00.000Z"))
    };
    entries.iter().map(line).collect()
}

pub fn look(engine: &Engine, now: &str) {
    while engine.look_at_series(at(now)).expect("looks") {}
}

fn same_after_restart(world: &World, engine: Engine) -> Engine {
    let (engine, live, replayed) = restart(engine, world, AtOnce::Each);
    assert_eq!(replayed, live, "the journal replays to another state");
    engine
}

/// What the journal says of occurrences: local time and verb.
pub fn journaled(world: &World) -> Vec<String> {
    let of = |(_, record): (Lsn, Record)| {
        let Record::Occurrence(fact) = record else { return None };
        Some(format!("{} {}", fact.local.strftime("%m-%d %H:%M"), fact.verb.label()))
    };
    records(world).into_iter().filter_map(of).collect()
}

#[test]
fn a_drop_is_made_for_each_occurrence_once_ahead_of_its_time_whatever_happens_between() {
    let mut world = World::new();
    let (mut engine, _) = world.start();
    let answer = made(&engine, &fridays(), "2026-12-01T12:00:00Z");
    assert_eq!((answer.view.state, answer.view.revision), (SeriesState::Active, Lsn(1)));
    let first =
        ["fridays-20261204T1800 2026-12-04T17:00 scheduled 5", "fridays-20261211T1800 2026-12-11T17:00 scheduled 5"];
    assert_eq!(drops(&engine), first);
    let view = engine.view("fridays-20261211T1800", at("2026-12-01T12:00:00Z"));
    assert_eq!(view.definition.title, "Knives of 2026-12-11");
    assert_eq!(view.definition.schedule.closes_at, Some(at("2026-12-11T19:00:00Z")));
    for (now, snapshot) in
        [("2026-12-02T12:00:00Z", false), ("2026-12-04T16:59:00Z", true), ("2026-12-04T16:59:30Z", false)]
    {
        world.now = at(now);
        if snapshot {
            engine.snapshot(&world.snapshots, world.now).expect("a snapshot");
        }
        engine = same_after_restart(&world, engine);
        look(&engine, now);
        assert_eq!(drops(&engine), first, "at {now}");
    }
    look(&engine, "2026-12-04T17:00:00Z");
    assert_eq!(drops(&engine).len(), 3, "two weeks ahead, to the second");
    assert_eq!(made(&engine, &fridays(), "2026-12-05T12:00:00Z").view.revision, Lsn(1), "created again");
    let shown = preview(&engine, "fridays", "2026-12-05T12:00:00Z", 3);
    assert_eq!(
        lines(&shown),
        ["12-11 18:00 created 20261211T1800", "12-18 18:00 created 20261218T1800", "12-25 18:00 planned 20261225T1800"]
    );
}

#[test]
fn what_passes_without_a_drop_is_skipped_and_said_once() {
    let mut world = World::new();
    let (engine, _) = world.start();
    let daily = Series { create_ahead_days: 1, ..named("fridays", "2026-12-04T18:00:00", &["RRULE:FREQ=DAILY"]) };
    made(&engine, &daily, "2026-12-04T12:00:00Z");
    // Down for three days, or the clock was stepped.
    world.now = at("2026-12-07T17:30:00Z");
    let engine = same_after_restart(&world, engine);
    look(&engine, "2026-12-07T17:30:00Z");
    look(&engine, "2026-12-07T17:30:01Z");
    assert_eq!(drops(&engine).len(), 2, "the first, and the next one");
    let engine = same_after_restart(&world, engine);
    assert_eq!(
        journaled(&world),
        [
            "12-04 18:00 created",
            "12-05 18:00 skipped",
            "12-06 18:00 skipped",
            "12-07 18:00 skipped",
            "12-08 18:00 created"
        ]
    );
    let shown = preview(&engine, "fridays", "2026-12-06T00:00:00Z", 2);
    assert_eq!(lines(&shown), ["12-06 18:00 skipped 20261206T1800 missed", "12-07 18:00 skipped 20261207T1800 missed"]);

    changed(&engine, &Series { state: SeriesState::Paused, ..daily.clone() }, "2026-12-08T12:00:00Z");
    look(&engine, "2026-12-10T18:00:00Z");
    assert_eq!(drops(&engine).len(), 2, "none is made, and those that were made stay");
    changed(&engine, &daily, "2026-12-10T18:00:00Z");
    let shown = preview(&engine, "fridays", "2026-12-08T00:00:00Z", 4);
    assert_eq!(
        lines(&shown),
        [
            "12-08 18:00 created 20261208T1800",
            "12-09 18:00 skipped 20261209T1800 paused",
            "12-10 18:00 skipped 20261210T1800 paused",
            "12-11 18:00 created 20261211T1800",
        ]
    );
    changed(&engine, &Series { state: SeriesState::Ended, ..daily }, "2026-12-10T19:00:00Z");
    look(&engine, "2026-12-20T19:00:00Z");
    assert_eq!(drops(&engine).len(), 3, "an ended series makes and says nothing more");
    assert_eq!(journaled(&world).len(), 8);
}

#[test]
fn clocks_that_are_set_move_no_occurrence_but_by_a_gap() {
    let zones = [
        ("Europe/Berlin", "2027-03-27T02:30:00", ["2027-03-27T01:30", "2027-03-28T01:30", "2027-03-29T00:30"]),
        ("Europe/Berlin", "2026-10-24T02:30:00", ["2026-10-24T00:30", "2026-10-25T00:30", "2026-10-26T01:30"]),
        ("Europe/Berlin", "2027-03-27T18:00:00", ["2027-03-27T17:00", "2027-03-28T16:00", "2027-03-29T16:00"]),
        ("Australia/Lord_Howe", "2026-10-03T02:15:00", ["2026-10-02T15:45", "2026-10-03T15:45", "2026-10-04T15:15"]),
        ("America/New_York", "2026-10-31T01:30:00", ["2026-10-31T05:30", "2026-11-01T05:30", "2026-11-02T06:30"]),
    ];
    for (zone, starts_at, wanted) in zones {
        let (engine, _) = World::new().start();
        let mut series = named("fridays", starts_at, &["RRULE:FREQ=DAILY;COUNT=3"]);
        series.time_zone = zone.to_owned();
        let day_before = Timestamp(at(&format!("{}:00Z", wanted[0])).0 - DAY);
        let command = CreateSeries { series, validate_only: false };
        let answer = engine.create_series(&command, Context::anonymous(day_before)).expect(starts_at).value;
        let opened: Vec<String> =
            drops(&engine).iter().map(|line| line.split(' ').nth(1).expect("at").to_owned()).collect();
        assert_eq!(opened, wanted, "{zone} {starts_at}");
        let noted: Vec<_> = answer.notes.iter().map(|note| note.code).collect();
        let has_gap = starts_at.starts_with("2027-03-27T02") || zone == "Australia/Lord_Howe";
        assert_eq!(noted.contains(&"local_time_moved"), has_gap, "{noted:?}");
    }
}

#[test]
fn made_drops_follow_a_template_that_changes_unless_they_are_sold_from_or_changed_by_hand() {
    let world = World::new();
    let (engine, _) = world.start();
    let four = Series { create_ahead_days: 28, ..fridays() };
    made(&engine, &four, "2026-12-01T12:00:00Z");
    let now = at("2026-12-01T13:00:00Z");
    let by_hand = update(&engine, "fridays-20261211T1800", now, |wanted| wanted.title = "Special".to_owned());
    engine.updated(&by_hand, now);
    engine.steered("fridays-20261218T1800", Steer::Pause, now);
    let mut better = four.clone();
    better.template.items = definition("x", &[("A", 7), ("B", 2)], &[]).items;
    better.template.terms.hold_ttl = Millis(90_000);
    let answer = changed(&engine, &better, "2026-12-01T14:00:00Z");
    assert_eq!(lines(&answer.changed), ["12-04 18:00 created 20261204T1800", "12-25 18:00 created 20261225T1800"]);
    let noted: Vec<_> = answer.notes.iter().map(|note| (note.code, note.message.as_str())).collect();
    assert_eq!(
        noted,
        [
            ("drop_stays", "drop fridays-20261211T1800 stays as it is: it was changed by hand"),
            ("drop_stays", "drop fridays-20261218T1800 stays as it is: it is not scheduled any more"),
        ]
    );
    let wanted = [
        "fridays-20261204T1800 2026-12-04T17:00 scheduled 9",
        "fridays-20261211T1800 2026-12-11T17:00 scheduled 5",
        "fridays-20261218T1800 2026-12-18T17:00 paused 5",
        "fridays-20261225T1800 2026-12-25T17:00 scheduled 9",
    ];
    assert_eq!(drops(&engine), wanted);
    let view = engine.view("fridays-20261204T1800", now);
    assert_eq!(view.definition.terms.hold_ttl, Millis(90_000));
    let engine = same_after_restart(&world, engine);
    look(&engine, "2026-12-01T15:00:00Z");
    assert_eq!(drops(&engine), wanted, "once");
    let kept = Series { made_follow: false, ..four };
    let answer = changed(&engine, &kept, "2026-12-01T16:00:00Z");
    assert_eq!((lines(&answer.changed), answer.notes), (vec![], vec![]));
    assert_eq!(drops(&engine), wanted, "made drops are kept as they are");
    assert_eq!(engine.conservation_error(), 0);
}

#[test]
fn a_made_drop_moves_within_its_day_and_is_cancelled_once_the_rule_does_not_have_it() {
    let world = World::new();
    let (engine, _) = world.start();
    made(&engine, &fridays(), "2026-12-01T12:00:00Z");
    let later = Series { starts_at: "2026-12-04T19:30:00".to_owned(), ..fridays() };
    let answer = changed(&engine, &later, "2026-12-01T13:00:00Z");
    assert_eq!(lines(&answer.changed), ["12-04 19:30 created 20261204T1800", "12-11 19:30 created 20261211T1800"]);
    let moved =
        ["fridays-20261204T1800 2026-12-04T18:30 scheduled 5", "fridays-20261211T1800 2026-12-11T18:30 scheduled 5"];
    assert_eq!(drops(&engine), moved, "none is made beside them");
    let mut without = later.clone();
    without.rules.push("EXDATE:20261211T193000".to_owned());
    let revision = engine.get_series(&without.id, Context::anonymous(START)).expect("there").value.revision;
    let only_tried = UpdateSeries { series: without.clone(), keep_state: false, revision, validate_only: true };
    let context = Context::anonymous(at("2026-12-01T14:00:00Z"));
    let tried = engine.update_series(&only_tried, context).expect("possible").value;
    assert_eq!(lines(&tried.changed), ["12-11 18:00 cancelled 20261211T1800 the series does not have it any more"]);
    assert_eq!(drops(&engine), moved, "nothing is done");
    let answer = changed(&engine, &without, "2026-12-01T14:00:00Z");
    assert_eq!(lines(&answer.changed), ["12-11 18:00 cancelled 20261211T1800 the series does not have it any more"]);
    let engine = same_after_restart(&world, engine);
    assert_eq!(drops(&engine)[1], "fridays-20261211T1800 2026-12-11T18:30 cancelled 5");
    let shown = preview(&engine, "fridays", "2026-12-01T15:00:00Z", 2);
    assert_eq!(lines(&shown), ["12-04 19:30 created 20261204T1800", "12-18 19:30 planned 20261218T1930"]);
    // Its id is used up.
    changed(&engine, &fridays(), "2026-12-01T16:00:00Z");
    let shown = preview(&engine, "fridays", "2026-12-01T16:00:00Z", 2);
    let reason = "the series does not have it any more";
    assert_eq!(
        lines(&shown),
        ["12-04 18:00 created 20261204T1800".to_owned(), format!("12-11 18:00 cancelled 20261211T1800 {reason}")]
    );
    // Cancelled by hand.
    engine.steered("fridays-20261204T1800", Steer::Close, at("2026-12-01T17:00:00Z"));
    let shown = preview(&engine, "fridays", "2026-12-01T17:00:00Z", 1);
    assert_eq!(lines(&shown), ["12-04 18:00 cancelled 20261204T1800 closed before it opened"]);
    look(&engine, "2026-12-01T18:00:00Z");
    assert_eq!(drops(&engine).len(), 2, "none is made anew");
}

#[test]
fn a_drop_of_that_id_that_is_there_fails_the_occurrence_until_the_series_changes() {
    let world = World::new();
    let (engine, _) = world.start();
    let mut other = definition("fridays-20261204T1800", &[("A", 1)], &[]);
    other.schedule = Schedule { opens_at: Some(at("2026-12-04T20:00:00Z")), closes_at: None };
    create(&engine, other, at("2026-12-01T11:00:00Z"));
    made(&engine, &fridays(), "2026-12-01T12:00:00Z");
    look(&engine, "2026-12-02T12:00:00Z");
    assert_eq!(journaled(&world), ["12-04 18:00 failed", "12-11 18:00 created"]);
    let shown = preview(&engine, "fridays", "2026-12-02T12:00:00Z", 1);
    assert_eq!(shown[0].state, OccurrenceState::Failed);
    assert!(shown[0].reason.starts_with("drop fridays-20261204T1800 exists already"), "{}", shown[0].reason);
    changed(&engine, &Series { title: "Again".to_owned(), ..fridays() }, "2026-12-03T12:00:00Z");
    same_after_restart(&world, engine);
    let failed = journaled(&world).iter().filter(|line| *line == "12-04 18:00 failed").count();
    assert_eq!(failed, 2, "tried once more");
}

#[test]
fn guards_skip_what_overlaps_or_is_too_much_and_judge_again() {
    let world = World::new();
    let (engine, _) = world.start();
    let mut other = definition("other", &[("A", 1)], &[]);
    let (opens_at, closes_at) = (Some(at("2026-12-04T18:30:00Z")), Some(at("2026-12-04T19:30:00Z")));
    other.schedule = Schedule { opens_at, closes_at };
    create(&engine, other, at("2026-12-01T11:00:00Z"));
    let overlap = |skips| vec![Guard { kind: GuardKind::Overlap, skips }];
    let warned = made(
        &engine,
        &Series { guards: overlap(false), ..named("warned", "2026-12-04T18:00:00", &[]) },
        "2026-12-01T12:00:00Z",
    );
    let message = "2026-12-04T18:00:00: drop other sells A at the same time";
    assert_eq!(warned.notes.iter().map(|note| note.message.as_str()).collect::<Vec<_>>(), [message]);
    engine.steered("warned-20261204T1800", Steer::Close, at("2026-12-01T12:00:00Z"));

    made(&engine, &Series { guards: overlap(true), ..fridays() }, "2026-12-01T12:00:00Z");
    let skipped = "12-04 18:00 skipped 20261204T1800 overlap: drop other sells A at the same time";
    let shown = preview(&engine, "fridays", "2026-12-01T12:00:00Z", 2);
    assert_eq!(lines(&shown), [skipped, "12-11 18:00 created 20261211T1800"]);
    look(&engine, "2026-12-01T13:00:00Z");
    assert_eq!(journaled(&world).len(), 3, "said once");
    engine.steered("other", Steer::Close, at("2026-12-01T14:00:00Z"));
    look(&engine, "2026-12-01T14:01:00Z");
    assert_eq!(drops(&engine).last().expect("a drop"), "fridays-20261204T1800 2026-12-04T17:00 scheduled 5");

    let most = vec![Guard { kind: GuardKind::DropsAWeek(3), skips: true }];
    let daily = Series { guards: most, ..named("daily", "2026-12-07T09:00:00", &["RRULE:FREQ=DAILY;COUNT=8"]) };
    made(&engine, &daily, "2026-12-01T15:00:00Z");
    let states: Vec<_> = preview(&engine, "daily", "2026-12-01T15:00:00Z", 8).iter().map(|of| of.state).collect();
    let (yes, no) = (OccurrenceState::Created, OccurrenceState::Skipped);
    assert_eq!(states, [yes, yes, no, no, no, no, no, yes], "with the Friday drop three in the week, then a new week");
    same_after_restart(&world, engine);
}

#[test]
fn what_no_drop_can_be_made_of_is_refused_by_its_field_and_nothing_is_written() {
    let (engine, _) = World::new().start();
    let mut wrong = fridays();
    wrong.closes = Some(Named::Local { days: 0, seconds: 3_600 });
    let unknown = Series { time_zone: "Mars/Olympus".to_owned(), ..fridays() };
    let never = named("fridays", "2026-12-04T18:00:00", &["RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"]);
    for (series, field) in [(wrong, "series.closes"), (unknown, "series.time_zone"), (never, "series.rules[0]")] {
        let command = CreateSeries { series, validate_only: false };
        let fault = engine.create_series(&command, Context::anonymous(START)).expect_err(field).value;
        assert!(matches!(&fault, Fault::Invalid(fields) if fields[0].field == field), "{field}: {fault:?}");
    }
    let other = Series { title: "Another".to_owned(), ..fridays() };
    made(&engine, &fridays(), "2026-12-01T12:00:00Z");
    let command = CreateSeries { series: other, validate_only: false };
    let fault =
        engine.create_series(&command, Context::anonymous(at("2026-12-01T12:00:00Z"))).expect_err("exists").value;
    assert_eq!(fault.to_string(), "series fridays exists already with another series.title");
    let only_tried = CreateSeries { series: named("tried", "2026-12-04T18:00:00", &[]), validate_only: true };
    let appended = engine.journal().appended();
    let tried = engine.create_series(&only_tried, Context::anonymous(at("2026-12-01T12:00:00Z"))).expect("possible");
    assert_eq!((tried.value.view.revision, engine.journal().appended()), (Lsn(0), appended));
    assert_eq!(OccurrenceVerb::Skip.label(), "skipped");
}

#[test]
fn looks_that_follow_one_another_know_the_drops_that_each_has_made_and_what_others_did_meanwhile() {
    let world = World::new();
    let engine = std::sync::Arc::new(world.start().0);
    let overlap = || vec![Guard { kind: GuardKind::Overlap, skips: true }];
    let series =
        |id: &str, starts_at: &str| Series { guards: overlap(), create_ahead_days: 1, ..named(id, starts_at, &[]) };
    // Two at the same time, one behind both, and one while an operator sells.
    let all = [("a", "12-04T18:00:00"), ("b", "12-04T18:30:00"), ("c", "12-04T21:00:00"), ("d", "12-04T23:00:00")];
    for (id, starts_at) in all {
        made(&engine, &series(id, &format!("2026-{starts_at}")), "2026-12-01T12:00:00Z");
    }
    let mut agenda = Agenda::new(std::sync::Arc::clone(&engine));
    let mut other = definition("other", &[("A", 1)], &[]);
    other.schedule.opens_at = Some(at("2026-12-04T22:30:00Z"));
    create(&engine, other, at("2026-12-04T11:00:00Z"));
    let now = at("2026-12-04T12:00:00Z");
    while agenda.run_entry(AgendaEntry::Series, now) <= now {}
    let states = || all.map(|(id, _)| preview(&engine, id, "2026-12-04T12:00:00Z", 1)[0].state);
    let (yes, no) = (OccurrenceState::Created, OccurrenceState::Skipped);
    assert_eq!(states(), [yes, no, yes, no]);
    // The first is cancelled: at the next judgement the second comes.
    engine.steered("a-20261204T1800", Steer::Close, at("2026-12-04T12:00:30Z"));
    let later = at("2026-12-04T12:02:00Z");
    while agenda.run_entry(AgendaEntry::Series, later) <= later {}
    assert_eq!(states(), [OccurrenceState::Cancelled, yes, yes, no]);
}

#[test]
#[ignore = "measures: run by hand"]
fn the_time_that_a_look_takes_among_ten_thousand_drops_of_its_shop() {
    let world = World::new();
    let (engine, _) = world.start();
    for n in 0..10_000 {
        let mut drop = definition(&format!("d{n}"), &[("A", 1), ("B", 1), ("C", 1)], &[]);
        drop.schedule.opens_at = Some(at("2027-12-04T18:00:00Z"));
        let command = CreateDrop { definition: drop, validate_only: false };
        engine.create_drop(&command, Context::anonymous(at("2026-12-01T12:00:00Z"))).expect("made");
        if n % 256 == 0 {
            engine.journal().barrier().wait().expect("durable");
        }
    }
    let guards = vec![Guard { kind: GuardKind::Overlap, skips: true }];
    made(&engine, &Series { guards, ..fridays() }, "2026-12-01T12:00:00Z");
    for _ in 0..5 {
        let watch = stockade_types::metrics::Stopwatch::start();
        let shown = preview(&engine, "fridays", "2026-12-01T12:00:00Z", 1);
        println!("{} of 10,000 drops in {:?}", shown.len(), watch.elapsed());
    }
}
