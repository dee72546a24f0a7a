//! Requests: what a suggestion has, gaps, time zones, zones, and what is refused.

use jiff::tz::TimeZone;
use stockade_types::time::{Millis, Timestamp};

use super::super::{BadRequest, History, InterestHour, PastDrop, Request, Schedule, suggest};

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

fn instant(text: &str) -> Timestamp {
    let instant: jiff::Timestamp = text.parse().expect("an instant");
    Timestamp(u64::try_from(instant.as_millisecond()).expect("after 1970"))
}

fn berlin() -> TimeZone {
    TimeZone::get("Europe/Berlin").expect("a zone")
}

/// A drop on each Friday at 20:00 in Berlin, before and behind the change of the clocks on 25 October, and on each Monday
/// at 09:00 with a quarter of the demand. Half of the first hour's demand comes within 5 minutes.
fn drops(weeks: u64) -> Vec<PastDrop> {
    let fridays = (0..weeks).map(|week| (instant("2026-07-03T18:00:00Z").plus(Millis(7 * DAY * week)), 1_200));
    let mondays = (0..weeks).map(|week| (instant("2026-07-06T07:00:00Z").plus(Millis(7 * DAY * week)), 300));
    let one = |(opens_at, units): (Timestamp, u64)| PastDrop {
        opens_at,
        units_asked: Some(units),
        counted: Millis(HOUR),
        by_zone: vec![("north".to_owned(), units / 4), ("south".to_owned(), units - units / 4)],
        by_minute: (0..1_440)
            .map(|minute| {
                if minute < 5 {
                    110
                } else if minute < 60 {
                    10
                } else {
                    0
                }
            })
            .collect(),
        stock: 300,
        units_claimed: 300,
        support_contacts: Some(6),
    };
    fridays.chain(mondays).map(one).collect()
}

fn request(zone: &TimeZone) -> Request<'_> {
    Request {
        zone: "",
        time_zone: zone,
        now: instant("2026-10-14T12:00:00Z"),
        from: None,
        horizon: None,
        units: 600,
        max_suggestions: 4,
        min_gap: None,
    }
}

fn asked(history: &History<'_>, change: impl FnOnce(&mut Request<'_>)) -> Result<Schedule, BadRequest> {
    let zone = berlin();
    let mut request = request(&zone);
    change(&mut request);
    suggest(history, &request)
}

#[test]
fn a_suggestion_has_demand_sell_out_contacts_and_a_local_time() {
    let drops = drops(15);
    let history = History { drops: &drops, interest: &[], planned: &[] };
    let schedule = asked(&history, |_| {}).expect("a schedule");
    assert_eq!(schedule, asked(&history, |_| {}).expect("a schedule"), "the same again");
    assert_eq!(schedule.suggestions.len(), 4);
    assert_eq!((schedule.quality.drops, schedule.quality.views), (30, 0));
    // Of the two Fridays the one that is farther from the last drop, on Monday, the 12th.
    let best = &schedule.suggestions[0];
    assert_eq!(
        (best.opens_at, best.local_time.as_str()),
        (instant("2026-10-23T18:00:00Z"), "2026-10-23T20:00:00+02:00")
    );
    // Then the other one, before days of which nothing is known.
    let second = &schedule.suggestions[1];
    assert_eq!(second.local_time, "2026-10-16T20:00:00+02:00");
    assert!(second.expected_demand < best.expected_demand, "it is closer to a drop");
    assert!(best.low < best.expected_demand && best.expected_demand < best.high, "{best:?}");
    assert!((900..1_300).contains(&best.expected_demand), "{best:?}");
    // 600 of some 1,200 units: half, so about 5 minutes.
    let sold_out = best.expected_time_to_sold_out.expect("within a day");
    assert!((Millis(200_000)..Millis(500_000)).contains(&sold_out), "{best:?}");
    // 6 contacts for 300 units.
    assert_eq!(best.expected_support_contacts, Some(12));
    assert!(best.reason.starts_with("Friday 20:00: ") && best.reason.ends_with("by 30 drops and views"), "{best:?}");
    assert!(!best.fatigue);
    for (index, one) in schedule.suggestions.iter().enumerate() {
        assert_eq!(one.opens_at.0 % (15 * 60_000), 0);
        for other in &schedule.suggestions[..index] {
            assert!(one.opens_at.0.abs_diff(other.opens_at.0) >= DAY, "{one:?} {other:?}");
        }
    }
}

#[test]
fn the_clocks_change_and_the_local_time_stays() {
    let drops = drops(15);
    let history = History { drops: &drops, interest: &[], planned: &[] };
    let from = Some(instant("2026-10-26T00:00:00Z"));
    let schedule = asked(&history, |request| request.from = from).expect("a schedule");
    assert_eq!(schedule.suggestions[0].local_time, "2026-10-30T20:00:00+01:00");
    // The day with 25 hours, in quarters: each is suggested once, those of the hour that comes twice with two offsets.
    let whole_day = |request: &mut Request<'_>| {
        (request.from, request.horizon) = (Some(instant("2026-10-24T22:00:00Z")), Some(Millis(25 * HOUR)));
        (request.max_suggestions, request.min_gap) = (100, Some(Millis(0)));
    };
    let times = asked(&history, whole_day).expect("a schedule").suggestions;
    let times: std::collections::BTreeSet<String> = times.into_iter().map(|one| one.local_time).collect();
    assert_eq!(times.len(), 100);
    assert!(times.contains("2026-10-25T02:30:00+02:00") && times.contains("2026-10-25T02:30:00+01:00"));
}

#[test]
fn planned_drops_keep_their_distance_and_tire() {
    let drops = drops(15);
    let planned = [instant("2026-10-16T18:00:00Z"), instant("2026-10-24T06:00:00Z")];
    let history = History { drops: &drops, interest: &[], planned: &planned };
    let schedule = asked(&history, |request| request.min_gap = Some(Millis(12 * HOUR))).expect("a schedule");
    for one in &schedule.suggestions {
        assert!(planned.iter().all(|planned| one.opens_at.0.abs_diff(planned.0) >= 12 * HOUR), "{one:?}");
        assert_eq!(one.reason.contains("close to another drop"), one.fatigue, "{one:?}");
    }
    // Friday, the 23rd at 20:00 is twelve hours before a planned drop: allowed, and said.
    let near = asked(&history, |request| {
        (request.from, request.horizon) = (Some(instant("2026-10-23T17:45:00Z")), Some(Millis(DAY)));
        (request.min_gap, request.max_suggestions) = (Some(Millis(0)), 100);
    });
    let near = near.expect("a schedule").suggestions;
    let friday = near.iter().find(|one| one.opens_at == instant("2026-10-23T18:00:00Z")).expect("it is far enough");
    assert!(friday.fatigue, "{friday:?}");
}

#[test]
fn a_zone_has_its_own_demand_drawn_to_that_of_all() {
    let mut drops = drops(15);
    let history = History { drops: &drops, interest: &[], planned: &[] };
    let of = |zone| asked(&history, |request| request.zone = zone).expect("a schedule").suggestions[0].clone();
    let (all, north, nowhere) = (of(""), of("north"), of("nowhere"));
    assert_eq!(north.opens_at, all.opens_at);
    assert!((3..6).contains(&(all.expected_demand / north.expected_demand)), "{all:?} {north:?}");
    assert_eq!(nowhere.expected_demand, 0);
    // Where demand is not known by zone, nothing is suggested for one.
    for drop in &mut drops {
        drop.by_zone.clear();
    }
    let history = History { drops: &drops, interest: &[], planned: &[] };
    assert_eq!(asked(&history, |request| request.zone = "north").expect("a schedule").suggestions, []);
}

#[test]
fn what_is_not_known_is_left_out() {
    let interest = [InterestHour { starts_at: Timestamp(0), zone: String::new(), views: 5, interest: 0 }];
    let nothing = asked(&History { drops: &[], interest: &interest, planned: &[] }, |_| {}).expect("a schedule");
    assert_eq!(nothing.suggestions, []);
    assert_eq!((nothing.quality.drops, nothing.quality.views, nothing.quality.error), (0, 5, None));
    // One drop, with its demand, no curve and no contacts.
    let one = PastDrop {
        opens_at: instant("2026-10-01T12:00:00Z"),
        units_asked: Some(50),
        counted: Millis(HOUR),
        ..PastDrop::default()
    };
    let unknown = PastDrop { units_asked: None, opens_at: instant("2026-10-05T12:00:00Z"), ..one.clone() };
    let to_come = PastDrop { opens_at: instant("2026-11-05T12:00:00Z"), ..one.clone() };
    let history = History { drops: &[to_come, unknown, one], interest: &[], planned: &[] };
    let schedule = asked(&history, |_| {}).expect("a schedule");
    let best = &schedule.suggestions[0];
    assert_eq!((best.expected_time_to_sold_out, best.expected_support_contacts), (None, None));
    assert_eq!((schedule.quality.drops, schedule.quality.error), (1, None));
    assert!(
        best.high >= 2 * best.expected_demand && best.low < best.expected_demand / 3,
        "one drop says little: {best:?}"
    );
}

#[test]
fn bad_requests_name_their_field() {
    let history = History { drops: &[], interest: &[], planned: &[] };
    let asked = |change: fn(&mut Request<'_>)| asked(&history, change);
    for horizon in [0, DAY - 1, 60 * DAY + 1] {
        let zone = berlin();
        let request = Request { horizon: Some(Millis(horizon)), ..request(&zone) };
        assert_eq!(suggest(&history, &request), Err(BadRequest::Horizon));
    }
    assert!(asked(|request| request.horizon = Some(Millis(60 * DAY))).is_ok());
    assert_eq!(asked(|request| request.max_suggestions = 101), Err(BadRequest::MaxSuggestions));
    assert_eq!(asked(|request| request.from = Some(Timestamp::NEVER)), Err(BadRequest::From));
    // All of the horizon has passed.
    assert_eq!(asked(|request| request.from = Some(Timestamp(0))).expect("a schedule").suggestions, []);
}
