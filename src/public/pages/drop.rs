//! The countdown page of a drop: whole, framed, and as an overlay of a live stream.

use maud::{Markup, html};
use stockade_engine::answer::DropState;
use stockade_proto as pb;
use stockade_types::time::{Millis, Timestamp};

use super::super::api::A_SECOND;
use super::super::cache::Made;
use super::super::stream::random;
use super::super::words;
use super::{Draft, when};
use crate::grpc::{PublicStatus, Snapshot};

const EMBEDDED: &str = include_str!("embedded.css");
const OVERLAY: &str = include_str!("overlay.css");
/// Labels with colors of the shop, and the variables of the style that they set.
const THEME: [(&str, &str); 4] = [
    ("public.theme.accent", "accent"),
    ("public.theme.on_accent", "on-accent"),
    ("public.theme.background", "background"),
    ("public.theme.text", "text"),
];
/// Where no script runs the page is loaded anew: shortly before the opening and while the drop is open,
const SOON: Millis = Millis::from_secs(10 * 60);
/// after this many seconds,
const RELOAD_SOON: u16 = 10;
/// otherwise after this many,
const RELOAD_LATE: u16 = 60;
/// and up to this many more.
const RELOAD_SPREAD: u16 = 10;

/// The page.
pub(in crate::public) fn drop_page(snapshot: &Snapshot) -> Made {
    whole(snapshot, "", false)
}

/// The page for a frame in another page.
pub(in crate::public) fn embedded(snapshot: &Snapshot) -> Made {
    whole(snapshot, EMBEDDED, true)
}

fn whole(snapshot: &Snapshot, style: &str, may_be_framed: bool) -> Made {
    let Snapshot { status: drop, at, .. } = snapshot;
    let status = &drop.message;
    let body = frame(
        snapshot,
        &html! {
            h1 { (words::title(status)) }
            (figures(drop, *at))
            p class="when" {
                span data-part="opens" { (opens(drop.state)) }
                " " (when::part("opens-time", drop.opens_at, &status.time_zone))
                @if let Some(closes) = drop.definition.schedule.closes_at {
                    ", closes " (when::part("closes-time", closes, &status.time_zone))
                }
            }
            @if !status.location.is_empty() { p class="where" { (status.location) } }
            (items(status))
            (windows(drop))
            @if let Some(url) = words::buy_url(status) {
                p { a class="buy" data-part="buy" href=(url) hidden[drop.state != DropState::Open] target="_top" { "Buy now" } }
            }
        },
    );
    let style = [style, theme(status).as_str()].concat();
    draft(snapshot, &style, may_be_framed, body).made()
}

/// What is said before the instant of the opening.
const fn opens(state: DropState) -> &'static str {
    match state {
        DropState::Scheduled => "Opens",
        DropState::Open | DropState::Paused | DropState::Closed | DropState::Archived => "Opened",
        DropState::Cancelled => "Was to open",
    }
}

/// The figures alone, large and on a transparent ground.
pub(in crate::public) fn overlay(snapshot: &Snapshot) -> Made {
    let body = frame(
        snapshot,
        &html! {
            h1 class="title" { (words::title(&snapshot.status.message)) }
            (figures(&snapshot.status, snapshot.at))
        },
    );
    let style = [OVERLAY, theme(&snapshot.status.message).as_str()].concat();
    draft(snapshot, &style, true, body).made()
}

fn draft<'a>(snapshot: &'a Snapshot, style: &'a str, may_be_framed: bool, body: Markup) -> Draft<'a> {
    let Snapshot { status: drop, at, .. } = snapshot;
    let is_soon =
        drop.state == DropState::Open || (drop.state == DropState::Scheduled && at.until(drop.opens_at) <= SOON);
    let reload = if is_soon { RELOAD_SOON } else { RELOAD_LATE };
    Draft {
        title: words::title(&drop.message),
        description: description(drop),
        style,
        is_live: true,
        may_be_framed,
        reload: Some(reload.saturating_add(random(RELOAD_SPREAD))),
        cache_control: A_SECOND,
        etag: [drop.message.version.as_str(), &words::message(drop, *at)].concat(),
        body,
    }
}

/// For cards and search results: what holds longer than a moment.
const fn description(drop: &PublicStatus) -> &'static str {
    match drop.state {
        DropState::Scheduled => "A drop with a countdown to its opening",
        DropState::Open => "A drop that is open now",
        DropState::Paused => "A drop that is paused",
        DropState::Closed | DropState::Archived => "A drop that is over",
        DropState::Cancelled => "A drop that was cancelled",
    }
}

/// What the script reads and changes.
fn frame(Snapshot { status: drop, at, .. }: &Snapshot, inner: &Markup) -> Markup {
    let status = &drop.message;
    html! {
        main data-drop=(status.drop_id) data-state=(words::state(drop.state)) data-band=(words::band_of_all(status))
            data-opens-at=(drop.opens_at) data-server-time=(at) data-version=(status.version) {
            (inner)
        }
    }
}

/// State and countdown.
fn figures(drop: &PublicStatus, now: Timestamp) -> Markup {
    let said = match drop.state {
        DropState::Scheduled => "Opens in",
        DropState::Open if words::is_sold_out(&drop.message) => "Sold out",
        DropState::Open => "Open now",
        DropState::Paused => "Paused",
        DropState::Closed | DropState::Archived => "Closed",
        DropState::Cancelled => "Cancelled",
    };
    let is_to_come = drop.state == DropState::Scheduled;
    html! {
        p class="state" data-part="state" role="status" { (said) }
        p class="countdown" data-part="countdown" role="timer" aria-live="off" hidden[!is_to_come] {
            @if is_to_come { (words::rest(now.until(drop.opens_at))) }
        }
        p class="band" data-part="band" hidden[drop.state != DropState::Open || words::is_sold_out(&drop.message)] {
            (words::band(words::band_of_all(&drop.message)))
        }
    }
}

fn items(status: &pb::DropStatus) -> Markup {
    html! {
        ul class="items" aria-label="Items" data-part="items" {
            @for item in &status.items {
                li data-sku=(item.sku) data-band=(item.band) {
                    span class="name" {
                        @if item.place.is_empty() { (item.sku) } @else { (item.place) }
                    }
                    @if let Some(starts) = &item.starts_at {
                        " " (when::whole(instant(starts), &status.time_zone))
                    }
                    @if let Some(price) = &item.price { " " span class="price" { (money(price)) } }
                    " " span class="item-band" { (words::band(&item.band)) }
                }
            }
        }
    }
}

fn windows(drop: &PublicStatus) -> Markup {
    let status = &drop.message;
    html! {
        @if !status.windows.is_empty() {
            h2 { "Who may buy when" }
            ul class="windows" {
                @for window in &status.windows {
                    li {
                        span class="name" { (window.id) }
                        @if let Some(starts) = &window.starts_at {
                            ": from " (when::whole(instant(starts), &status.time_zone))
                        }
                        @if let Some(ends) = &window.ends_at { " to " (when::whole(instant(ends), &status.time_zone)) }
                    }
                }
            }
        }
    }
}

fn instant(at: &prost_types::Timestamp) -> Timestamp {
    let millis = at.seconds.saturating_mul(1000).saturating_add(i64::from(at.nanos / 1_000_000));
    Timestamp(u64::try_from(millis).unwrap_or_default())
}

/// An amount with its currency: two digits behind the point, but for currencies that have none or three.
fn money(price: &pb::Money) -> String {
    const WITHOUT: [&str; 15] =
        ["BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF"];
    const THREE: [&str; 7] = ["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];
    let pb::Money { currency_code, minor_units } = price;
    let digits = match currency_code.as_str() {
        code if WITHOUT.contains(&code) => return format!("{minor_units} {currency_code}"),
        code if THREE.contains(&code) => 3,
        _ => 2,
    };
    let unit = 10_i64.pow(digits);
    let (whole, rest) = (minor_units / unit, minor_units.checked_rem(unit).unwrap_or_default());
    let digits = usize::try_from(digits).unwrap_or_default();
    format!("{whole}.{rest:0digits$} {currency_code}")
}

/// The colors of the shop, as variables of the style. Only plain colors are taken.
fn theme(status: &pb::DropStatus) -> String {
    let is_color = |text: &&String| {
        let digits = text.strip_prefix('#').unwrap_or_default();
        matches!(digits.len(), 3 | 6) && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
    };
    let set = THEME.iter().filter_map(|(label, name)| {
        let color = status.labels.get(*label).filter(is_color)?;
        Some(format!("--stockade-{name}:{color};"))
    });
    let set: String = set.collect();
    if set.is_empty() { set } else { format!(":root:root{{{set}}}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_the_digits_of_their_currency() {
        let of = |code: &str, minor_units| money(&pb::Money { currency_code: code.into(), minor_units });
        assert_eq!([of("EUR", 12_905), of("JPY", 500), of("KWD", 1_500)], ["129.05 EUR", "500 JPY", "1.500 KWD"]);
    }

    #[test]
    fn only_plain_colors_get_into_the_style() {
        let of = |color: &str| {
            theme(&pb::DropStatus {
                labels: [("public.theme.accent".into(), color.into())].into(),
                ..Default::default()
            })
        };
        assert_eq!(of("#c0ffee"), ":root:root{--stockade-accent:#c0ffee;}");
        for bad in ["red", "#12", "#ggg", "#fff;}</style><script>", "url(x)"] {
            assert_eq!(of(bad), "", "{bad}");
        }
    }
}
