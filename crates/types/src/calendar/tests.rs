//! Rules and what they give, many of them the examples of RFC 5545, 3.8.5.3.

use super::*;

fn zone() -> TimeZone {
    TimeZone::get("America/New_York").expect("a zone")
}

fn parse(starts_at: &str, lines: &[&str]) -> Result<Recurrence, Vec<CalendarFault>> {
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    Recurrence::parse(starts_at, &zone(), &lines)
}

/// The first occurrences from a time on, as text.
fn from(starts_at: &str, lines: &[&str], from: &str, most: usize) -> Vec<String> {
    let parsed = parse(starts_at, lines).expect("sound rules");
    let from = from.parse().expect("a time");
    parsed.from(from).take(most).map(|at| at.strftime("%Y-%m-%d %H:%M").to_string()).collect()
}

fn days(lines: &[&str], most: usize) -> Vec<String> {
    let all = from("1997-09-02T09:00:00", lines, "1997-09-02T00:00:00", most);
    all.into_iter().map(|at| at.strip_suffix(" 09:00").expect("at nine").to_owned()).collect()
}

#[test]
fn examples_of_the_standard() {
    let cases: [(&str, &[&str]); 16] = [
        ("RRULE:FREQ=DAILY;COUNT=3", &["1997-09-02", "1997-09-03", "1997-09-04"]),
        ("RRULE:FREQ=DAILY;UNTIL=19970904T130000Z", &["1997-09-02", "1997-09-03", "1997-09-04"]),
        ("RRULE:FREQ=DAILY;UNTIL=19970904", &["1997-09-02", "1997-09-03", "1997-09-04"]),
        ("RRULE:FREQ=DAILY;INTERVAL=10;COUNT=3", &["1997-09-02", "1997-09-12", "1997-09-22"]),
        ("RRULE:FREQ=WEEKLY;COUNT=2", &["1997-09-02", "1997-09-09"]),
        (
            "RRULE:FREQ=WEEKLY;INTERVAL=2;WKST=SU;BYDAY=TU,TH;COUNT=4",
            &["1997-09-02", "1997-09-04", "1997-09-16", "1997-09-18"],
        ),
        ("RRULE:FREQ=MONTHLY;BYDAY=1FR;COUNT=2", &["1997-09-05", "1997-10-03"]),
        ("RRULE:FREQ=MONTHLY;INTERVAL=2;BYDAY=1SU,-1SU;COUNT=3", &["1997-09-07", "1997-09-28", "1997-11-02"]),
        ("RRULE:FREQ=MONTHLY;BYMONTHDAY=-3;COUNT=2", &["1997-09-28", "1997-10-29"]),
        ("RRULE:FREQ=MONTHLY;BYMONTHDAY=31;COUNT=2", &["1997-10-31", "1997-12-31"]),
        ("RRULE:FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13;COUNT=2", &["1998-02-13", "1998-03-13"]),
        ("RRULE:FREQ=YEARLY;BYMONTH=6,7;COUNT=3", &["1998-06-02", "1998-07-02", "1999-06-02"]),
        ("RRULE:FREQ=YEARLY;BYDAY=20MO;COUNT=2", &["1998-05-18", "1999-05-17"]),
        ("RRULE:FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8;COUNT=1", &["1997-11-04"]),
        ("RRULE:FREQ=MONTHLY;BYDAY=TU,WE,TH;BYSETPOS=3;COUNT=3", &["1997-09-04", "1997-10-07", "1997-11-06"]),
        ("rrule:freq=monthly;byday=MO,TU,WE,TH,FR;bysetpos=-2;count=2", &["1997-09-29", "1997-10-30"]),
    ];
    for (rule, wanted) in cases {
        assert_eq!(days(&[rule], wanted.len() + 1)[..wanted.len()], *wanted, "{rule}");
        let ends = rule.to_ascii_uppercase().contains("COUNT") || rule.contains("UNTIL");
        assert!(!ends || days(&[rule], wanted.len() + 1).len() == wanted.len(), "{rule} ends");
    }
}

#[test]
fn dates_are_added_and_left_out_and_each_time_comes_once() {
    let lines = [
        "RRULE:FREQ=WEEKLY;COUNT=3",
        "RRULE:FREQ=DAILY;COUNT=1",
        "RDATE;VALUE=DATE-TIME:19970902T090000,19970901T120000",
        "RDATE;TZID=America/New_York:19970903T090000",
        "EXDATE:19970909T130000Z",
    ];
    let wanted = ["1997-09-01 12:00", "1997-09-02 09:00", "1997-09-03 09:00", "1997-09-16 09:00"];
    assert_eq!(from("1997-09-02T09:00", &lines, "1997-01-01T00:00", 9), wanted);
    assert_eq!(from("1997-09-02T09:00", &lines, "1997-09-02T09:00", 9), wanted[1..], "from one of them");
    assert_eq!(from("1997-09-02T09:00", &lines, "1997-09-02T09:01", 9), wanted[2..], "behind it");
    assert_eq!(from("1997-09-02T09:00", &[], "1997-01-01T00:00", 9), ["1997-09-02 09:00"], "without any rule");
}

#[test]
fn from_far_behind_the_start_a_rule_gives_what_it_gives_from_its_start() {
    for rule in [
        "FREQ=DAILY;INTERVAL=3",
        "FREQ=DAILY;COUNT=500",
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,MO",
        "FREQ=WEEKLY;INTERVAL=3;BYDAY=SU,MO,WE;WKST=SU",
        "FREQ=MONTHLY;INTERVAL=5;BYMONTHDAY=-1,31",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29",
        "FREQ=YEARLY;BYDAY=-1SU,53MO",
    ] {
        let parsed = parse("1999-12-29T10:00:00", &[&format!("RRULE:{rule}")]).expect("sound");
        let all: Vec<DateTime> = parsed.from(parsed.starts_at()).take(20).collect();
        for (place, at) in all.iter().enumerate() {
            assert_eq!(parsed.from(*at).take(20 - place).collect::<Vec<_>>(), all[place..], "{rule} from {at}");
        }
    }
}

#[test]
fn a_local_time_in_a_gap_moves_on_by_it_and_one_that_comes_twice_is_the_first() {
    let at = |zone: &str, local: &str| {
        let zone = TimeZone::get(zone).expect("a zone");
        let resolved = resolve(&zone, local.parse().expect("a time")).expect("an instant");
        (resolved.at.to_string(), resolved.is_gap)
    };
    assert_eq!(at("Europe/Berlin", "2026-12-04T18:00"), ("2026-12-04T17:00:00.000Z".to_owned(), false));
    assert_eq!(
        at("Europe/Berlin", "2027-03-28T02:30"),
        ("2027-03-28T01:30:00.000Z".to_owned(), true),
        "at 03:30 there"
    );
    assert_eq!(at("Europe/Berlin", "2026-10-25T02:30"), ("2026-10-25T00:30:00.000Z".to_owned(), false));
    assert_eq!(
        at("Australia/Lord_Howe", "2026-10-04T02:15"),
        ("2026-10-03T15:45:00.000Z".to_owned(), true),
        "half an hour"
    );
    assert_eq!(at("Australia/Lord_Howe", "2027-04-04T01:45"), ("2027-04-03T14:45:00.000Z".to_owned(), false));
}

#[test]
fn what_is_not_supported_is_refused_by_its_name() {
    for (line, wanted) in [
        ("RRULE:FREQ=HOURLY", "FREQ=HOURLY: must be DAILY, WEEKLY, MONTHLY or YEARLY"),
        ("RRULE:COUNT=3", "FREQ is missing"),
        ("RRULE:FREQ=DAILY;BYHOUR=9", "BYHOUR: only FREQ, INTERVAL,"),
        ("RRULE:FREQ=DAILY;BYSECOND=9", "BYSECOND: only"),
        ("RRULE:FREQ=YEARLY;BYWEEKNO=9", "BYWEEKNO: only"),
        ("RRULE:FREQ=DAILY;FREQ=DAILY", "FREQ is there twice"),
        ("RRULE:FREQ=DAILY;COUNT=3;UNTIL=20270101T000000", "COUNT and UNTIL exclude each other"),
        ("RRULE:FREQ=DAILY;COUNT=0", "COUNT=0: must be 1-10000"),
        ("RRULE:FREQ=DAILY;COUNT=+3", "COUNT=+3: must be"),
        ("RRULE:FREQ=DAILY;INTERVAL=0", "INTERVAL=0: must be 1-1000"),
        ("RRULE:FREQ=DAILY;UNTIL=20270230", "UNTIL=20270230: there is no such day"),
        ("RRULE:FREQ=DAILY;UNTIL=2027-01-01", "UNTIL=2027-01-01: must be a local time such as"),
        ("RRULE:FREQ=WEEKLY;BYDAY=1FR", "BYDAY: a day with a number needs"),
        ("RRULE:FREQ=WEEKLY;BYMONTHDAY=1", "BYMONTHDAY: not with FREQ=WEEKLY"),
        ("RRULE:FREQ=MONTHLY;BYDAY=0FR", "BYDAY=0: must be 1-53"),
        ("RRULE:FREQ=MONTHLY;BYDAY=FREITAG", "BYDAY=AG: must be one of MO"),
        ("RRULE:FREQ=MONTHLY;BYDAY=", "BYDAY=: must be one of MO"),
        ("RRULE:FREQ=MONTHLY;BYMONTHDAY=32", "BYMONTHDAY=32: must be 1-31"),
        ("RRULE:FREQ=MONTHLY;BYMONTH=13", "BYMONTH=13: must be 1-12"),
        ("RRULE:FREQ=MONTHLY;BYSETPOS=1", "BYSETPOS: needs BYDAY"),
        ("RRULE:FREQ=WEEKLY;WKST=X", "WKST=X: must be one of MO"),
        ("RRULE;X=1:FREQ=WEEKLY", "X=1: of parameters none is supported"),
        ("EXRULE:FREQ=WEEKLY", "EXRULE: only RRULE, RDATE and EXDATE are supported"),
        ("FREQ=WEEKLY", "must be a line such as RRULE:"),
        ("RDATE;VALUE=DATE:20261224", "VALUE=DATE: of parameters only VALUE=DATE-TIME"),
        ("RDATE;TZID=Europe/Berlin:20261224T180000", "TZID=Europe/Berlin: of parameters only"),
        ("RDATE:20261224", "20261224: must be a local time such as"),
        ("RDATE:20261224T180030", "20261224T180030: times are whole minutes"),
        ("RDATE:20261224T250000", "20261224T250000: there is no such time"),
        ("RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "never comes: it gives no day from starts_at on for 100 years"),
        ("RRULE:FREQ=DAILY;UNTIL=20200101T000000", "never comes"),
    ] {
        let faults = parse("2026-12-04T18:00:00", &[line]).expect_err(line);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].line == Some(0) && faults[0].description.starts_with(wanted), "{line}: {faults:?}");
    }
}

#[test]
fn all_faults_are_said_at_once_and_bounds_hold() {
    let faults =
        parse("2026-02-30T18:00:00", &["RRULE:FREQ=X", "RDATE:20261204T180000", "nothing"]).expect_err("faulty");
    assert_eq!(faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [None, Some(0), Some(2)]);
    for start in
        ["2026-12-04", "2026-12-04T18:00:30", "2026-12-04T18:00:00Z", "2026-12-04T18:00:00+01:00", "1969-12-04T18:00"]
    {
        assert_eq!(parse(start, &[]).expect_err(start)[0].line, None);
    }
    let faults = parse("2026-12-04T18:00", &["EXDATE:20261204T180000"]).expect_err("nothing is left");
    assert_eq!(faults[0].description, "never comes: EXDATE leaves nothing of it");
    let daily = "RRULE:FREQ=DAILY;COUNT=3";
    let five = "RDATE:20261205T100000,20261205T110000,20261205T120000,20261205T130000,20261205T140000";
    let faults = parse("2026-12-04T18:00", &[daily, five]).expect_err("six on one day");
    assert_eq!(faults[0].description, "more than 5 on 2026-12-05");
    assert!(parse("2026-12-06T18:00", &[daily, five]).is_ok(), "five");
    assert!(parse("2026-12-04T18:00", &[daily, five, "EXDATE:20261205T110000"]).is_ok(), "five are left");
    let many = vec![daily; LINES_MAX + 1];
    assert_eq!(parse("2026-12-04T18:00", &many).expect_err("too many")[0].line, Some(LINES_MAX));
    let long = format!("RRULE:FREQ=DAILY;BYMONTH={}1", "1,".repeat(LINE_BYTES_MAX));
    assert!(parse("2026-12-04T18:00", &[&long]).expect_err("too long")[0].description.starts_with("has "));
    let dates = format!("EXDATE:{}20261204T180000", "20261204T180000,".repeat(250));
    let faults = parse("2026-12-04T18:00", &[daily, &dates, &dates, &dates, &dates]).expect_err("too many dates");
    assert_eq!(faults[0].line, Some(4));
}

#[test]
fn any_text_is_read_or_refused() {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let pieces = [
        "RRULE:",
        "RDATE:",
        "EXDATE",
        ";",
        ":",
        "=",
        "FREQ",
        "DAILY",
        "BYDAY",
        "ü",
        "-1",
        "FR",
        ",",
        "\0",
        "999999999999",
    ];
    for _ in 0..20_000 {
        let mut line = String::new();
        for _ in 0..random % 9 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            line.push_str(pieces[usize::try_from(random % 15).expect("small")]);
        }
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let _outcome = parse("2026-12-04T18:00", &[&line]);
    }
}
