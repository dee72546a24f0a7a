//! Samples of events: one for each type, with every part that such an event may have.

use std::collections::HashMap;

use prost_types::Timestamp;
use stockade_feed::{Filter, Kind, PREFIX};
use stockade_proto as pb;

/// A title with what must be escaped in JSON.
const TITLE: &str = "Sample \"drop\" \\ of bowls & cups";

/// A sample of each type of event that a filter lets through.
#[must_use]
pub fn samples(filter: &Filter) -> Vec<pb::Event> {
    Kind::ALL.into_iter().filter(|kind| filter.has(*kind)).map(of).collect()
}

/// A sample of one type.
fn of(kind: Kind) -> pb::Event {
    let name = kind.name();
    let is_public = ["drop.", "window.", "signal."].iter().any(|prefix| name.starts_with(prefix));
    let is_signal = name.starts_with("signal.");
    let has_drop = !["engine.", "series."].iter().any(|prefix| name.starts_with(prefix));
    let at = Some(Timestamp { seconds: 1_796_403_600, nanos: 0 });
    pb::Event {
        id: format!("0000000000000000-0-{}-sample", kind.what()),
        time: at,
        scheduled_for: at,
        r#type: format!("{PREFIX}{name}"),
        shop: "default".to_owned(),
        drop_id: if has_drop { "sample-drop".to_owned() } else { String::new() },
        sku: "SAMPLE".to_owned(),
        name: "sample".to_owned(),
        hold: name.starts_with("hold.").then(hold),
        drop: is_public.then(status),
        audience: is_public.then(|| pb::Audience { tiers: vec!["members".to_owned()], zones: Vec::new() }),
        channels: if is_signal { vec!["sample".to_owned()] } else { Vec::new() },
        labels: if is_signal { text("text") } else { HashMap::new() },
        lsn: 1,
        to: "sample".to_owned(),
        price: name.starts_with("terms.").then(price),
        cause: "sample".to_owned(),
        ..pb::Event::default()
    }
}

fn text(key: &str) -> HashMap<String, String> {
    HashMap::from([(key.to_owned(), "sample".to_owned())])
}

fn price() -> pb::Money {
    pb::Money { currency_code: "EUR".to_owned(), minor_units: 1_200 }
}

fn hold() -> pb::Hold {
    pb::Hold {
        id: "00000000-0000-0000-0000-000000000000".to_owned(),
        drop_id: "sample-drop".to_owned(),
        state: pb::HoldState::Held.into(),
        ..pb::Hold::default()
    }
}

fn status() -> pb::DropStatus {
    let item = pb::ItemStatus { sku: "SAMPLE".to_owned(), band: "few".to_owned(), ..pb::ItemStatus::default() };
    pb::DropStatus {
        drop_id: "sample-drop".to_owned(),
        shop: "default".to_owned(),
        series: "sample".to_owned(),
        title: TITLE.to_owned(),
        state: pb::DropState::Open.into(),
        opens_at: Some(Timestamp { seconds: 1_796_403_600, nanos: 0 }),
        closes_at: None,
        time_zone: "Europe/Berlin".to_owned(),
        location: "Sample street 1".to_owned(),
        items: vec![item],
        labels: text("public.text"),
        version: "sample".to_owned(),
        ..pb::DropStatus::default()
    }
}
