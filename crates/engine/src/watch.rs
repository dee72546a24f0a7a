//! Watches over what the engine writes to: that nobody takes the data folder away or unlocks it under a running server,
//! and that the journal's next segment is there before it is needed.
//!
//! The journal looks for its file by itself before it acknowledges a batch; this sees it where nothing is written.

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use stockade_journal::LogError;
use stockade_journal::storage::{FolderLock, LockError};

use super::Engine;

/// How often it looks.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(250);

/// One thread's work: a look takes a few system calls, but the disk may let them wait.
#[derive(Debug)]
pub(super) struct Watch {
    engine: Arc<Engine>,
    /// None for an engine that keeps nothing.
    lock: Option<Arc<FolderLock>>,
    lock_file: Lasting,
    next_segment: Lasting,
}

/// What is amiss for a while and no reason to end: said once.
#[derive(Debug, Default)]
pub(super) struct Lasting(Option<String>);

impl Lasting {
    /// Takes in how it is now; gives what has not been said yet.
    pub(super) fn becomes(&mut self, now: Option<String>) -> Option<&str> {
        let said = std::mem::replace(&mut self.0, now);
        self.0.as_deref().filter(|now| said.as_deref() != Some(now))
    }
}

impl Watch {
    pub(super) fn new(engine: Arc<Engine>, lock: Option<Arc<FolderLock>>) -> Self {
        Self { engine, lock, lock_file: Lasting::default(), next_segment: Lasting::default() }
    }

    /// Looks once.
    pub(super) fn look(&mut self) {
        let lock_file = self.keep_locked();
        if let Some(error) = self.lock_file.becomes(lock_file) {
            tracing::warn!(error, "the lock file can't be made again: builds that lock it alone are not kept out");
        }
        let next_segment = self.tend_journal();
        if let Some(error) = self.next_segment.becomes(next_segment) {
            tracing::warn!(error, "the journal's next segment can't be made: the newest one goes on");
        }
    }

    /// What is amiss with the lock and no reason to end.
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

    /// What is amiss with the journal and no reason to end. What is one has failed the journal, which says so itself.
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
        let mut lasting = Lasting::default();
        let mut becomes = |now: Option<&str>| lasting.becomes(now.map(str::to_owned)).map(str::to_owned);
        assert_eq!(becomes(Some("a")).as_deref(), Some("a"));
        assert_eq!((becomes(Some("a")), becomes(Some("b"))), (None, Some("b".to_owned())));
        assert_eq!((becomes(None), becomes(Some("b"))), (None, Some("b".to_owned())));
    }
}
