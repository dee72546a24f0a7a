//! The operators' verbs: create, get, pause, resume and close a drop.

use std::sync::Arc;

use stockade_types::definition::Definition;
use stockade_types::ids::{DropId, DropNo, Lsn};
use stockade_types::record::{
    Closed, DROP_IMAGE_BYTES_MAX, DropFact, DropImage, DropVerb, LastUpdate, Lifecycle, PoolBasis, PoolFigures, Record,
    request_digest,
};
use stockade_types::time::Timestamp;

use super::Engine;
use super::answer::{DropView, Fault, InvalidField};
use super::attempt::{Answer, Decided};
use super::command::{CreateDrop, Steer};
use super::commit::Prepared;
use super::context::Context;
use super::turn::fact;
use crate::inventory::{Added, DropEntry, DropInner, Locked, NewDropSlot};

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
            let image = self.image(&command.definition, request, registry.new_drop_slot(), now)?;
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
        if entry.read().is_to_turn(now) {
            self.turn_with(opening, &entry, &mut entry.write(), now)?;
        }
        Ok(show_drop(&entry, &entry.read()))
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
        self.inventory.drops.with_number(number, |entry| Arc::clone(&entry.read().definition))
    }

    /// Pauses, resumes or closes a drop. If it is in that state already, no record is written. Live holds are left
    /// alone.
    ///
    /// # Errors
    /// [`Fault::NoDrop`], [`Fault::Precondition`] when a closed drop would be paused or resumed, and faults of the
    /// journal.
    pub fn steer(&self, id: &DropId, steer: Steer, context: Context<'_>) -> Answer<DropView> {
        let steered = self.inventory.drops.with_id(id, |entry| {
            let mut inner = entry.write();
            let Context { now, origin } = context.not_before(inner.turned_at);
            self.turn_in(entry, &mut inner, now)?;
            let closed = inner.state().is_over();
            let is = inner.lifecycle;
            let (verb, wanted) = match steer {
                Steer::Pause | Steer::Resume if closed => {
                    let what = format!("drop {id} is closed: it can't be paused or resumed");
                    return Err(Decided { value: Fault::Precondition(what), durable_after: inner.durable_after() });
                }
                Steer::Pause => (DropVerb::Pause, Lifecycle { paused: true, ..is }),
                Steer::Resume => (DropVerb::Resume, Lifecycle { paused: false, ..is }),
                Steer::Close if closed => (DropVerb::Close, is),
                Steer::Close => (DropVerb::Close, Lifecycle { closed: Some(Closed { at: now, by_hand: true }), ..is }),
            };
            if wanted != is {
                let fact = fact(entry, &inner, verb, (wanted, origin.clone()), now);
                self.commit_fact(entry, &mut inner, fact, now)?;
            }
            Ok(show_drop(entry, &inner))
        });
        steered.unwrap_or_else(|| Err(Fault::NoDrop(id.clone()).into()))
    }

    fn validate_drop(&self, command: &CreateDrop, request: [u8; 32], now: Timestamp) -> Answer<DropView> {
        let known = self.inventory.drops.with_id(&command.definition.id, |entry| {
            same_request(entry, request, &command.definition)?;
            Ok(self.show_now(entry, now))
        });
        known.unwrap_or_else(|| {
            let image = self.image(&command.definition, request, self.inventory.drops.new_drop_slot(), now)?;
            let entry = DropEntry::new(Lsn::default(), image);
            let mut inner = entry.write();
            (inner.lifecycle, _) = inner.turned(&entry, now);
            Ok(Decided::at_once(view(&entry, &inner)))
        })
    }

    /// A new drop's image, if bounds and schedule allow the drop.
    fn image(
        &self,
        definition: &Definition,
        request: [u8; 32],
        seat: NewDropSlot,
        now: Timestamp,
    ) -> Result<DropImage, Fault> {
        self.has_memory()?;
        let NewDropSlot { number, living } = seat;
        if living >= self.bounds.max_drops {
            return Err(Fault::Exhausted("too many drops that are not archived: archived drops do not count"));
        }
        if number == DropNo(u32::MAX) {
            return Err(Fault::Exhausted("too many drops: no number is left for another"));
        }
        let opens_at = definition.schedule.opens_at.unwrap_or(now);
        if definition.schedule.closes_at.is_some_and(|closes_at| closes_at <= opens_at) {
            return Err(Fault::Invalid(vec![InvalidField {
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
        let inner = entry.read();
        if !inner.is_to_turn(now) {
            return show_drop(entry, &inner);
        }
        drop(inner);
        let mut inner = entry.write();
        let _turned = self.turn_in(entry, &mut inner, now);
        show_drop(entry, &inner)
    }
}

/// Shows the drop, once its definition and state are durable. Its stock may include changes that are not durable yet.
pub(super) fn show_drop(entry: &DropEntry, inner: &DropInner) -> Decided<DropView> {
    Decided { value: view(entry, inner), durable_after: inner.durable_after() }
}

/// The fact that a drop was made.
fn made(image: DropImage, Context { now: at, origin }: Context<'_>) -> DropFact {
    let pools = || image.definition.items.iter().flat_map(|item| &item.pools);
    let basis = |units| PoolBasis { received: units, taken_out: 0 };
    let stock = pools().map(|pool| PoolFigures { basis: basis(pool.units), ..PoolFigures::default() }).collect();
    let (origin, lifecycle) = (origin.clone(), Lifecycle::new(image.number));
    DropFact { verb: DropVerb::Create, at, origin, image, lifecycle, moments: Vec::new(), stock }
}

pub(super) fn view(entry: &DropEntry, inner: &DropInner) -> DropView {
    let (stock, moved) = entry.stock(inner);
    DropView {
        definition: Arc::clone(&inner.definition),
        opens_at: inner.opens_at(entry),
        closed_at: inner.lifecycle.closed.map(|closed| closed.at),
        state: inner.state(),
        revision: inner.revision,
        as_of: moved.max(inner.durable_after()),
        stock,
    }
}

/// Checks that the drop fits into one record. Bounds on its other parts ensure that; only goods and tiers named by many
/// limits can add up to more.
pub(super) fn fits(image: &DropImage) -> Result<(), Fault> {
    // With room for what an update adds, so that every drop that was made can be renamed.
    let update = Some(LastUpdate { base: Lsn(u64::MAX), request: [0; 32] });
    let size = DropImage { update, ..image.clone() }.encoded_len();
    if size <= DROP_IMAGE_BYTES_MAX {
        return Ok(());
    }
    let description =
        format!("name too many goods and tiers: the drop takes {size} bytes, {DROP_IMAGE_BYTES_MAX} at most");
    Err(Fault::Invalid(vec![InvalidField { field: "drop.limits".to_owned(), description }]))
}

/// A drop may be created again only by the same request.
fn same_request(entry: &DropEntry, request: [u8; 32], asked: &Definition) -> Result<(), Decided<Fault>> {
    if entry.request == request {
        return Ok(());
    }
    let inner = entry.read();
    let field = inner.definition.first_difference(asked).unwrap_or("definition");
    let fault = Fault::Exists { what: format!("drop {}", asked.id), field };
    Err(Decided { value: fault, durable_after: inner.revision })
}
