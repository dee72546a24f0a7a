//! The servers of a comparison's gRPC side: Stockade on an empty folder with its drop, or the bare handler with answers
//! taken from such a server.

use std::process::Command;
use std::time::Duration;

use prost::Message as _;
use stockade_proto as pb;

use super::empty::hex;
use super::work::{self, Batch, CONNECTIONS, CUSTOMERS, DROP, GONE, HOT, LIMIT, STOCK, Unary, Work};
use crate::drive::{Measured, Span, closed_loop};
use crate::failure::Failure;
use crate::process::Process;
use crate::server::{Recipe, Server};
use crate::wire::{self, Operators};

/// How long the bare handler may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// A server with the drop of every comparison: one hot SKU, a limit for each customer, one sold-out SKU.
///
/// # Errors
/// When the server does not start, or refuses the drop.
pub async fn stockade(recipe: &Recipe, flags: &[String]) -> Result<Server, Failure> {
    let server = recipe.start(flags)?;
    let channel = wire::connect(&server.endpoint).await?;
    let item = |sku: &str, quantity| pb::Item { sku: sku.to_owned(), quantity, ..pb::Item::default() };
    let drop = pb::Drop {
        id: DROP.to_owned(),
        items: vec![item(HOT, STOCK), item(GONE, 1)],
        limits: vec![wire::limit(LIMIT)],
        hold_ttl: Some(wire::span(Duration::from_hours(1))),
        ..pb::Drop::default()
    };
    let request = pb::CreateDropRequest { drop: Some(drop), validate_only: false };
    Operators::new(channel.clone()).create_drop(request).await.map_err(Failure::status("creating the drop"))?;
    let last = work::reserve(wire::hold_id(&mut fastrand::Rng::new()).to_string(), GONE, 0);
    wire::checkout(channel).reserve(last).await.map_err(Failure::status("taking the last unit"))?;
    Ok(server)
}

/// Drives a work on the server at this endpoint.
///
/// # Errors
/// When an answer is missing or wrong.
pub async fn drive(endpoint: &str, work: Work, span: Span) -> Result<Measured, Failure> {
    match work {
        Work::Batch => closed_loop(Batch::callers(endpoint).await?, span).await,
        Work::Reserve | Work::Refusal => {
            let clients = wire::checkouts(endpoint, CONNECTIONS).await?;
            closed_loop(Unary::callers(&clients, work), span).await
        }
    }
}

/// Checks after a run that every acknowledged reserve is held.
///
/// # Errors
/// When fewer units are held, or more although no request was cut off in flight.
pub async fn check(server: &Server, work: Work, measured: &Measured) -> Result<(), Failure> {
    let mut operators = Operators::new(wire::connect(&server.endpoint).await?);
    let request = pb::GetDropRequest { drop_id: DROP.to_owned() };
    let shown = operators.get_drop(request).await.map_err(Failure::status("looking at the drop"))?;
    let items = shown.into_inner().drop.map(|drop| drop.items).unwrap_or_default();
    let held = items.iter().find(|item| item.sku == HOT).and_then(|item| item.stock).unwrap_or_default().held;
    let fits = match work {
        Work::Reserve => held == measured.operations,
        // Messages may have been in flight when the streams were closed.
        Work::Batch => held >= measured.operations,
        Work::Refusal => held == 0,
    };
    if fits {
        return Ok(());
    }
    Err(Failure::Work(format!("the server shows {held} units held, {} reserves were answered", measured.operations)))
}

/// A running bare handler.
pub struct Bare {
    /// Its address.
    pub endpoint: String,
    _process: Process,
}

/// The answers of a real server, for the bare handler to repeat.
#[derive(Debug, Clone)]
pub struct Answers {
    held: String,
    refused: String,
    brief: String,
}

impl Answers {
    /// Takes one answer of each kind from a real server.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn of(recipe: &Recipe) -> Result<Self, Failure> {
        let server = stockade(recipe, &[]).await?;
        let mut client = wire::checkout(wire::connect(&server.endpoint).await?);
        let mut random = fastrand::Rng::new();
        let mut request = |sku| work::reserve(wire::hold_id(&mut random).to_string(), sku, CUSTOMERS / 2);
        let (held, refused, batched) = (request(HOT), request(GONE), request(HOT));
        let asked = Failure::status("asking for the answers");
        let held = client.reserve(held).await.map_err(asked)?.into_inner();
        let refused = client.reserve(refused).await.map_err(Failure::status("asking for a refusal"))?.into_inner();
        let operation = pb::Operation { operation: Some(pb::operation::Operation::Reserve(batched)) };
        let request = pb::BatchRequest { operations: vec![operation], view: pb::HoldView::Brief.into() };
        let brief = client.batch(request).await.map_err(Failure::status("asking for a brief answer"))?.into_inner();
        let brief = brief.results.first().cloned().unwrap_or_default();
        let refusal = matches!(refused.outcome, Some(pb::reserve_response::Outcome::Refusal(_)));
        if !refusal || !matches!(brief.result, Some(pb::result::Result::Hold(_))) {
            return Err(Failure::Work(format!("not the answers that were expected: {refused:?}, {brief:?}")));
        }
        let text = |bytes: Vec<u8>| hex(&bytes);
        let (held, refused) = (text(held.encode_to_vec()), text(refused.encode_to_vec()));
        Ok(Self { held, refused, brief: text(brief.encode_to_vec()) })
    }

    /// Starts the bare handler in a process of its own, with the answers to this work.
    ///
    /// # Errors
    /// When it does not serve in time.
    pub fn bare(&self, work: Work) -> Result<Bare, Failure> {
        let answer = if work == Work::Refusal { &self.refused } else { &self.held };
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["empty", "--answer", answer, "--result", &self.brief]);
        let process = Process::start("the empty handler", command)?;
        let serving = |line: &str| line.strip_prefix("serving ").map(|address| format!("http://{address}"));
        Ok(Bare { endpoint: process.wait_for(START_TIMEOUT, serving)?, _process: process })
    }
}
