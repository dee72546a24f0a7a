//! Creating a drop, and checking one that would be created.

use stockade_types::definition::{Definition, TooManyNames};
use stockade_types::ids::{DropNo, Lsn};
use stockade_types::record::{
    DropFact, DropImage, DropVerb, Lifecycle, PoolBasis, PoolFigures, Record, request_digest,
};
use stockade_types::time::Timestamp;

use super::fits::fits;
use super::view::{show_drop, view};
use crate::Engine;
use crate::answer::{DropView, Fault, InvalidField};
use crate::attempt::{Answer, Decided};
use crate::command::CreateDrop;
use crate::commit::Prepared;
use crate::context::Context;
use crate::inventory::{Added, DropEntry, Locked, NewDropNumber};
use crate::rules::{MomentFault, resolve_but};

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
            let image = self.image(&command.definition, request, registry.new_drop_number(), now)?;
            let prepared = Prepared { permit, locked: Locked::Registry(registry), taken: None };
            self.commit(Record::DropFact(Box::new(made(image, context))), prepared, now).map(drop)
        })?;
        let entry = match added {
            Added::New(entry) => {
                self.inventory.series_looks.drop_changed();
                entry
            }
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

    fn validate_drop(&self, command: &CreateDrop, request: [u8; 32], now: Timestamp) -> Answer<DropView> {
        let known = self.inventory.drops.with_id(&command.definition.id, |entry| {
            same_request(entry, request, &command.definition)?;
            Ok(self.show_now(entry, now))
        });
        known.unwrap_or_else(|| {
            let image = self.image(&command.definition, request, self.inventory.drops.new_drop_number(), now)?;
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
        seat: NewDropNumber,
        now: Timestamp,
    ) -> Result<DropImage, Fault> {
        self.has_memory()?;
        let NewDropNumber { number, living } = seat;
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
        let mut definition = definition.clone();
        plan(&mut definition, opens_at, |_| {})?;
        define_signals(None, &mut definition, now);
        let image = DropImage { number, created_at: now, definition, request, update: None };
        fits(&image)?;
        Ok(image)
    }
}

/// Sets when what a definition plans comes, but for what `keep` sets, and gives numbers to the names of its rules.
pub(super) fn plan(
    definition: &mut Definition,
    opens_at: Timestamp,
    keep: impl FnOnce(&mut Definition),
) -> Result<(), Fault> {
    let invalid = |MomentFault { field, description }| InvalidField { field, description };
    let faults = |found: Vec<MomentFault>| Fault::Invalid(found.into_iter().map(invalid).collect());
    resolve_but(definition, opens_at, keep).map_err(faults)?;
    definition.number_names().map_err(|TooManyNames(field)| {
        let description = "the drop has had so many of these over time that no number is left for another";
        Fault::Invalid(vec![InvalidField { field: field.to_owned(), description: description.to_owned() }])
    })
}

/// Sets when the trigger of each signal was defined: now, unless the drop had the same before.
pub(super) fn define_signals(before: Option<&Definition>, definition: &mut Definition, now: Timestamp) {
    let known = before.map_or(&[][..], |before| &before.rules.signals);
    for signal in &mut definition.rules.signals {
        let same = known.iter().find(|known| known.id == signal.id && known.on == signal.on);
        signal.defined_at = same.map_or(now, |same| same.defined_at);
    }
}

/// The fact that a drop was made.
fn made(image: DropImage, Context { now: at, origin }: Context<'_>) -> DropFact {
    let pools = || image.definition.items.iter().flat_map(|item| &item.pools);
    let basis = |units| PoolBasis { received: units, taken_out: 0 };
    let stock = pools().map(|pool| PoolFigures { basis: basis(pool.units), ..PoolFigures::default() }).collect();
    let (origin, lifecycle) = (origin.clone(), Lifecycle::new(image.number));
    DropFact { verb: DropVerb::Create, at, origin, image, lifecycle, marks: Vec::new(), stock }
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
