//! What an operation gets in addition to its request: the time, and where the request came from. Nothing in the engine
//! reads a clock or a connection by itself.

use stockade_types::record::{Actor, Origin};
use stockade_types::time::Timestamp;

/// The time of one attempt, and its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context<'a> {
    /// The instant that the attempt is decided for.
    pub now: Timestamp,
    /// Where the request came from, as its records say.
    pub origin: &'a Origin,
}

impl Context<'static> {
    /// For what the engine does by itself.
    #[must_use]
    pub const fn engine(now: Timestamp) -> Self {
        Self { now, origin: &Origin::ENGINE }
    }

    /// For a caller of whom nothing is known.
    #[must_use]
    pub const fn anonymous(now: Timestamp) -> Self {
        Self { now, origin: &Origin::ANONYMOUS }
    }
}

impl Context<'_> {
    /// The same with this origin.
    #[must_use]
    pub const fn by(self, origin: &Origin) -> Context<'_> {
        Context { now: self.now, origin }
    }

    /// The same, at this instant or later.
    #[must_use]
    pub fn not_before(self, at: Timestamp) -> Self {
        Self { now: self.now.max(at), ..self }
    }

    /// Who made the request.
    pub(crate) const fn actor(self) -> Actor {
        self.origin.actor
    }
}
