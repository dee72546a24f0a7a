//! A drop's statuses as server-sent events: at once, then when something that is shown has changed.
//!
//! A stream holds the version that it sent last and waits for the next. What it sends is made once for all who are sent
//! it at that time. A slow reader misses versions, never the last.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use stockade_types::ids::DropId;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::timeout;

use super::Public;
use super::api;
use super::cache::Made;
use super::policy;
use crate::grpc::{Latest, Snapshot};

/// A comment is sent after this time without a change: it shows both sides that the other is there.
const COMMENT_AFTER: Duration = Duration::from_secs(15);
/// The comment.
const COMMENT: Bytes = Bytes::from_static(b": still here\n\n");
/// After how many milliseconds a reader comes again when the stream ends,
const RETRY: u16 = 2_000;
/// and how many more at most: readers that lost a server at one instant do not come again at one.
const RETRY_SPREAD: u16 = 2_000;
/// A stream ends after about so many comments in a row, so that readers spread anew over servers.
const COMMENTS_MAX: u16 = 480;
/// What is sent within so many milliseconds is made once.
const SHARED_WITHIN: u64 = 250;

/// A place among the streams, free again when it is dropped.
pub(super) struct Place {
    public: Arc<Public>,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    /// Counts a stream.
    pub(super) fn new(public: &Arc<Public>, permit: OwnedSemaphorePermit) -> Self {
        public.metrics.public_streams.add(1);
        Self { public: Arc::clone(public), _permit: permit }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.public.metrics.public_streams.subtract(1);
    }
}

/// A reader of a drop.
struct Reader {
    place: Place,
    id: DropId,
    changes: watch::Receiver<Latest>,
    /// The version that the reader has.
    seen: Option<Box<str>>,
    has_begun: bool,
    comments_left: u16,
}

/// The stream of a drop, for a reader that has the version `seen`.
pub(super) fn stream(
    place: Place,
    id: DropId,
    mut changes: watch::Receiver<Latest>,
    seen: Option<Box<str>>,
) -> BoxStream<'static, Bytes> {
    changes.mark_changed();
    let comments_left = COMMENTS_MAX.saturating_sub(random(COMMENTS_MAX / 2));
    let reader = Reader { place, id, changes, seen, has_begun: false, comments_left };
    stream::unfold(Some(reader), Reader::next).boxed()
}

impl Reader {
    /// The next piece, and the reader for the one after it.
    async fn next(reader: Option<Self>) -> Option<(Bytes, Option<Self>)> {
        let mut reader = reader?;
        if !reader.has_begun {
            reader.has_begun = true;
            let retry = RETRY.saturating_add(random(RETRY_SPREAD));
            return Some((Bytes::from(format!("retry: {retry}\n\n")), Some(reader)));
        }
        loop {
            match timeout(COMMENT_AFTER, reader.changes.changed()).await {
                Ok(Ok(())) => {
                    let latest = reader.changes.borrow_and_update().clone()?;
                    let version = latest.status.message.version.as_str();
                    if reader.seen.as_deref() == Some(version) {
                        continue;
                    }
                    reader.seen = Some(version.into());
                    // Without room for it the stream ends: the reader comes again.
                    let event = event(&reader.place.public, &reader.id, &latest)?;
                    return Some((event, Some(reader)));
                }
                // The drop is gone.
                Ok(Err(_)) => return None,
                Err(_elapsed) => {
                    reader.comments_left = reader.comments_left.checked_sub(1)?;
                    return Some((COMMENT, Some(reader)));
                }
            }
        }
    }
}

/// A status as an event, made once for all who are sent it now.
fn event(public: &Public, id: &DropId, Snapshot { status, .. }: &Snapshot) -> Option<Bytes> {
    let now = public.storefront()?.now();
    let page = public.cache.page(api::key("event", id), api::stamp(status, now.0 / SHARED_WITHIN), || {
        let (version, body) = (&status.message.version, api::body(status, now));
        Ok(Made {
            content_type: "text/event-stream",
            cache_control: "no-store",
            policy: policy::nothing(),
            etag: String::new(),
            content: format!("event: status\nid: {version}\ndata: {body}\n\n").into_bytes(),
        })
    });
    page.ok().map(|page| page.plain.clone())
}

/// A number below `bound`; 0 if there is no chance.
pub(super) fn random(bound: u16) -> u16 {
    let mut bytes = [0; 2];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u16::from_le_bytes(bytes).checked_rem(bound).unwrap_or_default(),
        Err(_none) => 0,
    }
}
