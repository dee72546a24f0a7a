//! A change of a hold as one self-contained record: what was done, when and by whom, the hold after it, its state
//! before, and the units that moved.

use smallvec::SmallVec;

use super::hold;
use crate::codec::{DecodeError, Reader, put_u64};
use crate::hold::{Change, Hold, HoldLine, HoldState};
use crate::ids::Lsn;
use crate::time::Timestamp;

/// Who did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Actor {
    /// A caller. Callers are not distinguished yet.
    Anonymous,
    /// The engine itself: a deadline passed.
    Engine,
}

/// What was done to a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Its deadline moved, or it went into payment or back from it.
    Extend,
    /// It was claimed.
    Claim,
    /// Units of it were given back before the sale.
    Release,
    /// Units of it came back after the sale.
    Return,
    /// Its deadline passed.
    Expire,
    /// Another hold replaced it.
    Supersede,
}

/// The units of one line that a change moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct MovedLine {
    /// Units sold; in the event of a new hold, units set aside.
    pub quantity: u32,
    /// Units given back before the sale.
    pub released: u32,
    /// Units given back after the sale.
    pub returned: u32,
}

/// One for each line of a hold. Boxed in [`HoldChange`], because records are moved often and few have it.
type MovedLines = SmallVec<[MovedLine; 4]>;

/// A change of a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldChange {
    /// What was done.
    pub verb: Verb,
    /// When; 0 if a record of format 1 did not say.
    pub at: Timestamp,
    /// By whom.
    pub actor: Actor,
    /// The state before.
    pub was: HoldState,
    /// The LSN of this hold's previous record.
    pub prev: Lsn,
    /// The hold after it. Its revision is the record's LSN and not part of the bytes.
    pub hold: Hold,
    /// Per line, if lines have changed; otherwise [`HoldChange::moved`] computes it from the verb and the lines.
    moved: Option<Box<MovedLines>>,
}

/// A hold was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// By whom.
    pub actor: Actor,
    /// The hold. Its revision is the record's LSN and not part of the bytes.
    pub hold: Hold,
}

/// A hold replaced another: one ended and the other was made, in one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superseded {
    /// The hold that ended.
    pub ended: HoldChange,
    /// The hold that replaced it, made by the same actor. Its revision is the record's LSN and not part of the bytes.
    pub made: Hold,
}

impl Verb {
    const ALL: [Self; 6] = [Self::Extend, Self::Claim, Self::Release, Self::Return, Self::Expire, Self::Supersede];

    const fn number(self) -> u8 {
        match self {
            Self::Extend => 1,
            Self::Claim => 2,
            Self::Release => 3,
            Self::Return => 4,
            Self::Expire => 5,
            Self::Supersede => 6,
        }
    }

    /// Its name in lower case.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Extend => "extend",
            Self::Claim => "claim",
            Self::Release => "release",
            Self::Return => "return",
            Self::Expire => "expire",
            Self::Supersede => "supersede",
        }
    }

    /// Whether it may change the hold's lines.
    const fn may_change_lines(self) -> bool {
        match self {
            Self::Claim | Self::Release | Self::Return => true,
            Self::Extend | Self::Expire | Self::Supersede => false,
        }
    }

    const fn of(change: &Change) -> Self {
        match change {
            Change::Extended { .. } | Change::Staged { .. } => Self::Extend,
            Change::Claimed { .. } => Self::Claim,
            Change::Released { .. } => Self::Release,
            Change::Returned { .. } => Self::Return,
            Change::Expired { .. } => Self::Expire,
            Change::Superseded { .. } => Self::Supersede,
        }
    }
}

impl Actor {
    const ALL: [Self; 2] = [Self::Anonymous, Self::Engine];

    pub(super) const fn number(self) -> u8 {
        match self {
            Self::Anonymous => 0,
            Self::Engine => 1,
        }
    }

    /// Its name in events.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Engine => "engine",
        }
    }

    /// Who makes a change. The engine expires holds, whichever request notices it.
    #[must_use]
    pub const fn of(change: &Change) -> Self {
        match change {
            Change::Expired { .. } => Self::Engine,
            Change::Extended { .. }
            | Change::Staged { .. }
            | Change::Claimed { .. }
            | Change::Returned { .. }
            | Change::Released { .. }
            | Change::Superseded { .. } => Self::Anonymous,
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let number = reader.u8()?;
        Self::ALL.into_iter().find(|actor| actor.number() == number).ok_or(DecodeError::Bad("actor"))
    }
}

impl HoldChange {
    /// Applies a change to a hold.
    #[must_use]
    pub fn of(before: &Hold, change: &Change, at: Timestamp, actor: Actor) -> Self {
        let mut hold = before.clone();
        hold.change(change);
        hold.revision = Lsn::default();
        let verb = Verb::of(change);
        let moved = (verb.may_change_lines() && before.lines() != hold.lines()).then(|| {
            let lines = before.lines().iter().zip(hold.lines().iter());
            Box::new(lines.map(|(was, is)| MovedLine::between(verb, before.state, &was, &is)).collect())
        });
        Self { verb, at, actor, was: before.state, prev: before.revision, hold, moved }
    }

    /// Whether it is the next change of this hold: it continues at the hold's revision and state.
    #[must_use]
    pub fn is_next_of(&self, known: &Hold) -> bool {
        let Self { was, prev, hold, .. } = self;
        let place = |line: HoldLine| (line.item, line.pool);
        let same_lines = || known.lines().iter().map(place).eq(hold.lines().iter().map(place));
        (*prev, *was) == (known.revision, known.state)
            && (hold.id, hold.drop, hold.content) == (known.id, known.drop, known.content)
            && (&hold.customer, hold.created_at()) == (&known.customer, known.created_at())
            && hold.identities() == known.identities()
            && same_lines()
    }

    /// Whether it claims a hold after its deadline.
    #[must_use]
    pub fn is_late_claim(&self) -> bool {
        self.verb == Verb::Claim && self.was.is_ended()
    }

    /// Whether the units that a return brought back went on sale again; none if the totals after it allow both. All of
    /// a return's units go the same way.
    #[must_use]
    pub fn restocked(&self) -> Option<bool> {
        let moved = self.moved();
        let of_line = |(line, moved): (HoldLine, &MovedLine)| {
            // Of the units returned before, no more than all were withdrawn, and no fewer than none.
            let may_be = line.withdrawn <= line.returned.saturating_sub(moved.returned);
            let may_not = line.withdrawn >= moved.returned;
            (may_be != may_not).then_some(may_be)
        };
        self.hold.lines().iter().zip(&moved).filter(|(_, moved)| moved.returned > 0).find_map(of_line)
    }

    /// Whether the verb can lead from the state before to the state after.
    fn is_sound(&self) -> bool {
        let (was, is) = (self.was, self.hold.state);
        match self.verb {
            Verb::Extend => was.is_live() && is.is_live(),
            Verb::Claim => (was.is_live() || was == HoldState::Expired) && is == HoldState::Claimed,
            Verb::Release => was.is_live() && (is == was || is == HoldState::Released),
            Verb::Return => was == HoldState::Claimed && is == HoldState::Claimed,
            Verb::Expire => was.is_live() && is == HoldState::Expired,
            Verb::Supersede => was.is_live() && is == HoldState::Released,
        }
    }

    /// The units moved of each line, in the hold's order of lines.
    #[must_use]
    pub fn moved(&self) -> MovedLines {
        match &self.moved {
            Some(moved) => MovedLines::clone(moved),
            None => self.hold.lines().iter().map(|line| MovedLine::whole(self.verb, &line)).collect(),
        }
    }
}

impl MovedLine {
    /// The move of a line whose numbers did not change.
    fn whole(verb: Verb, line: &HoldLine) -> Self {
        match verb {
            Verb::Claim => Self { quantity: line.quantity, ..Self::default() },
            Verb::Release | Verb::Expire | Verb::Supersede => Self { released: line.quantity, ..Self::default() },
            Verb::Extend | Verb::Return => Self::default(),
        }
    }

    fn between(verb: Verb, state: HoldState, was: &HoldLine, is: &HoldLine) -> Self {
        // An ended hold had no units left to give back.
        let had = if state.is_ended() { is.quantity } else { was.quantity };
        match verb {
            Verb::Claim => Self { quantity: is.quantity, released: had.saturating_sub(is.quantity), ..Self::default() },
            Verb::Release => Self { released: had.saturating_sub(is.quantity), ..Self::default() },
            Verb::Return => Self { returned: is.returned.saturating_sub(was.returned), ..Self::default() },
            Verb::Extend | Verb::Expire | Verb::Supersede => Self::whole(verb, is),
        }
    }
}

/// Bits of a change's second byte: the state before,
const STATE: u8 = 7;
/// and whether the moved units follow the hold.
const MOVED: u8 = 8;

/// Appends a change, its record's kind first.
pub(super) fn encode(kind: u8, change: &HoldChange, out: &mut Vec<u8>) {
    let HoldChange { verb, at, actor, was, prev, hold, moved } = change;
    let moved_follows = if moved.is_some() { MOVED } else { 0 };
    out.extend_from_slice(&[kind, verb.number(), was.number() | moved_follows, actor.number()]);
    put_u64(out, at.0);
    put_u64(out, prev.0);
    hold::encode(hold, out);
    if let Some(moved) = moved {
        for MovedLine { quantity, released, returned } in moved.iter() {
            put_u64(out, u64::from(*quantity));
            put_u64(out, u64::from(*released));
            put_u64(out, u64::from(*returned));
        }
    }
}

pub(super) fn decode(reader: &mut Reader<'_>) -> Result<HoldChange, DecodeError> {
    let [verb, flags] = reader.array()?;
    let verb = Verb::ALL.into_iter().find(|known| known.number() == verb).ok_or(DecodeError::Bad("verb"))?;
    if flags & !(STATE | MOVED) != 0 {
        return Err(DecodeError::Bad("flags of a change"));
    }
    let was = HoldState::from_number(flags & STATE).ok_or(DecodeError::Bad("state before"))?;
    let actor = Actor::decode(reader)?;
    let (at, prev) = (Timestamp(reader.u64()?), Lsn(reader.u64()?));
    let hold = hold::decode(reader)?;
    let mut line = || {
        let (quantity, released) = (reader.small("moved units")?, reader.small("moved units")?);
        Ok(MovedLine { quantity, released, returned: reader.small("moved units")? })
    };
    let lines = if flags & MOVED == 0 { None } else { Some(hold.lines().count()) };
    let moved = lines.map(|lines| (0..lines).map(|_| line()).collect::<Result<MovedLines, DecodeError>>());
    let moved = moved.transpose()?.map(Box::new);
    let change = HoldChange { verb, at, actor, was, prev, hold, moved };
    if change.is_sound() { Ok(change) } else { Err(DecodeError::Bad("state after a change")) }
}

pub(super) fn encode_superseded(kind: u8, superseded: &Superseded, out: &mut Vec<u8>) {
    let Superseded { ended, made } = superseded;
    encode(kind, ended, out);
    hold::encode(made, out);
}

pub(super) fn decode_superseded(reader: &mut Reader<'_>) -> Result<Superseded, DecodeError> {
    let (ended, made) = (decode(reader)?, hold::decode(reader)?);
    let is_named = ended.hold.superseded_by() == Some(made.id) && ended.hold.id != made.id;
    if ended.verb != Verb::Supersede || made.state != HoldState::Held || !is_named {
        return Err(DecodeError::Bad("hold in another's place"));
    }
    Ok(Superseded { ended, made })
}
