//! Rows of throughput: first the peer's fastest configuration is found, then the pairs run.

use load_test_peers::postgres::{self, Postgres};
use load_test_peers::redis;
use stockade_drill::Failure;
use stockade_drill::drive::{Measured, Span};
use stockade_drill::numbers::{grouped, whole};

use super::rows::{Contestant, Row};
use super::stage::{self, Answers};
use super::work::Work;
use super::{Compared, Goal, Options};
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
            Contestant::Redis(callers) => redis::measure(recipe.folder()?, callers, span).await,
            Contestant::Postgres(clients) => self.postgres(clients, span).await,
        }
    }

    async fn postgres(&mut self, clients: usize, span: Span) -> Result<Measured, Failure> {
        let running = match self.postgres.take() {
            Some(running) => running,
            None => Postgres::start(self.options.recipe.folder()?).await?,
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
    let mut series = Series::default();
    let pairs = arena.options.pairs();
    for pair in 1..=pairs {
        // The first to run changes, so that drift favours neither.
        let (one, other) = if pair % 2 == 1 {
            let one = arena.run(Contestant::Stockade(work)).await?;
            (one, arena.run(peer).await?)
        } else {
            let other = arena.run(peer).await?;
            (arena.run(Contestant::Stockade(work)).await?, other)
        };
        let ratio = series.add(one.rate, other.rate);
        let (our_p99, their_p99) = (one.millis(0.99), other.millis(0.99));
        output.line(&format!(
            "  {pair} of {pairs}: Stockade {}/s (p99 {our_p99:.2} ms), {} {}/s (p99 {their_p99:.2} ms), ratio {ratio:.3}",
            grouped(whole(one.rate)),
            peer.name(),
            grouped(whole(other.rate)),
        ));
        series.p99.0.push(our_p99);
        series.p99.1.push(their_p99);
    }
    series.close(row, ("operations/s", peer.name()), goal)
}

/// The values of all pairs: Stockade's, and the peer's.
#[derive(Default)]
pub struct Series {
    values: (Vec<f64>, Vec<f64>),
    /// The 99th percentiles, in milliseconds.
    pub p99: (Vec<f64>, Vec<f64>),
    ratios: Vec<f64>,
}

impl Series {
    /// Adds a pair. Returns its ratio.
    pub fn add(&mut self, ours: f64, theirs: f64) -> f64 {
        let ratio = ours / theirs.max(f64::MIN_POSITIVE);
        self.values.0.push(ours);
        self.values.1.push(theirs);
        self.ratios.push(ratio);
        ratio
    }

    /// The medians of all pairs.
    ///
    /// # Errors
    /// When there are none.
    pub fn close(self, row: &Row, (unit, peer): (&'static str, String), goal: Goal) -> Result<Compared, Failure> {
        let middle = |values: &[f64]| median(values).unwrap_or_default();
        Ok(Compared {
            row: row.name,
            title: row.title,
            unit,
            peer,
            stockade: middle(&self.values.0),
            other: middle(&self.values.1),
            stockade_p99_ms: middle(&self.p99.0),
            other_p99_ms: middle(&self.p99.1),
            ratio: estimate(&self.ratios).ok_or(Failure::Bug("a row without pairs"))?,
            pairs: self.ratios,
            goal,
        })
    }
}
