//! A change of a drop as one self-contained record: what was done, when and by whom, and the whole drop after it:
//! definition, lifecycle, stock.

use super::hold_change::Actor;
use super::lifecycle::{self, Closed, Lifecycle};
use super::marks::{Mark, MarkKind, MarkScope, Marks, STOCK_MARKS_MAX, decode_mark, each_mark, encode_mark};
use super::{Archived, DropImage, PoolBasis, PoolFigures, drop_image};
use crate::codec::{DecodeError, Reader, put_text, put_u64};
use crate::definition::{BANDS_MAX, BandNo, ITEM_UNITS_MAX};
use crate::ids::{DropNo, ItemNo};
use crate::time::Timestamp;

/// Most bytes of a peer's address, and of a request's id.
pub const ORIGIN_TEXT_MAX: usize = 128;

/// The last instant of the year 9999, the latest that a schedule can name.
const LATEST: Timestamp = Timestamp(253_402_300_799_999);
/// Figures that take as many bytes as a pool's can. Only what was returned is counted for ever.
const FULLEST: PoolFigures = PoolFigures {
    basis: PoolBasis { received: ITEM_UNITS_MAX, taken_out: ITEM_UNITS_MAX },
    held: ITEM_UNITS_MAX,
    paying: ITEM_UNITS_MAX,
    claimed: ITEM_UNITS_MAX,
    withdrawn: ITEM_UNITS_MAX,
    returned_total: u64::MAX,
};

/// What was done to a drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropVerb {
    /// It was created.
    Create,
    /// Its definition was changed.
    Update,
    /// It was paused: new reserves are refused.
    Pause,
    /// It was resumed.
    Resume,
    /// It was closed by hand.
    Close,
    /// Something of its plan has come: it opened or closed, or a rule of it fired.
    Turn,
    /// It was archived: its holds were removed from memory.
    Archive,
    /// A flow was fired by hand.
    Fire,
}

/// The origin of an operator's change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Who made it.
    pub actor: Actor,
    /// The caller's address.
    pub peer: Option<Box<str>>,
    /// The caller's id for the request.
    pub request_id: Option<Box<str>>,
}

/// A fact about a drop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropFact {
    /// What was done.
    pub verb: DropVerb,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub origin: Origin,
    /// The drop's definition after it.
    pub image: DropImage,
    /// The drop's lifecycle after it.
    pub lifecycle: Lifecycle,
    /// What has come, in order; only a turn, or a flow fired by hand, has any.
    pub marks: Vec<Mark>,
    /// Its pools after it, in the definition's order of items and pools. Exact: no units move while the fact is made.
    pub stock: Vec<PoolFigures>,
}

impl DropVerb {
    const ALL: [Self; 8] =
        [Self::Create, Self::Update, Self::Pause, Self::Resume, Self::Close, Self::Archive, Self::Turn, Self::Fire];

    const fn number(self) -> u8 {
        match self {
            Self::Create => 1,
            Self::Update => 2,
            Self::Pause => 3,
            Self::Resume => 4,
            Self::Close => 5,
            Self::Archive => 6,
            Self::Turn => 7,
            Self::Fire => 8,
        }
    }

    /// What happened to the drop, in a word.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Create => "created",
            Self::Update => "updated",
            Self::Pause => "paused",
            Self::Resume => "resumed",
            Self::Close => "closed",
            Self::Archive => "archived",
            Self::Turn => "turned",
            Self::Fire => "fired",
        }
    }
}

impl Origin {
    /// The engine itself.
    pub const ENGINE: Self = Self { actor: Actor::Engine, peer: None, request_id: None };
    /// A caller of whom nothing is known.
    pub const ANONYMOUS: Self = Self { actor: Actor::Anonymous, peer: None, request_id: None };
}

impl DropFact {
    /// A fact that takes as many bytes as one about a drop with this image can: all of its rules have fired, and all at
    /// once, and the most was made known of its stock. Marks are only of what the definition has, for an update may not
    /// take away what has fired.
    #[must_use]
    pub fn largest(image: DropImage) -> Self {
        let mut of_rules = Vec::new();
        each_mark(&image.definition, |kind, _| of_rules.push(kind));
        let band = BandNo(u8::try_from(BANDS_MAX).unwrap_or(u8::MAX));
        let items = || (0..).zip(&image.definition.items).map(|(item, _)| ItemNo(item));
        let sold_out = std::iter::once(None).chain(items().map(Some)).map(MarkKind::SoldOut);
        let of_stock: Vec<_> = items().map(|item| MarkKind::Band(item, band)).chain(sold_out).collect();
        let mark = |kind| Mark { kind, scheduled_for: LATEST };
        let lifecycle = Lifecycle {
            drop: image.number,
            paused: true,
            opened: Some(LATEST),
            closed: Some(Closed { at: LATEST, by_hand: true }),
            marks: Marks::of(of_rules.iter().chain(&of_stock).map(|kind| mark(*kind)).collect()),
        };
        let come = [MarkKind::Opens, MarkKind::Closes].into_iter().chain(of_rules);
        let marks = come.chain(of_stock.into_iter().rev().take(STOCK_MARKS_MAX)).map(mark).collect();
        let text = || Some("x".repeat(ORIGIN_TEXT_MAX).into());
        let pools = image.definition.items.iter().map(|item| item.pools.len()).sum();
        Self {
            verb: DropVerb::Turn,
            at: LATEST,
            origin: Origin { actor: Actor::Anonymous, peer: text(), request_id: text() },
            image,
            lifecycle,
            marks,
            stock: vec![FULLEST; pools],
        }
    }

    /// The drop.
    #[must_use]
    pub const fn number(&self) -> DropNo {
        self.image.number
    }

    /// The least records that have such marks, and such a definition, as it has.
    pub(super) fn scope(&self) -> MarkScope {
        let definition = &self.image.definition;
        if definition.rules.has_news() {
            return MarkScope::All;
        }
        let of_drop = if definition.has_rules() { MarkScope::Rules } else { MarkScope::Schedule };
        let of_marks = self.marks.iter().map(|mark| mark.kind.scope()).max();
        of_drop.max(self.lifecycle.scope()).max(of_marks.unwrap_or(MarkScope::Schedule))
    }

    /// What is kept of its holds, if this fact archives it.
    #[must_use]
    pub fn archived(&self) -> Option<Archived> {
        let pools = || self.stock.iter().map(PoolFigures::sold).collect();
        (self.verb == DropVerb::Archive).then(|| Archived { drop: self.number(), at: self.at, pools: pools() })
    }
}

pub(super) fn encode(fact: &DropFact, out: &mut Vec<u8>) {
    let DropFact { verb, at, origin, image, lifecycle, marks, stock } = fact;
    out.push(verb.number());
    put_u64(out, at.0);
    encode_origin(origin, out);
    lifecycle::encode_marks(lifecycle, out);
    put_u64(out, u64::try_from(marks.len()).unwrap_or(u64::MAX));
    for mark in marks {
        encode_mark(*mark, out);
    }
    put_u64(out, u64::try_from(stock.len()).unwrap_or(u64::MAX));
    for figures in stock {
        figures.encode(out);
    }
    image.encode(out);
}

/// Reads a fact with marks of these.
pub(super) fn decode(reader: &mut Reader<'_>, scope: MarkScope) -> Result<DropFact, DecodeError> {
    let verb = reader.u8()?;
    let verb = DropVerb::ALL.into_iter().find(|known| known.number() == verb);
    let verb =
        verb.filter(|verb| scope > MarkScope::Schedule || *verb != DropVerb::Fire).ok_or(DecodeError::Bad("verb"))?;
    let at = Timestamp(reader.u64()?);
    let origin = decode_origin(reader)?;
    let lifecycle = lifecycle::decode_marks(reader, scope)?;
    let marks = (0..reader.count(2)?).map(|_| decode_mark(reader, scope)).collect::<Result<_, _>>()?;
    let stock = (0..reader.count(7)?).map(|_| PoolFigures::decode(reader)).collect::<Result<_, _>>()?;
    let kind = reader.u8()?;
    let image = drop_image::decode(reader, kind)?;
    let lifecycle = Lifecycle { drop: image.number, ..lifecycle };
    Ok(DropFact { verb, at, origin, image, lifecycle, marks, stock })
}

pub(super) fn encode_origin(Origin { actor, peer, request_id }: &Origin, out: &mut Vec<u8>) {
    out.push(actor.number());
    for text in [peer, request_id] {
        put_text(out, text.as_deref().unwrap_or_default());
    }
}

pub(super) fn decode_origin(reader: &mut Reader<'_>) -> Result<Origin, DecodeError> {
    let actor = Actor::decode(reader)?;
    let mut text = || Ok(Some(reader.text()?).filter(|text| !text.is_empty()).map(Box::from));
    Ok(Origin { actor, peer: text()?, request_id: text()? })
}
