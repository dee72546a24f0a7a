//! Data folders that can't be served, and the messages about them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::geteuid;
use stockade_proto as pb;
use stockade_types::record::Record;
use tempfile::TempDir;

use crate::files::{contents, files};
use crate::server::{BINARY, on_free_ports, refused, reported, start, try_start, verified, verify};
use crate::wire::{Dice, all_shown, hold, ten_holds};

/// A user without rights.
const NOBODY: u32 = 65_534;

/// A folder with a drop and ten holds, whose server was killed or stopped.
struct Shop {
    folder: TempDir,
    ids: Vec<String>,
}

impl Shop {
    async fn killed() -> Self {
        Self::left(true).await
    }

    async fn left(killed: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let server = start(folder.path(), &[]);
        let ids = ten_holds(&server.client().await).await;
        if killed {
            server.kill();
        } else {
            assert_eq!(server.stop().code, Some(0));
        }
        Self { folder, ids }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The journal's only segment.
    fn segment(&self) -> PathBuf {
        let mut files = files(self.path(), "journal", "journal");
        assert_eq!(files.len(), 1, "{files:?}");
        files.remove(0)
    }

    /// How many of the holds a new server has.
    async fn held(&self) -> usize {
        let server = start(self.path(), &[]);
        let found = all_shown(&server.client().await, self.ids.iter().cloned()).await;
        found.iter().flatten().filter(|hold| hold.state() == pb::HoldState::Held).count()
    }
}

fn change(file: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(file).expect("a file");
    change(&mut bytes);
    fs::write(file, bytes).expect("a file");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_in_use_is_refused_and_its_process_named() {
    let shop = Shop::killed().await;
    let server = start(shop.path(), &[]);
    let process = server.id().to_string();
    refused(shop.path()).must(74, &["is in use by process", &process]);
    assert_eq!(all_shown(&server.client().await, shop.ids.clone()).await.iter().flatten().count(), 10);
    server.kill();
    assert_eq!(shop.held().await, 10, "the lock is gone with its process");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_whose_lock_file_was_taken_for_stale_is_still_in_use() {
    let shop = Shop::killed().await;
    let server = start(shop.path(), &[]);
    fs::remove_file(shop.path().join("LOCK")).expect("removed");
    refused(shop.path()).must(74, &["is in use by"]);
    fs::write(shop.path().join("LOCK"), "1").expect("replaced");
    let link = shop.folder.path().with_extension("link");
    std::os::unix::fs::symlink(shop.path(), &link).expect("a link");
    refused(&link).must(74, &["is in use by"]);
    assert!(verified(&link).contains("serves this folder"));
    fs::remove_file(link).expect("removed");
    assert_eq!(all_shown(&server.client().await, shop.ids.clone()).await.iter().flatten().count(), 10);
    assert_eq!(server.stop().code, Some(0));
    assert_eq!(shop.held().await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_last_snapshot_that_fails_is_no_good_end_and_loses_nothing() {
    let shop = Shop::killed().await;
    let server = start(shop.path(), &[]);
    let last = server.client().await;
    hold(&last, &Dice::new(2).hold_id(), "SKU").await;
    // Whatever the last LSN is: a folder is where its snapshot would be written.
    for lsn in 11..=16 {
        fs::create_dir(shop.path().join(format!("snapshots/{lsn:020}.snapshot.tmp"))).expect("a folder");
    }
    server.stop().must(74, &["the last snapshot failed", "nothing is lost", "File exists"]);
    for lsn in 11..=16 {
        fs::remove_dir(shop.path().join(format!("snapshots/{lsn:020}.snapshot.tmp"))).expect("gone");
    }
    assert!(verified(shop.path()).contains("journal: closed in order"));
    assert_eq!(shop.held().await, 10);
}

#[test]
fn a_folder_that_can_not_be_written_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    fs::create_dir(&data).expect("a folder");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o555)).expect("permissions");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
    let mut command = Command::new(BINARY);
    if geteuid().is_root() {
        // Root may write anywhere: so another user tries, with a copy of the binary that it can execute.
        let binary = folder.path().join("stockade");
        fs::copy(BINARY, &binary).expect("a copy");
        command = Command::new(binary);
        command.uid(NOBODY).gid(NOBODY);
    }
    command.args(["serve", "--data"]).arg(&data);
    on_free_ports(&mut command);
    let ended = try_start(command).err().expect("it can't serve");
    ended.must(74, &["ermission denied", &data.display().to_string()]);
    let below_a_file = folder.path().join("file/data");
    fs::write(folder.path().join("file"), "").expect("a file");
    refused(&below_a_file).must(74, &["ot a directory", &below_a_file.display().to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_format_is_refused_by_its_number() {
    let shop = Shop::left(false).await;
    let meta = shop.path().join("stockade.meta");
    let good = fs::read(&meta).expect("a file");
    change(&meta, |bytes| {
        bytes[8..12].copy_from_slice(&7_u32.to_le_bytes());
        let covered = bytes.len() - 4;
        let sum = crc32c::crc32c(&bytes[..covered]);
        bytes[covered..].copy_from_slice(&sum.to_le_bytes());
    });
    let before = contents(shop.path());
    refused(shop.path()).must(74, &["version 7", "up to 3"]);
    assert_eq!(verify(shop.path()).status.code(), Some(74));
    fs::write(&meta, good).expect("a file");
    change(&shop.segment(), |bytes| bytes[4..6].copy_from_slice(&9_u16.to_le_bytes()));
    refused(shop.path()).must(74, &["format 9", "format 1", ".journal"]);
    assert_eq!(verify(shop.path()).status.code(), Some(74));
    change(&shop.segment(), |bytes| bytes[4..6].copy_from_slice(&1_u16.to_le_bytes()));
    change(&meta, |bytes| bytes[13] ^= 1);
    refused(shop.path()).must(74, &["stockade.meta is damaged"]);
    assert_eq!(verify(shop.path()).status.code(), Some(1));
    change(&meta, |bytes| bytes[13] ^= 1);
    assert_eq!(contents(shop.path()).len(), before.len(), "nothing was added");
    assert_eq!(shop.held().await, 10, "nothing was lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_byte_is_refused_with_its_place_and_left_as_it_is() {
    for killed in [true, false] {
        let shop = Shop::left(killed).await;
        let segment = shop.segment();
        change(&segment, |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x10;
        });
        let before = contents(shop.path());
        let name = segment.file_name().expect("a name").to_string_lossy().into_owned();
        let place = ["the journal is damaged at", &name, ", byte ", ", record "];
        refused(shop.path()).must(74, &place);
        let output = verify(shop.path());
        let reported = String::from_utf8(output.stdout).expect("text");
        assert_eq!(output.status.code(), Some(1), "{reported}");
        assert!(place.iter().all(|word| reported.contains(word)), "{reported}");
        assert_eq!(contents(shop.path()), before, "nobody has touched it");
        change(&segment, |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x10;
        });
        assert_eq!(shop.held().await, 10);
    }
}

/// The last batch and the trailer are missing without a trace in the journal, but the last snapshot covers them.
#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_ends_before_its_snapshot_is_refused() {
    let shop = Shop::left(false).await;
    let whole = fs::read(shop.segment()).expect("a file");
    let last_batch = |bytes: &[u8]| bytes.windows(4).rposition(|window| window == b"\xffSKB").expect("a batch");
    change(&shop.segment(), |bytes| bytes.truncate(last_batch(bytes)));
    let before = contents(shop.path());
    let words = ["went up to record 13", "ends before record 13", "records 13 to 13 are missing"];
    for _ in 0..2 {
        refused(shop.path()).must(74, &words);
    }
    assert_eq!(contents(shop.path()), before, "nobody has touched it");
    let output = verify(shop.path());
    let reported = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(1), "{reported}");
    assert!(words.iter().all(|word| reported.contains(word)), "{reported}");
    fs::write(shop.segment(), whole).expect("a file");
    assert_eq!(shop.held().await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_is_cut_and_told() {
    let shop = Shop::killed().await;
    change(&shop.segment(), |bytes| bytes.truncate(bytes.len() - 5));
    let reported = verified(shop.path());
    assert!(reported.contains("torn tail") && reported.contains("never acknowledged"), "{reported}");
    let server = start(shop.path(), &[]);
    let log = server.log();
    let warned = log.lines().any(|line| line.contains("\"level\":\"WARN\"") && line.contains("torn tail was cut"));
    assert!(warned && log.contains(".journal"), "{log}");
    server.kill();
    assert!(!verified(shop.path()).contains("torn"), "cut once");
    assert_eq!(shop.held().await, 9, "the last one's record was torn");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_folder_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("thesis.txt"), "all my work").expect("a file");
    refused(folder.path()).must(74, &["thesis.txt", "not a data folder"]);
    let left: Vec<_> =
        fs::read_dir(folder.path()).expect("a folder").map(|e| e.expect("an entry").file_name()).collect();
    assert_eq!(left, ["thesis.txt"], "nothing is made in it");
    assert_eq!(verify(folder.path()).status.code(), Some(74));
    let shop = Shop::killed().await;
    let stray = shop.path().join("journal/notes.txt");
    fs::write(&stray, "").expect("a file");
    refused(shop.path()).must(74, &["notes.txt"]);
    assert_eq!(verify(shop.path()).status.code(), Some(74));
    fs::remove_file(stray).expect("gone");
    assert_eq!(shop.held().await, 10);
}

/// `stockade.meta` has the highest kind of records that the folder may have, which is checked before any is read.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_a_newer_build_has_written_to_is_refused_by_name_and_left_alone() {
    let shop = Shop::left(false).await;
    let next = Record::KIND_MAX + 1;
    let say_highest = |kind: u8| {
        change(&shop.path().join("stockade.meta"), |bytes| {
            bytes[29] = kind;
            let covered = bytes.len() - 4;
            let sum = crc32c::crc32c(&bytes[..covered]).to_le_bytes();
            bytes[covered..].copy_from_slice(&sum);
        });
    };
    say_highest(next);
    let before = contents(shop.path());
    let may_have = format!("a newer build has written to it: it may have records of kind {next}");
    let known = format!("this build knows kinds up to {}", Record::KIND_MAX);
    refused(shop.path()).must(74, &[&may_have, &known]);
    for command in [&["verify"][..], &["verify", "--json"], &["journal", "dump"]] {
        let output = Command::new(BINARY).args(command).arg("--data").arg(shop.path()).output().expect("it runs");
        let reported = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(74), 0), "{command:?}: {reported}");
        assert!(reported.contains(&may_have) && reported.contains(&known), "{command:?}: {reported}");
    }
    assert_eq!(contents(shop.path()), before, "nobody has touched it");
    say_highest(Record::KIND_MAX);
    assert_eq!(shop.held().await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_without_its_meta_file_is_never_a_fresh_start() {
    let shop = Shop::left(false).await;
    let (meta, aside) = (shop.path().join("stockade.meta"), shop.folder.path().with_extension("aside"));
    fs::rename(&meta, &aside).expect("set aside");
    refused(shop.path()).must(74, &["no stockade.meta", "restore that file"]);
    assert_eq!(verify(shop.path()).status.code(), Some(74));
    fs::rename(&aside, &meta).expect("restored");
    assert_eq!(shop.held().await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_has_lost_its_journal_is_never_a_fresh_start() {
    let shop = Shop::left(false).await;
    let aside = shop.folder.path().with_extension("journal");
    fs::rename(shop.path().join("journal"), &aside).expect("set aside");
    refused(shop.path()).must(74, &["no journal folder", "restore that folder"]);
    assert_eq!(verify(shop.path()).status.code(), Some(74));
    assert!(!shop.path().join("journal").exists(), "nothing is made in its place");
    fs::rename(&aside, shop.path().join("journal")).expect("restored");
    assert_eq!(shop.held().await, 10);
}

#[test]
fn a_folder_that_is_not_there_is_made_by_serve_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("a/b/data");
    let output = verify(&data);
    assert_eq!(output.status.code(), Some(74));
    assert!(String::from_utf8_lossy(&output.stderr).contains("can't be opened"), "{output:?}");
    assert!(!folder.path().join("a").exists(), "verify makes nothing");
    assert_eq!(start(&data, &[]).stop().code, Some(0));
    verified(&data);
}

/// What `stockade verify` exits with for the frozen folders of each format version.
const FROZEN: [(&str, i32); 7] = [
    ("closed", 0),
    ("open", 0),
    ("torn", 0),
    ("os-hole", 0),
    ("newest-snapshot-damaged", 1),
    ("rotten", 1),
    ("meta-damaged", 1),
];

#[test]
fn verify_changes_no_frozen_folder_and_exits_with_what_it_found() {
    let versions = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/engine/tests/fixtures/folder");
    let mut checked = 0;
    for version in fs::read_dir(versions).expect("the versions") {
        let version = version.expect("a version").path();
        for (name, code) in FROZEN {
            let folder = version.join(name);
            let before = contents(&folder);
            let output =
                Command::new(BINARY).args(["verify", "--data"]).arg(&folder).output().expect("the command runs");
            assert_eq!(output.status.code(), Some(code), "{}: {}", folder.display(), reported(&output));
            assert_eq!(contents(&folder), before, "{}: changed", folder.display());
            checked += 1;
        }
    }
    assert!(checked >= 2 * FROZEN.len(), "only {checked} folders");
}
