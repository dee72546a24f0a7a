//! What other systems know of orders and of demand: the facts of one piece, and, in snapshots, what is kept of them.

use super::drop_fact::{Origin, decode_origin, encode_origin};
use crate::codec::{DecodeError, Reader, put_option, put_text, put_u64};
use crate::ids::{DropNo, FactKey, HoldId, Lsn, OrderKey, OrderRef, ShopId, Sku, SubjectKey, ZoneId};
use crate::time::{Millis, Timestamp};

/// Most facts of one record, so that it fits into a batch; a test holds it to this.
pub const FACTS_MAX: usize = 250;
/// Most subjects of one fact: a customer and as many identities as a hold may have.
pub const FACT_SUBJECTS_MAX: usize = 17;
/// Most holds of one fact's order that are looked at.
pub const FACT_HOLDS_MAX: usize = 8;
/// Most entries of one record of a snapshot.
pub const FACT_ENTRIES_MAX: usize = 2_000;
/// How long a fact is known by its id; also how far back it may lie, and how long demand is kept.
pub const FACT_KEPT: Millis = Millis::from_secs(400 * 24 * 60 * 60);
/// Most units, views or marks of interest of one fact.
pub const FACT_VALUE_MAX: u32 = 1_000_000_000;
/// The highest answer to "would you recommend us".
pub const NPS_MAX: u32 = 10;

/// What a fact tells. The numbers are part of the wire and of the disk's format and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FactKind {
    /// An order was cancelled.
    Cancelled,
    /// The payment of an order was charged back.
    Chargeback,
    /// Units of an order were returned.
    Returned,
    /// How likely a customer is to recommend the shop: 0 to 10.
    Nps,
    /// A customer asked for help.
    SupportContact,
    /// A page was seen.
    View,
    /// A wishlist, a reminder, a cart.
    Interest,
}

/// A fact as it is kept in the journal: without its id and without customers, which are keyed hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Its id.
    pub key: FactKey,
    /// Keyed digest of what it said: distinguishes it from another one with its id.
    pub content: u64,
    /// What it tells.
    pub kind: FactKind,
    /// When it happened.
    pub time: Timestamp,
    /// In which shop.
    pub shop: ShopId,
    /// Of which drop.
    pub drop: Option<DropNo>,
    /// Of which order.
    pub order: Option<OrderRef>,
    /// Of which item.
    pub sku: Option<Sku>,
    /// Where from.
    pub zone: Option<ZoneId>,
    /// Units, points, views or marks of interest; 1 for what is counted once.
    pub value: u32,
    /// For whose conduct it counts: each once.
    pub subjects: Vec<SubjectKey>,
    /// The holds by which these were found, if units came back: it counts unless `ReturnUnits` was called for one.
    pub holds: Vec<HoldId>,
}

/// Facts that were recorded together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub origin: Origin,
    /// At most [`FACTS_MAX`], each id once.
    pub facts: Vec<Fact>,
}

/// A fact that is known by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KnownFact {
    /// Its id.
    pub key: FactKey,
    /// Digest of what it said.
    pub content: u64,
    /// When it was recorded.
    pub at: Timestamp,
}

/// What facts tell of a drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FactTally {
    /// Orders that were cancelled.
    pub cancelled: u64,
    /// Orders that were charged back.
    pub chargebacks: u64,
    /// Units that came back without a call of `ReturnUnits`.
    pub returned_units: u64,
    /// Answers of 9 and 10.
    pub promoters: u64,
    /// Answers of 7 and 8.
    pub passives: u64,
    /// Answers of 0 to 6.
    pub detractors: u64,
    /// Calls for help.
    pub support_contacts: u64,
    /// Views.
    pub views: u64,
    /// Marks of interest.
    pub interest: u64,
}

/// Demand of one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Demand {
    /// Views.
    pub views: u64,
    /// Marks of interest.
    pub interest: u64,
}

/// When a subject's orders did something: each order once, the newest ones.
pub type OrderInstants = Vec<(Timestamp, OrderKey)>;

/// What facts tell of a subject's orders, ascending by time.
#[derive(Debug, Clone, PartialEq, Eq, Default, PartialOrd, Ord)]
pub struct FactConduct {
    /// Orders that were cancelled.
    pub cancelled: OrderInstants,
    /// Orders that were charged back.
    pub charged_back: OrderInstants,
    /// Orders of which units came back without a call of `ReturnUnits`.
    pub returned: OrderInstants,
}

/// A part of what is kept of facts. In snapshots only: the journal has the facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FactsImage {
    /// Facts that are known by their ids.
    Known(Vec<KnownFact>),
    /// What facts tell of drops, with the last record of each that changed it.
    Tallies(Vec<(DropNo, Lsn, FactTally)>),
    /// Demand of a shop from a zone, by hours since the epoch, with the last record of each that changed it.
    Demand {
        /// The shop.
        shop: ShopId,
        /// Where from, if that is known.
        zone: Option<ZoneId>,
        /// By hour, ascending.
        hours: Vec<(u32, Lsn, Demand)>,
    },
    /// What facts tell of a subject's orders.
    Conduct(SubjectKey, FactConduct),
}

/// What kind of part a record of facts is.
mod form {
    pub(super) const PIECE: u8 = 0;
    pub(super) const KNOWN: u8 = 1;
    pub(super) const TALLIES: u8 = 2;
    pub(super) const DEMAND: u8 = 3;
    pub(super) const CONDUCT: u8 = 4;
}

impl FactKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Cancelled,
        Self::Chargeback,
        Self::Returned,
        Self::Nps,
        Self::SupportContact,
        Self::View,
        Self::Interest,
    ];

    /// The number on the wire and on disk.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Cancelled => 1,
            Self::Chargeback => 2,
            Self::Returned => 3,
            Self::Nps => 4,
            Self::SupportContact => 5,
            Self::View => 6,
            Self::Interest => 7,
        }
    }

    /// The contract's name.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Cancelled => "CANCELLED",
            Self::Chargeback => "CHARGEBACK",
            Self::Returned => "RETURNED",
            Self::Nps => "NPS",
            Self::SupportContact => "SUPPORT_CONTACT",
            Self::View => "VIEW",
            Self::Interest => "INTEREST",
        }
    }

    /// Whether it tells of demand, and not of a sale.
    #[must_use]
    pub const fn is_demand(self) -> bool {
        match self {
            Self::View | Self::Interest => true,
            Self::Cancelled | Self::Chargeback | Self::Returned | Self::Nps | Self::SupportContact => false,
        }
    }

    /// Whether it tells what a customer did, for rules of conduct.
    #[must_use]
    pub const fn is_conduct(self) -> bool {
        match self {
            Self::Cancelled | Self::Chargeback | Self::Returned => true,
            Self::Nps | Self::SupportContact | Self::View | Self::Interest => false,
        }
    }
}

impl Fact {
    /// The hour in which it happened, since the epoch.
    #[must_use]
    pub fn hour(&self) -> u32 {
        hour_of(self.time)
    }
}

/// The hour of an instant, since the epoch.
#[must_use]
pub fn hour_of(at: Timestamp) -> u32 {
    u32::try_from(at.0 / Millis::from_secs(60 * 60).0).unwrap_or(u32::MAX)
}

impl FactTally {
    /// Adds a fact.
    pub fn add(&mut self, kind: FactKind, value: u32) {
        let (count, more) = match kind {
            FactKind::Cancelled => (&mut self.cancelled, 1),
            FactKind::Chargeback => (&mut self.chargebacks, 1),
            FactKind::Returned => (&mut self.returned_units, value),
            FactKind::Nps if value >= 9 => (&mut self.promoters, 1),
            FactKind::Nps if value >= 7 => (&mut self.passives, 1),
            FactKind::Nps => (&mut self.detractors, 1),
            FactKind::SupportContact => (&mut self.support_contacts, 1),
            FactKind::View => (&mut self.views, value),
            FactKind::Interest => (&mut self.interest, value),
        };
        *count = count.saturating_add(more.into());
    }

    fn counts(&self) -> [u64; 9] {
        let Self {
            cancelled,
            chargebacks,
            returned_units,
            promoters,
            passives,
            detractors,
            support_contacts,
            views,
            interest,
        } = *self;
        [cancelled, chargebacks, returned_units, promoters, passives, detractors, support_contacts, views, interest]
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            cancelled: reader.u64()?,
            chargebacks: reader.u64()?,
            returned_units: reader.u64()?,
            promoters: reader.u64()?,
            passives: reader.u64()?,
            detractors: reader.u64()?,
            support_contacts: reader.u64()?,
            views: reader.u64()?,
            interest: reader.u64()?,
        })
    }
}

impl Demand {
    /// Adds a fact, if it tells of demand.
    pub fn add(&mut self, kind: FactKind, value: u32) {
        match kind {
            FactKind::View => self.views = self.views.saturating_add(value.into()),
            FactKind::Interest => self.interest = self.interest.saturating_add(value.into()),
            FactKind::Cancelled
            | FactKind::Chargeback
            | FactKind::Returned
            | FactKind::Nps
            | FactKind::SupportContact => {}
        }
    }
}

impl FactConduct {
    /// Whether there is nothing of it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.cancelled.is_empty() && self.charged_back.is_empty() && self.returned.is_empty()
    }

    /// The list for a kind of facts, if it counts for conduct.
    pub const fn of_mut(&mut self, kind: FactKind) -> Option<&mut OrderInstants> {
        match kind {
            FactKind::Cancelled => Some(&mut self.cancelled),
            FactKind::Chargeback => Some(&mut self.charged_back),
            FactKind::Returned => Some(&mut self.returned),
            FactKind::Nps | FactKind::SupportContact | FactKind::View | FactKind::Interest => None,
        }
    }
}

pub(super) fn encode(facts: &Facts, out: &mut Vec<u8>) {
    let Facts { at, origin, facts } = facts;
    out.push(form::PIECE);
    put_u64(out, at.0);
    encode_origin(origin, out);
    put_count(facts.len(), out);
    for Fact { key, content, kind, time, shop, drop, order, sku, zone, value, subjects, holds } in facts {
        put_known(*key, *content, out);
        out.push(kind.number());
        put_u64(out, time.0);
        put_text(out, shop.as_str());
        put_option(out, drop.map(|drop| drop.0.into()));
        put_text(out, order.as_ref().map_or("", OrderRef::as_str));
        put_text(out, sku.as_ref().map_or("", Sku::as_str));
        put_text(out, zone.as_ref().map_or("", ZoneId::as_str));
        put_u64(out, (*value).into());
        put_count(subjects.len(), out);
        for subject in subjects {
            out.extend_from_slice(&subject.0.to_le_bytes());
        }
        put_count(holds.len(), out);
        for hold in holds {
            out.extend_from_slice(hold.as_bytes());
        }
    }
}

pub(super) fn encode_image(image: &FactsImage, out: &mut Vec<u8>) {
    match image {
        FactsImage::Known(known) => {
            out.push(form::KNOWN);
            put_count(known.len(), out);
            for KnownFact { key, content, at } in known {
                put_known(*key, *content, out);
                put_u64(out, at.0);
            }
        }
        FactsImage::Tallies(tallies) => {
            out.push(form::TALLIES);
            put_count(tallies.len(), out);
            for (drop, revision, tally) in tallies {
                put_u64(out, drop.0.into());
                put_u64(out, revision.0);
                for count in tally.counts() {
                    put_u64(out, count);
                }
            }
        }
        FactsImage::Demand { shop, zone, hours } => {
            out.push(form::DEMAND);
            put_text(out, shop.as_str());
            put_text(out, zone.as_ref().map_or("", ZoneId::as_str));
            put_count(hours.len(), out);
            for (hour, revision, Demand { views, interest }) in hours {
                put_u64(out, (*hour).into());
                for number in [revision.0, *views, *interest] {
                    put_u64(out, number);
                }
            }
        }
        FactsImage::Conduct(subject, FactConduct { cancelled, charged_back, returned }) => {
            out.push(form::CONDUCT);
            out.extend_from_slice(&subject.0.to_le_bytes());
            for orders in [cancelled, charged_back, returned] {
                put_count(orders.len(), out);
                for (at, order) in orders {
                    put_u64(out, at.0);
                    out.extend_from_slice(&order.0.to_le_bytes());
                }
            }
        }
    }
}

/// A record of facts: those of one piece, or what a snapshot has of all.
pub(super) enum Decoded {
    Piece(Facts),
    Image(FactsImage),
}

pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Decoded, DecodeError> {
    let image = match reader.u8()? {
        form::PIECE => return Ok(Decoded::Piece(piece(reader)?)),
        form::KNOWN => {
            let known = |reader: &mut Reader<'_>| {
                let (key, content) = known(reader)?;
                Ok(KnownFact { key, content, at: Timestamp(reader.u64()?) })
            };
            FactsImage::Known(each(reader, known)?)
        }
        form::TALLIES => FactsImage::Tallies(each(reader, |reader| {
            Ok((DropNo(reader.small("drop number")?), Lsn(reader.u64()?), FactTally::decode(reader)?))
        })?),
        form::DEMAND => {
            let (shop, zone) = (reader.id("shop id")?, reader.optional_id("zone")?);
            let hour = |reader: &mut Reader<'_>| {
                let (hour, revision) = (reader.small("hour")?, Lsn(reader.u64()?));
                Ok((hour, revision, Demand { views: reader.u64()?, interest: reader.u64()? }))
            };
            FactsImage::Demand { shop, zone, hours: each(reader, hour)? }
        }
        form::CONDUCT => {
            let subject = SubjectKey(u128::from_le_bytes(reader.array()?));
            let mut orders =
                || each(reader, |reader| Ok((Timestamp(reader.u64()?), OrderKey(u64::from_le_bytes(reader.array()?)))));
            let (cancelled, charged_back, returned) = (orders()?, orders()?, orders()?);
            FactsImage::Conduct(subject, FactConduct { cancelled, charged_back, returned })
        }
        _ => return Err(DecodeError::Bad("form of facts")),
    };
    Ok(Decoded::Image(image))
}

fn piece(reader: &mut Reader<'_>) -> Result<Facts, DecodeError> {
    let (at, origin) = (Timestamp(reader.u64()?), decode_origin(reader)?);
    let count = reader.count(1)?;
    if count > FACTS_MAX {
        return Err(DecodeError::Bad("count of facts"));
    }
    Ok(Facts { at, origin, facts: (0..count).map(|_| fact(reader)).collect::<Result<_, _>>()? })
}

fn fact(reader: &mut Reader<'_>) -> Result<Fact, DecodeError> {
    let (key, content) = known(reader)?;
    let number = reader.u8()?;
    let kind =
        FactKind::ALL.into_iter().find(|kind| kind.number() == number).ok_or(DecodeError::Bad("kind of fact"))?;
    let (time, shop) = (Timestamp(reader.u64()?), reader.id("shop id")?);
    let drop = reader.option()?.map(|drop| u32::try_from(drop).map(DropNo)).transpose();
    let drop = drop.map_err(|_large| DecodeError::Bad("drop number"))?;
    let (order, sku) = (reader.optional_id("order")?, reader.optional_id("sku")?);
    let (zone, value) = (reader.optional_id("zone")?, reader.small("value of a fact")?);
    let (subjects, holds) = (keys(reader, FACT_SUBJECTS_MAX)?, keys(reader, FACT_HOLDS_MAX)?);
    let subjects = subjects.into_iter().map(|key| SubjectKey(u128::from_le_bytes(key))).collect();
    let holds = holds.into_iter().map(HoldId::from_bytes).collect();
    Ok(Fact { key, content, kind, time, shop, drop, order, sku, zone, value, subjects, holds })
}

/// At most this many keys of sixteen bytes.
fn keys(reader: &mut Reader<'_>, most: usize) -> Result<Vec<[u8; 16]>, DecodeError> {
    let count = reader.count(16)?;
    if count > most {
        return Err(DecodeError::Bad("count of keys"));
    }
    (0..count).map(|_| reader.array()).collect()
}

/// The entries of a list of an image.
fn each<T>(
    reader: &mut Reader<'_>,
    mut one: impl FnMut(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = reader.count(1)?;
    if count > FACT_ENTRIES_MAX {
        return Err(DecodeError::Bad("count of entries"));
    }
    (0..count).map(|_| one(reader)).collect()
}

fn put_known(key: FactKey, content: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&key.0.to_le_bytes());
    out.extend_from_slice(&content.to_le_bytes());
}

fn known(reader: &mut Reader<'_>) -> Result<(FactKey, u64), DecodeError> {
    Ok((FactKey(u128::from_le_bytes(reader.array()?)), u64::from_le_bytes(reader.array()?)))
}

fn put_count(count: usize, out: &mut Vec<u8>) {
    put_u64(out, u64::try_from(count).unwrap_or(u64::MAX));
}
