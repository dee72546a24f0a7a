//! Measurements as tables, plots and JSON, and which targets they meet.

use super::*;

fn point(holds: u64) -> holds::Point {
    holds::Point {
        holds,
        made: 200_000.0,
        memory: 150.0,
        memory_recovered: 140.0,
        snapshot: 101.0,
        snapshot_took: 5.0,
        restart: 7.0,
        restart_with_journal: 10.0,
        behind: 1_000_000,
        calls: 30_000.0,
        calls_p99_ms: 5.0,
        messages: 300_000.0,
    }
}

#[test]
fn targets_are_for_ten_million_holds_and_each_may_be_missed() {
    let mut scale = Scale { holds: vec![point(1_000_000)], ..Scale::default() };
    assert_eq!(scale.targets(), []);
    scale.holds.push(point(10_000_000));
    let hits: Vec<bool> = scale.targets().iter().map(Target::hit).collect();
    assert_eq!(hits, [true, false, true]);
    let text = scale.text();
    assert!(text.contains("101.0 bytes") && text.contains("missed"), "{text}");
    assert!(!text.contains("drops"), "what was not measured is not reported: {text}");
}

#[test]
fn what_was_measured_is_written_down_with_plots_that_stand_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let connection = |connections| connections::Point { connections, rate: 1.0, p50_ms: 1.0, p99_ms: 2.0, memory: 9.0 };
    let scale = Scale {
        holds: vec![point(1_000_000), point(10_000_000)],
        connections: vec![connection(1)],
        ..Scale::default()
    };
    scale.write(folder.path()).expect("files");
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name));
    let svg = read("holds-bytes.svg").expect("a plot");
    assert!(
        svg.starts_with("<svg xmlns=") && svg.contains("<style>") && svg.contains("snapshot, bytes a hold"),
        "{svg}"
    );
    assert!(read("connections.svg").is_err(), "one size is no plot");
    let json: serde_json::Value = serde_json::from_str(&read("scale.json").expect("JSON")).expect("JSON");
    assert_eq!(json["holds"][1]["snapshot"], 101.0);
}
