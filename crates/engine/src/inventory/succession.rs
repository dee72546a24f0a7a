//! Enters a hold that takes another's place into all that follows from holds.
//!
//! What both have of a pool moves from one to the other and is never free in between.

use smallvec::SmallVec;
use stockade_types::hold::HoldLine;

use super::Inventory;
use super::apply::{HoldTransition, LockedSubjects, each_usage};
use super::pool::{PoolUsage, UsageChange};

impl Inventory {
    /// Enters the one record by which `old` ended and `new` was made. The shards of both are locked.
    pub(super) fn enter_successor(
        &self,
        old: &HoldTransition<'_>,
        new: &HoldTransition<'_>,
        LockedSubjects { keys, subjects }: LockedSubjects<'_>,
    ) {
        old.enter_subjects(keys, subjects);
        new.enter_subjects(keys, subjects);
        transfer(old, new);
        self.expect_due(new.after.expires_at());
        // The new one first: the count of holds that have units is never too low.
        self.count_owned(new);
        self.count_owned(old);
    }
}

fn transfer(old: &HoldTransition<'_>, new: &HoldTransition<'_>) {
    let mut made: SmallVec<[(HoldLine, PoolUsage); 4]> = SmallVec::new();
    each_usage(None, new.after, |line, _, usage| made.push((*line, usage)));
    let of_new = |after| UsageChange { hold: new.place, before: PoolUsage::default(), after };
    let same = |one: &HoldLine, other: &HoldLine| (one.item, one.pool) == (other.item, other.pool);
    each_usage(old.before, old.after, |line, before, after| {
        let (pool, from) = (old.drop.pool_of(line), UsageChange { hold: old.place, before, after });
        match made.iter().find(|(made, _)| same(made, line)) {
            Some((_, usage)) => pool.transfer(new.lsn, &from, &of_new(*usage)),
            None => {
                pool.apply_usage(new.lsn, &from);
            }
        }
    });
    for (line, usage) in &made {
        if !old.after.lines().iter().any(|old| same(&old, line)) {
            new.drop.pool_of(line).apply_usage(new.lsn, &of_new(*usage));
        }
    }
}
