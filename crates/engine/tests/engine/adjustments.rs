//! Adjustments that are sent again much later: made once, or refused if that can no longer be known.

use stockade_engine::command::AdjustStock;
use stockade_simulation::prelude::*;

const WEEK: Millis = Millis::from_secs(7 * 24 * 3_600);

/// A UUID of version 7 that was made at this instant.
pub fn made_at(at: Timestamp) -> AdjustmentId {
    let mut bytes = [0x80; 16];
    bytes[..6].copy_from_slice(&at.0.to_be_bytes()[2..]);
    bytes[6] = 0x70;
    AdjustmentId::from_bytes(bytes)
}

/// Adds ten units. Returns how many were received by then.
fn ten_more(engine: &Engine, id: AdjustmentId, now: Timestamp) -> Result<u64, Fault> {
    let change = StockChange::Delta(10);
    let command = AdjustStock { drop: drop_id("d"), sku: sku("A"), pool: None, id, change };
    let view = durable(engine, engine.adjust_stock(&command, Context::anonymous(now)))?;
    Ok(view.stock[0][0].received)
}

#[test]
fn what_was_adjusted_within_a_week_is_made_once_and_what_may_have_been_before_is_refused() {
    let mut world = World::new();
    let mut engine = world.start().0;
    create(&engine, definition("d", &[("A", 0)], &[]), START);
    let at = |n: u64| START.plus(Millis(n));
    for n in 1..=600 {
        assert_eq!(ten_more(&engine, made_at(at(n)), at(n)), Ok(10 * n));
    }
    assert_eq!(ten_more(&engine, made_at(at(1)), at(601)), Ok(6_000), "after 599 others, and made once");
    // A week later, one more.
    let later = at(100).plus(WEEK);
    assert_eq!(ten_more(&engine, made_at(later), later), Ok(6_010));
    let check = |engine: &Engine, start: &str| {
        for old in [at(0), at(1), at(100)] {
            let refused = ten_more(engine, made_at(old), later).expect_err("it may have been made");
            let Fault::Invalid(violations) = &refused else { panic!("{start}: {refused:?}") };
            assert_eq!(violations[0].field, "adjustment_id");
        }
        for known in [at(101), at(600), later] {
            assert_eq!(ten_more(engine, made_at(known), later), Ok(6_010), "{start}");
        }
        engine.inventory().digest()
    };
    let digest = check(&engine, "live");
    for start in ["from the journal", "from a snapshot", "from a snapshot of that"] {
        if start != "from the journal" {
            engine.snapshot(&world.snapshots, later).expect("a snapshot");
        }
        engine.stop(later);
        world.now = later;
        engine = world.start().0;
        assert_eq!(check(&engine, start), digest, "{start}");
    }
    assert_eq!(ten_more(&engine, made_at(later.plus(Millis(1))), later), Ok(6_020), "new ones are made");
}

#[test]
fn an_adjustment_at_the_opening_makes_that_a_fact_first_and_is_never_before_it() {
    let world = World::new();
    let (engine, _) = world.start();
    let at = |n: u64| START.plus(Millis(n));
    let mut later = definition("d", &[("A", 10)], &[]);
    later.schedule.opens_at = Some(at(1_000));
    create(&engine, later, START);
    assert_eq!(ten_more(&engine, made_at(at(999)), at(999)), Ok(20), "before the opening");
    let opening = AdjustStock {
        drop: drop_id("d"),
        sku: sku("A"),
        pool: None,
        id: made_at(at(1_000)),
        change: StockChange::Delta(10),
    };
    let view = durable(&engine, engine.adjust_stock(&opening, Context::anonymous(at(1_500)))).expect("adjusted");
    assert_eq!((view.state, view.stock[0][0].received), (DropState::Open, 30));
    let again = engine.adjust_stock(&opening, Context::anonymous(at(1_500))).expect("sent again");
    assert!(again.durable_after >= again.value.as_of, "it shows that the drop has opened");
    assert_eq!(ten_more(&engine, made_at(at(1_001)), at(1_200)), Ok(40), "by a clock that was read before");
    let reported: Vec<(&str, Timestamp)> = records(&world)
        .into_iter()
        .filter_map(|(_, record)| {
            if let Record::Adjusted(adjusted) = &record {
                return Some(("adjusted", adjusted.at.expect("a time")));
            }
            let Record::DropFact(fact) = record else { return None };
            (fact.verb == DropVerb::Turn).then_some(("opened", fact.at))
        })
        .collect();
    let expected = [("adjusted", at(999)), ("opened", at(1_500)), ("adjusted", at(1_500)), ("adjusted", at(1_500))];
    assert_eq!(reported, expected);
}

#[test]
fn what_is_sent_again_at_the_closing_waits_for_that() {
    let world = World::new();
    let (engine, _) = world.start();
    let at = |n: u64| START.plus(Millis(n));
    let mut soon_over = definition("d", &[("A", 10)], &[]);
    soon_over.schedule.closes_at = Some(at(1_000));
    create(&engine, soon_over, START);
    let command = adjust("d", "A", 1, StockChange::Delta(10));
    let made = engine.adjust_stock(&command, Context::anonymous(START)).expect("adjusted");
    let again = engine.adjust_stock(&command, Context::anonymous(at(1_000))).expect("sent again");
    assert_eq!(again.value.state, DropState::Closed);
    assert!(again.durable_after > made.durable_after, "it shows that the drop has closed");
}
