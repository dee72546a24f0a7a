//! A follower: applies a journal record by record, while it grows, and is up to date after each.
//!
//! It has only the records, so it does what a verb did before its record was written: it finds the entity, locks it,
//! and takes the units that the record needs from their counters. Then the record is applied as for a verb. A record
//! that is not possible is damage, or a bug of the engine that wrote the journal. It is returned as an error, and the
//! inventory must not be used after that. Ended holds and archived drops are forgotten by time and bounds, not by
//! records: that is left to the follower's owner.

use std::sync::Arc;

use smallvec::SmallVec;
use stockade_counter::stock::Taken;
use stockade_types::hold::{Hold, HoldLine};
use stockade_types::ids::{DropNo, HoldId, ItemNo, Lsn};
use stockade_types::invariant;
use stockade_types::record::{Adjusted, DefinedFact, DropVerb, HoldChange, Made, Record, Restart, Superseded};
use stockade_types::time::Timestamp;

use super::apply::{Locked, LockedSubjects, ReplayError, each_usage, usage};
use super::drops::among;
use super::totals::HoldCount;
use super::{Availability, DropEntry, DropInner, EndedHold, HoldSlot, Inventory, Keys, Pool, Stock, fits};

/// Units taken from their counters, one guard for each pool.
type Guards<'d> = SmallVec<[Taken<'d>; 4]>;

/// The hold that a record is about.
struct Known {
    place: HoldSlot,
    hold: Hold,
}

impl Inventory {
    /// Applies the next record of a journal; all records before it are applied already. Called for one record at a
    /// time, while nothing else changes the inventory; reads may run meanwhile. A record that was applied already
    /// changes nothing.
    ///
    /// # Errors
    /// [`ReplayError`] when the record contradicts the inventory.
    pub fn follow(&self, lsn: Lsn, record: &Record) -> Result<(), ReplayError> {
        self.follow_record(lsn, record)?;
        self.count_followed(lsn, record);
        Ok(())
    }

    /// Counts a record of a hold for the sums of its drop.
    pub(super) fn count_followed(&self, lsn: Lsn, record: &Record) {
        if let Some(what) = HoldCount::of_record(record)
            && let Some(hold) = record.hold()
        {
            self.drops.with_number(hold.drop, |drop| drop.follow_count(&drop.read(), lsn, what));
        }
    }

    fn follow_record(&self, lsn: Lsn, record: &Record) -> Result<(), ReplayError> {
        match record {
            Record::Drop(_) | Record::Lifecycle(_) | Record::Adjusted(_) | Record::Demand(_) => {
                self.follow_drop(lsn, record)
            }
            Record::DropFact(fact) => {
                self.follow_drop(lsn, record)?;
                if fact.verb == DropVerb::Archive {
                    self.fold_one(fact.number());
                }
                Ok(())
            }
            Record::Archived(archived) => {
                self.follow_drop(lsn, record)?;
                self.fold_one(archived.drop);
                Ok(())
            }
            Record::Upgraded(at) => {
                self.mark_before(lsn, *at);
                Ok(())
            }
            Record::Hold(hold) | Record::Made(Made { actor: _, hold }) => self.follow_hold(lsn, record, hold),
            Record::Changed(change) => self.follow_change(lsn, change),
            Record::Superseded(superseded) => self.follow_succession(lsn, record, superseded),
            Record::Old(fact) => {
                let today = self.record_of_today(lsn, fact);
                today.map_or(Ok(()), |record| self.follow(lsn, &record))
            }
            Record::Restart(restart) => self.follow_restart(lsn, *restart),
            Record::Defined(fact) => self.follow_defined(lsn, fact),
            Record::Occurrence(fact) => self.occurrences.lock().follow(lsn, fact),
            Record::Delivered(delivered) => {
                self.definitions.delivered(lsn, delivered);
                Ok(())
            }
            Record::Channel(fact) => {
                self.channels.lock().apply(lsn, fact);
                Ok(())
            }
            Record::Report(fact) => {
                self.reports.lock().keep(lsn, Arc::new(fact.as_ref().clone()));
                Ok(())
            }
            Record::Facts(facts) => {
                self.enter_facts(&mut self.facts.lock(), lsn, facts);
                Ok(())
            }
            Record::Stock(_)
            | Record::Adjustments(_)
            | Record::Usage(_)
            | Record::FactsImage(_)
            | Record::Totals(_) => Err(fits::only_in_snapshots(lsn)),
        }
    }

    /// Applies a change of a definition, or an image of one.
    pub(super) fn follow_defined(&self, lsn: Lsn, fact: &DefinedFact) -> Result<(), ReplayError> {
        if self.definitions.follow(lsn, fact)? {
            self.expect_look(fact);
        }
        Ok(())
    }

    fn fold_one(&self, number: DropNo) {
        self.fold(self.drops.entry(number).into_iter().collect());
    }

    fn follow_drop(&self, lsn: Lsn, record: &Record) -> Result<(), ReplayError> {
        let known = record.drop_number().and_then(|number| {
            self.drops.with_closed(number, |entry, inner| {
                entry.fits(inner, lsn, record)?;
                let taken = taken_out((entry, inner), lsn, record)?;
                self.apply(Locked::Drop(entry, inner), lsn, record.clone());
                taken.into_iter().for_each(Taken::keep);
                Ok(())
            })
        });
        if known.is_none() {
            self.drops.with_registry(|registry| self.apply(Locked::Registry(registry), lsn, record.clone()));
        }
        known.unwrap_or(Ok(()))
    }

    fn follow_hold(&self, lsn: Lsn, record: &Record, hold: &Hold) -> Result<(), ReplayError> {
        if self.has(lsn, hold)? {
            return Ok(());
        }
        self.in_drop(lsn, hold, |drop, inner| {
            let taken = taken((drop, inner), None, hold)?;
            self.holds.with_id(&hold.id, |mut shard| {
                self.make(Locked::NewHold(drop, &mut shard, None), taken, lsn, record.clone());
            });
            Ok(())
        })
    }

    fn follow_change(&self, lsn: Lsn, change: &HoldChange) -> Result<(), ReplayError> {
        // A hold that is missing was forgotten.
        let Some(known) = self.known(&change.hold.id).filter(|known| known.hold.revision < lsn) else {
            return Ok(());
        };
        fits::changes(lsn, change, &known.hold)?;
        self.in_drop(lsn, &known.hold, |drop, inner| {
            let taken = taken((drop, inner), Some(&known.hold), &change.hold)?;
            self.holds.with_ref(known.place, |mut shard| {
                let record = Record::Changed(change.clone());
                self.make(Locked::Hold(drop, (&mut shard, known.place), None), taken, lsn, record);
            });
            Ok(())
        })
    }

    fn follow_succession(&self, lsn: Lsn, record: &Record, superseded: &Superseded) -> Result<(), ReplayError> {
        fits::succeeds(lsn, superseded)?;
        let Superseded { ended, made } = superseded;
        let known = self.known(&ended.hold.id).filter(|known| known.hold.revision < lsn);
        if let Some(known) = &known {
            fits::changes(lsn, ended, &known.hold)?;
        }
        // Each is guarded by its own revision, since a snapshot may contain either without the other.
        match (known, self.has(lsn, made)?) {
            (Some(known), false) => self.follow_both(lsn, record, (&known, made)),
            (Some(_), true) => self.follow_change(lsn, ended),
            (None, false) => self.follow_hold(lsn, &Record::Hold(made.clone()), made),
            (None, true) => Ok(()),
        }
    }

    fn follow_both(&self, lsn: Lsn, record: &Record, (old, new): (&Known, &Hold)) -> Result<(), ReplayError> {
        self.in_drop(lsn, new, |drop, inner| {
            let mut keys: Keys = self.subjects_of(&drop.scope, new);
            for identity in old.hold.identities() {
                if !keys.contains(&identity.subject) {
                    keys.push(identity.subject);
                }
            }
            let taken = taken((drop, inner), Some(&old.hold), new)?;
            self.holds.with_two(&new.id, &old.hold.id, |shards| {
                self.subjects.with(&keys, |subjects| {
                    let subjects = LockedSubjects { keys: &keys, subjects };
                    self.make(Locked::Succession(drop, (shards, old.place), subjects), taken, lsn, record.clone());
                });
            });
            Ok(())
        })
    }

    fn follow_restart(&self, lsn: Lsn, restart: Restart) -> Result<(), ReplayError> {
        let drops = self.drops.all();
        let mut orphan = None;
        self.holds.for_each_shard(|mut shard| {
            for (place, id, number) in shard.moved_by(restart) {
                // No units move, so no gate is needed.
                let Some(drop) = among(&drops, number) else {
                    orphan = Some(ReplayError::Orphan(id));
                    continue;
                };
                self.move_deadline((drop, &mut shard, place), lsn, restart);
            }
        });
        orphan.map_or(Ok(()), Err)
    }

    /// Applies a record that was not applied yet, and keeps the units taken for it.
    fn make(&self, locked: Locked<'_, '_>, taken: Guards<'_>, lsn: Lsn, record: Record) {
        let name = record.name();
        let applied = self.apply(locked, lsn, record);
        invariant!(applied.is_some(), "record {lsn} does not apply to what was found for it: {name}");
        taken.into_iter().for_each(Taken::keep);
    }

    fn known(&self, id: &HoldId) -> Option<Known> {
        self.holds.with_id(id, |shard| {
            let place = shard.find(id)?;
            Some(Known { place, hold: shard.get(place)?.clone() })
        })
    }

    /// Whether the hold that a record makes is here already. A known hold with its id that has ended is forgotten.
    fn has(&self, lsn: Lsn, hold: &Hold) -> Result<bool, ReplayError> {
        let Some(Known { place, hold: known }) = self.known(&hold.id) else { return Ok(false) };
        let is_here = fits::is_here(lsn, &known)?;
        if !is_here {
            self.forget_ended(&EndedHold::of(place, &known));
        }
        Ok(is_here)
    }

    /// Calls `f` with the gate of the hold's drop held.
    fn in_drop(
        &self,
        lsn: Lsn,
        hold: &Hold,
        f: impl FnOnce(&DropEntry, &DropInner) -> Result<(), ReplayError>,
    ) -> Result<(), ReplayError> {
        let followed = self.drops.with_number(hold.drop, |drop| {
            let inner = drop.read();
            fits::belongs_to(lsn, hold, &inner)?;
            f(drop, &inner)
        });
        followed.unwrap_or(Err(ReplayError::Orphan(hold.id)))
    }
}

/// Takes the units that a hold needs of each pool beyond what it had; a successor, beyond what the superseded hold had.
fn taken<'d>(
    drop: (&'d DropEntry, &DropInner),
    before: Option<&Hold>,
    after: &Hold,
) -> Result<Guards<'d>, ReplayError> {
    let out = |hold: &Hold, line: &HoldLine| usage(hold.state, hold.expires_at(), line).out();
    let mut guards = Guards::new();
    let mut failed = None;
    each_usage(None, after, |line, _, is| {
        let had = before.map_or(0, |before| {
            let of_pool = before.lines().iter().filter(|had| had.is_of_same_pool(line));
            of_pool.map(|had| out(before, &had)).fold(0, u64::saturating_add)
        });
        let more = is.out().saturating_sub(had);
        let pool = drop.0.pool(line.item, line.pool).ok_or(ReplayError::Orphan(after.id));
        match pool.and_then(|pool| take(drop.1, (line.item, pool), more)) {
            Ok(taken) => guards.extend(taken),
            Err(error) => failed = Some(error),
        }
    });
    failed.map_or(Ok(guards), Err)
}

/// Takes the units that an adjustment takes out of its pool, unless it was applied already.
fn taken_out<'d>(
    (entry, inner): (&'d DropEntry, &DropInner),
    lsn: Lsn,
    record: &Record,
) -> Result<Option<Taken<'d>>, ReplayError> {
    let Record::Adjusted(adjusted) = record else { return Ok(None) };
    let Adjusted { item, adjustment, basis, .. } = adjusted.as_ref();
    let is_new = inner.adjusted.get(item.index()).is_some_and(|known| known.revision < lsn);
    let Some(pool) = entry.pool(*item, adjustment.pool).filter(|_| is_new) else { return Ok(None) };
    let (before, after) = (fits::units(lsn, pool.basis())?, fits::units(lsn, *basis)?);
    take(inner, (*item, pool), before.saturating_sub(after))
}

fn take<'d>(inner: &DropInner, (item, pool): (ItemNo, &'d Pool), units: u64) -> Result<Option<Taken<'d>>, ReplayError> {
    match pool.take_any(units, Timestamp::default()) {
        Availability::Yes(taken) => Ok(taken),
        Availability::Short { .. } | Availability::InDoubt | Availability::SweepDue => {
            let (stock, _) = pool.stock();
            let stock = Stock { held: stock.held.saturating_add(units), ..stock };
            Err(ReplayError::oversold(&inner.definition.id, inner.definition.sku(item), stock))
        }
    }
}
