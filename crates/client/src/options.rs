//! The client's options: deadlines, retries, shared messages. The defaults suit a checkout service.

use std::time::Duration;

use stockade_proto as pb;
use tonic::metadata::MetadataMap;

/// The options of a [`Stockade`](super::Stockade). Each count is clamped to its bounds, from 1 on.
#[derive(Debug, Clone)]
pub struct Options {
    /// HTTP/2 connections to each endpoint, at most [`Options::CONNECTIONS_MAX`].
    pub connections: usize,
    /// How long a call may take with all its attempts, unless [`Stockade::within`](super::Stockade::within) says
    /// otherwise.
    pub deadline: Duration,
    /// How long one attempt may take. Also how long a shared stream may be silent while answers are outstanding.
    pub attempt_timeout: Duration,
    /// When a call is retried.
    pub retry: Retry,
    /// How operations of many callers share messages.
    pub batching: Batching,
    /// Sent with every call.
    pub headers: MetadataMap,
}

impl Options {
    /// Most connections to one endpoint.
    pub const CONNECTIONS_MAX: usize = 64;

    /// The same options, with each count within its bounds.
    pub(super) fn bounded(self) -> Self {
        let Batching { operations, messages, queue, streams, view } = self.batching;
        let batching = Batching {
            operations: operations.clamp(1, Batching::OPERATIONS_MAX),
            messages: messages.clamp(1, Batching::MESSAGES_MAX),
            queue: queue.clamp(1, Batching::QUEUE_MAX),
            streams: streams.clamp(1, Batching::STREAMS_MAX),
            view,
        };
        Self { connections: self.connections.clamp(1, Self::CONNECTIONS_MAX), batching, ..self }
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

/// When a call is retried. Every call of the contract may be retried; nothing is done twice.
///
/// A call is retried if the server is unavailable, the connection failed, an attempt took too long, or the server
/// requested a retry. It is not retried after a status that would not change. A delay that the server requests is
/// kept. Otherwise delays double from the shortest to the longest, each reduced by up to a half at random.
#[derive(Debug, Clone)]
pub struct Retry {
    /// Most attempts of a call, the first included.
    pub attempts: u32,
    /// The delay after the first attempt.
    pub shortest_delay: Duration,
    /// The longest delay of the client's own.
    pub longest_delay: Duration,
    /// Retries that may be spent beyond [`Retry::percent`].
    pub reserve: u32,
    /// Retries for each hundred calls, in the long run. A retry above that fails at once, so that a server in trouble
    /// does not get several times its usual load.
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
/// An operation is sent at once if no message is in flight. Operations that are made while [`Batching::messages`]
/// messages are in flight go together in the next one. So nothing waits at low load, and messages grow with the load.
#[derive(Debug, Clone)]
pub struct Batching {
    /// Most operations in a message, at most [`Batching::OPERATIONS_MAX`].
    pub operations: usize,
    /// Most messages of a stream in flight, at most [`Batching::MESSAGES_MAX`].
    pub messages: usize,
    /// Operations of a stream that wait for a message, at most [`Batching::QUEUE_MAX`]. If the queue is full,
    /// callers wait.
    pub queue: usize,
    /// Streams, at most [`Batching::STREAMS_MAX`], each on the connection with the fewest calls in flight. More
    /// streams spread the work over a server's cores and make messages smaller.
    pub streams: usize,
    /// How much of a hold is returned: all of it, or state, deadline and revision.
    pub view: pb::HoldView,
}

impl Batching {
    /// Most operations in one message.
    pub const OPERATIONS_MAX: usize = 1_000;
    /// Most messages of a stream in flight: the server reads no more before it has answered some.
    pub const MESSAGES_MAX: usize = 64;
    /// The longest queue.
    pub const QUEUE_MAX: usize = 1_000_000;
    /// Most streams.
    pub const STREAMS_MAX: usize = 64;
}

impl Default for Batching {
    fn default() -> Self {
        Self { operations: Self::OPERATIONS_MAX, messages: 4, queue: 10_000, streams: 1, view: pb::HoldView::Full }
    }
}
