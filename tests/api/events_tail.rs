//! `stockade events tail`: what it prints, and how it ends.

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::cli::{code, stockade};
use crate::common::{held, hold_id, line, reserve};
use crate::events::{claimed, shop};

/// `events tail`, and what it prints, line by line.
fn tailing(endpoint: &str, flags: &[&str]) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut tailing = Command::new(env!("CARGO_BIN_EXE_stockade"))
        .args(["events", "tail"])
        .args(flags)
        .env("STOCKADE_ENDPOINT", endpoint)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let lines = BufReader::new(tailing.stdout.take().expect("lines")).lines();
    (tailing, lines)
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_printed_line_by_line_until_somebody_has_enough() {
    let shop = shop().await;
    held(&shop.client, reserve(1, "knife", "ada", vec![line("KNIFE", 2)])).await;
    let flags = ["--from-oldest", "--with-customers", "--type", "hold.*", "--drop", "knife"];
    let (mut tail, mut lines) = tailing(&shop.server.endpoint, &flags);
    let mut line = || lines.next().expect("no end").expect("a line");
    let first = line();
    let held = format!(" hold.created knife {} HELD ada KNIFE:2", hold_id(1));
    assert!(first.ends_with(&held), "{first}");
    claimed(&shop.client, 1).await;
    let second = line();
    assert!(second.ends_with(" CLAIMED ada order KNIFE:2"), "{second}");
    let id = rustix::process::Pid::from_child(&tail);
    rustix::process::kill_process(id, rustix::process::Signal::INT).expect("a signal");
    assert_eq!(tail.wait().expect("an end").code(), Some(0), "Ctrl-C is no failure");
    let (mut tail, mut lines) = tailing(&shop.server.endpoint, &["--from-oldest", "--json"]);
    let event: serde_json::Value = serde_json::from_str(&lines.next().expect("no end").expect("a line")).expect("json");
    assert_eq!((&event["type"], &event["drop_id"]), (&"stockade.drop.created".into(), &"knife".into()));
    drop(lines);
    assert_eq!(tail.wait().expect("an end").code(), Some(0), "nor is a reader that goes away");
    assert_eq!(code(&stockade(&shop.server.endpoint, &["events", "tail", "--type", "hold"])), 64);
}
