//! A bound on bytes in flight: bytes that were received and not yet handled, and answers that the peer has not yet
//! read.
//!
//! The server has one budget, and each connection has a share of it. Memory is charged when it is filled, not when a
//! peer announces it. A dropped charge gives its bytes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use stockade_types::metrics::Counter;

/// A charge above this is large. All large charges together may use three quarters of the budget.
pub const LARGE_BYTES: usize = 64 * 1024;
/// A share takes bytes from the server's budget in pieces of this size, so that most charges write no cache line that
/// other connections write.
const PIECE_BYTES: usize = 16 * 1024;
/// The budget is the process's memory divided by this, within the bounds below.
const PART_OF_MEMORY: u64 = 8;
/// The budget's usual minimum, in bytes: enough for one connection's share and one full batch.
const USUAL_MIN: u64 = 48 * 1024 * 1024;
/// The usual minimum is at most the memory divided by this.
const PART_MIN_DIVISOR: u64 = 4;
/// The budget is never below this, in bytes.
const CAPACITY_MIN: u64 = 32 * 1024 * 1024;
/// The budget is never above this, in bytes.
const CAPACITY_MAX: u64 = 1024 * 1024 * 1024;
/// A connection may use the budget divided by this.
const CONNECTION_PART: usize = 4;
/// What a connection may use at least, in bytes, if the budget has that: a full batch.
const CONNECTION_MIN: usize = 16 * 1024 * 1024;

/// Which bound leaves no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Exhausted {
    /// The connection has as much in flight as one connection may.
    #[error("too many bytes are in flight on this connection")]
    Connection,
    /// The server has as much in flight as it may.
    #[error("too many bytes are in flight on this server")]
    Server,
}

/// The bytes that a server may have in flight.
#[derive(Debug)]
pub struct Budget {
    capacity: usize,
    used: AtomicUsize,
    large: AtomicUsize,
    refused: Counter,
}

impl Budget {
    /// A budget of `capacity` bytes.
    #[must_use]
    pub fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self { capacity, used: AtomicUsize::new(0), large: AtomicUsize::new(0), refused: Counter::default() })
    }

    /// The budget of a process that may use this much memory, in bytes.
    #[must_use]
    pub fn of_memory(memory: u64) -> Arc<Self> {
        let part = (memory / PART_OF_MEMORY).max(USUAL_MIN.min(memory / PART_MIN_DIVISOR));
        Self::new(usize::try_from(part.clamp(CAPACITY_MIN, CAPACITY_MAX)).unwrap_or(usize::MAX))
    }

    /// Its size in bytes.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes that connections have taken from it. Each connection takes up to 32 KiB more than it has charged.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// How often a connection or a charge was refused because the connection or the server had no room.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.get()
    }

    /// Takes bytes for a share that has charged `has` bytes. A share with more than [`LARGE_BYTES`] leaves an eighth
    /// of the budget to the others.
    fn take(&self, bytes: usize, has: usize) -> bool {
        let kept = if has > LARGE_BYTES { self.capacity / 8 } else { 0 };
        let most = self.capacity.saturating_sub(kept);
        // Relaxed, here and below: the count guards no other data.
        let taken = self.used.try_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|sum| *sum <= most)
        });
        taken.is_ok()
    }

    fn give(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn take_large(&self, bytes: usize) -> bool {
        let most = self.capacity.saturating_sub(self.capacity / 4);
        let taken = self.large.try_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|sum| *sum <= most)
        });
        taken.is_ok()
    }

    fn give_large(&self, bytes: usize) {
        self.large.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What one connection has in flight.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    limit: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// Charged by this connection.
    used: usize,
    /// Taken from the server's budget; never less than `used`.
    taken: usize,
}

impl Share {
    /// The share of a new connection.
    ///
    /// # Errors
    /// When the server's budget has no room for one more.
    pub fn open(budget: &Arc<Budget>) -> Result<Arc<Self>, Exhausted> {
        if !budget.take(PIECE_BYTES, 0) {
            budget.refused.increment();
            return Err(Exhausted::Server);
        }
        let held = Mutex::new(Held { used: 0, taken: PIECE_BYTES });
        let limit = (budget.capacity / CONNECTION_PART).max(CONNECTION_MIN).min(budget.capacity);
        Ok(Arc::new(Self { budget: Arc::clone(budget), limit, held }))
    }

    /// An empty charge, which the caller grows as bytes arrive.
    #[must_use]
    pub fn empty_charge(self: &Arc<Self>) -> Charge {
        Charge { share: Arc::clone(self), bytes: 0, never_large: false }
    }

    /// Charges this many bytes.
    ///
    /// # Errors
    /// When the connection or the server has no room for them.
    pub fn charge(self: &Arc<Self>, bytes: usize) -> Result<Charge, Exhausted> {
        let mut charge = self.empty_charge();
        charge.grow(bytes)?;
        Ok(charge)
    }

    /// Charges bytes that the peer may send and has not sent. They never count as large.
    ///
    /// # Errors
    /// When the connection or the server has no room for them.
    pub fn charge_for_window(self: &Arc<Self>, bytes: usize) -> Result<Charge, Exhausted> {
        self.take(bytes)?;
        Ok(Charge { share: Arc::clone(self), bytes, never_large: true })
    }

    /// Bytes that are charged now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.held.lock().used
    }

    fn take(&self, bytes: usize) -> Result<(), Exhausted> {
        let mut held = self.held.lock();
        let used = held.used.checked_add(bytes).filter(|used| *used <= self.limit).ok_or(Exhausted::Connection)?;
        if let Some(missing) = used.checked_sub(held.taken).filter(|missing| *missing > 0) {
            // One piece more than needed, if the budget has it.
            let ahead = missing.saturating_add(PIECE_BYTES);
            let taken = [ahead, missing].into_iter().find(|bytes| self.budget.take(*bytes, used));
            held.taken = held.taken.saturating_add(taken.ok_or(Exhausted::Server)?);
        }
        held.used = used;
        Ok(())
    }

    fn give(&self, bytes: usize) {
        let mut held = self.held.lock();
        held.used = held.used.saturating_sub(bytes);
        let spare = held.taken.saturating_sub(held.used).saturating_sub(PIECE_BYTES);
        if spare > PIECE_BYTES {
            held.taken = held.taken.saturating_sub(spare);
            self.budget.give(spare);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.give(self.held.get_mut().taken);
    }
}

/// Bytes of a connection in flight. Dropped, it gives them back.
#[derive(Debug)]
pub struct Charge {
    share: Arc<Share>,
    bytes: usize,
    never_large: bool,
}

impl Charge {
    /// How many bytes are charged.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Charges more bytes, and counts a refusal. What was charged before stays charged.
    ///
    /// # Errors
    /// When the connection or the server has no room for more.
    pub fn grow(&mut self, more: usize) -> Result<(), Exhausted> {
        self.try_grow(more).inspect_err(|_exhausted| self.share.budget.refused.increment())
    }

    /// As [`Charge::grow`], for a caller that tries again: a refusal is not counted.
    ///
    /// # Errors
    /// When the connection or the server has no room for more.
    pub fn try_grow(&mut self, more: usize) -> Result<(), Exhausted> {
        let bytes = self.bytes.checked_add(more).ok_or(Exhausted::Server)?;
        let large = self.large_part(bytes).saturating_sub(self.large_part(self.bytes));
        if large > 0 && !self.share.budget.take_large(large) {
            return Err(Exhausted::Server);
        }
        if let Err(exhausted) = self.share.take(more) {
            self.share.budget.give_large(large);
            return Err(exhausted);
        }
        self.bytes = bytes;
        Ok(())
    }

    /// How many of `bytes` count as large: all of them, above [`LARGE_BYTES`].
    const fn large_part(&self, bytes: usize) -> usize {
        if bytes > LARGE_BYTES && !self.never_large { bytes } else { 0 }
    }

    /// Gives back all but this many bytes.
    pub fn shrink_to(&mut self, bytes: usize) {
        if let Some(less) = self.bytes.checked_sub(bytes) {
            let large = self.large_part(self.bytes).saturating_sub(self.large_part(bytes));
            self.bytes = bytes;
            self.share.budget.give_large(large);
            self.share.give(less);
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    #[test]
    fn what_is_charged_comes_back() {
        let budget = Budget::new(32 * MIB);
        let share = Share::open(&budget).expect("room");
        let mut charge = share.charge(1000).expect("room");
        charge.grow(3 * MIB).expect("room");
        assert_eq!((share.used(), charge.bytes()), (3 * MIB + 1000, 3 * MIB + 1000));
        assert!(budget.used() >= 3 * MIB + 1000 && budget.used() <= 3 * MIB + 1000 + 2 * PIECE_BYTES);
        charge.shrink_to(10);
        assert_eq!(share.used(), 10);
        assert!(budget.used() <= 3 * PIECE_BYTES, "{}", budget.used());
        drop(charge);
        assert_eq!(share.used(), 0);
        drop(share);
        assert_eq!((budget.used(), budget.large.load(Ordering::Relaxed)), (0, 0));
    }

    #[test]
    fn a_connection_keeps_to_its_part() {
        let budget = Budget::new(64 * MIB);
        let (greedy, other) = (Share::open(&budget).expect("room"), Share::open(&budget).expect("room"));
        let charge = greedy.charge(16 * MIB).expect("a quarter");
        assert_eq!(greedy.charge(1).expect_err("no more"), Exhausted::Connection);
        assert!(other.charge(16 * MIB).is_ok());
        assert_eq!(budget.refused(), 1);
        drop(charge);
        assert!(greedy.charge(16 * MIB).is_ok());
    }

    #[test]
    fn large_charges_leave_room_for_small_ones() {
        let budget = Budget::new(64 * MIB);
        let shares: Vec<_> = (0..5).map(|_| Share::open(&budget).expect("room")).collect();
        let large: Vec<_> = shares.iter().filter_map(|share| share.charge(16 * MIB).ok()).collect();
        assert_eq!(large.len(), 3);
        assert_eq!(shares[4].charge(LARGE_BYTES + 1).expect_err("large"), Exhausted::Server);
        assert!(shares[4].charge(LARGE_BYTES).is_ok());
        // A charge that becomes large counts as large with all its bytes.
        let mut growing = shares[4].charge(LARGE_BYTES).expect("small");
        assert_eq!(growing.grow(1), Err(Exhausted::Server));
        assert_eq!(growing.bytes(), LARGE_BYTES);
        drop(large);
        assert_eq!(growing.grow(1), Ok(()));
    }

    #[test]
    fn a_server_without_room_takes_no_connection() {
        let budget = Budget::new(2 * PIECE_BYTES);
        let shares = (Share::open(&budget).expect("room"), Share::open(&budget).expect("room"));
        assert_eq!(Share::open(&budget).expect_err("full"), Exhausted::Server);
        drop(shares);
        assert!(Share::open(&budget).is_ok());
    }

    #[test]
    fn the_budget_follows_the_memory() {
        let mib = |memory: u64| Budget::of_memory(memory * 1024 * 1024).capacity() / MIB;
        assert_eq!([mib(96), mib(160), mib(192), mib(256)], [32, 40, 48, 48]);
        assert_eq!([mib(512), mib(4096), mib(65_536)], [64, 512, 1024]);
    }
}
