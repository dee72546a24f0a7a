//! Changes inputs at random, from a seed: the same seed makes the same inputs on every machine.

use fastrand::Rng;

use crate::BYTES_MAX;

/// Bytes at which encodings of lengths, counts and signs change.
const EDGES: [u8; 9] = [0, 1, 2, 0x7f, 0x80, 0x81, 0xfe, 0xff, b'\n'];
/// Maximum changes of one input.
const CHANGES_MAX: usize = 5;

/// Makes new inputs out of kept ones.
#[derive(Debug)]
pub struct Mutator<'a> {
    rng: Rng,
    kept: &'a [Vec<u8>],
}

impl<'a> Mutator<'a> {
    /// A mutator of these inputs, of which there must be at least one.
    #[must_use]
    pub fn new(seed: u64, kept: &'a [Vec<u8>]) -> Self {
        assert!(!kept.is_empty(), "nothing to begin with");
        Self { rng: Rng::with_seed(seed), kept }
    }

    fn one_of_the_kept(&mut self) -> &'a [u8] {
        self.kept.get(self.rng.usize(..self.kept.len())).expect("one of them")
    }

    /// The next input.
    pub fn input(&mut self) -> Vec<u8> {
        let mut input = self.one_of_the_kept().to_vec();
        for _ in 0..self.rng.usize(1..=CHANGES_MAX) {
            self.change(&mut input);
        }
        input.truncate(BYTES_MAX);
        input
    }

    /// A range within `bytes`; short ones are more frequent.
    fn piece(&mut self, bytes: usize) -> std::ops::Range<usize> {
        let start = self.rng.usize(..=bytes);
        let most = if self.rng.bool() { 8 } else { bytes };
        start..bytes.min(start + self.rng.usize(..=most))
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let place = self.rng.usize(..=input.len());
        let edge = *self.rng.choice(&EDGES).expect("one of them");
        let random = self.rng.u8(..);
        match self.rng.u8(..9) {
            0 => input.get_mut(place).into_iter().for_each(|byte| *byte ^= 1 << (random % 8)),
            1 => input.get_mut(place).into_iter().for_each(|byte| *byte = edge),
            2 => input.get_mut(place).into_iter().for_each(|byte| *byte = random),
            3 => {
                input.get_mut(place).into_iter().for_each(|byte| *byte = byte.wrapping_add(random % 5).wrapping_sub(2));
            }
            4 => drop(input.drain(self.piece(input.len()))),
            5 => input.insert(place, if random < 128 { edge } else { random }),
            6 => {
                let again = input.get(self.piece(input.len())).unwrap_or_default().to_vec();
                input.splice(place..place, again);
            }
            7 => {
                let other = self.one_of_the_kept();
                let piece = other.get(self.piece(other.len())).unwrap_or_default().to_vec();
                input.splice(place..place, piece);
            }
            _ => {
                let other = self.one_of_the_kept();
                let piece = other.get(self.piece(other.len())).unwrap_or_default();
                let over = input.iter_mut().skip(place);
                over.zip(piece).for_each(|(byte, other)| *byte = *other);
            }
        }
    }
}
