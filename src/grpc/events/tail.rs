//! Who is at the tail: one task has what comes decoded, once for all who follow, and wakes them. It lives only while there
//! are any.

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

/// What comes is gathered for so long before it is decoded: under load many batches come in it.
const GATHERED_FOR: Duration = Duration::from_millis(5);
/// How long nothing is read after that has failed.
const AFTER_A_FAILURE: Duration = Duration::from_millis(100);

/// How the tail goes on: with each turn of it there is more; or how streams end.
type News = Result<(), Status>;

/// A follower's side. As long as it lives, the tail does.
pub type Tail = watch::Receiver<News>;

/// The tail of a server's feed.
pub struct Tails {
    feed: Arc<Feed>,
    streams: Streams,
    news: Mutex<Option<watch::Sender<News>>>,
}

impl Tails {
    /// Nobody follows yet.
    pub fn new(feed: Arc<Feed>, streams: Streams) -> Arc<Self> {
        Arc::new(Self { feed, streams, news: Mutex::default() })
    }

    /// Follows: what is appended from now on comes to the tail.
    pub fn join(self: &Arc<Self>) -> Tail {
        let mut running = self.news.lock();
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

    /// Until nobody is left, the server ends, or the journal does.
    async fn run(self: Arc<Self>, mut end: Lsn) {
        let _following = self.feed.follow();
        let mut ending = self.streams.ending();
        let (mut is_behind, mut fails) = (false, false);
        loop {
            tokio::select! {
                biased;
                // Also when nobody is left who could say so.
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
            // A panic in there ends the process through its hook.
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
            if let Some(news) = self.news.lock().as_ref() {
                news.send_modify(|last| *last = Ok(()));
            }
        }
    }

    /// Resolves once nobody follows.
    async fn deserted(&self) {
        let news = self.news.lock().clone();
        if let Some(news) = news {
            news.closed().await;
        }
    }

    /// Ends, unless somebody has come meanwhile.
    fn leave(&self) -> bool {
        let mut running = self.news.lock();
        // Looked at under the lock that joining takes.
        if running.as_ref().is_some_and(|news| news.receiver_count() > 0) {
            return false;
        }
        *running = None;
        self.feed.end_tail();
        true
    }

    /// Ends for all, with this.
    fn end(&self, status: Status) {
        let mut running = self.news.lock();
        if let Some(news) = running.take() {
            news.send_modify(|last| *last = Err(status));
        }
        self.feed.end_tail();
    }
}

/// Has the tail go on; or says what is in the way, and what ends the followers' streams where that lasts. Blocks.
fn advance(feed: &Feed) -> Result<Lsn, (FeedError, Option<Status>)> {
    feed.advance().map_err(|error| {
        let lasts = match &error {
            FeedError::History(HistoryError::Io(_)) | FeedError::Unnamed(_) => false,
            FeedError::History(
                HistoryError::NotKept { .. } | HistoryError::Beyond { .. } | HistoryError::Damage(_),
            ) => true,
        };
        let status = lasts.then(|| status::unreadable(&error, || feed.oldest().map(|oldest| feed.cursor(oldest))));
        (error, status)
    })
}
