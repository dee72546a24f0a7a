//! Each rule finds its violations in the right lines, and nothing in text that only looks like one.

use crate::rooms::{self, Order};
use crate::{Finding, rules};

const MAP: &str = "\
//! A map.
pub mod ids;
pub mod time;
pub mod hold;

pub mod rules;
pub mod inventory;
pub mod storage;
pub mod journal;
pub mod snapshot;
pub mod engine;
pub mod feed;
pub mod http2;
pub mod grpc;
pub mod admin;
pub mod client;
pub mod config;
pub mod server;
pub mod cli;
pub mod proto { pub mod inner; }
";

/// Line numbers of the findings; each finding must name its file and rule.
fn lines(file: &str, rule: &str, findings: &[Finding]) -> Vec<usize> {
    for found in findings {
        assert!(found.to_string().starts_with(&format!("{file}:{}: {rule}: ", found.line)), "{found}");
    }
    findings.iter().map(|found| found.line).collect()
}

fn imports(file: &str, text: &str) -> Vec<usize> {
    lines(file, "imports", &rooms::imports(file, text, &Order::of(MAP)))
}

fn outside(file: &str, text: &str) -> Vec<usize> {
    lines(file, "outside", &rooms::outside(file, text, &Order::of(MAP)))
}

#[test]
fn a_map_that_is_in_order_is_fine() {
    assert_eq!(rooms::map(MAP), []);
}

#[test]
fn a_map_with_a_late_leaf_a_missing_room_or_the_wrong_order_is_found() {
    let late = format!("{MAP}pub mod late;\n");
    assert_eq!(lines("src/lib.rs", "reading order", &rooms::map(&late)), [late.lines().count()]);
    let missing = MAP.replace("pub mod storage;\n", "");
    assert_eq!(lines("src/lib.rs", "reading order", &rooms::map(&missing)), [1]);
    let turned = MAP.replace("inventory", "x").replace("engine", "inventory").replace("mod x", "mod engine");
    let found = rooms::map(&turned);
    assert_eq!(lines("src/lib.rs", "reading order", &found), [7, 7, 7, 7], "engine before all that it imports");
}

#[test]
fn a_leaf_imports_leaves_before_it_only() {
    assert_eq!(imports("src/hold.rs", "use crate::ids::Lsn;\nuse crate::time::Timestamp;\n"), []);
    assert_eq!(imports("src/time.rs", "use crate::ids::Lsn;\nuse crate::hold::Hold;\n"), [2]);
    assert_eq!(imports("src/time/clock.rs", "fn f(at: crate::hold::Hold) {}\n"), [1]);
    assert_eq!(imports("src/hold.rs", "\nuse crate::engine::Engine;\n"), [2]);
    assert_eq!(imports("src/hold.rs", "use crate::proto::Hold;\n"), [1]);
}

#[test]
fn a_room_imports_what_the_table_lets_it() {
    assert_eq!(imports("src/engine/mod.rs", "use crate::{inventory::Pool, journal, ids};\n"), []);
    assert_eq!(imports("src/grpc/edge.rs", "use crate::engine::answer::Stock;\nuse crate::proto as pb;\n"), []);
    assert_eq!(imports("src/grpc/edge.rs", "use crate::ids;\nuse crate::inventory::Stock;\n"), [2]);
    assert_eq!(imports("src/admin/mod.rs", "use crate::proto::Hold;\n"), [1]);
    assert_eq!(
        imports("src/inventory/pool.rs", "use crate::{\n    ids,\n    journal::{Journal, Ticket},\n};\n"),
        [3, 3]
    );
    assert_eq!(imports("src/server/mod.rs", "use crate::cli::run;\n"), [1]);
    assert_eq!(imports("src/snapshot.rs", "use crate::journal::Log;\n"), [1]);
    assert_eq!(imports("src/cli/mod.rs", "use crate::server;\nuse crate::inventory::Pool;\n"), []);
    assert_eq!(imports("src/main.rs", "fn main() { stockade::cli::run(); stockade::engine::run(); }\n"), [1]);
    assert_eq!(imports("src/lib.rs", "//! The map.\npub use crate::ids::Lsn;\n"), [2]);
}

#[test]
fn ways_around_the_word_crate_are_found() {
    assert_eq!(imports("src/inventory/pool.rs", "use super::super::engine::Engine;\n"), [1]);
    assert_eq!(imports("src/inventory/pool.rs", "use super::stock::Look;\n"), []);
    assert_eq!(imports("src/time.rs", "use super::hold::Hold;\n"), [1]);
    assert_eq!(imports("src/time.rs", "mod tests {\n    use super::*;\n}\nuse super::*;\n"), [4]);
    assert_eq!(imports("src/time.rs", "mod tests {\n    use super::super::hold::Hold;\n}\n"), [2]);
    assert_eq!(imports("src/time.rs", "use crate as root;\n"), [1]);
    assert_eq!(imports("src/time.rs", "use crate::{self as root};\nuse crate::*;\n"), [1, 2]);
    assert_eq!(imports("src/time.rs", "pub(crate) fn f() { self::g() }\n"), []);
}

#[test]
fn comments_and_strings_import_nothing() {
    let text = "//! See crate::engine.\n/* crate::engine::x /* nested */ crate::cli */\nconst A: &str = \"crate::engine::\\\"B\";\nconst B: &str = r#\"use \"crate::engine\"\"#;\nfn f<'a>(x: &'a str) -> char { '\"' }\nuse crate::engine::Engine;\n";
    assert_eq!(imports("src/hold.rs", text), [6]);
}

#[test]
fn a_runtime_in_the_core_and_a_second_door_to_the_disk_are_found() {
    assert_eq!(outside("src/engine/mod.rs", "use std::fmt;\nuse tokio::sync::Notify;\n"), [2]);
    assert_eq!(outside("src/time.rs", "fn f() { std::net::lookup() }\n"), [1]);
    assert_eq!(outside("src/journal/log.rs", "use std::{fmt, fs::File};\n"), [1]);
    assert_eq!(outside("src/storage/disk.rs", "use std::fs::File;\nuse rustix::fs::flock;\n"), []);
    assert_eq!(outside("src/storage/disk.rs", "use tonic::Status;\n"), [1]);
    assert_eq!(outside("src/grpc/edge.rs", "use tokio::sync::Notify;\nuse std::fs;\n"), []);
}

#[test]
fn a_line_too_many_is_found() {
    let full = "x\n".repeat(rules::MOST_LINES);
    assert_eq!(rules::length("src/a.rs", &full), []);
    let found = rules::length("src/a.rs", &format!("{full}x"));
    assert_eq!(lines("src/a.rs", "length", &found), [rules::MOST_LINES + 1]);
}

#[test]
fn a_missing_head_is_found() {
    assert_eq!(rules::head("src/a.rs", "//! Says what it is.\nuse a::b;\n"), []);
    for text in ["", "use a::b;\n//! Late.\n", "//!\nuse a::b;\n", "// No doc.\n", "\n//! Late.\n"] {
        assert_eq!(lines("src/a.rs", "head", &rules::head("src/a.rs", text)), [1], "{text:?}");
    }
}

#[test]
fn globs_of_generated_types_are_found_by_any_name() {
    for glob in [
        "use crate::proto::*;",
        "use stockade::proto::drop_service_client::*;",
        "use crate::{ids::Lsn, proto::{Hold, inner::*}};",
        "use crate::proto as wire; use wire::*;",
        "use super::pb::*;",
    ] {
        assert_eq!(lines("src/a.rs", "globs", &rules::globs("src/a.rs", glob)), [1], "{glob}");
    }
    let fine =
        "use crate::proto::Hold;\nuse crate::proto as pb;\nuse super::*;\nfn f(a: pb::Hold) -> u32 { pb::N * 2 }\n";
    assert_eq!(rules::globs("src/a.rs", fine), []);
}

#[test]
fn what_is_left_for_later_is_found() {
    let text = "//! Fine.\n// TODO: later\nfn f() { todo!() }\n/* a\n   FIXME */\nfn g() { unimplemented!(\"XXX\") }\n/// XXX\nfn h() {}\n";
    let mut found = lines("src/a.rs", "unfinished", &rules::unfinished("src/a.rs", text));
    found.sort_unstable();
    assert_eq!(found, [2, 3, 5, 6, 7]);
    let fine = "// TODOS and aXXXb are words.\nconst A: &str = \"// TODO\";\nlet todo = 1;\n";
    assert_eq!(rules::unfinished("src/a.rs", fine), []);
}

#[test]
fn printing_is_found() {
    let text =
        "fn f() {\n    println!(\"a\");\n    std::eprint!(\"b\");\n    dbg!(c);\n    writeln!(out, \"println!\");\n}\n";
    assert_eq!(lines("src/a.rs", "printing", &rules::printing("src/a.rs", text)), [2, 3, 4]);
}
