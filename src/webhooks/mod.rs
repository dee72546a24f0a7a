//! Webhooks: events as signed POSTs to those who asked for them, at least once, in order for each drop.
//!
//! Nothing here is on a request's way: deliveries have a thread of their own, and bounds on what they hold. Events come
//! from the feed, behind each webhook's own position, which the journal keeps. This module neither defines webhooks nor
//! knows calls.

pub mod address;
pub mod envelope;
pub mod hook;
pub mod ledger;
mod manager;
pub mod metrics;
pub mod outcome;
pub mod post;
pub mod retry;
pub mod signature;
mod store;
pub mod tail;
pub mod turns;
pub mod window;
mod worker;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use stockade_engine::Engine;
use stockade_feed::Feed;
use stockade_proto as pb;
use stockade_types::ids::DefinedId;
use stockade_types::time::{Clock, Timestamp};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, oneshot};

pub use hook::Contract;
pub use ledger::{Attempt, Shown};
pub use metrics::WebhookMetrics;

use address::Reach;
use envelope::Envelopes;
use hook::{Parts, Posted, Shared};
use ledger::Ledger;
use manager::{Ledgers, Manager};
use post::Poster;
use store::Store;
use turns::Pace;

/// Changes of definitions that may wait to be taken in.
const CHANGES_MAX: usize = 1_024;
/// Threads for reading files and resolving names. Names can occupy all that they have turns for, for as long as no name
/// server answers; the others are for the tail and for reads of files.
const BLOCKING_THREADS: usize = 12;
const _: () = assert!(post::RESOLVED_AT_ONCE + post::RESOLVED_AGAIN_AT_ONCE + hook::READS_AT_ONCE < BLOCKING_THREADS);
/// Deliveries at once, of all webhooks, however few files are left for them.
const AT_ONCE_MIN: usize = 3;
/// Most deliveries at once, of all webhooks.
const AT_ONCE_MAX: usize = 128;

/// What webhooks need of the server.
pub struct Setup {
    /// Counters.
    pub metrics: Arc<WebhookMetrics>,
    /// Functions of the layer that knows the wire.
    pub contract: Contract,
    /// Which addresses may be reached.
    pub reach: Reach,
    /// Files that deliveries may open at once.
    pub files: u64,
}

/// Webhooks can't be served.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    /// No thread or runtime.
    #[error("no thread for webhooks")]
    Thread(#[from] io::Error),
    /// The contract is broken.
    #[error(transparent)]
    Contract(#[from] envelope::BrokenEvents),
}

/// The webhooks of a server, for those who define them and ask for them.
pub struct Webhooks {
    shared: Arc<Shared>,
    ledgers: Arc<Ledgers>,
    changed: mpsc::Sender<DefinedId>,
    runtime: Handle,
    reach: Reach,
}

/// The thread that delivers. Dropped, it ends at once; progress since the last second is delivered again then.
pub struct Delivering {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Webhooks {
    /// Starts to deliver the events of this engine's journal; none if it keeps none.
    ///
    /// # Errors
    /// [`NotStarted`].
    pub fn start(
        engine: &Arc<Engine>,
        clock: Arc<dyn Clock>,
        setup: Setup,
    ) -> Result<Option<(Arc<Self>, Delivering)>, NotStarted> {
        let Setup { metrics, contract, reach, files } = setup;
        let Some(history) = engine.history() else { return Ok(None) };
        let of_names = Arc::downgrade(engine);
        let names = move |number| of_names.upgrade().and_then(|engine| engine.definition(number));
        let feed = Arc::new(Feed::new(history, names));
        let (changed, queue) = mpsc::channel(CHANGES_MAX);
        let poster = Poster::new(reach).map_err(|error| error.to_string());
        if let Err(error) = &poster {
            tracing::error!(error, "webhooks can't be delivered");
        }
        let shared = Arc::new(Shared::new(Parts {
            envelopes: Envelopes::new(feed.journal().to_string())?,
            store: Store::new(engine, changed.clone()),
            feed,
            contract,
            clock,
            metrics,
            poster,
            at_once: usize::try_from(files).unwrap_or(AT_ONCE_MAX).clamp(AT_ONCE_MIN, AT_ONCE_MAX),
        }));
        let ledgers = Arc::new(Ledgers::default());
        let manager = Manager::new(Arc::clone(&shared), Arc::clone(&ledgers));
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_name("stockade-webhook-files")
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("stockade-webhooks".to_owned()).spawn(move || {
            runtime.block_on(manager.run(queue, stopped));
            // A name that is being resolved is not waited for.
            runtime.shutdown_background();
        })?;
        let webhooks = Self { shared, ledgers, changed, runtime: handle, reach };
        Ok(Some((Arc::new(webhooks), Delivering { stop, thread })))
    }

    /// Which addresses may be reached.
    #[must_use]
    pub const fn reach(&self) -> Reach {
        self.reach
    }

    /// Its feed.
    #[must_use]
    pub fn feed(&self) -> &Arc<Feed> {
        &self.shared.feed
    }

    /// Takes in that a definition was made, changed or deleted.
    pub async fn changed(&self, id: DefinedId) {
        // Fails only once deliveries have ended.
        let _ended = self.changed.send(id).await;
    }

    /// What is known of the deliveries of the webhook that was created then; none before they have begun.
    #[must_use]
    pub fn shown(&self, id: &DefinedId, created_at: Timestamp) -> Option<Shown> {
        self.ledger(id, created_at).map(|ledger| ledger.shown())
    }

    fn ledger(&self, id: &DefinedId, created_at: Timestamp) -> Option<Arc<Ledger>> {
        self.ledgers.lock().get(id).filter(|ledger| ledger.created_at() == created_at).cloned()
    }

    /// Sends a test event, and returns what came back; none if there is no such webhook, or deliveries have ended.
    pub async fn test(&self, id: &DefinedId) -> Option<Attempt> {
        let (hook, _) = self.shared.store.get(id, &self.shared.contract)?;
        let (shared, ledger) = (Arc::clone(&self.shared), self.ledger(id, hook.created_at));
        // On the thread that delivers: connections belong to its runtime.
        let tested = self.runtime.spawn(async move {
            let at = shared.clock.now();
            let Posted { event_id, events, answer } =
                shared.post(&hook, vec![test_event(&shared, at)], (Pace::Prompt, false)).await;
            let (outcome, status) = (answer.outcome, answer.status);
            let attempt = Attempt { at, event_id, events, status, error: answer.error, took: answer.took };
            if let Some(ledger) = ledger {
                ledger.tested(attempt.clone(), outcome, shared.clock.now());
            }
            attempt
        });
        tested.await.ok()
    }
}

/// An event that is in no journal. Its id names the last record, and the instant, so that no other event has it.
fn test_event(shared: &Shared, at: Timestamp) -> pb::Event {
    let end = shared.feed.end();
    let lsn = end.lsn().0;
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    let nanos = i32::try_from(millis.rem_euclid(1_000).saturating_mul(1_000_000)).unwrap_or(0);
    pb::Event {
        id: format!("{}-{lsn}-test.{millis}", shared.feed.journal()),
        cursor: shared.feed.cursor(end),
        time: Some(prost_types::Timestamp { seconds: millis.div_euclid(1_000), nanos }),
        r#type: "stockade.webhook.test".to_owned(),
        lsn,
        ..pb::Event::default()
    }
}

impl Delivering {
    /// Ends deliveries: those in flight are waited for, at most 2 s, and progress is kept. Blocks.
    pub fn stop(self) {
        let Self { stop, thread } = self;
        // Its receiver is gone only if the thread has ended.
        let _ended = stop.send(());
        // A panic would have ended the process through its hook.
        let _joined = thread.join();
    }
}
