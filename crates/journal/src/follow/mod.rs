//! Reading a journal behind its writer: durable batches while it grows, and the segments that trimming keeps.

pub(crate) mod history;
mod marks;
pub(crate) mod name;
