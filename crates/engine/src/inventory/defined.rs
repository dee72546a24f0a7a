//! What operators define by an id, other than drops: by kind and id, bounded in number and bytes.
//!
//! Each kind has a lock of its own, which is taken before the registry of drops. No request of a customer takes one.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use stockade_types::ids::{DefinedId, Lsn};
use stockade_types::record::{DefinedFact, DefinedKind, DefinedVerb, Delivered, Record};
use stockade_types::time::Timestamp;
use stockade_types::webhook::{Progress, WebhookProgress};

use super::apply::ReplayError;

/// A definition as its last record left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defined {
    /// The last record of it.
    pub fact: Arc<DefinedFact>,
    /// That record's LSN: the definition's revision.
    pub revision: Lsn,
}

/// How much may be defined of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DefinedBounds {
    /// Most definitions.
    pub count: usize,
    /// Most bytes of all of them together, encoded.
    pub bytes: usize,
}

/// All definitions of one kind.
#[derive(Debug, Default)]
pub struct DefinedTable {
    known: BTreeMap<DefinedId, Defined>,
    /// The sum of their bytes.
    bytes: usize,
    /// How far the deliveries of webhooks are, with the record that says so. Only of those that are known.
    progress: BTreeMap<DefinedId, (Lsn, Progress)>,
}

/// All definitions.
#[derive(Debug, Default)]
pub struct Definitions([Mutex<DefinedTable>; DefinedKind::ALL.len()]);

impl DefinedBounds {
    /// The bounds of a kind.
    #[must_use]
    pub const fn of(kind: DefinedKind) -> Self {
        match kind {
            DefinedKind::Series => Self { count: 2_000, bytes: 64 * 1024 * 1024 },
            DefinedKind::Webhook => Self { count: 10_000, bytes: 64 * 1024 * 1024 },
        }
    }
}

impl Definitions {
    /// Locks those of one kind.
    pub fn lock(&self, kind: DefinedKind) -> MutexGuard<'_, DefinedTable> {
        let [series, webhooks] = &self.0;
        match kind {
            DefinedKind::Series => series.lock(),
            DefinedKind::Webhook => webhooks.lock(),
        }
    }

    /// Applies a record of a journal, or an image of a snapshot. All records before it are applied already, but a
    /// snapshot may contain the effect of later ones. Returns whether it changed anything.
    ///
    /// # Errors
    /// [`ReplayError`] when the record contradicts those before it.
    pub(super) fn follow(&self, lsn: Lsn, fact: &DefinedFact) -> Result<bool, ReplayError> {
        let mut table = self.lock(fact.image.kind);
        table.fits(lsn, fact)?;
        Ok(table.apply(lsn, fact))
    }

    /// Applies how far deliveries of webhooks are: a record of a journal, or an image of a snapshot.
    pub(super) fn delivered(&self, lsn: Lsn, delivered: &Delivered) {
        self.lock(DefinedKind::Webhook).delivered(lsn, delivered);
    }

    /// Each definition's last record, with its revision; behind those of a kind, how far deliveries are.
    #[must_use]
    pub fn images(&self) -> Vec<(Lsn, Record)> {
        let image = |defined: &Defined| (defined.revision, Record::Defined(Box::new(defined.fact.as_ref().clone())));
        let of_table = |table: &Mutex<DefinedTable>| {
            let table = table.lock();
            table.known.values().map(image).chain(table.progress_images()).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of_table).collect()
    }
}

impl DefinedTable {
    /// The definition with this id.
    #[must_use]
    pub fn get(&self, id: &DefinedId) -> Option<&Defined> {
        self.known.get(id)
    }

    /// Those behind an id, in the order of ids; all of them without one.
    pub fn after<'a>(&'a self, id: Option<&'a DefinedId>) -> impl Iterator<Item = &'a Defined> {
        let from = id.map_or(Bound::Unbounded, Bound::Excluded);
        self.known.range::<DefinedId, _>((from, Bound::Unbounded)).map(|(_, defined)| defined)
    }

    /// Their number.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Whether a definition of this size, instead of the one that has its id, keeps the bounds.
    #[must_use]
    pub fn has_room(&self, id: &DefinedId, bytes: usize, bounds: DefinedBounds) -> bool {
        let DefinedBounds { count, bytes: bytes_max } = bounds;
        let known = self.known.get(id).map(|known| known.fact.image.bytes.len());
        let rest = self.bytes.saturating_sub(known.unwrap_or(0));
        (known.is_some() || self.known.len() < count) && rest.saturating_add(bytes) <= bytes_max
    }

    /// Applies a record. Returns false if the definition has seen it already.
    pub(super) fn apply(&mut self, lsn: Lsn, fact: &DefinedFact) -> bool {
        let id = &fact.image.id;
        if fact.verb == DefinedVerb::Delete {
            // Also if another one has its id by now, as a snapshot shows it while older records are read.
            if self.progress.get(id).is_some_and(|(known, _)| *known < lsn) {
                self.progress.remove(id);
            }
        }
        let known = self.known.get(id);
        if known.is_some_and(|known| known.revision >= lsn) {
            return false;
        }
        self.bytes = self.bytes.saturating_sub(known.map_or(0, |known| known.fact.image.bytes.len()));
        match fact.verb {
            DefinedVerb::Create | DefinedVerb::Update => {
                self.bytes = self.bytes.saturating_add(fact.image.bytes.len());
                self.known.insert(id.clone(), Defined { fact: Arc::new(fact.clone()), revision: lsn });
            }
            DefinedVerb::Delete => {
                self.known.remove(id);
            }
        }
        true
    }

    /// How far the deliveries of a webhook are; none if the journal does not say.
    #[must_use]
    pub fn progress(&self, id: &DefinedId) -> Option<&Progress> {
        self.progress.get(id).map(|(_, progress)| progress)
    }

    /// Applies how far deliveries are. Left out are those of webhooks that are unknown or were created at another time,
    /// since the one that is meant was deleted meanwhile, and of webhooks that have seen the record already.
    pub(super) fn delivered(&mut self, lsn: Lsn, Delivered { at: _, webhooks }: &Delivered) {
        for WebhookProgress { webhook, created_at, progress } in webhooks {
            let is_new = self.progress.get(webhook).is_none_or(|(known, _)| *known < lsn);
            let is_meant = self.known.get(webhook).is_some_and(|known| known.fact.image.created_at == *created_at);
            if is_new && is_meant {
                self.progress.insert(webhook.clone(), (lsn, progress.clone()));
            }
        }
    }

    fn progress_images(&self) -> impl Iterator<Item = (Lsn, Record)> {
        self.progress.iter().filter_map(|(webhook, (lsn, progress))| {
            let created_at = self.known.get(webhook)?.fact.image.created_at;
            let entry = WebhookProgress { webhook: webhook.clone(), created_at, progress: progress.clone() };
            Some((*lsn, Record::Delivered(Delivered { at: Timestamp(0), webhooks: vec![entry] })))
        })
    }

    /// Checks that a record is possible. One that changes what is missing is: a snapshot was taken after the definition
    /// was deleted, and began before this change of it.
    fn fits(&self, lsn: Lsn, fact: &DefinedFact) -> Result<(), ReplayError> {
        let DefinedFact { verb, image, .. } = fact;
        let Some(known) = self.known.get(&image.id).filter(|known| known.revision < lsn) else { return Ok(()) };
        let what = match verb {
            DefinedVerb::Create => "is created twice",
            DefinedVerb::Update if image.update.is_none_or(|update| update.base != known.revision) => {
                "is changed as another record left it"
            }
            DefinedVerb::Delete if image.bytes != known.fact.image.bytes => "is deleted as another record left it",
            DefinedVerb::Update | DefinedVerb::Delete => return Ok(()),
        };
        Err(ReplayError::Record { lsn, what: format!("{} {} {what}", image.kind.label(), image.id) })
    }
}

#[cfg(test)]
mod tests;
