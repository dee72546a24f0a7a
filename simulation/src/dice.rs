//! Random choices from a seed. The generator is PCG, whose stream is part of its definition: a seed that was recorded
//! today is the same run after an update.

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::{Rng, SeedableRng};

/// A generator with one seed.
#[derive(Debug, Clone)]
pub struct Dice(Pcg64Mcg);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(Pcg64Mcg::seed_from_u64(seed))
    }

    pub fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `bound`, which is above 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The high half of a product: as even as 64 bits allow, without a division. Not the library's ranges, whose
        // draws may change between versions.
        u64::try_from((u128::from(self.number()) * u128::from(bound)) >> 64).expect("below the bound")
    }

    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    pub fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.below(u64::try_from(length).expect("small"))).expect("small")
    }

    /// True with a probability of `percent` %.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A number from `least` to `most` with a probability of `percent` %, else none.
    pub fn maybe(&mut self, percent: u64, least: u64, most: u64) -> Option<u64> {
        self.percent(percent).then(|| self.between(least, most))
    }

    /// As [`Dice::maybe`], for units, from 0.
    pub fn units(&mut self, percent: u64, most: u64) -> Option<u32> {
        self.maybe(percent, 0, most).map(|units| u32::try_from(units).expect("few"))
    }

    /// One of the choices, with probabilities by their weights.
    pub fn weighted<T: Copy>(&mut self, choices: &[(u64, T)]) -> T {
        let mut left = self.below(choices.iter().map(|(weight, _)| weight).sum());
        for (weight, choice) in choices {
            match left.checked_sub(*weight) {
                Some(more) => left = more,
                None => return *choice,
            }
        }
        unreachable!("the weights are summed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_of_a_seed_is_what_it_always_was() {
        let mut dice = Dice::new(42);
        let drawn: Vec<u64> = (0..4).map(|_| dice.below(1_000)).collect();
        assert_eq!(drawn, [573, 133, 355, 225]);
    }

    #[test]
    fn weights_are_kept() {
        let mut dice = Dice::new(1);
        let mut counts = [0_u32; 2];
        for _ in 0..1_000 {
            counts[dice.weighted(&[(9, 0_usize), (1, 1)])] += 1;
        }
        assert!((50..200).contains(&counts[1]), "{counts:?}");
    }
}
