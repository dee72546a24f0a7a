//! The public listener, by requests as they are on the wire.

use std::net::SocketAddr;
use std::time::Duration;

use stockade_client::Client;
use stockade_proto as pb;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::common::{Server, create, held, knife_drop, line, reserve, start};
use crate::shop::{WAIT_TIMEOUT, closed, ends_well, eventually, metrics, paused, resumed};
use crate::storefront::{from_now, opening};

/// An answer: its status line and headers, and its body.
struct Reply {
    head: String,
    body: Vec<u8>,
}

impl Reply {
    fn status(&self) -> &str {
        self.head.split(' ').nth(1).expect("a status")
    }

    /// A header; empty if it is not there.
    fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

async fn ask(at: SocketAddr, method: &str, path: &str, headers: &str) -> Reply {
    let mut stream = TcpStream::connect(at).await.expect("a connection");
    let request = format!("{method} {path} HTTP/1.1\r\nhost: drops.test\r\n{headers}connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("a request");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let body = answer.split_off(end + 4);
    Reply { head: String::from_utf8(answer).expect("text"), body }
}

async fn get(at: SocketAddr, path: &str) -> Reply {
    ask(at, "GET", path, "").await
}

/// A server with a public listener, its address, and a client.
async fn public(flags: &[(&'static str, &str)]) -> (Server, SocketAddr, Client) {
    let flags: Vec<_> = [("public", "127.0.0.1:0")].iter().chain(flags).copied().collect();
    let server = start(&flags).await;
    let client = server.client().await;
    let at = server.public.expect("it is served");
    (server, at, client)
}

fn labelled(drop: pb::Drop, labels: &[(&str, &str)]) -> pb::Drop {
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    pb::Drop { labels, ..drop }
}

/// A stream of events.
struct Events {
    lines: Lines<BufReader<OwnedReadHalf>>,
    _open: OwnedWriteHalf,
}

impl Events {
    async fn open(at: SocketAddr, drop: &str, headers: &str) -> Self {
        let (read, mut write) = TcpStream::connect(at).await.expect("a connection").into_split();
        let request = format!("GET /v1/drops/{drop}/stream HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
        write.write_all(request.as_bytes()).await.expect("a request");
        Self { lines: BufReader::new(read).lines(), _open: write }
    }

    /// The rest of the next line that begins so.
    async fn line(&mut self, begin: &str) -> String {
        let found = async {
            while let Some(line) = self.lines.next_line().await.expect("a stream") {
                if let Some(rest) = line.strip_prefix(begin) {
                    return rest.to_owned();
                }
            }
            panic!("the stream ended before {begin}")
        };
        tokio::time::timeout(WAIT_TIMEOUT, found).await.expect("in time")
    }

    /// The version and the state of the next event.
    async fn event(&mut self) -> (String, String) {
        assert_eq!(self.line("event: ").await, "status");
        let version = self.line("id: ").await;
        let data: serde_json::Value = serde_json::from_str(&self.line("data: ").await).expect("JSON");
        let text = |place: &str| data.pointer(place).and_then(serde_json::Value::as_str).expect(place).to_owned();
        assert_eq!(text("/status/version"), version);
        assert!(!text("/server_time").is_empty() && !text("/poll_after").is_empty());
        (version, text("/status/state").trim_start_matches("DROP_STATE_").to_owned())
    }

    /// Reads to the end.
    async fn end(&mut self) {
        let rest = async { while self.lines.next_line().await.expect("a stream").is_some() {} };
        tokio::time::timeout(WAIT_TIMEOUT, rest).await.expect("it ends");
    }
}

#[tokio::test]
async fn a_status_is_json_that_caches_may_keep_for_a_second() {
    let (_server, at, client) = public(&[]).await;
    create(&client, labelled(knife_drop("knife"), &[("public.hero", "x"), ("cost", "9")])).await;
    let reply = get(at, "/v1/drops/knife").await;
    assert_eq!(reply.status(), "200", "{}", reply.head);
    assert_eq!(reply.header("content-type"), "application/json");
    let kept = "public, max-age=1, s-maxage=1, stale-while-revalidate=10";
    assert_eq!(reply.header("cache-control"), kept);
    for (name, value) in [("access-control-allow-origin", "*"), ("x-content-type-options", "nosniff")] {
        assert_eq!(reply.header(name), value);
    }
    assert!(reply.header("content-security-policy").contains("default-src 'none'"));
    assert!(!reply.header("date").is_empty() && reply.header("set-cookie").is_empty());
    let json = reply.json();
    assert_eq!(json["status"]["dropId"], "knife");
    assert_eq!(json["status"]["state"], "DROP_STATE_OPEN");
    assert_eq!(json["status"]["items"][0]["band"], "available");
    assert_eq!(json["status"]["labels"], serde_json::json!({"public.hero": "x"}));
    assert_eq!(json["poll_after"], "1.5s");
    assert!(json["server_time"].as_str().expect("a time").ends_with('Z'));
    let etag = reply.header("etag").to_owned();
    assert!(etag.contains(json["status"]["version"].as_str().expect("a version")), "{etag}");
    let again = ask(at, "GET", "/v1/drops/knife", &format!("if-none-match: \"x\", {etag}\r\n")).await;
    assert_eq!((again.status(), again.body.len(), again.header("cache-control")), ("304", 0, kept));
    paused(&client, "knife").await;
    eventually("the pause is shown", async || {
        let changed = ask(at, "GET", "/v1/drops/knife", &format!("if-none-match: {etag}\r\n")).await;
        changed.status() == "200" && changed.json()["status"]["state"] == "DROP_STATE_PAUSED"
    })
    .await;
    let head = ask(at, "HEAD", "/v1/drops/knife", "").await;
    assert_eq!((head.status(), head.body.len()), ("200", 0));
    assert_ne!(head.header("content-length"), "0");
}

#[tokio::test]
async fn long_answers_are_compressed_for_those_who_take_it() {
    use std::io::Read as _;
    let (_server, at, client) = public(&[]).await;
    let items = (0..40).map(|n| crate::common::item(&format!("KNIFE-{n}"), 1)).collect();
    create(&client, pb::Drop { id: "many".into(), items, ..pb::Drop::default() }).await;
    let plain = get(at, "/v1/drops/many").await;
    assert_eq!((plain.header("content-encoding"), plain.header("vary")), ("", "Accept-Encoding"));
    let short = ask(at, "GET", "/v1/drops/many", "accept-encoding: br, gzip\r\n").await;
    assert_eq!(short.header("content-encoding"), "gzip");
    assert!(short.body.len() * 3 < plain.body.len(), "{} of {}", short.body.len(), plain.body.len());
    let mut text = String::new();
    flate2::read::GzDecoder::new(&*short.body).read_to_string(&mut text).expect("gzip");
    let read: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(read["status"], plain.json()["status"]);
}

#[tokio::test]
async fn what_is_wrong_is_said_as_a_problem() {
    let (_server, at, client) = public(&[]).await;
    create(&client, knife_drop("knife")).await;
    for (path, status, said) in [
        ("/v1/drops/spoon", "404", "drop spoon not found"),
        ("/nowhere", "404", "nothing at this path"),
        ("/v1/drops/knife/nope", "404", "nothing at this path"),
        ("/v1/drops/spoon/stream", "404", "drop spoon not found"),
        ("/drops/spoon", "404", "drop spoon not found"),
    ] {
        let reply = get(at, path).await;
        assert_eq!((reply.status(), reply.header("content-type")), (status, "application/problem+json"), "{path}");
        let problem = reply.json();
        assert_eq!(problem["status"].to_string(), status);
        assert!(problem["detail"].as_str().expect("a text").contains(said), "{problem}");
        assert!(problem["type"].is_string() && problem["title"].is_string());
    }
    let faulty = get(at, "/v1/drops?shop=no%20slug&from=soon&zone=x&page_token=9&nope=1").await;
    assert_eq!(faulty.status(), "400");
    let problem = faulty.json();
    let mut fields: Vec<_> =
        problem["violations"].as_array().expect("a list").iter().map(|fault| fault["field"].as_str()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["from", "nope", "page_token", "shop"].map(Some));
    assert_eq!(get(at, "/v1/drops/no%20slug").await.json()["violations"][0]["field"], "drop_id");
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let refused = ask(at, method, "/v1/drops/knife", "content-length: 0\r\n").await;
        assert_eq!((refused.status(), refused.header("allow")), ("405", "GET, HEAD"), "{method}");
    }
    assert_eq!(get(at, &format!("/v1/drops?shop={}", "x".repeat(2_000))).await.status(), "414");
}

#[tokio::test]
async fn lists_have_pages_and_filters() {
    let (_server, at, client) = public(&[]).await;
    for (id, seconds) in [("a", 300), ("b", 200), ("c", 400)] {
        create(&client, opening(id, seconds)).await;
    }
    let ids = |json: &serde_json::Value| {
        let statuses = json["statuses"].as_array().expect("a list").clone();
        statuses.iter().map(|status| status["dropId"].as_str().expect("an id").to_owned()).collect::<String>()
    };
    let all = get(at, "/v1/drops").await;
    assert!(all.header("cache-control").contains("s-maxage=10"));
    assert_eq!((ids(&all.json()).as_str(), &all.json()["next_page_token"]), ("bac", &"".into()));
    let first = get(at, "/v1/drops?page_size=2").await.json();
    assert_eq!(ids(&first), "ba");
    let token = first["next_page_token"].as_str().expect("a token");
    assert_eq!(ids(&get(at, &format!("/v1/drops?page_size=2&page_token={token}")).await.json()), "c");
    assert_eq!(ids(&get(at, "/v1/drops?shop=other").await.json()), "");
    assert_eq!(ids(&get(at, "/v1/drops?until=2020-01-01T00:00:00Z&from=2019-01-01T00:00:00Z").await.json()), "");
}

#[tokio::test]
async fn a_stream_says_each_change_once_and_goes_on_where_it_was() {
    let (server, at, client) = public(&[]).await;
    create(&client, knife_drop("knife")).await;
    let mut events = Events::open(at, "knife", "").await;
    let retry: u32 = events.line("retry: ").await.parse().expect("a number");
    assert!((2_000..4_000).contains(&retry));
    let (first, state) = events.event().await;
    assert_eq!(state, "OPEN");
    eventually("one stream is open", async || {
        metrics(&server).await.lines().any(|line| line == "stockade_public_streams 1")
    })
    .await;
    paused(&client, "knife").await;
    let (second, state) = events.event().await;
    assert_eq!(state, "PAUSED");
    assert_ne!(second, first);
    // A reader that has the current version is sent nothing until something changes.
    let mut again = Events::open(at, "knife", &format!("last-event-id: {second}\r\n")).await;
    again.line("retry: ").await;
    resumed(&client, "knife").await;
    assert_eq!((again.event().await.1.as_str(), events.event().await.1.as_str()), ("OPEN", "OPEN"));
    drop(again);
    eventually("the other is closed", async || {
        metrics(&server).await.lines().any(|line| line == "stockade_public_streams 1")
    })
    .await;
    let ended = server.stop();
    events.end().await;
    ends_well(ended).await;
}

#[tokio::test]
async fn a_stream_is_not_kept_and_not_gathered_and_shows_that_it_lives() {
    let (_server, at, client) = public(&[]).await;
    create(&client, knife_drop("knife")).await;
    let head = ask(at, "HEAD", "/v1/drops/knife/stream", "").await;
    assert_eq!((head.status(), head.header("content-type")), ("200", "text/event-stream"));
    assert_eq!((head.header("cache-control"), head.header("x-accel-buffering")), ("no-store", "no"));
    let mut events = Events::open(at, "knife", "").await;
    events.event().await;
    let waited = tokio::time::timeout(Duration::from_secs(40), events.line(": ")).await;
    waited.expect("a comment after 15 s");
}

#[tokio::test]
async fn beyond_the_bounds_readers_are_turned_away_and_may_come_again() {
    let (server, at, client) = public(&[("max-public-connections", "2")]).await;
    create(&client, knife_drop("knife")).await;
    let (mut one, mut two) = (Events::open(at, "knife", "").await, Events::open(at, "knife", "").await);
    one.event().await;
    two.event().await;
    let turned = get(at, "/v1/drops/knife").await;
    assert_eq!((turned.status(), turned.header("retry-after")), ("503", "2"), "{}", turned.head);
    assert_eq!(turned.header("content-type"), "application/problem+json");
    // Requests of customers are served as before.
    held(&client, reserve(1, "knife", "ada", vec![line("KNIFE", 1)])).await;
    drop(two);
    eventually("a place is free", async || get(at, "/v1/drops/knife").await.status() == "200").await;
    assert!(metrics(&server).await.lines().any(|line| {
        line.strip_prefix("stockade_shed_total{reason=\"public\"} ").is_some_and(|count| count != "0")
    }));
}

#[tokio::test]
async fn badges_say_state_and_band() {
    let (_server, at, client) = public(&[]).await;
    create(&client, pb::Drop { title: "Knife <& \"co\">".into(), ..opening("later", 7_300) }).await;
    create(&client, pb::Drop { items: vec![crate::common::item("KNIFE", 1)], ..knife_drop("knife") }).await;
    let json = get(at, "/v1/drops/later/badge.json").await.json();
    assert_eq!((&json["schemaVersion"], &json["label"]), (&1.into(), &"Knife <& \"co\">".into()));
    assert_eq!((&json["message"], &json["color"]), (&"opens in 2 h 1 min".into(), &"blue".into()));
    assert!(json["opens_at"].is_string());
    assert_eq!(json["band"], "available");
    let svg = get(at, "/v1/drops/later/badge.svg").await;
    assert_eq!(svg.header("content-type"), "image/svg+xml; charset=utf-8");
    assert!(svg.text().contains("Knife &lt;&amp; ") && svg.text().contains("opens in 2 h"), "{}", svg.text());
    let band = async || get(at, "/v1/drops/knife/badge.json").await.json()["message"].clone();
    assert_eq!(band().await, "available");
    held(&client, reserve(1, "knife", "ada", vec![line("KNIFE", 1)])).await;
    eventually("it is sold out", async || band().await == "sold out").await;
    closed(&client, "knife").await;
    eventually("it is closed", async || band().await == "closed").await;
}

#[tokio::test]
async fn pages_are_whole_without_a_script_and_escape_what_shops_write() {
    let (_server, at, client) = public(&[]).await;
    let labels = [("public.buy_url", "https://shop.example/k?a=1&b=<2>"), ("public.theme.accent", "#aa0000")];
    let evil = pb::Drop {
        title: "<script>alert(1)</script>".into(),
        location: "\"Hof\" & <b>Markt</b>".into(),
        time_zone: "Europe/Berlin".into(),
        ..labelled(opening("later", 7_300), &labels)
    };
    create(&client, evil).await;
    create(&client, labelled(knife_drop("knife"), &[("public.buy_url", "javascript:alert(1)")])).await;
    let page = get(at, "/drops/later").await;
    assert_eq!((page.status(), page.header("content-type")), ("200", "text/html; charset=utf-8"));
    let text = page.text();
    for part in [
        "data-drop=\"later\"",
        "data-state=\"scheduled\"",
        "data-opens-at=\"20",
        "data-band=\"available\"",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "&lt;b&gt;Markt&lt;/b&gt;",
        "2 h 1 min",
        "--stockade-accent:#aa0000",
        "<noscript><meta http-equiv=\"refresh\"",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    assert!(!text.contains("<script>alert") && !text.contains("<b>"));
    let policy = page.header("content-security-policy");
    assert!(policy.contains("script-src 'sha256-") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe-inline"));
    let framed = get(at, "/drops/later?embed=1").await;
    assert!(framed.header("content-security-policy").contains("frame-ancestors *"));
    let overlay = get(at, "/drops/later/overlay").await;
    assert!(overlay.text().contains("background:transparent") && overlay.text().contains("data-state=\"scheduled\""));
    // A link that is none is not shown.
    assert!(!get(at, "/drops/knife").await.text().contains("javascript:"));
    let list = get(at, "/").await;
    assert!(list.text().contains("href=\"/drops/later\"") && list.text().contains("&lt;script&gt;"), "{}", list.text());
}

/// The properties of the event with this UID.
fn event<'a>(calendar: &'a str, uid: &str) -> Option<Vec<&'a str>> {
    let events = calendar.split("BEGIN:VEVENT\r\n").skip(1).map(|event| event.split("\r\n").collect::<Vec<_>>());
    events.into_iter().find(|event| event.contains(&format!("UID:{uid}").as_str()))
}

fn property<'a>(event: &[&'a str], name: &str) -> &'a str {
    event.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or("")
}

#[tokio::test]
async fn the_calendar_follows_each_change_across_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().to_str().expect("a path").to_owned();
    let durable = [("ephemeral", "false"), ("data", data.as_str()), ("public-url", "https://drops.example/")];
    let (server, at, client) = public(&durable).await;
    let early = pb::Window {
        id: "early".into(),
        audience: Some(pb::Audience { tiers: vec!["gold".into()], zones: Vec::new() }),
        ..pb::Window::default()
    };
    let all = pb::Window { id: "all".into(), ..pb::Window::default() };
    let windows = vec![early, all];
    let drop =
        pb::Drop { title: "Knives, sharp".into(), location: "Hof; 2".into(), windows, ..opening("later", 7_200) };
    let made = create(&client, drop).await;
    create(&client, opening("off", 7_200)).await;
    let uid = "later@default.stockade";
    let calendar = get(at, "/calendar.ics").await;
    assert_eq!(calendar.header("content-type"), "text/calendar; charset=utf-8");
    let text = calendar.text();
    assert!(text.starts_with("BEGIN:VCALENDAR\r\n") && text.ends_with("END:VCALENDAR\r\n"));
    for line in ["X-WR-CALNAME:Drops", "REFRESH-INTERVAL;VALUE=DURATION:PT15M", "X-PUBLISHED-TTL:PT15M"] {
        assert!(text.lines().any(|known| known == line), "{line}");
    }
    let first = event(text, uid).expect("it is there");
    assert_eq!((property(&first, "SUMMARY"), property(&first, "LOCATION")), ("Knives\\, sharp", "Hof\\; 2"));
    assert_eq!((property(&first, "SEQUENCE"), property(&first, "STATUS")), ("0", "CONFIRMED"));
    assert_eq!(property(&first, "URL"), "https://drops.example/drops/later");
    assert!(event(text, "later.all@default.stockade").is_some());
    assert!(event(text, "later.early@default.stockade").is_none(), "it is for a tier");
    let gold = get(at, "/calendar.ics?tier=gold").await;
    assert!(event(gold.text(), "later.early@default.stockade").is_some());
    assert_eq!(
        get(at, "/calendar.ics?tier=no%20slug&nope=1").await.json()["violations"].as_array().map(Vec::len),
        Some(2)
    );
    let etag = calendar.header("etag").to_owned();
    let known = ask(at, "GET", "/calendar.ics", &format!("if-none-match: {etag}\r\n")).await;
    assert_eq!(known.status(), "304");
    // A change that is not shown changes nothing; one that is shown counts.
    let update = async |drop: pb::Drop, revision: u64, path: &str| {
        let update_mask = Some(prost_types::FieldMask { paths: vec![path.into()] });
        let request = pb::UpdateDropRequest { drop: Some(drop), revision, update_mask, validate_only: false };
        Box::pin(client.update_drop(request)).await.expect("an answer").drop.expect("a drop")
    };
    let ttl = Some(prost_types::Duration { seconds: 60, nanos: 0 });
    let quiet = update(pb::Drop { hold_ttl: ttl, ..made.clone() }, made.revision, "hold_ttl").await;
    let sequence = async |at| {
        let calendar = get(at, "/calendar.ics").await;
        let event = event(calendar.text(), uid).expect("it is there").join("\n");
        let of = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("").to_owned();
        (of("SEQUENCE:"), of("DTSTAMP:"))
    };
    assert_eq!(sequence(at).await, ("0".to_owned(), property(&first, "DTSTAMP").to_owned()));
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let moved = pb::Drop { opens_at: Some(from_now(9_000)), ..quiet.clone() };
    update(moved, quiet.revision, "opens_at").await;
    eventually("the calendar shows the new opening", async || sequence(at).await.0 == "1").await;
    let (count, stamp) = sequence(at).await;
    assert!(stamp.as_str() > property(&first, "DTSTAMP"), "{stamp}");
    closed(&client, "off").await;
    eventually("the calendar shows the cancelled drop", async || {
        let off = get(at, "/calendar.ics").await;
        let off = event(off.text(), "off@default.stockade").expect("it stays").join("\n");
        off.contains("STATUS:CANCELLED") && off.contains("SEQUENCE:1")
    })
    .await;
    ends_well(server.stop()).await;
    let (_server, at, _client) = public(&durable).await;
    // Until the engine is open readers are turned away.
    eventually("it serves", async || get(at, "/").await.status() == "200").await;
    assert_eq!(sequence(at).await, (count, stamp));
}
