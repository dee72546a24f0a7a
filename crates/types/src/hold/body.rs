//! A hold's lines, rare data and settling time in 16 bytes: nearly every hold has one whole line and nothing rare.

use std::sync::Arc;

use super::Rare;
use super::lines::{HoldLine, Lines, LinesView};
use super::times::Times;
use crate::ids::{ItemNo, PoolNo};
use crate::packed::Packed;

/// The lines and what is rare. Equal content always has the same form, so that comparing holds compares their bytes.
/// What is behind an `Arc` is shared by all copies of a hold until one of them changes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Body {
    /// One line of which nothing was given back.
    Line { settled: Packed<5>, item: ItemNo, pool: PoolNo, quantity: u32 },
    /// Any other lines. A thin `Arc`: a fat one, with the slice's length, would take 8 bytes more.
    Cart { settled: Packed<5>, lines: Arc<Box<[HoldLine]>> },
    /// Any hold that has something rare.
    More { settled: Packed<5>, more: Arc<More> },
}

/// The content of a hold that has something rare.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct More {
    pub(super) lines: Lines,
    pub(super) rare: Option<Rare>,
    /// The hold's times, if they don't fit its own bytes; those are zero then.
    pub(super) times: Option<Box<Times>>,
}

impl Default for Body {
    fn default() -> Self {
        Self::Line { settled: Packed::ZERO, item: ItemNo::default(), pool: PoolNo::default(), quantity: 0 }
    }
}

impl Body {
    /// The body of a hold that is not settled.
    pub(super) fn new(lines: Lines, rare: Option<Rare>) -> Self {
        Self::of(More { lines, rare, times: None }, Packed::ZERO)
    }

    #[inline]
    pub(super) fn lines(&self) -> LinesView<'_> {
        match self {
            Self::Line { settled: _, item, pool, quantity } => {
                LinesView::One { item: *item, pool: *pool, quantity: *quantity }
            }
            Self::Cart { settled: _, lines } => LinesView::Many(lines),
            Self::More { settled: _, more } => more.lines.view(),
        }
    }

    #[inline]
    pub(super) fn rare(&self) -> Option<&Rare> {
        match self {
            Self::Line { .. } | Self::Cart { .. } => None,
            Self::More { settled: _, more } => more.rare.as_ref(),
        }
    }

    /// The hold's times, if they are stored here.
    #[inline]
    pub(super) fn times(&self) -> Option<Times> {
        match self {
            Self::Line { .. } | Self::Cart { .. } => None,
            Self::More { settled: _, more } => more.times.as_deref().copied(),
        }
    }

    #[inline]
    pub(super) const fn settled(&self) -> Packed<5> {
        match self {
            Self::Line { settled, .. } | Self::Cart { settled, .. } | Self::More { settled, .. } => *settled,
        }
    }

    #[inline]
    pub(super) const fn set_settled(&mut self, at: Packed<5>) {
        match self {
            Self::Line { settled, .. } | Self::Cart { settled, .. } | Self::More { settled, .. } => *settled = at,
        }
    }

    /// Changes anything but the settling time.
    pub(super) fn change(&mut self, f: impl FnOnce(&mut More)) {
        let settled = self.settled();
        let plain = |lines| Arc::new(More { lines, rare: None, times: None });
        let mut more = match std::mem::take(self) {
            Self::Line { settled: _, item, pool, quantity } => plain(Lines::One { item, pool, quantity }),
            Self::Cart { settled: _, lines } => plain(Lines::Many(Arc::unwrap_or_clone(lines))),
            Self::More { settled: _, more } => more,
        };
        f(Arc::make_mut(&mut more));
        let is_rare = more.is_rare();
        *self = if is_rare { Self::More { settled, more } } else { Self::of(Arc::unwrap_or_clone(more), settled) };
    }

    fn of(more: More, settled: Packed<5>) -> Self {
        if more.is_rare() {
            return Self::More { settled, more: Arc::new(more) };
        }
        match more.lines {
            Lines::One { item, pool, quantity } => Self::Line { settled, item, pool, quantity },
            Lines::Many(lines) => Self::Cart { settled, lines: Arc::new(lines) },
        }
    }
}

impl More {
    const fn is_rare(&self) -> bool {
        self.rare.is_some() || self.times.is_some()
    }
}
