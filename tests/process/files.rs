//! The files of a data folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// All folders and files below a folder with their bytes, except the lock's.
pub fn contents(at: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::from([(at.to_path_buf(), Vec::new())]);
    for entry in fs::read_dir(at).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            let bytes = if path.ends_with("LOCK") { Vec::new() } else { fs::read(&path).expect("a file") };
            found.insert(path, bytes);
        }
    }
    found
}

/// The files in one of its folders whose names end like this, in order.
pub fn files(data: &Path, folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(data.join(folder)).expect("a folder");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|file| file.extension().is_some_and(|kind| kind == ending));
    files.sort();
    files
}

/// The newest segment.
pub fn newest_segment(data: &Path) -> PathBuf {
    files(data, "journal", "journal").pop().expect("a segment")
}
