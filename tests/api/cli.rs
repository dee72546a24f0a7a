//! The binary as scripts use it: exit codes, JSON, and files.

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};

use rustix::process::Signal;

use crate::common::{hold_id, start};
use crate::shop::knife_shop;

/// Runs the binary with the server's endpoint.
pub fn stockade(endpoint: &str, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_stockade"))
        // Of these tests, not of the program, which says that it does not know them.
        .env_remove("STOCKADE_TEST_PYTHON")
        .env_remove("STOCKADE_TEST_REQUIRED")
        .args(words)
        .env("STOCKADE_ENDPOINT", endpoint)
        .output()
        .expect("the binary runs")
}

/// The exit code.
pub fn code(output: &Output) -> i32 {
    output.status.code().expect("an exit code")
}

/// Standard output.
pub fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// A JSON document on standard output.
pub fn json(output: &Output) -> serde_json::Value {
    serde_json::from_str(&out(output)).expect("json")
}

/// Sends a signal to a running command. Returns its exit code.
pub fn signalled(child: &mut Child, signal: Signal) -> Option<i32> {
    rustix::process::kill_process(rustix::process::Pid::from_child(child), signal).expect("a signal");
    child.wait().expect("an end").code()
}

/// A drop's file with this text, in a folder of its own. Returns the folder and the file's path.
pub fn drop_file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("knife.yaml");
    std::fs::write(&file, text).expect("a file");
    (folder, file.display().to_string())
}

/// Applies a drop's file with this text.
fn apply(endpoint: &str, text: &str, flags: &[&str]) -> Output {
    let (_folder, file) = drop_file(text);
    stockade(endpoint, &[&["drop", "apply", &file], flags].concat())
}

const KNIFE: &str =
    "kind: Drop\nid: knife\nitems: [{sku: K, quantity: 3}]\nlimits: [{id: one, scope: item, max_units: 1}]\n";

/// Standard error.
pub fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

#[test]
fn usage_and_configuration_end_in_64_and_help_does_not() {
    let nowhere = "http://127.0.0.1:1";
    for words in [&["fly"][..], &["reserve", "d"], &["drop"], &["reserve", "d", "--sku", "A=x", "--customer", "c"]] {
        assert_eq!(code(&stockade(nowhere, words)), 64, "{words:?}");
    }
    for words in [&["--help"][..], &["serve", "--help"], &["help", "drop", "apply"], &["--version"]] {
        let output = stockade(nowhere, words);
        assert!(code(&output) == 0 && !out(&output).is_empty(), "{words:?}");
    }
    let faulty = stockade(nowhere, &["serve", "--grpc", "x", "--http", "y", "--max-holds", "0"]);
    assert_eq!(code(&faulty), 64);
    let reported = err(&faulty);
    assert!(["--grpc", "--http", "--max-holds"].iter().all(|flag| reported.contains(flag)), "{reported}");
    assert_eq!(code(&stockade("nonsense", &["drop", "show", "d"])), 64);
    assert_eq!(code(&stockade(nowhere, &["drop", "show", "d"])), 69);
    assert_eq!(code(&stockade(nowhere, &["drop", "apply", "/no/such/file.yaml"])), 74);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_goes_through_its_life() {
    let (server, _client) = knife_shop().await;
    let run = |words: &[&str]| stockade(&server.endpoint, words);
    let id = hold_id(1);
    let made = run(&["reserve", "knife", "--sku", "KNIFE=2", "--customer", "ada", "--hold-id", &id, "--json"]);
    assert_eq!(code(&made), 0, "{}", err(&made));
    let answer = json(&made);
    assert_eq!(answer["hold"]["state"], "HOLD_STATE_HELD");
    assert_eq!(answer["hold"]["drop_id"], "knife");
    let no = run(&["reserve", "knife", "--sku", "KNIFE", "--customer", "ada"]);
    assert_eq!(code(&no), 1);
    assert!(out(&no).starts_with("refused: LIMIT_REACHED"), "{}", out(&no));
    assert_eq!(code(&run(&["extend", &id, "--ttl", "8m"])), 0);
    let kept = run(&["release", &id, "--keep", "KNIFE=1"]);
    assert!(out(&kept).contains("HELD"), "{}", out(&kept));
    let sold = run(&["claim", &id, "--order", "A1", "--customer", "ada"]);
    assert!(code(&sold) == 0 && out(&sold).contains("CLAIMED"), "{}", out(&sold));
    assert_eq!(code(&run(&["claim", &id, "--order", "A2"])), 1);
    assert!(out(&run(&["hold", "show", &id])).contains("A1"));
    assert_eq!(code(&run(&["hold", "show", &hold_id(9)])), 1, "not found");
    let faulty = run(&["hold", "show", "nonsense"]);
    assert_eq!(code(&faulty), 64);
    assert!(err(&faulty).contains("INVALID_ARGUMENT: hold_id"), "{}", err(&faulty));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drop_is_applied_from_a_file() {
    let server = start(&[]).await;
    let apply = |text: &str, flags: &[&str]| apply(&server.endpoint, text, flags);
    let run = |words: &[&str]| stockade(&server.endpoint, words);
    let tried = apply(KNIFE, &["--dry-run"]);
    assert!(code(&tried) == 0 && out(&tried).contains("would be created"), "{}", err(&tried));
    assert!(out(&tried).contains("never closes by itself"));
    assert_eq!(code(&run(&["drop", "show", "knife"])), 1, "only tried");
    assert!(out(&apply(KNIFE, &[])).contains("created"));
    assert!(out(&apply(KNIFE, &[])).contains("unchanged"));
    assert!(out(&apply(KNIFE, &["--dry-run"])).contains("would stay unchanged"));
    let typo = apply(&format!("{KNIFE}colour: red\n"), &[]);
    assert_eq!(code(&typo), 64);
    assert!(err(&typo).contains("knife.yaml:5:1: unknown key colour"), "{}", err(&typo));
    assert!(out(&run(&["drop", "pause", "knife"])).contains("PAUSED"));
    assert!(out(&run(&["drop", "resume", "knife"])).contains("OPEN"));
    assert!(out(&run(&["drop", "close", "knife"])).contains("CLOSED"));
}

/// Starts a command that keeps running. Returns its standard output line by line.
pub fn printing(endpoint: &str, words: &[&str]) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut printing = Command::new(env!("CARGO_BIN_EXE_stockade"))
        .args(words)
        .env("STOCKADE_ENDPOINT", endpoint)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let lines = BufReader::new(printing.stdout.take().expect("lines")).lines();
    (printing, lines)
}

/// The next line of a command that prints JSON.
pub fn next_json(lines: &mut Lines<BufReader<ChildStdout>>) -> serde_json::Value {
    serde_json::from_str(&lines.next().expect("no end").expect("a line")).expect("json")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drop_is_watched_line_by_line_until_somebody_has_enough() {
    let (server, _client) = knife_shop().await;
    let run = |words: &[&str]| stockade(&server.endpoint, words);
    let (mut watch, mut lines) = printing(&server.endpoint, &["drop", "watch", "knife"]);
    let mut line = || lines.next().expect("no end").expect("a line");
    assert!(line().contains(" knife OPEN | KNIFE received=10 free=10 held=0 paying=0 claimed=0 withdrawn=0 | SHEATH "));
    assert_eq!(code(&run(&["reserve", "knife", "--sku", "KNIFE=2", "--customer", "ada"])), 0);
    assert!(line().contains("KNIFE received=10 free=8 held=2 paying=0"));
    assert_eq!(code(&run(&["drop", "pause", "knife"])), 0);
    assert!(line().contains(" knife PAUSED | "));
    assert_eq!(signalled(&mut watch, Signal::INT), Some(0), "Ctrl-C is no failure");
    let (mut watch, lines) = printing(&server.endpoint, &["drop", "watch", "knife"]);
    drop(lines);
    assert_eq!(watch.wait().expect("an end").code(), Some(0), "nor is a reader that goes away");
    assert_eq!(code(&run(&["drop", "watch", "spoon"])), 1);
    let (watch, mut lines) = printing(&server.endpoint, &["drop", "watch", "knife", "--json"]);
    let message = next_json(&mut lines);
    assert_eq!((&message["drop"]["id"], &message["drop"]["state"]), (&"knife".into(), &"DROP_STATE_PAUSED".into()));
    assert!(message["server_time"].is_string());
    let _ended = server.stop();
    let output = watch.wait_with_output().expect("an end");
    assert_eq!(code(&output), 69);
    assert!(err(&output).contains("UNAVAILABLE: the server is stopping"), "{}", err(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drop_that_is_there_is_changed_by_its_file() {
    let server = start(&[]).await;
    let apply = |text: &str, flags: &[&str]| apply(&server.endpoint, text, flags);
    assert!(out(&apply(KNIFE, &[])).contains("drop knife created, revision 1"));
    let other = KNIFE.replace("max_units: 1", "max_units: 2").replace("]\nlimits", ", {sku: S, quantity: 9}]\nlimits");
    let other = format!("{other}title: Knives\nhold_ttl: 2m\ncloses_at: 2126-12-04T20:00:00+01:00\n");
    let tried = apply(&other, &["--dry-run"]);
    let reported =
        "drop knife would be changed: title, closes_at, hold_ttl, max_hold_life, items, limits; revision is 1";
    assert!(out(&tried).starts_with(reported), "{}{}", out(&tried), err(&tried));
    assert!(out(&tried).contains("9 of S"), "{}", out(&tried));
    assert!(out(&apply(KNIFE, &[])).contains("unchanged, revision 1"), "only tried");
    let changed = apply(&other, &[]);
    assert!(out(&changed).contains("items, limits; revision 1 became 3"), "{}{}", out(&changed), err(&changed));
    assert!(out(&apply(&other, &[])).contains("drop knife unchanged, revision 3"));
    assert_eq!(json(&apply(&other, &["--json"]))["drop"]["title"], "Knives");
    let more = other.replace("quantity: 3", "quantity: 5");
    let refused = apply(&more, &[]);
    assert_eq!(code(&refused), 1);
    for reported in [
        "FAILED_PRECONDITION: drop knife is OPEN: drop.items[0].quantity",
        "stockade drop adjust knife --sku \"K\" --set 5 --expected 3",
    ] {
        assert!(err(&refused).contains(reported), "{reported} in {}", err(&refused));
    }
    let adjusted =
        stockade(&server.endpoint, &["drop", "adjust", "knife", "--sku", "K", "--set", "5", "--expected", "3"]);
    assert_eq!(code(&adjusted), 0, "{}", err(&adjusted));
    assert!(out(&apply(&more, &[])).contains("unchanged, revision 3"), "the file may say what there is by now");
    assert_eq!(code(&apply(&other.replace("hold_ttl: 2m", "hold_ttl: 2d"), &[])), 64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_leaves_out_when_a_drop_opens_leaves_it_as_it_is() {
    let server = start(&[]).await;
    let apply = |text: &str, flags: &[&str]| apply(&server.endpoint, text, flags);
    let shown = || out(&stockade(&server.endpoint, &["drop", "show", "knife"]));
    let bare = "kind: Drop\nid: knife\nitems: [{sku: K, quantity: 3}]\n";
    let whole = format!(
        "{bare}opens_at: 2126-01-01T10:00:00Z\ncloses_at: 2126-01-02T10:00:00Z\n\
         limits: [{{id: two, scope: drop, max_units: 2}}]\n"
    );
    assert_eq!(code(&apply(&whole, &[])), 0);
    let better = format!("{bare}title: Better\n");
    let tried = out(&apply(&better, &["--dry-run"]));
    for line in [
        "the file leaves out opens_at, and it stays 2126-01-01T10:00:00.000Z; opens_at: now opens at once\n",
        "the file leaves out closes_at, and it stays 2126-01-02T10:00:00.000Z; closes_at: never lets it run on\n",
        "the file leaves out limits, and it stays two; limits: [] removes all\n",
        "drop knife would be changed: title; revision is 1\n  title: - -> \"Better\"\n",
    ] {
        assert!(tried.contains(line), "{line} in {tried}");
    }
    let whole = apply(&better, &["--json"]);
    assert!(json(&whole).is_object() && err(&whole).contains("leaves out opens_at"), "{}", err(&whole));
    let now = shown();
    for part in ["SCHEDULED", "Better", "2126-01-01T10:00", "2126-01-02T10:00", "at most 2 units"] {
        assert!(now.contains(part), "{part} in {now}");
    }
    let opened = out(&apply(&format!("{better}opens_at: now\ncloses_at: never\nlimits: []\n"), &[]));
    assert!(opened.contains("drop knife changed: opens_at, closes_at, limits;"), "{opened}");
    assert!(shown().contains("OPEN") && !shown().contains("at most"), "{}", shown());
}

/// A server as a process that logs JSON: the process, the line that says where it serves, and the lines after it.
pub fn serving() -> (Child, serde_json::Value, Lines<BufReader<ChildStderr>>) {
    let mut server = Command::new(env!("CARGO_BIN_EXE_stockade"))
        .args(["serve", "--ephemeral", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--log-format", "json"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut logs = BufReader::new(server.stderr.take().expect("logs")).lines();
    let serving = logs.find_map(|line| {
        let line: serde_json::Value = serde_json::from_str(&line.expect("a line")).expect("each line is JSON");
        (line.get("message")? == "serving").then_some(line)
    });
    (server, serving.expect("it serves"), logs)
}

#[test]
fn a_server_that_is_told_to_stop_ends_well() {
    let (mut server, serving, logs) = serving();
    for door in ["grpc", "http"] {
        let address = serving[door].as_str().expect("it says where");
        assert!(address.parse::<std::net::SocketAddr>().is_ok(), "{address}");
    }
    let code = signalled(&mut server, Signal::TERM);
    let rest: Vec<_> = logs.map_while(Result::ok).collect();
    assert_eq!(code, Some(0), "{rest:?}");
    assert!(rest.iter().any(|line| line.contains("draining")), "{rest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_ends_in_74() {
    let taken = start(&[]).await;
    let address = taken.http.to_string();
    let output = stockade("", &["serve", "--ephemeral", "--grpc", &address, "--http", "127.0.0.1:0"]);
    assert_eq!(code(&output), 74);
    assert!(err(&output).contains(&address), "{}", err(&output));
}

#[test]
fn the_demo_is_clean_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_stockade"))
        .args(["demo", "--customers", "400", "--connections", "2"])
        .env("TMPDIR", folder.path())
        .output()
        .expect("the binary runs");
    let reported = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(0), "{reported}");
    let lines: Vec<_> = reported.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for line in [
        "oversold 0",
        "over limit 0",
        "conservation error 0",
        "holds unaccounted for 0",
        "units put in during the sale 20",
        "the audit is clean",
    ] {
        assert!(lines.iter().any(|reported| reported == line), "{line} in\n{reported}");
    }
    assert!(reported.contains("its webhook has received, each signed: signal.fired half-gone"), "{reported}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "its folder is gone");
}
