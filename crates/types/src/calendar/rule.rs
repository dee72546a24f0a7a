//! One RRULE: how often, and which days.

use jiff::civil::{Date, DateTime, Weekday};

/// How often a rule looks for days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frequency {
    /// Each day is a period.
    Daily,
    /// Each week, which begins with the rule's first day of the week.
    Weekly,
    /// Each month.
    Monthly,
    /// Each year.
    Yearly,
}

/// Where a rule ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Nowhere.
    Never,
    /// After this many days.
    Count(u32),
    /// At this local time, which still belongs to it.
    Until(DateTime),
}

/// Days of the week: all of them in the period, or the n-th of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByDay {
    /// Which of them, from the end if negative. Never 0.
    pub ordinal: Option<i8>,
    /// The day.
    pub day: Weekday,
}

/// One RRULE. A list that is empty restricts nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// How often.
    pub frequency: Frequency,
    /// Every so many periods. At least 1.
    pub interval: u32,
    /// Where it ends.
    pub end: End,
    /// Days of the week.
    pub by_day: Vec<ByDay>,
    /// Days of the month, from its end if negative. Never 0.
    pub by_month_day: Vec<i8>,
    /// Months, 1-12.
    pub by_month: Vec<i8>,
    /// Which of a period's days, from its last if negative. Never 0.
    pub by_set_pos: Vec<i16>,
    /// The first day of a week.
    pub week_start: Weekday,
}

impl Rule {
    /// Completes the rule with what RFC 5545 takes from DTSTART: a rule that names no day gives the day of its start.
    #[must_use]
    pub fn starting(mut self, start: Date) -> Self {
        if self.by_day.is_empty() && self.by_month_day.is_empty() {
            match self.frequency {
                Frequency::Daily => {}
                Frequency::Weekly => self.by_day.push(ByDay { ordinal: None, day: start.weekday() }),
                Frequency::Monthly => self.by_month_day.push(start.day()),
                Frequency::Yearly => {
                    if self.by_month.is_empty() {
                        self.by_month.push(start.month());
                    }
                    self.by_month_day.push(start.day());
                }
            }
        }
        self
    }

    /// Whether a day of the rule's period fits all that it names, but for its place among them.
    #[must_use]
    pub fn fits(&self, day: Date) -> bool {
        let Self { frequency: _, interval: _, end: _, by_day, by_month_day, by_month, by_set_pos: _, week_start: _ } =
            self;
        let from_end = day.day().saturating_sub(day.days_in_month()).saturating_sub(1);
        (by_month.is_empty() || by_month.contains(&day.month()))
            && (by_month_day.is_empty() || by_month_day.contains(&day.day()) || by_month_day.contains(&from_end))
            && (by_day.is_empty() || by_day.iter().any(|by_day| self.fits_weekday(*by_day, day)))
    }

    fn fits_weekday(&self, ByDay { ordinal, day: weekday }: ByDay, day: Date) -> bool {
        let Some(ordinal) = ordinal else { return day.weekday() == weekday };
        // Counted within the month, except in a yearly rule that names no month.
        let (before, length) = match self.frequency {
            Frequency::Yearly if self.by_month.is_empty() => (day.day_of_year().saturating_sub(1), day.days_in_year()),
            Frequency::Daily | Frequency::Weekly | Frequency::Monthly | Frequency::Yearly => {
                (i16::from(day.day()).saturating_sub(1), i16::from(day.days_in_month()))
            }
        };
        let behind = length.saturating_sub(before).saturating_sub(1);
        let place = if ordinal > 0 { before / 7 + 1 } else { -(behind / 7 + 1) };
        day.weekday() == weekday && place == i16::from(ordinal)
    }

    /// The days of a period that the rule gives: those that fit, and of them those at the places that it names.
    #[must_use]
    pub fn chosen(&self, fitting: Vec<Date>) -> Vec<Date> {
        if self.by_set_pos.is_empty() {
            return fitting;
        }
        let count = i16::try_from(fitting.len()).unwrap_or(i16::MAX);
        let is_at = |place: i16| {
            let from_end = place.saturating_sub(count).saturating_sub(1);
            self.by_set_pos.contains(&place) || self.by_set_pos.contains(&from_end)
        };
        fitting.into_iter().zip(1..).filter(|(_, place)| is_at(*place)).map(|(day, _)| day).collect()
    }
}
