//! Kills the server and starts it again on the same folder, and pauses it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use stockade_drill::Failure;
use stockade_drill::process::Signal;
use stockade_drill::wire;
use stockade_types::time::wall_clock;
use tokio::sync::watch;

use super::event::{Pause, Term};
use super::floor::{Floor, Way};
use crate::output::Output;
use crate::server::{Recipe, Server};

/// How long a start or an end may take.
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// The longest pause in milliseconds.
const PAUSE_MAX: u64 = 400;

/// Attempts to start one life on an unused port. The system chooses ports at random, so a second one is rarely needed.
const STARTS_MAX: u32 = 50;

/// How often the server is killed and paused.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How long the load lasts.
    pub length: Duration,
    /// Kills in all.
    pub kills: u32,
    /// Pauses in all.
    pub pauses: u32,
}

/// The server and what happened to it.
pub struct Chaos {
    recipe: Recipe,
    flags: Vec<String>,
    clients: u16,
    server: Server,
    endpoints: Vec<String>,
    way: watch::Sender<Option<Way>>,
    /// The server's lives so far.
    pub terms: Vec<Term>,
    /// Its pauses so far.
    pub pauses: Vec<Pause>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Kill,
    Pause,
}

impl Chaos {
    /// Starts the first server. Clients reach it after [`Self::show`].
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(
        recipe: Recipe,
        flags: Vec<String>,
        clients: u16,
    ) -> Result<(Self, watch::Receiver<Option<Way>>), Failure> {
        let spawned = wall_clock().0;
        let server = tokio::task::block_in_place(|| recipe.start(&flags))?;
        let term = Term { spawned, serving: wall_clock().0, gone: None };
        let (way, seen) = watch::channel(None);
        let endpoints = vec![server.endpoint.clone()];
        let (terms, pauses) = (vec![term], Vec::new());
        Ok((Self { recipe, flags, clients, server, endpoints, way, terms, pauses }, seen))
    }

    /// The server.
    #[must_use]
    pub const fn server(&self) -> &Server {
        &self.server
    }

    /// Connects the clients to the server.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn show(&self) -> Result<(), Failure> {
        let clients = wire::clients(&self.server.endpoint, usize::from(self.clients)).await?;
        let term = u32::try_from(self.terms.len().saturating_sub(1)).unwrap_or(u32::MAX);
        self.way.send_replace(Some(Way { term, clients: Arc::new(clients) }));
        Ok(())
    }

    /// Kills and pauses the server by a plan while clients send requests.
    ///
    /// # Errors
    /// When it does not start again.
    pub async fn rage(
        mut self,
        floor: &Floor,
        plan: Plan,
        (random, output): (&mut fastrand::Rng, &mut Output),
    ) -> Result<Self, Failure> {
        for (at, deed) in deeds(plan, random) {
            tokio::time::sleep(at.saturating_sub(floor.watch.elapsed())).await;
            output.progress(&format!(
                "{} calls, {} kills, {} pauses",
                floor.asked(),
                self.terms.len() - 1,
                self.pauses.len()
            ));
            match deed {
                Deed::Kill => {
                    // One in four kills hits a paused server: answers that it has decided by then are lost.
                    if random.u8(..4) == 0 && self.server.signal(Signal::STOP) {
                        tokio::time::sleep(Duration::from_millis(random.u64(1..30))).await;
                    }
                    self = self.kill(floor).await?;
                }
                Deed::Pause => self.pause(floor, Duration::from_millis(random.u64(5..PAUSE_MAX))).await,
            }
        }
        tokio::time::sleep(plan.length.saturating_sub(floor.watch.elapsed())).await;
        Ok(self)
    }

    async fn pause(&mut self, floor: &Floor, length: Duration) {
        let from = floor.moment();
        if self.server.signal(Signal::STOP) {
            tokio::time::sleep(length).await;
            self.server.signal(Signal::CONT);
            self.pauses.push(Pause { from, until: floor.moment() });
        }
    }

    async fn kill(self, floor: &Floor) -> Result<Self, Failure> {
        let Self { recipe, flags, clients, server, mut endpoints, way, mut terms, pauses } = self;
        let left = tokio::task::block_in_place(|| server.leave(Signal::KILL, START_TIMEOUT))?;
        let gone = floor.moment();
        way.send_replace(None);
        if let Some(term) = terms.last_mut() {
            term.gone = Some(gone);
        }
        let start = |folder| tokio::task::block_in_place(|| recipe.start_on(folder, &flags, START_TIMEOUT));
        let is_used = |server: &Server| endpoints.contains(&server.endpoint);
        let end = |server: Server| {
            tokio::task::block_in_place(|| server.leave(Signal::KILL, START_TIMEOUT)).map(|left| left.folder)
        };
        let (spawned, server) = elsewhere(left.folder, start, is_used, end)?;
        terms.push(Term { spawned, serving: wall_clock().0, gone: None });
        endpoints.push(server.endpoint.clone());
        let chaos = Self { recipe, flags, clients, server, endpoints, way, terms, pauses };
        chaos.show().await?;
        Ok(chaos)
    }

    /// Ends the server with a signal, as an operator would, and reads its data folder with the same binary.
    ///
    /// # Errors
    /// When it does not exit successfully, or its folder can't be read.
    pub fn stop<T>(
        self,
        read: fn(PathBuf, &Path) -> Result<T, Failure>,
    ) -> Result<(Vec<Term>, Vec<Pause>, T), Failure> {
        let Self { recipe, server, terms, pauses, .. } = self;
        tokio::task::block_in_place(|| {
            let left = server.leave(Signal::TERM, START_TIMEOUT)?;
            if !left.well {
                return Err(Failure::Work("the server did not end successfully".to_owned()));
            }
            Ok((terms, pauses, read(recipe.program()?, &left.data())?))
        })
    }
}

/// Starts a server on a port that no earlier life had: an old connection could lead there, and a call would count for
/// the wrong life. A server on a used port has served no client, and is ended. Returns the server and a wall-clock time
/// from before its process was made.
fn elsewhere<F, S>(
    mut folder: F,
    mut start: impl FnMut(F) -> Result<S, Failure>,
    is_used: impl Fn(&S) -> bool,
    mut end: impl FnMut(S) -> Result<F, Failure>,
) -> Result<(u64, S), Failure> {
    for _ in 0..STARTS_MAX {
        let spawned = wall_clock().0;
        let server = start(folder)?;
        if !is_used(&server) {
            return Ok((spawned, server));
        }
        folder = end(server)?;
    }
    Err(Failure::Work(format!("all {STARTS_MAX} starts got the port of an earlier server")))
}

/// The times of all kills and pauses: each at a random time within its equal part of the run.
fn deeds(plan: Plan, random: &mut fastrand::Rng) -> Vec<(Duration, Deed)> {
    let mut deeds = Vec::new();
    for (many, deed) in [(plan.kills, Deed::Kill), (plan.pauses, Deed::Pause)] {
        for number in 0..many {
            let share = (f64::from(number) + 0.2 + 0.7 * random.f64()) / f64::from(many);
            deeds.push((plan.length.mul_f64(share.min(1.0)), deed));
        }
    }
    deeds.sort_by_key(|(at, _)| *at);
    deeds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_begins_at_the_start_that_got_a_port_of_its_own() {
        let (mut ports, mut begun) = (vec![9_u16, 7, 7, 7], Vec::new());
        let start = |folder| {
            begun.push(wall_clock().0);
            std::thread::sleep(Duration::from_millis(5));
            ports.pop().map(|port| (folder, port)).ok_or(Failure::Bug("no port is left"))
        };
        let (spawned, server) =
            elsewhere("data", start, |(_, port)| *port == 7, |(folder, _)| Ok(folder)).expect("a start");
        assert_eq!(server, ("data", 9), "the fourth, on the same folder");
        assert!(begun.len() == 4 && spawned > begun[2] && spawned <= begun[3], "{spawned}: {begun:?}");
        let never = elsewhere((), |()| Ok(()), |()| true, |()| Ok(()));
        assert!(matches!(never, Err(Failure::Work(_))));
    }
}
