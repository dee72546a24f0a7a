//! Which module may import which.
//!
//! The modules of `src/lib.rs` are in reading order. Those that the table does not name are leaves and come first. A
//! leaf may import earlier leaves; a room may import what the table allows.

use crate::Finding;
use crate::paths::{from_root, home, paths};
use crate::scan::scan;

/// All leaves.
const LEAVES: &str = "leaves";
/// The generated types: no module of the crate, but imported like one.
const PROTO: &str = "proto";
/// The two files of the crate's root.
const MAP: &str = "lib";
const MAIN: &str = "main";

/// What a room may import, other than itself.
const TABLE: [(&str, &[&str]); 15] = [
    ("rules", &[LEAVES]),
    ("inventory", &[LEAVES]),
    ("storage", &[LEAVES]),
    ("journal", &[LEAVES, "storage"]),
    ("snapshot", &[LEAVES, "storage"]),
    ("engine", &[LEAVES, "rules", "inventory", "storage", "journal", "snapshot"]),
    ("feed", &[LEAVES, "journal"]),
    ("http2", &[LEAVES]),
    ("grpc", &[LEAVES, PROTO, "engine", "feed", "http2"]),
    ("admin", &[LEAVES, "engine"]),
    ("client", &[LEAVES, PROTO]),
    ("config", &[LEAVES]),
    (
        "server",
        &[LEAVES, PROTO, "inventory", "storage", "journal", "snapshot", "engine", "http2", "grpc", "admin", "config"],
    ),
    (
        "cli",
        &[
            LEAVES,
            PROTO,
            "inventory",
            "storage",
            "journal",
            "snapshot",
            "engine",
            "grpc",
            "admin",
            "client",
            "config",
            "server",
        ],
    ),
    (MAIN, &["cli"]),
];

/// Rooms of plain synchronous code: they use neither a runtime nor the wire. Leaves don't either.
const SYNCHRONOUS: [&str; 7] = ["rules", "inventory", "storage", "journal", "snapshot", "engine", "feed"];
const RUNTIME_AND_WIRE: [&[&str]; 8] = [
    &["tokio"],
    &["tokio_stream"],
    &["futures_util"],
    &["tonic"],
    &["axum"],
    &["prost"],
    &["prost_types"],
    &["std", "net"],
];
/// The modules that may use the disk, and the kernel's files about memory.
const DISK: [&[&str]; 2] = [&["std", "fs"], &["rustix", "fs"]];
const DOORS: [&str; 2] = ["storage", "memory"];

/// The crate's modules in reading order, with the line of each.
pub struct Order(Vec<(String, usize)>);

impl Order {
    /// Reads them from the map.
    pub fn of(map: &str) -> Self {
        let tokens = scan(map).tokens;
        let (mut depth, mut modules) = (0_usize, Vec::new());
        for three in tokens.windows(3) {
            match three {
                [brace, ..] if brace.text == "{" => depth += 1,
                [brace, ..] if brace.text == "}" => depth = depth.saturating_sub(1),
                [word, name, end] if depth == 0 && word.text == "mod" && end.text == ";" => {
                    modules.push((name.text.to_owned(), name.line));
                }
                _ => {}
            }
        }
        Self(modules)
    }

    fn place(&self, module: &str) -> Option<usize> {
        self.0.iter().position(|(name, _)| name == module)
    }

    fn is_leaf(&self, module: &str) -> bool {
        self.place(module).is_some() && allowed(module).is_none()
    }
}

fn allowed(room: &str) -> Option<&'static [&'static str]> {
    TABLE.iter().find(|(name, _)| *name == room).map(|(_, allowed)| *allowed)
}

/// Checks that the map names each room of the table, after all leaves and after what it may import.
pub fn map(text: &str) -> Vec<Finding> {
    let order = Order::of(text);
    let finding = |line, what| Finding { file: "src/lib.rs".to_owned(), line, rule: "reading order", what };
    let mut findings = Vec::new();
    let mut room_before: Option<&str> = None;
    for (module, line) in &order.0 {
        match (allowed(module), room_before) {
            (Some(_), _) => room_before = Some(module),
            (None, Some(room)) => {
                findings.push(finding(
                    *line,
                    format!("{module} is no room of the table and, after {room}, too late for a leaf"),
                ));
            }
            (None, None) => {}
        }
    }
    for (room, imported) in TABLE.iter().filter(|(room, _)| *room != MAIN) {
        let Some(place) = order.place(room) else {
            findings.push(finding(1, format!("the table's room {room} is not there")));
            continue;
        };
        let line = order.0.get(place).map_or(1, |(_, line)| *line);
        for late in imported.iter().filter(|name| order.place(name).is_some_and(|other| other > place)) {
            findings.push(finding(line, format!("{room} stands before {late}, which it may import")));
        }
    }
    findings
}

/// The room that a file belongs to.
fn room(file: &str) -> &str {
    match home(file).first() {
        Some(room) => room,
        None if file.ends_with("main.rs") => MAIN,
        None => MAP,
    }
}

/// Imports that the table or the reading order forbids.
pub fn imports(file: &str, text: &str, order: &Order) -> Vec<Finding> {
    let (home, room) = (home(file), room(file));
    let mut findings = Vec::new();
    for named in paths(text) {
        let Some(path) = from_root(&named, &home) else { continue };
        let finding = |what| Finding { file: file.to_owned(), line: named.line, rule: "imports", what };
        match path.first().copied() {
            None | Some("self" | "*") => findings.push(finding(format!("{room} names the whole crate"))),
            Some(other) if other == room => {}
            Some(other) if may_import(room, other, order) => {}
            Some(other) => findings.push(finding(format!("{room} may not import {other}"))),
        }
    }
    findings
}

fn may_import(room: &str, other: &str, order: &Order) -> bool {
    match allowed(room) {
        Some(allowed) => allowed.contains(&other) || (allowed.contains(&LEAVES) && order.is_leaf(other)),
        None => order.is_leaf(room) && order.is_leaf(other) && order.place(other) < order.place(room),
    }
}

/// Crates that a room must not use.
pub fn outside(file: &str, text: &str, order: &Order) -> Vec<Finding> {
    let room = room(file);
    let synchronous = SYNCHRONOUS.contains(&room) || order.is_leaf(room);
    if !synchronous {
        return Vec::new();
    }
    let never = RUNTIME_AND_WIRE.iter().chain(DISK.iter().filter(|_| !DOORS.contains(&room)));
    let never: Vec<&[&str]> = never.copied().collect();
    let mut findings = Vec::new();
    for named in paths(text) {
        if let Some(path) = never.iter().find(|path| named.segments.starts_with(path)) {
            let what = format!("{room} may not use {}", path.join("::"));
            findings.push(Finding { file: file.to_owned(), line: named.line, rule: "outside", what });
        }
    }
    findings
}
