//! What the public may see of the stock: bands, so that nobody can count it by looking.

use super::trigger::BASIS_POINTS;
use super::{put_count, several};
use crate::codec::{DecodeError, Reader, put_text, put_u64};
use crate::ids::BandId;
use crate::time::Millis;

/// Most bands of a drop.
pub const BANDS_MAX: usize = 8;
/// Bounds on how long a band is shown at least.
pub const BAND_INTERVAL_MIN: Millis = Millis::from_secs(1);
/// The same.
pub const BAND_INTERVAL_MAX: Millis = Millis::from_secs(60 * 60);
/// How long a band is shown at least if the definition does not say.
pub const BAND_INTERVAL_USUAL: Millis = Millis::from_secs(5);
/// The bands of a drop that names none: for at least one free unit,
pub const AVAILABLE: &str = "available";
/// and for none.
pub const SOLD_OUT: &str = "sold_out";

/// The place of a band in its list. The last one is for nothing free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BandNo(pub u8);

/// The bands that the public is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scarcity {
    /// Falling; the last one is for nothing free. None: [`AVAILABLE`] and [`SOLD_OUT`].
    pub bands: Vec<Band>,
    /// How long a band is shown at least, but that nothing is left is shown within a second.
    pub min_interval: Millis,
}

/// A band.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Band {
    /// As it is shown; unique in the drop.
    pub id: BandId,
    /// From which share of the stock on, in basis points; 0 for nothing free.
    pub min_free: u32,
}

impl Scarcity {
    /// That of a drop that defines none.
    pub const USUAL: Self = Self { bands: Vec::new(), min_interval: BAND_INTERVAL_USUAL };

    /// The band for this many free units of those that were received and not withdrawn. Something free is never in the
    /// last band, however little it is.
    #[must_use]
    pub fn band(&self, free: u64, sellable: u64) -> BandNo {
        let last = self.last();
        if free == 0 {
            return last;
        }
        let fits = |band: &Band| {
            u128::from(free).saturating_mul(BASIS_POINTS.into())
                >= u128::from(sellable).saturating_mul(band.min_free.into())
        };
        let above = usize::from(last.0);
        let place = self.bands.iter().take(above).position(fits).unwrap_or_else(|| above.saturating_sub(1));
        BandNo(u8::try_from(place).unwrap_or(0))
    }

    /// The band for nothing free.
    #[must_use]
    pub fn last(&self) -> BandNo {
        BandNo(if self.bands.is_empty() { 1 } else { u8::try_from(self.bands.len().saturating_sub(1)).unwrap_or(0) })
    }

    /// The name of a band; that of the last one for a place that the list does not have any more.
    #[must_use]
    pub fn name(&self, band: BandNo) -> &str {
        match self.bands.get(usize::from(band.0)).or_else(|| self.bands.last()) {
            Some(band) => band.id.as_str(),
            None if band.0 == 0 => AVAILABLE,
            None => SOLD_OUT,
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let Self { bands, min_interval } = self;
        put_u64(out, min_interval.0);
        put_count(out, bands.len());
        for Band { id, min_free } in bands {
            put_text(out, id.as_str());
            put_u64(out, (*min_free).into());
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let min_interval = Millis(reader.u64()?);
        let band =
            |reader: &mut Reader<'_>| Ok(Band { id: reader.id("band")?, min_free: reader.small("basis points")? });
        Ok(Self { bands: several(reader, 2, band)?, min_interval })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_band_is_the_first_that_fits_and_the_last_is_for_nothing_alone() {
        let band = |id: &str, min_free| Band { id: id.parse().expect("an id"), min_free };
        let bands = vec![band("plenty", 5_000), band("few", 1_000), band("gone", 0)];
        let scarcity = Scarcity { bands, ..Scarcity::USUAL };
        let name = |free, sellable| scarcity.name(scarcity.band(free, sellable));
        let found = [(100, 100), (50, 100), (49, 100), (10, 100), (9, 100), (1, 100), (0, 100), (0, 0)];
        let found = found.map(|(free, sellable)| name(free, sellable));
        assert_eq!(found, ["plenty", "plenty", "few", "few", "few", "few", "gone", "gone"]);
        let usual = Scarcity::USUAL;
        let name = |free| usual.name(usual.band(free, 100));
        assert_eq!([name(100), name(1), name(0)], ["available", "available", "sold_out"]);
        assert_eq!(scarcity.name(BandNo(7)), "gone", "of a longer list from before");
    }
}
