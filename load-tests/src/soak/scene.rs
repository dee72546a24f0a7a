//! The load of a round: steady arrivals, and a herd every few seconds, whose holds expire together.

use std::time::Duration;

use stockade_drill::Failure;

use crate::scenario::{Arrivals, Scenario, ShapeName, Span};

/// The interval of herds.
const HERD_EVERY: Duration = Duration::from_secs(4);
/// The size of a herd.
const HERD: u64 = 250;

/// Ended holds a second of load at most, by the figures of the scenario and of the stream, plus a quarter. The audit
/// after a round needs all of them, and memory becomes steady only when the bound on remembered holds is reached.
const ENDED_PER_SECOND: u64 = 700;
/// The least bound of remembered ended holds.
const ENDED_MIN: u64 = 5_000;

/// The load of one round of this length.
///
/// # Errors
/// Never: a test parses the scenario.
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

/// How many ended holds the server must remember: at least those of a round, for its audit.
#[must_use]
pub fn ended_holds(length: Duration) -> u64 {
    length.as_secs().saturating_add(1).saturating_mul(ENDED_PER_SECOND).max(ENDED_MIN)
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
