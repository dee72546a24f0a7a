//! Checks of the architecture: which module may import which, the length of files, the head of every file, and what no
//! file may contain.
//!
//! It reads source as text, so a rule covers every line, including tests and unused code. Each rule is a function from
//! text to findings; `planted` tests that each finds what it must.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

/// Lines that a file may have.
const LINES_MAX: usize = 500;
/// Folders with source.
const FOLDERS: [&str; 10] =
    ["src", "crates", "drill", "tests", "benches", "models", "examples", "fuzz", "load-tests", "simulation"];
/// Words by which a comment says that something is missing.
const MARKERS: [&str; 3] = ["TODO", "FIXME", "XXX"];

/// The crates, and which of the others each may depend on.
const CRATES: [(&str, &[&str]); 9] = [
    ("types", &[]),
    ("counter", &["types"]),
    ("journal", &["types", "counter"]),
    ("engine", &["types", "counter", "journal"]),
    ("feed", &["types", "journal"]),
    ("insight", &["types", "feed"]),
    ("proto", &[]),
    ("client", &["proto"]),
    ("drill", &["types", "proto", "client"]),
];
/// Crates that run without a runtime and know no wire.
const SYNCHRONOUS: [&str; 6] = ["types", "counter", "journal", "engine", "feed", "insight"];
const RUNTIME_AND_WIRE: [&str; 7] = ["tokio", "tokio-stream", "futures-util", "tonic", "axum", "hyper", "prost"];
/// Crates whose modules stand in reading order: each uses only those above it.
const ORDERED: [&str; 3] = ["src", "crates/types/src", "crates/journal/src"];
/// Where files are opened. `memory.rs` reads the kernel's own files.
const DISK: [&str; 2] = ["crates/journal/src/storage/", "crates/engine/src/memory.rs"];

/// A file of the repository: its path from the root, and its text.
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
            if path.is_dir() && path.file_name().is_none_or(|name| name != "target" && name != "node_modules") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    let read = |path: &PathBuf| {
        let file = path.strip_prefix(root()).expect("below the root").to_str().expect("a name in UTF-8");
        Source { file: file.to_owned(), text: fs::read_to_string(path).expect("source that can be read") }
    };
    files.iter().map(read).collect()
}

/// Fails with every place that breaks the rule, if there is one.
fn hold(folder: &str, rule: impl Fn(&str, &str) -> Vec<String>) {
    let sources = sources(folder);
    assert!(!sources.is_empty() || folder == "examples", "{folder} has no source");
    let findings: Vec<String> = sources.iter().flat_map(|Source { file, text }| rule(file, text)).collect();
    assert!(findings.is_empty(), "{} found\n{}", findings.len(), findings.join("\n"));
}

/// Lines of code, numbered from one; comments by themselves are left out.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines()).filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// What the line names behind `crate::`. The `$crate::` of a macro is the macro's business.
fn behind_crate(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("crate::").filter(|(at, _)| !line.get(..*at).is_some_and(|before| before.ends_with('$'))).map(
        |(at, found)| {
            let rest = line.get(at + found.len()..).unwrap_or_default();
            rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
        },
    )
}

/// The modules that a crate's root declares, in its order.
fn modules(map: &str) -> Vec<&str> {
    map.lines()
        .filter_map(|line| line.strip_prefix("pub mod ").or_else(|| line.strip_prefix("mod ")))
        .filter_map(|rest| rest.strip_suffix(';'))
        .collect()
}

/// Names behind `crate::` of modules that stand later than the file's own, and imports in groups, which hide names.
fn out_of_order(folder: &str, file: &str, text: &str, modules: &[&str]) -> Vec<String> {
    let inside = file.strip_prefix(folder).unwrap_or(file).trim_start_matches('/');
    let own = inside.split(['/', '.']).next().unwrap_or_default();
    let Some(place) = modules.iter().position(|module| *module == own) else { return Vec::new() };
    let mut findings = Vec::new();
    for (number, line) in code(text) {
        for name in behind_crate(line) {
            match modules.iter().position(|module| *module == name) {
                Some(other) if other > place => findings.push(format!("{file}:{number}: {own} stands before {name}")),
                None if name.is_empty() => findings.push(format!("{file}:{number}: a group hides what it names")),
                _ => {}
            }
        }
    }
    findings
}

/// Names behind `crate::` in the engine's inventory and rules that they may not know: rules know themselves alone, the
/// inventory knows rules, and neither knows verbs.
fn upwards(file: &str, text: &str) -> Vec<String> {
    let rooms: [(&str, &[&str]); 2] = [("inventory", &["inventory", "rules"]), ("rules", &["rules"])];
    let room = rooms.into_iter().find(|(room, _)| file.contains(&format!("engine/src/{room}/")));
    let Some((own, known)) = room else { return Vec::new() };
    let foreign = |line| behind_crate(line).any(|name| !known.contains(&name));
    let found = |(number, _)| format!("{file}:{number}: {own} names what lies above it");
    code(text).filter(|(_, line)| foreign(line)).map(found).collect()
}

/// Files that are opened elsewhere than where files are opened.
fn disk(file: &str, text: &str) -> Vec<String> {
    if DISK.iter().any(|place| file.starts_with(place)) || file.contains("/tests") {
        return Vec::new();
    }
    let grouped =
        |line: &str| line.contains("std::{") && line.split([' ', '{', ',', '}', ':']).any(|word| word == "fs");
    let opens = |line: &str| line.contains("std::fs") || line.contains("rustix::fs") || grouped(line);
    let found = |(number, _)| format!("{file}:{number}: uses files past the storage");
    code(text).filter(|(_, line)| opens(line)).map(found).collect()
}

/// Dependencies of a crate's manifest that the table does not allow.
fn dependencies(name: &str, manifest: &str) -> Vec<String> {
    let manifest: toml::Table = manifest.parse().expect("a manifest");
    let dependencies = manifest.get("dependencies").and_then(toml::Value::as_table).cloned().unwrap_or_default();
    let allowed = CRATES.iter().find(|(known, _)| *known == name).map(|(_, allowed)| *allowed);
    let Some(allowed) = allowed else { return vec![format!("{name} is not in the table")] };
    let wrong = |dependency: &&String| match dependency.strip_prefix("stockade-") {
        Some(other) => !allowed.contains(&other),
        None => SYNCHRONOUS.contains(&name) && RUNTIME_AND_WIRE.contains(&dependency.as_str()),
    };
    let found = |dependency: &String| format!("{name} may not depend on {dependency}");
    dependencies.keys().filter(wrong).map(found).collect()
}

fn length(file: &str, text: &str) -> Vec<String> {
    let lines = text.lines().count();
    if lines <= LINES_MAX { Vec::new() } else { vec![format!("{file}: {lines} lines, {LINES_MAX} at most")] }
}

/// A file begins by saying what it is for.
fn head(file: &str, text: &str) -> Vec<String> {
    let said = text.lines().next().and_then(|first| first.strip_prefix("//!"));
    let says = said.is_some_and(|said| !said.trim().is_empty());
    if says { Vec::new() } else { vec![format!("{file}: does not begin with `//!`")] }
}

/// Comments that say that something is missing. Macros that do are clippy's business.
fn unfinished(file: &str, text: &str) -> Vec<String> {
    let missing = |line: &str| {
        let comment = line.split_once("//").map_or("", |(_, comment)| comment);
        comment.split(|c: char| !c.is_alphanumeric()).any(|word| MARKERS.contains(&word))
    };
    let found = |(number, _)| format!("{file}:{number}: a comment says that something is missing");
    (1..).zip(text.lines()).filter(|(_, line)| missing(line)).map(found).collect()
}

#[test]
fn a_crate_depends_on_what_the_table_lets_it() {
    let folders = fs::read_dir(root().join("crates")).expect("the crates");
    let mut crates: Vec<PathBuf> = folders.map(|entry| entry.expect("an entry").path()).collect();
    // Not a part of the server, but of its demo.
    crates.push(root().join("drill"));
    crates.sort();
    assert_eq!(crates.len(), CRATES.len(), "{crates:?}");
    for folder in crates {
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).expect("a manifest");
        assert_eq!(dependencies(&name, &manifest), Vec::<String>::new());
    }
}

#[test]
fn modules_stand_in_reading_order() {
    for folder in ORDERED {
        let map = fs::read_to_string(root().join(folder).join("lib.rs")).expect("the map");
        let modules = modules(&map);
        assert!(modules.len() > 5, "{folder}: {modules:?}");
        hold(folder, |file, text| out_of_order(folder, file, text, &modules));
    }
    hold("crates/engine/src", upwards);
}

#[test]
fn files_are_opened_in_the_storage_alone() {
    for name in SYNCHRONOUS {
        hold(&format!("crates/{name}/src"), disk);
    }
}

#[test]
fn no_file_is_too_long_and_nothing_is_left_for_later() {
    for folder in FOLDERS {
        hold(folder, length);
        hold(folder, unfinished);
    }
}

#[test]
fn every_file_says_at_its_head_what_it_is() {
    for folder in ["src", "crates", "drill", "benches", "load-tests", "simulation"] {
        hold(folder, head);
    }
}

/// Each rule finds what it is there to find, and nothing in what only looks like it.
#[test]
fn planted() {
    let order = ["ids", "hold", "engine"];
    let ordered = |text| out_of_order("src", "src/hold/mod.rs", text, &order).len();
    assert_eq!(ordered("use crate::ids::Lsn;\nuse crate::hold::x;\n// crate::engine\nlet a = $crate::engine::b;\n"), 0);
    assert_eq!(ordered("use crate::engine::Engine;\nfn f(a: crate::engine::B) {}\nuse crate::{ids};\n"), 3);
    assert_eq!(modules("//! pub mod a;\npub mod b;\nmod c;\npub mod d {\n"), ["b", "c"]);

    assert_eq!(upwards("crates/engine/src/inventory/pool.rs", "use crate::inventory::x;\n").len(), 0);
    assert_eq!(upwards("crates/engine/src/inventory/pool.rs", "use crate::commit::x;\n").len(), 1);
    assert_eq!(upwards("crates/engine/src/inventory/pool.rs", "use crate::rules::x;\n").len(), 0);
    assert_eq!(upwards("crates/engine/src/rules/offer.rs", "use crate::inventory::x;\n").len(), 1);
    assert_eq!(upwards("crates/engine/src/commit.rs", "use crate::inventory::x;\n").len(), 0);

    assert_eq!(
        disk("crates/engine/src/a.rs", "use std::fs::File;\nuse rustix::fs::x;\nuse std::{fmt, fs};\n").len(),
        3
    );
    assert_eq!(disk("crates/journal/src/storage/disk.rs", "use std::fs::File;\n").len(), 0);

    let manifest = "[dependencies]\nstockade-types = {}\ntokio = \"1\"\n[dev-dependencies]\nprost = \"1\"\n";
    assert_eq!(dependencies("counter", manifest), ["counter may not depend on tokio"]);
    assert_eq!(dependencies("types", "[dependencies]\nstockade-journal = {}\n").len(), 1);
    assert_eq!(dependencies("client", "[dependencies]\nstockade-proto = {}\ntokio = \"1\"\n").len(), 0);
    assert_eq!(dependencies("drill", "[dependencies]\nstockade-engine = {}\nstockade-client = {}\n").len(), 1);
    assert_eq!(dependencies("new", "").len(), 1);

    assert_eq!(length("a.rs", &"x\n".repeat(LINES_MAX)).len(), 0);
    assert_eq!(length("a.rs", &"x\n".repeat(LINES_MAX + 1)).len(), 1);
    assert_eq!(head("a.rs", "//! Says what it is.\n").len(), 0);
    for text in ["", "use a::b;\n//! Late.\n", "//!\n", "// No doc.\n"] {
        assert_eq!(head("a.rs", text).len(), 1, "{text:?}");
    }
    for marker in MARKERS {
        assert_eq!(unfinished("a.rs", &format!("fn f() {{}} // {marker}: later\n/// {marker}\n")).len(), 2);
    }
    assert_eq!(unfinished("a.rs", "// TODOS and aXXXb\nlet todo = 1;\n").len(), 0);
}
