//! `stockade facts import`: sends the facts of a file in lists, with retries, and prints those that are faulty.
//!
//! A file is read as it is sent, so one of any length takes little memory; only JSON is read whole.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;
use std::time::Duration;

use prost::Message as _;
use serde_json::json;
use stockade_client::{Error, Options, Stockade};
use stockade_proto as pb;
use tonic::Status;

use super::Finding;
use super::args::{FormatWord, ImportOptions};
use super::failure::Failure;
use super::output::Output;
use crate::fact_file::{BadField, BadFile, CsvFacts, JsonFacts, LineFacts, Read};
use crate::grpc::convert::REPORTED_FACTS_MAX;

/// Most bytes of one request's facts.
const LIST_BYTES: usize = 2 * 1024 * 1024;
/// Most bytes of a file of JSON.
const JSON_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// How long a list may take, with all attempts.
const DEADLINE: Duration = Duration::from_mins(2);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

/// The facts of a file.
type Facts = Box<dyn Iterator<Item = io::Result<Read>>>;

/// What has come of the file so far.
#[derive(Debug, Default)]
struct Progress {
    recorded: u64,
    known: u64,
    /// Facts that were not taken.
    faulty: u64,
    /// Facts that were read.
    read: u64,
}

/// Facts that are to be sent, each with its line and its place in the file.
#[derive(Debug, Default)]
struct List {
    facts: Vec<pb::Fact>,
    places: Vec<(Option<u64>, u64)>,
    bytes: usize,
}

/// Records the facts of a file.
///
/// # Errors
/// If the file can't be read, or the server is not reached or answers with a status.
pub(super) async fn import(options: &ImportOptions, output: &mut Output) -> Result<Finding, Failure> {
    let facts = open(options)?;
    let remote = Options { connections: 1, deadline: DEADLINE, attempt_timeout: ATTEMPT_TIMEOUT, ..Options::default() };
    let client = Stockade::connect([options.remote.endpoint.as_str()], remote).await?;
    let mut progress = Progress::default();
    let sent = send(facts, &client, options, (&mut progress, output)).await;
    if !options.remote.json {
        output.end_progress();
    }
    if let Err(failure) = sent {
        let Progress { recorded, known, .. } = progress;
        output.complain(&format!(
            "{recorded} facts were recorded and {known} known before; the file can be imported again"
        ));
        return Err(failure);
    }
    progress.print(options.remote.json, output);
    Ok(if progress.faulty > 0 { Finding::Amiss } else { Finding::Well })
}

async fn send(
    facts: Facts,
    client: &Stockade,
    options: &ImportOptions,
    (progress, output): (&mut Progress, &mut Output),
) -> Result<(), Failure> {
    let as_json = options.remote.json;
    let mut list = List::default();
    for read in facts {
        let Read { line, fact } = read.map_err(|source| Failure::File { path: options.file.clone(), source })?;
        let place = (line, progress.read);
        progress.read = progress.read.saturating_add(1);
        match fact {
            Ok(fact) => {
                list.bytes = list.bytes.saturating_add(fact.encoded_len());
                list.facts.push(fact);
                list.places.push(place);
            }
            Err(faults) => {
                progress.faulty = progress.faulty.saturating_add(1);
                for fault in &faults {
                    print_fault(place, fault, as_json, output);
                }
            }
        }
        if list.facts.len() >= REPORTED_FACTS_MAX || list.bytes >= LIST_BYTES {
            list.send(client, as_json, (&mut *progress, &mut *output)).await?;
        }
    }
    if list.facts.is_empty() { Ok(()) } else { list.send(client, as_json, (progress, output)).await }
}

impl List {
    /// Sends what there is, and begins anew.
    async fn send(
        &mut self,
        client: &Stockade,
        as_json: bool,
        (progress, output): (&mut Progress, &mut Output),
    ) -> Result<(), Failure> {
        let Self { facts, places, bytes: _ } = std::mem::take(self);
        let answer = client.record_facts(pb::RecordFactsRequest { facts }).await.map_err(failure)?;
        let pb::RecordFactsResponse { recorded, known, faults } = answer;
        progress.recorded = progress.recorded.saturating_add(recorded.into());
        progress.known = progress.known.saturating_add(known.into());
        let mut last = None;
        for pb::FactFault { index, field, message } in faults {
            let place = usize::try_from(index).ok().and_then(|index| places.get(index)).copied();
            let Some(place) = place else { return Err(Failure::Bug("a fault is of no fact")) };
            if last.replace(index) != Some(index) {
                progress.faulty = progress.faulty.saturating_add(1);
            }
            print_fault(place, &BadField { field, message }, as_json, output);
        }
        if !as_json {
            output.progress(&progress.line());
        }
        Ok(())
    }
}

impl Progress {
    fn line(&self) -> String {
        let Self { recorded, known, faulty, read } = self;
        format!("{read} facts read: {recorded} recorded, {known} known before, {faulty} faulty")
    }

    fn print(&self, as_json: bool, output: &mut Output) {
        let Self { recorded, known, faulty, read } = self;
        if as_json {
            let summary = json!({"read": read, "recorded": recorded, "known": known, "faulty": faulty});
            output.json(&summary.to_string());
        } else if *read == 0 {
            output.line("no facts");
        }
    }
}

fn print_fault((line, index): (Option<u64>, u64), fault: &BadField, as_json: bool, output: &mut Output) {
    let BadField { field, message } = fault;
    if as_json {
        output.json(&json!({"line": line, "index": index, "field": field, "message": message}).to_string());
        return;
    }
    let place = line.map_or_else(|| format!("facts[{index}]"), |line| format!("line {line}"));
    let what = if field.is_empty() { message.clone() } else { format!("{field}: {message}") };
    output.complain(&format!("{place}: {what}"));
}

fn open(options: &ImportOptions) -> Result<Facts, Failure> {
    let ImportOptions { file, format, remote: _ } = options;
    let format = format.map_or_else(|| by_extension(file), Ok)?;
    let io = |source| Failure::File { path: file.clone(), source };
    let reader: Box<dyn BufRead> = if file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(BufReader::new(File::open(file).map_err(io)?))
    };
    let bad = |bad: BadFile| match bad {
        BadFile::Io(source) => io(source),
        bad @ (BadFile::Form(_) | BadFile::Head(_)) => Failure::Usage(format!("{}: {bad}", file.display())),
    };
    let contract = || JsonFacts::new().map_err(|_broken| Failure::Bug("the contract has no facts"));
    Ok(match format {
        FormatWord::Csv => Box::new(CsvFacts::new(reader).map_err(bad)?),
        FormatWord::Ndjson => Box::new(LineFacts::new(contract()?, reader)),
        FormatWord::Json => {
            let mut bytes = Vec::new();
            reader.take(JSON_BYTES_MAX.saturating_add(1)).read_to_end(&mut bytes).map_err(io)?;
            if u64::try_from(bytes.len()).is_ok_and(|length| length > JSON_BYTES_MAX) {
                let what =
                    format!("JSON of over {JSON_BYTES_MAX} bytes is not read whole: write one fact a line (.ndjson)");
                return Err(Failure::Usage(format!("{}: {what}", file.display())));
            }
            Box::new(contract()?.document(&bytes).map_err(bad)?.map(Ok))
        }
    })
}

fn by_extension(file: &Path) -> Result<FormatWord, Failure> {
    let extension = file.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase);
    match extension.as_deref() {
        Some("json") => Ok(FormatWord::Json),
        Some("ndjson" | "jsonl") => Ok(FormatWord::Ndjson),
        Some("csv") => Ok(FormatWord::Csv),
        Some(_) | None => {
            let what = "its extension is none of .json, .ndjson, .jsonl and .csv: name it with --format";
            Err(Failure::Usage(format!("{}: {what}", file.display())))
        }
    }
}

fn failure(error: Error) -> Failure {
    match error {
        Error::Invalid { violations: _, status }
        | Error::Unavailable { attempts: _, status }
        | Error::Status(status) => Failure::Status(status),
        Error::Deadline { .. } => Failure::Status(Status::deadline_exceeded(error.to_string())),
        Error::Malformed(what) => Failure::Bug(what),
        Error::Closed => Failure::Bug("the client has ended"),
    }
}
