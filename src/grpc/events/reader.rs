//! A reader of a stream of events.

use std::sync::Arc;
use std::time::Duration;

use stockade_feed::{Following, Position};
use stockade_proto as pb;
use tokio::time::Instant;
use tonic::Status;

use super::page::EventPage;
use super::tail::Tail;
use super::{Asker, Message, Shared};
use crate::budget::Charge;
use crate::grpc::convert::{From, ReadEvents};
use crate::grpc::seats::Seat;
use crate::grpc::status;
use crate::http2::Peer;

/// How often the reader's position is sent if there are no events: well within the 15 s of the contract.
const HEARTBEAT: Duration = Duration::from_secs(6);

/// A reader and its position.
pub(super) struct Reader {
    shared: Arc<Shared>,
    asker: Asker,
    read_to: Position,
    read_end: ReadEnd,
    /// When the next message must be sent.
    beat: Instant,
    _following: Following,
    _seat: Seat,
}

/// How far the reader goes.
enum ReadEnd {
    /// To the end as it was when the reader began; the last message says so.
    To(Position),
    /// It follows the tail.
    On(Tail),
    /// It has sent everything.
    Over,
}

impl Reader {
    /// Begins where the request says.
    ///
    /// # Errors
    /// If nothing can be read from there.
    pub(super) async fn begin(
        shared: &Arc<Shared>,
        request: ReadEvents,
        (seat, peer): (Seat, &Arc<Peer>),
    ) -> Result<Self, Status> {
        let ReadEvents { from, wanted, follow } = request;
        let following = shared.feed.follow();
        shared.settled().await;
        let from_oldest = matches!(from, From::Oldest);
        let read_to = shared.start(from).await?;
        let read_end = if follow { ReadEnd::On(shared.tails.join()) } else { ReadEnd::To(shared.feed.end()) };
        let asker = Asker {
            wanted: Arc::new(wanted),
            peer: Arc::clone(peer),
            waits: follow,
            began: from_oldest.then_some(read_to),
        };
        // The first message, with the position, is sent at once.
        let beat = Instant::now();
        let shared = Arc::clone(shared);
        Ok(Self { shared, asker, read_to, read_end, beat, _following: following, _seat: seat })
    }

    /// The next message, and the reader for the one after it; `None` after the end.
    pub(super) async fn step(reader: Option<Box<Self>>) -> Option<(Result<Message, Status>, Option<Box<Self>>)> {
        let mut reader = reader?;
        match reader.next().await {
            Ok(message) => message.map(|message| (Ok(message), Some(reader))),
            Err(status) => Some((Err(status), None)),
        }
    }

    async fn next(&mut self) -> Result<Option<Message>, Status> {
        loop {
            if self.shared.stops() {
                return Err(status::stopping());
            }
            if let ReadEnd::Over = self.read_end {
                return Ok(None);
            }
            let (page, charge) = self.shared.gather(self.read_to, &self.asker).await?;
            let went_on = page.read_to > self.read_to;
            self.read_to = page.read_to;
            let over = if let ReadEnd::To(end) = self.read_end { self.read_to >= end } else { false };
            if over {
                self.read_end = ReadEnd::Over;
            }
            if over || !page.events.is_empty() || Instant::now() >= self.beat {
                return Ok(Some(self.say(page, charge)));
            }
            drop((page, charge));
            if !went_on && let ReadEnd::On(tail) = &mut self.read_end {
                self.shared.wait_for_more(tail, self.beat).await?;
            }
        }
    }

    fn say(&mut self, EventPage { events, .. }: EventPage, charge: Charge) -> Message {
        self.beat = Instant::now() + HEARTBEAT;
        let feed = &self.shared.feed;
        let (read_to, durable_to) = (feed.cursor(self.read_to), feed.cursor(feed.end().max(self.read_to)));
        (pb::ReadEventsResponse { events, read_to, durable_to }, charge)
    }
}
