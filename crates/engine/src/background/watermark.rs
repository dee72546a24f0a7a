//! Memory: bounds that follow from how much there is, and the watermark from which on requests that take more are
//! refused.
//!
//! Bounds count holds; the watermark counts bytes. How much a hold takes depends on its lines and its customer, so
//! bounds alone can't keep a process within its memory. A thread reads how much the process uses and sets one flag,
//! which the engine reads. Above the watermark new holds, drops and adjustments are refused; verbs that end, sell or
//! show a hold go on.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::memory;
use crate::{Bounds, Engine};

/// How often the process's memory is read.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// Percentage of the memory from which on requests that take more are refused, and below which they are accepted again.
const SHORT: u64 = 85;
const RESUME_PERCENT: u64 = 82;
/// Percentage of the memory that holds, live and ended, may take by their bounds; the remainder is for temporary use.
const FOR_HOLDS: u64 = 75;
/// Bytes of that percentage set aside for what exists without any hold, and for the journal's queue.
const FIXED: u64 = 48 * 1024 * 1024;
/// Bytes that a live hold takes with its subject and its deadline, and an ended one with its subject: see
/// docs/performance.md. A hold of several lines takes more.
const A_LIVE_HOLD: u64 = 240;
const AN_ENDED_HOLD: u64 = 200;
/// Live holds get five parts of six, ended ones the sixth.
const PARTS: u64 = 6;
/// Holds that are allowed however little memory there is.
const HOLDS_MIN: u64 = 1_000;

/// Facts that are known by their ids may take a sixteenth of the memory; an entry of their table takes this many bytes
/// just after a shard of it has grown.
const FACTS_SHARE: u64 = 16;
const A_FACT: u64 = 76;
/// Facts that are known however little memory there is.
const FACTS_MIN: u64 = 10_000;

/// A start may temporarily use a sixteenth of the memory, in addition to what it loads.
const START_SHARE: u64 = 16;

/// Bounds on live and on ended holds for this much memory: at most the default ones.
#[must_use]
pub fn bounds_for(memory: u64) -> (u64, u64) {
    let usual = Bounds::default();
    let usual_ended = u64::try_from(usual.max_ended_holds).unwrap_or(u64::MAX);
    let part = (memory / 100).saturating_mul(FOR_HOLDS).saturating_sub(FIXED) / PARTS;
    let live = part.saturating_mul(PARTS.saturating_sub(1)) / A_LIVE_HOLD;
    let ended = part / AN_ENDED_HOLD;
    (live.max(HOLDS_MIN).min(usual.max_holds), ended.max(HOLDS_MIN).min(usual_ended))
}

/// The most facts that are known by their ids for this much memory: a sixteenth of it, at most the default bound.
#[must_use]
pub fn facts_for(memory: u64) -> usize {
    let facts = (memory / FACTS_SHARE / A_FACT).max(FACTS_MIN);
    usize::try_from(facts).unwrap_or(usize::MAX).min(Bounds::default().max_facts)
}

/// Bytes that a start may gather before it enters them.
#[must_use]
pub fn start_room(memory: u64) -> usize {
    usize::try_from(memory / START_SHARE).unwrap_or(usize::MAX)
}

/// The thread that reads the process's memory. Stopped and joined when dropped.
#[derive(Debug)]
pub struct MemoryWatermark {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl MemoryWatermark {
    /// Reads from now on, for an engine that may use `memory` bytes.
    ///
    /// # Errors
    /// When the thread can't be started.
    pub fn start(engine: &Arc<Engine>, memory: u64) -> io::Result<Self> {
        let (engine, stop) = (Arc::clone(engine), Arc::new(AtomicBool::new(false)));
        let stopping = Arc::clone(&stop);
        let thread = thread::Builder::new().name("stockade-memory".to_owned()).spawn(move || {
            while !stopping.load(Ordering::Relaxed) {
                if let Some(resident) = memory::resident() {
                    engine.see_memory(resident, memory);
                }
                thread::park_timeout(CHECK_INTERVAL);
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for MemoryWatermark {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic in the thread has already ended the process, by its hook.
            let _ended = thread.join();
        }
    }
}

impl Engine {
    /// Takes how many bytes the process uses, of how many that it may use.
    pub fn see_memory(&self, resident: u64, memory: u64) {
        let was = self.short_of_memory.load(Ordering::Relaxed);
        let mark = if was { RESUME_PERCENT } else { SHORT };
        let is = resident >= (memory / 100).saturating_mul(mark);
        if is == was {
            return;
        }
        self.short_of_memory.store(is, Ordering::Relaxed);
        if is {
            tracing::error!(resident, memory, "memory is short: new holds, drops and adjustments are refused");
        } else {
            tracing::info!(resident, memory, "there is memory again: new holds, drops and adjustments are taken");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_the_usual_ones_where_there_is_plenty_and_fit_where_there_is_not() {
        assert_eq!(bounds_for(64 << 30), (50_000_000, 10_000_000));
        assert_eq!(bounds_for(0), (HOLDS_MIN, HOLDS_MIN));
        for mebibytes in [96, 192, 512, 1_024, 8_192] {
            let memory = mebibytes << 20;
            let (live, ended) = bounds_for(memory);
            let taken = live * A_LIVE_HOLD + ended * AN_ENDED_HOLD;
            assert!(
                live > ended && taken + FIXED <= memory / 100 * FOR_HOLDS + FIXED,
                "{mebibytes} MiB: {live}, {ended}"
            );
            assert!(taken > (memory / 2).saturating_sub(FIXED), "{mebibytes} MiB: {live}, {ended}");
        }
    }
}
