//! Operators' actions in a history that are not updates: closing and archiving.

use stockade_engine::Engine;
use stockade_engine::command::Steer;
use stockade_engine::context::Context;
use stockade_types::time::Timestamp;

use crate::naive::state::Model;
use crate::naive::words::drop_id;
use crate::naive::{DROPS, Verb};

impl Model {
    pub fn close(&mut self, drop: usize) -> String {
        if self.closed_since(drop).is_none() {
            self.drops[drop].closed = Some(self.now);
        }
        self.state(drop)
    }

    /// Archives all drops that may be, with their holds. Returns the number of drops.
    pub fn archive(&mut self) -> String {
        let archived = (0..self.drops.len()).filter(|drop| self.archive_one(*drop)).count();
        self.drops.iter_mut().for_each(|drop| drop.leaving = false);
        archived.to_string()
    }
}

impl Verb {
    /// The same verb on another hold.
    pub fn about(mut self, other: u64) -> Self {
        match &mut self {
            Self::Extend { hold, .. }
            | Self::Stage { hold, .. }
            | Self::Claim { hold, .. }
            | Self::Release { hold, .. }
            | Self::Return { hold, .. }
            | Self::Get { hold } => *hold = other,
        }
        self
    }
}

/// The engine's answer to a close, sent twice.
pub fn engine_closes(engine: &Engine, drop: usize, now: Timestamp) -> String {
    let close = || engine.steer(&drop_id(DROPS[drop]), Steer::Close, Context::anonymous(now)).expect("a drop").value;
    let view = close();
    assert_eq!(close().closed_at, view.closed_at);
    format!("{:?}", view.state)
}
