//! Full disks: the process ends with a clear message, and nothing acknowledged is lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use stockade_client::Client;
use stockade_drill::wire;
use stockade_proto as pb;
use stockade_proto::operation::Operation;
use stockade_proto::reservation_service_client::ReservationServiceClient;
use stockade_proto::result::Result as Came;
use tonic::Code;

use crate::server::{BINARY, on_free_ports, refused, start, try_start, verified};
use crate::wire::{DROP, Dice, all_shown, books_balance, create, has_all, line, reserve};

const STOCK: [(&str, u64); 1] = [("SKU", 10_000_000)];

/// Reserves until the server has ended. Returns the acknowledged holds.
async fn until_the_end(client: &Client, dice: &mut Dice) -> Vec<String> {
    let mut acknowledged = Vec::new();
    loop {
        let id = dice.hold_id();
        match client.reserve(reserve(&id, &format!("for-{id}"), vec![line("SKU", 1)])).await {
            Ok(_) => acknowledged.push(id),
            Err(_) => return acknowledged,
        }
        assert!(acknowledged.len() < 100_000, "the disk takes everything");
    }
}

async fn all_are_there(data: &Path, acknowledged: &[String]) {
    verified(data);
    let server = start(data, &[]);
    let client = server.client().await;
    let found = all_shown(&client, acknowledged.iter().cloned()).await;
    assert!(found.iter().all(Option::is_some), "what was acknowledged is there");
    // The last call may have been journaled without having been answered: only the server knows it.
    let (drop, _time) = wire::show(&client, DROP).await.expect("a drop");
    let held = wire::stock(&drop, "SKU").held;
    let known = u64::try_from(acknowledged.len()).expect("few");
    assert!(held == known || held == known + 1, "{held} held, {known} acknowledged");
    if held == known {
        books_balance(&client, &found, 1).await;
    }
    assert_eq!(server.stop().code, Some(0));
    verified(data);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_refused_in_its_middle_ends_the_process_and_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let server = try_start(with_small_files(&data)).expect("it starts");
    let client = server.client().await;
    create(&client, &STOCK, 1).await;
    let mut dice = Dice::seeded("a_write_that_is_refused_in_its_middle_ends_the_process_and_loses_nothing");
    let acknowledged = until_the_end(&client, &mut dice).await;
    assert!(acknowledged.len() > 50, "{} holds", acknowledged.len());
    server.end().must(74, &["the journal has failed", "File too large"]);
    all_are_there(&data, &acknowledged).await;
}

/// No file grows over 64 blocks. SIGXFSZ is ignored, so that the write is cut short instead.
fn with_small_files(data: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\"", BINARY, "serve", "--data"]).arg(data);
    on_free_ports(&mut command);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_the_disk_did_not_take_is_unavailable_as_a_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let server = try_start(with_small_files(&data)).expect("it starts");
    create(&server.client().await, &STOCK, 1).await;
    let mut stub = ReservationServiceClient::connect(server.endpoint.clone()).await.expect("a connection");
    let mut dice = Dice::seeded("a_batch_that_the_disk_did_not_take_is_unavailable_as_a_whole");
    let mut acknowledged = Vec::new();
    let status = loop {
        let ids: Vec<String> = (0..20).map(|_| dice.hold_id()).collect();
        let operations = ids.iter().map(|id| pb::Operation {
            operation: Some(Operation::Reserve(reserve(id, &format!("for-{id}"), vec![line("SKU", 1)]))),
        });
        match stub.batch(pb::BatchRequest { operations: operations.collect(), view: 0 }).await {
            Ok(answer) => {
                let results = answer.into_inner().results;
                assert!(results.iter().all(|result| matches!(result.result, Some(Came::Hold(_)))), "{results:?}");
                acknowledged.extend(ids);
            }
            Err(status) => break status,
        }
        assert!(acknowledged.len() < 100_000, "the disk takes everything");
    };
    assert!(matches!(status.code(), Code::Unavailable | Code::Unknown), "{status}");
    assert!(acknowledged.len() > 50, "{} holds", acknowledged.len());
    server.end().must(74, &["the journal has failed", "File too large"]);
    verified(&data);
    let server = start(&data, &[]);
    assert!(has_all(&server.client().await, &acknowledged).await, "what was acknowledged is there");
    assert_eq!(server.stop().code, Some(0));
}

/// A file system of a few megabytes. Unmounted when dropped.
struct Volume(PathBuf);

impl Volume {
    /// None if this user may not mount.
    fn mount(at: &Path) -> Option<Self> {
        fs::create_dir(at).expect("a folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(at).stderr(Stdio::null());
        mount.status().ok().filter(std::process::ExitStatus::success).map(|_| Self(at.to_owned()))
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Lazily, in case a process is still ending.
        let _unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_ends_the_process_and_room_brings_everything_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(volume) = Volume::mount(&folder.path().join("volume")) else {
        eprintln!("SKIPPED: a full disk needs the right to mount a small one");
        return;
    };
    let (data, ballast) = (volume.0.join("data"), volume.0.join("ballast"));
    let server = start(&data, &[]);
    let client = server.client().await;
    create(&client, &STOCK, 1).await;
    fs::write(&ballast, vec![0; 1_700_000]).expect("room");
    let mut dice = Dice::seeded("a_full_disk_ends_the_process_and_room_brings_everything_back");
    let acknowledged = until_the_end(&client, &mut dice).await;
    assert!(acknowledged.len() > 50, "{} holds", acknowledged.len());
    server.end().must(74, &["no room is left for the journal"]);
    refused(&data).must(74, &["no room is left for the journal"]);
    refused(&data).must(74, &["no room is left for the journal"]);
    fs::remove_file(ballast).expect("room");
    all_are_there(&data, &acknowledged).await;
    drop(volume);
}
