//! The parts of a data folder that only a real disk has: the lock file, and the commands that check it.

use std::fs;
use std::path::Path;

use stockade_simulation::prelude::*;

use crate::history::{Image, Part, Played};

/// Writes a folder to the disk.
pub fn write(image: &Image, at: &Path) {
    for (part, name, bytes) in image.files() {
        let folder = match part {
            Part::Root => at.to_owned(),
            Part::Journal => at.join("journal"),
            Part::Snapshots => at.join("snapshots"),
        };
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join(name), bytes).expect("a file");
    }
}

#[test]
fn whatever_is_in_the_lock_file_the_folder_starts() {
    let played = Played::new(Durability::Sync, false);
    let long = vec![b'7'; 100_000];
    let notes: [&[u8]; 6] = [b"", b"1", b"999999999999999999999999", b"\xff\xfe\0", b"-1\n", &long];
    for note in notes {
        let disk = tempfile::tempdir().expect("a folder");
        write(&played.image, disk.path());
        fs::write(disk.path().join("LOCK"), note).expect("a lock file");
        let folder = DataFolder::open(disk.path()).expect("nobody has the lock");
        let recovered = recover(&folder, &played.image.world().options, &|| START).expect("a start");
        assert_eq!(recovered.engine.inventory().digest(), played.state(played.end()), "{note:?}");
        let served = stockade_engine::lifecycle::verify::verify(disk.path()).expect("readable while it is served");
        assert!(served.notes[0].contains("serves this folder"), "{served:?}");
    }
}

#[test]
fn a_missing_meta_file_is_never_a_fresh_start() {
    let played = Played::new(Durability::Sync, false);
    let disk = tempfile::tempdir().expect("a folder");
    write(&played.image, disk.path());
    fs::remove_file(disk.path().join("stockade.meta")).expect("removed");
    let no = DataFolder::open(disk.path()).expect_err("not ours any more").to_string();
    assert!(no.contains("stockade.meta"), "{no}");
    assert!(!disk.path().join("LOCK").exists(), "nothing was made in it");
}
