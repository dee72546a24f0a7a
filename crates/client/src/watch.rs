//! Watches a drop without end: the stream is opened again if it breaks.

use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt as _};
use stockade_proto as pb;
use tonic::Status;

use super::calls::Shared;
use super::{Client, Error, Stockade, Watch};

impl Stockade {
    /// The whole drop, now and whenever it has changed, until the stream is dropped.
    ///
    /// If the stream breaks, it is opened again with the delays of [`Retry`](super::Retry). Each message has the
    /// whole drop, so a missed message does no harm. The stream ends after a final error, or when as many attempts in
    /// a row have failed as a call may make.
    pub fn watch_drop(&self, drop_id: impl Into<String>) -> BoxStream<'static, Result<pb::WatchDropResponse, Error>> {
        self.shared().policy.earn();
        let request = pb::WatchDropRequest { drop_id: drop_id.into() };
        let watch = Watching { shared: Arc::clone(self.shared()), request, watch: None, failures: 0, ended: false };
        stream::unfold(watch, |mut watch| async move { watch.next().await.map(|item| (item, watch)) }).boxed()
    }
}

struct Watching {
    shared: Arc<Shared>,
    request: pb::WatchDropRequest,
    watch: Option<Watch>,
    /// In a row.
    failures: u32,
    ended: bool,
}

impl Watching {
    async fn next(&mut self) -> Option<Result<pb::WatchDropResponse, Error>> {
        while !self.ended {
            match self.message().await {
                Ok(message) => {
                    self.failures = 0;
                    // As a call does: a watch of weeks outlives many restarts of the server.
                    self.shared.policy.earn();
                    return Some(Ok(message));
                }
                Err(status) => {
                    self.watch = None;
                    self.failures = self.failures.saturating_add(1);
                    let Err(error) = self.pause(status).await else { continue };
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }

    /// The next message. Opens a stream if there is none.
    async fn message(&mut self) -> Result<pb::WatchDropResponse, Status> {
        let watch = match &mut self.watch {
            Some(watch) => watch,
            none @ None => {
                let open = |client: Client| {
                    let request = self.request.clone();
                    async move { client.watch_drop(request).await }
                };
                none.insert(self.shared.attempt(self.shared.attempt_timeout, open).await?)
            }
        };
        watch.next().await
    }

    async fn pause(&self, status: Status) -> Result<(), Error> {
        let policy = &self.shared.policy;
        let delay = policy.delay(&status, self.failures).filter(|_| self.failures < policy.attempts());
        match delay {
            Some(delay) if policy.spend() => {
                tokio::time::sleep(delay).await;
                Ok(())
            }
            Some(_) | None => Err(Error::of(status, self.failures)),
        }
    }
}
