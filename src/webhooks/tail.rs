//! The tail for webhooks: new records are decoded once for all of them.

use std::sync::Arc;
use std::time::Duration;

use stockade_feed::{Feed, Position};
use stockade_types::ids::Lsn;
use tokio::sync::watch;
use tokio::time::sleep;

/// How long new records are gathered before they are decoded.
const GATHERED_FOR: Duration = Duration::from_millis(5);
/// How much longer for each webhook: each of them is woken.
const GATHERED_FOR_EACH: Duration = Duration::from_micros(5);
/// How long to wait after a read has failed.
const AFTER_A_FAILURE: Duration = Duration::from_secs(1);

/// Decodes new records and announces them. Runs until it is dropped, or the journal ends.
pub async fn run(feed: Arc<Feed>, news: watch::Sender<()>) {
    let _following = feed.follow();
    let _tail = Tail(Arc::clone(&feed));
    let mut end = feed.begin_tail();
    let mut fails = false;
    while feed.beyond(end).await.is_ok() {
        if Position::behind(end) >= feed.end() {
            continue;
        }
        let readers = u32::try_from(news.receiver_count()).unwrap_or(u32::MAX);
        sleep(GATHERED_FOR.saturating_add(GATHERED_FOR_EACH.saturating_mul(readers))).await;
        match advanced(&feed).await {
            Ok(upto) => (end, fails) = (upto, false),
            Err(error) => {
                if !fails {
                    tracing::error!(error, "events can't be read for webhooks");
                }
                fails = true;
                sleep(AFTER_A_FAILURE).await;
                continue;
            }
        }
        news.send_modify(|()| ());
    }
}

async fn advanced(feed: &Arc<Feed>) -> Result<Lsn, String> {
    let feed = Arc::clone(feed);
    let advanced = tokio::task::spawn_blocking(move || feed.advance()).await;
    advanced.map_err(|stopped| stopped.to_string())?.map_err(|error| error.to_string())
}

/// Ends the tail when its task ends.
struct Tail(Arc<Feed>);

impl Drop for Tail {
    fn drop(&mut self) {
        self.0.end_tail();
    }
}
