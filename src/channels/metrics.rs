//! Metrics of channels.

use std::sync::Arc;

use stockade_types::metrics::Counter;

use super::bounds::Reason;

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The other end has taken it.
    Sent,
    /// The other end has refused it for good, or it could not be written.
    Failed,
    /// It could not be sent while it was worth sending.
    GaveUp,
    /// It was held back.
    HeldBack(Reason),
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Sent,
        Self::Failed,
        Self::GaveUp,
        Self::HeldBack(Reason::Capped),
        Self::HeldBack(Reason::Gap),
        Self::HeldBack(Reason::Quiet),
        Self::HeldBack(Reason::Expired),
    ];

    /// As the metric's label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::GaveUp => "gave_up",
            Self::HeldBack(reason) => reason.label(),
        }
    }

    const fn place(self) -> usize {
        match self {
            Self::Sent => 0,
            Self::Failed => 1,
            Self::GaveUp => 2,
            Self::HeldBack(Reason::Capped) => 3,
            Self::HeldBack(Reason::Gap) => 4,
            Self::HeldBack(Reason::Quiet) => 5,
            Self::HeldBack(Reason::Expired) => 6,
        }
    }
}

/// The messages of one channel by outcome.
#[derive(Debug, Default)]
pub struct OfChannel([Counter; Outcome::ALL.len()]);

/// The metrics of all channels, in the configuration's order.
#[derive(Debug, Default)]
pub struct ChannelMetrics(Vec<(String, Arc<OfChannel>)>);

impl OfChannel {
    /// Counts a message.
    pub fn count(&self, outcome: Outcome) {
        if let Some(counter) = self.0.get(outcome.place()) {
            counter.increment();
        }
    }
}

impl ChannelMetrics {
    /// Of channels with these names.
    pub fn new(names: impl IntoIterator<Item = impl ToString>) -> Self {
        Self(names.into_iter().map(|name| (name.to_string(), Arc::default())).collect())
    }

    /// Those of one channel.
    #[must_use]
    pub fn of(&self, name: &str) -> Arc<OfChannel> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, of)| Arc::clone(of)).unwrap_or_default()
    }

    /// Each channel, outcome and count.
    pub fn messages(&self) -> impl Iterator<Item = (&str, &'static str, u64)> {
        self.0.iter().flat_map(|(name, of)| {
            let each = Outcome::ALL.iter().zip(&of.0);
            each.map(move |(outcome, counter)| (name.as_str(), outcome.label(), counter.get()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_is_counted_at_its_own_place() {
        let metrics = ChannelMetrics::new(["push", "mail"]);
        for (place, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome.place(), place);
            (0..=place).for_each(|_| metrics.of("mail").count(outcome));
        }
        let wanted = ["sent", "failed", "gave_up", "capped", "gap", "quiet", "expired"];
        let none = wanted.map(|label| ("push", label, 0));
        let mail = (1..).zip(wanted).map(|(count, label)| ("mail", label, count));
        assert_eq!(metrics.messages().collect::<Vec<_>>(), none.into_iter().chain(mail).collect::<Vec<_>>());
    }
}
