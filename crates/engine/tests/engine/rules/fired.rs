//! Moments that have fired stay where they were when the closing, which names them, moves.

use std::sync::Arc;

use stockade_engine::context::Context;
use stockade_types::definition::{Definition, Named};
use stockade_types::time::{Millis, Timestamp};

use stockade_simulation::world::{AtOnce, START, World, create, drop_id, restart, update};

use super::definitions::{after, change, sale, slots, window};
use super::{play, value};

/// A window that closes 3,500 s before the closing, which is 100 s behind the opening, and one that closes 600 s before it.
fn until_closing() -> Definition {
    let mut sale = sale(&[("A", 5)]);
    sale.rules.windows = vec![window("early", "", None, None), window("late", "", None, None)];
    for (window, before) in sale.rules.windows.iter_mut().zip([3_500, 600]) {
        window.ends = Some(Named::BeforeClosing(Millis::from_secs(before)).into());
    }
    sale
}

#[test]
fn a_moment_before_the_closing_that_has_fired_stays_and_another_moves_with_it() {
    play(
        "an earlier closing, to which the first window's end does not fit any more",
        &until_closing(),
        "
        20  update closes-at-50 -> invalid drop.windows[0].ends drop.windows[1].ends
        110 reserve 1 eve 1*A -> held: 1*A/general late, for 300 s
        120 update closes-at-900 -> open: A/general 4+1+0-0 window_closed
        299 reserve 2 eve 1*A -> held: 1*A/general late, for 300 s
        300 reserve 3 eve 1*A -> closed; A closed 0 of 1
        300 show -> open: A/general 3+2+0-0 window_closed window_closed
    ",
    );
}

#[test]
fn what_has_fired_is_shown_where_it_was_also_after_a_restart() {
    let mut world = World::new();
    let (engine, _) = world.start();
    let mut sale = until_closing();
    let visit = slots(false).items.remove(1);
    sale.items.push(visit);
    let slot = sale.items[1].slot.as_mut().expect("a slot");
    (slot.starts, slot.ends) =
        (Named::BeforeClosing(Millis::from_secs(3_500)).into(), Named::BeforeClosing(Millis::from_secs(3_000)).into());
    create(&engine, sale, START);
    world.now = START.plus(Millis::from_secs(200));
    let changed = update(&engine, "d", world.now, change("closes-at-900"));
    let seconds = |at: Option<Timestamp>| at.map(|at| START.until(at).0 / 1_000);
    let check = |view: &stockade_engine::answer::DropView| {
        let Definition { items, rules, .. } = view.definition.as_ref();
        let ends = rules.windows.iter().map(|window| seconds(window.ends.map(|ends| ends.at)));
        assert_eq!(ends.collect::<Vec<_>>(), [Some(110), Some(300)]);
        let slot = items[1].slot.as_ref().expect("a slot");
        assert_eq!([slot.starts.at, slot.ends.at].map(|at| seconds(Some(at))), [Some(110), Some(610)]);
        assert_eq!(view.marks.iter().count(), 2);
    };
    check(&value(engine.update_drop(&changed, Context::anonymous(world.now))).expect("changed"));
    let (engine, live, replayed) = restart(engine, &world, AtOnce::Each);
    assert_eq!(live, replayed);
    let engine = Arc::new(engine);
    check(&value(engine.get_drop(&drop_id("d"), Context::anonymous(world.now))).expect("a drop"));
    // Another end for what has ended is refused, as before.
    let moved = update(&engine, "d", world.now, |wanted| wanted.rules.windows[0].ends = Some(after(700)));
    let refused = value(engine.update_drop(&moved, Context::anonymous(world.now))).expect_err("it has fired");
    assert!(refused.to_string().contains("drop.windows[0].ends has fired"), "{refused}");
}
