//! Checks of the architecture: which module may import which, the length of files, the head of every file, and what no
//! file may contain.
//!
//! It reads source as text, so a rule covers every line, including tests and unused code. Each rule is a function from
//! text to findings; `planted` tests that each finds what it must.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

#[path = "tidy/paths.rs"]
mod paths;
#[path = "tidy/planted.rs"]
mod planted;
#[path = "tidy/rooms.rs"]
mod rooms;
#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/scan.rs"]
mod scan;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use rooms::Order;

/// Folders whose files have a maximum length. A missing folder is skipped.
const FOLDERS: [&str; 8] = ["src", "tests", "benches", "models", "examples", "fuzz", "load-tests", "simulation"];
/// Folders that must exist, so that the rules check something.
const THERE: [&str; 6] = ["src", "tests", "benches", "models", "load-tests", "simulation"];

/// A violation of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    file: String,
    line: usize,
    rule: &'static str,
    what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, rule, what } = self;
        write!(f, "{file}:{line}: {rule}: {what}")
    }
}

/// A file of the repository: its path from the root, with `/`, and its text.
struct Source {
    file: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Each Rust file in a folder and its subfolders, sorted by name, without build output.
fn sources(folder: &str) -> Vec<Source> {
    let (mut folders, mut files) = (vec![root().join(folder)], Vec::<PathBuf>::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    let read = |path: &PathBuf| {
        let file = path.strip_prefix(root()).expect("below the root").to_str().expect("a name in UTF-8");
        Source { file: file.replace('\\', "/"), text: fs::read_to_string(path).expect("source that can be read") }
    };
    files.iter().map(read).collect()
}

fn order() -> Order {
    let map = fs::read_to_string(root().join("src/lib.rs")).expect("the map");
    Order::of(&map)
}

/// Fails and lists all violations of the rule, if there are any.
fn hold<'s>(sources: impl IntoIterator<Item = &'s Source>, rule: impl Fn(&str, &str) -> Vec<Finding>) {
    let findings: Vec<String> =
        sources.into_iter().flat_map(|Source { file, text }| rule(file, text)).map(|found| found.to_string()).collect();
    assert!(findings.is_empty(), "{} found\n{}", findings.len(), findings.join("\n"));
}

#[test]
fn the_map_and_the_table_tell_the_same_rooms() {
    let map = fs::read_to_string(root().join("src/lib.rs")).expect("the map");
    let findings: Vec<String> = rooms::map(&map).iter().map(Finding::to_string).collect();
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[test]
fn every_room_imports_what_the_table_lets_it() {
    let order = order();
    hold(&sources("src"), |file, text| rooms::imports(file, text, &order));
}

#[test]
fn the_core_knows_no_runtime_no_wire_and_one_door_to_the_disk() {
    let order = order();
    hold(&sources("src"), |file, text| rooms::outside(file, text, &order));
}

#[test]
fn no_file_is_too_long() {
    for folder in THERE {
        assert!(!sources(folder).is_empty(), "{folder} has no source");
    }
    for folder in FOLDERS {
        hold(&sources(folder), rules::length);
    }
}

#[test]
fn every_file_says_at_its_head_what_it_is() {
    for folder in ["src", "benches", "load-tests", "simulation"] {
        hold(&sources(folder), rules::head);
    }
}

#[test]
fn generated_types_are_named_one_by_one() {
    for folder in FOLDERS {
        hold(&sources(folder), rules::globs);
    }
}

#[test]
fn nothing_is_left_for_later() {
    for folder in FOLDERS {
        hold(&sources(folder), rules::unfinished);
    }
}

#[test]
fn nothing_is_printed_past_the_command_lines_own_outputs() {
    for folder in ["src", "load-tests"] {
        hold(&sources(folder), rules::printing);
    }
}
