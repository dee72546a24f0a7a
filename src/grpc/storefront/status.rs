//! What the public is shown of a drop, made once for all who ask.

use std::sync::{Arc, OnceLock};

use stockade_engine::answer::{Announced, DropState, DropView};
use stockade_proto as pb;
use stockade_types::definition::Definition;
use stockade_types::ids::Lsn;
use stockade_types::time::Timestamp;

use super::super::convert::{self, StatusPlace};

/// A drop as the public sees it, until something that is shown changes.
#[derive(Debug)]
pub struct PublicStatus {
    /// As a message.
    pub message: pb::DropStatus,
    /// The drop's definition: only what the message shows may leave the server.
    pub definition: Arc<Definition>,
    /// Its state.
    pub state: DropState,
    /// When it opens.
    pub opens_at: Timestamp,
    /// When it closed, if it has.
    pub closed_at: Option<Timestamp>,
    /// What calendars say of its last change.
    pub announced: Announced,
    json: OnceLock<Box<str>>,
}

impl PublicStatus {
    /// Of a drop as it is now.
    #[must_use]
    pub(super) fn of(view: &DropView) -> Self {
        Self {
            message: convert::public_status(view),
            definition: Arc::clone(&view.definition),
            state: view.state,
            opens_at: view.opens_at,
            closed_at: view.closed_at,
            announced: view.announced,
            json: OnceLock::new(),
        }
    }

    /// Its place in lists.
    #[must_use]
    pub fn place(&self) -> StatusPlace {
        StatusPlace { opens_at: self.opens_at, drop: self.definition.id.clone() }
    }

    /// Its message as JSON, made by `write` when it is needed first.
    pub fn json(&self, write: impl FnOnce(&pb::DropStatus) -> String) -> &str {
        self.json.get_or_init(|| write(&self.message).into_boxed_str())
    }

    /// Whether a reader would see no difference.
    pub(super) fn shows_the_same(&self, other: &Self) -> bool {
        self.message.version == other.message.version
            && self.closed_at == other.closed_at
            && self.announced == other.announced
    }

    /// This, or the one before if a reader would see no difference: that may have been written as JSON already.
    pub(super) fn or_before(self, before: Option<&Arc<Self>>) -> Arc<Self> {
        before.filter(|before| before.shows_the_same(&self)).map_or_else(|| Arc::new(self), Arc::clone)
    }
}

/// A drop's status at one instant.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The status.
    pub status: Arc<PublicStatus>,
    /// When it was read.
    pub at: Timestamp,
    /// The last record of the journal that was appended before it was read.
    pub(super) appended: Lsn,
}
