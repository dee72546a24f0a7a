//! Channels as they are written: what is taken, and each fault by its line.

use super::super::sources::Sources;
use super::*;

const PUSH: &str = r#"[[channels]]
name = "push"
matches = { types = ["stockade.signal.fired"], channels = ["push"] }
kind = "http"                       # or "smtp"
url = "https://push.example/v1/send"
headers = { Authorization = "Bearer ${PUSH_KEY}" }          # from the environment
body = '{"topic": "drop-{{ drop.drop_id }}", "title": {{ drop.title | tojson }}, "text": "{{ signal }}"}'
max_per_day = 3                     # for each audience, in time_zone: no fatigue
min_gap = "30m"
quiet = { from = "21:00", until = "09:00", time_zone = "Europe/Berlin", then = "drop" }     # or "wait"
"#;

const MAIL: &str = r#"[[channels]]
name = "mail"
matches = { types = ["signal.fired", "drop.opened"], shop = "ceramics" }
kind = "smtp"
server = "smtp.example"
user = "shop"
password = "${MAIL_PASSWORD}"
from = "Shop <shop@example.com>"
to = "list@example.com"
subject = "{{ drop.title }}"
body = """
{{ drop.title }} opens at {{ drop.opens_at | local(drop.time_zone, "%H:%M") }}.
{{ labels.text | default("") }}
"""
"#;

fn environment(name: &str) -> Option<String> {
    [("PUSH_KEY", "secret-1"), ("MAIL_PASSWORD", "secret-2"), ("EMPTY", "")]
        .into_iter()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value.to_owned())
}

fn read(text: &str) -> Result<Vec<Channel>, Vec<String>> {
    let mut sources = Sources::new(Vec::new());
    sources.read_toml(("stockade.toml", text), &environment);
    if sources.errors.is_empty() { Ok(sources.channels) } else { Err(sources.errors) }
}

#[test]
fn the_contracts_example_is_read() {
    let [push] = read(PUSH).expect("good").try_into().expect("one channel");
    assert_eq!((push.name.as_str(), push.place.as_str()), ("push", "stockade.toml:1"));
    assert_eq!(push.filter.channels, ["push"]);
    assert_eq!((push.bounds.max_per_day, push.bounds.min_gap), (Some(3), Some(Millis::from_secs(1_800))));
    assert_eq!(push.bounds.zone.iana_name(), Some("Europe/Berlin"), "the zone of its quiet hours");
    assert_eq!(push.bounds.quiet.as_ref().map(|quiet| quiet.then), Some(Then::Drop));
    assert_eq!(push.give_up_after, GIVE_UP_USUAL);
    let Way::Http(http) = &push.way else { panic!("{push:?}") };
    assert_eq!(http.headers.get("authorization").map(HeaderValue::as_bytes), Some(b"Bearer secret-1".as_slice()));
    assert_eq!(http.headers.get("content-type").map(HeaderValue::as_bytes), Some(b"application/json".as_slice()));
    assert_eq!(http.body.line, 7);
    assert!(!format!("{push:?}").contains("secret-1"), "{push:?}");
}

#[test]
fn a_url_may_be_a_secret() {
    let text = PUSH.replace("https://push.example/v1/send", "https://${PUSH_KEY}.example/");
    let [push] = read(&text).expect("good").try_into().expect("one channel");
    let Way::Http(http) = &push.way else { panic!("{push:?}") };
    assert_eq!(http.url.as_str(), "https://secret-1.example/");
    assert_eq!(push.way.target(), "https://${PUSH_KEY}.example/");
    assert!(!format!("{push:?}").contains("secret-1"), "{push:?}");
}

#[test]
fn a_mail_is_encrypted_unless_it_is_asked_not_to_be() {
    let [mail] = read(MAIL).expect("good").try_into().expect("one channel");
    assert!(!format!("{mail:?}").contains("secret-2"), "{mail:?}");
    let Way::Smtp(smtp) = &mail.way else { panic!("{mail:?}") };
    assert_eq!((smtp.tls, smtp.port), (Tls::StartTls, 587));
    assert_eq!(smtp.login, Some(("shop".to_owned(), Secret("secret-2".to_owned()))));
    assert_eq!((smtp.subject.line, smtp.body.line), (10, 12), "a text in three quotes begins in the next line");
    for (line, wanted) in
        [("tls = \"tls\"", (Tls::Implicit, 465)), ("tls = \"tls\"\nport = 2465", (Tls::Implicit, 2465))]
    {
        let [mail] = read(&format!("{MAIL}{line}\n")).expect("good").try_into().expect("one channel");
        let Way::Smtp(smtp) = mail.way else { panic!("{mail:?}") };
        assert_eq!((smtp.tls, smtp.port), wanted);
    }
    let plain = MAIL.replace("user = \"shop\"\npassword = \"${MAIL_PASSWORD}\"", "tls = \"none\"");
    assert!(read(&plain).is_ok(), "{:?}", read(&plain));
}

/// Which of these texts is not refused with these words, and what is said instead.
fn not_refused(table: &[(String, &str)]) -> String {
    let missing = |(text, wanted): &(String, &str)| {
        let errors = read(text).err().unwrap_or_default();
        let is_there = errors.iter().any(|error| error.contains(wanted));
        (!is_there).then(|| format!("{wanted}\nis not in\n{}\n", errors.join("\n")))
    };
    table.iter().filter_map(missing).collect()
}

fn push(from: &str, to: &str) -> String {
    PUSH.replacen(from, to, 1)
}

#[test]
fn each_faulty_key_is_named_with_its_line() {
    let table = [
        (push("name = \"push\"", ""), "stockade.toml:1:1: channels[0] has no name"),
        (push("\"push\"", "\"a b\""), "stockade.toml:2:1: channels[0].name must be a name such as push"),
        (
            push("kind = \"http\"", "kind = \"fax\""),
            "stockade.toml:4:1: channels[0].kind must be \"http\" or \"smtp\", not \"fax\"",
        ),
        (
            push("min_gap", "colour = \"red\"\nmin_gap"),
            "stockade.toml:9:1: channels[0].colour is no key of a channel of kind http; keys are body",
        ),
        (
            push("min_gap", "to = \"a@b\"\nmin_gap"),
            "stockade.toml:9:1: channels[0].to is no key of a channel of kind http",
        ),
        (
            push("channels = [\"push\"]", "tier = \"gold\""),
            "stockade.toml:3:48: channels[0].matches.tier is no key of matches; keys are channels, drop_id, names, series, shop, types",
        ),
        (push("types = [\"stockade.signal.fired\"], ", ""), "stockade.toml:3:11: channels[0].matches has no types"),
        (push("signal.fired", "signal.fierd"), "stockade.toml:3:13: channels[0].matches.types must be a type of event"),
        (push("signal.fired", "drop.opened"), "stockade.toml:3:11: channels[0].matches fits no event"),
        (push("https://push", "ftp://push"), "stockade.toml:5:1: channels[0].url must be a URL such as"),
        (
            push("PUSH_KEY", "OTHER_KEY"),
            "stockade.toml:6:29: channels[0].headers.Authorization needs ${OTHER_KEY}, which the environment does not have",
        ),
        (push("PUSH_KEY", "EMPTY"), "needs ${EMPTY}, which the environment does not have"),
        (push("${PUSH_KEY}", "${PUSH_KEY"), "has a ${ without its }"),
        (push("Authorization", "Content-Length"), "follows from the message: leave it out"),
        (push("Authorization", "\"a b\""), "is no name of a header"),
        (push("= 3 ", "= 0 "), "stockade.toml:8:1: channels[0].max_per_day must be a whole number"),
        (push("\"30m\"", "\"soon\""), "stockade.toml:9:1: channels[0].min_gap must be a duration"),
        (push("\"30m\"", "\"0s\""), "stockade.toml:9:1: channels[0].min_gap must be 1s to 30 days"),
        (
            push("21:00", "9 pm"),
            "stockade.toml:10:11: channels[0].quiet.from must be a time such as 21:00, not \"9 pm\"",
        ),
        (push("21:00", "09:00"), "channels[0].quiet begins when it ends"),
        (
            push("Europe/Berlin", "Europe/Nowhere"),
            "channels[0].quiet.time_zone must be a time zone such as Europe/Berlin",
        ),
        (push("time_zone = \"Europe/Berlin\", ", ""), "channels[0].quiet has no time_zone"),
        (push("\"drop\" }", "\"sleep\" }"), "channels[0].quiet.then must be \"drop\" or \"wait\""),
    ];
    assert_eq!(not_refused(&table), "");
}

#[test]
fn no_error_shows_what_the_environment_has() {
    let reference = "${PUSH_KEY}";
    for (from, to) in [
        ("\"https://push.example/v1/send\"", format!("\"{reference}\"")),
        ("\"https://push.example/v1/send\"", format!("\"https://user:{reference}@push.example/\"")),
        ("Authorization = \"Bearer ${PUSH_KEY}\"", format!("Authorization = \"{reference}\\n\"")),
        ("Authorization = \"Bearer ${PUSH_KEY}\"", format!("\"no header\" = \"{reference}\"")),
        ("Authorization = \"Bearer ${PUSH_KEY}\"", format!("a = \"{reference}\", A = \"{reference}\"")),
    ] {
        assert!(PUSH.contains(from), "{from}");
        let errors = read(&PUSH.replace(from, &to)).expect_err(&to);
        assert!(!errors.iter().any(|error| error.contains("secret-1")), "{to}: {errors:?}");
    }
}

#[test]
fn each_faulty_template_and_mail_is_named_with_its_line() {
    let mail = |from: &str, to: &str| MAIL.replacen(from, to, 1);
    let table = [
        (
            push("drop.drop_id", "drop.dorp_id"),
            "stockade.toml:7: channel push, with stockade.signal.fired: undefined value",
        ),
        (
            push("drop.title", "drop.titel"),
            "stockade.toml:7: channel push, with stockade.signal.fired: undefined value",
        ),
        (push(" | tojson", ""), "stockade.toml:7: channel push, with stockade.signal.fired: writes what is no JSON"),
        (push("{{ signal }}", "{{ signal"), "stockade.toml:7: channel push, with stockade.signal.fired: syntax error"),
        (
            mail("default(\"\")", "defualt(\"\")"),
            "stockade.toml:13: channel mail, with stockade.drop.opened and 1 more: unknown filter",
        ),
        (
            mail("smtp.example", "smtp.example:587"),
            "stockade.toml:5:1: channels[0].server must be the name or the address",
        ),
        (mail("list@example.com", "list"), "stockade.toml:9:1: channels[0].to must be a mail address"),
        (mail("user = \"shop\"\n", ""), "channels[0] must have both user and password, or none"),
        (mail("user =", "tls = \"none\"\nuser ="), "channels[0].password needs tls"),
        (mail("user =", "tls = \"maybe\"\nuser ="), "channels[0].tls must be \"starttls\", \"tls\" or \"none\""),
        (mail("subject = \"{{ drop.title }}\"\n", ""), "stockade.toml:1:1: channels[0] has no subject"),
        (
            mail("subject = \"{{ drop.title }}\"", "subject = 5"),
            "stockade.toml:10:1: channels[0].subject must be a text in quotes",
        ),
        (mail("\"drop.opened\"", "\"hold.created\""), "channel mail, with stockade.hold.created: undefined value"),
        (format!("{PUSH}{PUSH}"), "stockade.toml:11:1: channels[1] is named push, as that of stockade.toml:1"),
        ("channels = 5\n".to_owned(), "stockade.toml:1:1: channels must be tables, each with [[channels]] above it"),
        ("channels = [5]\n".to_owned(), "channels[0] must be a table"),
        (PUSH.repeat(65), "channels must be at most 64, not 65"),
    ];
    assert_eq!(not_refused(&table), "");
}

#[test]
fn all_faults_of_a_channel_are_named_at_once() {
    let text = "[[channels]]\nname = \"a\"\nkind = \"smtp\"\nport = 0\ntls = \"x\"\ncolour = 1\n";
    let errors = read(text).expect_err("faulty");
    for wanted in [
        "has no matches",
        "port must be a port",
        "tls must be",
        "colour is no key",
        "has no server",
        "has no from",
        "has no to",
        "has no subject",
        "has no body",
    ] {
        assert!(errors.iter().any(|error| error.contains(wanted)), "{wanted}\nis not in\n{}", errors.join("\n"));
    }
}

#[test]
fn every_example_of_the_guide_is_read() {
    let guide = include_str!("../../../docs/automation.md");
    let all = |_: &str| Some("https://hooks.example/secret".to_owned());
    let examples: Vec<&str> = guide.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() >= 5, "{examples:?}");
    for example in examples {
        let mut sources = Sources::new(Vec::new());
        sources.read_toml(("docs/automation.md", example), &all);
        assert!(sources.errors.is_empty() && !sources.channels.is_empty(), "{:?} in\n{example}", sources.errors);
    }
    assert!(guide.contains(PUSH), "the contract's example stands in the guide as it is tested here");
}
