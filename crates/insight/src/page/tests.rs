//! Pages: what they show, that nothing gets out of its place, that they need nothing from outside, and their bounds.

use stockade_types::definition::{Currency, Money};
use stockade_types::time::{Millis, Timestamp};

use super::{STYLE, comparison_page, demand_csv, figures_csv, report_page};
use crate::guardrail::{Finding, FindingState};
use crate::report::{DemandBucket, Measure, MoneyLine, Report, Share};

fn money(minor_units: i64) -> Money {
    Money { currency: Currency::of("EUR").expect("a currency"), minor_units }
}

fn share(id: &str, units: u64, basis_points: u32) -> Share {
    Share { id: id.to_owned(), units, basis_points, buyers: units / 2, refused: Some(7) }
}

fn report() -> Report {
    let second = |second: i64| DemandBucket {
        after_open: second * 1_000,
        width: Millis(1_000),
        requests: if second == 2 { 4_321 } else { 20 },
        units_held: u64::from(second < 15) * 20,
    };
    let minute =
        |minute: i64| DemandBucket { after_open: minute * 60_000, width: Millis(60_000), requests: 3, units_held: 0 };
    let line = |sku: &str, revenue, cost: Option<i64>| MoneyLine {
        sku: sku.to_owned(),
        terms: "early".to_owned(),
        tier: String::new(),
        units: 100,
        revenue: money(revenue),
        cost: cost.map(money),
    };
    Report {
        drop_id: "knife-1204".to_owned(),
        shop: "default".to_owned(),
        opens_at: Timestamp(1_796_403_600_000),
        as_of: Timestamp(1_796_490_000_000),
        sale_over: true,
        units_received: 300,
        units_claimed: 290,
        sell_through: Some(9_667),
        time_to_sold_out: Some(Millis(200_000)),
        requests: Some(12_345),
        refused: Some(12_000),
        refused_by_reason: [("sold_out".to_owned(), 11_000), ("limit_reached".to_owned(), 1_000)].into(),
        holds: 345,
        orders: 290,
        gini: Some(1_234),
        nps: Some(-12),
        demand: (-2..3_600).map(second).chain((60..180).map(minute)).collect(),
        by_tier: vec![share("member", 200, 6_897), share("", 90, 3_103)],
        by_pool: vec![share("general", 290, 10_000)],
        money: vec![line("knife", 1_234_500, Some(600_000)), line("board", 50_000, None)],
        findings: vec![Finding {
            guardrail: "returns".to_owned(),
            measure: Measure::ReturnRate,
            state: FindingState::Tripped,
            value: Some(1_500),
            message: "return rate: 15.00 %, above 10.00 %".to_owned(),
            tightened_drops: vec!["knife-1211".to_owned()],
        }],
        ..Report::default()
    }
}

#[test]
fn a_page_shows_the_report() {
    let page = report_page(&report());
    for shown in [
        "<title>Report of knife-1204</title>",
        "opened 2026-12-04 17:00:00 UTC, measured 2026-12-05 17:00:00 UTC. The sale is over.",
        "<td class=\"tripped\">tripped</td>",
        "return rate: 15.00 %, above 10.00 %. Tightened: knife-1211",
        "12,345",
        "The highest is 4,321 at 2.0 s after the opening",
        "sold out",
        "68.97 %",
        "12345.00 EUR",
        "Revenue in all: 12845.00 EUR",
        "12.34 %",
        "-12",
        "not known",
        "3 min 20 s",
    ] {
        assert!(page.contains(shown), "{shown} is not in {page}");
    }
    assert!(report_page(&Report { sale_over: false, ..report() }).contains("The sale goes on"));
}

#[test]
fn a_page_needs_nothing_from_outside_and_each_picture_is_described() {
    for page in [report_page(&report()), comparison_page(&report(), &Report::default())] {
        let bare = page.replace("http://www.w3.org/2000/svg", "");
        for outside in ["http:", "https:", "src=", "href=", "url(", "@import", "<script", "<link"] {
            assert!(!bare.contains(outside), "{outside}");
        }
        assert!(page.contains("default-src 'none'") && page.contains("<html lang=\"en\">"));
        let count = |what: &str| page.matches(what).count();
        assert_eq!(count("<svg"), count("role=\"img\" aria-labelledby="), "a picture has no name");
        assert_eq!(count("<svg"), count("</title>") - 1);
        // What is not closed hides all behind it.
        for element in ["path", "polyline", "rect", "text", "desc"] {
            assert_eq!(count(&format!("<{element}")), count(&format!("</{element}>")), "{element}");
        }
        assert_eq!(count("<table"), count("<caption"));
        assert_eq!(count("<th"), count("<thead") + count("scope=\"row\"") + count("scope=\"col\""));
        assert!(count("<table") > count("<svg") || count("<svg") == 0, "a table beside each picture");
        let mut ids: Vec<&str> = page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all, "an id twice");
    }
}

#[test]
fn names_stay_text() {
    let bad = "</title><script>alert(\"1\")</script>,\n'";
    let mut report = report();
    report.drop_id = bad.to_owned();
    report.by_zone = vec![share(bad, 1, 1)];
    report.money[0].sku = bad.to_owned();
    report.findings[0].message = bad.to_owned();
    report.refused_by_reason = [(bad.to_owned(), 1)].into();
    for page in [report_page(&report), comparison_page(&report, &report)] {
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;"));
    }
    let csv = figures_csv(&report);
    assert!(csv.contains("\"</title><script>alert(\"\"1\"\")</script>,\n'\""), "{csv}");
}

#[test]
fn a_page_is_bounded_and_says_what_is_left_out() {
    let mut report = report();
    report.by_zone = (0..1_024).map(|zone| share(&format!("zone-{zone}"), 1, 10)).collect();
    let line = report.money[0].clone();
    report.money = (0..16_384).map(|sku| MoneyLine { sku: format!("sku-{sku}"), ..line.clone() }).collect();
    let finding = report.findings[0].clone();
    report.findings = vec![finding; 64];
    let page = report_page(&report);
    assert!(page.contains("(964 more are left out)") && page.contains("(16324 more are left out)"));
    assert!(page.len() < 120_000, "{}", page.len());
    report.money = vec![MoneyLine { revenue: money(i64::MAX), ..line }; 2];
    assert!(report_page(&report).contains("Revenue in all: does not fit"));
}

#[test]
fn two_reports_stand_side_by_side() {
    let other = Report {
        drop_id: "knife-1211".to_owned(),
        units_claimed: 150,
        sell_through: Some(10_000),
        nps: None,
        time_to_sold_out: Some(Millis(260_000)),
        ..report()
    };
    let page = comparison_page(&report(), &other);
    for shown in ["knife-1204", "knife-1211", ">-140<", ">+3.33 %<", ">+1 min<", ">same<"] {
        assert!(page.contains(shown), "{shown} is not in {page}");
    }
    // NPS is known of one alone: no difference.
    let nps = page.split(">NPS</th>").nth(1).and_then(|rest| rest.split("</tr>").next()).expect("a line");
    assert_eq!(nps.matches("class=\"number\"").count(), 3);
    assert!(
        nps.contains(">-12<") && nps.contains(">not known<") && nps.ends_with("<td class=\"number\"></td>"),
        "{nps}"
    );
}

#[test]
fn csv_has_a_line_a_figure() {
    let csv = figures_csv(&report());
    for line in [
        "drop_id,part,name,key,unit,value\r\n",
        "knife-1204,sale,sell_through,,basis_points,9667\r\n",
        "knife-1204,sale,time_to_half,,,\r\n",
        "knife-1204,sale,time_to_sold_out,,milliseconds,200000\r\n",
        "knife-1204,afterwards,nps,,points,-12\r\n",
        "knife-1204,demand,refused_by_reason,sold_out,count,11000\r\n",
        "knife-1204,fairness,by_tier.units,member,count,200\r\n",
        "knife-1204,fairness,by_tier.refused,,count,7\r\n",
        "knife-1204,money,revenue,knife/early/,EUR minor units,1234500\r\n",
        "knife-1204,money,cost,knife/early/,EUR minor units,600000\r\n",
        "knife-1204,findings,tripped,returns,return rate,1500\r\n",
    ] {
        assert!(csv.contains(line), "{line} is not in {csv}");
    }
    assert!(!csv.contains("cost,board"));
    assert!(csv.lines().all(|line| line.split(',').count() == 6), "{csv}");
    let demand = demand_csv(&report());
    assert_eq!(demand.lines().count(), 1 + 3_602 + 120);
    assert!(demand.contains("knife-1204,-2000,1000,20,20\r\n") && demand.contains("knife-1204,2000,1000,4321,20\r\n"));
}

/// The colors of a theme by name, from `--name:#value`.
fn color(theme: &str, name: &str) -> [f64; 3] {
    let value = theme.split(&format!("--{name}:#")).nth(1).expect("a color");
    let digits: String = value.chars().take_while(char::is_ascii_hexdigit).collect();
    let digits = if digits.len() == 3 { digits.chars().flat_map(|c| [c, c]).collect() } else { digits };
    [0, 2, 4].map(|at| {
        let part = f64::from(u8::from_str_radix(&digits[at..at + 2], 16).expect("a byte")) / 255.0;
        if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    })
}

#[test]
fn colors_have_contrast_in_both_themes() {
    let (light, dark) = STYLE.split_once("@media (prefers-color-scheme:dark)").expect("two themes");
    for theme in [light, dark] {
        let brightness = |name: &str| {
            let [red, green, blue] = color(theme, name);
            0.2126 * red + 0.7152 * green + 0.0722 * blue
        };
        for name in ["text", "muted", "mark", "bad", "good", "wait"] {
            let (one, other) = (brightness(name), brightness("ground"));
            let contrast = (one.max(other) + 0.05) / (one.min(other) + 0.05);
            assert!(contrast >= 4.5, "{name}: {contrast}");
        }
    }
}
