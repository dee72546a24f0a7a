//! The binary's messages about wrong usage and unexpected conditions.

use std::process::Command;

use rustix::process::Signal;

use crate::cli::{code, drop_file, err, out, serving, signalled, stockade};
use crate::common::{hold_id, start};
use crate::shop::knife_shop;

#[tokio::test(flavor = "multi_thread")]
async fn a_door_that_speaks_no_grpc_is_a_server_that_is_not_reached() {
    let server = start(&[]).await;
    let http = format!("http://{}", server.http);
    let output = stockade(&http, &["drop", "show", "knife"]);
    assert_eq!(code(&output), 69, "{}", err(&output));
    assert!(err(&output).contains(&format!("no gRPC server answers at {http}")), "{}", err(&output));
}

#[test]
fn a_refused_connection_is_explained_once() {
    let output = stockade("http://127.0.0.1:1", &["drop", "show", "knife"]);
    assert_eq!(err(&output).matches("tcp connect error").count(), 1, "{}", err(&output));
    assert!(err(&output).contains("Connection refused"), "{}", err(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_says_what_may_come_of_asking_again() {
    let (server, _client) = knife_shop().await;
    let run = |words: &[&str]| stockade(&server.endpoint, words);
    let ask = |goods: &str| out(&run(&["reserve", "knife", "--sku", goods, "--customer", "ada"]));
    assert!(ask("KNIFE=3").contains("0 of 2 used\nthis is final: it is more than the limit allows at all"));
    assert!(ask("SHEATH=4").contains("this is final, as far as is known"), "only three were ever there");
    let held = run(&["reserve", "knife", "--sku", "KNIFE=2", "--customer", "ada", "--hold-id", &hold_id(1)]);
    assert_eq!(code(&held), 0);
    let limited = ask("KNIFE");
    assert!(limited.contains("2 of 2 used\n") && !limited.contains("final"), "{limited}");
    run(&["drop", "pause", "knife"]);
    let paused = ask("KNIFE");
    assert!(paused.contains("try again when it is resumed") && !paused.contains("final"), "{paused}");
    run(&["drop", "close", "knife"]);
    assert!(ask("KNIFE").contains("this is final\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_may_not_change_a_drop_so_gets_advice() {
    let (server, _client) = knife_shop().await;
    let (_folder, file) = drop_file("kind: Drop\nid: knife\nitems: [{sku: K, quantity: 3}]\n");
    let output = stockade(&server.endpoint, &["drop", "apply", &file]);
    assert_eq!(code(&output), 1);
    let reported = err(&output);
    assert!(
        reported.contains("FAILED_PRECONDITION: drop knife is OPEN: drop.items[0].sku")
            && reported.contains("choose another id"),
        "{reported}"
    );
    assert!(reported.contains("stockade drop show knife"), "{reported}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_server_that_logs_json_says_so_in_json() {
    let taken = start(&[]).await;
    let address = taken.http.to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_stockade"))
        .args(["serve", "--ephemeral", "--grpc", &address, "--http", "127.0.0.1:0", "--log-format", "json"])
        .env("STOCKADE_SNAPSHOT_EVRY", "5m,1GiB")
        .output()
        .expect("the binary runs");
    assert_eq!(code(&output), 74);
    let lines: Vec<serde_json::Value> =
        err(&output).lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
    let last = lines.last().expect("a last word");
    assert_eq!((&last["level"], &last["exit_code"]), (&"ERROR".into(), &74.into()), "{last}");
    assert!(last["error"].as_str().is_some_and(|error| error.contains(&address)), "{last}");
    let misspelt = lines.iter().find(|line| line["level"] == "WARN").expect("a warning");
    assert_eq!(misspelt["variable"], "STOCKADE_SNAPSHOT_EVRY");
}

#[test]
fn a_misspelt_variable_of_a_client_is_named() {
    let output = Command::new(env!("CARGO_BIN_EXE_stockade"))
        .args(["drop", "show", "knife", "--endpoint", "http://127.0.0.1:1"])
        .env("STOCKADE_ENDPONT", "http://127.0.0.1:7411")
        .output()
        .expect("the binary runs");
    assert!(err(&output).contains("warning: STOCKADE_ENDPONT is no variable"), "{}", err(&output));
}

#[test]
fn a_drop_is_logged_as_defined_once() {
    let (mut server, serving, logs) = serving();
    let endpoint = format!("http://{}", serving["grpc"].as_str().expect("an address"));
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/knife.yaml");
    for reported in ["would be created", "created, revision 1", "unchanged, revision 1"] {
        let words = ["drop", "apply", example, "--dry-run"];
        let applied = out(&stockade(&endpoint, &words[..if reported == "would be created" { 4 } else { 3 }]));
        assert!(applied.contains(reported), "{applied}");
    }
    let code = signalled(&mut server, Signal::TERM);
    let defined = logs.map_while(Result::ok).filter(|line| line.contains("drop defined")).count();
    assert_eq!((code, defined), (Some(0), 1));
}
