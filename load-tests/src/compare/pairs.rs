//! Rows of throughput: first the peer's fastest configuration is found, then the pairs run.

use super::postgres::{self, Postgres};
use super::redis;
use super::rows::{Contestant, Row};
use super::stage::{self, Answers};
use super::work::Work;
use super::{Compared, Goal, Options};
use crate::drive::{Measured, Span};
use crate::failure::Failure;
use crate::numbers::{grouped, millis, whole};
use crate::output::Output;
use crate::statistics::{estimate, median};

/// What outlives a single run.
pub struct Arena<'a> {
    options: &'a Options,
    answers: Answers,
    /// Started when it is first needed, since making its folder takes seconds.
    postgres: Option<Postgres>,
}

impl<'a> Arena<'a> {
    /// Takes the answers for the bare handler from a real server.
    ///
    /// # Errors
    /// When the server does not start.
    pub async fn open(options: &'a Options) -> Result<Self, Failure> {
        Ok(Self { options, answers: Answers::of(&options.recipe).await?, postgres: None })
    }

    /// The options of the comparison.
    pub const fn options(&self) -> &'a Options {
        self.options
    }

    /// One run.
    ///
    /// # Errors
    /// When it fails, or an acknowledged operation was not kept.
    pub async fn run(&mut self, contestant: Contestant) -> Result<Measured, Failure> {
        let (recipe, span) = (&self.options.recipe, self.options.span());
        match contestant {
            Contestant::Stockade(work) => {
                let server = stage::stockade(recipe, &[]).await?;
                let measured = stage::drive(&server.endpoint, work, span).await?;
                stage::check(&server, work, &measured).await?;
                Ok(measured)
            }
            Contestant::Bare(work) => {
                let bare = self.answers.bare(work)?;
                stage::drive(&bare.endpoint, work, span).await
            }
            Contestant::Redis(callers) => redis::measure(recipe, callers, span).await,
            Contestant::Postgres(clients) => self.postgres(clients, span).await,
        }
    }

    async fn postgres(&mut self, clients: usize, span: Span) -> Result<Measured, Failure> {
        let running = match self.postgres.take() {
            Some(running) => running,
            None => Postgres::start(&self.options.recipe).await?,
        };
        let measured = running.measure(clients, span).await;
        self.postgres = Some(running);
        measured
    }

    /// Ends what keeps running between the runs of a row: it would take time from the next row.
    pub fn clear(&mut self) {
        self.postgres = None;
    }

    async fn best(&mut self, ways: &[Contestant], output: &mut Output) -> Result<Contestant, Failure> {
        let mut best: Option<(f64, Contestant)> = None;
        for way in ways {
            if let [only] = ways {
                return Ok(*only);
            }
            let rate = self.run(*way).await?.rate;
            output.line(&format!("  {}: {}/s", way.name(), grouped(whole(rate))));
            if best.is_none_or(|(fastest, _)| rate > fastest) {
                best = Some((rate, *way));
            }
        }
        best.map(|(_, way)| way).ok_or(Failure::Bug("a row without a peer"))
    }
}

/// Why a peer is not available, if it is not.
#[must_use]
pub fn missing(peers: &[Contestant]) -> Option<&'static str> {
    match peers.first() {
        Some(Contestant::Redis(_)) if redis::program().is_none() => Some(redis::INSTALL),
        Some(Contestant::Postgres(_)) if postgres::programs().is_none() => Some(postgres::INSTALL),
        Some(Contestant::Stockade(_) | Contestant::Bare(_) | Contestant::Redis(_) | Contestant::Postgres(_)) | None => {
            None
        }
    }
}

/// Runs one row, pair by pair.
///
/// # Errors
/// When a run fails.
pub async fn compare(
    arena: &mut Arena<'_>,
    row: &Row,
    (work, peers): (Work, &[Contestant]),
    goal: Goal,
    output: &mut Output,
) -> Result<Compared, Failure> {
    let peer = arena.best(peers, output).await?;
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let (mut our_p99, mut their_p99) = (Vec::new(), Vec::new());
    let pairs = arena.options.pairs;
    for pair in 1..=pairs {
        // The first to run changes, so that drift favours neither.
        let (one, other) = if pair % 2 == 1 {
            let one = arena.run(Contestant::Stockade(work)).await?;
            (one, arena.run(peer).await?)
        } else {
            let other = arena.run(peer).await?;
            (arena.run(Contestant::Stockade(work)).await?, other)
        };
        let ratio = one.rate / other.rate.max(f64::MIN_POSITIVE);
        let tail = |measured: &Measured| measured.latency.value_at_quantile(0.99);
        output.line(&format!(
            "  {pair} of {pairs}: Stockade {}/s (p99 {} ms), {} {}/s (p99 {} ms), ratio {ratio:.3}",
            grouped(whole(one.rate)),
            millis(tail(&one)),
            peer.name(),
            grouped(whole(other.rate)),
            millis(tail(&other)),
        ));
        our_p99.push(crate::numbers::real(tail(&one)));
        their_p99.push(crate::numbers::real(tail(&other)));
        ours.push(one.rate);
        theirs.push(other.rate);
        ratios.push(ratio);
    }
    let none = Failure::Bug("a row without pairs");
    let ratio = estimate(&ratios).ok_or(none)?;
    let middle = |values: &[f64]| median(values).unwrap_or_default();
    Ok(Compared {
        row: row.name,
        title: row.title,
        unit: "operations/s",
        peer: peer.name(),
        stockade: middle(&ours),
        other: middle(&theirs),
        stockade_p99_ms: middle(&our_p99) / 1000.0,
        other_p99_ms: middle(&their_p99) / 1000.0,
        pairs: ratios,
        ratio,
        goal,
    })
}
