//! A webhook as it is defined, and how far its deliveries are. Pure data: whether a definition makes sense is checked
//! where it comes from.

use crate::codec::{DecodeError, Reader, put_option, put_text, put_u64};
use crate::ids::{DefinedId, DropId, Lsn, SeriesId, ShopId};
use crate::time::{Millis, Timestamp};

/// First byte of an encoded webhook: the version of its form.
const FORM: u8 = 1;
/// Most entries of each list of a filter.
pub const PATTERNS_MAX: usize = 64;
/// Most bytes of the text of the last error.
pub const ERROR_BYTES_MAX: usize = 200;

/// A place between two events of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventPlace {
    /// The record.
    pub lsn: Lsn,
    /// How many of the record's events are before it; the highest number for all of them.
    pub place: u16,
}

/// Which events a webhook is sent, as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventPatterns {
    /// Types: exact ones, prefixes with `.*`, or `*`.
    pub types: Vec<String>,
    /// Only this shop's.
    pub shop: Option<ShopId>,
    /// Only this series'.
    pub series: Option<SeriesId>,
    /// Only this drop's.
    pub drop: Option<DropId>,
    /// Only those with one of these names.
    pub names: Vec<String>,
    /// Only those for one of these channels.
    pub channels: Vec<String>,
}

/// A secret that was replaced, and signs beside the new one until this instant.
#[derive(Clone, PartialEq, Eq)]
pub struct OldSecret {
    /// Its bytes.
    pub secret: Vec<u8>,
    /// Until when it signs.
    pub until: Timestamp,
}

/// A webhook's definition.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Where deliveries go.
    pub url: String,
    /// Which events.
    pub filter: EventPatterns,
    /// Whether it is enabled.
    pub is_enabled: bool,
    /// Why the server disabled it; empty if it did not.
    pub disabled_because: String,
    /// What it is for.
    pub description: String,
    /// Whether events name customers, orders and actors.
    pub with_customers: bool,
    /// Whether events have stock figures.
    pub with_stock: bool,
    /// After how long an event that is not taken is given up.
    pub give_up_after: Millis,
    /// Most events of one delivery.
    pub max_batch: u32,
    /// What deliveries are signed with.
    pub secret: Vec<u8>,
    /// The secret before, if it was replaced.
    pub old_secret: Option<OldSecret>,
    /// Where its deliveries begin.
    pub start: EventPlace,
    /// How often `start` was set anew. Progress of another era does not count.
    pub era: u64,
    /// When it was created, enabled, or set to begin anew.
    pub since: Timestamp,
}

/// How far a webhook's deliveries are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Everything up to here was delivered or given up.
    pub delivered_to: EventPlace,
    /// The era of the definition that it is about.
    pub era: u64,
    /// When a delivery succeeded last.
    pub last_success_at: Option<Timestamp>,
    /// Since when none has succeeded, if the last one failed.
    pub failing_since: Option<Timestamp>,
    /// How many events were given up.
    pub given_up: u64,
    /// What the last failure was; empty if the last delivery succeeded.
    pub last_error: String,
}

/// The progress of one webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookProgress {
    /// Which webhook.
    pub webhook: DefinedId,
    /// When it was created: one that was deleted, and another of its id, do not have this progress in common.
    pub created_at: Timestamp,
    /// How far it is.
    pub progress: Progress,
}

impl std::fmt::Debug for OldSecret {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OldSecret").field("until", &self.until).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Webhook {
    /// Without secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { url, filter, is_enabled, start, era, .. } = self;
        let mut shown = f.debug_struct("Webhook");
        shown.field("url", url).field("filter", filter).field("is_enabled", is_enabled);
        shown.field("start", start).field("era", era).finish_non_exhaustive()
    }
}

impl EventPlace {
    /// Appends it.
    pub fn encode(self, out: &mut Vec<u8>) {
        let Self { lsn, place } = self;
        put_u64(out, lsn.0);
        put_u64(out, u64::from(place));
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { lsn: Lsn(reader.u64()?), place: reader.small("place of an event")? })
    }
}

impl EventPatterns {
    fn encode(&self, out: &mut Vec<u8>) {
        let Self { types, shop, series, drop, names, channels } = self;
        for list in [types, names, channels] {
            put_u64(out, u64::try_from(list.len()).unwrap_or(u64::MAX));
            for entry in list {
                put_text(out, entry);
            }
        }
        put_text(out, shop.as_ref().map_or("", ShopId::as_str));
        put_text(out, series.as_ref().map_or("", SeriesId::as_str));
        put_text(out, drop.as_ref().map_or("", DropId::as_str));
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut list = || {
            let count = reader.count(1)?;
            if count > PATTERNS_MAX {
                return Err(DecodeError::Bad("count of patterns"));
            }
            (0..count).map(|_| reader.text().map(str::to_owned)).collect::<Result<Vec<_>, _>>()
        };
        let (types, names, channels) = (list()?, list()?, list()?);
        let (shop, series) = (reader.optional_id("shop")?, reader.optional_id("series")?);
        Ok(Self { types, shop, series, drop: reader.optional_id("drop")?, names, channels })
    }
}

impl Webhook {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let Self {
            url,
            filter,
            is_enabled,
            disabled_because,
            description,
            with_customers,
            with_stock,
            give_up_after,
            max_batch,
            secret,
            old_secret,
            start,
            era,
            since,
        } = self;
        let mut out = vec![FORM];
        put_text(&mut out, url);
        filter.encode(&mut out);
        put_text(&mut out, disabled_because);
        put_text(&mut out, description);
        out.extend([is_enabled, with_customers, with_stock].map(|flag| u8::from(*flag)));
        put_u64(&mut out, give_up_after.0);
        put_u64(&mut out, u64::from(*max_batch));
        put_bytes(&mut out, secret);
        out.push(u8::from(old_secret.is_some()));
        if let Some(OldSecret { secret, until }) = old_secret {
            put_bytes(&mut out, secret);
            put_u64(&mut out, until.0);
        }
        start.encode(&mut out);
        put_u64(&mut out, *era);
        put_u64(&mut out, since.0);
        out
    }

    /// Reads all of the bytes.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != FORM {
            return Err(DecodeError::Bad("form of a webhook"));
        }
        let (url, filter) = (reader.text()?.to_owned(), EventPatterns::decode(&mut reader)?);
        let (disabled_because, description) = (reader.text()?.to_owned(), reader.text()?.to_owned());
        let is_enabled = reader.flag("flag")?;
        let (with_customers, with_stock) = (reader.flag("flag")?, reader.flag("flag")?);
        let (give_up_after, max_batch) = (Millis(reader.u64()?), reader.small("size of a batch")?);
        let secret = bytes_of(&mut reader)?;
        let old_secret = if reader.flag("flag")? {
            Some(OldSecret { secret: bytes_of(&mut reader)?, until: Timestamp(reader.u64()?) })
        } else {
            None
        };
        let (start, era, since) = (EventPlace::decode(&mut reader)?, reader.u64()?, Timestamp(reader.u64()?));
        reader.finish()?;
        Ok(Self {
            url,
            filter,
            is_enabled,
            disabled_because,
            description,
            with_customers,
            with_stock,
            give_up_after,
            max_batch,
            secret,
            old_secret,
            start,
            era,
            since,
        })
    }
}

impl WebhookProgress {
    /// Appends it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let Self { webhook, created_at, progress } = self;
        let Progress { delivered_to, era, last_success_at, failing_since, given_up, last_error } = progress;
        put_text(out, webhook.as_str());
        put_u64(out, created_at.0);
        delivered_to.encode(out);
        put_u64(out, *era);
        put_option(out, last_success_at.map(|at| at.0));
        put_option(out, failing_since.map(|at| at.0));
        put_u64(out, *given_up);
        put_text(out, last_error);
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (webhook, created_at) = (reader.id("webhook")?, Timestamp(reader.u64()?));
        let (delivered_to, era) = (EventPlace::decode(reader)?, reader.u64()?);
        let (last_success_at, failing_since) = (reader.option()?.map(Timestamp), reader.option()?.map(Timestamp));
        let (given_up, last_error) = (reader.u64()?, reader.text()?.to_owned());
        let progress = Progress { delivered_to, era, last_success_at, failing_since, given_up, last_error };
        Ok(Self { webhook, created_at, progress })
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u64(out, u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    out.extend_from_slice(bytes);
}

fn bytes_of(reader: &mut Reader<'_>) -> Result<Vec<u8>, DecodeError> {
    let count = reader.count(1)?;
    Ok(reader.bytes(count)?.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook() -> Webhook {
        let filter = EventPatterns {
            types: vec!["hold.*".into(), "drop.opened".into()],
            shop: ShopId::try_from("knives").ok(),
            series: None,
            drop: DropId::try_from("friday").ok(),
            names: vec!["members".into()],
            channels: Vec::new(),
        };
        Webhook {
            url: "https://example.com/hook".into(),
            filter,
            is_enabled: true,
            disabled_because: String::new(),
            description: "for the mailer".into(),
            with_customers: true,
            with_stock: false,
            give_up_after: Millis(86_400_000),
            max_batch: 7,
            secret: vec![1; 32],
            old_secret: Some(OldSecret { secret: vec![2; 24], until: Timestamp(9) }),
            start: EventPlace { lsn: Lsn(300), place: u16::MAX },
            era: 2,
            since: Timestamp(5),
        }
    }

    #[test]
    fn a_webhook_is_read_as_it_was_written_and_cut_bytes_are_refused() {
        let plain = Webhook { old_secret: None, filter: EventPatterns::default(), ..webhook() };
        for webhook in [webhook(), plain] {
            let bytes = webhook.encode();
            assert_eq!(Webhook::decode(&bytes), Ok(webhook));
            for end in 0..bytes.len() {
                assert!(Webhook::decode(&bytes[..end]).is_err(), "{end}");
            }
            assert!(Webhook::decode(&[&bytes[..], &[0]].concat()).is_err());
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown = format!("{:?}", webhook());
        assert!(!shown.contains("[1,") && !shown.contains("[2,"), "{shown}");
    }

    #[test]
    fn progress_is_read_as_it_was_written() {
        let progress = Progress {
            delivered_to: EventPlace { lsn: Lsn(9), place: 1 },
            era: 1,
            last_success_at: Some(Timestamp(1)),
            failing_since: None,
            given_up: 3,
            last_error: "no route".into(),
        };
        let webhook = DefinedId::try_from("w").expect("an id");
        let entry = WebhookProgress { webhook, created_at: Timestamp(300), progress };
        let mut bytes = Vec::new();
        entry.encode(&mut bytes);
        let mut reader = Reader::new(&bytes);
        assert_eq!(WebhookProgress::decode(&mut reader), Ok(entry));
        assert_eq!(reader.finish(), Ok(()));
    }
}
