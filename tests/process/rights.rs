//! Access rights of a data folder, and the place of the key of its keyed hashes.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::geteuid;

use crate::files::contents;
use crate::server::{BINARY, on_free_ports, refused, refuses, serve, start, try_start, verified, verify};
use crate::wire::{has_all, ten_holds};

/// A user without rights.
const NOBODY: u32 = 65_534;
const KEY: &str = "00112233445566778899aabbccddeeff";

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("rights");
}

/// Whether everything below a folder is accessible to its owner alone.
fn is_private(data: &Path) -> bool {
    contents(data).keys().all(|path| {
        let mode = fs::metadata(path).expect("there").permissions().mode() & 0o777;
        mode == if path.is_dir() { 0o700 } else { 0o600 }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_is_its_owners_alone_also_one_that_was_not() {
    let above = tempfile::tempdir().expect("a folder");
    let data = above.path().join("data");
    let server = start(&data, &[]);
    let ids = ten_holds(&server.client().await).await;
    assert!(is_private(&data), "while it is served");
    assert_eq!(server.stop().code, Some(0));
    assert!(is_private(&data) && contents(&data).len() >= 7, "with a snapshot");
    for path in contents(&data).keys() {
        set_mode(path, if path.is_dir() { 0o755 } else { 0o644 });
    }
    let server = start(&data, &[]);
    assert!(is_private(&data), "what was wider is not");
    assert!(has_all(&server.client().await, &ids).await);
    let log = server.stop().log;
    assert!(!log.contains("rights can't be taken away"), "{log}");
}

#[test]
fn a_folder_of_somebody_else_is_served_with_a_warning() {
    if !geteuid().is_root() {
        eprintln!("SKIPPED: only root can make a folder of somebody else");
        return;
    }
    let above = tempfile::tempdir().expect("a folder");
    set_mode(above.path(), 0o755);
    let (data, binary) = (above.path().join("data"), above.path().join("stockade"));
    fs::create_dir(&data).expect("a folder");
    set_mode(&data, 0o777);
    fs::copy(BINARY, &binary).expect("a copy");
    let mut command = Command::new(binary);
    command.uid(NOBODY).gid(NOBODY).args(["serve", "--data"]).arg(&data);
    on_free_ports(&mut command);
    let server = try_start(command).expect("it serves");
    let log = server.log();
    let warned = log.lines().any(|line| line.contains("WARN") && line.contains("rights can't be taken away"));
    assert!(warned && log.contains("\"count\":1"), "{log}");
    assert_eq!(server.stop().code, Some(0));
}

/// A file with a key that only its owner can read.
fn key_file(at: &Path, key: &str) -> PathBuf {
    fs::write(at, format!("{key}\n")).expect("a file");
    set_mode(at, 0o600);
    at.to_path_buf()
}

fn with_key(data: &Path, key: &Path) -> Command {
    let mut command = serve(data, &[]);
    command.env("STOCKADE_IDENTITY_KEY_FILE", key);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_kept_elsewhere_is_not_in_the_folder_and_no_other_will_do() {
    let above = tempfile::tempdir().expect("a folder");
    let data = above.path().join("data");
    let (key, other) =
        (key_file(&above.path().join("key"), KEY), key_file(&above.path().join("other"), &KEY.replace('0', "1")));
    let server = try_start(with_key(&data, &key)).expect("a new folder");
    let ids = ten_holds(&server.client().await).await;
    assert_eq!(server.stop().code, Some(0));
    let raw = u128::from_str_radix(KEY, 16).expect("a number").to_be_bytes();
    let holds = |bytes: &[u8]| bytes.windows(16).any(|part| part == raw || part == &KEY.as_bytes()[..16]);
    assert!(!contents(&data).values().any(|bytes| holds(bytes)), "the key is nowhere in it");
    let before = contents(&data);
    let wide = key_file(&above.path().join("wide"), KEY);
    set_mode(&wide, 0o644);
    let none = above.path().join("none");
    refused(&data).must(74, &["its identity key is kept elsewhere", "--identity-key-file"]);
    refuses(with_key(&data, &other)).must(74, &["is not the identity key that it was made with", "/other"]);
    refuses(with_key(&data, &wide)).must(74, &["has the rights 644", "/wide"]);
    refuses(with_key(&data, &none)).must(74, &["can't be read", "/none"]);
    refuses(with_key(&data, &data.join("LOCK"))).must(74, &["32 hexadecimal digits"]);
    assert_eq!(contents(&data), before, "nothing was changed");
    assert!(verified(&data).contains("the identity key is kept elsewhere"));
    let dumped = Command::new(BINARY).args(["journal", "dump", "--data"]).arg(&data).output().expect("runs");
    assert!(dumped.status.success() && String::from_utf8_lossy(&dumped.stdout).lines().count() == 13);
    let flag = key.display().to_string();
    assert!(has_all(&start(&data, &["--identity-key-file", &flag]).client().await, &ids).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_can_be_taken_out_of_a_folder_that_has_it() {
    let above = tempfile::tempdir().expect("a folder");
    let data = above.path().join("data");
    let server = start(&data, &[]);
    let ids = ten_holds(&server.client().await).await;
    server.kill();
    let meta = fs::read(data.join("stockade.meta")).expect("a file");
    let digits = format!("{:032x}", u128::from_be_bytes(meta[12..28].try_into().expect("16 bytes")));
    let (key, other) = (key_file(&above.path().join("key"), &digits), key_file(&above.path().join("other"), KEY));
    refuses(with_key(&data, &other)).must(74, &["keeps an identity key of its own", "/other"]);
    assert_eq!(fs::read(data.join("stockade.meta")).expect("a file"), meta, "nothing was changed");
    let server = try_start(with_key(&data, &key)).expect("the same key");
    assert!(server.log().contains("was taken out of the data folder"), "{}", server.log());
    assert!(has_all(&server.client().await, &ids).await);
    assert_eq!(server.stop().code, Some(0));
    let left = fs::read(data.join("stockade.meta")).expect("a file");
    assert!(left.len() == 44 && left[28] == 1 && left[12..28] != meta[12..28]);
    refused(&data).must(74, &["its identity key is kept elsewhere"]);
    assert_eq!(verify(&data).status.code(), Some(0));
}
