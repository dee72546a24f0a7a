//! Filters of events.

use stockade_types::ids::{DropId, SeriesId, ShopId};

use super::event::Event;
use super::kind::{Kind, LATER, PREFIX};

/// A filter: it accepts events that meet all conditions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    kinds: Vec<Kind>,
    /// Only this shop's drops.
    pub shop: Option<ShopId>,
    /// Only this series' drops.
    pub series: Option<SeriesId>,
    /// Only this drop.
    pub drop: Option<DropId>,
    /// Only events about windows, pools, tranches, terms and whatever else has one of these names; none: all.
    pub names: Vec<String>,
    /// Only signals that are meant for one of these channels; none: all.
    pub channels: Vec<String>,
}

/// A pattern that matches no type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a type of event such as \"hold.created\", a prefix with \".*\" such as \"hold.*\", or \"*\"")]
pub struct BadType;

impl Filter {
    /// Adds types: an exact one, a prefix with `.*`, or `*`. A type that no record has yet adds nothing.
    ///
    /// # Errors
    /// [`BadType`].
    pub fn add(&mut self, pattern: &str) -> Result<(), BadType> {
        let fits = fitting(pattern)?;
        if !Kind::ALL.iter().map(|kind| kind.name()).chain(LATER).any(|name| fits.is(name)) {
            return Err(BadType);
        }
        let more = Kind::ALL.into_iter().filter(|kind| fits.is(kind.name()));
        let more: Vec<Kind> = more.filter(|kind| !self.kinds.contains(kind)).collect();
        self.kinds.extend(more);
        Ok(())
    }

    /// Whether it accepts no event at all.
    #[must_use]
    pub fn fits_nothing(&self) -> bool {
        !Kind::ALL.into_iter().any(|kind| self.has(kind))
    }

    /// Whether it accepts events of a type, of some drop.
    #[must_use]
    pub fn has(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
            && (self.names.is_empty() || kind.has_name())
            && (self.channels.is_empty() || kind.has_channels())
    }

    /// Whether it accepts an event.
    #[must_use]
    pub fn wants(&self, event: &Event) -> bool {
        let Self { kinds, shop, series, drop, names, channels } = self;
        kinds.contains(&event.kind)
            && shop.as_ref().is_none_or(|shop| event.shop() == Some(shop))
            && series.as_ref().is_none_or(|series| event.series() == Some(series))
            && drop.as_ref().is_none_or(|drop| event.drop_id() == Some(drop))
            && (names.is_empty() || event.name().is_some_and(|name| names.iter().any(|wanted| wanted == name)))
            && (channels.is_empty() || event.channels().iter().any(|channel| channels.contains(channel)))
    }
}

/// What a pattern matches.
enum Fits<'a> {
    All,
    /// Names that begin with it and a dot.
    Below(&'a str),
    Only(&'a str),
}

impl Fits<'_> {
    fn is(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Below(prefix) => name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.')),
            Self::Only(only) => name == *only,
        }
    }
}

fn fitting(pattern: &str) -> Result<Fits<'_>, BadType> {
    let short = pattern.strip_prefix(PREFIX).unwrap_or(pattern);
    if short == "*" {
        return Ok(Fits::All);
    }
    match short.strip_suffix(".*") {
        Some(prefix) if !prefix.is_empty() => Ok(Fits::Below(prefix)),
        Some(_) => Err(BadType),
        None => Ok(Fits::Only(short)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(pattern: &str) -> Result<Vec<Kind>, BadType> {
        let mut filter = Filter::default();
        filter.add(pattern).map(|()| filter.kinds)
    }

    #[test]
    fn a_pattern_is_a_type_a_prefix_or_all() {
        assert_eq!(kinds("*").map(|kinds| kinds.len()), Ok(Kind::ALL.len()));
        assert_eq!(kinds("stockade.*").map(|kinds| kinds.len()), Ok(Kind::ALL.len()));
        assert_eq!(kinds("hold.created"), Ok(vec![Kind::HoldCreated]));
        assert_eq!(kinds("stockade.hold.created"), Ok(vec![Kind::HoldCreated]));
        assert_eq!(kinds("hold.*").map(|kinds| kinds.len()), Ok(8));
        assert_eq!(kinds("stock.*"), Ok(vec![Kind::StockAdjusted]));
    }

    #[test]
    fn what_comes_later_is_taken_and_gives_nothing() {
        assert_eq!(kinds("guardrail.tripped"), Ok(vec![]));
        assert_eq!(kinds("room.*"), Ok(vec![]));
    }

    #[test]
    fn what_no_type_fits_is_refused() {
        for bad in
            ["", ".", ".*", "**", "hold", "hold.", "hold.*.*", "*.created", "hold.creat*", "hol.*", "Hold.created"]
        {
            assert_eq!(kinds(bad), Err(BadType), "{bad}");
        }
    }

    #[test]
    fn patterns_add_up_and_each_type_counts_once() {
        let mut filter = Filter::default();
        for pattern in ["hold.created", "hold.*", "drop.opened"] {
            filter.add(pattern).expect("a pattern");
        }
        assert_eq!(filter.kinds.len(), 9);
    }
}
