//! Rules that look at one file by itself.

use crate::Finding;
use crate::paths::paths;
use crate::scan::{Token, scan};

/// Lines that a file may have.
pub const MOST_LINES: usize = 500;

/// Words by which a comment says that something is missing.
const MARKERS: [&str; 3] = ["TODO", "FIXME", "XXX"];
/// Macros that stand for code that is missing.
const STUBS: [&str; 2] = ["todo", "unimplemented"];
/// Macros that write past whoever has the output.
const PRINTING: [&str; 5] = ["print", "println", "eprint", "eprintln", "dbg"];

fn finding(file: &str, line: usize, rule: &'static str, what: String) -> Finding {
    Finding { file: file.to_owned(), line, rule, what }
}

/// A file that is too long is two.
pub fn length(file: &str, text: &str) -> Vec<Finding> {
    let lines = text.lines().count();
    if lines <= MOST_LINES {
        return Vec::new();
    }
    vec![finding(file, MOST_LINES + 1, "length", format!("{lines} lines, {MOST_LINES} at most"))]
}

/// A file begins by saying what it is for.
pub fn head(file: &str, text: &str) -> Vec<Finding> {
    let first = text.lines().next().unwrap_or_default();
    let says = first.strip_prefix("//!").is_some_and(|said| !said.trim().is_empty());
    if says { Vec::new() } else { vec![finding(file, 1, "head", "does not begin with `//!`".to_owned())] }
}

/// Generated types are imported by name: the proto's `Drop` would stand before the trait.
pub fn globs(file: &str, text: &str) -> Vec<Finding> {
    let paths = paths(text);
    let generated = |path: &[&str]| path.iter().any(|segment| ["proto", "pb"].contains(segment));
    let aliases: Vec<&str> =
        paths.iter().filter(|named| generated(&named.segments)).filter_map(|named| named.alias).collect();
    paths
        .iter()
        .filter(|named| named.segments.last() == Some(&"*"))
        .filter(|named| {
            generated(&named.segments) || named.segments.first().is_some_and(|first| aliases.contains(first))
        })
        .map(|named| finding(file, named.line, "globs", format!("imports {} whole", named.segments.join("::"))))
        .collect()
}

/// What is not done is not there.
pub fn unfinished(file: &str, text: &str) -> Vec<Finding> {
    let scan = scan(text);
    let mut findings = Vec::new();
    for comment in &scan.comments {
        for (line, text) in (comment.line..).zip(comment.text.lines()) {
            let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
            if let Some(marker) = words.find(|word| MARKERS.contains(word)) {
                findings.push(finding(file, line, "unfinished", format!("a comment says {marker}")));
            }
        }
    }
    findings.extend(
        macros(&scan.tokens, &STUBS).map(|stub| {
            finding(file, stub.line, "unfinished", format!("{}! stands for code that is missing", stub.text))
        }),
    );
    findings
}

/// Output has one writer, so that it can be given another.
pub fn printing(file: &str, text: &str) -> Vec<Finding> {
    let tokens = scan(text).tokens;
    let printed = macros(&tokens, &PRINTING);
    printed.map(|name| finding(file, name.line, "printing", format!("uses {}!", name.text))).collect()
}

/// Calls of these macros.
fn macros<'a, 't>(tokens: &'a [Token<'t>], names: &'a [&str]) -> impl Iterator<Item = Token<'t>> + 'a {
    tokens.windows(2).filter_map(|two| match two {
        [name, mark] if mark.text == "!" && names.contains(&name.text) => Some(*name),
        _ => None,
    })
}
