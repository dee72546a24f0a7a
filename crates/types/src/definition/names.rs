//! The numbers by which holds and marks refer to a drop's windows, prices and tranches.
//!
//! A name that once had a number keeps it, whatever changes of the definition follow: what a line came through and what
//! it costs stay with it. Numbers are given out when the drop is made or changed, in the definition's order.

use super::money::Money;
use super::rules::Rules;
use super::signal::{SIGNAL_NAMES_MAX, SignalNo};
use super::{put_count, several};
use crate::codec::{DecodeError, Reader, put_text, put_u64};
use crate::ids::{SignalId, TermsId, TrancheId, WindowId};

/// Most windows that a drop may ever have had.
pub const WINDOW_NAMES_MAX: usize = 255;
/// Most prices that a drop may ever have had.
pub const OFFERS_MAX: usize = 4_096;

/// A window's number, from 1 on; 0 for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct WindowNo(pub u8);

/// The number of terms, from 0 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TermsNo(pub u16);

/// The number of one of the prices of terms, from 1 on; 0 for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct OfferNo(pub u16);

/// A tranche's number, from 0 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TrancheNo(pub u16);

/// A price as it is pinned to lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// Of which terms.
    pub terms: TermsNo,
    /// The price of a unit.
    pub price: Money,
}

/// All names that have a number, in the order of the numbers. They are only added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleNames {
    windows: Vec<WindowId>,
    terms: Vec<TermsId>,
    offers: Vec<Offer>,
    tranches: Vec<TrancheId>,
    signals: Vec<SignalId>,
}

/// There are more names than numbers. `drop.windows`, `drop.terms` or `drop.signals`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyNames(pub &'static str);

impl RuleNames {
    /// Gives a number to each name of these rules that has none.
    ///
    /// # Errors
    /// [`TooManyNames`] when the drop has had so many windows or prices that none is left.
    pub fn number(&mut self, rules: &Rules) -> Result<(), TooManyNames> {
        for window in &rules.windows {
            add(&mut self.windows, &window.id);
        }
        for tranche in &rules.tranches {
            add(&mut self.tranches, &tranche.id);
        }
        for signal in &rules.signals {
            add(&mut self.signals, &signal.id);
        }
        for terms in &rules.prices {
            add(&mut self.terms, &terms.id);
            let Some(number) = self.terms_no(&terms.id) else { return Err(TooManyNames("drop.terms")) };
            for price in terms.prices() {
                add(&mut self.offers, &Offer { terms: number, price });
            }
        }
        if self.windows.len() > WINDOW_NAMES_MAX {
            return Err(TooManyNames("drop.windows"));
        }
        if self.signals.len() > SIGNAL_NAMES_MAX {
            return Err(TooManyNames("drop.signals"));
        }
        if self.offers.len() > OFFERS_MAX {
            return Err(TooManyNames("drop.terms"));
        }
        Ok(())
    }

    /// A window's number.
    #[must_use]
    pub fn window_no(&self, id: &WindowId) -> Option<WindowNo> {
        let place = self.windows.iter().position(|known| known == id)?;
        Some(WindowNo(u8::try_from(place).ok()?.checked_add(1)?))
    }

    /// The window with this number.
    #[must_use]
    pub fn window(&self, number: WindowNo) -> Option<&WindowId> {
        self.windows.get(usize::from(number.0).checked_sub(1)?)
    }

    /// The number of terms.
    #[must_use]
    pub fn terms_no(&self, id: &TermsId) -> Option<TermsNo> {
        let place = self.terms.iter().position(|known| known == id)?;
        Some(TermsNo(u16::try_from(place).ok()?))
    }

    /// The terms with this number.
    #[must_use]
    pub fn terms(&self, number: TermsNo) -> Option<&TermsId> {
        self.terms.get(usize::from(number.0))
    }

    /// The number of a price of terms.
    #[must_use]
    pub fn offer_no(&self, terms: TermsNo, price: Money) -> Option<OfferNo> {
        let place = self.offers.iter().position(|known| *known == Offer { terms, price })?;
        Some(OfferNo(u16::try_from(place).ok()?.checked_add(1)?))
    }

    /// The terms and the price with this number.
    #[must_use]
    pub fn offer(&self, number: OfferNo) -> Option<(&TermsId, Money)> {
        let Offer { terms, price } = self.offers.get(usize::from(number.0).checked_sub(1)?)?;
        Some((self.terms.get(usize::from(terms.0))?, *price))
    }

    /// A tranche's number.
    #[must_use]
    pub fn tranche_no(&self, id: &TrancheId) -> Option<TrancheNo> {
        let place = self.tranches.iter().position(|known| known == id)?;
        Some(TrancheNo(u16::try_from(place).ok()?))
    }

    /// The tranche with this number.
    #[must_use]
    pub fn tranche(&self, number: TrancheNo) -> Option<&TrancheId> {
        self.tranches.get(usize::from(number.0))
    }

    /// A signal's number.
    #[must_use]
    pub fn signal_no(&self, id: &SignalId) -> Option<SignalNo> {
        let place = self.signals.iter().position(|known| known == id)?;
        Some(SignalNo(u16::try_from(place).ok()?))
    }

    /// The signal with this number.
    #[must_use]
    pub fn signal(&self, number: SignalNo) -> Option<&SignalId> {
        self.signals.get(usize::from(number.0))
    }

    pub(super) const fn has_signals(&self) -> bool {
        !self.signals.is_empty()
    }

    /// Whether it has names of anything but signals, whose names stand beside them.
    pub(super) const fn has_any_but_signals(&self) -> bool {
        let Self { windows, terms, offers, tranches, signals: _ } = self;
        !(windows.is_empty() && terms.is_empty() && offers.is_empty() && tranches.is_empty())
    }

    pub(super) fn encode_signals(&self, out: &mut Vec<u8>) {
        put_count(out, self.signals.len());
        for id in &self.signals {
            put_text(out, id.as_str());
        }
    }

    pub(super) fn decode_signals(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.signals = several(reader, 1, |reader| reader.id("signal id"))?;
        Ok(())
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let Self { windows, terms, offers, tranches, signals: _ } = self;
        put_count(out, windows.len());
        for id in windows {
            put_text(out, id.as_str());
        }
        put_count(out, terms.len());
        for id in terms {
            put_text(out, id.as_str());
        }
        put_count(out, offers.len());
        for Offer { terms, price } in offers {
            put_u64(out, terms.0.into());
            price.encode(out);
        }
        put_count(out, tranches.len());
        for id in tranches {
            put_text(out, id.as_str());
        }
    }

    /// Reads the names of everything but signals.
    pub(super) fn decode(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.windows = several(reader, 1, |reader| reader.id("window id"))?;
        self.terms = several(reader, 1, |reader| reader.id("terms id"))?;
        self.offers = several(reader, 5, |reader| {
            Ok(Offer { terms: TermsNo(reader.small("terms")?), price: Money::decode(reader)? })
        })?;
        self.tranches = several(reader, 1, |reader| reader.id("tranche id"))?;
        Ok(())
    }
}

fn add<T: PartialEq + Clone>(known: &mut Vec<T>, name: &T) {
    if !known.contains(name) {
        known.push(name.clone());
    }
}
