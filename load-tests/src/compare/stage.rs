//! The servers of a comparison's gRPC side: Stockade on an empty folder with its drop, or the bare handler with answers
//! taken from such a server.

use std::process::Command;
use std::time::Duration;

use load_test_peers::{CUSTOMERS, HOT, LIMIT, STOCK};
use prost::Message as _;
use stockade_drill::Failure;
use stockade_drill::drive::{Measured, Span, closed_loop};
use stockade_drill::process::Process;
use stockade_drill::wire;
use stockade_proto as pb;

use super::empty::hex;
use super::work::{self, Batch, DROP, GONE, Work};
use crate::reserves::{Reserves, Wish, operation};
use crate::server::{Recipe, Server};

/// How long the bare handler may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// A server with the drop of every comparison: one hot SKU, a limit for each customer, one sold-out SKU.
///
/// # Errors
/// When the server does not start, or refuses the drop.
pub async fn stockade(recipe: &Recipe, flags: &[String]) -> Result<Server, Failure> {
    let server = recipe.start(flags)?;
    let client = server.client().await?;
    let hold_ttl = Some(wire::span(Duration::from_hours(1)));
    let drop = pb::Drop { hold_ttl, ..wire::drop(DROP, [(HOT, STOCK), (GONE, 1)], Some(LIMIT)) };
    wire::create(&client, drop).await?;
    let last = work::reserve(wire::hold_id(&mut fastrand::Rng::new()).to_string(), GONE, 0);
    client.reserve(last).await.map_err(Failure::status("taking the last unit"))?;
    Ok(server)
}

/// Drives a work on the server at this endpoint.
///
/// # Errors
/// When an answer is missing or wrong.
pub async fn drive(endpoint: &str, work: Work, span: Span) -> Result<Measured, Failure> {
    let drops = [DROP.to_owned()];
    let wish = match work {
        Work::Batch => return closed_loop(Batch::callers(endpoint).await?, span).await,
        Work::Reserve => Wish::of(&drops),
        Work::Refusal => Wish { sku: GONE, refused: true, ..Wish::of(&drops) },
    };
    closed_loop(Reserves::callers(endpoint, &wish).await?, span).await
}

/// Checks after a run that every acknowledged reserve is held.
///
/// # Errors
/// When fewer units are held, or more although no request was cut off in flight.
pub async fn check(server: &Server, work: Work, measured: &Measured) -> Result<(), Failure> {
    let (drop, _time) = wire::show(&server.client().await?, DROP).await?;
    let held = wire::stock(&drop, HOT).held;
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
        let client = server.client().await?;
        let mut random = fastrand::Rng::new();
        let mut request = |sku| work::reserve(wire::hold_id(&mut random).to_string(), sku, CUSTOMERS / 2);
        let (held, refused, batched) = (request(HOT), request(GONE), request(HOT));
        let asked = Failure::status("asking for the answers");
        let held = client.reserve(held).await.map_err(asked)?;
        let refused = client.reserve(refused).await.map_err(Failure::status("asking for a refusal"))?;
        let operations = vec![operation(pb::operation::Operation::Reserve(batched))];
        let request = pb::BatchRequest { operations, view: pb::HoldView::Brief.into() };
        let brief = client.batch(request).await.map_err(Failure::status("asking for a brief answer"))?;
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
