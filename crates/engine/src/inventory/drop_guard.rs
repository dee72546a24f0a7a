//! A drop's running state while its gate is held, whichever lock the gate is.

use std::ops::{Deref, DerefMut};

use crossbeam_utils::sync::{ShardedLockReadGuard, ShardedLockWriteGuard};
use parking_lot::{RwLockReadGuard, RwLockWriteGuard};

use super::drop_inner::DropInner;

/// A drop's running state, read under its gate: it does not change while this lives.
#[derive(Debug)]
pub enum DropReadGuard<'a> {
    /// The drop has its pools.
    Live(ShardedLockReadGuard<'a, DropInner>),
    /// The drop is archived and has no pools.
    Archived(RwLockReadGuard<'a, DropInner>),
}

/// A drop's running state with its gate closed: nothing else reads or changes it while this lives.
#[derive(Debug)]
pub enum DropWriteGuard<'a> {
    /// The drop has its pools.
    Live(ShardedLockWriteGuard<'a, DropInner>),
    /// The drop is archived and has no pools.
    Archived(RwLockWriteGuard<'a, DropInner>),
}

impl Deref for DropReadGuard<'_> {
    type Target = DropInner;

    #[inline]
    fn deref(&self) -> &DropInner {
        match self {
            Self::Live(inner) => inner,
            Self::Archived(inner) => inner,
        }
    }
}

impl Deref for DropWriteGuard<'_> {
    type Target = DropInner;

    fn deref(&self) -> &DropInner {
        match self {
            Self::Live(inner) => inner,
            Self::Archived(inner) => inner,
        }
    }
}

impl DerefMut for DropWriteGuard<'_> {
    fn deref_mut(&mut self) -> &mut DropInner {
        match self {
            Self::Live(inner) => inner,
            Self::Archived(inner) => inner,
        }
    }
}
