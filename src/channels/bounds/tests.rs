//! Caps, gaps and quiet hours as tables, over midnight and over changes of the clock.

use super::*;

const GOLD: [u8; 16] = [1; 16];
const ALL: [u8; 16] = [2; 16];
const NEVER: Timestamp = Timestamp(u64::MAX);

fn zone() -> TimeZone {
    TimeZone::get("Europe/Berlin").expect("a zone")
}

fn at(text: &str) -> Timestamp {
    let at: jiff::Timestamp = text.parse().expect("an instant");
    Timestamp(u64::try_from(at.as_millisecond()).expect("after 1970"))
}

fn bounds() -> Bounds {
    Bounds { max_per_day: None, zone: zone(), min_gap: None, quiet: None }
}

fn quiet(from: &str, until: &str, then: Then) -> Quiet {
    let time = |text: &str| text.parse().expect("a time");
    Quiet { from: time(from), until: time(until), zone: zone(), then }
}

#[test]
fn quiet_hours_last_over_midnight_and_end_at_the_local_time_whatever_the_clock_does() {
    let night = ("21:00", "09:00");
    let table = [
        // Winter: Berlin is at +01:00.
        (night, "2026-12-01T19:59:59Z", None),
        (night, "2026-12-01T20:00:00Z", Some("2026-12-02T08:00:00Z")),
        (night, "2026-12-01T23:30:00Z", Some("2026-12-02T08:00:00Z")),
        (night, "2026-12-02T07:59:59.999Z", Some("2026-12-02T08:00:00Z")),
        (night, "2026-12-02T08:00:00Z", None),
        // Over the night in which the clock is set ahead, and over that in which it is set back.
        (night, "2026-03-28T20:30:00Z", Some("2026-03-29T07:00:00Z")),
        (night, "2026-10-24T19:00:00Z", Some("2026-10-25T08:00:00Z")),
        // Within a day.
        (("12:00", "14:00"), "2026-07-01T10:00:00Z", Some("2026-07-01T12:00:00Z")),
        (("12:00", "14:00"), "2026-07-01T09:59:59Z", None),
        (("12:00", "14:00"), "2026-07-01T12:00:00Z", None),
        // Their end is skipped: 02:30 does not come, and 03:30 stands for it.
        (("01:00", "02:30"), "2026-03-29T00:59:00Z", Some("2026-03-29T01:30:00Z")),
        (("01:00", "02:30"), "2026-03-29T01:30:00Z", None),
        // Their end comes twice: the first counts, and the second 02:10 is not quiet.
        (("01:00", "02:30"), "2026-10-25T00:10:00Z", Some("2026-10-25T00:30:00Z")),
        (("01:00", "02:30"), "2026-10-25T01:10:00Z", None),
        // Their beginning comes twice: from the first on.
        (("02:30", "03:00"), "2026-10-25T00:30:00Z", Some("2026-10-25T02:00:00Z")),
        // All of the day but an hour.
        (("10:00", "09:00"), "2026-07-01T08:00:00Z", Some("2026-07-02T07:00:00Z")),
        (("10:00", "09:00"), "2026-07-01T07:30:00Z", None),
    ];
    for ((from, until), now, end) in table {
        let quiet = quiet(from, until, Then::Wait);
        assert_eq!(quiet.end(at(now)), end.map(at), "{from}-{until} at {now}");
    }
}

#[test]
fn in_quiet_hours_a_message_is_held_back_or_waits_if_it_is_worth_that() {
    let of = |then| Bounds { quiet: Some(quiet("21:00", "09:00", then)), ..bounds() };
    let (now, end) = (at("2026-12-01T22:00:00Z"), at("2026-12-02T08:00:00Z"));
    let decided = |then, expires_at, now| of(then).decide(&[], ALL, expires_at, now);
    assert_eq!(decided(Then::Drop, NEVER, now), Decision::HoldBack(Reason::Quiet));
    assert_eq!(decided(Then::Wait, NEVER, now), Decision::Wait(end));
    assert_eq!(decided(Then::Wait, end, now), Decision::Wait(end));
    assert_eq!(decided(Then::Wait, end.minus(Millis(1)), now), Decision::HoldBack(Reason::Expired));
    assert_eq!(decided(Then::Wait, end, end), Decision::Send);
    assert_eq!(decided(Then::Drop, now.minus(Millis(1)), now), Decision::HoldBack(Reason::Expired));
}

#[test]
fn each_audience_has_so_many_messages_on_a_day_of_the_zone() {
    let bounds = Bounds { max_per_day: Some(2), ..bounds() };
    let mut sent = Vec::new();
    let table = [
        ("2026-12-01T22:00:00Z", ALL, Decision::Send),
        ("2026-12-01T22:01:00Z", ALL, Decision::Send),
        ("2026-12-01T22:02:00Z", ALL, Decision::HoldBack(Reason::Capped)),
        ("2026-12-01T22:02:00Z", GOLD, Decision::Send),
        // Midnight in Berlin.
        ("2026-12-01T22:59:59Z", ALL, Decision::HoldBack(Reason::Capped)),
        ("2026-12-01T23:00:00Z", ALL, Decision::Send),
        ("2026-12-01T23:00:01Z", ALL, Decision::Send),
        ("2026-12-02T22:59:59Z", ALL, Decision::HoldBack(Reason::Capped)),
        // The day has 25 hours.
        ("2026-10-24T22:00:00Z", ALL, Decision::Send),
        ("2026-10-24T22:00:00Z", ALL, Decision::Send),
        ("2026-10-25T22:59:59Z", ALL, Decision::HoldBack(Reason::Capped)),
        ("2026-10-25T23:00:00Z", ALL, Decision::Send),
    ];
    for (now, audience, wanted) in table {
        let decision = bounds.decide(&sent, audience, NEVER, at(now));
        assert_eq!(decision, wanted, "{now}");
        if decision == Decision::Send {
            bounds.enter(&mut sent, audience, at(now));
        }
    }
}

#[test]
fn messages_to_an_audience_are_so_far_apart_over_midnight_too() {
    let bounds = Bounds { min_gap: Some(Millis::from_secs(1_800)), ..bounds() };
    let mut sent = Vec::new();
    let first = at("2026-12-01T22:50:00Z");
    bounds.enter(&mut sent, ALL, first);
    let decided = |audience, later: u64| bounds.decide(&sent, audience, NEVER, first.plus(Millis::from_secs(later)));
    assert_eq!(decided(ALL, 1_799), Decision::HoldBack(Reason::Gap));
    assert_eq!(decided(GOLD, 0), Decision::Send);
    assert_eq!(decided(ALL, 1_800), Decision::Send);
}

#[test]
fn what_was_sent_is_remembered_as_long_as_it_bounds_anything_and_no_audience_is_without_bounds() {
    let bounds = Bounds { max_per_day: Some(1), min_gap: Some(Millis::from_secs(3_600)), ..bounds() };
    let (mut sent, evening) = (Vec::new(), at("2026-12-01T22:30:00Z"));
    let audience = |number: usize| {
        let mut audience = [0; 16];
        audience[..8].copy_from_slice(&number.to_le_bytes());
        audience
    };
    for number in 0..AUDIENCES_MAX {
        assert_eq!(bounds.decide(&sent, audience(number), NEVER, evening), Decision::Send);
        bounds.enter(&mut sent, audience(number), evening);
    }
    assert_eq!(sent.len(), AUDIENCES_MAX);
    assert_eq!(bounds.decide(&sent, audience(AUDIENCES_MAX), NEVER, evening), Decision::HoldBack(Reason::Capped));
    // On the next day the gap still counts; an hour later nothing does.
    let (midnight, later) = (at("2026-12-01T23:00:00Z"), evening.plus(Millis::from_secs(3_600)));
    assert_eq!(bounds.decide(&sent, audience(0), NEVER, midnight), Decision::HoldBack(Reason::Gap));
    assert_eq!(bounds.decide(&sent, audience(AUDIENCES_MAX), NEVER, later), Decision::Send);
    bounds.enter(&mut sent, audience(0), later);
    assert_eq!(sent, [Sent { audience: audience(0), last_at: later, count: 1 }]);
    let free = Bounds { max_per_day: None, min_gap: None, ..bounds };
    free.enter(&mut sent, audience(0), later);
    assert!(sent.is_empty(), "without bounds nothing is remembered");
}
