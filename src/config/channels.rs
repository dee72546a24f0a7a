//! Reads `[[channels]]` of the file: which events become messages, by which way, and when not. Secrets come from the
//! environment. What is wrong with a template is known before the server starts: each is written with samples.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use lettre::message::Mailbox;
use reqwest::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use stockade_feed::Filter;
use stockade_types::ids::DefinedId;
use stockade_types::time::{Millis, wall_clock};
use toml::de::DeValue;

use super::fields::{Fields, File, Text};
use super::parse::{self, Parsed};
use crate::channels::CHANNELS_MAX;
use crate::channels::bounds::{Bounds, Quiet, Then};
use crate::channels::channel::{Channel, GIVE_UP_USUAL, Http, Secret, Smtp, Tls, Way, zone};
use crate::channels::context::Contexts;
use crate::channels::message::{About, write};
use crate::channels::sample::samples;
use crate::channels::template::{BadTemplate, TEMPLATE_BYTES_MAX, Template};
use crate::webhooks::address::Reach;

/// Most entries of a list of `matches`, and most headers.
const ENTRIES_MAX: usize = 64;
/// The bounds of `give_up_after`, and of `min_gap`.
const SPAN_MIN: Millis = Millis::from_secs(1);
const SPAN_MAX: Millis = Millis::from_secs(30 * 24 * 60 * 60);
/// Headers that follow from the message.
const OWN_HEADERS: [HeaderName; 4] = [CONTENT_LENGTH, CONNECTION, HOST, TRANSFER_ENCODING];

/// Reads all channels.
pub(super) fn channels(
    file: &File<'_>,
    (at, value): (usize, &DeValue<'_>),
    environment: &dyn Fn(&str) -> Option<String>,
) -> Vec<Channel> {
    let DeValue::Array(list) = value else {
        file.wrong(format!("{}: channels must be tables, each with [[channels]] above it", file.at(at)));
        return Vec::new();
    };
    if list.len() > CHANNELS_MAX {
        file.wrong(format!("{}: channels must be at most {CHANNELS_MAX}, not {}", file.at(at), list.len()));
        return Vec::new();
    }
    let Ok(contexts) = Contexts::new() else {
        file.wrong("the contract's events can't be written as JSON: this build is broken".to_owned());
        return Vec::new();
    };
    let mut channels: Vec<Channel> = Vec::new();
    for (number, entry) in list.iter().enumerate() {
        let begins = entry.span().start;
        let DeValue::Table(table) = entry.get_ref() else {
            file.wrong(format!("{}: channels[{number}] must be a table", file.at(begins)));
            continue;
        };
        let fields = Fields::new(file, format!("channels[{number}]."), (begins, table));
        let Some(channel) = channel(fields, environment) else { continue };
        if let Some(known) = channels.iter().find(|known| known.name == channel.name) {
            file.wrong(format!(
                "{}: channels[{number}] is named {}, as that of {}",
                file.at(begins),
                channel.name,
                known.place
            ));
        }
        check_templates(file, &channel, &contexts);
        channels.push(channel);
    }
    channels
}

/// Writes each template with a sample of each type of event that the channel takes.
fn check_templates(file: &File<'_>, channel: &Channel, contexts: &Contexts) {
    let mut faults: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for sample in samples(&channel.filter) {
        if let Err(BadTemplate { place, what }) = write(channel, contexts, (&sample, About::Sample), wall_clock()) {
            faults.entry((place, what)).or_default().push(sample.r#type);
        }
    }
    for ((place, what), types) in faults {
        let more = types.len().saturating_sub(1);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let first = types.into_iter().next().unwrap_or_default();
        file.wrong(format!("{place}: channel {}, with {first}{more}: {what}", channel.name));
    }
}

fn channel(fields: Fields<'_>, environment: &dyn Fn(&str) -> Option<String>) -> Option<Channel> {
    let reader = Reader { fields: &fields, environment };
    let name = fields.needed("name").and_then(|text| fields.of(&text, name));
    let place = fields.place();
    let matches = fields.table("matches").map(filter);
    if !fields.has("matches") {
        fields.wrong_as_a_whole("has no matches: which events it takes, such as { types = [\"signal.fired\"] }");
    }
    let bounds = bounds(&fields);
    let give_up_after = fields.parsed("give_up_after", span);
    let kind = fields.needed("kind").and_then(|text| fields.of(&text, kind));
    let way = match kind? {
        "http" => reader.http().map(Way::Http),
        _ => reader.smtp().map(Way::Smtp),
    };
    let of = format!("a channel of kind {}", kind.unwrap_or_default());
    fields.finish(&of);
    let (types, filter) = matches?;
    Some(Channel {
        name: name?,
        place,
        types,
        filter,
        bounds: bounds?,
        give_up_after: give_up_after.unwrap_or(GIVE_UP_USUAL),
        way: way?,
    })
}

/// Which events a channel takes.
fn filter(fields: Fields<'_>) -> (Vec<String>, Filter) {
    let mut filter = Filter::default();
    let types = bounded(&fields, "types");
    if types.is_empty() {
        fields.wrong_as_a_whole("has no types, such as [\"signal.fired\"]");
    }
    for pattern in &types {
        if let Err(bad) = filter.add(&pattern.value) {
            fields.wrong(pattern, &format!("{bad}, not {:?}", pattern.value));
        }
    }
    filter.shop = fields.parsed("shop", |text| text.try_into().map_err(|_bad| "must be a shop's id"));
    filter.series = fields.parsed("series", |text| text.try_into().map_err(|_bad| "must be a series' id"));
    filter.drop = fields.parsed("drop_id", |text| text.try_into().map_err(|_bad| "must be a drop's id"));
    let texts = |list: Vec<Text>| list.into_iter().map(|entry| entry.value).collect::<Vec<String>>();
    filter.names = texts(bounded(&fields, "names"));
    filter.channels = texts(bounded(&fields, "channels"));
    if !types.is_empty() && filter.fits_nothing() {
        fields.wrong_as_a_whole(
            "fits no event: only signals have channels, and what is not about a part of a drop has no name",
        );
    }
    fields.finish("matches");
    (texts(types), filter)
}

fn bounded(fields: &Fields<'_>, key: &'static str) -> Vec<Text> {
    let list = fields.texts(key);
    if list.len() > ENTRIES_MAX {
        fields.wrong_as_a_whole(&format!("has more than {ENTRIES_MAX} {key}"));
    }
    list
}

fn bounds(fields: &Fields<'_>) -> Option<Bounds> {
    let own = fields.parsed("time_zone", zone);
    let max_per_day = fields.parsed("max_per_day", parse::small_count);
    let min_gap = fields.parsed("min_gap", span);
    let quiet = match fields.table("quiet") {
        Some(table) => Some(quiet(table, own.as_ref())?),
        None => None,
    };
    let zone = own.or_else(|| quiet.as_ref().map(|quiet| quiet.zone.clone())).unwrap_or(TimeZone::UTC);
    Some(Bounds { max_per_day, zone, min_gap, quiet })
}

fn quiet(fields: Fields<'_>, own: Option<&TimeZone>) -> Option<Quiet> {
    let time = |key| fields.needed(key).and_then(|text| fields.of(&text, time));
    let (from, until) = (time("from"), time("until"));
    if from.is_some() && from == until {
        fields.wrong_as_a_whole("begins when it ends: nothing would ever be sent");
    }
    let zone = fields.parsed("time_zone", zone).or_else(|| own.cloned());
    if zone.is_none() && !fields.has("time_zone") {
        fields.wrong_as_a_whole("has no time_zone, such as \"Europe/Berlin\"");
    }
    let then = fields.needed("then").and_then(|text| fields.of(&text, then));
    fields.finish("quiet");
    Some(Quiet { from: from?, until: until?, zone: zone?, then: then? })
}

/// Something is faulty, and recorded.
struct Faulty;

/// Reads what depends on the kind.
struct Reader<'a> {
    fields: &'a Fields<'a>,
    environment: &'a dyn Fn(&str) -> Option<String>,
}

impl Reader<'_> {
    fn http(&self) -> Option<Http> {
        let written = self.fields.needed("url");
        let url = written.as_ref().and_then(|text| self.filled(text)).and_then(|filled| {
            let url = Reach::Private.parse(&filled.value).ok();
            if url.is_none() {
                // Without the value: it may be a secret.
                let wanted = "must be a URL such as https://push.example/send, without user name, password and #";
                self.fields.wrong(&filled, wanted);
            }
            url
        });
        let headers = self.headers();
        let body = self.template("body");
        Some(Http { url: url?, shown: written?.value, headers: headers?, body: body? })
    }

    fn headers(&self) -> Option<HeaderMap> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let Some(table) = self.fields.table("headers") else { return (!self.fields.has("headers")).then_some(headers) };
        let (entries, mut table_names) = (table.entries(), Vec::new());
        if entries.len() > ENTRIES_MAX {
            table.wrong_as_a_whole(&format!("has more than {ENTRIES_MAX} headers"));
        }
        for (name, text) in entries {
            let Some(filled) = self.filled(&text) else { continue };
            let Ok(name) = name.parse::<HeaderName>() else {
                table.wrong(&text, "is no name of a header");
                continue;
            };
            if OWN_HEADERS.contains(&name) {
                table.wrong(&text, "follows from the message: leave it out");
            }
            let Ok(mut value) = HeaderValue::from_str(&filled.value) else {
                table.wrong(&text, "must be a value of a header: one line of printable letters");
                continue;
            };
            value.set_sensitive(filled != text);
            if table_names.contains(&name) {
                table.wrong(&text, "is there twice");
            }
            table_names.push(name.clone());
            headers.insert(name, value);
        }
        Some(headers)
    }

    fn smtp(&self) -> Option<Smtp> {
        let fields = self.fields;
        let server = fields.needed("server").and_then(|text| fields.of(&text, server));
        let tls = fields.parsed("tls", tls).unwrap_or(Tls::StartTls);
        let port = fields.parsed("port", port).unwrap_or_else(|| tls.port());
        let mailbox = |key| fields.needed(key).and_then(|text| fields.of(&text, mailbox));
        let (from, to) = (mailbox("from"), mailbox("to"));
        let (subject, body) = (self.template("subject"), self.template("body"));
        let login = self.login(tls).ok()?;
        Some(Smtp { server: server?, port, tls, login, from: from?, to: to?, subject: subject?, body: body? })
    }

    fn login(&self, tls: Tls) -> Result<Option<(String, Secret)>, Faulty> {
        let (user, password) = match (self.fields.text("user"), self.fields.text("password")) {
            (None, None) => return Ok(None),
            (Some(user), Some(password)) => (user, password),
            (Some(_), None) | (None, Some(_)) => {
                self.fields.wrong_as_a_whole("must have both user and password, or none");
                return Err(Faulty);
            }
        };
        if tls == Tls::None {
            self.fields.wrong(&password, "needs tls = \"starttls\" or \"tls\": it would be sent in plain");
        }
        let filled = self.filled(&user).zip(self.filled(&password)).ok_or(Faulty);
        filled.map(|(user, password)| Some((user.value, Secret(password.value))))
    }

    fn template(&self, key: &'static str) -> Option<Template> {
        let text = self.fields.needed(key)?;
        if text.value.len() > TEMPLATE_BYTES_MAX {
            self.fields.wrong(&text, &format!("must be at most {TEMPLATE_BYTES_MAX} bytes"));
            return None;
        }
        Some(Template { source: text.value, file: self.fields.file_name().to_owned(), line: text.line })
    }

    /// The text with what the environment has in the places of `${NAME}`.
    fn filled(&self, text: &Text) -> Option<Text> {
        let (mut filled, mut rest) = (String::new(), text.value.as_str());
        while let Some((before, behind)) = rest.split_once("${") {
            let Some((name, after)) = behind.split_once('}') else {
                self.fields.wrong(text, "has a ${ without its }");
                return None;
            };
            let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            let Some(value) = (self.environment)(name).filter(|value| is_name && !value.is_empty()) else {
                self.fields.wrong(text, &format!("needs ${{{name}}}, which the environment does not have"));
                return None;
            };
            filled.push_str(before);
            filled.push_str(&value);
            rest = after;
        }
        filled.push_str(rest);
        Some(Text { value: filled, ..text.clone() })
    }
}

fn name(text: &str) -> Parsed<DefinedId> {
    text.try_into().map_err(|_bad| "must be a name such as push: letters, digits and - in lower case, at most 64")
}

fn kind(text: &str) -> Parsed<&'static str> {
    match text {
        "http" => Ok("http"),
        "smtp" => Ok("smtp"),
        _ => Err("must be \"http\" or \"smtp\""),
    }
}

fn tls(text: &str) -> Parsed<Tls> {
    let all = [Tls::StartTls, Tls::Implicit, Tls::None];
    all.into_iter().find(|tls| tls.label() == text).ok_or("must be \"starttls\", \"tls\" or \"none\"")
}

fn then(text: &str) -> Parsed<Then> {
    match text {
        "drop" => Ok(Then::Drop),
        "wait" => Ok(Then::Wait),
        _ => Err("must be \"drop\" or \"wait\""),
    }
}

fn time(text: &str) -> Parsed<Time> {
    const WANTED: &str = "must be a time such as 21:00";
    if text.len() == 5 { text.parse().map_err(|_bad| WANTED) } else { Err(WANTED) }
}

fn span(text: &str) -> Parsed<Millis> {
    let span = parse::millis(text)?;
    if (SPAN_MIN..=SPAN_MAX).contains(&span) { Ok(span) } else { Err("must be 1s to 30 days") }
}

fn port(text: &str) -> Parsed<u16> {
    text.parse().ok().filter(|port| *port > 0).ok_or("must be a port, from 1 to 65535")
}

fn server(text: &str) -> Parsed<String> {
    let is_name = |text: &str| {
        text.len() <= 253
            && text.split('.').all(|part| {
                !part.is_empty()
                    && part.len() <= 63
                    && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            })
    };
    if text.parse::<IpAddr>().is_ok() || is_name(text) {
        Ok(text.to_owned())
    } else {
        Err("must be the name or the address of a mail server, such as smtp.example; its port is the key port")
    }
}

fn mailbox(text: &str) -> Parsed<Mailbox> {
    text.parse().map_err(|_bad| "must be a mail address, such as list@example.com or Shop <shop@example.com>")
}

#[cfg(test)]
mod tests;
