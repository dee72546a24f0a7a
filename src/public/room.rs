//! The memory that answers for the public may take, all together. An answer without room is not made.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes are counted in pieces of this size.
const PIECE: usize = 1024;

/// Counts the bytes of all answers that were made and are still in use.
#[derive(Debug, Clone)]
pub(super) struct Room(Arc<Semaphore>);

/// Bytes with the room that they take.
struct Charged {
    bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Room {
    /// Room for this many bytes.
    pub(super) fn of(bytes: usize) -> Self {
        let pieces = (bytes / PIECE).min(Semaphore::MAX_PERMITS);
        Self(Arc::new(Semaphore::new(pieces)))
    }

    /// The same bytes, counted until their last clone is dropped; `None` without room for them.
    pub(super) fn charge(&self, bytes: Vec<u8>) -> Option<Bytes> {
        let pieces = u32::try_from(bytes.len().div_ceil(PIECE)).ok()?;
        let room = Arc::clone(&self.0).try_acquire_many_owned(pieces).ok()?;
        Some(Bytes::from_owner(Charged { bytes, _room: room }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_taken_until_the_last_clone_is_dropped() {
        let room = Room::of(4 * PIECE);
        let first = room.charge(vec![1; 2 * PIECE + 1]).expect("room");
        let clone = first.clone();
        assert!(room.charge(vec![2; PIECE + 1]).is_none(), "one piece is left");
        drop(first);
        assert!(room.charge(vec![2; PIECE + 1]).is_none());
        drop(clone);
        assert_eq!(room.charge(vec![2; 4 * PIECE]).expect("all of it").len(), 4 * PIECE);
    }
}
