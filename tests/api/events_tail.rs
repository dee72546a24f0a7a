//! `stockade events tail`: its output and its end.

use crate::cli::{code, next_json, printing, signalled, stockade};
use crate::common::{held, hold_id, line, reserve};
use crate::events::{claimed, shop};

#[tokio::test(flavor = "multi_thread")]
async fn events_are_printed_line_by_line_until_somebody_has_enough() {
    let shop = shop().await;
    held(&shop.client, reserve(1, "knife", "ada", vec![line("KNIFE", 2)])).await;
    let words = ["events", "tail", "--from-oldest", "--with-customers", "--type", "hold.*", "--drop", "knife"];
    let (mut tail, mut lines) = printing(&shop.server.endpoint, &words);
    let mut line = || lines.next().expect("no end").expect("a line");
    let first = line();
    let held = format!(" hold.created knife {} HELD ada KNIFE:2", hold_id(1));
    assert!(first.ends_with(&held), "{first}");
    claimed(&shop.client, 1).await;
    let second = line();
    assert!(second.ends_with(" CLAIMED ada order KNIFE:2"), "{second}");
    assert_eq!(signalled(&mut tail, rustix::process::Signal::INT), Some(0), "Ctrl-C is no failure");
    let (mut tail, mut lines) = printing(&shop.server.endpoint, &["events", "tail", "--from-oldest", "--json"]);
    let event = next_json(&mut lines);
    assert_eq!((&event["type"], &event["drop_id"]), (&"stockade.drop.created".into(), &"knife".into()));
    drop(lines);
    assert_eq!(tail.wait().expect("an end").code(), Some(0), "nor is a reader that goes away");
    assert_eq!(code(&stockade(&shop.server.endpoint, &["events", "tail", "--type", "hold"])), 64);
}
