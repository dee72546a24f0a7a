//! A customer as a drop's rules see one: in which of the drop's audiences.
//!
//! Rules name the same few audiences again and again: that of a members' window is that of the members' pool and of
//! their price. So each distinct audience has a number, and a request compares names once for each number. All that
//! follows compares bits.

use smallvec::SmallVec;
use stockade_types::definition::Audience;
use stockade_types::ids::{TierId, ZoneId};

/// The number of an audience among a drop's distinct ones. 0 names everyone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AudienceNo(usize);

/// The distinct audiences of a drop's rules, but for everyone, which needs no place: the n-th has the number n + 1.
#[derive(Debug, Clone, Default)]
pub(super) struct Audiences(Vec<Audience>);

/// Bits of a word of [`Visitor`].
const WORD: usize = 64;

/// The customer of a request: a bit for each audience of the drop, set if the customer is in it.
#[derive(Debug, Clone)]
pub struct Visitor {
    audiences: SmallVec<[u64; 2]>,
    /// Staff overrides windows and audiences. All bits are set then.
    is_over_windows: bool,
}

impl Audiences {
    /// The number of this audience. It is given one if it has none.
    pub(super) fn number(&mut self, audience: &Audience) -> AudienceNo {
        if audience.is_everyone() {
            return AudienceNo(0);
        }
        let known = self.0.iter().position(|known| known == audience);
        let place = known.unwrap_or_else(|| {
            self.0.push(audience.clone());
            self.0.len().saturating_sub(1)
        });
        AudienceNo(place.saturating_add(1))
    }

    /// A customer of these tiers and zones.
    pub(super) fn visitor(&self, tiers: &[TierId], zones: &[ZoneId], is_over_windows: bool) -> Visitor {
        let (mut audiences, mut word, mut bit) = (SmallVec::new(), 1, 1_u64);
        for audience in &self.0 {
            bit = bit.rotate_left(1);
            if bit == 1 {
                audiences.push(word);
                word = 0;
            }
            if is_over_windows || audience.contains(tiers, zones) {
                word |= bit;
            }
        }
        audiences.push(word);
        Visitor { audiences, is_over_windows }
    }
}

impl Visitor {
    /// Whether windows and audiences are overridden for this customer.
    #[inline]
    pub(super) const fn is_over_windows(&self) -> bool {
        self.is_over_windows
    }

    /// Whether an audience contains this customer.
    #[inline]
    pub(super) fn is_in(&self, AudienceNo(number): AudienceNo) -> bool {
        let word = self.audiences.get(number / WORD).copied().unwrap_or_default();
        word.rotate_right(u32::try_from(number % WORD).unwrap_or_default()) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visitor_is_in_the_audiences_that_contain_them_however_many_there_are() {
        let tier = |n: usize| format!("t{n}").parse::<TierId>().expect("a tier");
        let of = |n| Audience { tiers: vec![tier(n)], zones: Vec::new() };
        let mut audiences = Audiences::default();
        assert_eq!(audiences.number(&Audience::default()), AudienceNo(0), "everyone has no place");
        for count in 0..200 {
            assert_eq!(audiences.number(&of(count)), AudienceNo(count + 1));
            assert_eq!(audiences.number(&of(count / 2)), AudienceNo(count / 2 + 1), "known already");
            let theirs = [tier(count / 3), tier(count)];
            let (visitor, staff) = (audiences.visitor(&theirs, &[], false), audiences.visitor(&[], &[], true));
            assert!(visitor.is_in(AudienceNo(0)) && staff.is_in(AudienceNo(0)));
            for n in 0..=count {
                assert_eq!(visitor.is_in(AudienceNo(n + 1)), n == count / 3 || n == count, "{n} of {count}");
                assert!(staff.is_in(AudienceNo(n + 1)), "{n} of {count}");
            }
        }
    }
}
