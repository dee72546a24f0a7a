//! A data folder with any byte damaged: a correct state, or a refusal that names the place. And frozen folders of each
//! format version, which every later build must read.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[expect(dead_code, unused_imports, reason = "shared with the tests of the whole engine, which use all of it")]
#[path = "../engine/common.rs"]
mod common;
mod damage;
mod frozen;
mod history;
#[path = "../../../../simulation/src/model/mod.rs"]
#[expect(dead_code, reason = "the simulation uses more of it")]
mod naive;
mod on_disk;
mod state;
