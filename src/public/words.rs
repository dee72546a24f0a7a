//! A drop in words: its state, its band, and the time to its opening.

use stockade_engine::answer::DropState;
use stockade_proto as pb;
use stockade_types::time::{Millis, Timestamp};

use crate::grpc::PublicStatus;

/// The band of an item without a free unit.
const SOLD_OUT: &str = "sold_out";

/// The state as pages have it: an archived drop is closed.
pub(super) const fn state(state: DropState) -> &'static str {
    match state {
        DropState::Scheduled => "scheduled",
        DropState::Open => "open",
        DropState::Paused => "paused",
        DropState::Closed | DropState::Archived => "closed",
        DropState::Cancelled => "cancelled",
    }
}

/// A band for people.
pub(super) fn band(id: &str) -> String {
    id.replace('_', " ")
}

/// The band of the drop as a whole: that of the first item for sale that is not sold out. Slots count only if there is
/// nothing else.
pub(super) fn band_of_all(status: &pb::DropStatus) -> &str {
    let goods = || status.items.iter().filter(|item| item.kind() != pb::ItemKind::Slot);
    let free = |item: &&pb::ItemStatus| item.band != SOLD_OUT;
    let best = if goods().next().is_some() {
        goods().find(free).or_else(|| goods().next())
    } else {
        status.items.iter().find(free).or_else(|| status.items.first())
    };
    best.map_or(SOLD_OUT, |item| item.band.as_str())
}

/// Whether nothing of it is left for now.
pub(super) fn is_sold_out(status: &pb::DropStatus) -> bool {
    band_of_all(status) == SOLD_OUT
}

/// The title, or the id of a drop without one.
pub(super) fn title(status: &pb::DropStatus) -> &str {
    if status.title.is_empty() { &status.drop_id } else { &status.title }
}

/// What is to be said of the drop, in a few words.
pub(super) fn message(drop: &PublicStatus, now: Timestamp) -> String {
    match drop.state {
        DropState::Scheduled => format!("opens in {}", rest(now.until(drop.opens_at))),
        DropState::Open => band(band_of_all(&drop.message)),
        DropState::Paused => "paused".to_owned(),
        DropState::Closed | DropState::Archived => "closed".to_owned(),
        DropState::Cancelled => "cancelled".to_owned(),
    }
}

/// A span in its two largest units, rounded down: `3 d 4 h`, `12 min 5 s`. Under a minute in seconds, rounded up.
pub(super) fn rest(span: Millis) -> String {
    const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)];
    let seconds = span.0.div_ceil(1000);
    let Some(largest) = UNITS.iter().position(|(_, unit)| seconds >= *unit) else { return "0 s".to_owned() };
    let mut left = seconds;
    let mut words = Vec::new();
    for (name, unit) in UNITS.iter().skip(largest).take(2) {
        let count = left / unit;
        left = left.saturating_sub(count.saturating_mul(*unit));
        if count > 0 {
            words.push(format!("{count} {name}"));
        }
    }
    words.join(" ")
}

/// A link of a shop, if it is one that a browser may follow: `http` or `https` with a host.
pub(super) fn link(text: &str) -> Option<&str> {
    let address = text.parse::<hyper::Uri>().ok()?;
    let is_web = matches!(address.scheme_str(), Some("http" | "https"));
    (is_web && address.host().is_some_and(|host| !host.is_empty())).then_some(text)
}

/// Where to buy, from the drop's label `public.buy_url`; none if it has none that is a link.
pub(super) fn buy_url(status: &pb::DropStatus) -> Option<&str> {
    link(status.labels.get("public.buy_url")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_said_in_its_two_largest_units() {
        let of = |seconds: u64| rest(Millis::from_secs(seconds));
        let spans = [0, 1, 59, 60, 61, 3_600, 3_725, 90_000, 273_600].map(of);
        let words = ["0 s", "1 s", "59 s", "1 min", "1 min 1 s", "1 h", "1 h 2 min", "1 d 1 h", "3 d 4 h"];
        assert_eq!(spans, words);
        assert_eq!(rest(Millis(1)), "1 s", "never 0 before the opening");
    }

    #[test]
    fn only_links_to_the_web_are_followed() {
        for good in ["https://shop.example/knife?a=1", "http://shop.example:8080/"] {
            assert_eq!(link(good), Some(good));
        }
        for bad in [
            "javascript:alert(1)",
            "data:text/html,x",
            "/knife",
            "https://",
            "mailto:a@b",
            "//shop.example",
            "https:knife",
            "https://a b",
            "",
        ] {
            assert_eq!(link(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_band_of_all_is_that_of_the_first_item_that_is_left() {
        let item = |band: &str, kind: pb::ItemKind| pb::ItemStatus {
            band: band.into(),
            kind: kind.into(),
            ..Default::default()
        };
        let of = |items: Vec<pb::ItemStatus>| band_of_all(&pb::DropStatus { items, ..Default::default() }).to_owned();
        let (goods, slot) = (pb::ItemKind::Goods, pb::ItemKind::Slot);
        assert_eq!(of(vec![item("sold_out", goods), item("last_few", goods)]), "last_few");
        assert_eq!(of(vec![item("available", slot), item("sold_out", goods)]), "sold_out", "a slot is no good");
        assert_eq!(of(vec![item("sold_out", slot), item("half", slot)]), "half");
        assert_eq!(of(vec![]), "sold_out");
    }
}
