//! Answers that were made, for all who ask for the same: each is made once for one reading of its drops.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use dashmap::DashMap;
use hyper::header::HeaderValue;

use super::gzip;
use super::room::Room;
use crate::web::Problem;

/// Most answers that are kept. When there are more, all are made anew.
const ANSWERS_MAX: usize = 2_048;

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
        let known = self.answers.get(&key).map(|known| known.value().clone());
        if let Some((_, page)) = known.filter(|(of, _)| *of == stamp) {
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
