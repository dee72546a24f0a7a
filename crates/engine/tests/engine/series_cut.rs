//! Series whose work ends between two records: at a crash, or because it is much at once. What is left is done later, and
//! the outcome is the same.

use std::collections::BTreeSet;

use stockade_engine::operators::series::{CreateSeries, UpdateSeries};
use stockade_simulation::prelude::*;
use stockade_types::series::Series;

use crate::series::{at, changed, drops, fridays, journaled, lines, look, made, named, preview};

/// As [`fridays`] with three items, and with a template in which each differs, as does the rest.
fn before_and_after() -> (Series, Series) {
    let mut before = Series { create_ahead_days: 21, ..fridays() };
    before.template.items = definition("x", &[("A", 5), ("B", 9), ("C", 4)], &[]).items;
    let mut after = before.clone();
    after.template.items = definition("x", &[("A", 7), ("B", 2), ("C", 6), ("D", 1)], &[]).items;
    after.template.terms.hold_ttl = Millis(90_000);
    (before, after)
}

/// What is of a series' drops, and what differs by the template. Not what they have received: that is less of a drop that
/// was made by the later one.
fn outcome(engine: &Engine) -> Vec<String> {
    let units = |line: &String| {
        let view = engine.view(line.split(' ').next().expect("an id"), at("2026-12-01T15:00:00Z"));
        let free: Vec<u64> = view.stock.iter().flatten().map(|pool| pool.free).collect();
        let line = line.rsplit_once(' ').expect("what was received").0;
        format!("{line} {free:?} {} {}", view.definition.terms.hold_ttl.0, view.definition.title)
    };
    drops(engine).iter().map(units).collect()
}

/// What the journal says of occurrences, once all of it is there.
fn said(engine: &Engine, world: &World) -> Vec<String> {
    engine.journal().barrier().wait().expect("durable");
    journaled(world)
}

/// The same machine with the first records of its journal alone.
fn cut(world: &World, count: usize) -> World {
    let kept: Vec<Record> = records(world).into_iter().take(count).map(|(_, record)| record).collect();
    let cut = World { root: world.root.reboot(0), now: at("2026-12-01T14:30:00Z"), ..World::new() };
    cut.append(&kept, cut.now);
    cut
}

#[test]
fn a_change_that_ends_after_any_record_is_finished_later() {
    let world = World::new();
    let (engine, _) = world.start();
    let (before, after) = before_and_after();
    made(&engine, &before, "2026-12-01T12:00:00Z");
    let begins = records(&world).len();
    changed(&engine, &after, "2026-12-01T14:00:00Z");
    let uncut = outcome(&engine);
    assert_eq!(uncut[0], "fridays-20261204T1800 2026-12-04T17:00 scheduled [7, 2, 6, 1] 90000 Knives of 2026-12-04");
    let all_said: BTreeSet<String> = said(&engine, &world).into_iter().collect();
    engine.stop(world.now);
    let all = records(&world).len();
    assert!(all > begins + 15, "five records for each of three drops");
    for count in 1..=all {
        let world = cut(&world, count);
        let (engine, _) = world.start();
        if count <= begins {
            // Before the agenda has looked.
            changed(&engine, &after, "2026-12-01T14:31:00Z");
        }
        look(&engine, "2026-12-01T14:32:00Z");
        assert_eq!(outcome(&engine), uncut, "after {count} records of {all}");
        let said: BTreeSet<String> = said(&engine, &world).into_iter().collect();
        // A drop that was made by the later template has not changed.
        let wanted = all_said.iter().filter(|line| count > begins || line.ends_with("created") || said.contains(*line));
        assert_eq!(said, wanted.cloned().collect(), "after {count} records of {all}");
        let titled = Series { title: "Knives".to_owned(), ..after.clone() };
        let answer = changed(&engine, &titled, "2026-12-01T14:33:00Z");
        assert_eq!((answer.notes, answer.changed.len()), (vec![], 3), "after {count} records of {all}");
        let of_title: Vec<_> =
            uncut.iter().map(|line| line.rsplit_once(" of ").expect("a title").0.to_owned()).collect();
        assert_eq!(outcome(&engine), of_title, "the same stock");
    }
}

#[test]
fn a_drop_whose_stock_was_adjusted_by_hand_is_not_taken_for_half_changed() {
    let world = World::new();
    let (engine, _) = world.start();
    let (before, after) = before_and_after();
    made(&engine, &before, "2026-12-01T12:00:00Z");
    let by_hand = adjust("fridays-20261204T1800", "A", 1, StockChange::Delta(1));
    let context = Context::anonymous(at("2026-12-01T13:00:00Z"));
    durable(&engine, engine.adjust_stock(&by_hand, context)).expect("adjusted");
    // Only its stock differs.
    let mut only_stock = before;
    only_stock.template.items = after.template.items;
    only_stock.template.items.pop();
    let answer = changed(&engine, &only_stock, "2026-12-01T14:00:00Z");
    assert_eq!(lines(&answer.changed), ["12-11 18:00 created 20261211T1800", "12-18 18:00 created 20261218T1800"]);
    let noted: Vec<_> = answer.notes.iter().map(|note| note.message.as_str()).collect();
    assert_eq!(noted, ["drop fridays-20261204T1800 stays as it is: it was changed by hand"]);
}

#[test]
fn a_drop_that_its_series_does_not_have_any_more_is_cancelled_once_whatever_comes_between() {
    let world = World::new();
    let (engine, _) = world.start();
    made(&engine, &fridays(), "2026-12-01T12:00:00Z");
    let begins = records(&world).len();
    let mut without = fridays();
    without.rules.push("EXDATE:20261211T180000".to_owned());
    changed(&engine, &without, "2026-12-01T14:00:00Z");
    let uncut = (outcome(&engine), said(&engine, &world));
    engine.stop(world.now);
    for count in begins + 1..=records(&world).len() {
        let world = cut(&world, count);
        let (engine, _) = world.start();
        look(&engine, "2026-12-01T14:32:00Z");
        assert_eq!((outcome(&engine), said(&engine, &world)), uncut, "after {count} records");
    }
}

#[test]
fn a_drop_that_was_made_before_a_crash_is_its_series_even_after_its_opening() {
    let world = World::new();
    let (engine, _) = world.start();
    made(&engine, &named("fridays", "2026-12-04T18:00:00", &["RRULE:FREQ=DAILY;COUNT=1"]), "2026-12-01T12:00:00Z");
    engine.stop(world.now);
    // The series and the drop; not that it was made for the occurrence.
    let world = World { now: at("2026-12-04T18:00:00Z"), ..cut(&world, 2) };
    let (engine, _) = world.start();
    look(&engine, "2026-12-04T18:00:00Z");
    assert_eq!(said(&engine, &world), ["12-04 18:00 created"]);
}

#[test]
fn many_drops_are_made_a_few_at_a_time() {
    let world = World::new();
    let (engine, _) = world.start();
    let daily = named("many", "2026-12-02T18:00:00", &["RRULE:FREQ=DAILY"]);
    let many = Series { create_ahead_days: 90, ..daily };
    let command = CreateSeries { series: many.clone(), validate_only: false };
    let now = at("2026-12-01T12:00:00Z");
    durable(&engine, engine.create_series(&command, Context::anonymous(now))).expect("a series");
    assert_eq!(drops(&engine).len(), 64, "at its creation");
    let mut counts = Vec::new();
    while engine.inventory().series_looks.next() <= now {
        engine.look_at_series(now).expect("looks");
        counts.push(drops(&engine).len());
    }
    assert_eq!(counts.first(), Some(&80), "sixteen at a time");
    assert!(counts.windows(2).all(|two| two[1] - two[0] <= 16), "{counts:?}");
    let shown = preview(&engine, "many", "2026-12-01T12:00:00Z", 120);
    let planned = lines(&shown).iter().position(|line| line.contains("planned")).expect("one that is not due");
    assert_eq!((drops(&engine).len(), planned), (planned, planned), "each that is due, in order");
    let revision = engine.get_series(&many.id, Context::anonymous(now)).expect("there").value.revision;
    let mut better = many;
    better.template.items = definition("x", &[("A", 7)], &[]).items;
    let command = UpdateSeries { series: better, keep_state: false, revision, validate_only: false };
    let answer = durable(&engine, engine.update_series(&command, Context::anonymous(now))).expect("changed");
    assert_eq!(answer.changed.len(), planned, "the answer to a change says all that it has changed");
}

#[test]
fn the_answer_says_why_a_drop_could_not_follow() {
    let (engine, _) = World::new().start();
    let (before, after) = before_and_after();
    let once = |series: Series| Series { create_ahead_days: 7, ..series };
    made(&engine, &once(before), "2026-12-01T12:00:00Z");
    let mut reordered = once(after);
    reordered.template.items.reverse();
    let answer = changed(&engine, &reordered, "2026-12-01T14:00:00Z");
    let noted: Vec<_> = answer.notes.iter().map(|note| note.message.as_str()).collect();
    assert_eq!(noted.len(), 1, "{noted:?}");
    let why = noted[0].strip_prefix("drop fridays-20261204T1800 stays as it is: ").expect("which");
    assert!(why.contains("items"), "{why}");
}
