//! Channels: events as messages to people, by HTTP or mail, in the words of templates.
//!
//! Which channels there are stands in the configuration. They have a thread of their own, which runs only if there are
//! some. Events come from the feed, behind each channel's own position, which the journal keeps. A channel sends one
//! message at a time, so it needs no queue: what waits stays in the journal.

pub mod bounds;
pub mod channel;
pub mod context;
mod mail;
pub mod message;
pub mod metrics;
pub mod sample;
pub mod send;
pub mod template;
mod worker;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use stockade_engine::Engine;
use stockade_engine::context::Context;
use stockade_feed::Feed;
use stockade_types::record::Origin;
use stockade_types::time::Clock;
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

pub use channel::Channel;
pub use metrics::ChannelMetrics;

use crate::webhooks::{Contract, NotStarted, post, tail};
use context::Contexts;
use send::Sender;
use worker::{Shared, Worker};

/// Most channels.
pub const CHANNELS_MAX: usize = stockade_engine::inventory::CHANNELS_MAX;
/// Reads of files at once.
const READS_AT_ONCE: usize = 2;
/// Threads for reading files and resolving names: more than names can occupy, by HTTP and by SMTP.
const BLOCKING_THREADS: usize = 24;
const _: () = assert!(
    2 * (post::RESOLVED_AT_ONCE + post::RESOLVED_AGAIN_AT_ONCE) + READS_AT_ONCE + 1 < BLOCKING_THREADS,
    "names leave threads for files"
);
/// How long a stopping server waits for messages that are on their way.
const ENDED_WITHIN: Duration = Duration::from_secs(5);

/// The thread that sends. Dropped, it begins nothing more, and waits a few seconds for what is on its way.
pub struct Sending {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// Starts to send the messages of these channels; none if there are none, or no events are kept. What the journal knows
/// of other channels is forgotten.
///
/// # Errors
/// [`NotStarted`].
pub fn start(
    engine: &Arc<Engine>,
    clock: Arc<dyn Clock>,
    channels: &[Channel],
    (contract, metrics): (Contract, &ChannelMetrics),
) -> Result<Option<Sending>, NotStarted> {
    forget_others(engine, clock.as_ref(), channels);
    let Some(history) = engine.history().filter(|_| !channels.is_empty()) else { return Ok(None) };
    let of_names = Arc::downgrade(engine);
    let names = move |number| of_names.upgrade().and_then(|engine| engine.definition(number));
    let feed = Arc::new(Feed::new(history, names));
    let shared = Arc::new(Shared {
        engine: Arc::downgrade(engine),
        feed: Arc::clone(&feed),
        clock,
        contract,
        contexts: Contexts::new()?,
        sender: Sender::default(),
        reads: Arc::new(Semaphore::new(READS_AT_ONCE)),
    });
    let (news, stops) = (watch::Sender::new(()), watch::Sender::new(false));
    let workers: Vec<Worker> = channels
        .iter()
        .map(|channel| {
            let begins = (engine.channel_progress(&channel.name), feed.end());
            let wakes = (news.subscribe(), stops.subscribe());
            let metrics = metrics.of(channel.name.as_str());
            Worker::new(Arc::clone(&shared), Arc::new(channel.clone()), metrics, begins, wakes)
        })
        .collect();
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("stockade-channel-files")
        .build()?;
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new().name("stockade-channels".to_owned()).spawn(move || {
        runtime.block_on(run(workers, feed, (news, stops), stopped));
        // A name that is being resolved is not waited for.
        runtime.shutdown_background();
    })?;
    tracing::info!(channels = channels.len(), "messages are sent");
    Ok(Some(Sending { stop, thread }))
}

/// Forgets how far channels are that are not configured any more.
fn forget_others(engine: &Engine, clock: &dyn Clock, channels: &[Channel]) {
    let others = engine.channels().into_iter().filter(|name| channels.iter().all(|channel| channel.name != *name));
    for name in others {
        let context = Context { now: clock.now(), origin: &Origin::ENGINE };
        match engine.keep_channel(name.clone(), None, context) {
            Ok(_forgotten) => tracing::info!(channel = %name, "a channel is not configured any more: it is forgotten"),
            Err(fault) => tracing::warn!(channel = %name, fault = %fault.value, "a channel is not forgotten yet"),
        }
    }
}

async fn run(
    workers: Vec<Worker>,
    feed: Arc<Feed>,
    (news, stops): (watch::Sender<()>, watch::Sender<bool>),
    stopped: oneshot::Receiver<()>,
) {
    let tail = tokio::spawn(tail::run(feed, news.clone()));
    let mut running: JoinSet<()> = workers.into_iter().map(Worker::run).collect();
    // Its sender is gone only if nobody can stop it any more.
    let _stops = stopped.await;
    stops.send_replace(true);
    let deadline = Instant::now() + ENDED_WITHIN;
    while !running.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        if timeout(left, running.join_next()).await.is_err() {
            tracing::warn!(channels = running.len(), "messages in flight were left behind: they may be sent again");
            break;
        }
    }
    running.abort_all();
    tail.abort();
}

impl Sending {
    /// Ends: messages in flight are waited for, at most 5 s, and how far channels are is kept. Blocks.
    pub fn stop(self) {
        let Self { stop, thread } = self;
        // Its receiver is gone only if the thread has ended.
        let _ended = stop.send(());
        // A panic would have ended the process through its hook.
        let _joined = thread.join();
    }
}
