//! What an attack costs: the server's memory before, at its highest and after, and how a client that means well fares
//! beside it. One line for each attack, printed before anything is held to it.

use std::fs;
use std::time::Duration;

use super::polite::{Manners, Polite};
use super::server::{MIB, Target};

/// Memory that comes back comes back within this time.
const BACK_WITHIN: Duration = Duration::from_secs(10);
const PERIOD: Duration = Duration::from_millis(100);

/// An attack, measured from here on.
pub struct Measured {
    name: String,
    folder: String,
    before: u64,
    polite: Option<Polite>,
    printed: bool,
}

impl Measured {
    /// Measures from now on, with a client beside it that has had its first answer.
    pub fn beside(name: &str, target: &Target) -> Self {
        let polite = Polite::beside(target);
        Self::new(name, target, Some(polite))
    }

    /// The same, with a client that keeps its connection.
    pub fn beside_a_connection(name: &str, target: &Target) -> Self {
        let polite = Polite::on_one_connection(target);
        Self::new(name, target, Some(polite))
    }

    /// Without a client beside it.
    pub fn alone(name: &str, target: &Target) -> Self {
        Self::new(name, target, None)
    }

    fn new(name: &str, target: &Target, polite: Option<Polite>) -> Self {
        let folder = format!("/proc/{}", target.server.id().as_raw_nonzero());
        // From here on the highest counts anew. Where the system does not let us, it counts from the start.
        let _reset = fs::write(format!("{folder}/clear_refs"), "5");
        let before = status(&folder, "VmRSS:");
        Self { name: name.to_owned(), folder, before, polite, printed: false }
    }

    /// By how many bytes memory has grown at most so far.
    pub fn grown(&self) -> u64 {
        status(&self.folder, "VmHWM:").saturating_sub(self.before)
    }

    /// By how many bytes it is greater now.
    pub fn kept(&self) -> u64 {
        status(&self.folder, "VmRSS:").saturating_sub(self.before)
    }

    /// What was in flight is given back, and the memory of it, too: all but `most` bytes.
    pub fn comes_back(&self, target: &Target, most: u64) {
        let tries = BACK_WITHIN.as_millis() / PERIOD.as_millis();
        let came = (0..tries).any(|_| {
            std::thread::sleep(PERIOD);
            target.inflight() < MIB && self.kept() < most
        });
        let (inflight, kept) = (target.inflight(), self.kept() / MIB);
        assert!(came, "{}: {inflight} bytes in flight, {kept} MiB more than before", self.name);
    }

    /// Ends the client beside it and prints the line. Each of its calls had an answer, and there were at least `least`.
    pub fn had_all_answers(mut self, least: usize) {
        let Some(Manners { failures, times }) = self.print() else { panic!("{}: it has no client", self.name) };
        let asked = times.len() + failures.len();
        assert!(failures.is_empty(), "{}: {} of {asked}: {:?}", self.name, failures.len(), failures.first());
        assert!(asked >= least, "{}: {asked} calls", self.name);
    }

    fn print(&mut self) -> Option<Manners> {
        let manners = self.polite.take().map(Polite::stop);
        if !std::mem::replace(&mut self.printed, true) {
            let beside = manners.as_ref().map_or_else(|| "nobody beside it".to_owned(), Manners::to_string);
            let mib = |line| status(&self.folder, line).div_ceil(MIB);
            let (before, highest, now) = (self.before.div_ceil(MIB), mib("VmHWM:"), mib("VmRSS:"));
            eprintln!("{}: RSS {before} → {highest} MiB, after {now}; {beside}", self.name);
        }
        manners
    }
}

impl Drop for Measured {
    /// Also where the attack came to something else than it should.
    fn drop(&mut self) {
        drop(self.print());
    }
}

/// A figure of a process in bytes; 0 where it is gone.
fn status(folder: &str, of: &str) -> u64 {
    let status = fs::read_to_string(format!("{folder}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(of)).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0) * 1024
}
