//! The table of holds: live, claimed and remembered ended ones, by id, in shards.
//!
//! A hold's shard stays locked from the look-up of its id to the change in memory, with the append in between: all that
//! happens to a hold happens in one order, in memory and in the journal. Guards never leave this file: callers get the
//! locked shard inside a closure. There are many shards because a table that grows blocks all that wait for it: with
//! 4,096 the longest stall at ten million holds is a few milliseconds instead of hundreds.

use crossbeam_utils::CachePadded;
use parking_lot::Mutex;
use prefetch_index::prefetch_index;
use stockade_types::digest::{DigestKey, Placement};
use stockade_types::hold::{Hold, HoldState, Lines};
use stockade_types::ids::{DropNo, HoldId, Lsn};
use stockade_types::invariant;
use stockade_types::record::Restart;
use stockade_types::time::Timestamp;

use super::index::Index;
use super::slab::{Slab, chunk_of};

/// Shards of the table.
pub const SHARDS: usize = 4096;
/// Bits of a reference that are the place within the shard.
const PLACE_BITS: u32 = 20;
/// Most holds in one shard: as many places as its index can name. Ids are spread by a keyed hash, so the whole table
/// can have about `SHARDS` times as many.
const SHARD_CAPACITY: usize = (1 << PLACE_BITS) - 1;

/// Where a hold lives: shard and place. Valid as long as the hold is in the table. Afterwards another hold may live
/// there, so a caller that has kept a slot must check what it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldSlot(u32);

impl HoldSlot {
    #[cfg(test)]
    pub(super) const fn from_raw(raw: u32) -> Self {
        Self(raw)
    }

    const fn new(shard: u32, place: u32) -> Self {
        Self((shard << PLACE_BITS) | place)
    }

    /// The number of its shard.
    pub(super) const fn shard(self) -> u32 {
        self.0 >> PLACE_BITS
    }

    const fn place(self) -> u32 {
        self.0 & ((1 << PLACE_BITS) - 1)
    }

    /// A hash of the reference, mixed into the low bits.
    pub(super) fn scattered(self) -> usize {
        // Fibonacci hashing: the product's upper half is well mixed.
        let mixed = u64::from(self.0).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        usize::try_from(mixed >> 32).unwrap_or(0)
    }
}

/// The parts of a hold from which stock, limits and deadlines follow.
#[derive(Debug, Clone)]
pub struct CountedHold {
    /// Its state.
    pub state: HoldState,
    /// Its deadline.
    pub expires_at: Timestamp,
    /// When it did what rules of conduct count.
    pub conduct_at: Option<Timestamp>,
    /// Its lines.
    pub lines: Lines,
}

impl CountedHold {
    /// What this hold counts for.
    #[inline]
    #[must_use]
    pub fn of(hold: &Hold) -> Self {
        let (expires_at, conduct_at) = (hold.expires_at(), hold.conduct_at());
        Self { state: hold.state, expires_at, conduct_at, lines: hold.lines().to_lines() }
    }
}

/// All holds.
#[derive(Debug)]
pub struct Holds {
    shards: Box<[CachePadded<Mutex<Shard>>]>,
    placement: Placement,
}

#[derive(Debug, Default)]
struct Shard {
    /// Places in the slab, by the hash of the id.
    index: Index,
    slab: Slab<Hold, { chunk_of(size_of::<Hold>()) }>,
    /// Holds in each state, by [`HoldState::ALL`].
    counts: [u64; HoldState::ALL.len()],
}

/// A locked shard.
#[derive(Debug)]
pub struct LockedShard<'a> {
    shard: &'a mut Shard,
    number: u32,
    placement: &'a Placement,
    /// The id that it was locked for, with its hash, so that it is hashed once.
    locked_for: Option<(HoldId, u64)>,
}

/// The locked shards of two holds; one shard if both live in the same or there is no second.
#[derive(Debug)]
pub struct LockedShards<'a> {
    own: LockedShard<'a>,
    other: Option<LockedShard<'a>>,
}

impl Holds {
    /// An empty table.
    #[must_use]
    pub fn new(key: &DigestKey) -> Self {
        Self { shards: (0..SHARDS).map(|_| CachePadded::default()).collect(), placement: key.placement() }
    }

    /// Locks the shard in which a hold with this id lives, or would live.
    #[inline]
    pub fn with_id<R>(&self, id: &HoldId, f: impl FnOnce(LockedShard<'_>) -> R) -> R {
        let hash = self.placement.of(id);
        self.with(shard_of(hash), |shard| f(LockedShard { locked_for: Some((*id, hash)), ..shard }))
    }

    /// Prefetches the memory of the shard in which a hold with this id lives, or would live.
    pub fn fetch_shard(&self, id: &HoldId) {
        prefetch_index(&self.shards, place(self.number(id)));
    }

    /// Prefetches what a look-up of this id reads, and the place of the next new hold. The shard's own memory should be
    /// prefetched already.
    pub fn fetch_place(&self, id: &HoldId) {
        let hash = self.placement.of(id);
        // If it is locked, the thread that has it locked loads this memory itself.
        if let Some(shard) = self.shards.get(place(shard_of(hash))).and_then(|shard| shard.try_lock()) {
            shard.index.fetch(hash);
            shard.slab.fetch_next();
        }
    }

    /// Locks the shards of two holds, ascending by number, one number once, so that no two threads can wait for each
    /// other.
    pub fn with_two<R>(&self, own: &HoldId, other: &HoldId, f: impl FnOnce(&mut LockedShards<'_>) -> R) -> R {
        let (own, other) = (self.number(own), self.number(other));
        if own == other {
            return self.with(own, |shard| f(&mut LockedShards::one(shard)));
        }
        self.with(own.min(other), |low| {
            self.with(own.max(other), |high| {
                let (own, other) = if own < other { (low, high) } else { (high, low) };
                f(&mut LockedShards { own, other: Some(other) })
            })
        })
    }

    /// Locks the shard that a reference points into.
    pub fn with_ref<R>(&self, hold: HoldSlot, f: impl FnOnce(LockedShard<'_>) -> R) -> R {
        self.with(hold.shard(), f)
    }

    /// Locks a shard by its number, below [`SHARDS`].
    pub fn with_number<R>(&self, number: u32, f: impl FnOnce(LockedShard<'_>) -> R) -> R {
        self.with(number, f)
    }

    /// Visits every shard in order, each locked by itself, so no request waits for long.
    pub fn for_each_shard(&self, mut f: impl FnMut(LockedShard<'_>)) {
        for (number, _) in (0..).zip(self.shards.iter()) {
            self.with(number, &mut f);
        }
    }

    /// Visits every shard in order, each locked by itself, and calls `between` after each while none is locked: for
    /// walks that do something slow with what they have read.
    ///
    /// # Errors
    /// What `between` returns; the walk ends there.
    pub fn scan<E>(
        &self,
        mut visit: impl FnMut(LockedShard<'_>),
        mut between: impl FnMut() -> Result<(), E>,
    ) -> Result<(), E> {
        for (number, _) in (0..).zip(self.shards.iter()) {
            self.with(number, &mut visit);
            between()?;
        }
        Ok(())
    }

    /// Holds in each state, by [`HoldState::ALL`].
    #[must_use]
    pub fn counts(&self) -> [u64; HoldState::ALL.len()] {
        let mut sums = [0_u64; HoldState::ALL.len()];
        for shard in &self.shards {
            for (sum, count) in sums.iter_mut().zip(shard.lock().counts) {
                *sum = sum.saturating_add(count);
            }
        }
        sums
    }

    /// The number of the shard in which a hold with this id lives, or would live.
    fn number(&self, id: &HoldId) -> u32 {
        shard_of(self.placement.of(id))
    }

    #[expect(clippy::indexing_slicing, reason = "shard numbers are made here, below SHARDS")]
    #[inline]
    fn with<R>(&self, number: u32, f: impl FnOnce(LockedShard<'_>) -> R) -> R {
        let shard = &self.shards[place(number)];
        f(LockedShard { shard: &mut shard.lock(), number, placement: &self.placement, locked_for: None })
    }
}

impl<'a> LockedShards<'a> {
    /// One locked shard.
    #[must_use]
    pub const fn one(own: LockedShard<'a>) -> Self {
        Self { own, other: None }
    }

    /// The first hold's shard.
    #[inline]
    pub const fn own(&mut self) -> &mut LockedShard<'a> {
        &mut self.own
    }

    /// The second hold's shard; without a second, the first's.
    pub const fn other(&mut self) -> &mut LockedShard<'a> {
        match &mut self.other {
            Some(other) => other,
            None => &mut self.own,
        }
    }
}

impl LockedShard<'_> {
    /// The hold with this id.
    #[must_use]
    pub fn find(&self, id: &HoldId) -> Option<HoldSlot> {
        let Shard { index, slab, .. } = &*self.shard;
        let place = index.find(self.hash(id), |place| slab.get(place).is_some_and(|hold| hold.id == *id))?;
        Some(HoldSlot::new(self.number, place))
    }

    #[inline]
    fn hash(&self, id: &HoldId) -> u64 {
        match &self.locked_for {
            Some((known, hash)) if known == id => *hash,
            Some(_) | None => self.placement.of(id),
        }
    }

    /// The hold there.
    #[must_use]
    pub fn get(&self, hold: HoldSlot) -> Option<&Hold> {
        self.shard.slab.get(hold.place())
    }

    /// Whether there is room for a new hold.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.shard.slab.len() < SHARD_CAPACITY
    }

    /// Inserts a new hold. Its id must not be in the table: the caller has checked under this same lock.
    pub fn insert(&mut self, hold: Hold) -> HoldSlot {
        let hash = self.hash(&hold.id);
        let Shard { index, slab, counts } = &mut *self.shard;
        count_in(counts, hold.state);
        let place = slab.insert(hold);
        index.insert(hash, place);
        HoldSlot::new(self.number, place)
    }

    /// Changes a hold by the record with this LSN. Returns what it counted for before, and the hold after; none if it
    /// has seen that record.
    #[inline]
    pub fn change(&mut self, hold: HoldSlot, lsn: Lsn, change: impl FnOnce(&mut Hold)) -> Option<(CountedHold, &Hold)> {
        let Shard { slab, counts, .. } = &mut *self.shard;
        let hold = slab.get_mut(hold.place())?;
        if lsn <= hold.revision {
            return None;
        }
        let before = CountedHold::of(hold);
        change(hold);
        hold.revision = lsn;
        count_out(counts, before.state);
        count_in(counts, hold.state);
        Some((before, hold))
    }

    /// Takes a hold out of the table.
    pub fn remove(&mut self, hold: HoldSlot) -> Option<Hold> {
        let Shard { index, slab, counts } = &mut *self.shard;
        let hash = self.placement.of(&slab.get(hold.place())?.id);
        index.remove(hash, hold.place());
        let hold = slab.remove(hold.place())?;
        count_out(counts, hold.state);
        Some(hold)
    }

    /// The holds whose deadline a restart moves: their places, their ids and their drops.
    pub(super) fn moved_by(&self, restart: Restart) -> Vec<(HoldSlot, HoldId, DropNo)> {
        let moved = self.iter().filter(|(_, hold)| restart.moves(hold));
        moved.map(|(place, hold)| (place, hold.id, hold.drop)).collect()
    }

    /// All holds of the shard.
    pub fn iter(&self) -> impl Iterator<Item = (HoldSlot, &Hold)> {
        self.shard.slab.iter().map(|(place, hold)| (HoldSlot::new(self.number, place), hold))
    }
}

/// By the upper half of the hash, since a shard's index uses the lower half. By the same bits, all holds of a shard
/// would have the same home in its index, and each look-up would search through most of them.
fn shard_of(hash: u64) -> u32 {
    let shards = u64::try_from(SHARDS).unwrap_or(1);
    u32::try_from((hash >> 32) % shards).unwrap_or(0)
}

fn place(number: u32) -> usize {
    usize::try_from(number).unwrap_or(0) % SHARDS
}

fn count_in(counts: &mut [u64; HoldState::ALL.len()], state: HoldState) {
    if let Some(count) = counts.get_mut(state.place()) {
        *count = count.saturating_add(1);
    }
}

fn count_out(counts: &mut [u64; HoldState::ALL.len()], state: HoldState) {
    if let Some(count) = counts.get_mut(state.place()) {
        invariant!(let Some(rest) = count.checked_sub(1), "a shard has a hold as {state:?} and counts none");
        *count = rest;
    }
}

#[cfg(test)]
mod tests {
    use stockade_types::hold::{Change, ContentHash, HoldFields, HoldLine};
    use stockade_types::ids::{CustomerId, ItemNo, PoolNo};

    use super::*;

    fn hold(n: u32) -> Hold {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&n.to_le_bytes());
        Hold::from(HoldFields {
            id: HoldId::from_bytes(id),
            drop: DropNo(0),
            state: HoldState::Held,
            customer: CustomerId::try_from("ada").expect("an id"),
            content: ContentHash(0),
            created_at: Timestamp(0),
            expires_at: Timestamp(100),
            settled_at: Timestamp(0),
            has_grace: false,
            revision: Lsn(1),
            lines: Lines::from_slice(&[HoldLine::new(ItemNo(0), PoolNo(0), n)]),
            extras: None,
        })
    }

    #[test]
    fn holds_are_found_by_id_and_by_reference_until_they_are_removed() {
        let holds = Holds::new(&DigestKey::from_bytes([1; 16]));
        let refs: Vec<HoldSlot> =
            (0..20_000).map(|n| holds.with_id(&hold(n).id, |mut shard| shard.insert(hold(n)))).collect();
        for (n, place) in (0..20_000).zip(&refs) {
            let found = holds.with_id(&hold(n).id, |shard| shard.find(&hold(n).id));
            assert_eq!(found, Some(*place));
        }
        assert_eq!(holds.counts(), [20_000, 0, 0, 0, 0]);
        let gone = holds.with_ref(refs[77], |mut shard| shard.remove(refs[77]));
        assert_eq!(gone, Some(hold(77)));
        assert_eq!(holds.with_id(&hold(77).id, |shard| shard.find(&hold(77).id)), None);
        assert_eq!(holds.counts(), [19_999, 0, 0, 0, 0]);
    }

    #[test]
    fn two_holds_are_locked_together_whatever_shards_they_live_in_and_in_whatever_order() {
        let holds = Holds::new(&DigestKey::from_bytes([1; 16]));
        let first = hold(0);
        let same = (1..1_000_000).find(|n| holds.number(&hold(*n).id) == holds.number(&first.id)).expect("a neighbour");
        for n in [1, 2, 3, same] {
            holds.with_two(&first.id, &hold(n).id, |shards| {
                let place = shards.other().insert(hold(n));
                assert_eq!(shards.other().find(&hold(n).id), Some(place));
                assert_eq!(shards.own().find(&hold(n).id).is_some(), n == same, "its own shard, or another");
            });
            holds.with_two(&hold(n).id, &first.id, |shards| {
                let place = shards.own().find(&hold(n).id).expect("found where it was put");
                assert_eq!(shards.own().remove(place), Some(hold(n)));
            });
        }
        let ids = [first.id, hold(1).id];
        std::thread::scope(|scope| {
            for [own, other] in [ids, [ids[1], ids[0]]] {
                let holds = &holds;
                scope.spawn(move || (0..20_000).for_each(|_| holds.with_two(&own, &other, |_| ())));
            }
        });
    }

    #[test]
    fn a_change_says_how_the_hold_stood_before_and_is_applied_once() {
        let holds = Holds::new(&DigestKey::from_bytes([1; 16]));
        holds.with_id(&hold(5).id, |mut shard| {
            let place = shard.insert(hold(5));
            let expire = |hold: &mut Hold| hold.change(&Change::Expired { at: Timestamp(100) });
            let (before, after) = shard.change(place, Lsn(2), expire).expect("a change");
            assert_eq!((before.state, after.state, after.revision), (HoldState::Held, HoldState::Expired, Lsn(2)));
            assert!(shard.change(place, Lsn(2), expire).is_none(), "at its revision: known already");
            assert!(shard.change(place, Lsn(1), expire).is_none(), "below it: older");
        });
        assert_eq!(holds.counts(), [0, 0, 0, 0, 1]);
    }
}
