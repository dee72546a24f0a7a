//! The pool of permits: bounds the operations between permit and writer, with one atomic word.
//!
//! It never blocks.

use stockade_counter::sound;
use stockade_counter::sync::{AtomicU64, Ordering};

/// Flag bits above the count.
const CLOSED: u64 = 1 << 63;
const FAILED: u64 = 1 << 62;
/// The count of operations.
const COUNT: u64 = FAILED - 1;

/// Room for one operation, reserved before anything else. Released if dropped unused.
#[derive(Debug)]
#[must_use = "a permit that is dropped gives its room back"]
pub struct Permit<'j>(&'j PermitPool);

impl Permit<'_> {
    pub(super) fn is_of(&self, permit_pool: &PermitPool) -> bool {
        std::ptr::eq(self.0, permit_pool)
    }

    /// Transfers the room to the operation; the writer releases it.
    #[inline]
    pub(super) fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.leave(1);
    }
}

/// Room for several operations, reserved by one atomic change. What is left of it is released on drop.
#[derive(Debug)]
#[must_use = "permits that are dropped give their room back"]
pub struct Permits<'j> {
    permit_pool: &'j PermitPool,
    left: u64,
}

impl<'j> Iterator for Permits<'j> {
    type Item = Permit<'j>;

    #[inline]
    fn next(&mut self) -> Option<Permit<'j>> {
        self.left = self.left.checked_sub(1)?;
        Some(Permit(self.permit_pool))
    }
}

impl Drop for Permits<'_> {
    fn drop(&mut self) {
        if self.left > 0 {
            self.permit_pool.leave(self.left);
        }
    }
}

/// Why an operation was not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Full,
    Closed,
    Failed,
}

/// Counts the operations that hold a permit or are queued for the writer.
#[derive(Debug, Default)]
pub(super) struct PermitPool(AtomicU64);

impl PermitPool {
    /// Admits one, if there are fewer than `most`.
    #[inline]
    pub(super) fn enter(&self, most: u64) -> Result<Permit<'_>, Refused> {
        self.admit(1, most).map(|_one| Permit(self))
    }

    /// Admits up to `count`: as many as there is room for, at least one.
    #[inline]
    pub(super) fn enter_many(&self, count: u64, most: u64) -> Result<Permits<'_>, Refused> {
        self.admit(count, most).map(|left| Permits { permit_pool: self, left })
    }

    #[inline]
    fn admit(&self, count: u64, most: u64) -> Result<u64, Refused> {
        // AcqRel: an operation admitted before `close` is seen by it, and a later one sees the close. Both change the
        // same word.
        let seen = sound!(
            self.0.fetch_add(count, Ordering::AcqRel),
            enter_that_looks_first,
            (self.0.load(Ordering::Acquire), self.0.fetch_add(count, Ordering::AcqRel)).0
        );
        let room = if seen & (CLOSED | FAILED) == 0 { most.saturating_sub(seen & COUNT) } else { 0 };
        let admitted = count.min(room);
        if sound!(admitted < count, refused_that_stays_inside, (1..count).contains(&admitted)) {
            self.leave(count.saturating_sub(admitted));
        }
        if admitted > 0 {
            return Ok(admitted);
        }
        Err(if seen & FAILED != 0 {
            Refused::Failed
        } else if seen & CLOSED != 0 {
            Refused::Closed
        } else {
            Refused::Full
        })
    }

    #[inline]
    pub(super) fn leave(&self, operations: u64) {
        self.0.fetch_sub(operations, Ordering::AcqRel);
    }

    pub(super) fn close(&self) {
        self.0.fetch_or(CLOSED, Ordering::AcqRel);
    }

    pub(super) fn fail(&self) {
        self.0.fetch_or(FAILED, Ordering::AcqRel);
    }

    pub(super) fn has_failed(&self) -> bool {
        self.0.load(Ordering::Acquire) & FAILED != 0
    }

    pub(super) fn inside(&self) -> u64 {
        self.0.load(Ordering::Acquire) & COUNT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_grants_up_to_its_bound_and_none_once_closed() {
        let permit_pool = PermitPool::default();
        permit_pool.enter(2).expect("room").keep();
        let dropped = permit_pool.enter(2).expect("room");
        assert_eq!(permit_pool.enter(2).err(), Some(Refused::Full));
        drop(dropped);
        permit_pool.enter(2).expect("room again").keep();
        permit_pool.close();
        assert_eq!(permit_pool.enter(9).err(), Some(Refused::Closed));
        permit_pool.fail();
        assert_eq!(permit_pool.enter(9).err(), Some(Refused::Failed));
        assert_eq!((permit_pool.inside(), permit_pool.has_failed()), (2, true));
    }

    #[test]
    fn several_are_admitted_together_as_many_as_there_is_room_for() {
        let permit_pool = PermitPool::default();
        let mut permits = permit_pool.enter_many(3, 4).expect("room");
        let others = permit_pool.enter_many(2, 4).expect("room for one");
        assert_eq!((permit_pool.inside(), permit_pool.enter_many(2, 4).err()), (4, Some(Refused::Full)));
        assert_eq!(others.count(), 1);
        permits.next().expect("one of three").keep();
        drop(permits.next());
        assert_eq!(permit_pool.inside(), 2);
        drop(permits);
        assert_eq!(permit_pool.inside(), 1, "what was kept is the operation's");
        assert!(permit_pool.enter_many(3, 4).expect("room again").by_ref().count() == 3 && permit_pool.inside() == 1);
    }
}
