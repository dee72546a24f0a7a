//! Watches over what the engine writes to: that nobody takes the data folder away or unlocks it under a running server.
//!
//! The journal looks by itself before it acknowledges a batch; this sees it where nothing is written.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::Engine;
use crate::storage::{FolderLock, LockError};

/// How often it looks.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(250);

/// One thread's work: a look takes a few system calls, but the disk may let them wait.
#[derive(Debug)]
pub(super) struct Watch {
    engine: Arc<Engine>,
    /// None for an engine that keeps nothing.
    lock: Option<Arc<FolderLock>>,
    /// What was warned of last and still is so: said once.
    warned: Option<String>,
}

impl Watch {
    pub(super) const fn new(engine: Arc<Engine>, lock: Option<Arc<FolderLock>>) -> Self {
        Self { engine, lock, warned: None }
    }

    /// Looks once.
    pub(super) fn look(&mut self) {
        let warning = self.keep_locked();
        // It fails the journal, which says why and ends the process.
        let _failed = self.engine.journal().tend();
        if let Some(warning) = &warning
            && self.warned.as_ref() != Some(warning)
        {
            tracing::warn!(
                error = warning,
                "the lock file can't be made again: builds that lock it alone are not kept out"
            );
        }
        self.warned = warning;
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
}
