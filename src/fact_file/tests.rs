//! Files of facts: what is read of each format, and where faults are.

use prost_types::Timestamp;

use super::*;

/// Each fact's line with its id or its faulty fields.
/// The line of a fact, and its id or its faulty fields.
type Outcome = (Option<u64>, Result<String, Vec<String>>);

fn read_all(facts: impl Iterator<Item = std::io::Result<Read>>) -> Vec<Outcome> {
    let of = |read: std::io::Result<Read>| {
        let Read { line, fact } = read.expect("bytes in memory can be read");
        let fields = |faults: Vec<BadField>| faults.into_iter().map(|fault| fault.field).collect();
        (line, fact.map(|fact| fact.id).map_err(fields))
    };
    facts.map(of).collect()
}

fn contract() -> JsonFacts {
    JsonFacts::new().expect("the contract")
}

fn good(line: impl Into<Option<u64>>, id: &str) -> (Option<u64>, Result<String, Vec<String>>) {
    (line.into(), Ok(id.to_owned()))
}

fn bad(line: impl Into<Option<u64>>, fields: &[&str]) -> (Option<u64>, Result<String, Vec<String>>) {
    (line.into(), Err(fields.iter().map(|field| (*field).to_owned()).collect()))
}

#[test]
fn a_document_has_all_facts_that_can_be_read_and_names_the_faults_of_the_others() {
    let document = br#"{"facts": [
        {"id": "a", "kind": "FACT_KIND_NPS", "time": "2026-12-04T18:00:00Z", "dropId": "d", "order_ref": "o", "value": "9"},
        {"id": "b", "kind": "FACT_KIND_APPLAUSE", "time": "soon", "value": 99999999999999999999},
        {"id": "c", "colour": "red"},
        7,
        {"id": "d", "value": 3}
    ]}"#;
    let read: Vec<Read> = contract().document(document).expect("a document").collect();
    let wanted = pb::Fact {
        id: "a".to_owned(),
        kind: pb::FactKind::Nps.into(),
        time: Some(Timestamp { seconds: 1_796_407_200, nanos: 0 }),
        drop_id: "d".to_owned(),
        order_ref: "o".to_owned(),
        value: 9,
        ..pb::Fact::default()
    };
    assert_eq!(read.first().map(|first| &first.fact), Some(&Ok(wanted)));
    let all = read_all(read.into_iter().map(Ok));
    let wanted = [
        good(None, "a"),
        bad(None, &["kind", "time", "value"]),
        bad(None, &["colour"]),
        bad(None, &[""]),
        good(None, "d"),
    ];
    assert_eq!(all, wanted);
    for document in ["", "[]", "{}", r#"{"facts": 1}"#, r#"{"facts": [], "more": 1}"#, r#"{"facts": []} x"#] {
        assert!(matches!(contract().document(document.as_bytes()).map(drop), Err(BadFile::Form(_))), "{document}");
    }
}

#[test]
fn json_lines_are_read_one_by_one_and_a_broken_or_endless_one_is_skipped() {
    let long = format!("{{\"id\": \"{}\"}}", "x".repeat(200_000));
    let lines = format!("{{\"id\": \"a\"}}\n\n{{\"id\": \"b\"\n{{\"id\": 5}}\r\n{long}\n  {{\"id\": \"c\"}}");
    let all = read_all(LineFacts::new(contract(), lines.as_bytes()));
    assert_eq!(all, [good(1, "a"), bad(3, &[""]), bad(4, &["id"]), bad(5, &[""]), good(6, "c")]);
    let endless = "x".repeat(200_000);
    assert_eq!(read_all(LineFacts::new(contract(), endless.as_bytes())), [bad(1, &[""])]);
    assert_eq!(read_all(LineFacts::new(contract(), &b""[..])), []);
}

#[test]
fn csv_is_read_by_its_head_line_and_each_faulty_value_is_named() {
    let file = "\u{feff}kind,id,time,value,shop,drop_id,order_ref,sku,zone,customer_id\r\n\
        nps,a,2026-12-04T18:00:00.5+01:00,9,,d,\"o,\n1\",S,,\r\n\
        VIEW,b,soon,1.5,,,,,,\r\n\
        FACT_KIND_INTEREST,c,2026-12-04T18:00:00Z,,x,,,,north,\n\
        view,d,2026-12-04T18:00:00Z\n\
        applause,e,2026-12-04T18:00:00Z,9223372036854775808,,,,,,\n";
    let read: Vec<_> = CsvFacts::new(file.as_bytes()).expect("a head line").collect();
    let wanted = pb::Fact {
        id: "a".to_owned(),
        kind: pb::FactKind::Nps.into(),
        time: Some(Timestamp { seconds: 1_796_403_600, nanos: 500_000_000 }),
        drop_id: "d".to_owned(),
        order_ref: "o,\n1".to_owned(),
        sku: "S".to_owned(),
        value: 9,
        ..pb::Fact::default()
    };
    assert_eq!(read.first().and_then(|first| first.as_ref().ok()).map(|first| &first.fact), Some(&Ok(wanted)));
    let all = read_all(read.into_iter());
    let wanted = [good(2, "a"), bad(4, &["time", "value"]), good(5, "c"), bad(6, &[""]), bad(7, &["kind", "value"])];
    assert_eq!(all, wanted);
    assert_eq!(read_all(CsvFacts::new(&b"id,kind,time\n\xff,view,\n"[..]).expect("a head")), [bad(2, &["id"])]);
}

#[test]
fn a_head_line_that_does_not_fit_is_refused_whole() {
    let table = [
        ("", "missing"),
        ("id,kind\n", "column time is missing"),
        ("id,kind,time,id\n", "there twice"),
        ("id,kind,time,colour\n", "\"colour\" is no column of facts: these are id, kind, time, shop"),
        ("a,view,2026-12-04T18:00:00Z\n", "\"a\" is no column"),
    ];
    for (file, wanted) in table {
        let error = CsvFacts::new(file.as_bytes()).map(|_| ()).expect_err("a bad head line").to_string();
        assert!(error.contains(wanted), "{file}: {error}");
    }
}
