//! The operators' verbs: create, get, pause, resume and close a drop.

use std::sync::Arc;

use stockade_types::definition::Definition;
use stockade_types::ids::{DropId, DropNo, Lsn};
use stockade_types::record::{
    Closed, DropFact, DropImage, DropVerb, LastUpdate, Lifecycle, MAX_DROP_IMAGE, PoolBasis, PoolFigures, Record,
    request_digest,
};
use stockade_types::time::Timestamp;

use super::Engine;
use super::answer::{DropView, Fault, Violation};
use super::attempt::{Answer, Decided};
use super::command::{CreateDrop, Steer};
use super::commit::Prepared;
use super::context::Context;
use super::turn::fact;
use crate::inventory::{Added, DropEntry, Locked, Running, Seat};

impl Engine {
    /// Creates a drop. The same request again returns the same answer.
    ///
    /// # Errors
    /// [`Fault::Exists`] when the id has another drop, [`Fault::Invalid`] when it would close before it opens,
    /// [`Fault::Exhausted`] when there are too many drops, and faults of the journal.
    pub fn create_drop(&self, command: &CreateDrop, context: Context<'_>) -> Answer<DropView> {
        let now = context.now;
        let request = request_digest(&command.definition);
        if command.validate_only {
            return self.validate_drop(command, request, now);
        }
        let permit = self.journal.permit()?;
        // A drop that opens at once is open in the answer. Without room for that record, too, it is not created.
        let opening = self.journal.permit()?;
        let added = self.inventory.drops.add(&command.definition.id, |registry| {
            let image = self.image(&command.definition, request, registry.next_seat(), now)?;
            let prepared = Prepared { permit, locked: Locked::Registry(registry), taken: None };
            self.commit(Record::DropFact(Box::new(made(image, context))), prepared, now).map(drop)
        })?;
        let entry = match added {
            Added::New(entry) => entry,
            Added::Known(entry) => {
                same_request(&entry, request, &command.definition)?;
                entry
            }
        };
        if entry.running().is_to_turn(now) {
            self.turn_with(opening, &entry, &mut entry.steer(), now)?;
        }
        Ok(show_drop(&entry, &entry.running()))
    }

    /// One drop, with its state and stock.
    ///
    /// # Errors
    /// [`Fault::NoDrop`].
    pub fn get_drop(&self, id: &DropId, context: Context<'_>) -> Answer<DropView> {
        let shown = self.inventory.drops.with_id(id, |entry| self.show_now(entry, context.now));
        shown.ok_or_else(|| Fault::NoDrop(id.clone()).into())
    }

    /// A drop's current definition; none once it is archived and forgotten. Its names never change.
    #[must_use]
    pub fn definition(&self, number: DropNo) -> Option<Arc<Definition>> {
        self.inventory.drops.with_number(number, |entry| Arc::clone(&entry.running().definition))
    }

    /// Pauses, resumes or closes a drop. If it is in that state already, no record is written. Live holds are left
    /// alone.
    ///
    /// # Errors
    /// [`Fault::NoDrop`], [`Fault::Precondition`] when a closed drop would be paused or resumed, and faults of the
    /// journal.
    pub fn steer(&self, id: &DropId, steer: Steer, context: Context<'_>) -> Answer<DropView> {
        let steered = self.inventory.drops.with_id(id, |entry| {
            let mut running = entry.steer();
            let Context { now, origin } = context.not_before(running.turned_at);
            self.turn_in(entry, &mut running, now)?;
            let closed = running.state().is_over();
            let is = running.lifecycle;
            let (verb, wanted) = match steer {
                Steer::Pause | Steer::Resume if closed => {
                    let what = format!("drop {id} is closed: it can't be paused or resumed");
                    return Err(Decided { value: Fault::Precondition(what), durable_after: running.known_at() });
                }
                Steer::Pause => (DropVerb::Pause, Lifecycle { paused: true, ..is }),
                Steer::Resume => (DropVerb::Resume, Lifecycle { paused: false, ..is }),
                Steer::Close if closed => (DropVerb::Close, is),
                Steer::Close => (DropVerb::Close, Lifecycle { closed: Some(Closed { at: now, by_hand: true }), ..is }),
            };
            if wanted != is {
                let fact = fact(entry, &running, verb, (wanted, origin.clone()), now);
                self.commit_fact(entry, &mut running, fact, now)?;
            }
            Ok(show_drop(entry, &running))
        });
        steered.unwrap_or_else(|| Err(Fault::NoDrop(id.clone()).into()))
    }

    fn validate_drop(&self, command: &CreateDrop, request: [u8; 32], now: Timestamp) -> Answer<DropView> {
        let known = self.inventory.drops.with_id(&command.definition.id, |entry| {
            same_request(entry, request, &command.definition)?;
            Ok(self.show_now(entry, now))
        });
        known.unwrap_or_else(|| {
            let image = self.image(&command.definition, request, self.inventory.drops.next_seat(), now)?;
            let entry = DropEntry::new(Lsn::default(), image);
            let mut running = entry.steer();
            (running.lifecycle, _) = running.turned(&entry, now);
            Ok(Decided::at_once(view(&entry, &running)))
        })
    }

    /// A new drop's image, if bounds and schedule allow the drop.
    fn image(
        &self,
        definition: &Definition,
        request: [u8; 32],
        seat: Seat,
        now: Timestamp,
    ) -> Result<DropImage, Fault> {
        self.has_memory()?;
        let Seat { number, living } = seat;
        if living >= self.bounds.max_drops {
            return Err(Fault::Exhausted("too many drops that are not archived: archived drops do not count"));
        }
        if number == DropNo(u32::MAX) {
            return Err(Fault::Exhausted("too many drops: no number is left for another"));
        }
        let opens_at = definition.schedule.opens_at.unwrap_or(now);
        if definition.schedule.closes_at.is_some_and(|closes_at| closes_at <= opens_at) {
            return Err(Fault::Invalid(vec![Violation {
                field: "drop.closes_at".to_owned(),
                description: "must be after opens_at".to_owned(),
            }]));
        }
        let image = DropImage { number, created_at: now, definition: definition.clone(), request, update: None };
        fits(&image)?;
        Ok(image)
    }

    /// The drop after openings and closings up to `now` are recorded. If the journal can't take those records now, the
    /// drop is shown by the records there are: reading a drop never fails for that, and no opening is shown without a
    /// record.
    fn show_now(&self, entry: &DropEntry, now: Timestamp) -> Decided<DropView> {
        let running = entry.running();
        if !running.is_to_turn(now) {
            return show_drop(entry, &running);
        }
        drop(running);
        let mut running = entry.steer();
        let _turned = self.turn_in(entry, &mut running, now);
        show_drop(entry, &running)
    }
}

/// Shows the drop, once its definition and state are durable. Its stock may include changes that are not durable yet.
pub(super) fn show_drop(entry: &DropEntry, running: &Running) -> Decided<DropView> {
    Decided { value: view(entry, running), durable_after: running.known_at() }
}

/// The fact that a drop was made.
fn made(image: DropImage, Context { now: at, origin }: Context<'_>) -> DropFact {
    let pools = || image.definition.items.iter().flat_map(|item| &item.pools);
    let basis = |units| PoolBasis { received: units, taken_out: 0 };
    let stock = pools().map(|pool| PoolFigures { basis: basis(pool.units), ..PoolFigures::default() }).collect();
    let (origin, lifecycle) = (origin.clone(), Lifecycle::new(image.number));
    DropFact { verb: DropVerb::Create, at, origin, image, lifecycle, moments: Vec::new(), stock }
}

pub(super) fn view(entry: &DropEntry, running: &Running) -> DropView {
    let (stock, moved) = entry.stock(running);
    DropView {
        definition: Arc::clone(&running.definition),
        opens_at: running.opens_at(entry),
        closed_at: running.lifecycle.closed.map(|closed| closed.at),
        state: running.state(),
        revision: running.revision,
        as_of: moved.max(running.known_at()),
        stock,
    }
}

/// Checks that the drop fits into one record. Bounds on its other parts ensure that; only goods and tiers named by many
/// limits can add up to more.
pub(super) fn fits(image: &DropImage) -> Result<(), Fault> {
    // With room for what an update adds, so that every drop that was made can be renamed.
    let update = Some(LastUpdate { base: Lsn(u64::MAX), request: [0; 32] });
    let size = DropImage { update, ..image.clone() }.encoded_len();
    if size <= MAX_DROP_IMAGE {
        return Ok(());
    }
    let description = format!("name too many goods and tiers: the drop takes {size} bytes, {MAX_DROP_IMAGE} at most");
    Err(Fault::Invalid(vec![Violation { field: "drop.limits".to_owned(), description }]))
}

/// A drop may be created again only by the same request.
fn same_request(entry: &DropEntry, request: [u8; 32], asked: &Definition) -> Result<(), Decided<Fault>> {
    if entry.request == request {
        return Ok(());
    }
    let running = entry.running();
    let field = running.definition.first_difference(asked).unwrap_or("definition");
    let fault = Fault::Exists { what: format!("drop {}", asked.id), field };
    Err(Decided { value: fault, durable_after: running.revision })
}
