//! How far the messages of channels are. The engine keeps it, and neither sends messages nor reads events.

use stockade_types::ids::{DefinedId, Lsn};
use stockade_types::record::{AUDIENCES_MAX, ChannelFact, ChannelProgress, Record};

use crate::Engine;
use crate::answer::Fault;
use crate::attempt::{Answer, Decided};
use crate::commit::Prepared;
use crate::context::Context;
use crate::inventory::{CHANNELS_MAX, Locked};

impl Engine {
    /// Keeps how far a channel is, or forgets it.
    ///
    /// # Errors
    /// [`Fault::Precondition`] if it has sent to more than [`AUDIENCES_MAX`] audiences, or would be one channel too
    /// many, and faults of the journal.
    pub fn keep_channel(
        &self,
        channel: DefinedId,
        progress: Option<ChannelProgress>,
        context: Context<'_>,
    ) -> Answer<Lsn> {
        if progress.as_ref().is_some_and(|progress| progress.sent.len() > AUDIENCES_MAX) {
            return Err(Fault::Precondition(format!("at most {AUDIENCES_MAX} audiences of a channel")).into());
        }
        let mut table = self.inventory.channels.lock();
        if progress.is_some() && !table.has_room(&channel) {
            return Err(Fault::Precondition(format!("at most {CHANNELS_MAX} channels")).into());
        }
        let prepared = Prepared { permit: self.journal.permit()?, locked: Locked::Channels(&mut table), taken: None };
        let record = Record::Channel(ChannelFact { at: context.now, channel, progress });
        let lsn = self.commit(record, prepared, context.now)?;
        Ok(Decided { value: lsn, durable_after: lsn })
    }

    /// How far a channel is; none if the journal does not say.
    #[must_use]
    pub fn channel_progress(&self, channel: &DefinedId) -> Option<ChannelProgress> {
        self.inventory.channels.lock().progress(channel).cloned()
    }

    /// The channels of which the journal says how far they are.
    #[must_use]
    pub fn channels(&self) -> Vec<DefinedId> {
        self.inventory.channels.lock().names().cloned().collect()
    }
}
