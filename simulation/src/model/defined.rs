//! What the naive model knows of series and webhooks: the occurrences of a series are a list of minutes, what came of
//! each is entered by it, and how far deliveries are is a number.

use std::collections::BTreeMap;

use super::state::Model;
use super::words::START;

/// Series, and webhooks, that there may be.
pub const SERIES: usize = 2;
pub const WEBHOOKS: usize = 2;
/// A drop of a series is made this long ahead of its opening.
pub const AHEAD: u64 = 24 * 3_600_000;
const MINUTE: u64 = 60_000;

/// Whether a series makes drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Makes {
    Drops,
    NoneForNow,
    NoneEver,
}

/// What came of an occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    Drop,
    Skip,
}

/// A series. Its occurrences are in minutes after the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSeries {
    pub makes: Makes,
    pub title: u8,
    pub minutes: Vec<u64>,
    /// When it was created or changed last: what has passed before then was settled then.
    pub since: u64,
    pub came: BTreeMap<u64, Came>,
}

/// A webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelWebhook {
    pub version: u8,
    pub created_at: u64,
    /// The record up to which all was delivered, if that was kept.
    pub delivered: Option<u64>,
}

/// A drop that a series has made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    pub series: usize,
    pub minute: u64,
    pub opened: bool,
}

impl Made {
    /// When it opens.
    pub const fn opens(self) -> u64 {
        self.minute * MINUTE
    }
}

/// All that is defined, and the drops that came of it in the order in which they were made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelDefined {
    pub series: [Option<ModelSeries>; SERIES],
    pub webhooks: [Option<ModelWebhook>; WEBHOOKS],
    pub made: Vec<Made>,
}

/// A local time in UTC, this number of minutes after the start, which is at eight in the morning of a 15th of January:
/// as the contract writes it, as a rule does, and as the id of a drop does.
pub fn local(minute: u64) -> [String; 3] {
    assert_eq!(START.0, 1_800_000_000_000, "2027-01-15T08:00:00Z");
    let total = 8 * 60 + minute;
    let (day, hour, minute) = (15 + total / 1_440, total / 60 % 24, total % 60);
    let date = format!("202701{day:02}T{hour:02}{minute:02}");
    [format!("2027-01-{day:02}T{hour:02}:{minute:02}:00"), format!("{date}00"), date]
}

impl Model {
    /// Creates a series. Returns its state, and the model after each record.
    pub fn create_series(&mut self, number: usize, wanted: ModelSeries) -> (String, Vec<Self>) {
        if self.defined.series[number].is_some() {
            return ("exists".to_owned(), Vec::new());
        }
        self.defined.series[number] = Some(ModelSeries { since: self.now, ..wanted });
        let mut states = vec![self.clone()];
        states.extend(self.look_at_series(number));
        (self.series_state(number), states)
    }

    /// Changes whether a series makes drops, and its title. What has passed is settled first.
    pub fn update_series(&mut self, number: usize, makes: Makes, title: u8) -> (String, Vec<Self>) {
        if self.defined.series[number].is_none() {
            return ("not found".to_owned(), Vec::new());
        }
        let mut states = self.settle(number);
        let (now, series) = (self.now, self.defined.series[number].as_mut().expect("a series"));
        if (series.makes, series.title) != (makes, title) {
            (series.makes, series.title, series.since) = (makes, title, now);
            states.push(self.clone());
        }
        states.extend(self.look_at_series(number));
        (self.series_state(number), states)
    }

    fn series_state(&self, number: usize) -> String {
        let series = self.defined.series[number].as_ref().expect("a series");
        let comes = series.minutes.iter().any(|minute| minute * MINUTE > self.now);
        match series.makes {
            Makes::Drops if comes => "Active",
            Makes::NoneForNow => "Paused",
            Makes::Drops | Makes::NoneEver => "Ended",
        }
        .to_owned()
    }

    /// Does all that is due of a series. Returns the model after each record.
    pub fn look_at_series(&mut self, number: usize) -> Vec<Self> {
        let mut states = self.settle(number);
        let now = self.now;
        let Some(series) = self.defined.series[number].clone().filter(|series| series.makes == Makes::Drops) else {
            return states;
        };
        for minute in series.minutes {
            let is_due = now < minute * MINUTE && minute * MINUTE <= now + AHEAD;
            if is_due && !series.came.contains_key(&minute) {
                self.defined.made.push(Made { series: number, minute, opened: false });
                states.push(self.clone());
                self.came(number, minute, Came::Drop);
                states.push(self.clone());
            }
        }
        states
    }

    /// Enters that occurrences have passed without a drop.
    fn settle(&mut self, number: usize) -> Vec<Self> {
        let mut states = Vec::new();
        let now = self.now;
        let Some(series) = self.defined.series[number].clone().filter(|series| series.makes != Makes::NoneEver) else {
            return states;
        };
        for minute in series.minutes {
            let has_passed = series.since < minute * MINUTE && minute * MINUTE <= now;
            if has_passed && !series.came.contains_key(&minute) {
                self.came(number, minute, Came::Skip);
                states.push(self.clone());
            }
        }
        states
    }

    fn came(&mut self, number: usize, minute: u64, what: Came) {
        let series = self.defined.series[number].as_mut().expect("a series");
        assert_eq!(series.came.insert(minute, what), None, "once");
    }

    /// Creates a webhook, or gives it another definition; none deletes it. Returns whether that is another state.
    pub fn define_webhook(&mut self, number: usize, version: Option<u8>) -> bool {
        let known = self.defined.webhooks[number];
        self.defined.webhooks[number] = version.map(|version| {
            let new = ModelWebhook { version, created_at: self.now, delivered: None };
            known.map_or(new, |known| ModelWebhook { version, ..known })
        });
        self.defined.webhooks[number] != known
    }

    /// Whether a drop of a series has opened, so that what is made known of its stock is looked for.
    pub fn has_open_series(&self) -> bool {
        self.defined.made.iter().any(|made| made.opened)
    }
}
