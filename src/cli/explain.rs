//! `stockade explain`: each decision as a sentence, oldest first.

use std::time::Duration;

use stockade_client::Client;
use stockade_proto as pb;
use stockade_proto::explain_request::About;

use super::args::ExplainOptions;
use super::drop_file::proto_span;
use super::failure::Failure;
use super::output::Output;
use super::show::{instant, reason, wait};
use super::{Finding, json};
use crate::text::escaped;

/// Explains a hold, or a customer in a drop.
///
/// # Errors
/// If the server is not reached or answers with a status.
pub(super) async fn explain(options: &ExplainOptions, output: &mut Output) -> Result<Finding, Failure> {
    let ExplainOptions { hold, drop, customer, remote } = options;
    let about = match (hold, drop, customer) {
        (Some(hold), _, _) => About::HoldId(hold.clone()),
        (None, drop, customer) => About::Customer(pb::CustomerInDrop {
            drop_id: drop.clone().unwrap_or_default(),
            customer_id: customer.clone().unwrap_or_default(),
        }),
    };
    let request = pb::ExplainRequest { about: Some(about) };
    let answer = Client::connect(&remote.endpoint).await?.explain(request).await?;
    if remote.json {
        output.json(&json::text("ExplainResponse", &answer)?);
        return Ok(Finding::Well);
    }
    for decision in &answer.decisions {
        output.line(&format!("{}  {}", instant(decision.time.as_ref()), escaped(&sentence(decision))));
    }
    if answer.decisions.is_empty() {
        output.line("no decision is known");
    }
    let [changes, refusals] = [&answer.changes_since, &answer.refusals_since].map(|at| instant(at.as_ref()));
    output.line(&format!("complete for changes since {changes}, for refusals since {refusals}"));
    Ok(Finding::Well)
}

fn sentence(decision: &pb::Decision) -> String {
    match (&decision.refusal, &decision.hold) {
        (Some(refusal), _) => refused(decision, refusal),
        (None, Some(hold)) => done(decision, hold),
        (None, None) => format!("hold {}: {}", decision.hold_id, decision.operation),
    }
}

fn fact(decision: &pb::Decision, name: &str) -> i64 {
    decision.facts.get(name).copied().unwrap_or_default()
}

fn span(decision: &pb::Decision, name: &str) -> Option<String> {
    let millis = decision.facts.get(name)?;
    Some(wait(&proto_span(Duration::from_millis(u64::try_from(*millis).unwrap_or_default()))))
}

fn units(count: i64) -> String {
    if count == 1 { "1 unit".to_owned() } else { format!("{count} units") }
}

/// The hold's goods, with what they came through.
fn goods(hold: &pb::Hold) -> String {
    let line = |line: &pb::HoldLine| {
        let through =
            [("window", &line.window), ("price", &line.terms_id)].into_iter().filter(|(_, id)| !id.is_empty());
        let goods = format!("{}={} from pool {}", line.sku, line.quantity, line.pool);
        joined([goods].into_iter().chain(through.map(|(what, id)| format!("{what} {id}"))), ", ")
    };
    joined(hold.lines.iter().map(line), "; ")
}

fn joined(parts: impl IntoIterator<Item = String>, between: &str) -> String {
    parts.into_iter().collect::<Vec<_>>().join(between)
}

fn done(decision: &pb::Decision, hold: &pb::Hold) -> String {
    let (id, until) = (&decision.hold_id, instant(hold.expires_at.as_ref()));
    match decision.operation.as_str() {
        "reserve" => {
            let asked = decision.facts.get("requested").map(|asked| format!("of {} requested", units(*asked)));
            let over = [("over_limits", "over limits by staff"), ("over_windows", "over windows by staff")];
            let over = over.into_iter().filter(|(name, _)| decision.facts.contains_key(*name));
            let parts = [goods(hold)].into_iter().chain(asked).chain(over.map(|(_, words)| words.to_owned()));
            format!("hold {id} was made until {until}: {}", joined(parts, ", "))
        }
        "supersede" if hold.superseded_by.is_empty() => {
            format!("hold {id} replaced hold {} and is held until {until}: {}", decision.rule_id, goods(hold))
        }
        "supersede" => format!("hold {id} ended: hold {} replaced it", hold.superseded_by),
        "extend" if hold.state() == pb::HoldState::Paying => format!("hold {id} is in payment until {until}"),
        "extend" => format!("hold {id} is held until {until}"),
        "claim" => {
            let late = span(decision, "late_ms").map(|late| format!(", {late} after its deadline, from free stock"));
            let left = match fact(decision, "released") {
                0 => String::new(),
                released => format!("; {} went back", units(released)),
            };
            format!(
                "hold {id} was claimed for order {}: {}{}{left}",
                hold.order_ref,
                goods(hold),
                late.unwrap_or_default()
            )
        }
        "release" if hold.state() == pb::HoldState::Released => {
            format!("hold {id} was released: {} went back", units(fact(decision, "released")))
        }
        "release" => format!("hold {id} gave back {} and keeps {}", units(fact(decision, "released")), goods(hold)),
        "return" => format!("hold {id} was sold, and {} came back", units(fact(decision, "returned"))),
        "expire" => {
            let late = span(decision, "late_ms").unwrap_or_default();
            format!(
                "hold {id} expired {late} after its deadline {until}: {} went back",
                units(fact(decision, "released"))
            )
        }
        other => format!("hold {id}: {other}"),
    }
}

fn refused(decision: &pb::Decision, refusal: &pb::Refusal) -> String {
    let pb::Decision { operation, hold_id, rule_kind, rule_id, .. } = decision;
    let said =
        format!("{operation} of hold {hold_id} was refused as {}: {}", reason(refusal.reason()), refusal.message);
    let asked = || format!("{} requested", fact(decision, "requested"));
    let seen = match (rule_kind.as_str(), rule_id.is_empty()) {
        ("stock", _) if decision.facts.contains_key("free") => {
            Some(format!("{rule_id} had {} free, {}", fact(decision, "free"), asked()))
        }
        ("limit", false) if fact(decision, "max") > 0 => Some(format!(
            "limit {rule_id} had {} of {} used, {}",
            fact(decision, "used"),
            fact(decision, "max"),
            asked()
        )),
        ("window", true) => Some("no window is for this customer".to_owned()),
        ("terms", true) => Some("no price is for this customer".to_owned()),
        ("hold", _) if rule_id == hold_id => None,
        (_, true) => None,
        (kind, false) => Some(format!("{kind} {rule_id}")),
    };
    let again = refusal.retry_after.as_ref().map(|span| format!("worth asking again after {}", wait(span)));
    joined([said].into_iter().chain(seen).chain(again), "; ")
}
