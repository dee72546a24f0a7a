//! `stockade journal dump` on folders that a server has left.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use futures_util::future::join_all;
use serde_json::Value;
use stockade_proto as pb;

use crate::files::newest_segment;
use crate::server::{BINARY, start};
use crate::wire::{DROP, Dice, create, hold, line, reserve};

fn dump_command(data: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    // Without the tests' own environment variables, which it would warn of.
    command.env_clear().args(["journal", "dump", "--data"]).arg(data).args(words);
    command
}

fn dump(data: &Path, words: &[&str]) -> Output {
    dump_command(data, words).output().expect("the binary runs")
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

/// The lines of its output; it must exit successfully.
fn lines(data: &Path, words: &[&str]) -> Vec<String> {
    let output = dump(data, words);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
}

fn records(data: &Path, words: &[&str]) -> Vec<Value> {
    let words = [words, &["--json"]].concat();
    lines(data, &words).iter().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn kinds(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["kind"].as_str().expect("a kind")).collect()
}

/// A folder with one drop, a claimed hold and a held one; the server was killed.
async fn a_sale_and_a_hold(data: &Path) -> [String; 2] {
    let server = start(data, &[]);
    let client = server.client().await;
    create(&client, &[("SKU", 100)], 2).await;
    let mut dice = Dice::new(3);
    let ids = [dice.hold_id(), dice.hold_id()];
    let sold = reserve(&ids[0], "Ada Lovelace", vec![line("SKU", 2)]);
    client.reserve(sold).await.expect("an answer");
    hold(&client, &ids[1], "SKU").await;
    let hold_id = ids[0].clone();
    client.claim(pb::ClaimRequest { hold_id, order_ref: "A-1".into(), ..Default::default() }).await.expect("a sale");
    server.kill();
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn every_record_is_a_line_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let [sold, held] = a_sale_and_a_hold(folder.path()).await;
    let all = records(folder.path(), &[]);
    assert_eq!(kinds(&all), ["drop_created", "drop_turned", "hold", "hold", "claimed"]);
    assert!(all.iter().zip(1..).all(|(record, lsn)| record["lsn"] == lsn), "{all:?}");
    assert!(all.iter().all(|record| record["written_at"].as_str().is_some_and(|at| at.ends_with('Z'))), "{all:?}");
    assert_eq!((&all[0]["drop_id"], &all[2]["hold_id"]), (&DROP.into(), &sold.clone().into()));
    assert_eq!((&all[2]["customer_id"], &all[2]["lines"][0]["quantity"]), (&"Ada Lovelace".into(), &2.into()));
    assert_eq!((&all[4]["hold_id"], &all[4]["order_ref"]), (&sold.clone().into(), &"A-1".into()));

    let text = lines(folder.path(), &[]);
    assert_eq!(text.len(), 5);
    let line =
        format!(" hold     hold_id={sold} drop_id={DROP} drop_number=0 customer_id=\"Ada Lovelace\" state=held ");
    assert!(text[2].starts_with("       3 ") && text[2].contains(&line), "{}", text[2]);

    assert_eq!(kinds(&records(folder.path(), &["--from", "4"])), ["hold", "claimed"]);
    assert_eq!(kinds(&records(folder.path(), &["--from", "3", "--limit", "1"])), ["hold"]);
    assert_eq!(lines(folder.path(), &["--limit", "0"]).len(), 0);
    assert_eq!(kinds(&records(folder.path(), &["--hold", &sold])), ["hold", "claimed"]);
    assert_eq!(kinds(&records(folder.path(), &["--hold", &held])), ["hold"]);
    assert_eq!(records(folder.path(), &["--drop", DROP]).len(), 5);
    assert_eq!(records(folder.path(), &["--drop", DROP, "--hold", &sold, "--from", "5"]).len(), 1);
    let none = dump(folder.path(), &["--drop", "other"]);
    assert_eq!((none.status.code(), none.stdout.len()), (Some(0), 0));
    assert!(err(&none).contains("no record of the journal is of that hold or drop"), "{}", err(&none));
    let ahead = dump(folder.path(), &["--from", "9"]);
    assert!(err(&ahead).contains("the journal ends before record 6"), "{}", err(&ahead));
    for wrong in [["--hold", "nonsense"], ["--from", "-1"], ["--drop", "a b"]] {
        assert_eq!(dump(folder.path(), &wrong).status.code(), Some(64), "{wrong:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_is_told_and_well_and_damage_is_a_finding() {
    let folder = tempfile::tempdir().expect("a folder");
    a_sale_and_a_hold(folder.path()).await;
    let segment = newest_segment(folder.path());
    let good = fs::read(&segment).expect("a segment");
    fs::write(&segment, &good[..good.len() - 3]).expect("a segment");
    let torn = dump(folder.path(), &[]);
    assert_eq!(torn.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&torn.stdout).lines().count(), 4);
    let reported = err(&torn);
    assert!(
        reported.starts_with("note: torn tail in ")
            && reported.contains(".journal at byte ")
            && reported.contains("record 5"),
        "{reported}"
    );

    let mut bad = good.clone();
    // In the second batch, after the segment's header and the whole first batch.
    let second = 68 + (good[68..].windows(4).skip(1).position(|bytes| bytes == b"\xffSKB").expect("a batch") + 1);
    bad[second + 80] ^= 1;
    fs::write(&segment, &bad).expect("a segment");
    let damaged = dump(folder.path(), &["--json"]);
    assert_eq!(damaged.status.code(), Some(1));
    // The drop and its opening may be in one batch or in two.
    let first = usize::try_from(u32::from_le_bytes(good[132..136].try_into().expect("a count"))).expect("small");
    assert_eq!(String::from_utf8_lossy(&damaged.stdout).lines().count(), first, "what stands before the damage");
    let reported = err(&damaged);
    assert!(
        reported.starts_with("finding: the journal is damaged at ") && reported.contains(&format!("byte {second}")),
        "{reported}"
    );
    assert_eq!(fs::read(&segment).expect("a segment"), bad, "nothing was changed");
    assert_eq!(dump(folder.path(), &["--limit", "1"]).status.code(), Some(0), "nobody asked for what is behind it");

    assert_eq!(dump(&folder.path().join("none"), &[]).status.code(), Some(74));
    assert_eq!(dump(Path::new(env!("CARGO_MANIFEST_DIR")), &[]).status.code(), Some(74), "not a data folder");
    let meta = folder.path().join("stockade.meta");
    let mut bytes = fs::read(&meta).expect("a file");
    bytes[13] ^= 1;
    fs::write(&meta, bytes).expect("a file");
    assert_eq!(dump(folder.path(), &[]).status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_in_use_is_read_and_its_process_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = start(folder.path(), &[]);
    create(&server.client().await, &[("SKU", 1)], 1).await;
    let output = dump(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 2);
    let wanted = format!("note: process {} serves this folder", server.id());
    assert!(err(&output).starts_with(&wanted), "{}", err(&output));
    server.kill();
}

/// Has the journal's oldest segments trimmed: a stop in order takes a snapshot, and another durability begins a new
/// segment, so the oldest goes once the older snapshot covers it.
async fn trim(folder: &Path) {
    for (seed, durability) in [(11, "os"), (12, "sync"), (13, "os")] {
        let server = start(folder, &["--durability", durability]);
        hold(&server.client().await, &Dice::new(seed).hold_id(), "SKU").await;
        assert_eq!(server.stop().code, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn drops_that_are_older_than_the_journal_keep_their_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let [sold, held] = a_sale_and_a_hold(folder.path()).await;
    trim(folder.path()).await;
    let server = start(folder.path(), &[]);
    let client = server.client().await;
    client.release(pb::ReleaseRequest { hold_id: held.clone(), ..Default::default() }).await.expect("a hold");
    server.kill();
    let all = records(folder.path(), &[]);
    let trimmed = all[0]["lsn"].as_u64().expect("a number") > 1;
    assert!(trimmed, "the journal was to be trimmed: {:?}", kinds(&all));
    assert!(all.iter().filter(|record| record["kind"] == "hold").all(|record| record["drop_id"] == DROP), "{all:?}");
    let of_drop = records(folder.path(), &["--drop", DROP]);
    assert!(
        of_drop.iter().any(|record| record["kind"] == "released" && record["hold_id"] == held.as_str()),
        "{of_drop:?}"
    );
    let old = dump(folder.path(), &["--from", "1", "--hold", &sold]);
    assert!(err(&old).contains("note: the journal begins with record "), "{}", err(&old));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_is_no_failure() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = start(folder.path(), &[]);
    let client = server.client().await;
    create(&client, &[("SKU", 5_000)], 2).await;
    let mut dice = Dice::new(5);
    let requests: Vec<_> = (0..4_000)
        .map(|customer| reserve(&dice.hold_id(), &format!("customer-{customer}"), vec![line("SKU", 1)]))
        .collect();
    for together in requests.chunks(500) {
        join_all(together.iter().map(|request| client.reserve(request.clone()))).await;
    }
    server.kill();
    let mut child = dump_command(folder.path(), &[])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut first = [0; 9];
    let mut answers = child.stdout.take().expect("a pipe");
    answers.read_exact(&mut first).expect("a line begins");
    assert_eq!(&first, b"       1 ");
    drop(answers);
    let output = child.wait_with_output().expect("an end");
    assert_eq!((output.status.code(), err(&output)), (Some(0), String::new()));
}

/// The number of a record's line.
fn number(line: &str) -> u64 {
    let record: Value = serde_json::from_str(line).expect("JSON");
    record["lsn"].as_u64().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_that_are_kept_for_readers_are_shown_first_where_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    a_sale_and_a_hold(folder.path()).await;
    trim(folder.path()).await;
    let kept = fs::read_dir(folder.path().join("kept")).expect("a folder");
    let newest = kept.map(|entry| entry.expect("an entry").path()).max().expect("a segment is kept");
    let (journal, all) = (lines(folder.path(), &["--json"]), lines(folder.path(), &["--json", "--kept"]));
    assert!(all.len() > journal.len() && all.ends_with(&journal), "{} of {}", journal.len(), all.len());
    let numbers: Vec<u64> = all.iter().map(|line| number(line)).collect();
    assert!(numbers.iter().copied().eq(1..=numbers.iter().copied().max().unwrap_or(0)), "{numbers:?}");
    // With a gap before the journal nothing of it is shown.
    fs::remove_file(newest).expect("removed");
    assert_eq!(lines(folder.path(), &["--json", "--kept"]), journal);
}
