//! The window as tables and random histories.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use stockade_feed::{Detail, Kind};
use stockade_types::definition::{Definition, Rules, Schedule, Terms};
use stockade_types::ids::{Lsn, ShopId};
use stockade_types::record::Actor;

use super::*;

const HALF: u32 = 1 << 31;
const NEVER: Timestamp = Timestamp::NEVER;

fn event(lsn: u64, drop: &str) -> Event {
    let definition = Definition {
        id: DropId::try_from(drop).expect("an id"),
        title: String::new(),
        shop: ShopId::try_from("s").expect("an id"),
        series: None,
        labels: BTreeMap::new(),
        schedule: Schedule { opens_at: None, closes_at: None },
        terms: Terms { hold_ttl: Millis(1), max_hold_life: Millis(1), payment_ttl: Millis(1) },
        items: Vec::new(),
        limits: Vec::new(),
        rules: Rules::default(),
    };
    Event {
        lsn: Lsn(lsn),
        position: Position::behind(Lsn(lsn)),
        kind: Kind::EngineRestarted,
        at: Timestamp(lsn),
        scheduled_for: None,
        actor: Actor::Engine,
        drop: Some(Arc::new(definition)),
        nth: 1,
        detail: Detail::Restart { stopped_at: Timestamp(0), grace_until: Timestamp(0) },
    }
}

fn window(batch: usize, drops: &[&str]) -> Window {
    let mut window = Window::new(Position::behind(Lsn(0)), batch);
    for (lsn, drop) in (1..).zip(drops) {
        window.push(event(lsn, drop), NEVER);
    }
    window
}

fn send(window: &mut Window, now: u64) -> Option<(Sending, Vec<u64>)> {
    let sending = window.next(Timestamp(now))?;
    let lsns = window.events(&sending).iter().map(|event| event.lsn.0).collect();
    Some((sending, lsns))
}

fn all(window: &mut Window, now: u64) -> Vec<(Sending, Vec<u64>)> {
    std::iter::from_fn(|| send(window, now)).collect()
}

#[test]
fn events_of_one_drop_go_one_after_the_other_and_drops_side_by_side() {
    let mut window = window(1, &["a", "a", "b", "a"]);
    let sent = all(&mut window, 0);
    assert_eq!(sent.iter().map(|(_, lsns)| lsns.clone()).collect::<Vec<_>>(), [vec![1], vec![3]]);
    assert_eq!(window.finish(&sent[1].0, Outcome::Delivered, Timestamp(1), HALF), 1);
    assert_eq!(window.delivered_to(), Position::behind(Lsn(0)), "the first is on its way");
    assert_eq!(window.finish(&sent[0].0, Outcome::Delivered, Timestamp(1), HALF), 1);
    assert_eq!(window.delivered_to(), Position::behind(Lsn(1)));
    let (second, lsns) = send(&mut window, 1).expect("the next of a");
    assert_eq!(lsns, [2]);
    assert!(send(&mut window, 1).is_none());
    window.finish(&second, Outcome::Delivered, Timestamp(1), HALF);
    assert_eq!((window.delivered_to(), window.waiting()), (Position::behind(Lsn(3)), 1));
}

#[test]
fn a_batch_has_the_events_in_order_of_drops_that_are_not_on_their_way() {
    let mut window = window(3, &["a", "a", "b", "a", "b", "c"]);
    let sent = all(&mut window, 0);
    assert_eq!(sent.iter().map(|(_, lsns)| lsns.clone()).collect::<Vec<_>>(), [vec![1, 2, 3], vec![6]]);
    window.finish(&sent[0].0, Outcome::Delivered, Timestamp(0), HALF);
    assert_eq!(send(&mut window, 0).expect("the rest").1, [4, 5]);
}

#[test]
fn a_failure_is_tried_again_on_schedule_and_in_order() {
    let mut window = window(1, &["a", "a"]);
    let mut now = 0;
    for wait in [2_500, 15_000, 60_000, 300_000, 900_000, 1_800_000, 1_800_000] {
        let (sending, lsns) = send(&mut window, now).expect("a try");
        assert_eq!(lsns, [1]);
        window.finish(&sending, Outcome::Unreachable, Timestamp(now), HALF);
        assert_eq!(window.ready_at(), Some(Timestamp(now + wait)));
        now += wait;
    }
    assert!(window.is_failing());
    let (sending, lsns) = send(&mut window, now).expect("a try");
    assert_eq!(lsns, [1]);
    window.finish(&sending, Outcome::Delivered, Timestamp(now), HALF);
    assert!(!window.is_failing());
    assert_eq!(send(&mut window, now).expect("the next").1, [2]);
}

#[test]
fn what_the_receiver_asks_for_is_kept_to() {
    let mut window = window(1, &["a", "b"]);
    let (sending, _) = send(&mut window, 0).expect("a try");
    window.finish(&sending, Outcome::Throttled(Some(Millis(90_000))), Timestamp(0), HALF);
    assert_eq!(window.ready_at(), Some(Timestamp(90_000)), "b waits as well");
    assert_eq!(send(&mut window, 90_000).expect("a try").1, [2], "the one that has not failed yet");
}

#[test]
fn a_receiver_that_asks_for_no_wait_gets_the_usual_one_and_at_least_a_second() {
    for (failures, random, wait) in [(1, HALF, 2_500), (2, HALF, 15_000), (1, 0, 1_000), (6, 0, 1_000)] {
        assert_eq!(pause(Outcome::Throttled(Some(Millis(0))), failures, random), Millis(wait), "{failures}");
    }
    let mut window = window(1, &["a"]);
    let mut sent = 0;
    for now in 0..10_000 {
        if let Some((sending, _)) = send(&mut window, now) {
            sent += 1;
            window.finish(&sending, Outcome::Throttled(Some(Millis(0))), Timestamp(now), 0);
        }
    }
    assert!(sent <= 10, "{sent} in 10 s");
}

#[test]
fn a_receiver_that_is_down_gets_one_delivery_at_a_time_and_all_when_it_is_back() {
    let drops: Vec<String> = (0..100).map(|drop| drop.to_string()).collect();
    let names: Vec<&str> = drops.iter().map(String::as_str).collect();
    let mut window = window(1, &names);
    let first = all(&mut window, 0);
    assert_eq!(first.len(), AT_ONCE_FIRST);
    for (sending, _) in &first {
        window.finish(sending, Outcome::Unreachable, Timestamp(10), HALF);
    }
    assert_eq!(window.ready_at(), Some(Timestamp(2_510)), "they count as one failure");
    let again = all(&mut window, 2_510);
    assert_eq!(again.len(), 1);
    let behind = u64::try_from(AT_ONCE_FIRST).expect("few") + 1;
    assert_eq!(again[0].1, [behind], "another drop's, since the first may have failed for its own sake");
    window.finish(&again[0].0, Outcome::Unreachable, Timestamp(2_520), HALF);
    assert_eq!(window.ready_at(), Some(Timestamp(17_520)));
    let back = all(&mut window, 17_520);
    window.finish(&back[0].0, Outcome::Delivered, Timestamp(17_530), HALF);
    assert_eq!(all(&mut window, 17_530).len(), 2, "then twice as many at once");
    assert!(window.entries.len() <= KEPT_WHILE_FAILING, "the others are read again");
}

#[test]
fn a_window_whose_receiver_failed_before_begins_with_one_delivery_and_few_events() {
    let mut window = Window::new(Position::behind(Lsn(0)), 1).failing();
    for lsn in 1..=4 {
        window.push(event(lsn, &lsn.to_string()), NEVER);
    }
    assert!(window.is_failing());
    let first = all(&mut window, 0);
    assert_eq!(first.iter().map(|(_, lsns)| lsns.clone()).collect::<Vec<_>>(), [vec![1]], "at once, and alone");
    window.finish(&first[0].0, Outcome::Delivered, Timestamp(1), HALF);
    assert!(!window.is_failing());
    assert_eq!(all(&mut window, 1).len(), 2);
}

#[test]
fn a_window_has_no_more_deliveries_at_once_than_its_part() {
    let drops: Vec<String> = (0..100).map(|drop| drop.to_string()).collect();
    for (part, most) in [(0, 1), (1, 1), (3, 3), (1_000, AT_ONCE_MAX)] {
        let mut window = Window::new(Position::behind(Lsn(0)), 1).at_once(part);
        for (lsn, drop) in (1..).zip(&drops) {
            window.push(event(lsn, drop), NEVER);
        }
        for now in 0..6 {
            let sent = all(&mut window, now);
            assert!(sent.len() <= most, "{} of {most}", sent.len());
            assert!(now < 5 || sent.len() == most, "{} of {most}", sent.len());
            for (sending, _) in sent {
                window.finish(&sending, Outcome::Delivered, Timestamp(now), HALF);
            }
        }
    }
}

#[test]
fn an_event_that_is_never_taken_holds_up_its_drop_alone() {
    let mut window = window(1, &["bad", "good", "good", "bad", "good"]);
    let mut taken = Vec::new();
    for now in (0..40_000).step_by(100) {
        while let Some((sending, lsns)) = send(&mut window, now) {
            let outcome = if lsns == [1] { Outcome::Rejected } else { Outcome::Delivered };
            window.finish(&sending, outcome, Timestamp(now), HALF);
            taken.extend((outcome == Outcome::Delivered).then_some(lsns).into_iter().flatten());
        }
    }
    assert_eq!(taken, [2, 3, 5]);
}

#[test]
fn at_its_deadline_an_event_is_given_up_and_the_next_is_tried() {
    let mut window = Window::new(Position::behind(Lsn(0)), 1);
    window.push(event(1, "a"), Timestamp(5_000));
    window.push(event(2, "a"), Timestamp(6_000));
    let (sending, _) = send(&mut window, 0).expect("a try");
    assert_eq!(window.give_up(Timestamp(5_000)), 0, "its answer is awaited");
    window.finish(&sending, Outcome::Rejected, Timestamp(5_000), HALF);
    assert_eq!(window.next_deadline(), Some(Timestamp(5_000)));
    assert_eq!(window.give_up(Timestamp(5_000)), 1);
    assert_eq!(window.delivered_to(), Position::behind(Lsn(1)));
    assert_eq!(window.next_deadline(), Some(Timestamp(6_000)));
    assert_eq!(window.give_up(Timestamp(6_000)), 1);
    assert_eq!((window.waiting(), window.bytes(), window.next_deadline()), (0, 0, None));
}

#[test]
fn a_window_has_a_bound_of_events_and_of_bytes() {
    let mut window = window(1, &[]);
    let mut lsn = 0;
    while window.has_room(event(1, "a").weight()) {
        lsn += 1;
        window.push(event(lsn, "a"), NEVER);
    }
    assert!(window.entries.len() <= EVENTS_MAX && window.bytes() <= BYTES_MAX);
    assert!(Window::new(Position::behind(Lsn(0)), 1).has_room(BYTES_MAX * 2), "one event always");
}

/// The place of a record in a list of all of them.
fn place_of(lsn: u64) -> usize {
    usize::try_from(lsn).expect("few") - 1
}

/// What a random history does next.
#[derive(Debug, Clone)]
enum Step {
    Push(u8),
    Send,
    Finish(prop::sample::Index, bool),
    Pass(u32),
    GiveUp,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4_u8).prop_map(Step::Push),
        4 => Just(Step::Send),
        4 => (any::<prop::sample::Index>(), prop::bool::weighted(0.7)).prop_map(|(at, ok)| Step::Finish(at, ok)),
        2 => (0..20_000_u32).prop_map(Step::Pass),
        1 => Just(Step::GiveUp),
    ]
}

proptest! {
    /// Whatever happens: each drop's events are delivered in order and once, none is lost, and the position never
    /// passes one that is still on its way.
    #[test]
    fn nothing_is_lost_doubled_or_out_of_order(batch in 1..5_usize, steps in prop::collection::vec(step(), 0..300)) {
        let mut window = Window::new(Position::behind(Lsn(0)), batch);
        let (mut now, mut made, mut given_up) = (0_u64, Vec::<u8>::new(), 0);
        let mut flying: Vec<(Sending, Vec<u64>)> = Vec::new();
        let mut done = BTreeSet::new();
        let mut last: BTreeMap<u8, u64> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Push(drop) => {
                    // Events that were forgotten are read again, in order.
                    let lsn = window.read_to().lsn().0 + 1;
                    let drop = made.get(place_of(lsn)).copied().unwrap_or(drop);
                    if window.has_room(1) {
                        made.resize(made.len().max(place_of(lsn) + 1), drop);
                        window.push(event(lsn, &drop.to_string()), Timestamp(100_000 * lsn));
                    }
                }
                Step::Send => flying.extend(send(&mut window, now)),
                Step::Finish(at, ok) if !flying.is_empty() => {
                    let (sending, lsns) = flying.swap_remove(at.index(flying.len()));
                    let outcome = if ok { Outcome::Delivered } else { Outcome::Rejected };
                    window.finish(&sending, outcome, Timestamp(now), HALF);
                    if ok {
                        for lsn in lsns {
                            prop_assert!(done.insert(lsn), "{lsn} was delivered before");
                            let before = last.insert(made[place_of(lsn)], lsn);
                            prop_assert!(before < Some(lsn));
                        }
                    }
                }
                Step::Finish(..) => {}
                Step::Pass(millis) => now += u64::from(millis),
                Step::GiveUp => given_up += window.give_up(Timestamp(now)),
            }
            let read = window.read_to().lsn().0;
            let upto = window.delivered_to().lsn().0;
            let within = |lsns: &BTreeSet<u64>| lsns.iter().filter(|lsn| **lsn <= read).count();
            prop_assert_eq!(within(&done) + given_up + window.waiting(), usize::try_from(read).expect("few"));
            prop_assert!(flying.iter().flat_map(|(_, lsns)| lsns).all(|lsn| *lsn > upto));
            prop_assert!(window.entries.is_empty() == (upto == read));
        }
    }
}
