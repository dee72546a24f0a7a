//! Answers that were made, for all who ask for the same: each is made once for one reading of its drops.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use dashmap::DashMap;
use hyper::header::HeaderValue;
use stockade_types::time::{Millis, Timestamp};
use tokio::sync::Semaphore;

use super::gzip;
use super::room::Room;
use crate::grpc::Pace;
use crate::web::Problem;

/// Most answers that are kept. When there are more, all are made anew.
const ANSWERS_MAX: usize = 2_048;

/// Of answers to free parameters one is made in this time,
const INTERVAL: Millis = Millis(10);
/// this many at once after a rest,
const BURST: u64 = 64;
/// and for each of these bytes of one it takes as long again.
const PIECE: usize = 64 * 1024;

/// What an answer was made of: an answer with another stamp is made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp(pub(super) u64, pub(super) u64);

/// An answer before it was charged for.
#[derive(Debug)]
pub(super) struct Made {
    /// What kind of text it is.
    pub(super) content_type: &'static str,
    /// How long others may keep it.
    pub(super) cache_control: &'static str,
    /// What a page may do.
    pub(super) policy: HeaderValue,
    /// What stands for the content, without quotes; empty for none.
    pub(super) etag: String,
    /// The content.
    pub(super) content: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) content_type: &'static str,
    pub(super) cache_control: &'static str,
    pub(super) policy: HeaderValue,
    pub(super) etag: Option<HeaderValue>,
    pub(super) plain: Bytes,
    compressed: OnceLock<Option<Bytes>>,
}

impl Page {
    /// The content compressed, made when it is needed first; `None` if that is not worth it, or there is no room.
    pub(super) fn compressed(&self, room: &Room) -> Option<Bytes> {
        self.compressed.get_or_init(|| gzip::compressed(&self.plain).and_then(|bytes| room.charge(bytes))).clone()
    }
}

/// The answers.
pub(super) struct Cache {
    room: Room,
    answers: DashMap<String, (Stamp, Arc<Page>)>,
}

impl Cache {
    /// Whose answers take this room.
    pub(super) fn new(room: Room) -> Self {
        Self { room, answers: DashMap::new() }
    }

    fn known(&self, key: &str) -> Option<(Stamp, Arc<Page>)> {
        self.answers.get(key).map(|known| known.value().clone())
    }

    /// The answer under this key and with this stamp, made if there is none.
    ///
    /// # Errors
    /// Those of `make`, and `Unavailable` without room.
    pub(super) fn page(
        &self,
        key: String,
        stamp: Stamp,
        make: impl FnOnce() -> Result<Made, Problem>,
    ) -> Result<Arc<Page>, Problem> {
        if let Some((_, page)) = self.known(&key).filter(|(of, _)| *of == stamp) {
            return Ok(page);
        }
        let Made { content_type, cache_control, policy, etag, content } = make()?;
        let plain = self.room.charge(content).ok_or_else(|| {
            // What is kept takes the room of what is asked for: there is some for the next.
            self.answers.clear();
            Problem::unavailable("no room for another answer")
        })?;
        // Weak: compressed or not, and at whatever second it was made, it says the same.
        let etag = (!etag.is_empty()).then(|| HeaderValue::try_from(format!("W/\"{etag}\"")).ok()).flatten();
        let compressed = OnceLock::new();
        let page = Arc::new(Page { content_type, cache_control, policy, etag, plain, compressed });
        if self.answers.len() >= ANSWERS_MAX {
            self.answers.clear();
        }
        self.answers.insert(key, (stamp, Arc::clone(&page)));
        Ok(page)
    }
}

/// Answers to parameters that readers choose freely. They take a room of their own, and are made one at a time at a
/// bounded rate for all readers: beyond it the answer before is given, if it is kept.
pub(super) struct FreeCache {
    cache: Cache,
    turn: Semaphore,
    pace: Pace,
}

impl FreeCache {
    /// Whose answers take this room.
    pub(super) fn new(room: Room) -> Self {
        Self { cache: Cache::new(room), turn: Semaphore::new(1), pace: Pace::new(INTERVAL, BURST) }
    }

    /// As [`Cache::page`].
    ///
    /// # Errors
    /// Those of `make`, and `Unavailable` without room or beyond the rate.
    pub(super) async fn page(
        &self,
        key: String,
        (stamp, now): (Stamp, Timestamp),
        make: impl FnOnce() -> Result<Made, Problem>,
    ) -> Result<Arc<Page>, Problem> {
        let fresh = |(of, page): (Stamp, Arc<Page>)| (of == stamp).then_some(page);
        if let Some(page) = self.cache.known(&key).and_then(fresh) {
            return Ok(page);
        }
        // A reader that has waited finds what was made meanwhile for the same parameters.
        let _turn = self.turn.acquire().await.map_err(|_closed| Problem::unavailable("the server is stopping"))?;
        let known = self.cache.known(&key);
        if let Some(page) = known.clone().and_then(fresh) {
            return Ok(page);
        }
        if !self.pace.take(now) {
            let older = known.map(|(_, page)| page);
            return older.ok_or_else(|| Problem::unavailable("too many lists and calendars are asked for"));
        }
        let page = self.cache.page(key, stamp, make)?;
        self.pace.add(u64::try_from(page.plain.len() / PIECE).unwrap_or(u64::MAX));
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::super::policy;
    use super::*;

    fn made(bytes: usize) -> Made {
        let (content_type, cache_control) = ("text/plain", "no-store");
        let (policy, etag) = (policy::nothing(), String::new());
        Made { content_type, cache_control, policy, etag, content: vec![b'x'; bytes] }
    }

    async fn asked(cache: &FreeCache, key: &str, (stamp, now): (u64, u64), bytes: usize) -> Result<usize, Problem> {
        let page = cache.page(key.to_owned(), (Stamp(stamp, stamp), Timestamp(now)), || Ok(made(bytes))).await;
        page.map(|page| page.plain.len())
    }

    #[tokio::test]
    async fn beyond_the_rate_the_answer_before_is_given_and_nothing_new_is_made() {
        let cache = FreeCache::new(Room::of(1024 * 1024));
        assert_eq!(asked(&cache, "shop=a", (1, 1_000), 10).await, Ok(10));
        for n in 1..BURST {
            assert_eq!(asked(&cache, &format!("shop=x{n}"), (1, 1_000), 10).await, Ok(10));
        }
        let turned_away = asked(&cache, "shop=y", (1, 1_000), 10).await.expect_err("too many");
        assert!(turned_away.retry_after.is_some());
        assert_eq!(asked(&cache, "shop=a", (1, 1_000), 99).await, Ok(10), "what was made is given");
        assert_eq!(asked(&cache, "shop=a", (2, 1_000), 99).await, Ok(10), "and an older one");
        assert_eq!(asked(&cache, "shop=a", (2, 1_000 + INTERVAL.0), 99).await, Ok(99), "made anew in its time");
    }

    #[tokio::test]
    async fn a_large_answer_takes_as_long_as_several() {
        let cache = FreeCache::new(Room::of(64 * 1024 * 1024));
        let pieces = usize::try_from(BURST).expect("few");
        assert!(asked(&cache, "large", (1, 1_000), pieces * PIECE).await.is_ok());
        assert!(asked(&cache, "small", (1, 1_000), 1).await.is_err());
        // Its pieces count besides itself.
        assert!(asked(&cache, "small", (1, 1_000 + INTERVAL.0), 1).await.is_err());
        assert!(asked(&cache, "small", (1, 1_000 + 2 * INTERVAL.0), 1).await.is_ok());
    }

    #[tokio::test]
    async fn answers_beyond_their_room_make_room_for_the_next() {
        let cache = FreeCache::new(Room::of(64 * 1024));
        assert!(asked(&cache, "one", (1, 1_000), 40 * 1024).await.is_ok());
        assert!(asked(&cache, "two", (1, 1_000), 40 * 1024).await.is_err(), "no room");
        assert!(asked(&cache, "two", (1, 1_000), 40 * 1024).await.is_ok());
    }
}
