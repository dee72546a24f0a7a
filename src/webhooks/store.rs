//! Webhooks in the engine: definitions are read, progress is kept, and a dead webhook is disabled.

use std::sync::{Arc, Weak};

use stockade_engine::Engine;
use stockade_engine::context::Context;
use stockade_engine::inventory::Defined;
use stockade_engine::operators::define::Define;
use stockade_types::ids::DefinedId;
use stockade_types::record::{DefinedKind, Origin};
use stockade_types::time::Timestamp;
use stockade_types::webhook::{Progress, Webhook, WebhookProgress};
use tokio::sync::mpsc;

use super::hook::{Contract, Hook};

/// Definitions that are read at once.
const LISTED_AT_ONCE: usize = 500;

/// The engine's webhooks.
#[derive(Debug, Clone)]
pub(super) struct Store {
    /// Weak: deliveries do not keep a term's engine.
    engine: Weak<Engine>,
    changed: mpsc::Sender<DefinedId>,
}

impl Store {
    /// Of this engine; ids of webhooks that are changed here are sent to `changed`.
    pub(super) fn new(engine: &Arc<Engine>, changed: mpsc::Sender<DefinedId>) -> Self {
        Self { engine: Arc::downgrade(engine), changed }
    }

    /// A webhook as it is defined now, with its progress; none if it is not defined.
    pub(super) fn get(&self, id: &DefinedId, contract: &Contract) -> Option<(Hook, Option<Progress>)> {
        let engine = self.engine.upgrade()?;
        let defined = engine.defined(DefinedKind::Webhook, id).ok()?.value;
        Some((hook(&defined, contract)?, engine.webhook_progress(id)))
    }

    /// The ids of all webhooks.
    pub(super) fn ids(&self) -> Vec<DefinedId> {
        let Some(engine) = self.engine.upgrade() else { return Vec::new() };
        let mut ids: Vec<DefinedId> = Vec::new();
        loop {
            let after = ids.last().cloned();
            let listed = engine.list_defined(DefinedKind::Webhook, after.as_ref(), LISTED_AT_ONCE, |_| true).value;
            if listed.is_empty() {
                return ids;
            }
            ids.extend(listed.iter().map(|defined| defined.fact.image.id.clone()));
        }
    }

    /// Disables a webhook, unless its definition has changed meanwhile.
    pub(super) fn disable(&self, hook: &Hook, why: &str, now: Timestamp) {
        let Some(engine) = self.engine.upgrade() else { return };
        let disabled = Webhook { is_enabled: false, disabled_because: why.to_owned(), ..hook.webhook.clone() };
        let bytes = disabled.encode().into_boxed_slice();
        let request = *blake3::hash(&bytes).as_bytes();
        let kind = DefinedKind::Webhook;
        let change = Define { kind, id: hook.id.clone(), request, bytes, validate_only: false };
        let context = Context { now, origin: &Origin::ENGINE };
        match engine.redefine(change, hook.revision, context) {
            Ok(_disabled) => {
                tracing::warn!(webhook = %hook.id, why, "a webhook was disabled");
            }
            // It was changed, or the journal has no room: the next failure asks again.
            Err(fault) => {
                tracing::warn!(webhook = %hook.id, why, fault = %fault.value, "a webhook is not disabled yet");
            }
        }
        // If the queue is full, the manager reads this definition again with a later change or failure.
        let _queued = self.changed.try_send(hook.id.clone());
    }

    /// Keeps progress in the journal. Returns whether it is there.
    pub(super) fn keep(&self, progress: Vec<WebhookProgress>, now: Timestamp) -> bool {
        let Some(engine) = self.engine.upgrade() else { return false };
        engine.keep_progress(progress, Context { now, origin: &Origin::ENGINE }).is_ok()
    }
}

fn hook(defined: &Defined, contract: &Contract) -> Option<Hook> {
    let image = &defined.fact.image;
    let webhook = Webhook::decode(&image.bytes);
    if let Err(error) = &webhook {
        tracing::error!(webhook = %image.id, %error, "a webhook's definition can't be read");
    }
    let webhook = webhook.ok()?;
    let filter = (contract.filter)(&webhook.filter);
    Some(Hook { id: image.id.clone(), created_at: image.created_at, revision: defined.revision, webhook, filter })
}
