//! Receives messages: gathers them under the budget of bytes in flight, and checks them before they are decoded.
//!
//! A decoded message takes a multiple of its encoded bytes: two bytes can become four hundred. So the memory that it
//! would take is computed from its tags first, and charged. A message with more entries than the contract allows is
//! not decoded.

mod limits;
mod messages;
mod shape;
mod decoded_size;

pub use decoded_size::{Oversized, decoded_size};
pub use limits::{ENTRIES_MAX, LENIENCE};
pub use messages::{Messages, Received, grow, grow_until, room_deadline};
pub use shape::{BrokenShape, Shape, Shapes};
