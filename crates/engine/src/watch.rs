//! Watches the data folder: that it is not removed or unlocked under a running server, and that the journal's next
//! segment exists before it is needed.
//!
//! The journal checks its file before it acknowledges a batch; this finds a loss also while nothing is written.

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use stockade_journal::LogError;
use stockade_journal::storage::{FolderLock, LockError};

use crate::Engine;

/// How often it checks.
pub(crate) const TICK_INTERVAL: Duration = Duration::from_millis(250);

/// The work of one thread of its own: a check takes a few system calls, but the disk may make them wait.
#[derive(Debug)]
pub(crate) struct Watch {
    engine: Arc<Engine>,
    /// None for an engine without a data folder.
    lock: Option<Arc<FolderLock>>,
    lock_file: PersistentError,
    next_segment: PersistentError,
}

/// A lasting problem that is no reason to end: reported once.
#[derive(Debug, Default)]
pub(crate) struct PersistentError(Option<String>);

impl PersistentError {
    /// Sets the current problem; returns it if it has not been reported yet.
    pub(crate) fn becomes(&mut self, now: Option<String>) -> Option<&str> {
        let said = std::mem::replace(&mut self.0, now);
        self.0.as_deref().filter(|now| said.as_deref() != Some(now))
    }
}

impl Watch {
    pub(crate) fn new(engine: Arc<Engine>, lock: Option<Arc<FolderLock>>) -> Self {
        Self { engine, lock, lock_file: PersistentError::default(), next_segment: PersistentError::default() }
    }

    /// Checks once.
    pub(crate) fn tick(&mut self) {
        let lock_file = self.keep_locked();
        if let Some(error) = self.lock_file.becomes(lock_file) {
            tracing::warn!(error, "the lock file can't be made again: builds that lock it alone are not kept out");
        }
        let next_segment = self.tend_journal();
        if let Some(error) = self.next_segment.becomes(next_segment) {
            tracing::warn!(error, "the journal's next segment can't be made: the newest one goes on");
        }
    }

    /// A problem with the lock that is no reason to end. A lock that is gone or held by another fails the journal.
    fn keep_locked(&self) -> Option<String> {
        match self.lock.as_ref()?.keep() {
            Ok(()) => None,
            Err(error @ (LockError::Gone { .. } | LockError::Held { .. })) => {
                self.engine.journal().taken_away(io::Error::other(error));
                None
            }
            Err(LockError::Io { folder: _, source }) => Some(source.to_string()),
        }
    }

    /// A problem with the journal that is no reason to end. Other errors have failed the journal, which reports them.
    fn tend_journal(&self) -> Option<String> {
        let error = self.engine.journal().tend().err()?;
        match &*error {
            LogError::Io { .. } | LogError::Full(_) => {
                Some(error.source().map_or_else(|| error.to_string(), ToString::to_string))
            }
            LogError::Unknown(_)
            | LogError::Gone(_)
            | LogError::Damage { .. }
            | LogError::Foreign { .. }
            | LogError::ForeignFiles(_)
            | LogError::Fenced { .. }
            | LogError::WrongPosition { .. }
            | LogError::Stopped => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_said_once_and_again_when_it_has_come_back() {
        let mut lasting = PersistentError::default();
        let mut becomes = |now: Option<&str>| lasting.becomes(now.map(str::to_owned)).map(str::to_owned);
        assert_eq!(becomes(Some("a")).as_deref(), Some("a"));
        assert_eq!((becomes(Some("a")), becomes(Some("b"))), (None, Some("b".to_owned())));
        assert_eq!((becomes(None), becomes(Some("b"))), (None, Some("b".to_owned())));
    }
}
