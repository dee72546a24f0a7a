//! Metrics of webhooks.

use stockade_types::metrics::{Counter, Gauge};

use super::outcome::Outcome;

/// The metrics of all webhooks.
#[derive(Debug, Default)]
pub struct WebhookMetrics {
    attempts: [Counter; Outcome::ALL.len()],
    /// Events that were given up.
    pub given_up: Counter,
    /// Events that wait, at least.
    pub behind: Gauge,
}

impl WebhookMetrics {
    /// Counts an attempt.
    pub fn attempted(&self, outcome: Outcome) {
        if let Some(counter) = self.attempts.get(outcome.place()) {
            counter.increment();
        }
    }

    /// Each outcome's label and count; the last is that of events that were given up.
    pub fn deliveries(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let attempts = Outcome::ALL.iter().zip(&self.attempts);
        let attempts = attempts.map(|(outcome, counter)| (outcome.label(), counter.get()));
        attempts.chain(std::iter::once(("given_up", self.given_up.get())))
    }
}
