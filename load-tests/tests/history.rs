//! The history checker on a real server: a short run with kills and pauses has an order, and the same run with any one
//! answer changed has none.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

mod server;

use server::reported;

fn history(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_load-tests")).arg("history").args(words).output().expect("the program")
}

fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Checks a copy of the history that `spoil` has changed.
fn spoilt(folder: &Path, lines: &[Value], spoil: impl FnOnce(&mut Vec<Value>)) -> Output {
    let mut lines = lines.to_vec();
    spoil(&mut lines);
    let text = lines.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    let file: PathBuf = folder.join("spoilt.jsonl");
    std::fs::write(&file, text).unwrap();
    history(&["--check", file.to_str().unwrap()])
}

/// The first call that fulfils the predicate.
fn call(lines: &mut [Value], wanted: impl Fn(&Value) -> bool) -> &mut Value {
    let found = lines.iter_mut().filter_map(|line| line.get_mut("call")).find(|call| wanted(call));
    found.expect("such a call is in every run")
}

fn is_last(call: &Value) -> bool {
    call["last"] == json!(true)
}

fn state(call: &Value) -> Option<&str> {
    call["answer"]["hold"]["state"].as_str()
}

fn is_made(call: &Value) -> bool {
    call["verb"].get("reserve").is_some() && call["answer"]["hold"]["created"] == call["now"] && state(call).is_some()
}

#[test]
fn a_server_that_is_killed_and_stopped_answers_in_an_order_and_every_spoilt_answer_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.jsonl");
    let server = server::binary();
    let words = ["--for", "5s", "--kills", "3", "--pauses", "3", "--seed", "7", "--history", file.to_str().unwrap()];
    let output = history(&[&words[..], &["--server", server.to_str().unwrap()]].concat());
    let text = reported(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("3 kills, 3 pauses") && text.contains("\nlinearizable"), "{text}");
    let lines = lines(&file);
    let whole = spoilt(folder.path(), &lines, |_same| ());
    assert_eq!(whole.status.code(), Some(0), "what was kept is what was checked: {}", reported(&whole));

    let setup = |change: fn(&mut Value)| move |lines: &mut Vec<Value>| change(&mut lines[0]["setup"]);
    let more = setup(|setup| setup["stock"][0] = json!(setup["stock"][0].as_u64().unwrap() + 1));
    flagged("one unit more than was sold out", &spoilt(folder.path(), &lines, more), "item 0");
    let less = setup(|setup| setup["stock"][2] = json!(setup["stock"][2].as_u64().unwrap() - 1));
    flagged("one unit less than was sold", &spoilt(folder.path(), &lines, less), "item 2");
    let limit = setup(|setup| setup["limit"] = json!(setup["limit"].as_u64().unwrap() + 1));
    flagged("a limit that was reported too early", &spoilt(folder.path(), &lines, limit), "customer");
    let limit = setup(|setup| setup["limit"] = json!(setup["limit"].as_u64().unwrap() - 1));
    flagged("a limit that was passed", &spoilt(folder.path(), &lines, limit), "customer");

    let answer =
        |wanted: fn(&Value) -> bool, change: fn(&mut Value)| move |lines: &mut Vec<Value>| change(call(lines, wanted));
    let lost = answer(|call| is_last(call) && state(call) == Some("claimed"), |call| call["answer"] = json!("absent"));
    flagged("a lost sale", &spoilt(folder.path(), &lines, lost), "hold");
    let back = answer(
        |call| is_last(call) && state(call) == Some("released"),
        |call| call["answer"]["hold"]["state"] = json!("expired"),
    );
    flagged("a release that was not kept", &spoilt(folder.path(), &lines, back), "hold");
    let taken = answer(is_made, |call| {
        let items: Vec<Value> = call["lines"].as_array().unwrap().iter().map(|line| line[0].clone()).collect();
        call["answer"] = json!({"refused": ["sold_out", items]});
    });
    flagged("a hold that was reported as sold out", &spoilt(folder.path(), &lines, taken), "");
    let sold_out = |call: &Value| call["answer"]["refused"][0] == json!("sold_out");
    let of_nothing = answer(sold_out, |call| call["answer"]["refused"][1] = json!([]));
    flagged("sold out of nothing", &spoilt(folder.path(), &lines, of_nothing), "sold out, but");
    let of_others = answer(sold_out, |call| call["answer"]["refused"][1] = json!([9]));
    flagged("sold out of what was not asked for", &spoilt(folder.path(), &lines, of_others), "sold out, but");
    let longer = answer(is_made, |call| {
        call["answer"]["hold"]["due"] = json!(call["answer"]["hold"]["due"].as_u64().unwrap() + 1);
    });
    flagged("a deadline that was reported too late", &spoilt(folder.path(), &lines, longer), "");
    let figures = answer(
        |call| call["verb"] == json!("get_drop") && call["answer"].get("stock").is_some(),
        |call| {
            let free = &mut call["answer"]["stock"][1]["free"];
            *free = json!(free.as_u64().unwrap() + 1);
        },
    );
    flagged("figures that do not add up", &spoilt(folder.path(), &lines, figures), "item 1: figures");
    of_rules(folder.path(), &lines);
    let silent = spoilt(folder.path(), &lines, |lines| {
        for call in lines.iter_mut().filter_map(|line| line.get_mut("call")).filter(|call| is_last(call)) {
            call["answer"] = json!({"unknown": "no answer"});
            call["now"] = Value::Null;
        }
    });
    let text = reported(&silent);
    assert!(
        silent.status.code() == Some(1) && text.contains("TOO FEW ANSWERS"),
        "last looks without an answer: {text}"
    );
    let gone = spoilt(folder.path(), &lines, |lines| drop(lines.remove(0)));
    assert_eq!(gone.status.code(), Some(64), "a file that was cut is no history: {}", reported(&gone));
}

/// The same for windows, pools and prices: in answers, and in the journal's records.
fn of_rules(folder: &Path, lines: &[Value]) {
    let answer = |wanted: fn(&Value) -> bool, change: fn(&mut Value)| {
        spoilt(folder, lines, move |lines| change(call(lines, wanted)))
    };
    let served = |call: &Value| is_made(call) && call["answer"]["hold"]["served"][0]["pool"] == json!("members");
    flagged(
        "another pool",
        &answer(served, |call| call["answer"]["hold"]["served"][0]["pool"] = json!("vault")),
        "no pool",
    );
    flagged("another price", &answer(is_made, |call| call["answer"]["hold"]["served"][0]["price"] = json!(1)), "price");
    let window = |call: &mut Value| call["answer"]["hold"]["served"][0]["window"] = json!("all");
    flagged("a window before it opens", &answer(is_made, window), "not open");
    let not_open = |call: &Value| call["answer"]["refused"][0] == json!("not_open");
    let sold_out = |call: &mut Value| {
        let items: Vec<Value> = call["lines"].as_array().unwrap().iter().map(|line| line[0].clone()).collect();
        call["answer"] = json!({"refused": ["sold_out", items]});
    };
    flagged("sold out before the opening", &answer(not_open, sold_out), "no window was open");
    let closed = answer(not_open, |call| call["answer"]["refused"][0] = json!("drop_closed"));
    flagged("closed before the opening", &closed, "before the closing");
    let eligible = answer(not_open, |call| call["answer"]["refused"][0] = json!("not_eligible"));
    flagged("not eligible", &eligible, "for everyone");

    // The first record of that kind of a hold from the members' pool, and of a drop with that mark.
    let record = |kind: &'static str, change: fn(&mut Value)| {
        spoilt(folder, lines, move |lines| {
            let facts = lines.iter_mut().filter_map(|line| line.get_mut("fact"));
            let mut of_kind = facts.filter(|fact| fact["kind"] == json!(kind));
            change(of_kind.find(|fact| kind != "hold" || fact["lines"][0]["pool"] == json!("members")).unwrap());
        })
    };
    let line = |change: fn(&mut Value)| record("hold", change);
    flagged("a member's unit", &line(|fact| fact["customer_id"] = json!("customer-1")), "journal: ");
    flagged("a recorded price", &line(|fact| fact["lines"][0]["price"]["minor_units"] = json!(1)), "was not the price");
    flagged("a recorded window", &line(|fact| fact["lines"][0]["window"] = json!("all")), "was not open");
    flagged("made too early", &line(|fact| fact["created_at"] = json!("2020-01-01T00:00:00.000Z")), "was not open");
    flagged("a unit more", &line(|fact| fact["lines"][0]["quantity"] = json!(9)), "more out than it received");
    let turned = |change: fn(&mut Value)| record("drop_turned", change);
    flagged("no opening", &turned(|fact| fact["moments"] = json!([])), "while the drop was not open");
    let figures = |fact: &mut Value| fact["stock"][1]["received"] = json!(99);
    flagged("figures of a pool", &turned(figures), "add up");
    let missing = spoilt(folder, lines, |lines| {
        let place = lines.iter().position(|line| line["fact"]["kind"] == json!("hold")).unwrap();
        lines.remove(place);
    });
    flagged("a lost record", &missing, "is missing");
}

fn flagged(what: &str, output: &Output, where_it_is: &str) {
    let text = reported(output);
    assert_eq!(output.status.code(), Some(1), "{what}: {text}");
    assert!(text.contains("NOT LINEARIZABLE") && text.contains(where_it_is), "{what}: {text}");
}
