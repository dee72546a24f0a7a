//! A history as a file of JSON lines: the settings first, then the server's lives and pauses, then the calls, then the
//! journal's records.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use stockade_drill::Failure;
use stockade_drill::facts::Fact;

use super::event::{Call, History, Pause, Setup, Term};

/// One line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Setup(Setup),
    Term(Term),
    Pause(Pause),
    Call(Call),
    Fact(Fact),
}

/// Writes a history.
///
/// # Errors
/// When the file can't be written.
pub fn write(history: &History, path: &Path) -> Result<(), Failure> {
    let mut file = BufWriter::new(File::create(path).map_err(Failure::file(path))?);
    let History { setup, terms, pauses, calls, facts } = history;
    let terms = terms.iter().copied().map(Line::Term);
    let pauses = pauses.iter().copied().map(Line::Pause);
    let calls = calls.iter().cloned().map(Line::Call);
    let facts = facts.iter().cloned().map(Line::Fact);
    for line in std::iter::once(Line::Setup(setup.clone())).chain(terms).chain(pauses).chain(calls).chain(facts) {
        let text = serde_json::to_string(&line).map_err(|_bad| Failure::Bug("a line of a history is JSON"))?;
        writeln!(file, "{text}").map_err(Failure::file(path))?;
    }
    file.flush().map_err(Failure::file(path))
}

/// Reads a history.
///
/// # Errors
/// When the file can't be read, or has an invalid line.
pub fn read(path: &Path) -> Result<History, Failure> {
    let file = BufReader::new(File::open(path).map_err(Failure::file(path))?);
    let mut history = History::default();
    let mut is_set_up = false;
    for (number, line) in (1_u64..).zip(file.lines()) {
        let line = line.map_err(Failure::file(path))?;
        let faulty = |error| Failure::Usage(format!("{}: line {number}: {error}", path.display()));
        match serde_json::from_str(&line).map_err(faulty)? {
            Line::Setup(setup) => {
                history.setup = setup;
                is_set_up = true;
            }
            Line::Term(term) => history.terms.push(term),
            Line::Pause(pause) => history.pauses.push(pause),
            Line::Call(call) => history.calls.push(call),
            Line::Fact(fact) => history.facts.push(fact),
        }
    }
    let terms = history.terms.len();
    // The search depends on both. A truncated file must not pass for an empty history.
    let placed = |call: &Call| usize::try_from(call.term).is_ok_and(|term| term < terms);
    if !is_set_up || terms == 0 || !history.calls.iter().all(placed) {
        return Err(Failure::Usage(format!(
            "{}: an incomplete history: its settings or terms are missing",
            path.display()
        )));
    }
    history.calls.sort_by_key(|call| call.sent.ns);
    Ok(history)
}
