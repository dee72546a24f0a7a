//! Metrics of the gRPC edge: calls by method and status, their durations, operations by outcome.
//!
//! All cells exist from the start and are found by index, so counting takes no lock, no hash and no allocation.

use std::time::Duration;

use stockade_engine::command::Operation;
use stockade_types::metrics::{Counter, Gauge, Histogram, HistogramReading};

/// The contract's calls, by name. The last stands for all others.
const METHODS: [&str; 39] = [
    "Reserve",
    "Extend",
    "Claim",
    "Release",
    "ReturnUnits",
    "GetHold",
    "ListHolds",
    "Explain",
    "Batch",
    "BatchStream",
    "CreateDrop",
    "UpdateDrop",
    "GetDrop",
    "ListDrops",
    "PauseDrop",
    "ResumeDrop",
    "CloseDrop",
    "AdjustStock",
    "FireFlow",
    "ReconcileStock",
    "CreateSeries",
    "UpdateSeries",
    "GetSeries",
    "ListSeries",
    "PreviewSeries",
    "WatchDrop",
    "ReadEvents",
    "ListEvents",
    "GetDropStatus",
    "WatchDropStatus",
    "ListDropStatuses",
    "CreateWebhook",
    "UpdateWebhook",
    "GetWebhook",
    "ListWebhooks",
    "DeleteWebhook",
    "TestWebhook",
    "RecordFacts",
    "unknown",
];

/// The gRPC statuses, in the order of their numbers.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// A call of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method(usize);

impl Method {
    /// From the path of an HTTP/2 request, such as `/stockade.v1.ReservationService/Reserve`.
    #[must_use]
    pub fn from_path(path: &str) -> Self {
        let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
        Self(METHODS.iter().position(|known| *known == name).unwrap_or(METHODS.len().saturating_sub(1)))
    }

    /// Its name in the contract.
    #[must_use]
    pub fn label(self) -> &'static str {
        METHODS.get(self.0).copied().unwrap_or("unknown")
    }
}

/// The number of a gRPC status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code(usize);

impl Code {
    /// The call succeeded.
    pub const OK: Self = Self(0);
    /// The caller went away before the answer was sent.
    pub const CANCELLED: Self = Self(1);

    /// From its number; an unknown number is `UNKNOWN`.
    #[must_use]
    pub fn from_number(number: i32) -> Self {
        Self(usize::try_from(number).ok().filter(|number| *number < CODES.len()).unwrap_or(2))
    }

    /// Its name in the gRPC specification.
    #[must_use]
    pub fn label(self) -> &'static str {
        CODES.get(self.0).copied().unwrap_or("UNKNOWN")
    }
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It was done.
    Ok,
    /// It was refused.
    Refused,
    /// It failed with a gRPC status.
    Error,
}

impl Ending {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ok, Self::Refused, Self::Error];

    /// As the metric's label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Error => "error",
        }
    }
}

#[derive(Debug, Default)]
struct Calls {
    codes: [Counter; CODES.len()],
    duration: Histogram,
}

#[derive(Debug, Default)]
struct Endings {
    ok: Counter,
    refused: Counter,
    error: Counter,
}

/// The metrics of the gRPC edge.
#[derive(Debug)]
pub struct EdgeMetrics {
    /// By method.
    calls: Box<[Calls]>,
    /// Open `WatchDrop` streams.
    pub watchers: Gauge,
    reserve: Endings,
    extend: Endings,
    claim: Endings,
    release: Endings,
    returned: Endings,
}

impl Default for EdgeMetrics {
    fn default() -> Self {
        Self {
            calls: METHODS.iter().map(|_| Calls::default()).collect(),
            watchers: Gauge::default(),
            reserve: Endings::default(),
            extend: Endings::default(),
            claim: Endings::default(),
            release: Endings::default(),
            returned: Endings::default(),
        }
    }
}

impl EdgeMetrics {
    /// Counts an answered or failed call.
    pub fn call(&self, method: Method, code: Code, took: Duration) {
        if let Some(calls) = self.calls.get(method.0) {
            calls.duration.observe(took);
            if let Some(count) = calls.codes.get(code.0) {
                count.increment();
            }
        }
    }

    /// Counts an operation.
    #[inline]
    pub fn operation(&self, operation: Operation, ending: Ending) {
        self.ending(operation, ending).increment();
    }

    /// Counts `many` operations.
    #[inline]
    pub fn operations_more(&self, operation: Operation, ending: Ending, many: u64) {
        self.ending(operation, ending).add(many);
    }

    /// The number of operations with this ending.
    #[must_use]
    pub fn operations(&self, operation: Operation, ending: Ending) -> u64 {
        self.ending(operation, ending).get()
    }

    /// Counts of calls by method and status, without zeroes.
    pub fn calls(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> + '_ {
        METHODS.iter().zip(&self.calls).flat_map(|(method, calls)| {
            let counts = CODES.iter().zip(&calls.codes).map(|(code, count)| (*method, *code, count.get()));
            counts.filter(|(_, _, count)| *count > 0)
        })
    }

    /// Durations of calls by method, without methods that were not called.
    pub fn durations(&self) -> impl Iterator<Item = (&'static str, HistogramReading)> + '_ {
        let readings = METHODS.iter().zip(&self.calls).map(|(method, calls)| (*method, calls.duration.read()));
        readings.filter(|(_, reading)| reading.buckets.iter().any(|count| *count > 0))
    }

    fn ending(&self, operation: Operation, ending: Ending) -> &Counter {
        let endings = match operation {
            Operation::Reserve => &self.reserve,
            Operation::Extend => &self.extend,
            Operation::Claim => &self.claim,
            Operation::Release => &self.release,
            Operation::Return => &self.returned,
        };
        match ending {
            Ending::Ok => &endings.ok,
            Ending::Refused => &endings.refused,
            Ending::Error => &endings.error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_method_and_status() {
        let metrics = EdgeMetrics::default();
        let reserve = Method::from_path("/stockade.v1.ReservationService/Reserve");
        metrics.call(reserve, Code::OK, Duration::from_millis(1));
        metrics.call(reserve, Code::from_number(3), Duration::from_millis(1));
        metrics.call(Method::from_path("/stockade.v1.DropService/Nope"), Code::from_number(99), Duration::ZERO);
        let counts: Vec<_> = metrics.calls().collect();
        assert_eq!(counts, [("Reserve", "OK", 1), ("Reserve", "INVALID_ARGUMENT", 1), ("unknown", "UNKNOWN", 1)]);
        assert_eq!(metrics.durations().map(|(method, _)| method).collect::<Vec<_>>(), ["Reserve", "unknown"]);
    }
}
