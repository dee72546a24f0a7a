//! Memory: which bounds follow from what there is, and the mark from which on nothing that takes more is let in.
//!
//! Bounds count holds; the mark counts bytes. What a hold takes depends on its lines and its customer, so bounds alone can't
//! keep a process within its memory. A thread looks at what the process has, and the engine reads what it found: one
//! flag. Beyond the mark new holds, drops and adjustments are refused; whatever ends, sells or shows a hold goes on.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{Bounds, Engine};
use crate::memory;

/// How often memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Hundredths of the memory from which on what takes more is refused, and below which it is let in again.
const SHORT: u64 = 85;
const ENOUGH: u64 = 82;
/// Hundredths of the memory that holds, live and ended, may take by their bounds; the rest is for all that comes and goes.
const FOR_HOLDS: u64 = 75;
/// Of these, bytes that are set aside for what is there without any hold, and for the journal's queue.
const FIXED: u64 = 48 * 1024 * 1024;
/// Bytes that a live hold takes with its subject and its deadline, and an ended one with its subject: see
/// docs/performance.md. A hold of several lines takes more.
const A_LIVE_HOLD: u64 = 240;
const AN_ENDED_HOLD: u64 = 200;
/// Live holds take five parts of six, ended ones the sixth.
const PARTS: u64 = 6;
/// Holds that a server may have however little memory there is.
const HOLDS_MIN: u64 = 1_000;

/// Bytes that a start may take, for a while, beside what it starts: a sixteenth of the memory.
const START_SHARE: u64 = 16;

/// Bounds on live and on ended holds for so much memory: the usual ones, where these find room.
#[must_use]
pub fn bounds_for(memory: u64) -> (u64, u64) {
    let usual = Bounds::default();
    let usual_ended = u64::try_from(usual.max_ended_holds).unwrap_or(u64::MAX);
    let part = (memory / 100).saturating_mul(FOR_HOLDS).saturating_sub(FIXED) / PARTS;
    let live = part.saturating_mul(PARTS.saturating_sub(1)) / A_LIVE_HOLD;
    let ended = part / AN_ENDED_HOLD;
    (live.max(HOLDS_MIN).min(usual.max_holds), ended.max(HOLDS_MIN).min(usual_ended))
}

/// Bytes that a start may gather before it enters what it has gathered.
#[must_use]
pub fn start_room(memory: u64) -> usize {
    usize::try_from(memory / START_SHARE).unwrap_or(usize::MAX)
}

/// The thread that looks at memory. Stopped and joined when dropped.
#[derive(Debug)]
pub struct Watermark {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watermark {
    /// Looks from now on, for an engine that may have so many bytes.
    ///
    /// # Errors
    /// When the thread can't be started.
    pub fn start(engine: &Arc<Engine>, memory: u64) -> io::Result<Self> {
        let (engine, stop) = (Arc::clone(engine), Arc::new(AtomicBool::new(false)));
        let told = Arc::clone(&stop);
        let thread = thread::Builder::new().name("stockade-memory".to_owned()).spawn(move || {
            while !told.load(Ordering::Relaxed) {
                if let Some(resident) = memory::resident() {
                    engine.see_memory(resident, memory);
                }
                thread::park_timeout(LOOK_EVERY);
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Watermark {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic in the thread has ended the process through its hook already.
            let _ended = thread.join();
        }
    }
}

impl Engine {
    /// Learns how many bytes the process has, of how many that it may have.
    pub fn see_memory(&self, resident: u64, memory: u64) {
        let was = self.short_of_memory.load(Ordering::Relaxed);
        let mark = if was { ENOUGH } else { SHORT };
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
