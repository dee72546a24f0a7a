//! The cost of an attack: the server's memory before, at its peak and after, and the answers to a well-behaved client
//! meanwhile. One line for each attack is printed before its assertions.

use std::fs;
use std::time::Duration;

use stockade_drill::process::memory;

use super::polite::{Manners, Polite};
use super::server::{MIB, Target};

/// Memory must be released within this time.
const BACK_WITHIN: Duration = Duration::from_secs(10);
const PERIOD: Duration = Duration::from_millis(100);

/// A measured attack.
pub struct Measured {
    name: String,
    process: u32,
    before: u64,
    polite: Option<Polite>,
    printed: bool,
}

impl Measured {
    /// Measures from now on, with a well-behaved client that has had its first answer.
    pub fn beside(name: &str, target: &Target) -> Self {
        let polite = Polite::beside(target);
        Self::new(name, target, Some(polite))
    }

    /// The same, with a client that keeps its connection.
    pub fn beside_a_connection(name: &str, target: &Target) -> Self {
        let polite = Polite::on_one_connection(target);
        Self::new(name, target, Some(polite))
    }

    /// Without a client.
    pub fn alone(name: &str, target: &Target) -> Self {
        Self::new(name, target, None)
    }

    fn new(name: &str, target: &Target, polite: Option<Polite>) -> Self {
        let process = target.server.id();
        // Resets the peak. If the system does not allow that, it counts from the start.
        let _reset = fs::write(format!("/proc/{process}/clear_refs"), "5");
        let before = status(process, "VmRSS:");
        Self { name: name.to_owned(), process, before, polite, printed: false }
    }

    /// The growth of memory at its peak so far, in bytes.
    pub fn grown(&self) -> u64 {
        status(self.process, "VmHWM:").saturating_sub(self.before)
    }

    /// The growth of memory now, in bytes.
    pub fn kept(&self) -> u64 {
        status(self.process, "VmRSS:").saturating_sub(self.before)
    }

    /// Waits until bytes in flight are released, and memory has grown by less than `most` bytes.
    pub fn comes_back(&self, target: &Target, most: u64) {
        let tries = BACK_WITHIN.as_millis() / PERIOD.as_millis();
        let came = (0..tries).any(|_| {
            std::thread::sleep(PERIOD);
            target.inflight() < MIB && self.kept() < most
        });
        let (inflight, kept) = (target.inflight(), self.kept() / MIB);
        assert!(came, "{}: {inflight} bytes in flight, {kept} MiB more than before", self.name);
    }

    /// Ends the client and prints the line. Each of its calls must have been answered, and at least `least` of them
    /// made.
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
            let mib = |line| status(self.process, line).div_ceil(MIB);
            let (before, highest, now) = (self.before.div_ceil(MIB), mib("VmHWM:"), mib("VmRSS:"));
            eprintln!("{}: RSS {before} → {highest} MiB, after {now}; {beside}", self.name);
        }
        manners
    }
}

impl Drop for Measured {
    /// Prints the line even if an assertion has failed.
    fn drop(&mut self) {
        drop(self.print());
    }
}

/// A figure of a process in bytes; 0 if it has ended.
fn status(process: u32, of: &str) -> u64 {
    memory(process, of).unwrap_or(0)
}
