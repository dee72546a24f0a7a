//! Turns to send: how many deliveries may be on their way at once, of all webhooks and of each.
//!
//! Receivers that fail, and those that take long, have turns of their own, so that however many there are of them, they
//! do not hold up the others. Within a kind, turns are had in the order in which they were asked for.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

/// A receiver whose last answer took this long is slow.
const SLOW_FROM: Duration = Duration::from_secs(1);
/// A webhook has at most this part of the turns of its kind at once.
const PART_OF_ONE: usize = 8;

/// What is known of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// It answers soon, or nothing is known yet.
    Prompt,
    /// It succeeds, but takes long.
    Slow,
    /// Its last delivery has failed.
    Failing,
}

/// Turns to send, by the pace of receivers.
#[derive(Debug)]
pub struct Turns {
    prompt: Arc<Semaphore>,
    slow: Arc<Semaphore>,
    failing: Arc<Semaphore>,
    of_one: usize,
}

impl Pace {
    /// That of a receiver whose last answer took this long.
    #[must_use]
    pub fn of(is_failing: bool, took: Duration) -> Self {
        match (is_failing, took >= SLOW_FROM) {
            (true, _) => Self::Failing,
            (false, true) => Self::Slow,
            (false, false) => Self::Prompt,
        }
    }
}

impl Turns {
    /// Shares out so many turns: half of them to prompt receivers. Each kind has one at least, so below three there are
    /// more than asked for.
    #[must_use]
    pub fn new(at_once: usize) -> Self {
        let quarter = (at_once / 4).max(1);
        let prompt = at_once.saturating_sub(quarter.saturating_mul(2)).max(1);
        let turns = |count: usize| Arc::new(Semaphore::new(count));
        let of_one = (prompt / PART_OF_ONE).max(1);
        Self { prompt: turns(prompt), slow: turns(quarter), failing: turns(quarter), of_one }
    }

    /// The turns of receivers of this pace.
    #[must_use]
    pub const fn of(&self, pace: Pace) -> &Arc<Semaphore> {
        match pace {
            Pace::Prompt => &self.prompt,
            Pace::Slow => &self.slow,
            Pace::Failing => &self.failing,
        }
    }

    /// How many deliveries one webhook may have on their way.
    #[must_use]
    pub const fn of_one(&self) -> usize {
        self.of_one
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_is_slow_by_its_last_answer_and_failing_whatever_that_took() {
        let (soon, long) = (SLOW_FROM.saturating_sub(Duration::from_millis(1)), SLOW_FROM);
        assert_eq!((Pace::of(false, soon), Pace::of(false, long)), (Pace::Prompt, Pace::Slow));
        assert_eq!((Pace::of(true, soon), Pace::of(true, long)), (Pace::Failing, Pace::Failing));
    }

    #[test]
    fn slow_and_failing_receivers_leave_the_turns_of_prompt_ones_alone_and_one_has_a_small_part() {
        for at_once in [3, 4, 5, 64, 128] {
            let turns = Turns::new(at_once);
            let all = [Pace::Prompt, Pace::Slow, Pace::Failing].map(|pace| turns.of(pace).available_permits());
            assert_eq!(all.iter().sum::<usize>(), at_once);
            let mut taken = Vec::new();
            for pace in [Pace::Slow, Pace::Failing] {
                while let Ok(turn) = Arc::clone(turns.of(pace)).try_acquire_owned() {
                    taken.push(turn);
                }
            }
            assert!(turns.of(Pace::Prompt).try_acquire().is_ok(), "{at_once}");
        }
        assert_eq!((Turns::new(128).of_one(), Turns::new(3).of_one()), (8, 1));
    }
}
