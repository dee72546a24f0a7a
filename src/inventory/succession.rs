//! A hold that takes another's place, entered into everything that follows from holds.
//!
//! What both have of a pool goes over from one to the other and is never free in between. It decides nothing.

use super::pool::{Moved, Share};
use super::{Entered, Inventory, Subject, each_share};
use crate::hold::Hold;
use crate::ids::{ItemNo, PoolNo, SubjectKey};

impl Inventory {
    /// Enters the one record by which `old` ended and `new` was made. The shards of both are locked, and the stripes of
    /// the subjects of both: `keys` says whose, the customer first.
    pub fn enter_successor(&self, old: &Entered<'_>, new: &Entered<'_>, keys: &[SubjectKey], subjects: &mut [Subject]) {
        old.enter_subjects(keys, subjects);
        new.enter_subjects(keys, subjects);
        hand_over(old, new);
        self.expect_due(new.after.expires_at());
        // The new one first: the count of holds that have units never dips below what there is.
        self.count_owned(false, new.place, new.after);
        self.count_owned(old.before.is_some_and(|before| !before.state.is_ended()), old.place, old.after);
    }
}

fn hand_over(old: &Entered<'_>, new: &Entered<'_>) {
    let lsn = new.after.revision;
    let shares = shares_of(new.after);
    each_share(old.before, old.after, |line, before, after| {
        let Some(pool) = old.drop.pool(line.item, line.pool) else { return };
        let from = Moved { hold: old.place, before, after };
        match shares.iter().find(|(item, pool, _)| (*item, *pool) == (line.item, line.pool)) {
            Some((_, _, share)) => {
                pool.hand_over(lsn, from, Moved { hold: new.place, before: Share::default(), after: *share });
            }
            None => {
                pool.settle(lsn, old.place, before, after);
            }
        }
    });
    for (item, pool_no, share) in &shares {
        let handed_over = old.after.lines().iter().any(|line| (line.item, line.pool) == (*item, *pool_no));
        if let Some(pool) = new.drop.pool(*item, *pool_no).filter(|_| !handed_over) {
            pool.settle(lsn, new.place, Share::default(), *share);
        }
    }
}

fn shares_of(hold: &Hold) -> Vec<(ItemNo, PoolNo, Share)> {
    let mut shares = Vec::new();
    each_share(None, hold, |line, _, share| shares.push((line.item, line.pool, share)));
    shares
}
