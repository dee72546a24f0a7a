//! Foreign programs against our server: clients in Python and TypeScript made from the contract alone, a browser that
//! shows its pages, readers of its calendar, and Prometheus's own checker of metrics pages. If one is not installed, its test is skipped with a message, unless it is named in
//! `STOCKADE_TEST_REQUIRED` (`python,typescript,chromium,promtool`): then the test fails.

use std::io::Write as _;
use std::process::{Command, Stdio};

use futures_util::future::join_all;
use parking_lot::Mutex;
use stockade_proto as pb;

use crate::server::{BINARY, Server, reported, start};
use crate::wire::{Dice, create, hold, line, reserve};

const REQUIRED: &str = "STOCKADE_TEST_REQUIRED";

/// Whether a test's requirement is installed, checked by running a program.
fn is_there(what: &str, program: &str, arguments: &[&str]) -> bool {
    let mut probe = Command::new(program);
    probe.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let there = probe.status().is_ok_and(|status| status.success());
    let required =
        stockade::config::environment(REQUIRED).is_some_and(|reported| reported.split(',').any(|one| one == what));
    assert!(there || !required, "{program} {arguments:?} does not run, but {REQUIRED} has {what}");
    if !there {
        eprintln!("SKIPPED: {program} {arguments:?} does not run here");
    }
    there
}

/// Runs a program, which must exit successfully. Returns its output.
fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().expect("it runs");
    assert!(output.status.success(), "{}", reported(&output));
    eprintln!("{}", reported(&output));
}

/// Runs one of our Python scripts with the binary, if its packages are installed.
fn run_python(script: &str) {
    let python = stockade::config::environment("STOCKADE_TEST_PYTHON").unwrap_or_else(|| "python3".to_owned());
    let packages = "import aiosmtpd, cloudevents.core, dateutil, google.rpc, grpc, grpc_health, grpc_reflection, grpc_tools, \
                    icalendar, jsonschema, openapi_spec_validator, standardwebhooks, yaml";
    if is_there("python", &python, &["-c", packages]) {
        run(&python, &[&format!("{}/tests/python/{script}", env!("CARGO_MANIFEST_DIR")), BINARY]);
    }
}

/// The scripts in TypeScript are built into one folder: one after the other.
static BUILDING: Mutex<()> = Mutex::new(());

/// Runs one of our scripts in TypeScript with the binary, if its packages are installed.
fn run_typescript(script: &str) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/typescript");
    let _building = BUILDING.lock();
    // `npm ci` in that folder installs its packages, typescript among them.
    if is_there("typescript", "npm", &["--prefix", folder, "ls", "--silent"]) {
        run("npm", &["--prefix", folder, "run", "--silent", script, "--", BINARY]);
    }
}

#[test]
fn a_python_client_walks_the_life_of_a_hold() {
    run_python("life_of_a_hold.py");
}

#[test]
fn what_is_shipped_for_callers_serves_a_python_client() {
    run_python("shipped.py");
}

#[test]
fn schema_and_parser_judge_drop_files_alike() {
    run_python("drop_files.py");
}

#[test]
fn a_foreign_validator_accepts_the_openapi_document() {
    run_python("openapi.py");
}

#[test]
fn rules_of_series_give_what_dateutil_gives() {
    run_python("recurrence.py");
}

#[test]
fn a_report_is_what_events_and_answers_say() {
    run_python("report.py");
}

#[test]
fn a_typescript_client_walks_the_life_of_a_hold() {
    run_typescript("walk");
}

#[test]
fn webhooks_satisfy_the_official_libraries_of_python() {
    run_python("webhooks.py");
}

#[test]
fn a_foreign_mail_server_gets_mails_of_channels() {
    run_python("mail.py");
}

#[test]
fn webhooks_satisfy_the_official_libraries_of_npm() {
    run_typescript("webhooks");
}

#[test]
fn pages_work_in_a_browser() {
    if is_there("chromium", "chromium", &["--version"]) {
        run_typescript("pages");
    }
}

#[test]
fn foreign_readers_understand_the_calendar() {
    run_python("calendar_reader.py");
}

#[test]
fn the_library_of_connect_makes_calls_and_the_documents_are_valid() {
    run_typescript("connect");
}

/// Causes every kind of call and outcome, so that every metric family has series.
async fn some_of_everything(server: &Server) {
    let client = server.client().await;
    create(&client, &[("A \"quoted\\sku\"", 1_000), ("B", 1)], 2).await;
    let mut dice = Dice::new(7);
    let first = dice.hold_id();
    hold(&client, &first, "B").await;
    let ids: Vec<String> = (0..200).map(|_| dice.hold_id()).collect();
    join_all(ids.iter().map(|id| client.reserve(reserve(id, id, vec![line("A \"quoted\\sku\"", 1)])))).await;
    client.reserve(reserve(&dice.hold_id(), "ada", vec![line("B", 1)])).await.expect("a refusal");
    client.reserve(reserve("nonsense", "ada", vec![])).await.expect_err("faulty");
    let brief = pb::ReserveRequest {
        ttl: Some(prost_types::Duration { seconds: 1, nanos: 0 }),
        ..reserve(&dice.hold_id(), "bob", vec![line("A \"quoted\\sku\"", 1)])
    };
    client.reserve(brief).await.expect("a hold");
    let hold_id = first.clone();
    client.extend(pb::ExtendRequest { hold_id, ..pb::ExtendRequest::default() }).await.expect("a hold");
    let (claimed, released) = (ids[0].clone(), ids[1].clone());
    let claim = pb::ClaimRequest { hold_id: claimed, order_ref: "o".into(), ..pb::ClaimRequest::default() };
    client.claim(claim).await.expect("a sale");
    client.release(pb::ReleaseRequest { hold_id: released, ..pb::ReleaseRequest::default() }).await.expect("a hold");
    tokio::time::sleep(std::time::Duration::from_millis(1_300)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_page_pleases_prometheus() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = start(folder.path(), &["--snapshot-every", "1s,1MiB"]);
    some_of_everything(&server).await;
    let (status, page) = server.page("/metrics");
    assert!(status.contains(" 200 "));
    for series in [
        "stockade_operations_total{operation=\"reserve\",outcome=\"refused\"} 1",
        "stockade_refusals_total{drop=\"drop\",reason=\"sold_out\"} 1",
        "stockade_hold_transitions_total{to=\"expired\"} 1",
        "stockade_expiry_lag_seconds_count 1",
        "stockade_conservation_error_units 0",
    ] {
        assert!(page.lines().any(|line| line == series), "{series} is missing in\n{page}");
    }
    if !is_there("promtool", "promtool", &["--version"]) {
        return;
    }
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = promtool.spawn().expect("promtool runs");
    child.stdin.take().expect("a pipe").write_all(page.as_bytes()).expect("a page");
    let output = child.wait_with_output().expect("an answer");
    let reported = reported(&output);
    assert!(output.status.success() && reported.trim().is_empty(), "{reported}\n{page}");
}
