//! The Connect protocol on the HTTP endpoint, byte by byte: calls, errors, GET, and what is refused.

use std::net::SocketAddr;

use prost::Message as _;
use serde_json::{Value, json};
use stockade_proto as pb;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::common::{Server, create, get, hold_id, knife_drop, line, start};

const RESERVE: &str = "/stockade.v1.ReservationService/Reserve";
const GET_DROP: &str = "/stockade.v1.DropService/GetDrop";

/// An answer.
pub struct Answer {
    pub status: u16,
    pub head: String,
    body: Vec<u8>,
}

impl Answer {
    /// Its body, which is JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}: {:?}", self.head, self.body))
    }
}

/// Sends a request to this machine, with these further lines of its head.
async fn send(address: SocketAddr, first: &str, lines: &[&str], body: &[u8]) -> Answer {
    send_to(address, first, &[&["host: localhost"], lines].concat(), body).await
}

/// Sends a request with these lines of its head; without a host if none is among them.
async fn send_to(address: SocketAddr, first: &str, lines: &[&str], body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let length = format!("content-length: {}", body.len());
    let first = format!("{first} HTTP/1.1");
    let head = [&[first.as_str(), "connection: close", &length][..], lines, &["", ""]].concat().join("\r\n");
    stream.write_all(head.as_bytes()).await.expect("a head");
    stream.write_all(body).await.expect("a body");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let (head, body) = answer.split_at_checked(end).expect("it is there");
    let head = String::from_utf8(head.to_vec()).expect("a text").to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Answer { status, head, body: body.iter().skip(4).copied().collect() }
}

/// Posts a body to a server's HTTP endpoint.
pub async fn post(server: &Server, path: &str, content: &str, body: &[u8]) -> Answer {
    send(server.http, &format!("POST {path}"), &[&format!("content-type: {content}")], body).await
}

async fn post_json(server: &Server, path: &str, body: Value) -> Answer {
    post(server, path, "application/json", body.to_string().as_bytes()).await
}

async fn with_knives() -> Server {
    let server = start(&[]).await;
    create(&server.client().await, knife_drop("knife")).await;
    server
}

fn reserve(n: u8, quantity: u32) -> Value {
    json!({
        "holdId": hold_id(n), "dropId": "knife", "customer": {"id": "ada"},
        "lines": [{"sku": "KNIFE", "quantity": quantity}],
    })
}

#[tokio::test]
async fn a_call_is_answered_in_json_and_in_protobuf() {
    let server = with_knives().await;
    let answer = post_json(&server, RESERVE, reserve(1, 2)).await;
    assert_eq!(answer.status, 200, "{}", answer.head);
    assert!(answer.head.contains("content-type: application/json"), "{}", answer.head);
    let hold = &answer.json()["hold"];
    assert_eq!((&hold["state"], &hold["dropId"]), (&json!("HOLD_STATE_HELD"), &json!("knife")));
    let asked = pb::ReserveRequest {
        hold_id: hold_id(1),
        drop_id: "knife".into(),
        customer: Some(pb::Customer { id: "ada".into(), ..pb::Customer::default() }),
        lines: vec![line("KNIFE", 2)],
        ..pb::ReserveRequest::default()
    };
    let again = post(&server, RESERVE, "application/proto", &asked.encode_to_vec()).await;
    assert!(again.head.contains("content-type: application/proto"), "{}", again.head);
    let decoded = pb::ReserveResponse::decode(&*again.body).expect("the answer");
    let Some(pb::reserve_response::Outcome::Hold(same)) = decoded.outcome else { panic!("{decoded:?}") };
    assert_eq!(json!(same.id), hold["id"], "sent again: the same hold");
}

#[tokio::test]
async fn names_of_the_contract_are_accepted_and_unknown_names_are_refused() {
    let server = with_knives().await;
    let snake = json!({"hold_id": hold_id(1), "drop_id": "knife", "customer": {"id": "ada"}, "lines": [{"sku": "KNIFE", "quantity": 1}]});
    assert_eq!(post_json(&server, RESERVE, snake).await.json()["hold"]["state"], "HOLD_STATE_HELD");
    let answer = post_json(&server, RESERVE, json!({"hold_id": hold_id(2), "colour": "red"})).await;
    assert_eq!((answer.status, &answer.json()["code"]), (400, &json!("invalid_argument")));
    assert!(answer.json()["message"].as_str().is_some_and(|message| message.contains("colour")));
}

#[tokio::test]
async fn a_refusal_is_an_answer_and_a_fault_names_its_fields() {
    let server = with_knives().await;
    let refused = post_json(&server, RESERVE, reserve(1, 3)).await;
    assert_eq!((refused.status, &refused.json()["refusal"]["reason"]), (200, &json!("REFUSAL_REASON_LIMIT_REACHED")));
    let faulty = post_json(&server, RESERVE, json!({"dropId": "knife"})).await;
    assert_eq!((faulty.status, &faulty.json()["code"]), (400, &json!("invalid_argument")));
    let message = faulty.json()["message"].as_str().expect("a text").to_owned();
    assert!(message.contains("hold_id") && message.contains("lines"), "{message}");
    assert_eq!(faulty.json()["details"][0]["type"], "google.rpc.BadRequest");
    let unknown = post_json(&server, GET_DROP, json!({"dropId": "nope"})).await;
    assert_eq!((unknown.status, &unknown.json()["code"]), (404, &json!("not_found")));
}

#[tokio::test]
async fn reads_may_be_got_and_changes_may_not() {
    let server = with_knives().await;
    let query = "?connect=v1&encoding=json&message=%7B%22dropId%22%3A%22knife%22%7D";
    let answer = send(server.http, &format!("GET {GET_DROP}{query}"), &[], b"").await;
    assert_eq!((answer.status, &answer.json()["drop"]["id"]), (200, &json!("knife")), "{}", answer.head);
    let encoded = "?encoding=json&base64=1&message=eyJkcm9wSWQiOiJrbmlmZSJ9";
    let answer = send(server.http, &format!("GET {GET_DROP}{encoded}"), &[], b"").await;
    assert_eq!(answer.json()["drop"]["id"], "knife");
    let change = send(server.http, &format!("GET {RESERVE}{query}"), &[], b"").await;
    assert_eq!(change.status, 405);
    assert!(change.head.contains("allow: post"), "{}", change.head);
    for (query, field) in [("?encoding=json", "message"), ("?message=%7B%7D", "encoding"), ("?x=1", "x")] {
        let answer = send(server.http, &format!("GET {GET_DROP}{query}"), &[], b"").await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.json()["message"].as_str().is_some_and(|text| text.starts_with(field)), "{query}");
    }
}

#[tokio::test]
async fn what_the_protocol_does_not_know_is_refused_as_it_says() {
    let server = with_knives().await;
    assert_eq!(post(&server, RESERVE, "text/plain", b"{}").await.status, 415);
    let body = reserve(1, 1).to_string();
    let with = async |line: &str| {
        let lines = ["content-type: application/json; charset=utf-8", line];
        send(server.http, &format!("POST {RESERVE}"), &lines, body.as_bytes()).await
    };
    assert_eq!(with("content-encoding: gzip").await.json()["code"], "unimplemented");
    assert_eq!(with("connect-protocol-version: 2").await.json()["code"], "invalid_argument");
    assert_eq!(with("connect-timeout-ms: soon").await.json()["code"], "invalid_argument");
    assert_eq!(with("connect-timeout-ms: 0").await.json()["code"], "deadline_exceeded");
    let streamed = post_json(&server, "/stockade.v1.DropService/WatchDrop", json!({})).await;
    assert_eq!((streamed.status, &streamed.json()["code"]), (501, &json!("unimplemented")));
    let unbuilt = post_json(&server, "/stockade.v1.AdminService/Nope", json!({})).await;
    assert_eq!((unbuilt.status, &unbuilt.json()["code"]), (501, &json!("unimplemented")));
    assert_eq!(post(&server, RESERVE, "application/json", b"{\"holdId\": ").await.json()["code"], "invalid_argument");
    assert_eq!(post(&server, RESERVE, "application/json", b"{} {}").await.json()["code"], "invalid_argument");
    let long = vec![b' '; 1 << 20];
    assert_eq!(post(&server, RESERVE, "application/json", &long).await.json()["code"], "out_of_range");
    let fine = with("connect-protocol-version: 1\r\nconnect-timeout-ms: 5000\r\nx-request-id: r-7").await;
    assert_eq!(fine.status, 200);
    assert!(fine.head.contains("x-request-id: r-7"), "{}", fine.head);
}

#[tokio::test]
async fn events_are_a_page_with_problems_for_errors() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().to_str().expect("a path");
    let server = start(&[("ephemeral", "false"), ("data", data)]).await;
    create(&server.client().await, knife_drop("knife")).await;
    let (_head, body) = get(server.http, "/v1/events?types=stockade.drop.created&page_size=5", "*/*").await;
    let page: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(page["events"][0]["type"], "stockade.drop.created", "{body}");
    let after = page["readTo"].as_str().expect("a cursor");
    let (_head, body) = get(server.http, &format!("/v1/events?after={after}&types=stockade.drop.created"), "*/*").await;
    assert!(serde_json::from_str::<Value>(&body).expect("JSON")["events"].is_null(), "{body}");
    let (head, body) = get(server.http, "/v1/events?wait=soon&size=3", "*/*").await;
    let problem: Value = serde_json::from_str(&body).expect("JSON");
    assert!(head.contains("400") && head.contains("application/problem+json"), "{head}");
    let fields: Vec<_> = problem["violations"].as_array().expect("a list").iter().map(|v| &v["field"]).collect();
    assert_eq!(fields, ["wait", "size"]);
    let (head, body) = get(server.http, "/v1/events?after=nonsense", "*/*").await;
    assert!(head.contains("400") && body.contains("\"after\""), "{head} {body}");
    let (head, body) = get(server.http, "/nope", "*/*").await;
    assert!(head.contains("404") && head.contains("problem+json") && body.contains("/nope"), "{head} {body}");
}

#[tokio::test]
async fn a_hook_is_a_webhook_of_the_servers_choice() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().to_str().expect("a path");
    let server = start(&[("ephemeral", "false"), ("data", data), ("webhooks-to-private", "true")]).await;
    create(&server.client().await, knife_drop("knife")).await;
    let hook = json!({"target_url": "http://127.0.0.1:9/hook", "types": ["stockade.drop.*"], "drop_id": "knife"});
    let made = post_json(&server, "/v1/hooks", hook).await;
    assert_eq!(made.status, 201, "{}", made.head);
    let id = made.json()["id"].as_str().expect("an id").to_owned();
    assert!(made.json()["secret"].as_str().is_some_and(|secret| secret.starts_with("whsec_")));
    let shown = post_json(&server, "/stockade.v1.EventService/GetWebhook", json!({"webhookId": id})).await.json();
    assert_eq!(shown["webhook"]["url"], "http://127.0.0.1:9/hook");
    assert_eq!(shown["webhook"]["filter"]["dropId"], "knife");
    for _ in 0..2 {
        let gone = send(server.http, &format!("DELETE /v1/hooks/{id}"), &[], b"").await;
        assert_eq!((gone.status, gone.body.len()), (204, 0), "gone already is well");
    }
    let gone = post_json(&server, "/stockade.v1.EventService/GetWebhook", json!({"webhookId": id})).await;
    assert_eq!(gone.status, 404);

    let faulty = post_json(&server, "/v1/hooks", json!({"target_url": "nowhere", "types": ["no.such"]})).await;
    assert_eq!(faulty.status, 400);
    let problem = faulty.json();
    let fields: Vec<_> = problem["violations"].as_array().expect("a list").iter().map(|v| &v["field"]).collect();
    assert!(fields.contains(&&json!("target_url")) && fields.contains(&&json!("types[0]")), "{problem}");
    let unknown = post_json(&server, "/v1/hooks", json!({"target_url": "https://a.example", "typos": []})).await;
    assert!(unknown.status == 400 && unknown.json()["detail"].as_str().is_some_and(|text| text.contains("typos")));

    let (_head, body) = get(server.http, "/v1/hooks/samples?type=stockade.drop.created", "*/*").await;
    let samples: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((&samples[0]["specversion"], &samples[0]["subject"]), (&json!("1.0"), &json!("knife")));
    assert_eq!(samples[0]["data"]["drop"]["dropId"], "knife");
    assert!(get(server.http, "/v1/hooks/samples?kind=x", "*/*").await.0.contains(" 400 "));
}

#[tokio::test]
async fn pages_of_other_sites_can_make_a_browser_call_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().to_str().expect("a path");
    let server = start(&[("ephemeral", "false"), ("data", data), ("webhooks-to-private", "true")]).await;
    create(&server.client().await, knife_drop("knife")).await;
    let hook = json!({"target_url": "http://127.0.0.1:9/", "types": ["*"]}).to_string();
    // What a page of any site may send without asking first.
    for content in [&["content-type: text/plain"][..], &[]] {
        let answer = send(server.http, "POST /v1/hooks", content, hook.as_bytes()).await;
        assert_eq!(answer.status, 415, "{content:?}");
    }
    let json = "content-type: application/json";
    // Their own page, by a name that they have pointed to this machine; and their page as the origin.
    for (foreign, field) in
        [("host: evil.example:7412", "Host"), ("host: localhost\r\norigin: https://evil.example", "Origin")]
    {
        for path in ["POST /v1/hooks".to_owned(), format!("POST {RESERVE}"), "GET /v1/events".to_owned()] {
            let answer = send_to(server.http, &path, &[json, foreign], hook.as_bytes()).await;
            assert_eq!(answer.status, 403, "{path} with {foreign}");
            assert!(answer.json()["detail"].as_str().is_some_and(|text| text.starts_with(field)), "{path}");
        }
    }
    let own = format!("origin: http://{}", server.http);
    let host = format!("host: {}", server.http);
    assert_eq!(send_to(server.http, "POST /v1/hooks", &[json, &host, &own], hook.as_bytes()).await.status, 201);
    let events = send(server.http, "POST /v1/events", &[json], b"{}").await;
    assert!(events.status == 405 && events.head.contains("application/problem+json"), "{}", events.head);
}

#[tokio::test]
async fn beyond_the_loopback_calls_are_served_only_if_the_operator_insists() {
    let open = [("http", "0.0.0.0:0")];
    let server = start(&open).await;
    create(&server.client().await, knife_drop("knife")).await;
    let address = SocketAddr::from(([127, 0, 0, 1], server.http.port()));
    let asked = async |address, path: &str| {
        let body = reserve(1, 1).to_string();
        send(address, &format!("POST {path}"), &["content-type: application/json"], body.as_bytes()).await
    };
    let refused = asked(address, RESERVE).await;
    assert_eq!((refused.status, &refused.json()["code"]), (403, &json!("permission_denied")));
    assert!(refused.json()["message"].as_str().is_some_and(|text| text.contains("--insecure-listen")));
    for path in ["/v1/events", "/openapi.json", "/asyncapi.json"] {
        assert!(get(address, path, "*/*").await.0.contains(" 403 "), "{path}");
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert!(get(address, path, "*/*").await.0.contains(" 200 "), "{path}");
    }
    let server = start(&[("http", "0.0.0.0:0"), ("insecure-listen", "true")]).await;
    create(&server.client().await, knife_drop("knife")).await;
    let address = SocketAddr::from(([127, 0, 0, 1], server.http.port()));
    assert_eq!(asked(address, RESERVE).await.status, 200);
}

#[tokio::test]
async fn the_documents_name_every_unary_call_and_every_event() {
    let server = with_knives().await;
    let (_head, body) = get(server.http, "/openapi.json", "*/*").await;
    let document: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(document["openapi"], "3.1.0");
    for (path, _request) in stockade::grpc::served() {
        let is_stream =
            ["WatchDrop", "WatchDropStatus", "ReadEvents", "BatchStream"].iter().any(|name| path.ends_with(name));
        assert_eq!(document["paths"][path]["post"].is_null(), is_stream, "{path}");
    }
    assert!(document["paths"][GET_DROP]["get"].is_object() && document["paths"][RESERVE]["get"].is_null());
    let quantity = &document["components"]["schemas"]["Item"]["properties"]["quantity"];
    assert_eq!(quantity["type"], "string", "64 bits are a text in JSON");
    let (_head, body) = get(server.http, "/asyncapi.json", "*/*").await;
    let document: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(document["components"]["messages"]["hold.created"]["name"], "stockade.hold.created");
}
