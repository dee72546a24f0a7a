//! How far the messages of each channel are, as the journal says it. Which channels there are is a server's
//! configuration, so this is all that the engine knows of them.

use std::collections::BTreeMap;

use stockade_types::ids::{DefinedId, Lsn};
use stockade_types::record::{ChannelFact, ChannelProgress, Record};

/// Most channels.
pub const CHANNELS_MAX: usize = 64;

/// The last record of each channel that is not forgotten.
#[derive(Debug, Default)]
pub struct ChannelTable {
    known: BTreeMap<DefinedId, (Lsn, ChannelFact)>,
}

impl ChannelTable {
    /// How far a channel is; none if the journal does not say.
    #[must_use]
    pub fn progress(&self, channel: &DefinedId) -> Option<&ChannelProgress> {
        self.known.get(channel)?.1.progress.as_ref()
    }

    /// The channels that are known.
    pub fn names(&self) -> impl Iterator<Item = &DefinedId> {
        self.known.keys()
    }

    /// Whether there is room for what this channel has sent.
    #[must_use]
    pub fn has_room(&self, channel: &DefinedId) -> bool {
        self.known.contains_key(channel) || self.known.len() < CHANNELS_MAX
    }

    /// Each last record, with its LSN.
    #[must_use]
    pub fn images(&self) -> Vec<(Lsn, Record)> {
        self.known.values().map(|(lsn, fact)| (*lsn, Record::Channel(fact.clone()))).collect()
    }

    /// Applies a record, unless the channel has seen it already.
    pub(super) fn apply(&mut self, lsn: Lsn, fact: &ChannelFact) {
        if self.known.get(&fact.channel).is_some_and(|(known, _)| *known >= lsn) {
            return;
        }
        if fact.progress.is_some() {
            self.known.insert(fact.channel.clone(), (lsn, fact.clone()));
        } else {
            self.known.remove(&fact.channel);
        }
    }
}
