//! Which facts are known by their ids: a hash table in shards, so that none of its growths takes long.

use hashbrown::HashMap;
use stockade_types::ids::FactKey;
use stockade_types::record::{FACT_KEPT, KnownFact};
use stockade_types::time::{Millis, Timestamp};

use super::is_old;

/// Shards of the table.
const SHARDS: usize = 256;
/// A shard is searched for what is old when its oldest entry has been old for so long.
const SEARCH_AFTER: Millis = Millis::from_secs(24 * 60 * 60);

/// Facts by their keys. The keys are hashes already, but a table's own hash costs little.
#[derive(Debug)]
pub(super) struct KnownFacts {
    shards: Box<[Shard]>,
    count: usize,
}

#[derive(Debug, Default)]
struct Shard {
    /// By the key: digest, and when it was recorded.
    known: HashMap<u128, (u64, Timestamp)>,
    /// No entry is older.
    oldest: Option<Timestamp>,
}

impl Default for KnownFacts {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Shard::default()).collect(), count: 0 }
    }
}

impl KnownFacts {
    pub(super) const fn len(&self) -> usize {
        self.count
    }

    pub(super) fn get(&self, key: FactKey) -> Option<KnownFact> {
        let (content, at) = *self.shards.get(place(key))?.known.get(&key.0)?;
        Some(KnownFact { key, content, at })
    }

    /// Puts a fact there, unless it is known at `now`, and frees what is old in its shard.
    pub(super) fn put(&mut self, KnownFact { key, content, at }: KnownFact, now: Timestamp) {
        let Some(shard) = self.shards.get_mut(place(key)) else { return };
        let before = shard.known.len();
        if shard.oldest.is_some_and(|oldest| is_old(oldest.plus(SEARCH_AFTER), now)) {
            shard.forget(now);
        }
        let entry = shard.known.entry(key.0).or_insert((content, at));
        if is_old(entry.1, now) {
            *entry = (content, at);
        }
        shard.oldest = Some(shard.oldest.map_or(at, |oldest| oldest.min(at)));
        self.count = self.count.saturating_sub(before).saturating_add(shard.known.len());
    }

    /// Frees all that is old.
    pub(super) fn forget(&mut self, now: Timestamp) {
        for shard in &mut self.shards {
            if shard.oldest.is_some_and(|oldest| is_old(oldest, now)) {
                let before = shard.known.len();
                shard.forget(now);
                self.count = self.count.saturating_sub(before.saturating_sub(shard.known.len()));
            }
        }
    }

    /// The facts of a shard; none behind the last one.
    pub(super) fn shard(&self, place: usize) -> Option<impl Iterator<Item = KnownFact>> {
        let of = |(key, (content, at)): (&u128, &(u64, Timestamp))| KnownFact {
            key: FactKey(*key),
            content: *content,
            at: *at,
        };
        Some(self.shards.get(place)?.known.iter().map(of))
    }
}

impl Shard {
    fn forget(&mut self, now: Timestamp) {
        let from = now.minus(FACT_KEPT);
        self.known.retain(|_, (_, at)| *at > from);
        self.known.shrink_to(self.known.len().saturating_mul(2));
        self.oldest = self.known.values().map(|(_, at)| *at).min();
    }
}

fn place(key: FactKey) -> usize {
    // The upper half: a table's own hash may use the lower one.
    usize::try_from(key.0 >> 120).unwrap_or(0) % SHARDS
}
