//! `stockade drop watch`: shows a drop as it changes, until it is interrupted or the server ends the watch.
//!
//! On a terminal one view is redrawn in place, also each second, to count down to opening or closing. A pipe gets a
//! line for each change, or one JSON object for each message.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use stockade_client::{Client, Watch};
use stockade_proto as pb;
use stockade_types::metrics::Stopwatch;

use super::args::DropOptions;
use super::failure::Failure;
use super::output::{Output, rows, table};
use super::show::{instant, short, stock_words};
use super::{Finding, json};
use crate::server::stop_requested;
use crate::text::escaped;

/// How often the view is redrawn without a change, or a pipe is checked for a reader.
const TICK: Duration = Duration::from_secs(1);
/// Width of a bar.
const BAR: u64 = 20;

/// Watches a drop.
///
/// # Errors
/// If the server is not reached, answers with a status, or ends the watch with one.
pub(super) async fn watch(options: &DropOptions, output: &mut Output) -> Result<Finding, Failure> {
    let stop = stop_requested().map_err(Failure::Machine)?;
    let client = Client::connect(&options.remote.endpoint).await?;
    let mut watch = client.watch_drop(pb::WatchDropRequest { drop_id: options.drop.clone() }).await?;
    let mut watching =
        Watching { live: output.is_live() && !options.remote.json, json: options.remote.json, last: None };
    let ended = tokio::select! {
        ended = watching.follow(&mut watch, output) => ended,
        () = stop => Ok(()),
    };
    if watching.live {
        output.end_view();
    }
    ended.map(|()| Finding::Well)
}

/// The last message, and how it is shown.
struct Watching {
    live: bool,
    json: bool,
    last: Option<(pb::WatchDropResponse, Stopwatch)>,
}

impl Watching {
    /// Runs until the watch ends with a status, or the output is not read any more.
    async fn follow(&mut self, watch: &mut Watch, output: &mut Output) -> Result<(), Failure> {
        let mut ticks = tokio::time::interval(TICK);
        while !output.is_gone() {
            tokio::select! {
                message = watch.next() => self.print(message?, output)?,
                // For a pipe only the loop's condition is checked again.
                _ = ticks.tick() => self.tick(output)?,
            }
        }
        Ok(())
    }

    fn print(&mut self, message: pb::WatchDropResponse, output: &mut Output) -> Result<(), Failure> {
        if self.json {
            output.json(&json::line("WatchDropResponse", &message)?);
            return Ok(());
        }
        let changed = self.last.as_ref().is_none_or(|(last, _)| differs(last.drop.as_ref(), message.drop.as_ref()));
        self.last = Some((message, Stopwatch::start()));
        if self.live {
            return self.draw(output);
        }
        if changed && let Some((message, _)) = &self.last {
            output.line(&one_line(message)?);
        }
        Ok(())
    }

    fn tick(&self, output: &mut Output) -> Result<(), Failure> {
        if self.live { self.draw(output) } else { Ok(()) }
    }

    fn draw(&self, output: &mut Output) -> Result<(), Failure> {
        if let Some((message, since)) = &self.last {
            output.view(&view(message, since.elapsed())?);
        }
        Ok(())
    }
}

/// Whether a reader would see a difference; the journal's position alone is none.
fn differs(one: Option<&pb::Drop>, other: Option<&pb::Drop>) -> bool {
    let bare = |drop: Option<&pb::Drop>| drop.map(|drop| pb::Drop { as_of_lsn: 0, ..drop.clone() });
    bare(one) != bare(other)
}

fn drop_of(message: &pb::WatchDropResponse) -> Result<&pb::Drop, Failure> {
    message.drop.as_ref().ok_or(Failure::Bug("the server answered with nothing"))
}

fn state(drop: &pb::Drop) -> &'static str {
    short(drop.state().as_str_name(), "DROP_STATE_")
}

/// A change in one line.
fn one_line(message: &pb::WatchDropResponse) -> Result<String, Failure> {
    let drop = drop_of(message)?;
    let mut parts = vec![format!("{} {} {}", instant(message.server_time.as_ref()), drop.id, state(drop))];
    parts
        .extend(drop.items.iter().map(|item| format!("{} {}", item.sku, stock_words(&item.stock.unwrap_or_default()))));
    Ok(parts.join(" | "))
}

/// A drop for a terminal, this long after its message arrived.
fn view(message: &pb::WatchDropResponse, since: Duration) -> Result<Vec<String>, Failure> {
    let drop = drop_of(message)?;
    let now = message.server_time.as_ref().and_then(moment);
    let now = now.and_then(|now| now.checked_add(SignedDuration::try_from(since).ok()?).ok());
    let mut lines = vec![[drop.id.clone(), state(drop).to_owned(), next(drop, now)].join("  ")];
    if !drop.title.is_empty() {
        lines.push(escaped(&drop.title).into_owned());
    }
    lines.push(String::new());
    let mut items = table(&["sku", "", "sold", "free", "held", "paying", "claimed", "withdrawn"]);
    for item in &drop.items {
        let stock = item.stock.unwrap_or_default();
        let pb::Stock { received: _, free, held, paying, claimed, withdrawn, returned_total: _ } = stock;
        let units = [free, held, paying, claimed, withdrawn].map(|units| units.to_string());
        items.add_row([item.sku.clone(), bar(&stock), sold(&stock)].into_iter().chain(units));
    }
    lines.extend(rows(items));
    lines.push(String::new());
    lines.push(format!("█ claimed  ▓ paying  ▒ held  ░ free   {}   Ctrl-C ends", shown(now)));
    Ok(lines)
}

fn shown(now: Option<Timestamp>) -> String {
    now.map_or_else(String::new, |now| format!("{now:.0}"))
}

fn moment(at: &prost_types::Timestamp) -> Option<Timestamp> {
    Timestamp::new(at.seconds, at.nanos).ok()
}

/// The next scheduled change of a drop.
fn next(drop: &pb::Drop, now: Option<Timestamp>) -> String {
    let until = |at: Option<&prost_types::Timestamp>| {
        let left = at.and_then(moment)?.duration_since(now?);
        // Rounded up: 0 means that it has happened.
        let seconds = left.as_secs().saturating_add(i64::from(left.subsec_nanos() > 0));
        Some(humantime::format_duration(Duration::from_secs(u64::try_from(seconds).ok()?)).to_string())
    };
    let closing = || until(drop.closes_at.as_ref()).map(|left| format!("closes in {left}"));
    let said = match drop.state() {
        pb::DropState::Scheduled => until(drop.opens_at.as_ref()).map(|left| format!("opens in {left}")),
        pb::DropState::Open | pb::DropState::Paused => closing(),
        pb::DropState::Unspecified
        | pb::DropState::Draft
        | pb::DropState::Closed
        | pb::DropState::Cancelled
        | pb::DropState::Archived => None,
    };
    said.unwrap_or_default()
}

/// The claimed part of the received units, rounded down: 100 % only if all are claimed.
fn sold(stock: &pb::Stock) -> String {
    let percent = stock.claimed.saturating_mul(100).checked_div(stock.received);
    percent.map_or_else(|| "-".to_owned(), |percent| format!("{percent}%"))
}

/// A bar of the received units: claimed, in payment, held, free. Withdrawn units are left out.
fn bar(stock: &pb::Stock) -> String {
    let pb::Stock { received, free, held, paying, claimed, withdrawn: _, returned_total: _ } = *stock;
    let mut bar = String::new();
    let (mut sum, mut drawn) = (0_u64, 0_u64);
    for (units, mark) in [(claimed, '█'), (paying, '▓'), (held, '▒'), (free, '░')] {
        sum = sum.saturating_add(units);
        // Each part ends where the sum up to it does, so that rounding errors do not accumulate.
        let end = sum.saturating_mul(BAR).checked_div(received).unwrap_or_default().min(BAR);
        bar.extend((drawn..end).map(|_| mark));
        drawn = drawn.max(end);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> pb::WatchDropResponse {
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let stock = pb::Stock { received: 200, free: 100, held: 40, paying: 10, claimed: 50, ..pb::Stock::default() };
        let items = vec![pb::Item { sku: "KNIFE".into(), stock: Some(stock), ..pb::Item::default() }];
        let (opens_at, closes_at) = (at(1_000), at(2_000));
        let title = "Knives\x1b[2J".into();
        let drop = pb::Drop { id: "knife".into(), title, items, opens_at, closes_at, ..pb::Drop::default() };
        pb::WatchDropResponse { drop: Some(drop), server_time: at(940) }
    }

    fn in_state(state: pb::DropState) -> pb::WatchDropResponse {
        let mut message = message();
        message.drop.as_mut().expect("a drop").state = state.into();
        message
    }

    #[test]
    fn the_view_says_what_the_clock_does_next() {
        let first = |state, since| view(&in_state(state), Duration::from_millis(since)).expect("a view").remove(0);
        assert_eq!(first(pb::DropState::Scheduled, 0), "knife  SCHEDULED  opens in 1m");
        assert_eq!(first(pb::DropState::Scheduled, 58_500), "knife  SCHEDULED  opens in 2s");
        assert_eq!(first(pb::DropState::Open, 0), "knife  OPEN  closes in 17m 40s");
        assert_eq!(first(pb::DropState::Paused, 1_060_000), "knife  PAUSED  closes in 0s");
        assert_eq!(first(pb::DropState::Closed, 0).trim_end(), "knife  CLOSED");
    }

    #[test]
    fn the_view_has_a_line_for_each_item_and_no_title_steers_the_terminal() {
        let lines = view(&message(), Duration::ZERO).expect("a view");
        assert!(lines.iter().all(|line| !line.contains('\x1b')), "{lines:?}");
        let words: Vec<_> = lines[4].split_whitespace().collect();
        assert_eq!(words, ["KNIFE", "█████▓▒▒▒▒░░░░░░░░░░", "25%", "100", "40", "10", "50", "0"]);
    }

    #[test]
    fn bars_are_never_longer_than_they_may_be_and_percents_never_too_high() {
        for claimed in 0..=7 {
            let stock = pb::Stock { received: 7, claimed, free: 7 - claimed, ..pb::Stock::default() };
            assert_eq!(bar(&stock).chars().count(), 20);
            assert_eq!(sold(&stock) == "100%", claimed == 7, "{claimed}");
        }
        assert_eq!((bar(&pb::Stock::default()).as_str(), sold(&pb::Stock::default()).as_str()), ("", "-"));
    }

    #[test]
    fn a_change_is_one_line_and_the_journals_place_alone_is_none() {
        let printed = one_line(&in_state(pb::DropState::Open)).expect("a line");
        let wanted = "1970-01-01T00:15:40.000Z knife OPEN | KNIFE received=200 free=100 held=40 paying=10 claimed=50 \
                      withdrawn=0";
        assert_eq!(printed, wanted);
        let (one, mut other) = (message().drop, message().drop);
        other.as_mut().expect("a drop").as_of_lsn = 7;
        assert!(!differs(one.as_ref(), other.as_ref()));
        assert!(differs(one.as_ref(), in_state(pb::DropState::Closed).drop.as_ref()));
    }
}
