//! `POST /v1/facts`: `RecordFacts` for systems that write JSON, JSON lines or CSV.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, Request, header};
use axum::response::Response;
use bytes::Bytes;
use serde::Serialize;
use stockade_engine::answer::InvalidField;
use stockade_proto as pb;
use tonic::Status;

use super::Admin;
use super::calls::{Caller, Connection, json};
use crate::fact_file::{BadField, BadFile, CsvFacts, Format, JsonFacts, LineFacts, Read};
use crate::grpc::connect::whole_body;
use crate::grpc::convert::REPORTED_FACTS_MAX;
use crate::grpc::intake::grow;
use crate::web::Problem;

const RECORD_FACTS: &str = "/stockade.v1.InsightService/RecordFacts";
/// Most bytes of a body.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A body takes about this many times its length in memory while it is read.
const READ_FACTOR: usize = 16;

/// What became of a body.
#[derive(Debug, Serialize)]
struct Answer {
    recorded: u32,
    known: u32,
    faults: Vec<Fault>,
}

/// What is wrong with one of its facts.
#[derive(Debug, Serialize)]
struct Fault {
    /// The fact's place among those of the body, from 0 on.
    index: u32,
    /// The line where it begins, from 1 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    field: String,
    message: String,
}

/// The facts of a body that could be read, with their places, and what is wrong with the others.
#[derive(Debug, Default)]
struct FactBody {
    facts: Vec<pb::Fact>,
    places: Vec<(u32, Option<u64>)>,
    faults: Vec<Fault>,
}

/// Records the facts of a body.
pub(super) async fn record(
    State(admin): State<Arc<Admin>>,
    Extension(connection): Extension<Connection>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let format = format_of(&head.headers).ok_or_else(Problem::facts_media_type)?;
    let Caller { services, peer, .. } = &admin.caller(connection)?;
    let mut body = whole_body(body, BODY_BYTES_MAX, peer).await?;
    grow(&mut body.charge, body.bytes.len().saturating_mul(READ_FACTOR)).await?;
    let bytes = body.bytes.clone();
    let read = tokio::task::spawn_blocking(move || read(format, &bytes)).await;
    // A panic would have ended the process through its hook.
    let FactBody { facts, places, mut faults } = read.map_err(|_stopped| crate::grpc::stopping())??;
    let asked = pb::RecordFactsRequest { facts };
    let answer: pb::RecordFactsResponse = services.call_for_page(RECORD_FACTS, &asked, &head.headers, peer).await?;
    let pb::RecordFactsResponse { recorded, known, faults: found } = answer;
    for pb::FactFault { index, field, message } in found {
        let place = usize::try_from(index).ok().and_then(|index| places.get(index)).copied();
        let (index, line) = place.ok_or_else(|| Status::internal("a fault is of no fact"))?;
        faults.push(Fault { index, line, field, message });
    }
    faults.sort_by_key(|fault| fault.index);
    let shown = serde_json::to_vec(&Answer { recorded, known, faults });
    Ok(json(shown.map_err(|error| Status::internal(error.to_string()))?.into()))
}

/// How a body is written, by its `Content-Type`. None of them could be sent by a page of another site without asking
/// this server first.
fn format_of(headers: &HeaderMap) -> Option<Format> {
    let content = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    match content.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "application/json" => Some(Format::Json),
        "application/x-ndjson" => Some(Format::Lines),
        "text/csv" => Some(Format::Csv),
        _ => None,
    }
}

fn read(format: Format, bytes: &Bytes) -> Result<FactBody, Problem> {
    let contract = JsonFacts::new().map_err(|broken| Status::internal(broken.to_string()))?;
    match format {
        Format::Json => gather(contract.document(bytes).map_err(bad)?.map(Ok)),
        Format::Lines => gather(LineFacts::new(contract, &**bytes)),
        Format::Csv => gather(CsvFacts::new(&**bytes).map_err(bad)?),
    }
}

fn gather(facts: impl Iterator<Item = std::io::Result<Read>>) -> Result<FactBody, Problem> {
    let mut body = FactBody::default();
    for (index, read) in (0_u32..).zip(facts) {
        if usize::try_from(index).is_ok_and(|index| index >= REPORTED_FACTS_MAX) {
            return Err(faulty(
                "facts",
                format!("must be at most {REPORTED_FACTS_MAX}: send the rest in another request"),
            ));
        }
        let Read { line, fact } = read.map_err(|error| bad(error.into()))?;
        match fact {
            Ok(fact) => {
                body.facts.push(fact);
                body.places.push((index, line));
            }
            Err(faults) => {
                let fault = |BadField { field, message }| Fault { index, line, field, message };
                body.faults.extend(faults.into_iter().map(fault));
            }
        }
    }
    Ok(body)
}

/// The body can't be read at all.
fn bad(file: BadFile) -> Problem {
    match file {
        BadFile::Head(what) => faulty("line 1", format!("the head line: {what}")),
        BadFile::Form(what) => faulty("body", what),
        BadFile::Io(error) => faulty("body", error.to_string()),
    }
}

fn faulty(field: &str, description: String) -> Problem {
    Problem::faulty(vec![InvalidField { field: field.to_owned(), description }])
}
