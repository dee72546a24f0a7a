//! When a message may be sent: quiet hours, how many an audience is sent on a day, and how far apart. Pure: `now` is an
//! argument, and what was sent is a value that the journal keeps.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use stockade_types::record::{AUDIENCES_MAX, Sent};
use stockade_types::time::{Millis, Timestamp};

/// The bounds of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// Most messages of a day to one audience.
    pub max_per_day: Option<u32>,
    /// The zone of these days.
    pub zone: TimeZone,
    /// The least time between two messages to one audience.
    pub min_gap: Option<Millis>,
    /// Hours in which nothing is sent.
    pub quiet: Option<Quiet>,
}

/// Hours in which nothing is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quiet {
    /// When they begin.
    pub from: Time,
    /// When they end, on the next day if that is not later.
    pub until: Time,
    /// The zone of both.
    pub zone: TimeZone,
    /// What becomes of a message.
    pub then: Then,
}

/// What becomes of a message in quiet hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It is held back.
    Drop,
    /// It is sent when they end.
    Wait,
}

/// Whether a message may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Now.
    Send,
    /// Not before this instant.
    Wait(Timestamp),
    /// Never.
    HoldBack(Reason),
}

/// Why a message is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The audience had as many messages on this day as it may have.
    Capped,
    /// The last message to the audience was too short a time ago.
    Gap,
    /// In quiet hours.
    Quiet,
    /// What it says is over, or will be when quiet hours end.
    Expired,
}

impl Bounds {
    /// Whether a message to an audience may be sent, which is of no use after `expires_at`. `sent` is what was sent so
    /// far.
    #[must_use]
    pub fn decide(&self, sent: &[Sent], audience: [u8; 16], expires_at: Timestamp, now: Timestamp) -> Decision {
        if now > expires_at {
            return Decision::HoldBack(Reason::Expired);
        }
        if let Some(quiet) = &self.quiet
            && let Some(end) = quiet.end(now)
        {
            return match quiet.then {
                Then::Drop => Decision::HoldBack(Reason::Quiet),
                Then::Wait if end > expires_at => Decision::HoldBack(Reason::Expired),
                Then::Wait => Decision::Wait(end),
            };
        }
        let known = sent.iter().find(|sent| sent.audience == audience);
        let today = known.filter(|sent| self.is_same_day(sent.last_at, now)).map_or(0, |sent| sent.count);
        if self.max_per_day.is_some_and(|most| today >= most) {
            return Decision::HoldBack(Reason::Capped);
        }
        if known.is_some_and(|sent| self.is_within_gap(sent.last_at, now)) {
            return Decision::HoldBack(Reason::Gap);
        }
        // What one more audience was sent could not be remembered, so it would have no bounds.
        let is_forgotten =
            known.is_none() && sent.iter().filter(|sent| self.matters(sent, now)).count() >= AUDIENCES_MAX;
        if is_forgotten { Decision::HoldBack(Reason::Capped) } else { Decision::Send }
    }

    /// Enters a message that was sent, and forgets what does not matter any more.
    pub fn enter(&self, sent: &mut Vec<Sent>, audience: [u8; 16], now: Timestamp) {
        if self.max_per_day.is_none() && self.min_gap.is_none() {
            sent.clear();
            return;
        }
        let before = sent.iter().find(|sent| sent.audience == audience);
        let today = before.filter(|sent| self.is_same_day(sent.last_at, now)).map_or(0, |sent| sent.count);
        sent.retain(|sent| sent.audience != audience && self.matters(sent, now));
        sent.truncate(AUDIENCES_MAX.saturating_sub(1));
        sent.push(Sent { audience, last_at: now, count: today.saturating_add(1) });
    }

    /// Whether what was sent bounds what may be sent now.
    fn matters(&self, sent: &Sent, now: Timestamp) -> bool {
        (self.max_per_day.is_some() && self.is_same_day(sent.last_at, now)) || self.is_within_gap(sent.last_at, now)
    }

    fn is_within_gap(&self, last_at: Timestamp, now: Timestamp) -> bool {
        self.min_gap.is_some_and(|gap| now < last_at.plus(gap))
    }

    fn is_same_day(&self, one: Timestamp, other: Timestamp) -> bool {
        day(one, &self.zone).is_some_and(|date| day(other, &self.zone) == Some(date))
    }
}

impl Quiet {
    /// When the quiet hours of this instant end; none if it is in no quiet hours. A time that a zone skips is the one
    /// after the gap, and of one that comes twice the first counts.
    #[must_use]
    pub fn end(&self, now: Timestamp) -> Option<Timestamp> {
        let today = day(now, &self.zone)?;
        // Hours over midnight that began yesterday may have not ended.
        let begins = [today.yesterday().ok(), Some(today)];
        begins.into_iter().flatten().find_map(|date| {
            let end = if self.until > self.from { Some(date) } else { date.tomorrow().ok() };
            let (begin, end) = (self.instant(date, self.from)?, self.instant(end?, self.until)?);
            (begin <= now && now < end).then_some(end)
        })
    }

    fn instant(&self, date: Date, time: Time) -> Option<Timestamp> {
        let at = self.zone.to_ambiguous_zoned(date.to_datetime(time)).compatible().ok()?;
        u64::try_from(at.timestamp().as_millisecond()).ok().map(Timestamp)
    }
}

impl Reason {
    /// As the metric's label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Capped => "capped",
            Self::Gap => "gap",
            Self::Quiet => "quiet",
            Self::Expired => "expired",
        }
    }
}

/// The date of an instant in a zone.
fn day(at: Timestamp, zone: &TimeZone) -> Option<Date> {
    let at = jiff::Timestamp::from_millisecond(i64::try_from(at.0).ok()?).ok()?;
    Some(at.to_zoned(zone.clone()).date())
}

#[cfg(test)]
mod tests;
