//! Explanations over trimmed segments, snapshots and restarts: what is no longer kept is left out, and the answer says
//! since when nothing is missing.

use stockade_engine::verbs::explain::{RecordOfHold, Subject};
use stockade_feed::{HoldChanges, HoldRecord};
use stockade_simulation::prelude::*;
use stockade_simulation::reconcile::feed;

use crate::reconcile::{Keeping, NOTHING};

/// The hold that is explained.
const HOLD: u64 = 1;

impl Keeping {
    /// Its changes that are told, and since when none is missing, in seconds.
    fn told(&self) -> (Vec<&'static str>, Option<u64>) {
        let context = Context::anonymous(self.world.now);
        let known = durable(&self.engine, self.engine.explain(&Subject::Hold(hold_id(HOLD)), context)).expect("known");
        self.engine.journal().barrier().wait().expect("durable");
        let heads: Vec<_> = known.holds.iter().map(|view| (view.hold.id, view.hold.revision)).collect();
        let HoldChanges { records, since } = feed(&self.engine).changes_of(heads, 1_000, || true).expect("readable");
        let of = |HoldRecord { hold, lsn, at, record }| RecordOfHold { hold, lsn, at, record };
        let decisions = known.decisions(records.into_iter().map(of));
        (decisions.iter().map(|decision| decision.operation).collect(), since.map(|at| START.until(at).0 / 1_000))
    }

    /// Others reserve and release until several segments are full.
    fn others(&self) {
        for _ in 0..12 {
            let other = hold_id(1_000 + self.now().0);
            self.engine.granted(&reserve(other, "d", "bob", &[("B", 1)]), self.world.now);
            self.engine.granted(&release(other, &[]), self.world.now);
        }
    }

    /// Three snapshots, each with what others do after it, and a restart after each.
    fn age(&mut self) {
        for _ in 0..3 {
            self.engine.snapshot(&self.world.snapshots, self.world.now).expect("a snapshot");
            self.others();
            self.restart();
        }
        self.engine.history().expect("a history").tend(self.world.now).expect("tended");
    }
}

#[test]
fn a_life_is_told_as_far_as_the_journal_is_kept_and_the_answer_says_since_when() {
    let mut shop = Keeping::new();
    shop.world.now = after(1);
    shop.engine.granted(&reserve(hold_id(HOLD), "d", "ada", &[("A", 3)]), shop.world.now);
    shop.world.now = after(20);
    shop.engine.granted(&extend(hold_id(HOLD), None), shop.world.now);
    assert_eq!(shop.told(), (vec!["reserve", "extend"], Some(0)), "all since the first record");
    shop.age();
    shop.world.now = after(40);
    shop.engine.granted(&claim(hold_id(HOLD), "order"), shop.world.now);
    assert_eq!(shop.told(), (vec!["reserve", "extend", "claim"], Some(0)), "through segments that are kept");
    let claimed = shop.now();

    shop.policy = NOTHING;
    shop.world.now = after(60);
    shop.age();
    assert!(shop.engine.history().expect("a history").oldest().expect("listed") > claimed, "the claim is trimmed");
    let (changes, since) = shop.told();
    assert!(changes.is_empty() && since >= Some(60), "{changes:?} since {since:?}: the hold is known by the snapshot");
    shop.world.now = after(80);
    let returned = Return { target: target(hold_id(HOLD)), returned: lines(&[("A", 1)]), restock: true };
    shop.engine.granted(&returned, shop.world.now);
    assert_eq!(shop.told(), (vec!["return"], since), "what came since is told, and nothing is promised of before");
    shop.restart();
    assert_eq!(shop.told().0, ["return"], "also after another start");
}
