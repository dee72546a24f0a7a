//! A hold's lines, rare data and settling time in 16 bytes: nearly every hold has one whole line and nothing rare.

use std::sync::Arc;

use super::super::HoldExtras;
use super::super::lines::{HoldLine, Lines, LinesView, Pinned};
use super::times::Times;
use crate::definition::{OfferNo, WindowNo};
use crate::ids::{ItemNo, PoolNo};
use crate::packed::Packed;

/// The lines and what is rare. Equal content always has the same form, so that comparing holds compares their bytes.
/// What is behind an `Arc` is shared by all copies of a hold until one of them changes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Body {
    /// One line of which nothing was given back, and whose window and price have numbers below 256.
    Line { settled: Packed<5>, window: u8, offer: u8, item: ItemNo, pool: PoolNo, quantity: u32 },
    /// Any other lines. A thin `Arc`: a fat one, with the slice's length, would take 8 bytes more.
    Cart { settled: Packed<5>, lines: Arc<Box<[HoldLine]>> },
    /// Any hold that has something rare.
    Extended { settled: Packed<5>, extended: Arc<ExtendedBody> },
}

/// The content of a hold that has something rare.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ExtendedBody {
    pub(super) lines: Lines,
    pub(super) extras: Option<HoldExtras>,
    /// The hold's times, if they don't fit its own bytes; those are zero then.
    pub(super) times: Option<Box<Times>>,
}

impl Default for Body {
    fn default() -> Self {
        let (item, pool) = (ItemNo(0), PoolNo(0));
        Self::Line { settled: Packed::ZERO, window: 0, offer: 0, item, pool, quantity: 0 }
    }
}

impl Body {
    /// The body of a hold that is not settled.
    #[inline]
    pub(super) fn new(lines: Lines, extras: Option<Box<HoldExtras>>) -> Self {
        match extras {
            None => Self::plain(lines, Packed::ZERO),
            Some(extras) => {
                let extended = ExtendedBody { lines, extras: Some(*extras), times: None };
                Self::Extended { settled: Packed::ZERO, extended: Arc::new(extended) }
            }
        }
    }

    #[inline]
    pub(super) fn lines(&self) -> LinesView<'_> {
        match self {
            Self::Line { settled: _, window, offer, item, pool, quantity } => LinesView::One {
                item: *item,
                pool: *pool,
                pinned: Pinned { window: WindowNo(*window), offer: OfferNo((*offer).into()) },
                quantity: *quantity,
            },
            Self::Cart { settled: _, lines } => LinesView::Many(lines),
            Self::Extended { settled: _, extended } => extended.lines.view(),
        }
    }

    #[inline]
    pub(super) fn extras(&self) -> Option<&HoldExtras> {
        match self {
            Self::Line { .. } | Self::Cart { .. } => None,
            Self::Extended { settled: _, extended } => extended.extras.as_ref(),
        }
    }

    /// The hold's times, if they are stored here.
    #[inline]
    pub(super) fn times(&self) -> Option<Times> {
        match self {
            Self::Line { .. } | Self::Cart { .. } => None,
            Self::Extended { settled: _, extended } => extended.times.as_deref().copied(),
        }
    }

    #[inline]
    pub(super) const fn settled(&self) -> Packed<5> {
        match self {
            Self::Line { settled, .. } | Self::Cart { settled, .. } | Self::Extended { settled, .. } => *settled,
        }
    }

    #[inline]
    pub(super) const fn set_settled(&mut self, at: Packed<5>) {
        match self {
            Self::Line { settled, .. } | Self::Cart { settled, .. } | Self::Extended { settled, .. } => *settled = at,
        }
    }

    /// Changes anything but the settling time.
    pub(super) fn change(&mut self, f: impl FnOnce(&mut ExtendedBody)) {
        let settled = self.settled();
        let plain = |lines| Arc::new(ExtendedBody { lines, extras: None, times: None });
        let mut extended = match std::mem::take(self) {
            line @ Self::Line { .. } => plain(line.lines().to_lines()),
            Self::Cart { settled: _, lines } => plain(Lines::Many(Arc::unwrap_or_clone(lines))),
            Self::Extended { settled: _, extended } => extended,
        };
        f(Arc::make_mut(&mut extended));
        let is_extended = extended.is_extended();
        *self = if is_extended {
            Self::Extended { settled, extended }
        } else {
            Self::of(Arc::unwrap_or_clone(extended), settled)
        };
    }

    fn of(extended: ExtendedBody, settled: Packed<5>) -> Self {
        if extended.is_extended() {
            return Self::Extended { settled, extended: Arc::new(extended) };
        }
        Self::plain(extended.lines, settled)
    }

    /// The body of a hold that has nothing rare.
    #[inline]
    fn plain(lines: Lines, settled: Packed<5>) -> Self {
        match lines {
            Lines::One { item, pool, pinned: Pinned { window, offer }, quantity } => match u8::try_from(offer.0) {
                Ok(offer) => Self::Line { settled, window: window.0, offer, item, pool, quantity },
                Err(_) => Self::Cart { settled, lines: Arc::new(lines.iter().collect()) },
            },
            Lines::Many(lines) => Self::Cart { settled, lines: Arc::new(lines) },
        }
    }
}

impl ExtendedBody {
    const fn is_extended(&self) -> bool {
        self.extras.is_some() || self.times.is_some()
    }
}
