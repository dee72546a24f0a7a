//! Looks after what the journal keeps for readers: while there are any, what is appended is forced to the disk for them;
//! and what was kept for long enough is dropped.

use std::sync::Arc;
use std::time::Duration;

use super::Engine;
use super::watch::Lasting;
use crate::journal::History;
use crate::time::{Clock, Millis, Timestamp};

/// How often it looks: with `os` durability readers see a record about so long after it was appended.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often kept segments are looked after.
const TEND_EVERY: Millis = Millis(1_000);

/// One thread's work: a look may wait for the disk.
pub(super) struct Librarian {
    engine: Arc<Engine>,
    history: Arc<History>,
    clock: Arc<dyn Clock>,
    /// None: not yet.
    tended: Option<Timestamp>,
    trouble: Lasting,
}

impl Librarian {
    /// None for an engine that keeps nothing.
    pub(super) fn new(engine: &Arc<Engine>, clock: &Arc<dyn Clock>) -> Option<Self> {
        let history = engine.history()?;
        let (engine, clock) = (Arc::clone(engine), Arc::clone(clock));
        Some(Self { engine, history, clock, tended: None, trouble: Lasting::default() })
    }

    /// Looks once.
    pub(super) fn look(&mut self) {
        let journal = self.engine.journal();
        if self.history.is_followed() && self.history.forced() < journal.durable() {
            // Where it fails the journal has, and says so itself.
            let _forced = journal.force();
        }
        let now = self.clock.now();
        if self.tended.is_some_and(|tended| tended.plus(TEND_EVERY) > now) {
            return;
        }
        self.tended = Some(now);
        let trouble = self.history.tend(now).err().map(|error| error.to_string());
        if let Some(error) = self.trouble.becomes(trouble) {
            tracing::warn!(error, "segments of the journal that readers may still want can't be kept");
        }
    }
}
