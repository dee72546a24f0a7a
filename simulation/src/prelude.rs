//! What nearly every test of the engine names.

pub use crate::world::*;
pub use stockade_engine::Engine;
pub use stockade_engine::answer::{DropState, DropView, Fault, HoldView, Outcome, Refusal};
pub use stockade_engine::attempt::Decided;
pub use stockade_engine::background::agenda::Agenda;
pub use stockade_engine::command::{
    Claim, CreateDrop, ExpiredPolicy, Extend, Release, Reserve, Return, Stage, Steer, UpdateDrop,
};
pub use stockade_engine::context::Context;
pub use stockade_engine::inventory::{BulkLoad, Inventory};
pub use stockade_engine::lifecycle::data_folder::{DataFolder, FolderError};
pub use stockade_engine::lifecycle::recover::{RecoverError, recover};
pub use stockade_engine::lifecycle::verify::verify_folder;
pub use stockade_engine::verbs::list::{DropFilter, HoldFilter};
pub use stockade_journal::storage::{SimulatedStorage, Storage as _};
pub use stockade_journal::{
    BatchHead, Durability, FileLog, KeepPolicy, Log as _, QUEUED_OPERATIONS_MAX, SealedBatch, Start,
};
pub use stockade_types::definition::{Definition, Limit, Scope};
pub use stockade_types::digest::DigestKey;
pub use stockade_types::hold::{Change, ContentHash, Hold, HoldFields, HoldLine, HoldState, Lines};
pub use stockade_types::ids::{AdjustmentId, CustomerId, DropNo, HoldId, IdentityKind, ItemNo, Lsn, OrderRef, PoolNo};
pub use stockade_types::record::{
    Actor, Adjusted, Adjustment, DropImage, DropVerb, HoldChange, OldFact, PoolBasis, Record, StockChange, StockImage,
    UsageImage,
};
pub use stockade_types::refusal::Reason;
pub use stockade_types::time::{Millis, Timestamp};
