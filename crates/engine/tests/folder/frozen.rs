//! Frozen data folders of each format version: they must be read to the state that they had when they were written.
//!
//! `tests/fixtures/folder/v<version>/<name>/` is a folder as left by a build of that version, or damaged. `<name>.txt`
//! next to it is what a start finds: its report and the state, or why it refuses. Its wording may be edited, its state
//! never. When the format version grows, `cargo test -p stockade-engine --test folder -- --ignored` writes the folders
//! of the new version. Those of older versions stay unchanged and stay in [`VERSIONS`], so that the new build must read
//! them.

use std::path::{Path, PathBuf};
use std::{fs, io};

use stockade_engine::lifecycle::data_folder::FORMAT_VERSION;
use stockade_simulation::prelude::*;

use crate::history::{Files, Image, Played, start};
use crate::on_disk;
use crate::state::{reported, shown};

/// The frozen versions; and the folders of each with the exit code of `stockade verify`.
const VERSIONS: [u32; 2] = [1, 2];
/// The folders of each version.
const FOLDERS: [&str; 7] = ["closed", "open", "torn", "os-hole", "newest-snapshot-damaged", "rotten", "meta-damaged"];

fn path(version: u32) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/folder/v{version}"))
}

/// Changes the last file by name.
fn newest(files: &mut Files, change: impl FnOnce(&mut Vec<u8>)) {
    change(files.last_entry().expect("some").get_mut());
}

fn made() -> Vec<(&'static str, Image)> {
    let open = || Played::new(Durability::Sync, false).image;
    let changed = |change: fn(&mut Image)| {
        let mut image = open();
        change(&mut image);
        image
    };
    let mut hole = Played::new(Durability::Os, false).image;
    // Damages the last batch of the second-to-last segment, after the newer snapshot: the operating system wrote the
    // last one first.
    let before_last = hole.journal.values_mut().rev().nth(1).expect("several");
    let end = before_last.len();
    before_last[end - 40..].fill(0);
    vec![
        ("closed", Played::new(Durability::Sync, true).image),
        ("open", open()),
        ("torn", changed(|image| newest(&mut image.journal, |bytes| bytes.truncate(bytes.len() - 20)))),
        ("os-hole", hole),
        ("newest-snapshot-damaged", changed(|image| newest(&mut image.snapshots, |bytes| bytes[60] ^= 1))),
        ("rotten", changed(|image| image.journal.first_entry().expect("some").get_mut()[100] ^= 1)),
        ("meta-damaged", changed(|image| newest(&mut image.root, |bytes| bytes[12] ^= 1))),
    ]
}

/// The result of a start on these files.
fn found(image: &Image) -> String {
    match start(&image.world()) {
        Ok(recovered) => reported(&recovered.report) + &shown(&recovered.engine),
        Err(no) => format!("refused: {}\n", no.text()),
    }
}

fn files(folder: &Path) -> Files {
    let files = |entry: io::Result<fs::DirEntry>| {
        let path = entry.expect("an entry").path();
        let name = path.file_name()?.to_str()?.to_owned();
        path.is_file().then(|| (name, fs::read(&path).expect("a file")))
    };
    fs::read_dir(folder).expect("a folder").filter_map(files).collect()
}

fn frozen(folder: &Path) -> Image {
    Image { root: files(folder), journal: files(&folder.join("journal")), snapshots: files(&folder.join("snapshots")) }
}

#[test]
#[ignore = "writes the frozen folders of a new format version"]
fn write_frozen_folders() -> io::Result<()> {
    let version = path(FORMAT_VERSION);
    assert!(!version.exists(), "{} is frozen: what is there is never written anew", version.display());
    for (name, image) in made() {
        let folder = version.join(name);
        fs::create_dir_all(&folder)?;
        on_disk::write(&image, &folder);
        fs::write(version.join(name).with_extension("txt"), found(&image))?;
    }
    Ok(())
}

#[test]
fn frozen_folders_are_read_to_the_state_that_they_had() {
    for version in VERSIONS {
        for name in FOLDERS {
            let folder = path(version).join(name);
            let known = fs::read_to_string(folder.with_extension("txt")).expect("what was found then");
            assert_eq!(found(&frozen(&folder)), known, "version {version}, {name}");
        }
    }
}

#[test]
fn every_format_version_up_to_this_one_is_frozen() {
    assert_eq!(VERSIONS.to_vec(), (1..=FORMAT_VERSION).collect::<Vec<_>>());
}
