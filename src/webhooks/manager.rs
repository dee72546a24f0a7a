//! Starts and stops the workers as definitions change, keeps their progress in the journal, and ends them in order.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use stockade_types::ids::DefinedId;
use stockade_types::webhook::WebhookProgress;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::hook::{Hook, Shared};
use super::ledger::Ledger;
use super::tail;
use super::worker::Worker;

/// How often progress is kept.
const KEPT_EVERY: Duration = Duration::from_secs(1);
/// Progress of this many webhooks is one record.
const KEPT_AT_ONCE: usize = 400;
/// How long a stopping server waits for deliveries that are on their way.
const ENDED_WITHIN: Duration = Duration::from_secs(2);

/// The ledgers of all webhooks.
pub(super) type Ledgers = Mutex<HashMap<DefinedId, Arc<Ledger>>>;

/// A worker that runs.
struct Running {
    hook: watch::Sender<Arc<Hook>>,
    ledger: Arc<Ledger>,
}

/// Manages the workers.
pub(super) struct Manager {
    shared: Arc<Shared>,
    ledgers: Arc<Ledgers>,
    running: HashMap<DefinedId, Running>,
    workers: JoinSet<()>,
    news: watch::Sender<()>,
    tail: Option<AbortHandle>,
}

impl Manager {
    pub(super) fn new(shared: Arc<Shared>, ledgers: Arc<Ledgers>) -> Self {
        let (running, workers, news) = (HashMap::new(), JoinSet::new(), watch::Sender::new(()));
        Self { shared, ledgers, running, workers, news, tail: None }
    }

    /// Runs until it is stopped, or nobody can stop it any more.
    pub(super) async fn run(mut self, mut changed: mpsc::Receiver<DefinedId>, mut stop: oneshot::Receiver<()>) {
        for id in self.shared.store.ids() {
            self.follow(id);
        }
        let mut keep = interval(KEPT_EVERY);
        keep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _stopped = &mut stop => break,
                _now = keep.tick() => self.keep(),
                Some(_ended) = self.workers.join_next(), if !self.workers.is_empty() => {}
                Some(id) = changed.recv() => self.follow(id),
            }
        }
        self.end().await;
    }

    /// Takes in a webhook as it is defined now.
    fn follow(&mut self, id: DefinedId) {
        let Some((hook, progress)) = self.shared.store.get(&id, &self.shared.contract) else {
            self.running.remove(&id);
            self.ledgers.lock().remove(&id);
            self.follow_the_tail();
            return;
        };
        // Another one that was created since is not this one: it begins anew.
        let same = self.running.get(&id).filter(|running| running.ledger.created_at() == hook.created_at);
        if let Some(running) = same {
            let was = Arc::clone(&*running.hook.borrow());
            if was.revision >= hook.revision {
                return;
            }
            if was.webhook.since != hook.webhook.since {
                running.ledger.forgive();
            }
            running.hook.send_replace(Arc::new(hook));
            return;
        }
        let ledger = Arc::new(Ledger::new(hook.created_at, &hook.webhook, progress.as_ref()));
        self.ledgers.lock().insert(id.clone(), Arc::clone(&ledger));
        let (sender, receiver) = watch::channel(Arc::new(hook));
        let (shared, news) = (Arc::clone(&self.shared), self.news.subscribe());
        self.workers.spawn(Worker::new(shared, Arc::clone(&ledger), receiver, news).run());
        self.running.insert(id, Running { hook: sender, ledger });
        self.follow_the_tail();
    }

    /// The tail runs while there are webhooks.
    fn follow_the_tail(&mut self) {
        match (&self.tail, self.running.is_empty()) {
            (None, false) => {
                let running = tokio::spawn(tail::run(Arc::clone(&self.shared.feed), self.news.clone()));
                self.tail = Some(running.abort_handle());
            }
            (Some(tail), true) => {
                tail.abort();
                self.tail = None;
            }
            (None, true) | (Some(_), false) => {}
        }
    }

    /// Keeps what has changed since it was kept last.
    fn keep(&self) {
        let behind = self.running.values().map(|running| running.ledger.behind()).fold(0, u64::saturating_add);
        self.shared.metrics.behind.set(behind);
        let changed = self.running.iter().filter_map(|(id, running)| {
            let progress = running.ledger.take_changed()?;
            let created_at = running.ledger.created_at();
            Some((WebhookProgress { webhook: id.clone(), created_at, progress }, &running.ledger))
        });
        let changed: Vec<_> = changed.collect();
        for piece in changed.chunks(KEPT_AT_ONCE) {
            let progress = piece.iter().map(|(progress, _)| progress.clone()).collect();
            if !self.shared.store.keep(progress, self.shared.clock.now()) {
                for (_, ledger) in piece {
                    ledger.keep_again();
                }
            }
        }
    }

    /// Lets deliveries that are on their way end, and keeps what became of them.
    async fn end(mut self) {
        // Workers end once their definition's sender is gone.
        let ledgers: Vec<(DefinedId, Arc<Ledger>)> =
            self.running.iter().map(|(id, running)| (id.clone(), Arc::clone(&running.ledger))).collect();
        let senders = std::mem::take(&mut self.running);
        drop(senders);
        let deadline = Instant::now() + ENDED_WITHIN;
        while !self.workers.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if timeout(left, self.workers.join_next()).await.is_err() {
                tracing::warn!(webhooks = self.workers.len(), "deliveries in flight were left behind");
                break;
            }
        }
        self.workers.abort_all();
        if let Some(tail) = self.tail.take() {
            tail.abort();
        }
        let changed = ledgers.into_iter().filter_map(|(webhook, ledger)| {
            let progress = ledger.take_last()?;
            Some(WebhookProgress { webhook, created_at: ledger.created_at(), progress })
        });
        let changed: Vec<_> = changed.collect();
        for piece in changed.chunks(KEPT_AT_ONCE) {
            if !self.shared.store.keep(piece.to_vec(), self.shared.clock.now()) {
                tracing::warn!("the progress of webhooks could not be kept: some events will be delivered again");
            }
        }
    }
}
