//! Faults of scenarios are reported by their keys; sound scenarios are read as written.

use super::*;

const SOUND: &str = r#"
title = "a small one"
[[drops]]
id = "d"
items = [{ sku = "A", units = 100 }]
limit = 2
[load]
arrivals = [{ shape = "herd", count = 1000 }, { shape = "ramp", after = "1s", length = "2s", from = 0.0, rate = 50.0 }]
[[crowds]]
name = "people"
customers = 1000
cart = [{ sku = "A" }]
claim = 0.5
think = ["0s", "1s"]
[[events]]
after = "1s"
action = "restock"
drop = "d"
sku = "A"
units = 10
"#;

fn faults(replaced: &str, by: &str) -> String {
    assert!(SOUND.contains(replaced), "{replaced}");
    Scenario::parse(&SOUND.replace(replaced, by)).expect_err("a fault")
}

#[test]
fn a_sound_one_is_read() {
    let scenario = Scenario::parse(SOUND).expect("sound");
    assert_eq!(scenario.length(), Duration::from_secs(3));
    assert_eq!(scenario.phases().iter().map(Phase::expected).collect::<Vec<_>>(), [1000, 50]);
    assert_eq!((scenario.load.connections, scenario.crowds[0].cart[0].units), (8, 1));
}

#[test]
fn unknown_and_wrongly_typed_keys_are_named_with_their_line() {
    let reported = faults("limit = 2", "limits = 2");
    assert!(reported.contains("limits") && reported.contains("line 6"), "{reported}");
    let reported = faults("limit = 2", "limit = \"two\"");
    assert!(reported.contains("limit") && reported.contains("line 6"), "{reported}");
    let reported = faults("after = \"1s\", length", "after = \"soon\", length");
    assert!(reported.contains("soon"), "{reported}");
}

#[test]
fn every_fault_is_told_by_its_key() {
    for (replaced, by, reported) in [
        ("units = 100 }", "units = 0 }", "drops[0].items[0].units must be above 0"),
        ("limit = 2", "limit = 0", "drops[0].limit must be above 0"),
        ("customers = 1000", "customers = 0", "crowds[0].customers must be above 0"),
        ("claim = 0.5", "claim = 1.5", "crowds[0].claim must be from 0 to 1"),
        ("claim = 0.5", "claim = 0.5\npay = 0.6", "crowds[0].pay must not be more than claim"),
        (
            "[{ sku = \"A\" }]",
            "[{ sku = \"B\" }]",
            "crowds[0].cart[0].sku is not in every drop that they come for: \"B\"",
        ),
        ("\"0s\", \"1s\"", "\"2s\", \"1s\"", "crowds[0].think must have the shorter span first"),
        ("units = 10\n", "units = 0\n", "events[0].units must be above 0"),
        ("action = \"restock\"", "action = \"pause\"", "events[0] has a sku or units, which are a restock's alone"),
        ("drop = \"d\"", "drop = \"e\"", "events[0].drop is no drop: \"e\""),
        ("count = 1000", "count = 9000000", "load.arrivals must not be more than 5000000"),
        ("from = 0.0, ", "", "load.arrivals[1].from must be 0 or above"),
        ("length = \"2s\"", "length = \"40m\"", "load must not be longer than 30m"),
        ("[load]", "[load]\nclosed = { in_flight = 1, length = \"1s\" }", "load must have either arrivals"),
    ] {
        let faults = faults(replaced, by);
        assert!(faults.contains(reported), "{by}: {faults}");
    }
}

const RULES: &str = r#"
[drops.rules]
pools.A = [{ id = "members", share = "12%", audience = { tiers = ["member"] } }, { id = "public" }]
windows = [{ id = "all", starts = { after_open = "2s" } }]
terms = [{ id = "usual", price = "40.00 EUR" }]
[load]"#;

#[test]
fn rules_are_those_of_a_drop_s_file_and_their_faults_are_told_by_key() {
    let text = SOUND.replace("\n[load]", RULES);
    let sale = Scenario::parse(&text).expect("sound").scaled(0.5).drops[0].named("d-1");
    let rules = sale.rules.expect("rules");
    let sizes = stockade_drill::rules::sizes(&rules.items[0]);
    assert_eq!((rules.id.as_str(), rules.items[0].quantity, sizes), ("d-1", 50, vec![6, 44]), "they scale");
    assert_eq!((rules.windows.len(), rules.terms.len(), rules.limits.len()), (1, 1, 1));
    for (replaced, by, reported) in [
        ("pools.A", "pools.B", "drops[0].rules: pools has no item: \"B\""),
        ("share = \"12%\"", "units = 12", "drops[0].rules: pools have a share instead of units"),
        ("starts =", "begins =", "begins"),
        ("40.00 EUR", "forty", "forty"),
    ] {
        let faults = Scenario::parse(&text.replace(replaced, by)).expect_err("a fault");
        assert!(faults.contains(reported), "{by}: {faults}");
    }
    assert!(Scenario::parse(SOUND).expect("sound").drops[0].named("d-1").rules.is_none());
}

#[test]
fn all_faults_are_told_at_once() {
    let two = SOUND.replace("limit = 2", "limit = 0").replace("customers = 1000", "customers = 0");
    assert_eq!(Scenario::parse(&two).expect_err("two faults").lines().count(), 2, "{two}");
}

#[test]
fn a_smaller_one_keeps_the_ratio_of_demand_and_stock() {
    let scenario = Scenario::parse(SOUND).expect("sound").scaled(0.01);
    let expected: Vec<u64> = scenario.phases().iter().map(Phase::expected).collect();
    assert_eq!((scenario.drops[0].items[0].units, scenario.crowds[0].customers, expected), (1, 10, vec![10, 1]));
    assert_eq!((scenario.events[0].units, scenario.length()), (Some(1), Duration::from_secs(3)));
}

#[test]
fn the_scenarios_that_are_shipped_are_sound() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let files: Vec<_> =
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    assert!(files.len() >= 10, "{files:?}");
    for file in files {
        let scenario = Scenario::read(&file).unwrap_or_else(|failure| panic!("{failure}"));
        assert!(!scenario.scaled(0.001).crowds.is_empty());
    }
}
