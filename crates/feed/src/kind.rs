//! The types of events, as the contract names them.

/// The prefix of every type. In a filter it may be omitted.
pub const PREFIX: &str = "stockade.";

/// The type of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A hold was made.
    HoldCreated,
    /// Its deadline moved, or it came back from payment.
    HoldExtended,
    /// It went into payment.
    HoldPaying,
    /// It was claimed.
    HoldClaimed,
    /// Units of it were given back before the sale.
    HoldReleased,
    /// Its deadline passed.
    HoldExpired,
    /// Another hold replaced it.
    HoldSuperseded,
    /// Units of it came back after the sale.
    HoldReturned,
    /// A drop was created.
    DropCreated,
    /// Its definition was changed.
    DropUpdated,
    /// It opened.
    DropOpened,
    /// It was paused.
    DropPaused,
    /// It was resumed.
    DropResumed,
    /// It closed.
    DropClosed,
    /// It was closed before it opened.
    DropCancelled,
    /// It was archived: its holds were removed from memory.
    DropArchived,
    /// Nothing is free of an item, or of all goods together.
    DropSoldOut,
    /// Something is free again.
    DropBackInStock,
    /// The public is shown another band of an item.
    DropBandChanged,
    /// A window opened.
    WindowOpened,
    /// A window closed.
    WindowClosed,
    /// A pool opened to those who may draw on another.
    PoolFlowed,
    /// A tranche joined its pool.
    TrancheAdded,
    /// A price changed by a step.
    TermsStepped,
    /// A signal fired.
    SignalFired,
    /// A signal's moment came, too late to fire.
    SignalMissed,
    /// An item's stock was adjusted.
    StockAdjusted,
    /// The engine started after an outage.
    EngineRestarted,
    /// A series was created.
    SeriesCreated,
    /// It was changed.
    SeriesUpdated,
    /// No drop is made for one of its occurrences.
    OccurrenceSkipped,
    /// The drop of one of its occurrences was refused.
    OccurrenceFailed,
    /// A drop's sale is over, and its report is recorded.
    ReportReady,
}

/// Types that the contract names but no record has yet.
pub(super) const LATER: [&str; 8] = [
    "guardrail.tripped",
    "room.opened",
    "room.closed",
    "room.order_known",
    "waitlist.joined",
    "waitlist.offered",
    "waitlist.left",
    "webhook.test",
];

impl Kind {
    /// All of them.
    pub const ALL: [Self; 33] = [
        Self::HoldCreated,
        Self::HoldExtended,
        Self::HoldPaying,
        Self::HoldClaimed,
        Self::HoldReleased,
        Self::HoldExpired,
        Self::HoldSuperseded,
        Self::HoldReturned,
        Self::DropCreated,
        Self::DropUpdated,
        Self::DropOpened,
        Self::DropPaused,
        Self::DropResumed,
        Self::DropClosed,
        Self::DropCancelled,
        Self::DropArchived,
        Self::DropSoldOut,
        Self::DropBackInStock,
        Self::DropBandChanged,
        Self::WindowOpened,
        Self::WindowClosed,
        Self::PoolFlowed,
        Self::TrancheAdded,
        Self::TermsStepped,
        Self::SignalFired,
        Self::SignalMissed,
        Self::StockAdjusted,
        Self::EngineRestarted,
        Self::SeriesCreated,
        Self::SeriesUpdated,
        Self::OccurrenceSkipped,
        Self::OccurrenceFailed,
        Self::ReportReady,
    ];

    /// Its name without the prefix.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HoldCreated => "hold.created",
            Self::HoldExtended => "hold.extended",
            Self::HoldPaying => "hold.paying",
            Self::HoldClaimed => "hold.claimed",
            Self::HoldReleased => "hold.released",
            Self::HoldExpired => "hold.expired",
            Self::HoldSuperseded => "hold.superseded",
            Self::HoldReturned => "hold.returned",
            Self::DropCreated => "drop.created",
            Self::DropUpdated => "drop.updated",
            Self::DropOpened => "drop.opened",
            Self::DropPaused => "drop.paused",
            Self::DropResumed => "drop.resumed",
            Self::DropClosed => "drop.closed",
            Self::DropCancelled => "drop.cancelled",
            Self::DropArchived => "drop.archived",
            Self::DropSoldOut => "drop.sold_out",
            Self::DropBackInStock => "drop.back_in_stock",
            Self::DropBandChanged => "drop.band_changed",
            Self::WindowOpened => "window.opened",
            Self::WindowClosed => "window.closed",
            Self::PoolFlowed => "pool.flowed",
            Self::TrancheAdded => "tranche.added",
            Self::TermsStepped => "terms.stepped",
            Self::SignalFired => "signal.fired",
            Self::SignalMissed => "signal.missed",
            Self::StockAdjusted => "stock.adjusted",
            Self::EngineRestarted => "engine.restarted",
            Self::SeriesCreated => "series.created",
            Self::SeriesUpdated => "series.updated",
            Self::OccurrenceSkipped => "series.occurrence_skipped",
            Self::OccurrenceFailed => "series.occurrence_failed",
            Self::ReportReady => "report.ready",
        }
    }

    /// Whether it is about something of a drop that has an id of its own.
    #[must_use]
    pub(super) const fn has_name(self) -> bool {
        match self {
            Self::WindowOpened
            | Self::WindowClosed
            | Self::PoolFlowed
            | Self::TrancheAdded
            | Self::TermsStepped
            | Self::SignalFired
            | Self::SignalMissed
            | Self::SeriesCreated
            | Self::SeriesUpdated
            | Self::OccurrenceSkipped
            | Self::OccurrenceFailed => true,
            Self::HoldCreated
            | Self::HoldExtended
            | Self::HoldPaying
            | Self::HoldClaimed
            | Self::HoldReleased
            | Self::HoldExpired
            | Self::HoldSuperseded
            | Self::HoldReturned
            | Self::DropCreated
            | Self::DropUpdated
            | Self::DropOpened
            | Self::DropPaused
            | Self::DropResumed
            | Self::DropClosed
            | Self::DropCancelled
            | Self::DropArchived
            | Self::DropSoldOut
            | Self::DropBackInStock
            | Self::DropBandChanged
            | Self::StockAdjusted
            | Self::EngineRestarted
            | Self::ReportReady => false,
        }
    }

    /// Whether it is meant for channels.
    #[must_use]
    pub(super) const fn has_channels(self) -> bool {
        matches!(self, Self::SignalFired | Self::SignalMissed)
    }

    /// Whether it is about the drop as a whole.
    #[must_use]
    pub(super) fn is_of_drop(self) -> bool {
        self.name().starts_with("drop.")
    }

    /// The last part of its name. The ids of events end with it, so it never changes.
    #[must_use]
    pub fn what(self) -> &'static str {
        self.name().split_once('.').map_or_else(|| self.name(), |(_, what)| what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_types_are_those_that_the_contract_names() {
        let contract = include_str!("../../../proto/stockade/v1/event.proto");
        let (_, listed) = contract.split_once("\"stockade.<entity>.<what>\":").expect("the list");
        let (listed, _) = listed.split_once("string type").expect("its end");
        let is_type = |word: &&str| word.contains('.') && !word.ends_with('.');
        let words = listed.split(|c: char| !(c.is_ascii_lowercase() || c == '_' || c == '.'));
        let mut wanted: Vec<&str> = words.filter(is_type).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let mut known: Vec<&str> = Kind::ALL.map(Kind::name).into_iter().chain(LATER).collect();
        known.sort_unstable();
        assert_eq!(known, wanted);
    }

    #[test]
    fn each_type_is_documented_with_an_example_and_each_later_one_is_named() {
        let docs = include_str!("../../../docs/events.md");
        for kind in Kind::ALL {
            let name = kind.name();
            let (_, section) = docs.split_once(&format!("### `stockade.{name}`\n")).expect(name);
            assert!(section.contains(&format!("\"type\": \"stockade.{name}\",\n")), "{name} has no example");
        }
        for name in LATER {
            let group = name.split_once('.').expect("two words").0;
            assert!(docs.contains(&format!("`{name}`")) || docs.contains(&format!("`{group}.*`")), "{name}");
        }
    }

    #[test]
    fn what_happened_ends_the_name() {
        assert_eq!((Kind::HoldCreated.what(), Kind::EngineRestarted.what()), ("created", "restarted"));
    }
}
