//! What a definition says beyond schedule, stock and limits: windows, prices, tranches, conduct, slots, places.

use super::conduct::ConductRule;
use super::item::{self, Item};
use super::names::RuleNames;
use super::price_terms::PriceTerms;
use super::scarcity::Scarcity;
use super::signal::Signal;
use super::tranche::Tranche;
use super::window::Window;
use super::{decode_ids, encode_ids, put_count, several};
use crate::codec::{DecodeError, Reader, put_text};
use crate::ids::ZoneId;

/// Most bytes of a drop's location.
pub const LOCATION_MAX: usize = 200;
/// Most places that a drop is for.
pub const ZONES_MAX: usize = 16;
/// Most SKUs that a rule names.
pub const RULE_SKUS_MAX: usize = 256;
/// Most pools that a rule names.
pub const RULE_POOLS_MAX: usize = 64;

/// Rules of a drop; most drops have none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// When who may reserve; none: everyone while the drop is open.
    pub windows: Vec<Window>,
    /// Prices, in the order in which they are tried.
    pub prices: Vec<PriceTerms>,
    /// Stock that comes later.
    pub tranches: Vec<Tranche>,
    /// What the conduct of a subject costs; at most 8.
    pub conduct: Vec<ConductRule>,
    /// What the drop makes known; at most 64.
    pub signals: Vec<Signal>,
    /// What the public may see of the stock; none: whether there is any.
    pub scarcity: Option<Scarcity>,
    /// Whether goods are reserved with a pickup slot only.
    pub slot_required: bool,
    /// The time zone of local times, by its IANA name; empty: UTC.
    pub time_zone: String,
    /// Where the drop is, for people and calendars.
    pub location: String,
    /// The places that it is for, ascending: for lists and calendars.
    pub zones: Vec<ZoneId>,
    /// The numbers of windows, prices and tranches in holds and marks.
    pub names: RuleNames,
}

/// Tags of the parts, each at most once.
mod tag {
    pub(super) const END: u8 = 0;
    pub(super) const ITEMS: u8 = 1;
    pub(super) const WINDOWS: u8 = 2;
    pub(super) const PRICES: u8 = 3;
    pub(super) const TRANCHES: u8 = 4;
    pub(super) const SLOT_REQUIRED: u8 = 5;
    pub(super) const TIME_ZONE: u8 = 6;
    pub(super) const LOCATION: u8 = 7;
    pub(super) const ZONES: u8 = 8;
    pub(super) const NAMES: u8 = 9;
    pub(super) const CONDUCT: u8 = 10;
    /// Signals, with all names that signals of the drop have had.
    pub(super) const SIGNALS: u8 = 11;
    pub(super) const SCARCITY: u8 = 12;
}

impl Rules {
    /// Whether nothing is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether what a customer is offered depends on them.
    pub(super) const fn have_offers(&self) -> bool {
        let Self { windows, prices, tranches, slot_required, .. } = self;
        *slot_required || !(windows.is_empty() && prices.is_empty() && tranches.is_empty())
    }

    /// Whether it has signals, or had any.
    fn has_signals(&self) -> bool {
        !self.signals.is_empty() || self.names.has_signals()
    }

    /// Whether they say what builds without signals and scarcity can't read.
    pub(crate) fn has_news(&self) -> bool {
        self.has_signals() || self.scarcity.is_some()
    }

    /// Appends them, with what the items have beyond their first fields.
    pub(super) fn encode(&self, items: &[Item], out: &mut Vec<u8>) {
        let Self {
            windows,
            prices,
            tranches,
            conduct,
            signals,
            scarcity,
            slot_required,
            time_zone,
            location,
            zones,
            names,
        } = self;
        if !items.iter().all(Item::is_plain) {
            out.push(tag::ITEMS);
            for item in items {
                item::encode_rules(item, out);
            }
        }
        encode_list(tag::WINDOWS, windows, out, Window::encode);
        encode_list(tag::PRICES, prices, out, PriceTerms::encode);
        encode_list(tag::TRANCHES, tranches, out, Tranche::encode);
        encode_list(tag::CONDUCT, conduct, out, ConductRule::encode);
        if self.has_signals() {
            out.push(tag::SIGNALS);
            put_count(out, signals.len());
            for signal in signals {
                signal.encode(out);
            }
            names.encode_signals(out);
        }
        if let Some(scarcity) = scarcity {
            out.push(tag::SCARCITY);
            scarcity.encode(out);
        }
        if *slot_required {
            out.push(tag::SLOT_REQUIRED);
        }
        for (tag, text) in [(tag::TIME_ZONE, time_zone), (tag::LOCATION, location)] {
            if !text.is_empty() {
                out.push(tag);
                put_text(out, text);
            }
        }
        if !zones.is_empty() {
            out.push(tag::ZONES);
            encode_ids(zones.iter().map(ZoneId::as_str), out);
        }
        if names.has_any_but_signals() {
            out.push(tag::NAMES);
            names.encode(out);
        }
        out.push(tag::END);
    }

    /// Reads them.
    pub(super) fn decode(items: &mut [Item], reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut rules = Self::default();
        loop {
            match reader.u8()? {
                tag::END => return Ok(rules),
                tag::ITEMS => items.iter_mut().try_for_each(|item| item::decode_rules(item, reader))?,
                tag::WINDOWS => rules.windows = several(reader, 9, Window::decode)?,
                tag::PRICES => rules.prices = several(reader, 13, PriceTerms::decode)?,
                tag::TRANCHES => rules.tranches = several(reader, 8, Tranche::decode)?,
                tag::SLOT_REQUIRED => rules.slot_required = true,
                tag::TIME_ZONE => reader.text()?.clone_into(&mut rules.time_zone),
                tag::LOCATION => reader.text()?.clone_into(&mut rules.location),
                tag::ZONES => rules.zones = decode_ids(reader, "zone")?,
                tag::CONDUCT => rules.conduct = several(reader, 9, ConductRule::decode)?,
                tag::SIGNALS => {
                    rules.signals = several(reader, 9, Signal::decode)?;
                    rules.names.decode_signals(reader)?;
                }
                tag::SCARCITY => rules.scarcity = Some(Scarcity::decode(reader)?),
                tag::NAMES => rules.names.decode(reader)?,
                _ => return Err(DecodeError::Bad("tag of a drop's rules")),
            }
        }
    }
}

/// Appends a list with its tag, unless it is empty.
fn encode_list<T>(tag: u8, list: &[T], out: &mut Vec<u8>, encode: impl Fn(&T, &mut Vec<u8>)) {
    if list.is_empty() {
        return;
    }
    out.push(tag);
    put_count(out, list.len());
    for one in list {
        encode(one, out);
    }
}
