//! Measures: what guardrails watch. Each is a ratio of two sums, so that several drops can be measured together.

use crate::number::scaled;

/// What can be watched. The numbers are those of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Measure {
    /// Units of the 1 % of buyers with most.
    Top1PercentShare,
    /// Holds that came to nothing.
    AbandonmentRate,
    /// Units returned.
    ReturnRate,
    /// Orders cancelled.
    CancellationRate,
    /// Orders charged back.
    ChargebackRate,
    /// Buyers who had bought before.
    RepeatFraction,
    /// Promoters less detractors; -100 to 100.
    Nps,
    /// Contacts to the support by orders.
    SupportContactRate,
    /// Units sold of those received.
    SellThrough,
    /// Units asked for by units received.
    DemandToStock,
    /// Late claims refused, by claims that were tried.
    LateClaimsRefused,
}

/// All measures, in the order of their numbers, which begin with 1.
pub const MEASURES: [Measure; 11] = [
    Measure::Top1PercentShare,
    Measure::AbandonmentRate,
    Measure::ReturnRate,
    Measure::CancellationRate,
    Measure::ChargebackRate,
    Measure::RepeatFraction,
    Measure::Nps,
    Measure::SupportContactRate,
    Measure::SellThrough,
    Measure::DemandToStock,
    Measure::LateClaimsRefused,
];

impl Measure {
    /// As people say it.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Top1PercentShare => "share of the top 1 % of buyers",
            Self::AbandonmentRate => "abandonment rate",
            Self::ReturnRate => "return rate",
            Self::CancellationRate => "cancellation rate",
            Self::ChargebackRate => "chargeback rate",
            Self::RepeatFraction => "fraction of repeat buyers",
            Self::Nps => "NPS",
            Self::SupportContactRate => "support contacts by orders",
            Self::SellThrough => "sell-through",
            Self::DemandToStock => "demand to stock",
            Self::LateClaimsRefused => "late claims refused",
        }
    }

    /// Whether it is known when the sale is over, or only afterwards, by facts.
    #[must_use]
    pub const fn is_of_the_sale(self) -> bool {
        match self {
            Self::Top1PercentShare
            | Self::AbandonmentRate
            | Self::RepeatFraction
            | Self::SellThrough
            | Self::DemandToStock
            | Self::LateClaimsRefused => true,
            Self::ReturnRate | Self::CancellationRate | Self::ChargebackRate | Self::Nps | Self::SupportContactRate => {
                false
            }
        }
    }

    /// The value of a ratio in this measure's unit: basis points, of NPS whole points.
    #[must_use]
    pub fn value(self, ratio: Ratio) -> Option<i64> {
        let scale = if self == Self::Nps { 100 } else { 10_000 };
        let size = i64::try_from(scaled(ratio.part.unsigned_abs(), ratio.whole, scale)?).ok()?;
        Some(if ratio.part < 0 { -size } else { size })
    }

    /// A value with its unit, for people.
    #[must_use]
    pub fn shown(self, value: i64) -> String {
        if self == Self::Nps {
            return value.to_string();
        }
        let sign = if value < 0 { "-" } else { "" };
        let (whole, rest) = (value.unsigned_abs() / 100, value.unsigned_abs() % 100);
        format!("{sign}{whole}.{rest:02} %")
    }
}

/// A part of a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratio {
    /// The part. Negative only for NPS.
    pub part: i128,
    /// The whole.
    pub whole: u128,
}

impl Ratio {
    /// Of counts; nothing where there is no whole.
    #[must_use]
    pub fn of(part: u64, whole: u64) -> Option<Self> {
        (whole > 0).then(|| Self { part: i128::from(part), whole: u128::from(whole) })
    }

    /// Both together: parts and wholes are summed, so a large drop counts more than a small one. Nothing where the sums do
    /// not fit.
    #[must_use]
    pub fn with(self, other: Self) -> Option<Self> {
        Some(Self { part: self.part.checked_add(other.part)?, whole: self.whole.checked_add(other.whole)? })
    }
}
