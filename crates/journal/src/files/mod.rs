//! The log on a disk: appending to segments, opening them after any end of the process, and what is kept of them.

pub(crate) mod file_log;
pub(crate) mod forced;
pub(crate) mod inspect;
pub(crate) mod kept;
pub(crate) mod recover;
pub(crate) mod scan;
