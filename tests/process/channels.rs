//! Channels of a real server: each event once over kills, but for what was on its way; bounds that outlast a restart; a
//! receiver or a mail server that hangs holds up itself alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use stockade_client::Client;
use stockade_proto as pb;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use crate::receiver::{Receiver, Reply};
use crate::server::{BINARY, Server, reported, start};
use crate::wire::{Dice, create, hold, line, reserve, sold};

/// How long a test waits for what must come.
const WITHIN: Duration = Duration::from_secs(30);
/// A body with the event's record, so that it can be known again.
const BODY: &str =
    r#"body = '{"lsn": {{ event.lsn }}, "id": {{ event.id | tojson }}, "drop": {{ drop.drop_id | tojson }}}'"#;

/// A folder with a configuration and data.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("stockade.toml")
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Writes the configuration.
    fn write(&self, channels: &[String]) {
        fs::write(self.config(), channels.concat()).expect("a file");
    }

    fn start(&self) -> Server {
        let config = self.config();
        start(&self.data(), &["--config", config.to_str().expect("a path")])
    }
}

/// A channel by HTTP for events of these types, with further lines.
fn http(name: &str, types: &str, url: &str, more: &str) -> String {
    format!(
        "[[channels]]\nname = {name:?}\nmatches = {{ types = [{types:?}] }}\nkind = \"http\"\nurl = {url:?}\n{BODY}\n{more}\n"
    )
}

/// The record of each message, in the order in which they came.
fn records(receiver: &Receiver) -> Vec<u64> {
    let of = |body: &[u8]| {
        let body: serde_json::Value = serde_json::from_slice(body).expect("JSON");
        body["lsn"].as_u64().expect("a record")
    };
    receiver.received().iter().map(|received| of(&received.body)).collect()
}

async fn until(what: &str, is: impl Fn() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < WITHIN, "{what}");
        sleep(Duration::from_millis(20)).await;
    }
}

fn count(server: &Server, channel: &str, outcome: &str) -> u64 {
    let series = format!("stockade_channel_messages_total{{channel=\"{channel}\",outcome=\"{outcome}\"}}");
    server.metric(&series).parse().expect("a number")
}

/// The records of all events of a type.
async fn events(client: &Client, kind: &str) -> Vec<u64> {
    let filter = Some(pb::EventFilter { types: vec![kind.to_owned()], ..pb::EventFilter::default() });
    let (mut wanted, mut after) = (Vec::new(), String::new());
    loop {
        let request = pb::ListEventsRequest {
            after,
            filter: filter.clone(),
            page_size: 1_000,
            ..pb::ListEventsRequest::default()
        };
        let page = client.list_events(request).await.expect("events");
        if page.events.is_empty() {
            return wanted;
        }
        wanted.extend(page.events.iter().map(|event| event.lsn));
        after = page.read_to;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_each_event_is_sent_once_but_for_what_was_on_its_way() {
    let (place, receiver) = (Place::new(), Receiver::start().await);
    place.write(&[http("all", "hold.created", &receiver.url(), "")]);
    let mut server = place.start();
    let mut client = server.client().await;
    create(&client, &[("SKU", 100_000)], 1).await;
    let mut dice = Dice::seeded("channels killed");
    let kills = 5;
    for _ in 0..kills {
        let until = Instant::now() + Duration::from_millis(200 + dice.below(1_000));
        while Instant::now() < until {
            let id = dice.hold_id();
            client.reserve(reserve(&id, &id, vec![line("SKU", 1)])).await.expect("an answer");
        }
        server.kill();
        server = place.start();
        client = server.client().await;
    }
    let wanted = events(&client, "hold.created").await;
    assert!(wanted.len() > 100, "{}", wanted.len());
    let is_last = || records(&receiver).last() == wanted.last();
    until("the last event comes", is_last).await;
    let mut seen: BTreeMap<u64, usize> = BTreeMap::new();
    for record in records(&receiver) {
        *seen.entry(record).or_default() += 1;
    }
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), wanted, "none is left out, and none is made up");
    let twice: Vec<_> = seen.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.len() <= kills && seen.values().all(|times| *times <= 2), "{twice:?}");
    // A repeat can be known.
    let mut keys: Vec<_> = receiver.received().iter().map(|one| one.header("idempotency-key").to_owned()).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), wanted.len());
    let (before, first) = (receiver.received().len(), dice.hold_id());
    server.stop().must(0, &[]);
    // After an orderly stop nothing is sent again.
    let server = place.start();
    hold(&server.client().await, &first, "SKU").await;
    receiver.wait_for(before + 1).await;
    sleep(Duration::from_millis(300)).await;
    assert_eq!(receiver.received().len(), before + 1);
    server.stop().must(0, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn caps_and_gaps_outlast_a_kill() {
    let (place, capped, apart) = (Place::new(), Receiver::start().await, Receiver::start().await);
    place.write(&[
        http("capped", "hold.created", &capped.url(), "max_per_day = 2\ntime_zone = \"Pacific/Kiritimati\""),
        http("apart", "hold.created", &apart.url(), "min_gap = \"1h\""),
    ]);
    let server = place.start();
    let client = server.client().await;
    create(&client, &[("SKU", 100)], 1).await;
    let mut dice = Dice::new(3);
    for _ in 0..5 {
        hold(&client, &dice.hold_id(), "SKU").await;
    }
    until("all are decided", || count(&server, "capped", "capped") == 3 && count(&server, "apart", "gap") == 4).await;
    assert_eq!((count(&server, "capped", "sent"), count(&server, "apart", "sent")), (2, 1));
    server.kill();
    let server = place.start();
    hold(&server.client().await, &dice.hold_id(), "SKU").await;
    until("it is decided", || count(&server, "capped", "capped") > 0 && count(&server, "apart", "gap") > 0).await;
    assert_eq!((count(&server, "capped", "sent"), count(&server, "apart", "sent")), (0, 0));
    assert_eq!((capped.received().len(), apart.received().len()), (2, 1));
    server.stop().must(0, &[]);
}

/// Quiet hours around now: from two hours ago to two hours from now.
fn quiet(then: &str) -> String {
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).time();
    let time = |hours: i64| now.wrapping_add(jiff::SignedDuration::from_hours(hours)).strftime("%H:%M").to_string();
    format!("quiet = {{ from = \"{}\", until = \"{}\", time_zone = \"UTC\", then = \"{then}\" }}", time(-2), time(2))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_the_end_of_quiet_hours_outlasts_a_kill_and_what_is_over_by_then_is_held_back() {
    let (place, receiver) = (Place::new(), Receiver::start().await);
    let signals = |more: &str| http("signals", "signal.fired", &receiver.url(), more);
    let dropped = http("dropped", "signal.fired", &receiver.url(), &quiet("drop"));
    place.write(&[signals(&quiet("wait")), dropped]);
    let server = place.start();
    let client = server.client().await;
    let at_once = |id: &str, valid_for: i64| {
        let after_open = pb::moment::When::AfterOpen(prost_types::Duration::default());
        let moment = pb::Moment { when: Some(after_open) };
        let on = Some(pb::Trigger { on: Some(pb::trigger::On::Moment(moment)) });
        let valid_for = Some(prost_types::Duration { seconds: valid_for, nanos: 0 });
        pb::Signal { id: id.into(), on, valid_for, ..pb::Signal::default() }
    };
    let drop = pb::Drop { signals: vec![at_once("brief", 60), at_once("long", 86_400)], ..sold(&[("SKU", 100)], 1) };
    client.create_drop(pb::CreateDropRequest { drop: Some(drop), ..Default::default() }).await.expect("a drop");
    until("the brief one is over", || count(&server, "signals", "expired") == 1).await;
    until("both are held back", || count(&server, "dropped", "quiet") == 2).await;
    server.kill();
    // The position has not passed the one that waits.
    let server = place.start();
    sleep(Duration::from_millis(500)).await;
    assert_eq!((receiver.received().len(), count(&server, "signals", "sent")), (0, 0));
    server.kill();
    place.write(&[signals("")]);
    let server = place.start();
    let [sent] = &receiver.wait_for(1).await[..] else { panic!("one") };
    assert!(sent.header("idempotency-key").ends_with(".signals"));
    until("it is counted", || count(&server, "signals", "sent") == 1).await;
    let log = server.stop().log;
    assert!(log.contains("a channel is not configured any more"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_for_now_is_tried_again_and_what_is_refused_is_not() {
    let (place, receiver) = (Place::new(), Receiver::start().await);
    place.write(&[http("one", "hold.created", &receiver.url(), "")]);
    let server = place.start();
    let client = server.client().await;
    create(&client, &[("SKU", 100)], 1).await;
    let mut dice = Dice::new(4);
    for status in [301, 400, 401, 404, 410, 422] {
        receiver.answers(Reply::Status(status, vec![("location", receiver.url())]));
        let before = (receiver.received().len(), count(&server, "one", "failed"));
        hold(&client, &dice.hold_id(), "SKU").await;
        until("it is refused", || count(&server, "one", "failed") == before.1 + 1).await;
        assert_eq!(receiver.received().len(), before.0 + 1, "{status}");
    }
    let before = receiver.received().len();
    receiver.answers(Reply::Status(503, Vec::new()));
    hold(&client, &dice.hold_id(), "SKU").await;
    hold(&client, &dice.hold_id(), "SKU").await;
    receiver.wait_for(before + 1).await;
    receiver.answers(Reply::Status(200, Vec::new()));
    until("both are sent", || count(&server, "one", "sent") == 2).await;
    let all = records(&receiver);
    let last = &all[before..];
    assert!(last.len() >= 3 && last[0] == last[1] && last.is_sorted(), "the first again, then the second: {last:?}");
    server.stop().must(0, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hangs_holds_up_itself_alone_and_the_stop_of_a_server_for_a_bounded_time() {
    let (place, good, hung) = (Place::new(), Receiver::start().await, Receiver::start().await);
    hung.answers(Reply::Silence);
    // A mail server that accepts connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let mail = format!(
        "[[channels]]\nname = \"mail\"\nmatches = {{ types = [\"hold.created\"] }}\nkind = \"smtp\"\n\
         server = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\nfrom = \"a@example.com\"\nto = \"b@example.com\"\n\
         subject = \"{{{{ event.id }}}}\"\nbody = \"x\"\n"
    );
    place.write(&[http("hung", "hold.created", &hung.url(), ""), mail, http("good", "hold.created", &good.url(), "")]);
    let server = place.start();
    let client = server.client().await;
    create(&client, &[("SKU", 100)], 1).await;
    let (mut dice, began) = (Dice::new(5), Instant::now());
    for _ in 0..20 {
        hold(&client, &dice.hold_id(), "SKU").await;
    }
    good.wait_for(20).await;
    let _connected = silent.accept().await.expect("the mail server is connected to");
    hung.wait_for(1).await;
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    let stopping = Instant::now();
    let ended = server.stop();
    ended.must(0, &[]);
    assert!(stopping.elapsed() < Duration::from_secs(12), "{:?}", stopping.elapsed());
    assert!(ended.log.contains("messages in flight were left behind"), "{}", ended.log);
    // What has hung is sent once it answers.
    hung.answers(Reply::Status(204, Vec::new()));
    let before = hung.received().len();
    let server = place.start();
    hung.wait_for(before + 20).await;
    assert_eq!(good.received().len(), 20);
    server.stop().must(0, &[]);
}

fn command(place: &Place, words: &[&str], variables: &[(&str, &str)]) -> (i32, String) {
    let mut command = Command::new(BINARY);
    command.arg("channels").args(words).arg("--config").arg(place.config()).envs(variables.iter().copied());
    let output = command.output().expect("it runs");
    (output.status.code().expect("it ends"), reported(&output))
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_are_checked_listed_and_tested_without_a_server() {
    let (place, receiver) = (Place::new(), Receiver::start().await);
    let key = "headers = { Authorization = \"Bearer ${PUSH_KEY}\" }";
    place.write(&[http("push", "hold.created", &receiver.url(), key)]);
    let (code, said) = command(&place, &["check"], &[]);
    assert!(
        code == 64 && said.contains("stockade.toml:7:29: channels[0].headers.Authorization needs ${PUSH_KEY}"),
        "{said}"
    );
    let with = [("PUSH_KEY", "k-1")];
    let (code, said) = command(&place, &["check"], &with);
    assert!(code == 0 && said.contains("push: well: body written with samples of hold.created"), "{said}");
    let (code, said) = command(&place, &["list", "--json"], &with);
    assert!(code == 0 && said.contains("\"name\": \"push\"") && !said.contains("k-1"), "{said}");
    let (code, said) = command(&place, &["list"], &with);
    assert!(code == 0 && said.contains(&receiver.url()), "{said}");
    let (code, said) = command(&place, &["test", "push"], &with);
    assert!(code == 0 && said.contains("push: a test was sent to"), "{said}");
    let [sent] = &receiver.received()[..] else { panic!("one") };
    assert_eq!((sent.header("stockade-test"), sent.header("authorization")), ("true", "Bearer k-1"));
    receiver.answers(Reply::Status(401, Vec::new()));
    let (code, said) = command(&place, &["test", "push", "--json"], &with);
    assert!(code == 1 && said.contains("\"sent\":false") && said.contains("401 Unauthorized"), "{said}");
    let (code, said) = command(&place, &["test", "pull"], &with);
    assert!(code == 64 && said.contains("no channel is named pull: there are push"), "{said}");
    let (code, said) = command(&place, &["test", "push", "--type", "drop.opened"], &with);
    assert!(code == 64 && said.contains("push takes no events of type drop.opened"), "{said}");
    // A server says the same, and does not start.
    refuses(&place, "needs ${PUSH_KEY}, which the environment does not have");
    place.write(&[http("push", "hold.created", &receiver.url(), "").replace("drop.drop_id", "drop.title")]);
    refuses(&place, "stockade.toml:6: channel push, with stockade.hold.created: undefined value");
}

fn refuses(place: &Place, words: &str) {
    let config = place.config();
    let serve = crate::server::serve(&place.data(), &["--config", config.to_str().expect("a path")]);
    crate::server::refuses(serve).must(64, &[words]);
    assert!(!Path::new(&place.data()).exists(), "nothing was begun");
}
