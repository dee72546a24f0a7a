//! Rules of conduct: which of them apply to a request, and what they leave of a hold's life.

use stockade_types::time::{Millis, Timestamp};

use super::ReserveRequest;
use crate::attempt::{Attempt, Chore, Undecided};
use crate::inventory::Subject;
use crate::inventory::limits::{ActiveConduct, active_conduct};
use crate::verbs::reserve::limits::due;

impl ReserveRequest<'_> {
    /// Finds the rules that apply, before anything else is decided by them. The subjects are locked. With
    /// `over_limits`, which staff may set, none applies.
    #[inline]
    pub(super) fn find_conduct(&self, subjects: &[Subject]) -> Attempt<()> {
        if self.inner.definition.rules.conduct.is_empty() { Ok(()) } else { self.find_active(subjects) }
    }

    #[cold]
    fn find_active(&self, subjects: &[Subject]) -> Attempt<()> {
        if self.command.over_limits.is_some() {
            return Ok(());
        }
        // A hold that is due has run out, and counts only once it is given back.
        if let Some(due) = due(subjects, self.now) {
            return Err(Undecided::Retry(Chore::SweepHold(due)));
        }
        let who = (subjects, &*self.resolved.limit_subjects.identities);
        let of = (&*self.command.tiers, &*self.command.zones);
        let active = active_conduct(&self.inner.definition.rules.conduct, who, of, self.now);
        let set = self.conduct.set(active.into());
        stockade_types::invariant!(set.is_ok(), "the rules of conduct of a request are found twice");
        Ok(())
    }

    /// The rules that apply.
    #[inline]
    pub(super) fn conduct(&self) -> &[ActiveConduct<'_>] {
        self.conduct.get().map_or(&[], |active| active)
    }

    /// The longest life of the hold that conduct allows, with all extensions. A successor's is never longer than its
    /// predecessor's.
    #[inline]
    pub(super) fn life_max(&self) -> Option<Millis> {
        if self.conduct.get().is_none() && self.superseded.is_none() { None } else { self.shortest_life_max() }
    }

    #[cold]
    fn shortest_life_max(&self) -> Option<Millis> {
        let own = self.conduct().iter().filter_map(|active| active.rule.hold_ttl);
        let old = self.superseded.as_ref().filter(|_| self.command.over_limits.is_none());
        own.chain(old.and_then(|old| old.hold.life_max())).min()
    }

    /// When the life of a hold that was made at `created_at` ends, whatever extends it.
    pub(super) fn ceiling(&self, created_at: Timestamp) -> Timestamp {
        let life_max = self.inner.definition.terms.max_hold_life;
        created_at.plus(self.life_max().map_or(life_max, |of_conduct| of_conduct.min(life_max)))
    }
}
