//! The tail of the feed: one task decodes new records once for all followers, and wakes them. It runs only while
//! there are followers.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use stockade_feed::{Feed, FeedError, HistoryError, Position};
use stockade_types::ids::Lsn;
use tokio::sync::watch;
use tokio::time::sleep;
use tonic::Status;

use crate::grpc::status;
use crate::grpc::stream::Streams;

/// How long new records are gathered before they are decoded; under load many batches arrive in this time.
const GATHERED_FOR: Duration = Duration::from_millis(5);
/// How long to wait after a read has failed.
const AFTER_A_FAILURE: Duration = Duration::from_millis(100);

/// Each change means that there are new events; an error ends the followers' streams.
type TailState = Result<(), Status>;

/// A follower's receiver. The tail runs while there is one.
pub(super) type Tail = watch::Receiver<TailState>;

/// The tail of a server's feed.
pub(super) struct Tails {
    feed: Arc<Feed>,
    streams: Streams,
    sender: Mutex<Option<watch::Sender<TailState>>>,
}

impl Tails {
    /// Without followers.
    pub(super) fn new(feed: Arc<Feed>, streams: Streams) -> Arc<Self> {
        Arc::new(Self { feed, streams, sender: Mutex::default() })
    }

    /// Follows: records that are appended from now on are decoded at the tail.
    pub(super) fn join(self: &Arc<Self>) -> Tail {
        let mut running = self.sender.lock();
        if let Some(news) = running.as_ref() {
            return news.subscribe();
        }
        let (news, tail) = watch::channel(Ok(()));
        *running = Some(news);
        let end = self.feed.begin_tail();
        drop(running);
        tokio::spawn(Arc::clone(self).run(end));
        tail
    }

    /// Runs until there are no followers, the server stops, or the journal ends.
    async fn run(self: Arc<Self>, mut end: Lsn) {
        let _following = self.feed.follow();
        let mut ending = self.streams.ending();
        let (mut is_behind, mut fails) = (false, false);
        loop {
            tokio::select! {
                biased;
                // Also if the sender is gone.
                _ended = ending.wait_for(|ended| *ended) => return self.end(status::stopping()),
                () = self.deserted() => {
                    if self.leave() {
                        return;
                    }
                    continue;
                }
                reached = self.feed.beyond(end) => {
                    if reached.is_err() {
                        return self.end(status::stopping());
                    }
                }
            }
            if !is_behind {
                sleep(GATHERED_FOR).await;
            }
            let feed = Arc::clone(&self.feed);
            // A panic would have ended the process through its hook.
            let Ok(advanced) = tokio::task::spawn_blocking(move || advance(&feed)).await else {
                return self.end(status::stopping());
            };
            match advanced {
                Ok(upto) => (end, fails) = (upto, false),
                Err((error, lasting)) => {
                    if !fails {
                        tracing::error!(%error, "events can't be read");
                    }
                    if let Some(status) = lasting.or_else(|| self.feed.has_ended().then(status::stopping)) {
                        return self.end(status);
                    }
                    fails = true;
                    sleep(AFTER_A_FAILURE).await;
                    continue;
                }
            }
            is_behind = Position::behind(end) < self.feed.end();
            if let Some(news) = self.sender.lock().as_ref() {
                news.send_modify(|last| *last = Ok(()));
            }
        }
    }

    /// Resolves once there are no followers.
    async fn deserted(&self) {
        let news = self.sender.lock().clone();
        if let Some(news) = news {
            news.closed().await;
        }
    }

    /// Ends the tail, unless a follower has joined meanwhile.
    fn leave(&self) -> bool {
        let mut running = self.sender.lock();
        // Checked under the lock that joining takes.
        if running.as_ref().is_some_and(|news| news.receiver_count() > 0) {
            return false;
        }
        *running = None;
        self.feed.end_tail();
        true
    }

    /// Ends all followers' streams with this status.
    fn end(&self, status: Status) {
        let mut running = self.sender.lock();
        if let Some(news) = running.take() {
            news.send_modify(|last| *last = Err(status));
        }
        self.feed.end_tail();
    }
}

/// Advances the tail. On failure returns the error, and the status for the followers if the error is lasting. Blocks.
fn advance(feed: &Feed) -> Result<Lsn, (FeedError, Option<Status>)> {
    feed.advance().map_err(|error| {
        let lasts = match &error {
            FeedError::History(HistoryError::Io(_)) | FeedError::Unnamed(_) => false,
            FeedError::History(
                HistoryError::NotKept { .. } | HistoryError::Beyond { .. } | HistoryError::Damage(_),
            )
            | FeedError::Unknown(_) => true,
        };
        let status = lasts.then(|| status::unreadable(&error, || feed.oldest().map(|oldest| feed.cursor(oldest))));
        (error, status)
    })
}
