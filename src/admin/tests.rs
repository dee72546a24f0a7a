//! The pages as a scraper sees them.

use stockade_engine::readings::Readings;
use stockade_engine::{Bounds, Engine};
use stockade_types::digest::DigestKey;

use super::*;

fn admin() -> Admin {
    Admin::new(Arc::default(), Some(std::env::temp_dir()), Timestamp(1_000), Budget::new(1 << 20), || 3)
}

fn page(admin: &Admin, readings: Readings, format: Format) -> String {
    let mut all = admin.families();
    all.extend(families::engine(readings));
    exposition::write(&all, format)
}

/// Every name of the contract whose feature is built.
const NAMES: [&str; 23] = [
    "# TYPE stockade_operations_total counter",
    "# TYPE stockade_rpcs_total counter",
    "# TYPE stockade_request_duration_seconds histogram",
    "# TYPE stockade_hold_transitions_total counter",
    "# TYPE stockade_holds gauge",
    "# TYPE stockade_units_untracked gauge",
    "# TYPE stockade_conservation_error_units gauge",
    "# TYPE stockade_expiry_lag_seconds histogram",
    "# TYPE stockade_journal_sync_duration_seconds histogram",
    "# TYPE stockade_journal_oldest_unsynced_seconds gauge",
    "# TYPE stockade_journal_bytes gauge",
    "# TYPE stockade_snapshot_duration_seconds histogram",
    "# TYPE stockade_snapshot_last_success_timestamp_seconds gauge",
    "# TYPE stockade_disk_free_bytes gauge",
    "# TYPE stockade_clock_step_seconds_total counter",
    "# TYPE stockade_clock_ahead_seconds gauge\nstockade_clock_ahead_seconds -2.5\n",
    "# TYPE stockade_ready gauge",
    "# TYPE stockade_build_info gauge",
    "# TYPE process_cpu_seconds_total counter",
    "# TYPE process_resident_memory_bytes gauge",
    "stockade_operations_total{operation=\"reserve\",outcome=\"ok\"} 0",
    "stockade_conservation_error_units 0",
    "# TYPE stockade_log_lines_lost_total counter\nstockade_log_lines_lost_total 3\n",
];

#[test]
fn every_metric_of_the_contract_is_there() {
    use crate::metrics::edge::{Code, Method};
    let admin = admin();
    admin.clock_ahead.store(-2_500, Ordering::Relaxed);
    admin.edge.call(Method::from_path("/s/Reserve"), Code::OK, std::time::Duration::from_millis(1));
    let page = page(&admin, Readings::default(), Format::Prometheus);
    for name in NAMES {
        assert!(page.contains(name), "{name} is missing in\n{page}");
    }
}

#[test]
fn what_carries_a_drop_is_labelled_as_agreed() {
    use stockade_engine::answer::Stock;
    use stockade_types::refusal::Reason;
    let drop = "knife".parse().expect("an id");
    let mut readings = Readings { refusals_untracked: [1; Reason::ALL.len()], ..Readings::default() };
    let stock = Stock { received: 10, free: 7, held: 2, paying: 0, claimed: 1, withdrawn: 0, returned_total: 0 };
    readings.add_pool(&drop, &"K/1".parse().expect("a sku"), &"general".parse().expect("a pool"), stock);
    readings.add_refusals(&drop, &[0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0]);
    let page = exposition::write(&families::engine(readings), Format::Prometheus);
    for line in [
        "stockade_refusals_total{drop=\"knife\",reason=\"sold_out\"} 9\n",
        "stockade_refusals_total{drop=\"\",reason=\"sold_out\"} 1\n",
        "stockade_units{drop=\"knife\",sku=\"K/1\",pool=\"general\",state=\"free\"} 7\n",
        "stockade_units{drop=\"knife\",sku=\"K/1\",pool=\"general\",state=\"held\"} 2\n",
        "stockade_units_untracked{state=\"free\"} 0\n",
    ] {
        assert!(page.contains(line), "{line} is missing in\n{page}");
    }
}

#[test]
fn the_page_shows_the_engine_of_the_current_term_and_stands_without_one() {
    let admin = admin();
    let shown = || {
        let page = admin.metrics(Format::Prometheus);
        assert!(page.contains("# TYPE stockade_build_info gauge"), "{page}");
        page.lines().find_map(|line| line.strip_prefix("stockade_conservation_error_units ")).map(str::to_owned)
    };
    assert_eq!(shown(), None);
    for units in [3, 5] {
        let engine = Arc::new(Engine::ephemeral(DigestKey::from_bytes([1; 16]), Bounds::default()).expect("starts"));
        engine.metrics().conservation_error.set(units);
        admin.engines.swap(Some(engine));
        assert_eq!(shown(), Some(units.to_string()));
        admin.engines.swap(None);
        assert_eq!(shown(), None);
    }
}

#[test]
fn readiness_follows_the_phase() {
    let admin = admin();
    for phase in Phase::ALL {
        admin.enter(phase);
        assert_eq!(admin.phase(), phase);
        let ready = admin.metrics(Format::Prometheus).contains("\nstockade_ready 1\n");
        assert_eq!(ready, phase == Phase::Ready);
    }
}
