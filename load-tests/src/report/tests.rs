//! A report contains what happened, in all three forms.

use super::*;

fn report() -> Report {
    let samples: Vec<Sample> = (1..=2_000)
        .map(|n| Sample {
            due: n * 1_000,
            took: n,
            verb: Verb::Reserve,
            ending: if n % 4 == 0 { Ending::Done } else { Ending::Refused },
        })
        .collect();
    let spread = spread(&samples).expect("a histogram");
    Report {
        scenario: "herd".into(),
        title: "A <herd>".into(),
        at: "now".into(),
        scale: 0.5,
        seed: 1,
        own_server: true,
        open_loop: true,
        connections: 8,
        took: 2.0,
        rate: rate(&samples),
        latency: Latency::of(&spread),
        verbs: verb_told(Verb::Reserve, &samples).expect("a histogram").into_iter().collect(),
        crowds: vec![CrowdReport { name: "people".into(), held: 500, ..CrowdReport::default() }],
        served: BTreeMap::from([("people, A, window all, pool public, at 4000".to_owned(), 12)]),
        refusals: BTreeMap::from([("SOLD_OUT".to_owned(), 1_500)]),
        failures: BTreeMap::new(),
        sent_again: 0,
        slices: slices(&samples, SLICES).expect("slices"),
        curve: curve(&spread),
        audit: Audit { oversold: 3, findings: vec!["oversold: 3 & more".into()], ..Audit::default() },
    }
}

#[test]
fn the_text_tells_counts_percentiles_and_findings() {
    let text = report().text();
    for reported in [
        "2,000 answers",
        "reserve   500    1,500       0",
        "people, A, window all, pool public, at 4000: 12 units",
        "refused, SOLD_OUT: 1,500",
        "finding: oversold: 3",
        "NOT clean",
    ] {
        assert!(text.contains(reported), "{reported:?} is not in\n{text}");
    }
}

#[test]
fn the_page_has_its_plots_in_it_and_asks_nobody_for_anything() {
    let page = html::page(&report());
    assert_eq!(page.matches("<svg").count(), 5);
    assert!(!page.contains("http") && !page.contains("<script"), "{page}");
    assert!(page.contains("A &lt;herd&gt;") && page.contains("oversold: 3 &amp; more"));
    assert!(page.contains("Units by rule") && page.contains("pool public"));
}

#[test]
fn all_three_forms_are_written_and_the_json_is_read_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = report().write(folder.path()).expect("files");
    let json = std::fs::read_to_string(&files[1]).expect("json");
    let reported: serde_json::Value = serde_json::from_str(&json).expect("json");
    assert_eq!((&reported["audit"]["oversold"], &reported["verbs"][0]["refused"]), (&3.into(), &1_500.into()));
    assert!(files.iter().all(|file| file.is_file()));
}

#[test]
fn the_curve_has_as_many_points_for_each_nine() {
    let samples = (1..=1_000).map(|took| Sample { due: 0, took, verb: Verb::Claim, ending: Ending::Done });
    let samples: Vec<Sample> = samples.collect();
    let curve = curve(&spread(&samples).expect("a histogram"));
    assert_eq!(curve.len(), 37);
    let (percentile, value) = curve[24];
    assert!((percentile - 99.0).abs() < 1e-9 && (value - 0.99).abs() < 0.002, "{percentile}: {value}");
}
