//! The log's reader has gone, is slow, or is a full disk: the server keeps serving, and ends in order.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{ChildStderr, Command, Stdio};
use std::time::Duration;

use stockade_client::Client;
use stockade_drill::process::{self, Process, Signal, serving};
use stockade_proto as pb;
use stockade_types::metrics::Stopwatch;

use crate::server::{BINARY, Server, serve};
use crate::wire::{DROP, Dice, create, hold};

const STOCK: [(&str, u64); 1] = [("SKU", 100_000)];
const LOST: &str = "stockade_log_lines_lost_total";

/// A server whose log is a pipe that the test holds, from the line on that it serves.
fn unread(data: &Path, flags: &[&str]) -> (Server, BufReader<ChildStderr>) {
    let mut child = serve(data, flags).stderr(Stdio::piped()).spawn().expect("the binary runs");
    let mut log = BufReader::new(child.stderr.take().expect("logs"));
    let process = Process::over("stockade", child);
    let addresses = log.by_ref().lines().find_map(|line| serving(&line.expect("a line"))).expect("it serves");
    (process::Server::over(process, addresses).into(), log)
}

async fn calls(client: &Client, many: usize) {
    for _ in 0..many {
        client.get_drop(pb::GetDropRequest { drop_id: DROP.into() }).await.expect("an answer");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_takes_nothing_with_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, log) = unread(folder.path(), &[]);
    drop(log);
    let client = server.client().await;
    create(&client, &STOCK, 1).await;
    hold(&client, &Dice::new(1).hold_id(), "SKU").await;
    let lost: u64 = server.metric(LOST).parse().expect("a number");
    assert!(lost >= 1, "the line about the drop");
    assert_eq!(server.stop().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_reads_nothing_holds_nobody_up_and_learns_what_it_missed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, log) = unread(folder.path(), &["--log", "trace"]);
    let client = server.client().await;
    create(&client, &STOCK, 1).await;
    let watch = Stopwatch::start();
    let mut lost = 0;
    while lost == 0 {
        calls(&client, 100).await;
        assert!(watch.elapsed() < Duration::from_mins(1), "the log's queue has no end");
        lost = server.metric(LOST).parse().expect("a number");
    }
    hold(&client, &Dice::new(1).hold_id(), "SKU").await;
    // Now the log is read: the report of dropped lines follows once the queue is written, and then the server's end.
    let reading = std::thread::spawn(move || {
        let (mut all, mut log) = (String::new(), log);
        log.read_to_string(&mut all).expect("a log");
        all
    });
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(server.stop().code, Some(0));
    let all = reading.join().expect("a log");
    let reported: u64 = all
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|line| line["message"] == "log lines were lost")
        .filter_map(|line| line["lines"].as_u64())
        .sum();
    assert!(reported >= lost, "{reported} of {lost} were reported");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_reads_nothing_does_not_keep_a_server_from_ending() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, _log) = unread(folder.path(), &["--log", "trace"]);
    let client = server.client().await;
    create(&client, &STOCK, 1).await;
    calls(&client, 300).await;
    let watch = Stopwatch::start();
    assert_eq!(server.stop().code, Some(0));
    assert!(watch.elapsed() < Duration::from_secs(8), "{:?}", watch.elapsed());
}

#[test]
fn a_log_on_a_full_disk_ends_nothing() {
    let full = Path::new("/dev/full");
    if !full.exists() {
        eprintln!("there is no {}", full.display());
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = serve(folder.path(), &[]);
    command.stderr(Stdio::from(OpenOptions::new().write(true).open(full).expect("a device")));
    let mut process = Process::over("stockade", command.spawn().expect("the binary runs"));
    std::thread::sleep(Duration::from_millis(700));
    assert!(!process.ended(), "it serves on");
    assert_eq!(process.stop(Signal::TERM, Duration::from_secs(20)).code, Some(0));
}

#[test]
fn the_last_error_comes_out_and_ends_the_log() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("stranger"), "x").expect("a file");
    for (format, word) in [("text", "error: "), ("json", "\"message\":\"the server has failed\"")] {
        let mut command = Command::new(BINARY);
        command.args(["serve", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--log-format", format, "--data"]);
        let output = command.arg(folder.path()).output().expect("the binary runs");
        assert_eq!(output.status.code(), Some(74));
        let log = String::from_utf8(output.stderr).expect("text");
        assert!(log.lines().last().is_some_and(|line| line.contains(word)), "{log}");
    }
}
