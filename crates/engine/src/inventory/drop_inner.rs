//! What may change about a drop while it runs: its definition, its lifecycle, and how its stock was adjusted.

use std::sync::Arc;

use stockade_types::definition::{Definition, NamedTiers};
use stockade_types::ids::Lsn;
use stockade_types::record::{Archived, LastUpdate, Lifecycle, Mark, PoolBasis, last_slot_ends};
use stockade_types::time::{Millis, Timestamp};

use super::DropEntry;
use super::adjustments::ItemAdjustments;
use super::totals::TotalsBase;
use crate::rules::{Standing, stock_triggers};

/// The archiving of a closed drop waits this long for its pickup slots: 400 days, so that a slot of a wrong year does not
/// keep a drop in memory for ever.
const PICKUP_MAX: Millis = Millis::from_secs(400 * 24 * 60 * 60);

/// A drop's state, by which of its moments are recorded and what operators did.
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
    /// Ended long ago: its holds count as gone and leave memory.
    Archived,
}

impl DropState {
    /// Whether the sale has ended. It can't open again.
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
pub struct DropInner {
    /// As defined.
    pub definition: Arc<Definition>,
    /// LSN of the definition's record.
    pub revision: Lsn,
    /// Its lifecycle.
    pub lifecycle: Lifecycle,
    /// LSN of the record of `lifecycle`; 0 before the first.
    pub lived: Lsn,
    /// The instant of that record: a request that read the clock before it counts as of then.
    pub turned_at: Timestamp,
    /// The instant of its next scheduled mark. From then on the drop takes no request until the mark is recorded.
    pub next_moment: Timestamp,
    /// Its rules as they stand; none if it has none.
    pub standing: Option<Box<Standing>>,
    /// The tiers that it names.
    pub named_tiers: NamedTiers,
    /// The last change of the definition, if there was one.
    pub update: Option<LastUpdate>,
    /// How each item's stock was adjusted.
    pub adjusted: Vec<ItemAdjustments>,
    /// The record that archived it, by which its holds leave memory.
    pub archived: Option<(Lsn, Archived)>,
    /// Each pool's basis, by item, once its pools have left memory as well.
    pub basis: Option<Vec<Vec<PoolBasis>>>,
    /// What was counted of it up to the snapshot that it was loaded from.
    pub totals: TotalsBase,
}

impl DropInner {
    /// When it opens: as defined, or else when it was created.
    #[must_use]
    pub fn opens_at(&self, entry: &DropEntry) -> Timestamp {
        self.definition.schedule.opens_at.unwrap_or(entry.created_at)
    }

    /// The newest record that definition and state depend on.
    #[must_use]
    pub fn durable_after(&self) -> Lsn {
        let archived = self.archived.as_ref().map_or(Lsn::default(), |(lsn, _)| *lsn);
        self.revision.max(self.lived).max(archived)
    }

    /// Its state, by its lifecycle alone.
    #[must_use]
    pub fn state(&self) -> DropState {
        let Lifecycle { drop: _, paused, opened, closed, marks: _ } = self.lifecycle;
        match (closed, opened) {
            _ if self.archived.is_some() => DropState::Archived,
            (Some(_), None) => DropState::Cancelled,
            (Some(_), Some(_)) => DropState::Closed,
            (None, _) if paused => DropState::Paused,
            (None, None) => DropState::Scheduled,
            (None, Some(_)) => DropState::Open,
        }
    }

    /// When all of it was over, from which its time until the archive counts: its closing, or the end of its last pickup
    /// slot if that is later, for a pickup needs its hold. [`Timestamp::NEVER`] while it has not closed, and once it is
    /// archived.
    #[must_use]
    pub fn over_at(&self) -> Timestamp {
        let Some(closed) = self.lifecycle.closed.filter(|_| self.archived.is_none()) else { return Timestamp::NEVER };
        let picked_up = self.lifecycle.opened.and_then(|_| last_slot_ends(&self.definition));
        picked_up.map_or(closed.at, |ends| ends.clamp(closed.at, closed.at.plus(PICKUP_MAX)))
    }

    /// Whether a moment of it is due that is not recorded yet.
    #[inline]
    #[must_use]
    pub fn is_to_turn(&self, now: Timestamp) -> bool {
        self.next_moment <= now
    }

    /// Its lifecycle once all that is scheduled up to `now` is recorded, and what comes by that.
    #[must_use]
    pub fn turned(&self, entry: &DropEntry, now: Timestamp) -> (Lifecycle, Vec<Mark>) {
        let mut lifecycle = self.lifecycle.clone();
        if self.archived.is_some() {
            return (lifecycle, Vec::new());
        }
        let come = lifecycle.turn(&self.definition, self.opens_at(entry), now);
        (lifecycle, come)
    }

    /// Marks moments up to `at` as past, without records of them.
    pub(super) fn mark_before(&mut self, entry: &DropEntry, lsn: Lsn, at: Timestamp) {
        let mut lifecycle = self.lifecycle.clone();
        lifecycle.mark_before(&self.definition, self.opens_at(entry), at);
        if lsn > self.lived && lifecycle != self.lifecycle {
            (self.lifecycle, self.lived) = (lifecycle, lsn);
            self.stand(entry.created_at);
        }
    }

    /// The same with another definition, to show how the drop would be.
    #[must_use]
    pub fn with_definition(&self, definition: Arc<Definition>) -> Self {
        let Self { definition: _, revision, lifecycle, lived, turned_at, next_moment, update, .. } = self;
        Self {
            definition,
            revision: *revision,
            lifecycle: lifecycle.clone(),
            standing: None,
            named_tiers: NamedTiers::default(),
            lived: *lived,
            turned_at: *turned_at,
            next_moment: *next_moment,
            update: *update,
            adjusted: Vec::new(),
            archived: self.archived.clone(),
            basis: self.basis.clone(),
            totals: self.totals,
        }
    }

    /// Whether it has opened and not closed; also while it is paused.
    #[must_use]
    pub const fn is_on_sale(&self) -> bool {
        self.lifecycle.opened.is_some() && self.lifecycle.closed.is_none() && self.archived.is_none()
    }

    /// Whether a rule of it fires at a level of stock that may be reached now.
    #[must_use]
    pub fn watches_stock(&self) -> bool {
        self.state() == DropState::Open && !stock_triggers(&self.definition, &self.lifecycle).is_empty()
    }

    /// Sets what follows from definition and lifecycle. Called whenever one of them has changed.
    pub(super) fn stand(&mut self, created_at: Timestamp) {
        let opens_at = self.definition.schedule.opens_at.unwrap_or(created_at);
        let next = self.lifecycle.next(&self.definition, opens_at).filter(|_| self.archived.is_none());
        self.next_moment = next.map_or(Timestamp::NEVER, |mark| mark.scheduled_for);
        self.named_tiers = NamedTiers::of(&self.definition);
        self.standing = Standing::of(&self.definition, &self.lifecycle, opens_at).map(Box::new);
    }
}
