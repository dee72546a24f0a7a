//! A process without free descriptors: those that the disk needs were reserved before.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use stockade_types::metrics::Stopwatch;

use crate::files::files;
use crate::server::{BINARY, on_free_ports, try_start, verified};
use crate::wire::{Dice, create, hold};

const START_TIMEOUT: Duration = Duration::from_secs(10);
/// The limit of a small container or an old login shell, and less.
const FILES: usize = 128;

fn with_few_files(files: usize, data: &Path) -> Command {
    let mut command = Command::new("sh");
    let script = format!("ulimit -n {files}; exec \"$0\" \"$@\"");
    command.args(["-c", &script, BINARY, "serve", "--snapshot-every", "100ms,1KiB", "--data"]).arg(data);
    on_free_ports(&mut command);
    command
}

#[test]
fn a_process_with_too_few_files_says_so_and_makes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let least = 56 + 4 * std::thread::available_parallelism().expect("known").get();
    let (open, needed) = (format!("the process may open {} files", least - 1), format!("{least} at the least"));
    let words = [open.as_str(), &needed, "ulimit -n"];
    try_start(with_few_files(least - 1, &data)).err().expect("too few").must(74, &words);
    assert!(!data.exists());
    assert_eq!(try_start(with_few_files(least, &data)).expect("enough").stop().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_are_taken_though_connections_have_every_descriptor() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let server = try_start(with_few_files(FILES, &data)).expect("it starts");
    let client = server.client().await;
    create(&client, &[("SKU", 100_000)], 1).await;
    let crowd: Vec<_> = (0..FILES + 20).map_while(|_| TcpStream::connect(server.grpc).ok()).collect();
    assert!(crowd.len() > FILES / 4);
    let watch = Stopwatch::start();
    let snapshots = || files(&data, "snapshots", "snapshot");
    let before = snapshots();
    let mut dice = Dice::new(1);
    // Four more snapshots, each of which opens its file and lists the folder several times.
    let mut last = before.last().cloned();
    let mut taken = 0;
    while taken < 4 {
        assert!(watch.elapsed() < START_TIMEOUT, "{taken} snapshots");
        for _ in 0..20 {
            hold(&client, &dice.hold_id(), "SKU").await;
        }
        let newest = snapshots().last().cloned();
        taken += usize::from(newest != last);
        last = newest;
    }
    drop(crowd);
    let ended = server.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(!ended.log.contains("snapshot failed"), "{}", ended.log);
    verified(&data);
}
