//! How far the deliveries of webhooks are. The engine keeps it, and neither makes deliveries nor reads events.

use stockade_types::ids::{DefinedId, Lsn};
use stockade_types::record::{DELIVERED_MAX, DefinedKind, Delivered, Record};
use stockade_types::webhook::{Progress, WebhookProgress};

use crate::Engine;
use crate::answer::Fault;
use crate::attempt::{Answer, Decided};
use crate::commit::Prepared;
use crate::context::Context;
use crate::inventory::Locked;

impl Engine {
    /// Keeps how far the deliveries of these webhooks are: one record, of at most [`DELIVERED_MAX`].
    ///
    /// # Errors
    /// [`Fault::Precondition`] if there are more, and faults of the journal.
    pub fn keep_progress(&self, webhooks: Vec<WebhookProgress>, context: Context<'_>) -> Answer<Lsn> {
        if webhooks.len() > DELIVERED_MAX {
            return Err(Fault::Precondition(format!("at most {DELIVERED_MAX} webhooks at once")).into());
        }
        let mut table = self.inventory.definitions.lock(DefinedKind::Webhook);
        let prepared = Prepared { permit: self.journal.permit()?, locked: Locked::Defined(&mut table), taken: None };
        let record = Record::Delivered(Delivered { at: context.now, webhooks });
        let lsn = self.commit(record, prepared, context.now)?;
        Ok(Decided { value: lsn, durable_after: lsn })
    }

    /// How far the deliveries of a webhook are; none if the journal does not say.
    #[must_use]
    pub fn webhook_progress(&self, id: &DefinedId) -> Option<Progress> {
        self.inventory.definitions.lock(DefinedKind::Webhook).progress(id).cloned()
    }
}
