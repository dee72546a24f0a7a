//! Rules about a single file.

use crate::Finding;
use crate::paths::paths;
use crate::scan::{Token, scan};

/// The most lines of a file.
pub const MOST_LINES: usize = 500;

/// Words in comments that mark missing work.
const MARKERS: [&str; 3] = ["TODO", "FIXME", "XXX"];
/// Macros that stand for missing code.
const STUBS: [&str; 2] = ["todo", "unimplemented"];
/// Macros that print directly to standard output or standard error.
const PRINTING: [&str; 5] = ["print", "println", "eprint", "eprintln", "dbg"];

fn finding(file: &str, line: usize, rule: &'static str, what: String) -> Finding {
    Finding { file: file.to_owned(), line, rule, what }
}

/// A file may have at most [`MOST_LINES`].
pub fn length(file: &str, text: &str) -> Vec<Finding> {
    let lines = text.lines().count();
    if lines <= MOST_LINES {
        return Vec::new();
    }
    vec![finding(file, MOST_LINES + 1, "length", format!("{lines} lines, {MOST_LINES} at most"))]
}

/// A file begins with a line of `//!` that describes it.
pub fn head(file: &str, text: &str) -> Vec<Finding> {
    let first = text.lines().next().unwrap_or_default();
    let says = first.strip_prefix("//!").is_some_and(|said| !said.trim().is_empty());
    if says { Vec::new() } else { vec![finding(file, 1, "head", "does not begin with `//!`".to_owned())] }
}

/// Generated types are imported by name, since the proto's `Drop` would shadow the trait.
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

/// No comment marks missing work, and no macro stands for missing code.
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

/// Output has a single writer, so that it can be redirected.
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
