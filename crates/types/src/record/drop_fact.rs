//! What was done to a drop, as one record that says all of it: what, when and by whom, and the drop after it, whole: its
//! definition, where it stands in its life, its stock. Whoever reads the record needs nothing else to tell of it.

use super::hold_change::Actor;
use super::lifecycle::{self, Lifecycle, Moment};
use super::{Archived, DropImage, PoolFigures, drop_image};
use crate::codec::{DecodeError, Reader, put_text, put_u64};
use crate::ids::DropNo;
use crate::time::Timestamp;

/// Most bytes of a peer's address, and of the id that a caller gave its request.
pub const ORIGIN_TEXT_MAX: usize = 128;

/// What was done to a drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropVerb {
    /// It was made.
    Create,
    /// Its definition was changed.
    Update,
    /// No new reserves for now.
    Pause,
    /// Reserves again.
    Resume,
    /// It was closed by hand.
    Close,
    /// Moments of it have come: it opened, it closed.
    Turn,
    /// Its holds have left memory.
    Archive,
}

/// Where an operator's change came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Who made it.
    pub actor: Actor,
    /// The address that it came from.
    pub peer: Option<Box<str>>,
    /// The id that the caller gave the request.
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
    /// The drop after it, as it is defined.
    pub image: DropImage,
    /// Where it stands in its life after it.
    pub lifecycle: Lifecycle,
    /// The moments that have come by it, in their order; none but of a turn.
    pub moments: Vec<Moment>,
    /// Its pools, in the definition's order of items and pools. Exact: nothing moves units meanwhile.
    pub stock: Vec<PoolFigures>,
}

impl DropVerb {
    const ALL: [Self; 7] =
        [Self::Create, Self::Update, Self::Pause, Self::Resume, Self::Close, Self::Archive, Self::Turn];

    const fn number(self) -> u8 {
        match self {
            Self::Create => 1,
            Self::Update => 2,
            Self::Pause => 3,
            Self::Resume => 4,
            Self::Close => 5,
            Self::Archive => 6,
            Self::Turn => 7,
        }
    }

    /// What has become of the drop by it, in a word.
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
        }
    }
}

impl Origin {
    /// Of what the engine does by itself.
    pub const ENGINE: Self = Self { actor: Actor::Engine, peer: None, request_id: None };
    /// Of a caller of whom nothing is known.
    pub const ANONYMOUS: Self = Self { actor: Actor::Anonymous, peer: None, request_id: None };
}

impl DropFact {
    /// The drop.
    #[must_use]
    pub const fn number(&self) -> DropNo {
        self.image.number
    }

    /// What is kept of its holds, if it is archived by this.
    #[must_use]
    pub fn archived(&self) -> Option<Archived> {
        let pools = || self.stock.iter().map(PoolFigures::sold).collect();
        (self.verb == DropVerb::Archive).then(|| Archived { drop: self.number(), at: self.at, pools: pools() })
    }
}

pub(super) fn encode(fact: &DropFact, out: &mut Vec<u8>) {
    let DropFact { verb, at, origin, image, lifecycle, moments, stock } = fact;
    out.push(verb.number());
    put_u64(out, at.0);
    encode_origin(origin, out);
    lifecycle::encode_marks(lifecycle, out);
    put_u64(out, u64::try_from(moments.len()).unwrap_or(u64::MAX));
    for moment in moments {
        lifecycle::encode_moment(*moment, out);
    }
    put_u64(out, u64::try_from(stock.len()).unwrap_or(u64::MAX));
    for figures in stock {
        figures.encode(out);
    }
    image.encode(out);
}

pub(super) fn decode(reader: &mut Reader<'_>) -> Result<DropFact, DecodeError> {
    let verb = reader.u8()?;
    let verb = DropVerb::ALL.into_iter().find(|known| known.number() == verb).ok_or(DecodeError::Bad("verb"))?;
    let at = Timestamp(reader.u64()?);
    let origin = decode_origin(reader)?;
    let marks = lifecycle::decode_marks(reader)?;
    let moments = (0..reader.count(2)?).map(|_| lifecycle::decode_moment(reader)).collect::<Result<_, _>>()?;
    let stock = (0..reader.count(7)?).map(|_| PoolFigures::decode(reader)).collect::<Result<_, _>>()?;
    let kind = reader.u8()?;
    let image = drop_image(reader, kind)?;
    let lifecycle = Lifecycle { drop: image.number, ..marks };
    Ok(DropFact { verb, at, origin, image, lifecycle, moments, stock })
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
