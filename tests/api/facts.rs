//! Facts of other systems, by every way in: gRPC, Connect, JSON, JSON lines, CSV and the command line.

use std::fmt::Write as _;

use prost::Message as _;
use serde_json::{Value, json};
use stockade_client::Client;
use stockade_proto as pb;
use stockade_types::time::{Millis, Timestamp, wall_clock};
use tonic::Code;

use crate::cli::{code, err, json as document, out, stockade};
use crate::common::{Server, create, held, hold_id, knife_drop, line, refused, reserve, start};
use crate::connect::post;

const RECORD: &str = "/stockade.v1.InsightService/RecordFacts";
const NDJSON: &str = "application/x-ndjson";

/// The time some seconds ago.
fn ago(seconds: u64) -> prost_types::Timestamp {
    at(wall_clock().minus(Millis::from_secs(seconds)))
}

fn at(Timestamp(millis): Timestamp) -> prost_types::Timestamp {
    let seconds = i64::try_from(millis / 1_000).expect("a time of these days");
    prost_types::Timestamp { seconds, nanos: i32::try_from(millis % 1_000).expect("small") * 1_000_000 }
}

/// The same as a text.
fn text_ago(seconds: u64) -> String {
    ago(seconds).to_string()
}

/// A fact of a minute ago about the order `o` of the drop `knife`.
fn fact(id: &str, kind: pb::FactKind) -> pb::Fact {
    pb::Fact {
        id: id.into(),
        kind: kind.into(),
        time: Some(ago(60)),
        drop_id: "knife".into(),
        order_ref: "o".into(),
        ..pb::Fact::default()
    }
}

async fn record(client: &Client, facts: &[pb::Fact]) -> pb::RecordFactsResponse {
    client.record_facts(pb::RecordFactsRequest { facts: facts.to_vec() }).await.expect("an answer")
}

/// Recorded, known, and each fault's place and field.
fn told(answer: &pb::RecordFactsResponse) -> (u32, u32, Vec<(u32, &str)>) {
    let faults = answer.faults.iter().map(|fault| (fault.index, fault.field.as_str())).collect();
    (answer.recorded, answer.known, faults)
}

/// The same of an answer in JSON, with the line instead of the place where it is given.
fn told_json(answer: &Value) -> (u64, u64, Vec<(u64, &str)>) {
    let number = |value: &Value| value.as_u64().expect("a number");
    let faults = answer["faults"].as_array().expect("a list");
    let place = |fault: &Value| number(fault.get("line").unwrap_or(&fault["index"]));
    let faults = faults.iter().map(|fault| (place(fault), fault["field"].as_str().expect("a text"))).collect();
    (number(&answer["recorded"]), number(&answer["known"]), faults)
}

async fn with_knives() -> (Server, Client) {
    let server = start(&[]).await;
    let client = server.client().await;
    create(&client, knife_drop("knife")).await;
    (server, client)
}

#[tokio::test]
async fn facts_survive_a_restart_and_are_known_by_their_ids() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().display().to_string();
    let flags = [("data", data.as_str()), ("ephemeral", "false")];
    let facts = [fact("a", pb::FactKind::Cancelled), fact("b", pb::FactKind::SupportContact)];
    let server = start(&flags).await;
    let client = server.client().await;
    create(&client, knife_drop("knife")).await;
    assert_eq!(told(&record(&client, &facts[..1]).await), (1, 0, vec![]));
    drop(client);
    server.stop().await.expect("no panic").expect("a clean stop");
    let server = start(&flags).await;
    let client = server.client().await;
    let answer = record(&client, &[&facts[..], &[fact("a", pb::FactKind::Chargeback)]].concat()).await;
    assert_eq!(told(&answer), (1, 1, vec![(2, "id")]));
    assert_eq!(answer.faults[0].message, "a was recorded before with other content");
    drop(client);
    server.stop().await.expect("no panic").expect("a clean stop");
    let dumped = out(&stockade("", &["journal", "dump", "--data", &data, "--json"]));
    let lines: Vec<Value> = dumped.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let facts: Vec<&Value> = lines.iter().filter(|line| line["kind"] == "facts").collect();
    assert_eq!(facts.len(), 2);
    assert_eq!(facts[0]["facts"][0]["kind"], "cancelled");
    assert_eq!(facts[0]["facts"][0]["drop_id"], "knife");
    assert!(!dumped.contains("\"customer_id\""), "customers are hashes alone");
}

#[tokio::test]
async fn each_faulty_field_of_each_fact_is_named_by_its_place() {
    let (_server, client) = with_knives().await;
    let day = 24 * 3_600;
    let of = |kind| fact("f", kind);
    let table: Vec<(pb::Fact, &[&str])> = vec![
        (pb::Fact::default(), &["id", "kind", "time"]),
        (pb::Fact { id: "x".repeat(129), ..of(pb::FactKind::View) }, &["id"]),
        (pb::Fact { kind: 99, ..of(pb::FactKind::View) }, &["kind"]),
        (pb::Fact { time: Some(ago(400 * day + 60)), ..of(pb::FactKind::View) }, &["time"]),
        (pb::Fact { time: Some(at(wall_clock().plus(Millis::from_secs(330)))), ..of(pb::FactKind::View) }, &["time"]),
        (
            pb::Fact { time: Some(prost_types::Timestamp { seconds: -1, nanos: 0 }), ..of(pb::FactKind::View) },
            &["time"],
        ),
        (pb::Fact { drop_id: String::new(), ..of(pb::FactKind::SupportContact) }, &["drop_id"]),
        (pb::Fact { drop_id: "spoon".into(), ..of(pb::FactKind::View) }, &["drop_id"]),
        (pb::Fact { drop_id: "a b".into(), ..of(pb::FactKind::View) }, &["drop_id"]),
        (pb::Fact { shop: "other".into(), ..of(pb::FactKind::Cancelled) }, &["drop_id"]),
        (pb::Fact { shop: "a b".into(), ..of(pb::FactKind::Cancelled) }, &["shop"]),
        (pb::Fact { order_ref: String::new(), ..of(pb::FactKind::Cancelled) }, &["order_ref"]),
        (pb::Fact { order_ref: String::new(), ..of(pb::FactKind::Chargeback) }, &["order_ref"]),
        (pb::Fact { order_ref: String::new(), value: 11, ..of(pb::FactKind::Nps) }, &["order_ref", "value"]),
        (pb::Fact { value: -1, ..of(pb::FactKind::Nps) }, &["value"]),
        (pb::Fact { value: 4_294_967_296, ..of(pb::FactKind::Nps) }, &["value"]),
        (pb::Fact { value: 0, ..of(pb::FactKind::Returned) }, &["value"]),
        (pb::Fact { value: 1_000_000_001, ..of(pb::FactKind::Returned) }, &["value"]),
        (pb::Fact { value: i64::MIN, ..of(pb::FactKind::View) }, &["value"]),
        (pb::Fact { value: 2, ..of(pb::FactKind::Cancelled) }, &["value"]),
        (pb::Fact { sku: "SPOON".into(), ..of(pb::FactKind::View) }, &["sku"]),
        (pb::Fact { zone: "a b".into(), ..of(pb::FactKind::View) }, &["zone"]),
        (pb::Fact { customer_id: "x".repeat(129), ..of(pb::FactKind::Cancelled) }, &["customer_id"]),
    ];
    let mut facts: Vec<pb::Fact> = table.iter().map(|(fact, _)| fact.clone()).collect();
    facts.push(pb::Fact { value: 10, ..of(pb::FactKind::Nps) });
    let answer = record(&client, &facts).await;
    let wanted: Vec<(u32, &str)> =
        (0..).zip(&table).flat_map(|(place, (_, fields))| fields.iter().map(move |field| (place, *field))).collect();
    assert_eq!(told(&answer), (1, 0, wanted));
    // Of a shop alone.
    let of_shop = pb::Fact { drop_id: String::new(), order_ref: String::new(), ..fact("s", pb::FactKind::Interest) };
    assert_eq!(told(&record(&client, &[of_shop]).await), (1, 0, vec![]));
    assert_eq!(told(&record(&client, &[]).await), (0, 0, vec![]));
    let many = vec![fact("m", pb::FactKind::View); 5_001];
    let status = client.record_facts(pb::RecordFactsRequest { facts: many.clone() }).await.expect_err("too many");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("facts: must be at most 5000, not 5001"), "{}", status.message());
    assert_eq!(told(&record(&client, &many[1..]).await), (1, 4_999, vec![]));
}

#[tokio::test]
async fn facts_are_taken_as_json_as_json_lines_and_as_csv() {
    let (server, _client) = with_knives().await;
    let at = text_ago(60);
    let of = |id: &str| json!({"id": id, "kind": "FACT_KIND_NPS", "time": at, "dropId": "knife", "orderRef": "o", "value": 9});
    let list = json!({"facts": [of("a"), of("b")]});
    let connect = post(&server, RECORD, "application/json", list.to_string().as_bytes()).await;
    assert_eq!((connect.status, connect.json()), (200, json!({"recorded": 2})));
    let page = async |content: &str, body: &str| post(&server, "/v1/facts", content, body.as_bytes()).await;

    let list = json!({"facts": [of("a"), {"id": "x", "kind": "FACT_KIND_NPS", "time": "soon"}, of("c"), 3]});
    let answer = page("application/json; charset=utf-8", &list.to_string()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(told_json(&answer.json()), (1, 1, vec![(1, "time"), (3, "")]));

    let lines = format!("{}\n\n{{\"id\"\n{}\n{}\n", of("a"), json!({"id": "y", "kind": "FACT_KIND_VIEW"}), of("d"));
    let answer = page(NDJSON, &lines).await;
    assert_eq!(told_json(&answer.json()), (1, 1, vec![(3, ""), (4, "time")]));
    assert_eq!(answer.json()["faults"][1]["index"], 2);

    let table = format!(
        "id,kind,time,drop_id,order_ref,value\ne,nps,{at},knife,o,10\nf,nps,{at},knife,o,11\ng,nps,{at},spoon,o,1\n\
         h,nps,{at},knife\na,FACT_KIND_NPS,{at},knife,o,9\n"
    );
    let answer = page("text/csv", &table).await;
    assert_eq!(told_json(&answer.json()), (1, 1, vec![(3, "value"), (4, "drop_id"), (5, "")]));

    let wrong = page("text/csv", "id,kind,colour\n").await;
    assert_eq!(wrong.status, 400);
    assert_eq!(wrong.json()["violations"][0]["field"], "line 1");
    assert!(wrong.head.contains("application/problem+json"), "{}", wrong.head);
    assert_eq!(page("application/json", "{\"fact\": []}").await.json()["violations"][0]["field"], "body");
    assert_eq!(page("text/plain", "").await.status, 415);
    let many = "{}\n".repeat(5_001);
    assert_eq!(page(NDJSON, &many).await.json()["violations"][0]["field"], "facts");
    let asked = pb::RecordFactsRequest { facts: vec![fact("z", pb::FactKind::View)] };
    let answer = post(&server, RECORD, "application/proto", &asked.encode_to_vec()).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn who_cancels_orders_is_held_to_a_drops_rule_and_the_refusal_names_it() {
    let (_server, client) = with_knives().await;
    let rule = pb::ConductRule {
        id: "cancellers".into(),
        counts: pb::Conduct::Cancellations.into(),
        at_least: 1,
        within: Some(prost_types::Duration { seconds: 90 * 24 * 3_600, nanos: 0 }),
        max_units: Some(1),
        ..pb::ConductRule::default()
    };
    let spoons = pb::Drop { conduct: vec![rule.clone()], ..knife_drop("spoon") };
    assert_eq!(create(&client, spoons).await.conduct[0].counts(), pb::Conduct::Cancellations);
    for (n, customer) in [(1, "ada"), (2, "eve")] {
        held(&client, reserve(n, "knife", customer, vec![line("KNIFE", 1)])).await;
        let claim = pb::ClaimRequest { hold_id: hold_id(n), order_ref: format!("o-{customer}"), ..Default::default() };
        client.claim(claim).await.expect("claimed");
    }
    record(&client, &[pb::Fact { order_ref: "o-ada".into(), ..fact("a", pb::FactKind::Cancelled) }]).await;
    let refusal = refused(&client, reserve(3, "spoon", "ada", vec![line("KNIFE", 2)])).await;
    assert_eq!(refusal.reason(), pb::RefusalReason::LimitReached);
    assert_eq!(refusal.limit.expect("a rule").id, "cancellers");
    held(&client, reserve(4, "spoon", "eve", vec![line("KNIFE", 2)])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_imported_in_lists_and_its_faults_are_printed_by_line() {
    let (server, _client) = with_knives().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let import = |words: &[&str]| stockade(&server.endpoint, &[&["facts", "import"], words].concat());
    let at = text_ago(60);
    let mut table = "id,kind,time,drop_id\n".to_owned();
    for n in 0..12_000 {
        writeln!(table, "v{n},view,{at},knife").expect("a text grows");
    }
    let views = file("views.CSV", &table);
    let output = import(&[&views]);
    let last = "12000 facts read: 12000 recorded, 0 known before, 0 faulty";
    assert_eq!((code(&output), out(&output).lines().last()), (0, Some(last)), "{}", err(&output));
    assert_eq!(out(&output).lines().count(), 3, "one line of progress for each list");
    let again = import(&[&views, "--json"]);
    assert_eq!(document(&again), json!({"read": 12_000, "recorded": 0, "known": 12_000, "faulty": 0}));

    let lines =
        format!("{{\"id\": \"n\"}}\nbroken\n{{\"id\": \"w\", \"kind\": \"FACT_KIND_INTEREST\", \"time\": \"{at}\"}}\n");
    let wishes = file("wishes.ndjson", &lines);
    let output = import(&[&wishes]);
    assert_eq!(code(&output), 1);
    let complaints = err(&output);
    for wanted in ["line 1: kind: must be set", "line 1: time: must be set", "line 2: the line is not JSON"] {
        assert!(complaints.contains(wanted), "{wanted} in {complaints}");
    }
    assert!(out(&output).ends_with("3 facts read: 1 recorded, 0 known before, 2 faulty\n"), "{}", out(&output));

    let whole = file("whole.json", &json!({"facts": [{"id": "w", "kind": 7, "time": at}, {"id": 5}]}).to_string());
    let output = import(&[&whole, "--json"]);
    let printed: Vec<Value> = out(&output).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((code(&output), printed.len()), (1, 2));
    assert_eq!((&printed[0]["index"], &printed[0]["field"]), (&json!(1), &json!("id")));
    assert_eq!(printed[1], json!({"read": 2, "recorded": 0, "known": 1, "faulty": 1}));

    let other = file("facts.txt", "id,kind\n");
    assert_eq!(code(&import(&[&other])), 64);
    let output = import(&[&other, "--format", "csv"]);
    assert!(code(&output) == 64 && err(&output).contains("column time is missing"), "{}", err(&output));
    assert_eq!(code(&import(&["nowhere.csv"])), 74);
    let unreached = stockade("http://127.0.0.1:1", &["facts", "import", &views]);
    assert_eq!(code(&unreached), 69);
}
