//! `stockade events tail`: prints a line for each event, until it is interrupted or the server ends the stream.

use std::time::Duration;

use stockade_client::{Client, Events};
use stockade_proto as pb;

use super::args::TailOptions;
use super::failure::Failure;
use super::output::Output;
use super::show::{instant, rules, short, stock_words};
use super::{Finding, json};
use crate::server::stop_requested;
use crate::text::escaped;

/// How often to check whether the output is still read.
const TICK: Duration = Duration::from_secs(1);
/// The prefix of all types.
const PREFIX: &str = "stockade.";

/// Prints events as they happen.
///
/// # Errors
/// If the server is not reached, answers with a status, or ends the stream with one.
pub(super) async fn tail(options: &TailOptions, output: &mut Output) -> Result<Finding, Failure> {
    let stop = stop_requested().map_err(Failure::Machine)?;
    let client = Client::connect(&options.remote.endpoint).await?;
    let mut events = client.read_events(request(options)).await?;
    tokio::select! {
        ended = print(&mut events, options.remote.json, output) => ended?,
        () = stop => {}
    }
    Ok(Finding::Well)
}

fn request(options: &TailOptions) -> pb::ReadEventsRequest {
    let TailOptions { types, names, channels, drop, after, from_oldest, with_customers, with_stock, remote: _ } =
        options;
    let types = if types.is_empty() { vec!["*".to_owned()] } else { types.clone() };
    let filter = pb::EventFilter {
        types,
        drop_id: drop.clone().unwrap_or_default(),
        names: names.clone(),
        channels: channels.clone(),
        ..pb::EventFilter::default()
    };
    pb::ReadEventsRequest {
        after: after.clone().unwrap_or_default(),
        filter: Some(filter),
        follow: true,
        from_now: after.is_none() && !from_oldest,
        max_events: 0,
        with_customers: *with_customers,
        with_stock: *with_stock,
    }
}

/// Runs until the stream ends, or the output is not read any more.
async fn print(events: &mut Events, as_json: bool, output: &mut Output) -> Result<(), Failure> {
    let mut ticks = tokio::time::interval(TICK);
    while !output.is_gone() {
        let message = tokio::select! {
            message = events.next() => message?,
            _ = ticks.tick() => continue,
        };
        let Some(message) = message else { break };
        for event in &message.events {
            output.line(&if as_json { json::line("Event", event)? } else { one_line(event) });
        }
    }
    Ok(())
}

/// An event in one line.
fn one_line(event: &pb::Event) -> String {
    let mut words = vec![instant(event.time.as_ref()), event.lsn.to_string()];
    words.push(event.r#type.strip_prefix(PREFIX).unwrap_or(&event.r#type).to_owned());
    words.extend([&event.drop_id, &event.sku, &event.name].into_iter().filter(|id| !id.is_empty()).cloned());
    words.extend((!event.to.is_empty()).then(|| format!("to={}", event.to)));
    words.extend(event.price.as_ref().map(|price| format!("price={}", rules::price(Some(price)))));
    if let Some(hold) = &event.hold {
        words.extend([hold.id.clone(), short(hold.state().as_str_name(), "HOLD_STATE_").to_owned()]);
        words.extend([&hold.customer_id, &hold.order_ref].into_iter().filter(|id| !id.is_empty()).cloned());
    }
    if let Some(drop) = &event.drop {
        words.push(short(drop.state().as_str_name(), "DROP_STATE_").to_owned());
    }
    words.extend((!event.channels.is_empty()).then(|| format!("over={}", event.channels.join(","))));
    words.extend(event.moved.iter().map(moved));
    words.extend(event.stock.as_ref().map(stock_words));
    let mut labels: Vec<_> = event.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    labels.sort();
    words.extend(labels);
    escaped(&words.join(" ")).into_owned()
}

fn moved(line: &pb::HoldLine) -> String {
    let parts = [("", line.quantity), ("released=", line.released), ("returned=", line.returned)];
    let parts = parts.into_iter().filter(|(_, units)| *units > 0).map(|(what, units)| format!("{what}{units}"));
    format!("{}:{}", line.sku, parts.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let hold = pb::Hold {
            id: "h1".into(),
            state: pb::HoldState::Claimed.into(),
            customer_id: "a\x1bda".into(),
            ..pb::Hold::default()
        };
        let line = pb::HoldLine { sku: "KNIFE".into(), quantity: 2, released: 1, ..pb::HoldLine::default() };
        let event = pb::Event {
            time: Some(prost_types::Timestamp { seconds: 1, nanos: 500_000_000 }),
            r#type: "stockade.hold.claimed".into(),
            drop_id: "knife".into(),
            lsn: 7,
            hold: Some(hold),
            moved: vec![line],
            ..pb::Event::default()
        };
        let printed = one_line(&event);
        assert!(printed.starts_with("1970-01-01T00:00:01.500Z 7 hold.claimed knife h1 CLAIMED a"), "{printed}");
        assert!(printed.ends_with("da KNIFE:2,released=1") && !printed.contains('\x1b'), "{printed}");
        let restarted = pb::Event {
            r#type: "stockade.engine.restarted".into(),
            labels: [("stopped_at", "x"), ("grace_until", "y")].map(|(k, v)| (k.into(), v.into())).into(),
            ..pb::Event::default()
        };
        assert_eq!(one_line(&restarted), "- 0 engine.restarted grace_until=y stopped_at=x");
        let flowed = pb::Event {
            r#type: "stockade.pool.flowed".into(),
            drop_id: "knife".into(),
            sku: "KNIFE".into(),
            name: "members".into(),
            to: "general".into(),
            ..pb::Event::default()
        };
        assert_eq!(one_line(&flowed), "- 0 pool.flowed knife KNIFE members to=general");
        let price = Some(pb::Money { currency_code: "EUR".into(), minor_units: 1_250 });
        let stepped = pb::Event { r#type: "stockade.terms.stepped".into(), name: "usual".into(), price, ..flowed };
        assert!(one_line(&stepped).ends_with(" usual to=general price=12.50 EUR"), "{}", one_line(&stepped));
    }
}
