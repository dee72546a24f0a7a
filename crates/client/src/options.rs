//! How a client behaves: deadlines, retries, shared messages. The defaults suit a checkout service.

use std::time::Duration;

use stockade_proto as pb;
use tonic::metadata::MetadataMap;

/// How a [`Stockade`](super::Stockade) behaves. Counts of 0 mean 1; one that is over its bound means that.
#[derive(Debug, Clone)]
pub struct Options {
    /// HTTP/2 connections to each endpoint, at most [`Options::MOST_CONNECTIONS`].
    pub connections: usize,
    /// How long a call may take with all its attempts, unless it is told otherwise.
    pub deadline: Duration,
    /// How long one attempt may take. Also how long a shared stream may be silent while answers are due.
    pub attempt_timeout: Duration,
    /// When a call is sent again.
    pub retry: Retry,
    /// How operations of many callers share messages.
    pub batching: Batching,
    /// Sent with every call.
    pub headers: MetadataMap,
}

impl Options {
    /// No endpoint has more connections, whatever is asked for.
    pub const MOST_CONNECTIONS: usize = 64;

    /// The same, with each count within its bounds.
    pub(super) fn bounded(self) -> Self {
        let Batching { operations, messages, queue, streams, view } = self.batching;
        let batching = Batching {
            operations: operations.clamp(1, Batching::MOST_OPERATIONS),
            messages: messages.clamp(1, Batching::MOST_MESSAGES),
            queue: queue.clamp(1, Batching::LONGEST_QUEUE),
            streams: streams.clamp(1, Batching::MOST_STREAMS),
            view,
        };
        Self { connections: self.connections.clamp(1, Self::MOST_CONNECTIONS), batching, ..self }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections: 2,
            deadline: Duration::from_secs(10),
            attempt_timeout: Duration::from_secs(3),
            retry: Retry::default(),
            batching: Batching::default(),
            headers: MetadataMap::new(),
        }
    }
}

/// When a call is sent again. Every call of the contract may be: nothing is done twice.
///
/// It is where the server is not available, the connection broke, an attempt took too long, or the server has said when
/// to come again; never after what will not change. A server's own delay is kept to. Else delays double from the
/// shortest to the longest, each cut by up to a half at random.
#[derive(Debug, Clone)]
pub struct Retry {
    /// Most attempts of a call, the first included.
    pub attempts: u32,
    /// The delay after the first attempt.
    pub shortest_delay: Duration,
    /// No delay of this client's own is longer.
    pub longest_delay: Duration,
    /// Retries that may be spent beyond [`Retry::percent`].
    pub reserve: u32,
    /// Retries for each hundred calls, in the long run. What is over that fails at once, so that a server in trouble is
    /// not asked several times as much as one that is well.
    pub percent: u32,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 10,
            shortest_delay: Duration::from_millis(50),
            longest_delay: Duration::from_secs(2),
            reserve: 500,
            percent: 20,
        }
    }
}

/// How operations of many callers share messages of a stream.
///
/// An operation that finds no message on its way goes at once. What gathers while [`Batching::messages`] are on their
/// way goes as the next one. So nothing waits while there is little to do, and messages grow with the load.
#[derive(Debug, Clone)]
pub struct Batching {
    /// Most operations in a message, at most [`Batching::MOST_OPERATIONS`].
    pub operations: usize,
    /// Most messages of a stream on their way, at most [`Batching::MOST_MESSAGES`].
    pub messages: usize,
    /// Operations of a stream that wait for a message, at most [`Batching::LONGEST_QUEUE`]. When there are more, their
    /// callers wait for room.
    pub queue: usize,
    /// Streams, at most [`Batching::MOST_STREAMS`], each on the connection that has the least to do. More than one spreads the work on a server with many
    /// cores, and makes messages smaller.
    pub streams: usize,
    /// How much of a hold is told: all of it, or state, deadline and revision.
    pub view: pb::HoldView,
}

impl Batching {
    /// No message carries more operations, whatever is asked for.
    pub const MOST_OPERATIONS: usize = 1_000;
    /// No stream has more messages on their way: a server takes no more in before it has answered some.
    pub const MOST_MESSAGES: usize = 64;
    /// No queue is longer.
    pub const LONGEST_QUEUE: usize = 1_000_000;
    /// There are no more streams.
    pub const MOST_STREAMS: usize = 64;
}

impl Default for Batching {
    fn default() -> Self {
        Self { operations: Self::MOST_OPERATIONS, messages: 4, queue: 10_000, streams: 1, view: pb::HoldView::Full }
    }
}
