//! Maps [`Readings`] and the edge's counters to metric families. The names are a contract.

use std::borrow::Cow;

use stockade_engine::answer::Stock;
use stockade_engine::command::Operation;
use stockade_engine::readings::{JournalReading, PoolReading, Readings, SnapshotReading};
use stockade_types::hold::HoldState;
use stockade_types::metrics::HistogramReading;
use stockade_types::refusal::Reason;
use stockade_types::time::{Millis, Timestamp};

use super::exposition::{Family, Kind, Label, Series, Value};
use crate::budget::Budget;
use crate::channels::ChannelMetrics;
use crate::metrics::edge::{EdgeMetrics, Ending};
use crate::metrics::transport::{Shed, TransportMetrics};
use crate::webhooks::WebhookMetrics;

/// Counters of the gRPC endpoint.
#[must_use]
pub(super) fn edge(metrics: &EdgeMetrics) -> Vec<Family> {
    let endings = Operation::ALL.into_iter().flat_map(|operation| Ending::ALL.map(|ending| (operation, ending)));
    let operations = endings.map(|(operation, ending)| Series {
        labels: vec![label("operation", operation.label()), label("outcome", ending.label())],
        value: Value::Whole(metrics.operations(operation, ending)),
    });
    let calls = metrics.calls().map(|(method, code, count)| Series {
        labels: vec![label("method", method), label("code", code)],
        value: Value::Whole(count),
    });
    let durations = metrics
        .durations()
        .map(|(method, reading)| Series { labels: vec![label("method", method)], value: Value::Durations(reading) });
    vec![
        counter("stockade_operations", "Operations on holds, by outcome.", operations.collect()),
        counter("stockade_rpcs", "gRPC calls, by method and status.", calls.collect()),
        Family {
            name: "stockade_request_duration_seconds",
            help: "Time from a call's headers to its durable answer.",
            kind: Kind::Histogram,
            series: durations.collect(),
        },
        gauge(
            "stockade_watchers",
            "Open streams of watches and of events, and pages of events that wait.",
            single(Value::Whole(metrics.watchers.get())),
        ),
    ]
}

/// Counters of connections, and the bytes in flight on them.
#[must_use]
pub(super) fn transport(metrics: &TransportMetrics, budget: &Budget) -> Vec<Family> {
    let TransportMetrics { silent, calling, http, public, .. } = metrics;
    let connections = [("silent", silent), ("calling", calling), ("http", http), ("public", public)];
    let connections = connections
        .map(|(state, count)| Series { labels: vec![label("state", state)], value: Value::Whole(count.get()) });
    let shed = metrics.all_shed().map(|(reason, count)| {
        let bytes = if reason == Shed::Bytes { budget.refused() } else { 0 };
        let value = Value::Whole(count.saturating_add(bytes));
        Series { labels: vec![label("reason", reason.label())], value }
    });
    let used = u64::try_from(budget.used()).unwrap_or(u64::MAX);
    vec![
        gauge(
            "stockade_connections",
            "Open connections: gRPC without a call yet (silent), gRPC with calls (calling), HTTP (http), and the \
             public's (public).",
            connections.into(),
        ),
        gauge(
            "stockade_inflight_bytes",
            "Bytes reserved for requests being received or handled, and for answers not yet sent.",
            single(Value::Whole(used)),
        ),
        gauge(
            "stockade_public_streams",
            "Open streams of statuses to the public.",
            single(Value::Whole(metrics.public_streams.get())),
        ),
        counter(
            "stockade_shed",
            "Connections and calls refused or ended to protect the others, by reason.",
            shed.collect(),
        ),
    ]
}

/// Deliveries of webhooks.
#[must_use]
pub(super) fn webhooks(metrics: &WebhookMetrics) -> Vec<Family> {
    let deliveries = metrics
        .deliveries()
        .map(|(outcome, count)| Series { labels: vec![label("outcome", outcome)], value: Value::Whole(count) });
    vec![
        counter(
            "stockade_webhook_deliveries",
            "Attempts to deliver events to webhooks, by outcome; given_up counts events that were given up.",
            deliveries.collect(),
        ),
        gauge(
            "stockade_webhook_behind_events",
            "Events that wait to be delivered to webhooks, at least.",
            single(Value::Whole(metrics.behind.get())),
        ),
    ]
}

/// Messages of channels.
#[must_use]
pub(super) fn channels(metrics: &ChannelMetrics) -> Family {
    let messages = metrics.messages().map(|(channel, outcome, count)| Series {
        labels: vec![("channel", Cow::Owned(channel.to_owned())), label("outcome", outcome)],
        value: Value::Whole(count),
    });
    counter(
        "stockade_channel_messages",
        "Messages of channels, by channel and what became of them.",
        messages.collect(),
    )
}

/// The engine's readings.
#[must_use]
pub(super) fn engine(readings: Readings) -> Vec<Family> {
    let Readings {
        refusals,
        refusals_untracked,
        hold_transitions,
        holds,
        pools,
        pools_untracked,
        conservation_error_units,
        expiry_lag,
        journal,
        snapshot,
    } = readings;
    let transitions = states(hold_transitions, "to");
    let mut families = vec![
        counter("stockade_refusals", "Refusals, by drop and reason.", refused(&refusals, refusals_untracked)),
        counter("stockade_hold_transitions", "Holds that entered a state, by state.", transitions),
        gauge("stockade_holds", "Holds in memory, by state.", states(holds, "state")),
        gauge("stockade_units", "Units of live drops, by pool and state.", pools.iter().flat_map(pool).collect()),
        gauge(
            "stockade_units_untracked",
            "Units of live drops that have no series in stockade_units, by state.",
            units(pools_untracked, &[]),
        ),
        gauge(
            "stockade_conservation_error_units",
            "Units by which the stock counters disagree. Must be 0.",
            single(Value::Whole(conservation_error_units)),
        ),
        durations("stockade_expiry_lag_seconds", "Time from a hold's deadline to its expiry.", expiry_lag),
    ];
    families.extend(journal_families(journal));
    families.extend(snapshot_families(snapshot));
    families
}

fn journal_families(journal: JournalReading) -> [Family; 3] {
    let JournalReading { sync_duration, oldest_unsynced, bytes } = journal;
    [
        durations("stockade_journal_sync_duration_seconds", "Duration of a journal sync.", sync_duration),
        gauge(
            "stockade_journal_oldest_unsynced_seconds",
            "Age of the oldest record that is not durable yet.",
            single(Value::Real(seconds(oldest_unsynced))),
        ),
        gauge("stockade_journal_bytes", "Size of the journal.", single(Value::Whole(bytes))),
    ]
}

fn snapshot_families(snapshot: SnapshotReading) -> [Family; 2] {
    let SnapshotReading { duration, last_success } = snapshot;
    let last = last_success.map_or(0.0, |Timestamp(millis)| seconds(Millis(millis)));
    [
        durations("stockade_snapshot_duration_seconds", "Duration of a snapshot.", duration),
        gauge(
            "stockade_snapshot_last_success_timestamp_seconds",
            "Time of the last successful snapshot; 0 if there was none.",
            single(Value::Real(last)),
        ),
    ]
}

/// The state of the server.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServerReading {
    /// Whether requests are served.
    pub ready: bool,
    /// The version of the data format that it writes.
    pub format: u64,
    /// By how much engine time was stepped ahead since the start.
    pub clock_steps: Millis,
    /// How far the wall clock is ahead of engine time, in milliseconds; negative if it is behind.
    pub clock_ahead: i64,
    /// Free bytes on the data folder's volume, if there is a data folder.
    pub disk_free: Option<u64>,
    /// Log lines lost since the start.
    pub log_lines_lost: u64,
}

/// The server's own metrics.
#[must_use]
pub(super) fn server(reading: ServerReading) -> Vec<Family> {
    let ServerReading { ready, format, clock_steps, clock_ahead, disk_free, log_lines_lost } = reading;
    let build = Series {
        labels: vec![label("version", env!("CARGO_PKG_VERSION")), ("format", Cow::Owned(format.to_string()))],
        value: Value::Whole(1),
    };
    vec![
        gauge("stockade_ready", "1 while requests are served, else 0.", single(Value::Whole(u64::from(ready)))),
        gauge("stockade_build_info", "The running version, and the data format that it writes.", vec![build]),
        counter(
            "stockade_clock_step_seconds",
            "Seconds by which engine time was stepped to a wall clock that had jumped ahead.",
            single(Value::Real(seconds(clock_steps))),
        ),
        gauge(
            "stockade_clock_ahead_seconds",
            "Seconds by which the wall clock is ahead of engine time; negative if it is behind.",
            single(Value::Real(signed_seconds(clock_ahead))),
        ),
        counter(
            "stockade_log_lines_lost",
            "Log lines lost: not written, or no room in the queue.",
            single(Value::Whole(log_lines_lost)),
        ),
        gauge(
            "stockade_disk_free_bytes",
            "Free bytes on the data folder's volume.",
            disk_free.map(Value::Whole).map(single).unwrap_or_default(),
        ),
    ]
}

const fn counter(name: &'static str, help: &'static str, series: Vec<Series>) -> Family {
    Family { name, help, kind: Kind::Counter, series }
}

const fn gauge(name: &'static str, help: &'static str, series: Vec<Series>) -> Family {
    Family { name, help, kind: Kind::Gauge, series }
}

fn durations(name: &'static str, help: &'static str, reading: HistogramReading) -> Family {
    Family { name, help, kind: Kind::Histogram, series: single(Value::Durations(reading)) }
}

fn single(value: Value) -> Vec<Series> {
    vec![Series { labels: Vec::new(), value }]
}

const fn label(name: &'static str, value: &'static str) -> Label {
    (name, Cow::Borrowed(value))
}

fn seconds(span: Millis) -> f64 {
    span.duration().as_secs_f64()
}

fn signed_seconds(millis: i64) -> f64 {
    let size = seconds(Millis(millis.unsigned_abs()));
    if millis < 0 { -size } else { size }
}

fn states(counts: [u64; HoldState::ALL.len()], name: &'static str) -> Vec<Series> {
    let states = HoldState::ALL.iter().zip(counts);
    states
        .map(|(state, count)| Series { labels: vec![label(name, state.label())], value: Value::Whole(count) })
        .collect()
}

fn refused(
    refusals: &[(stockade_types::ids::DropId, Reason, u64)],
    untracked: [u64; Reason::ALL.len()],
) -> Vec<Series> {
    let by_drop = refusals.iter().map(|(drop, reason, count)| (drop.to_string(), *reason, *count));
    let rest = Reason::ALL.into_iter().zip(untracked).filter(|(_, count)| *count > 0);
    // An empty label counts as no label: the sum of the drops that have no series of their own.
    let rest = rest.map(|(reason, count)| (String::new(), reason, count));
    let series = by_drop.chain(rest).map(|(drop, reason, count)| Series {
        labels: vec![("drop", Cow::Owned(drop)), label("reason", reason.label())],
        value: Value::Whole(count),
    });
    series.collect()
}

fn pool(reading: &PoolReading) -> Vec<Series> {
    let PoolReading { drop, sku, pool, stock } = reading;
    let labels: [Label; 3] =
        [("drop", drop.to_string().into()), ("sku", sku.to_string().into()), ("pool", pool.to_string().into())];
    units(*stock, &labels)
}

fn units(stock: Stock, labels: &[Label]) -> Vec<Series> {
    let Stock { received: _, free, held, paying, claimed, withdrawn, returned_total: _ } = stock;
    let states = [("free", free), ("held", held), ("paying", paying), ("claimed", claimed), ("withdrawn", withdrawn)];
    let series = states.map(|(state, count)| Series {
        labels: labels.iter().cloned().chain([label("state", state)]).collect(),
        value: Value::Whole(count),
    });
    series.into()
}
