//! What operators define by an id, other than drops: create, change, delete and read definitions.
//!
//! Another kind of definition is added like this:
//!
//! 1. a variant of [`DefinedKind`] (`crates/types/src/record/defined.rs`) with a number of its own, its lock in
//!    `Definitions::lock` and its bounds in [`DefinedBounds`] (`crates/engine/src/inventory/defined.rs`). A build that
//!    does not know the number refuses the folder only if the number of a record's kind says so: once a build with kind
//!    28 is released, a further kind of definition needs a new number of a record;
//! 2. its bytes: a module that encodes and decodes the definition, without a version of the program in it. They are at
//!    most [`DEFINED_BYTES_MAX`] long;
//! 3. verbs of its own that check a request, encode it, and call [`Engine::define`], [`Engine::redefine`] and
//!    [`Engine::undefine`]. Snapshots, replay, followers and `verify` need nothing more; `journal dump` shows the bytes
//!    by the kind (`src/cli/journal/defined.rs`), and events are made of [`DefinedFact`] in `crates/feed/src/event.rs`.
//!
//! `request` is the digest of what was asked for, without what the server adds to it or fills in at random.

use stockade_types::ids::{DefinedId, Lsn};
use stockade_types::record::{
    DEFINED_BYTES_MAX, DefinedFact, DefinedImage, DefinedKind, DefinedUpdate, DefinedVerb, Record,
};

use crate::Engine;
use crate::answer::{Fault, InvalidField};
use crate::attempt::{Answer, Decided};
use crate::commit::Prepared;
use crate::context::Context;
use crate::inventory::{Defined, DefinedBounds, DefinedTable, Locked};

/// A definition that is to be created, or is to take the place of the one with its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Define {
    /// What it defines.
    pub kind: DefinedKind,
    /// Its id.
    pub id: DefinedId,
    /// Digest of the request: distinguishes the same request sent again from another one.
    pub request: [u8; 32],
    /// The definition, as its kind encodes it.
    pub bytes: Box<[u8]>,
    /// Only check it.
    pub validate_only: bool,
}

impl Engine {
    /// Creates a definition. The same request again returns the definition as it is now.
    ///
    /// # Errors
    /// [`Fault::Exists`] when the id has another one, [`Fault::Invalid`] when it is too large, [`Fault::Exhausted`] when
    /// there are too many, and faults of the journal.
    pub fn define(&self, command: Define, context: Context<'_>) -> Answer<Defined> {
        self.define_in(&mut self.inventory.definitions.lock(command.kind), command, context)
    }

    /// The same, for a caller that has the kind locked.
    pub(crate) fn define_in(&self, table: &mut DefinedTable, command: Define, context: Context<'_>) -> Answer<Defined> {
        let Define { kind, id, request, bytes, validate_only } = command;
        if let Some(known) = table.get(&id) {
            let known = decided(known.clone());
            if known.value.fact.image.request == request {
                return Ok(known);
            }
            let value = Fault::Exists { what: format!("{} {id}", kind.label()), field: "definition" };
            return Err(Decided { value, durable_after: known.durable_after });
        }
        self.has_room(table, (kind, &id), &bytes)?;
        let image = DefinedImage { kind, id, created_at: context.now, request, update: None, bytes };
        self.put(table, (DefinedVerb::Create, image), validate_only, context)
    }

    /// Changes a definition. If nothing differs, no record is written. The same request again returns the same answer,
    /// as long as no other change came after it.
    ///
    /// # Errors
    /// [`Fault::NoDefinition`]; [`Fault::Stale`] when the definition does not have the revision `base`, unless this very
    /// change was the last one; [`Fault::Invalid`] and [`Fault::Exhausted`] as for [`Engine::define`]; and faults of the
    /// journal.
    pub fn redefine(&self, command: Define, base: Lsn, context: Context<'_>) -> Answer<Defined> {
        self.redefine_in(&mut self.inventory.definitions.lock(command.kind), command, base, context)
    }

    /// The same, for a caller that has the kind locked.
    pub(crate) fn redefine_in(
        &self,
        table: &mut DefinedTable,
        command: Define,
        base: Lsn,
        context: Context<'_>,
    ) -> Answer<Defined> {
        let Define { kind, id, request, bytes, validate_only } = command;
        let Some(known) = table.get(&id) else { return Err(no_definition(kind, &id).into()) };
        let update = DefinedUpdate { base, request };
        let is_last = known.fact.image.update == Some(update);
        if is_last || (known.revision == base && known.fact.image.bytes == bytes) {
            return Ok(decided(known.clone()));
        }
        if known.revision != base {
            let what = format!("{} {id} has revision {}, not {base}: read it again", kind.label(), known.revision);
            return Err(Decided { value: Fault::Stale(what), durable_after: known.revision });
        }
        let image = DefinedImage { update: Some(update), bytes, ..known.fact.image.clone() };
        self.has_room(table, (kind, &id), &image.bytes)?;
        self.put(table, (DefinedVerb::Update, image), validate_only, context)
    }

    /// Deletes a definition. Returns whether it was there; if not, no record is written.
    ///
    /// # Errors
    /// Faults of the journal.
    pub fn undefine(&self, kind: DefinedKind, id: &DefinedId, context: Context<'_>) -> Answer<bool> {
        let mut table = self.inventory.definitions.lock(kind);
        let Some(known) = table.get(id) else {
            // It may have been deleted by a record that is not durable yet.
            return Ok(Decided { value: false, durable_after: self.journal.appended() });
        };
        let image = known.fact.image.clone();
        self.put(&mut table, (DefinedVerb::Delete, image), false, context).map(|decided| decided.map(|_deleted| true))
    }

    /// A definition as it is now.
    ///
    /// # Errors
    /// [`Fault::NoDefinition`].
    pub fn defined(&self, kind: DefinedKind, id: &DefinedId) -> Answer<Defined> {
        let table = self.inventory.definitions.lock(kind);
        table.get(id).map(|known| decided(known.clone())).ok_or_else(|| no_definition(kind, id).into())
    }

    /// Up to `most` definitions behind an id, in the order of ids, that `wanted` accepts.
    #[must_use]
    pub fn list_defined(
        &self,
        kind: DefinedKind,
        after: Option<&DefinedId>,
        most: usize,
        wanted: impl FnMut(&&Defined) -> bool,
    ) -> Decided<Vec<Defined>> {
        let table = self.inventory.definitions.lock(kind);
        let value: Vec<Defined> = table.after(after).filter(wanted).take(most).cloned().collect();
        Decided { value, durable_after: self.journal.appended() }
    }

    fn has_room(&self, table: &DefinedTable, (kind, id): (DefinedKind, &DefinedId), bytes: &[u8]) -> Result<(), Fault> {
        if bytes.len() > DEFINED_BYTES_MAX {
            let description = format!("takes {} bytes, of at most {DEFINED_BYTES_MAX}", bytes.len());
            return Err(Fault::Invalid(vec![InvalidField { field: kind.label().to_owned(), description }]));
        }
        self.has_memory()?;
        if table.has_room(id, bytes.len(), DefinedBounds::of(kind)) {
            Ok(())
        } else {
            Err(Fault::Exhausted(full(kind)))
        }
    }

    fn put(
        &self,
        table: &mut DefinedTable,
        (verb, image): (DefinedVerb, DefinedImage),
        validate_only: bool,
        Context { now, origin }: Context<'_>,
    ) -> Answer<Defined> {
        let fact = DefinedFact { verb, at: now, origin: origin.clone(), image };
        if validate_only {
            // A repeat of the request must find the revision that it has now.
            let revision = table.get(&fact.image.id).map_or(Lsn(0), |known| known.revision);
            return Ok(decided(Defined { fact: fact.into(), revision }));
        }
        let prepared = Prepared { permit: self.journal.permit()?, locked: Locked::Defined(table), taken: None };
        let revision = self.commit(Record::Defined(Box::new(fact.clone())), prepared, now)?;
        Ok(decided(Defined { fact: fact.into(), revision }))
    }
}

/// A definition depends on its last record.
fn decided(defined: Defined) -> Decided<Defined> {
    let durable_after = defined.revision;
    Decided { value: defined, durable_after }
}

fn no_definition(kind: DefinedKind, id: &DefinedId) -> Fault {
    Fault::NoDefinition(kind, id.clone())
}

const fn full(kind: DefinedKind) -> &'static str {
    match kind {
        DefinedKind::Series => "too many series, or they take too many bytes together",
        DefinedKind::Webhook => "too many webhooks, or they take too many bytes together",
    }
}
