//! A hold's lines.

use crate::definition::{OfferNo, WindowNo};
use crate::ids::{ItemNo, PoolNo};

/// The highest number of a price that a single line has without an allocation.
const ONE_LINE_OFFER_MAX: u16 = 0xff;

/// What is pinned to a line when its units are set aside: it stays, whatever becomes of the drop's rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Pinned {
    /// The window that it came through, if the drop has any.
    pub window: WindowNo,
    /// Its terms and price, if the drop has any for it.
    pub offer: OfferNo,
}

impl Pinned {
    /// Nothing is pinned to lines of a drop without windows and prices.
    pub const NOTHING: Self = Self { window: WindowNo(0), offer: OfferNo(0) };
}

/// A hold's units of one item and pool that came through one window at one price. `quantity + released + returned` is what it had when it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HoldLine {
    /// Which item.
    pub item: ItemNo,
    /// Which of its pools.
    pub pool: PoolNo,
    /// Its window and its price.
    pub pinned: Pinned,
    /// Units that the hold has. An ended hold keeps its last quantity, for a late claim; see
    /// [`Hold::shown_lines`](super::Hold::shown_lines).
    pub quantity: u32,
    /// Units given back before the sale.
    pub released: u32,
    /// Units given back after the sale.
    pub returned: u32,
    /// Of those returned, the units that did not go back on sale.
    pub withdrawn: u32,
}

impl HoldLine {
    /// A line of which nothing was given back and to which nothing is pinned.
    #[must_use]
    pub const fn new(item: ItemNo, pool: PoolNo, quantity: u32) -> Self {
        Self { item, pool, pinned: Pinned::NOTHING, quantity, released: 0, returned: 0, withdrawn: 0 }
    }

    /// Units that the line had when the hold was made.
    #[must_use]
    pub const fn at_first(&self) -> u32 {
        self.quantity.saturating_add(self.released).saturating_add(self.returned)
    }

    /// Whether both have units of the same pool.
    #[must_use]
    pub fn is_of_same_pool(&self, other: &Self) -> bool {
        (self.item, self.pool) == (other.item, other.pool)
    }

    /// Gives back all but `keep` before the sale; the quantity never grows.
    #[must_use]
    pub(super) fn keeping(self, keep: u32) -> Self {
        let kept = keep.min(self.quantity);
        Self { quantity: kept, released: self.released.saturating_add(self.quantity.saturating_sub(kept)), ..self }
    }
}

/// A hold's lines, ordered by item, pool and what is pinned. Nearly every hold has one whole line, which needs no allocation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Lines {
    /// One line of which nothing was given back, with a price whose number is below 256.
    One {
        /// Which item.
        item: ItemNo,
        /// Which of its pools.
        pool: PoolNo,
        /// Its window and its price.
        pinned: Pinned,
        /// Units.
        quantity: u32,
    },
    /// Everything else.
    Many(Box<[HoldLine]>),
}

impl Lines {
    /// From ordered lines.
    #[inline]
    #[must_use]
    pub fn from_slice(lines: &[HoldLine]) -> Self {
        match lines {
            [HoldLine { item, pool, pinned, quantity, released: 0, returned: 0, withdrawn: 0 }]
                if pinned.offer.0 <= ONE_LINE_OFFER_MAX =>
            {
                Self::One { item: *item, pool: *pool, pinned: *pinned, quantity: *quantity }
            }
            lines => Self::Many(lines.into()),
        }
    }

    /// A view of them.
    #[inline]
    #[must_use]
    pub fn view(&self) -> LinesView<'_> {
        match self {
            Self::One { item, pool, pinned, quantity } => {
                LinesView::One { item: *item, pool: *pool, pinned: *pinned, quantity: *quantity }
            }
            Self::Many(lines) => LinesView::Many(lines),
        }
    }

    /// Each line.
    #[inline]
    pub fn iter(&self) -> Iter<'_> {
        self.view().iter()
    }
}

/// A hold's lines, wherever they are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinesView<'a> {
    /// As [`Lines::One`].
    One {
        /// Which item.
        item: ItemNo,
        /// Which of its pools.
        pool: PoolNo,
        /// Its window and its price.
        pinned: Pinned,
        /// Units.
        quantity: u32,
    },
    /// As [`Lines::Many`].
    Many(&'a [HoldLine]),
}

impl<'a> LinesView<'a> {
    /// Each line.
    #[inline]
    pub fn iter(self) -> Iter<'a> {
        match self {
            Self::One { item, pool, pinned, quantity } => {
                Iter { one: Some(HoldLine { pinned, ..HoldLine::new(item, pool, quantity) }), many: [].iter() }
            }
            Self::Many(lines) => Iter { one: None, many: lines.iter() },
        }
    }

    /// How many there are.
    #[inline]
    #[must_use]
    pub const fn count(self) -> usize {
        match self {
            Self::One { .. } => 1,
            Self::Many(lines) => lines.len(),
        }
    }

    /// The hold's one line, if there is only one and nothing of it was given back.
    #[inline]
    #[must_use]
    pub const fn only(self) -> Option<HoldLine> {
        match self {
            Self::One { item, pool, pinned, quantity } => {
                Some(HoldLine { pinned, ..HoldLine::new(item, pool, quantity) })
            }
            Self::Many(_) => None,
        }
    }

    /// Whether units of any line were given back.
    #[inline]
    #[must_use]
    pub fn any_given_back(self) -> bool {
        match self {
            Self::One { .. } => false,
            Self::Many(lines) => lines.iter().any(|line| line.released > 0 || line.returned > 0),
        }
    }

    /// Whether any line has a window or a price.
    #[inline]
    #[must_use]
    pub fn any_pinned(self) -> bool {
        match self {
            Self::One { pinned, .. } => pinned != Pinned::NOTHING,
            Self::Many(lines) => lines.iter().any(|line| line.pinned != Pinned::NOTHING),
        }
    }

    /// A copy of them.
    #[inline]
    #[must_use]
    pub fn to_lines(self) -> Lines {
        match self {
            Self::One { item, pool, pinned, quantity } => Lines::One { item, pool, pinned, quantity },
            Self::Many(lines) => Lines::Many(lines.into()),
        }
    }
}

/// Iterates over a hold's lines in order. A `chain` of one and many cost some fifty instructions more per walk.
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    one: Option<HoldLine>,
    many: std::slice::Iter<'a, HoldLine>,
}

impl<'a> IntoIterator for LinesView<'a> {
    type Item = HoldLine;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl<'a> IntoIterator for &'a Lines {
    type Item = HoldLine;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl Iterator for Iter<'_> {
    type Item = HoldLine;

    #[inline]
    fn next(&mut self) -> Option<HoldLine> {
        match self.one.take() {
            Some(line) => Some(line),
            None => self.many.next().copied(),
        }
    }
}
