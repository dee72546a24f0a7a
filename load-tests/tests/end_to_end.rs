//! The program itself, on a real server: a short run with its audit, one on a server that runs already, a faulty
//! scenario, and a pair with the bare handler.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Output};

mod server;

use server::reported;

fn load_tests(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_load-tests")).args(words).output().expect("the program")
}

const SCENARIO: &str = r#"
title = "A small one"
drops = [{ id = "small", items = [{ sku = "A", units = 150 }, { sku = "B", units = 30 }], limit = 2, hold_ttl = "1s" }]
before = { drop = "small", sku = "A", holds = 50, expire_after = "400ms", expire_within = "200ms" }

[load]
connections = 2
twice_every = 3
settle = "1100ms"
arrivals = [{ shape = "herd", count = 200 }, { shape = "poisson", length = "900ms", rate = 300 }]

[[crowds]]
name = "people"
customers = 400
cart = [{ sku = "A" }, { sku = "B", chance = 0.2 }]
extend = 0.3
pay = 0.2
claim = 0.4
release = 0.3
think = ["0ms", "60ms"]

[[events]]
after = "600ms"
action = "restock"
drop = "small"
sku = "A"
units = 20
"#;

fn write(folder: &Path, text: &str) -> String {
    let file = folder.join("small.toml");
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

#[test]
fn a_run_is_audited_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let (file, server) = (write(folder.path(), SCENARIO), server::binary());
    let reports = folder.path().join("reports").display().to_string();
    let output = load_tests(&["run", &file, "--server", server.to_str().unwrap(), "--reports", &reports]);
    let reported = reported(&output);
    assert_eq!(output.status.code(), Some(0), "{reported}");
    assert!(reported.contains("the audit is clean") && reported.contains("refused, SOLD_OUT"), "{reported}");
    let report = std::fs::read_to_string(folder.path().join("reports/small.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let counted = |path: &str| report.pointer(path).and_then(serde_json::Value::as_u64).unwrap_or_default();
    assert!(counted("/audit/answers") > 400 && counted("/audit/listed") > 100, "{reported}");
    assert!(counted("/crowds/0/claimed") > 0 && counted("/crowds/0/released") > 0, "{reported}");
    assert_eq!(counted("/audit/unanswered"), 0, "{reported}");
    assert!(folder.path().join("reports/small.html").is_file());
}

const RULES: &str = r#"
title = "A small one with rules"

[[drops]]
id = "rules"
items = [{ sku = "A", units = 60 }]
hold_ttl = "1s"
max_hold_life = "4s"
opens_after = "200ms"

[drops.rules]
pools.A = [
    { id = "members", share = "20%", audience = { tiers = ["member"] }, flows = [{ to = "public", when = { after_open = "1s" } }] },
    { id = "public" },
]
windows = [
    { id = "members", audience = { tiers = ["member"] }, hold_ttl = "2s" },
    { id = "all", starts = { after_open = "400ms" } },
]
terms = [
    { id = "members", audience = { tiers = ["member"] }, price = "36.00 EUR" },
    { id = "usual", price = "40.00 EUR", steps = [{ when = { taken = "50%" }, price = "45.00 EUR" }] },
]

[load]
connections = 2
twice_every = 3
settle = "2200ms"
arrivals = [{ shape = "constant", length = "2s", rate = 150 }]

[[crowds]]
name = "members"
tiers = ["member"]
share = 0.05
customers = 40
cart = [{ sku = "A" }]
claim = 0.2

[[crowds]]
name = "strangers"
share = 0.95
customers = 400
cart = [{ sku = "A" }]
claim = 0.6
"#;

#[test]
fn a_drop_with_rules_is_served_by_them_and_audited() {
    let folder = tempfile::tempdir().unwrap();
    let (file, server) = (write(folder.path(), RULES), server::binary());
    let reports = folder.path().join("reports").display().to_string();
    let output = load_tests(&["run", &file, "--server", server.to_str().unwrap(), "--reports", &reports]);
    let reported = reported(&output);
    assert_eq!(output.status.code(), Some(0), "{reported}");
    // Each rule has served somebody, and refused somebody.
    for line in [
        "members, A, window members, pool members, at 3600: ",
        "strangers, A, window all, pool public, at 4000: ",
        "strangers, A, window all, pool public, at 4500: ",
        "strangers, A, window all, pool members, at 4500: ",
        "refused, NOT_OPEN: ",
        "refused, SOLD_OUT: ",
        "the audit is clean",
    ] {
        assert!(reported.contains(line), "{line} in {reported}");
    }
    let faulty = RULES.replace("share = \"20%\"", "units = 12").replace("starts = {", "begins = {");
    let output = load_tests(&["run", &write(folder.path(), &faulty)]);
    assert_eq!(output.status.code(), Some(64), "{}", self::reported(&output));
    assert!(self::reported(&output).contains("drops[0].rules: pools have a share"), "{}", self::reported(&output));
}

#[test]
fn a_scenario_that_makes_no_sense_is_told_by_its_keys() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), &SCENARIO.replace("limit = 2", "limit = 0").replace("claim = 0.4", "claim = 4"));
    let output = load_tests(&["run", &file]);
    let reported = reported(&output);
    assert_eq!(output.status.code(), Some(64), "{reported}");
    assert!(reported.contains("drops[0].limit") && reported.contains("crowds[0].claim"), "{reported}");
}

#[test]
fn where_nobody_answers_it_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), SCENARIO);
    let output = load_tests(&["run", &file, "--endpoint", "http://127.0.0.1:1"]);
    assert_eq!((output.status.code(), reported(&output).contains("no server answers")), (Some(69), true), "{output:?}");
}

#[test]
fn stockade_and_the_bare_handler_are_compared_pair_by_pair() {
    let server = server::binary();
    let rows = "unary-empty,batch-empty,refusal-empty";
    let words = ["compare", "--quick", "--rows", rows, "--pairs", "1", "--measured", "150ms", "--server"];
    let output = load_tests(&[&words[..], &[server.to_str().unwrap()]].concat());
    let reported = reported(&output);
    assert_eq!(output.status.code(), Some(0), "{reported}");
    for row in rows.split(',') {
        assert!(reported.lines().any(|line| line.starts_with(row) && line.contains("at least")), "{row}: {reported}");
    }
}
