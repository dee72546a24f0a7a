//! What the service counts beside the engine: calls and connections.

pub mod edge;
pub mod transport;
