//! Short measuring times of criterion, so that all of `cargo bench` takes minutes.

use std::time::Duration;

use criterion::Criterion;

pub fn short() -> Criterion {
    Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3))
}
