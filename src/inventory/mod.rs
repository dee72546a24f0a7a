//! What is in memory: stock, holds, limits, deadlines. Synchronous; it reads no clock and does no I/O.

pub mod stock;
