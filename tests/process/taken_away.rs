//! Data folders that are moved or removed under a running server: nothing is acknowledged from then on, and the process
//! ends with a clear message.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use stockade_client::Client;
use stockade_drill::process::Signal;
use stockade_types::metrics::Stopwatch;
use tempfile::TempDir;

use crate::files::newest_segment;
use crate::server::{Server, serve, start, try_start, verified};
use crate::wire::{Dice, has_all, line, reserve, ten_holds};

/// An idle server notices it within a second, and needs at most another to end.
const ENDS_WITHIN: Duration = Duration::from_secs(2);
const WORDS: [&str; 2] = ["the journal was taken away while it was served", "data"];

struct Shop {
    above: TempDir,
    server: Server,
    client: Client,
    ids: Vec<String>,
}

impl Shop {
    async fn open() -> Self {
        let above = tempfile::tempdir().expect("a folder");
        let server = start(&above.path().join("data"), &[]);
        let client = server.client().await;
        let ids = ten_holds(&client).await;
        Self { above, server, client, ids }
    }

    /// Takes the folder away: the very next reserve must not be acknowledged, and the process must end.
    async fn after(self, take: impl FnOnce(&Path, &Path)) -> (TempDir, Vec<String>) {
        let Self { above, server, client, ids } = self;
        take(&above.path().join("data"), &above.path().join("moved"));
        let refused = client.reserve(reserve(&Dice::new(2).hold_id(), "late", vec![line("SKU", 1)])).await;
        assert!(refused.is_err(), "acknowledged: {refused:?}");
        server.end().must(74, &WORDS);
        (above, ids)
    }
}

async fn all_are_there(data: &Path, ids: Vec<String>) {
    verified(data);
    let server = start(data, &[]);
    assert!(ids.len() == 10 && has_all(&server.client().await, &ids).await, "what was acknowledged is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_acknowledged_into_a_folder_that_is_gone() {
    Shop::open().await.after(|data, _| fs::remove_dir_all(data).expect("removed")).await;
    Shop::open().await.after(|data, _| fs::remove_dir_all(data.join("journal")).expect("removed")).await;
    Shop::open().await.after(|data, _| fs::remove_file(newest_segment(data)).expect("removed")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_goes_while_the_server_drains_ends_it_at_once() {
    let above = tempfile::tempdir().expect("a folder");
    let data = above.path().join("data");
    let server = start(&data, &["--drain-delay", "60s"]);
    server.signal(Signal::TERM);
    let draining = Stopwatch::start();
    fs::remove_dir_all(&data).expect("removed");
    server.end().must(74, &WORDS);
    assert!(draining.elapsed() < Duration::from_secs(30), "it waited for the drain's end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_renamed_or_replaced_has_all_that_was_acknowledged() {
    let (above, ids) = Shop::open().await.after(|data, moved| fs::rename(data, moved).expect("renamed")).await;
    all_are_there(&above.path().join("moved"), ids).await;
    let copied = |data: &Path, moved: &Path| {
        fs::rename(data, moved).expect("renamed");
        assert!(Command::new("cp").arg("-a").arg(moved).arg(data).status().expect("copies").success());
    };
    let (above, ids) = Shop::open().await.after(copied).await;
    all_are_there(&above.path().join("moved"), ids.clone()).await;
    all_are_there(&above.path().join("data"), ids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_on_a_copy_in_its_place_leaves_one_that_acknowledges() {
    let Shop { above, server, client, ids } = Shop::open().await;
    let (data, moved) = (above.path().join("data"), above.path().join("moved"));
    fs::rename(&data, &moved).expect("renamed");
    assert!(Command::new("cp").arg("-a").arg(&moved).arg(&data).status().expect("copies").success());
    let second = try_start(serve(&data, &[])).expect("a copy is another folder");
    let late = client.reserve(reserve(&Dice::new(2).hold_id(), "late", vec![line("SKU", 1)])).await;
    assert!(late.is_err(), "acknowledged: {late:?}");
    server.end().must(74, &WORDS);
    assert!(has_all(&second.client().await, &ids).await);
    assert_eq!(second.stop().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_anything_to_do_sees_it_too() {
    let takes: [fn(&Path, &Path); 4] = [
        |data, _| fs::remove_dir_all(data).expect("removed"),
        |data, moved| fs::rename(data, moved).expect("renamed"),
        |data, moved| fs::rename(data.join("journal"), moved).expect("renamed"),
        |data, _| fs::remove_file(newest_segment(data)).expect("removed"),
    ];
    for take in takes {
        let Shop { above, server, client: _, ids: _ } = Shop::open().await;
        let watch = Stopwatch::start();
        take(&above.path().join("data"), &above.path().join("moved"));
        server.end().must(74, &[]);
        assert!(watch.elapsed() < ENDS_WITHIN, "{:?}", watch.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_gone_when_the_server_is_stopped_is_no_good_end() {
    let Shop { above, server, client: _, ids: _ } = Shop::open().await;
    fs::remove_dir_all(above.path().join("data")).expect("removed");
    server.stop().must(74, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_that_are_gone_are_written_anew_from_memory() {
    let Shop { above, server, client: _, ids } = Shop::open().await;
    let data = above.path().join("data");
    fs::remove_dir(data.join("snapshots")).expect("removed");
    let ended = server.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(ended.log.contains("the snapshots' folder was gone"), "{}", ended.log);
    assert!(verified(&data).contains("snapshot 13: "));
    all_are_there(&data, ids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_file_that_is_removed_comes_back_and_the_server_serves_on() {
    let Shop { above, server, client, ids } = Shop::open().await;
    let lock = above.path().join("data/LOCK");
    fs::remove_file(&lock).expect("removed");
    let watch = Stopwatch::start();
    while !lock.exists() {
        assert!(watch.elapsed() < ENDS_WITHIN, "it is not made again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(has_all(&client, &ids).await);
    assert_eq!(server.stop().code, Some(0));
}
