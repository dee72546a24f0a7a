//! A data folder with any byte damaged: a correct state, or a refusal that names the place. And frozen folders of each
//! format version, which every later build must read.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod damage;
mod frozen;
mod history;
mod on_disk;
mod state;
