//! What may change about a drop while it runs: its definition, where it stands in its life, how its stock was adjusted.

use std::sync::Arc;

use stockade_types::definition::Definition;
use stockade_types::ids::Lsn;
use stockade_types::record::{Archived, LastUpdate, Lifecycle, Moment, PoolBasis};
use stockade_types::time::Timestamp;

use super::DropEntry;
use super::adjustments::ItemAdjustments;

/// The state that a drop is in: which of its moments have come, and what operators did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropState {
    /// It has not opened.
    Scheduled,
    /// Reserves are served.
    Open,
    /// Stopped by an operator for now.
    Paused,
    /// Ended.
    Closed,
    /// Ended by hand before it opened.
    Cancelled,
    /// Ended long ago: its holds have left memory.
    Archived,
}

impl DropState {
    /// Whether nothing is sold any more, for good.
    #[must_use]
    pub const fn is_over(self) -> bool {
        match self {
            Self::Scheduled | Self::Open | Self::Paused => false,
            Self::Closed | Self::Cancelled | Self::Archived => true,
        }
    }
}

/// What may change about a drop while it runs.
#[derive(Debug)]
pub struct Running {
    /// As defined.
    pub definition: Arc<Definition>,
    /// LSN of the definition's record.
    pub revision: Lsn,
    /// Where it stands in its life.
    pub lifecycle: Lifecycle,
    /// LSN of the record that said so; 0 before the first.
    pub lived: Lsn,
    /// When that was: a request that read the clock before it counts as of then.
    pub turned_at: Timestamp,
    /// The instant of its next moment: until a record says that it has come, the drop takes no request from then on.
    pub next_moment: Timestamp,
    /// The last change of the definition, if there was one.
    pub update: Option<LastUpdate>,
    /// How each item's stock was adjusted.
    pub adjusted: Vec<ItemAdjustments>,
    /// Its holds have left memory, by the record with this LSN.
    pub archived: Option<(Lsn, Archived)>,
    /// What its pools had received, by item and pool, once they have left memory as well.
    pub basis: Option<Vec<Vec<PoolBasis>>>,
}

impl Running {
    /// When it opens: as defined, or when it was created.
    #[must_use]
    pub fn opens_at(&self, entry: &DropEntry) -> Timestamp {
        self.definition.schedule.opens_at.unwrap_or(entry.created_at)
    }

    /// The newest record that definition and state rest on.
    #[must_use]
    pub fn known_at(&self) -> Lsn {
        let archived = self.archived.as_ref().map_or(Lsn::default(), |(lsn, _)| *lsn);
        self.revision.max(self.lived).max(archived)
    }

    /// Where the drop stands, by its marks alone.
    #[must_use]
    pub fn state(&self) -> DropState {
        let Lifecycle { drop: _, paused, opened, closed } = self.lifecycle;
        match (closed, opened) {
            _ if self.archived.is_some() => DropState::Archived,
            (Some(_), None) => DropState::Cancelled,
            (Some(_), Some(_)) => DropState::Closed,
            (None, _) if paused => DropState::Paused,
            (None, None) => DropState::Scheduled,
            (None, Some(_)) => DropState::Open,
        }
    }

    /// When it closed; [`Timestamp::NEVER`] while it has not, and once it is archived.
    #[must_use]
    pub fn closed_at(&self) -> Timestamp {
        let closed = self.lifecycle.closed.filter(|_| self.archived.is_none());
        closed.map_or(Timestamp::NEVER, |closed| closed.at)
    }

    /// Whether a moment of it has come that no record tells of yet.
    #[inline]
    #[must_use]
    pub fn is_to_turn(&self, now: Timestamp) -> bool {
        self.next_moment <= now
    }

    /// Where it stands once all moments up to an instant have come, and which those are.
    #[must_use]
    pub fn turned(&self, entry: &DropEntry, now: Timestamp) -> (Lifecycle, Vec<Moment>) {
        let mut lifecycle = self.lifecycle;
        if self.archived.is_some() {
            return (lifecycle, Vec::new());
        }
        let come = lifecycle.turn(self.opens_at(entry), self.definition.schedule.closes_at, now);
        (lifecycle, come)
    }

    /// Moments up to an instant have come, without records that say so.
    pub(super) fn mark_before(&mut self, entry: &DropEntry, lsn: Lsn, at: Timestamp) {
        let mut lifecycle = self.lifecycle;
        lifecycle.mark_before(self.opens_at(entry), self.definition.schedule.closes_at, at);
        if lsn > self.lived && lifecycle != self.lifecycle {
            (self.lifecycle, self.lived) = (lifecycle, lsn);
            self.set_next_moment(entry.created_at);
        }
    }

    /// The same with another definition: how it would look.
    #[must_use]
    pub fn with_definition(&self, definition: Arc<Definition>) -> Self {
        let Self { definition: _, revision, lifecycle, lived, turned_at, next_moment, update, .. } = self;
        Self {
            definition,
            revision: *revision,
            lifecycle: *lifecycle,
            lived: *lived,
            turned_at: *turned_at,
            next_moment: *next_moment,
            update: *update,
            adjusted: Vec::new(),
            archived: self.archived.clone(),
            basis: self.basis.clone(),
        }
    }

    pub(super) fn set_next_moment(&mut self, created_at: Timestamp) {
        let opens_at = self.definition.schedule.opens_at.unwrap_or(created_at);
        let next =
            self.lifecycle.next(opens_at, self.definition.schedule.closes_at).filter(|_| self.archived.is_none());
        self.next_moment = next.map_or(Timestamp::NEVER, |moment| moment.scheduled_for);
    }
}
