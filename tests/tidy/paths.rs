//! The paths in source, both in `use` and elsewhere, with groups expanded; and the part of the crate that they refer
//! to.

use crate::scan::{Token, scan};

/// A path as written: `a::{b, c::*}` is two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named<'t> {
    pub segments: Vec<&'t str>,
    /// The name after `as`.
    pub alias: Option<&'t str>,
    pub line: usize,
    /// How many inline modules of this file it is nested in.
    pub within: usize,
}

/// Every path of the text.
pub fn paths(text: &str) -> Vec<Named<'_>> {
    let tokens = scan(text).tokens;
    let mut reader = Reader { tokens: &tokens, within: 0, found: Vec::new() };
    let (mut depth, mut modules) = (0_usize, Vec::new());
    while let [first, rest @ ..] = reader.tokens {
        match (first.text, rest) {
            ("mod", [_, brace, ..]) if brace.text == "{" => modules.push(depth),
            ("{", _) => depth += 1,
            ("}", _) => {
                depth = depth.saturating_sub(1);
                if modules.last() == Some(&depth) {
                    modules.pop();
                }
            }
            _ => {}
        }
        reader.within = modules.len();
        if is_name(first) {
            reader.path(&mut Vec::new());
        } else {
            reader.tokens = rest;
        }
    }
    reader.found
}

fn is_name(token: &Token<'_>) -> bool {
    token.text.starts_with(|c: char| c == '_' || c.is_alphabetic())
}

struct Reader<'a, 't> {
    tokens: &'a [Token<'t>],
    within: usize,
    found: Vec<Named<'t>>,
}

impl<'t> Reader<'_, 't> {
    /// Reads the path at the start of the tokens; `segments` is its prefix.
    fn path(&mut self, segments: &mut Vec<&'t str>) {
        while let [first, rest @ ..] = self.tokens {
            match rest {
                _ if first.text == "{" => {
                    self.tokens = rest;
                    return self.group(segments);
                }
                [colons, next, after @ ..]
                    if colons.text == "::" && (is_name(next) || next.text == "{" || next.text == "*") =>
                {
                    segments.push(first.text);
                    self.tokens = rest.split_first().map_or(after, |(_, behind)| behind);
                }
                [word, name, after @ ..] if word.text == "as" => {
                    segments.push(first.text);
                    self.tokens = after;
                    return self.note(segments, Some(name.text), first.line);
                }
                _ => {
                    segments.push(first.text);
                    self.tokens = rest;
                    return self.note(segments, None, first.line);
                }
            }
        }
    }

    /// Reads what follows `{`, up to its `}`.
    fn group(&mut self, segments: &[&'t str]) {
        while let [first, rest @ ..] = self.tokens {
            match first.text {
                "}" => {
                    self.tokens = rest;
                    return;
                }
                "," => self.tokens = rest,
                _ => self.path(&mut segments.to_vec()),
            }
        }
    }

    fn note(&mut self, segments: &[&'t str], alias: Option<&'t str>, line: usize) {
        self.found.push(Named { segments: segments.to_vec(), alias, line, within: self.within });
    }
}

/// The modules of a file of `src`, from the crate down: none for the crate's own files.
pub fn home(file: &str) -> Vec<&str> {
    let inside = file.strip_prefix("src/").unwrap_or(file);
    let mut modules: Vec<&str> = inside.strip_suffix(".rs").unwrap_or(inside).split('/').collect();
    if matches!(modules.last(), Some(&("mod" | "lib" | "main"))) {
        modules.pop();
    }
    modules
}

/// A path from the crate's root on; none if it leads out of the crate or stays in its room.
pub fn from_root<'p, 't>(named: &'p Named<'t>, home: &[&str]) -> Option<&'p [&'t str]> {
    let segments = named.segments.as_slice();
    match segments {
        // `pub(crate)` names no path.
        ["crate"] if named.alias.is_none() => None,
        ["crate" | "stockade", rest @ ..] => Some(rest),
        ["self" | "super", ..] => {
            let rest = segments.strip_prefix(&["self"]).unwrap_or(segments);
            let up = rest.iter().take_while(|segment| **segment == "super").count();
            (up > 0 && up >= home.len() + named.within).then(|| rest.split_at(up).1)
        }
        _ => None,
    }
}
