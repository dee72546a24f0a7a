//! What comes in: messages are gathered under the budget of bytes in flight, and looked over before they are decoded.
//!
//! Decoding makes a multiple of a message's bytes: of two bytes it can make four hundred. So what a message would take
//! is counted in its tags first, and charged; what has more of something than the contract allows is not decoded.

mod limits;
mod messages;
mod shape;
mod walk;

pub use limits::{ENTRIES_MAX, LENIENCE};
pub use messages::{Messages, Received, grow, grow_until, room_deadline};
pub use shape::{BrokenShape, Shape, Shapes};
pub use walk::{Oversized, walk};
