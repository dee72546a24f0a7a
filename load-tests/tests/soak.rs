//! A soak of a few seconds on a real server: all of its parts, and a report.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::process::Command;

mod server;

#[test]
fn a_short_soak_is_clean_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let reports = folder.path().join("reports");
    let output = Command::new(env!("CARGO_BIN_EXE_load-tests"))
        .args(["soak", "--for", "6s", "--restart-every", "2s", "--server"])
        .arg(server::binary())
        .arg("--reports")
        .arg(&reports)
        .output()
        .expect("the program");
    let reported = server::reported(&output);
    assert_eq!(output.status.code(), Some(0), "{reported}");
    for word in
        ["round 0: ", "killed, serves again", "stopped, serves again", "lives on", "3 rounds, 2 restarts", "clean"]
    {
        assert!(reported.contains(word), "{word}: {reported}");
    }
    let report = std::fs::read_to_string(reports.join("soak.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let counted = |path: &str| report.pointer(path).and_then(serde_json::Value::as_u64).unwrap_or_default();
    for round in 0..3 {
        assert!(counted(&format!("/rounds/{round}/answers")) > 200, "{reported}");
        assert!(counted(&format!("/rounds/{round}/messages")) > 5, "{reported}");
        assert!(counted(&format!("/rounds/{round}/listed")) > 50, "{reported}");
    }
    assert!(counted("/samples/3/resident") > 1_000_000 && counted("/samples/3/files") > 5, "{reported}");
    // There are too few samples for a verdict on memory, and the report says so.
    assert_eq!(report.pointer("/trends/0/verdict"), Some(&serde_json::json!("unjudged")), "{reported}");
    assert!(reports.join("soak.txt").is_file());
}
