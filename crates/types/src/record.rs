//! Records: the entries of the journal and of snapshots, and their bytes.
//!
//! A record carries an entity's new state, never a difference, so applying it twice has the same effect as once. Its
//! LSN is its position in the journal and not part of its bytes. Images (`Drop`, `Lifecycle`, `Hold`, …) are whole
//! entities: a snapshot has one for every entity. Facts are what the journal has: what was done, when and by whom, and
//! the entity after it.

mod archive;
mod channel;
mod defined;
mod delivered;
mod drop_fact;
mod drop_image;
mod facts;
mod format1;
mod hold;
mod hold_change;
mod lifecycle;
mod marks;
mod occurrence;
mod report;
mod restart;
mod stock;
mod totals;

pub use archive::{Archived, OldUsage, Sold, UsageImage};
pub use channel::{AUDIENCES_MAX, ChannelFact, ChannelProgress, Sent};
pub use defined::{DEFINED_BYTES_MAX, DefinedFact, DefinedImage, DefinedKind, DefinedUpdate, DefinedVerb};
pub use delivered::{DELIVERED_MAX, Delivered};
pub use drop_fact::{DropFact, DropVerb, ORIGIN_TEXT_MAX, Origin};
pub use drop_image::{Announced, DropImage, LastUpdate, request_digest, update_digest};
pub use facts::{
    Demand, FACT_ENTRIES_MAX, FACT_HOLDS_MAX, FACT_KEPT, FACT_SUBJECTS_MAX, FACT_VALUE_MAX, FACTS_MAX, Fact,
    FactConduct, FactKind, FactTally, Facts, FactsImage, KnownFact, NPS_MAX, OrderInstants, hour_of,
};
pub use format1::OldFact;
pub use hold_change::{Actor, HoldChange, Made, MovedLine, Superseded, Verb};
pub use lifecycle::{Closed, Lifecycle};
pub use marks::{
    FlowPlace, Mark, MarkKind, Marks, STOCK_MARKS_MAX, each_mark, each_planned, each_planned_mut, last_slot_ends,
};
pub use occurrence::{OccurrenceFact, OccurrenceVerb, REASON_MAX};
pub use report::{REPORT_BYTES_MAX, ReportFact, ReportPart};
pub use restart::Restart;
pub use stock::{
    Adjusted, AdjustedBy, Adjustment, AdjustmentsImage, PoolBasis, PoolFigures, Reconciliation, StockChange, StockImage,
};
pub use totals::{DemandFact, DemandSums, DropTotals, INTERVALS_MAX, Interval, REGISTERS, TotalsImage};

use crate::codec::{DecodeError, Reader, put_u64};
use crate::hold::Hold;
use crate::ids::DropNo;
use crate::time::Timestamp;
use marks::MarkScope;
use stock::Says;

/// Most bytes of a drop's image. The largest has 256 items; a test holds it to this.
pub const DROP_IMAGE_BYTES_MAX: usize = 128 * 1024;
/// Most bytes of one encoded record. A drop is only made, or changed, if a fact about it with all that its rules can add
/// ([`DropFact::largest`]) takes no more.
pub const RECORD_BYTES_MAX: usize = 255 * 1024;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A drop, whole. In the journal only in format 1: it was created, or its definition changed.
    Drop(Box<DropImage>),
    /// A drop's lifecycle, whole. In the journal only in format 1: it was paused, resumed or closed.
    Lifecycle(Lifecycle),
    /// Something was done to a drop.
    DropFact(Box<DropFact>),
    /// Ends the journal's part of format 1. Moments scheduled up to this instant have come, without facts that say so.
    Upgraded(Timestamp),
    /// A hold, whole. In the journal only in format 1: a reserve made it.
    Hold(Hold),
    /// A hold was made.
    Made(Made),
    /// A hold was changed.
    Changed(HoldChange),
    /// A hold replaced another. Both get this record's LSN as their revision, and on replay each is checked against its
    /// own: a snapshot may contain the effect on one of them, both, or neither.
    Superseded(Box<Superseded>),
    /// A fact about holds in format 1.
    Old(Box<OldFact>),
    /// The engine started after an outage.
    Restart(Restart),
    /// An item's stock was adjusted.
    Adjusted(Box<Adjusted>),
    /// An item's stock, whole.
    Stock(StockImage),
    /// A part of an item's remembered adjustments.
    Adjustments(AdjustmentsImage),
    /// What is kept of an archived drop's holds, whole. In the journal only in format 1: it was archived.
    Archived(Archived),
    /// What a subject owns from archived drops, whole.
    Usage(UsageImage),
    /// Something that operators define by an id was created, changed or deleted. In snapshots the last change of it.
    Defined(Box<DefinedFact>),
    /// What came of an occurrence of a series. In snapshots the last of it.
    Occurrence(Box<OccurrenceFact>),
    /// How far the deliveries of webhooks are. In snapshots one for each webhook.
    Delivered(Delivered),
    /// How far the messages of a channel are. In snapshots the last of it.
    Channel(ChannelFact),
    /// What other systems know of orders and of demand: one piece of it.
    Facts(Facts),
    /// A part of what is kept of facts.
    FactsImage(FactsImage),
    /// What the journal's records say of a drop in sum. Only in snapshots.
    Totals(TotalsImage),
    /// What was asked of a drop. In snapshots all of it.
    Demand(Box<DemandFact>),
    /// A part of what came of a drop.
    Report(Box<ReportFact>),
}

/// First byte of an encoded record. A number is never reused for another meaning.
///
/// Anything that an older build could not read gets a new number at the end: a new record, and also a new verb, actor,
/// flag or tag inside an existing one. `stockade.meta` says which number is the highest in a folder. An older build
/// refuses a folder with a higher one, saying that a newer build has written to it; under an old number it would report
/// damage.
mod kind {
    macro_rules! kinds {
        ($($(#[$doc:meta])* $name:ident = $number:literal,)+) => {
            $($(#[$doc])* pub(super) const $name: u8 = $number;)+
            /// All of them, ascending.
            pub(super) const ALL: &[u8] = &[$($name),+];
        };
    }

    kinds! {
        DROP = 1,
        /// The lifecycle of a drop of which no scheduled moment has come.
        STEERING = 2,
        HOLD = 3,
        CHANGE_1 = 4,
        RESTART_1 = 5,
        ADJUSTED_1 = 6,
        STOCK = 7,
        /// A drop with parts beyond the first fields.
        DROP_IN_PARTS = 8,
        SUPERSEDED_1 = 9,
        ARCHIVED = 10,
        USAGE = 11,
        /// An adjustment with its instant.
        ADJUSTED_AT_1 = 12,
        ADJUSTMENTS = 13,
        MADE = 14,
        CHANGED = 15,
        SUPERSEDED = 16,
        RESTART = 17,
        DROP_FACT = 18,
        ADJUSTED = 19,
        LIFECYCLE = 20,
        UPGRADED = 21,
        /// A drop with rules. Only in such a drop have lines windows and prices, and holds overridden windows.
        DROP_WITH_RULES = 22,
        /// A fact about a drop with rules, which may have marks of these.
        FACT_WITH_RULES = 23,
        /// A lifecycle with marks of rules.
        LIFECYCLE_WITH_MARKS = 24,
        /// An adjustment by a reconciliation.
        RECONCILED = 25,
        /// Remembered adjustments, reconciliations among them.
        ADJUSTMENTS_RECONCILED = 26,
        /// Usage with returns.
        USAGE_WITH_RETURNS = 27,
        /// A definition was created, changed or deleted.
        DEFINED = 28,
        /// What came of an occurrence of a series.
        OCCURRENCE = 29,
        /// How far the deliveries of webhooks are.
        DELIVERED = 31,
        /// A drop with signals or bands.
        DROP_WITH_SIGNALS = 34,
        /// A fact about a drop with signals or bands, or with marks of signals or of what the public sees of the stock.
        FACT_WITH_SIGNALS = 35,
        /// A lifecycle with marks of these.
        LIFECYCLE_WITH_SIGNALS = 36,
        /// A drop of which what calendars show has changed; with rules or without.
        DROP_ANNOUNCED = 38,
        /// How far the messages of a channel are.
        CHANNEL = 39,
        /// Facts of other systems, and what is kept of them.
        FACTS = 40,
        /// What the records say of a drop in sum.
        TOTALS = 41,
        /// What was asked of a drop.
        DEMAND = 42,
        /// A part of what came of a drop.
        REPORT = 43,
    }

    /// The highest of them.
    pub(super) const MAX: u8 = last(ALL);

    /// The last element. Checks that each is higher than the one before.
    const fn last(kinds: &[u8]) -> u8 {
        let (mut last, mut rest) = (0, kinds);
        while let [kind, behind @ ..] = rest {
            assert!(*kind > last, "no number is used twice, and the table is in their order");
            (last, rest) = (*kind, behind);
        }
        last
    }
}

impl Record {
    /// The highest kind. A data folder's metadata says which kinds may be in it.
    pub const KIND_MAX: u8 = kind::MAX;

    /// The drop that it is about. Records of holds are not about a drop.
    #[must_use]
    pub const fn drop_number(&self) -> Option<DropNo> {
        match self {
            Self::Drop(image) => Some(image.number),
            Self::DropFact(fact) => Some(fact.number()),
            Self::Adjusted(adjusted) => Some(adjusted.drop),
            Self::Lifecycle(Lifecycle { drop, .. })
            | Self::Stock(StockImage { drop, .. })
            | Self::Adjustments(AdjustmentsImage { drop, .. })
            | Self::Totals(TotalsImage { drop, .. })
            | Self::Archived(Archived { drop, .. }) => Some(*drop),
            Self::Demand(fact) => Some(fact.drop),
            Self::Report(fact) => Some(fact.drop),
            Self::Hold(_)
            | Self::Made(_)
            | Self::Changed(_)
            | Self::Superseded(_)
            | Self::Old(_)
            | Self::Restart(_)
            | Self::Upgraded(_)
            | Self::Defined(_)
            | Self::Occurrence(_)
            | Self::Delivered(_)
            | Self::Channel(_)
            | Self::Facts(_)
            | Self::FactsImage(_)
            | Self::Usage(_) => None,
        }
    }

    /// The drop's definition, if the record has it.
    #[must_use]
    pub fn drop_image(&self) -> Option<&DropImage> {
        if let Self::Drop(image) = self {
            Some(image)
        } else if let Self::DropFact(fact) = self {
            Some(&fact.image)
        } else {
            None
        }
    }

    /// The hold that it is about, as it is after it; of a succession the hold that was made.
    #[must_use]
    pub fn hold(&self) -> Option<&Hold> {
        if let Self::Hold(hold) | Self::Made(Made { hold, .. }) | Self::Changed(HoldChange { hold, .. }) = self {
            Some(hold)
        } else if let Self::Superseded(superseded) = self {
            Some(&superseded.made)
        } else {
            None
        }
    }

    /// Its kind in a word.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Drop(_) => "drop",
            Self::Lifecycle(_) => "lifecycle",
            Self::DropFact(fact) => fact.verb.label(),
            Self::Upgraded(_) => "upgraded",
            Self::Hold(_) => "hold",
            Self::Made(_) => "made",
            Self::Changed(_) => "changed",
            Self::Superseded(_) => "superseded",
            Self::Old(_) => "change of format 1",
            Self::Restart(_) => "restart",
            Self::Adjusted(_) => "adjusted",
            Self::Stock(_) => "stock",
            Self::Adjustments(_) => "adjustments",
            Self::Archived(_) => "archived",
            Self::Usage(_) => "usage",
            Self::Defined(_) => "defined",
            Self::Occurrence(_) => "occurrence",
            Self::Delivered(_) => "delivered",
            Self::Channel(_) => "channel",
            Self::Facts(_) => "facts",
            Self::FactsImage(_) => "kept facts",
            Self::Totals(_) => "totals",
            Self::Demand(_) => "demand",
            Self::Report(_) => "report",
        }
    }

    /// Appends the record's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        if let Some(kind) = self.kind() {
            out.push(kind);
        }
        match self {
            Self::Made(Made { actor, hold }) => {
                out.extend_from_slice(&[kind::MADE, actor.number()]);
                hold::encode(hold, out);
            }
            Self::Changed(change) => hold_change::encode(kind::CHANGED, change, out),
            Self::Superseded(superseded) => hold_change::encode_superseded(kind::SUPERSEDED, superseded, out),
            Self::Hold(image) => hold::encode(image, out),
            Self::Drop(image) => image.encode(out),
            Self::DropFact(fact) => drop_fact::encode(fact, out),
            Self::Lifecycle(lifecycle) if lifecycle.is_steering() => lifecycle::encode_steering(lifecycle, out),
            Self::Lifecycle(lifecycle) => lifecycle::encode(lifecycle, out),
            Self::Upgraded(at) => put_u64(out, at.0),
            Self::Old(fact) => format1::encode(fact, out),
            Self::Restart(restart) => restart::encode(restart, out),
            Self::Adjusted(adjusted) => stock::encode_adjusted(adjusted, out),
            Self::Stock(image) => stock::encode_image(image, out),
            Self::Adjustments(image) => stock::encode_adjustments(image, out),
            Self::Archived(archived) => archive::encode_archived(archived, out),
            Self::Usage(image) => archive::encode_usage(image, out),
            Self::Defined(fact) => defined::encode(fact, out),
            Self::Occurrence(fact) => occurrence::encode(fact, out),
            Self::Delivered(delivered) => delivered::encode(delivered, out),
            Self::Channel(fact) => channel::encode(fact, out),
            Self::Facts(facts) => facts::encode(facts, out),
            Self::FactsImage(image) => facts::encode_image(image, out),
            Self::Totals(image) => totals::encode_image(image, out),
            Self::Demand(fact) => totals::encode_demand(fact, out),
            Self::Report(fact) => report::encode(fact, out),
        }
    }

    /// Its first byte; none if that is written together with what follows.
    #[inline]
    fn kind(&self) -> Option<u8> {
        Some(match self {
            Self::Made(_) | Self::Changed(_) | Self::Superseded(_) | Self::Drop(_) => return None,
            Self::Hold(_) => kind::HOLD,
            Self::DropFact(fact) => match fact.scope() {
                MarkScope::Schedule => kind::DROP_FACT,
                MarkScope::Rules => kind::FACT_WITH_RULES,
                MarkScope::All => kind::FACT_WITH_SIGNALS,
            },
            Self::Lifecycle(lifecycle) if lifecycle.is_steering() => kind::STEERING,
            Self::Lifecycle(lifecycle) => match lifecycle.scope() {
                MarkScope::Schedule => kind::LIFECYCLE,
                MarkScope::Rules => kind::LIFECYCLE_WITH_MARKS,
                MarkScope::All => kind::LIFECYCLE_WITH_SIGNALS,
            },
            Self::Upgraded(_) => kind::UPGRADED,
            Self::Old(fact) => match fact.as_ref() {
                OldFact::Change(..) => kind::CHANGE_1,
                OldFact::Superseded { .. } => kind::SUPERSEDED_1,
            },
            Self::Restart(restart) if restart.at.is_some() => kind::RESTART,
            Self::Restart(_) => kind::RESTART_1,
            Self::Adjusted(adjusted) => match (&adjusted.by, adjusted.at) {
                (Some(_), _) if adjusted.adjustment.is_reconciliation() => kind::RECONCILED,
                (Some(_), _) => kind::ADJUSTED,
                (None, Some(_)) => kind::ADJUSTED_AT_1,
                (None, None) => kind::ADJUSTED_1,
            },
            Self::Stock(_) => kind::STOCK,
            Self::Adjustments(image) if image.has_reconciliations() => kind::ADJUSTMENTS_RECONCILED,
            Self::Adjustments(_) => kind::ADJUSTMENTS,
            Self::Archived(_) => kind::ARCHIVED,
            Self::Usage(image) if image.returns.is_empty() => kind::USAGE,
            Self::Usage(_) => kind::USAGE_WITH_RETURNS,
            Self::Defined(_) => kind::DEFINED,
            Self::Occurrence(_) => kind::OCCURRENCE,
            Self::Delivered(_) => kind::DELIVERED,
            Self::Channel(_) => kind::CHANNEL,
            Self::Facts(_) | Self::FactsImage(_) => kind::FACTS,
            Self::Totals(_) => kind::TOTALS,
            Self::Demand(_) => kind::DEMAND,
            Self::Report(_) => kind::REPORT,
        })
    }

    /// Decodes one record, which must take all bytes.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are not exactly one record.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let record = match reader.u8()? {
            kind::MADE => Self::Made(Made { actor: Actor::decode(&mut reader)?, hold: hold::decode(&mut reader)? }),
            kind::CHANGED => Self::Changed(hold_change::decode(&mut reader)?),
            kind::SUPERSEDED => Self::Superseded(Box::new(hold_change::decode_superseded(&mut reader)?)),
            kind::HOLD => Self::Hold(hold::decode(&mut reader)?),
            kind @ (kind::DROP
            | kind::DROP_IN_PARTS
            | kind::DROP_WITH_RULES
            | kind::DROP_WITH_SIGNALS
            | kind::DROP_ANNOUNCED) => Self::Drop(Box::new(drop_image::decode(&mut reader, kind)?)),
            kind::DROP_FACT => fact(&mut reader, MarkScope::Schedule)?,
            kind::FACT_WITH_RULES => fact(&mut reader, MarkScope::Rules)?,
            kind::FACT_WITH_SIGNALS => fact(&mut reader, MarkScope::All)?,
            kind::LIFECYCLE => Self::Lifecycle(lifecycle::decode(&mut reader, MarkScope::Schedule)?),
            kind::LIFECYCLE_WITH_MARKS => Self::Lifecycle(lifecycle::decode(&mut reader, MarkScope::Rules)?),
            kind::LIFECYCLE_WITH_SIGNALS => Self::Lifecycle(lifecycle::decode(&mut reader, MarkScope::All)?),
            kind::STEERING => Self::Lifecycle(lifecycle::decode_steering(&mut reader)?),
            kind::UPGRADED => Self::Upgraded(Timestamp(reader.u64()?)),
            kind::CHANGE_1 => Self::Old(Box::new(format1::decode(&mut reader)?)),
            kind::SUPERSEDED_1 => Self::Old(Box::new(format1::decode_superseded(&mut reader)?)),
            kind @ (kind::RESTART | kind::RESTART_1) => {
                Self::Restart(restart::decode(&mut reader, kind == kind::RESTART)?)
            }
            kind::ADJUSTED_1 => Self::Adjusted(Box::new(stock::decode_adjusted(&mut reader, Says::What)?)),
            kind::ADJUSTED_AT_1 => Self::Adjusted(Box::new(stock::decode_adjusted(&mut reader, Says::When)?)),
            kind::ADJUSTED => Self::Adjusted(Box::new(stock::decode_adjusted(&mut reader, Says::All)?)),
            kind::RECONCILED => Self::Adjusted(Box::new(stock::decode_adjusted(&mut reader, Says::Reconciled)?)),
            kind @ (kind::ADJUSTMENTS | kind::ADJUSTMENTS_RECONCILED) => {
                Self::Adjustments(stock::decode_adjustments(&mut reader, kind == kind::ADJUSTMENTS_RECONCILED)?)
            }
            kind::STOCK => Self::Stock(stock::decode_image(&mut reader)?),
            kind::ARCHIVED => Self::Archived(archive::decode_archived(&mut reader)?),
            kind @ (kind::USAGE | kind::USAGE_WITH_RETURNS) => {
                Self::Usage(archive::decode_usage(&mut reader, kind == kind::USAGE_WITH_RETURNS)?)
            }
            kind::DELIVERED => Self::Delivered(delivered::decode(&mut reader)?),
            kind::CHANNEL => Self::Channel(channel::decode(&mut reader)?),
            kind::FACTS => match facts::decode(&mut reader)? {
                facts::Decoded::Piece(facts) => Self::Facts(facts),
                facts::Decoded::Image(image) => Self::FactsImage(image),
            },
            kind::DEFINED => Self::Defined(Box::new(defined::decode(&mut reader)?)),
            kind::OCCURRENCE => Self::Occurrence(Box::new(occurrence::decode(&mut reader)?)),
            kind::TOTALS => Self::Totals(totals::decode_image(&mut reader)?),
            kind::DEMAND => Self::Demand(Box::new(totals::decode_demand(&mut reader)?)),
            kind::REPORT => Self::Report(Box::new(report::decode(&mut reader)?)),
            _ => return Err(DecodeError::Bad("record kind")),
        };
        reader.finish()?;
        Ok(record)
    }
}

fn fact(reader: &mut Reader<'_>, scope: MarkScope) -> Result<Record, DecodeError> {
    Ok(Record::DropFact(Box::new(drop_fact::decode(reader, scope)?)))
}

#[cfg(test)]
mod tests;
