//! The load of a round: steady arrivals, and a herd every few seconds, whose holds run out as a wave.

use std::time::Duration;

use crate::failure::Failure;
use crate::scenario::{Arrivals, Scenario, ShapeName, Span};

/// How often a herd comes.
const HERD_EVERY: Duration = Duration::from_secs(4);
/// How many come in it.
const HERD: u64 = 250;

/// Holds that a second of load leaves behind at most, by the figures of the scenario and of the stream, and a quarter
/// more: the audit after a round needs all of them, and a bound that is reached soon keeps memory steady.
const ENDED_PER_SECOND: u64 = 700;
/// The least that is remembered of them.
const LEAST_ENDED: u64 = 5_000;

/// The load of one round, so long.
///
/// # Errors
/// Never: the scenario is tested.
pub fn round(length: Duration, seed: u64) -> Result<Scenario, Failure> {
    let parsed = Scenario::parse(include_str!("soak.toml"));
    let mut scenario = parsed.map_err(|_bad| Failure::Bug("the soak's own scenario is one"))?;
    scenario.load.seed = seed;
    for arrivals in &mut scenario.load.arrivals {
        arrivals.length = Span(length);
    }
    let mut after = HERD_EVERY / 2;
    while after < length {
        let shape = ShapeName::Herd;
        let length = Span::default();
        scenario.load.arrivals.push(Arrivals {
            shape,
            after: Span(after),
            length,
            rate: None,
            from: None,
            count: Some(HERD),
        });
        after = after.saturating_add(HERD_EVERY);
    }
    Ok(scenario)
}

/// How many ended holds the server has to remember: those of a round, for the audit after it, and some.
#[must_use]
pub fn ended_holds(length: Duration) -> u64 {
    length.as_secs().saturating_add(1).saturating_mul(ENDED_PER_SECOND).max(LEAST_ENDED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_a_sound_scenario() {
        let scenario = round(Duration::from_secs(10), 3).expect("a scenario");
        assert_eq!((scenario.load.arrivals.len(), scenario.load.seed), (3, 3), "two herds");
        assert_eq!(scenario.length(), Duration::from_secs(10));
    }
}
