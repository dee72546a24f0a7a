//! The engine's answers as text, in the form of the model's.

use stockade_engine::Engine;
use stockade_engine::answer::{Fault, HoldView, Outcome, RefusedLine};
use stockade_engine::attempt::Decided;
use stockade_engine::command::{ExpiredPolicy, Return, Stage};
use stockade_engine::context::Context;
use stockade_journal::Ticket;
use stockade_types::hold::HoldLine;
use stockade_types::ids::{PoolId, WindowId};
use stockade_types::time::{Millis, Timestamp};

use super::reserves::{Ask, shorts};
use super::state::line_text;
use super::words::{self, START, claim, extend, hold_id, release, settle};
use super::{Units, Verb};
use crate::world::Calls as _;

/// An answer as text, and the ticket that it waits for.
#[derive(Debug)]
pub struct Said {
    pub text: String,
    pub ticket: Option<Ticket>,
    /// The LSN of the record that made the hold as the answer shows it; set for a refusal too.
    pub shown: Option<u64>,
}

/// The engine's answer to a reserve.
pub fn reserved(engine: &Engine, ask: &Ask, now: Timestamp) -> Said {
    let command = ask.command();
    said(engine, engine.try_ask(&command, now), |view| show(view) + &shorts(view))
}

/// The engine's answer to a verb on a hold of this drop.
pub fn answered(engine: &Engine, verb: &Verb, drop: usize, now: Timestamp) -> Said {
    let lines = |units: &Units| words::wanted(drop, units);
    let answer = match verb {
        Verb::Extend { hold, ttl } => engine.try_ask(&extend(hold_id(*hold), ttl.map(Millis)), now),
        Verb::Stage { hold, paying } => {
            let mut command = extend(hold_id(*hold), None);
            command.stage = Some(if *paying { Stage::Paying } else { Stage::Held });
            engine.try_ask(&command, now)
        }
        Verb::Claim { hold, order, late, lines: claimed } => {
            let mut command = claim(hold_id(*hold), &order.to_string());
            command.expired = if *late { ExpiredPolicy::TakeFreeStock } else { ExpiredPolicy::Refuse };
            command.lines = lines(claimed);
            engine.try_ask(&command, now)
        }
        Verb::Release { hold, keep, abandon } => {
            let mut command = release(hold_id(*hold), &[]);
            (command.keep, command.abandon_payment) = (lines(keep), *abandon);
            engine.try_ask(&command, now)
        }
        Verb::Return { hold, returned, restock } => {
            let returned = lines(returned);
            let command = Return { target: words::target(hold_id(*hold)), returned, restock: *restock };
            engine.try_ask(&command, now)
        }
        Verb::Get { hold } => settle(|| engine.get_hold(hold_id(*hold), None, Context::anonymous(now)))
            .map(|decided| decided.map(Outcome::Hold)),
    };
    said(engine, answer, show)
}

fn said(engine: &Engine, answer: Result<Decided<Outcome>, Fault>, shown: impl Fn(&HoldView) -> String) -> Said {
    let text = match &answer {
        Err(Fault::NoHold(_)) => "not found".to_owned(),
        Err(Fault::Exists { field, .. }) => format!("exists {field}"),
        Err(Fault::Invalid(_)) => "invalid".to_owned(),
        Err(Fault::Precondition(_)) => "precondition".to_owned(),
        Err(fault) => format!("{fault:?}"),
        Ok(Decided { value: Outcome::Hold(view), .. }) => shown(view),
        Ok(Decided { value: Outcome::Refused(refusal), .. }) => {
            let lines: Vec<_> = refusal.lines.iter().map(line_of_refusal).collect();
            let retry = refusal.retry_after.map(|span| span.0);
            let limit = refusal.limit.as_ref().map(|limit| format!("{} {}/{}", limit.id, limit.used, limit.max));
            let back = if refusal.may_come_back { " may come back" } else { "" };
            let reported = match limit {
                Some(limit) => format!("{} {lines:?} {limit} retry {retry:?}{back}", refusal.reason.label()),
                None => format!("{} {lines:?} retry {retry:?}{back}", refusal.reason.label()),
            };
            match &refusal.hold {
                Some(view) if lines.is_empty() => format!("{} [{}]", refusal.reason.label(), show(view)),
                Some(view) => format!("{reported} [{}]", show(view)),
                None => reported,
            }
        }
    };
    let shown = match &answer {
        Ok(Decided { value: Outcome::Hold(view), .. }) => Some(view),
        Ok(Decided { value: Outcome::Refused(refusal), .. }) => refusal.hold.as_ref(),
        Err(_) => None,
    };
    let shown = shown.map(|view| view.hold.revision.0);
    let ticket = answer.ok().map(|answer| engine.journal().ticket(answer.durable_after));
    Said { text, ticket, shown }
}

fn line_of_refusal(line: &RefusedLine) -> String {
    let RefusedLine { sku, reason, requested, available, pool } = line;
    words::refused_line(sku.as_str(), pool.as_ref().map(PoolId::as_str), reason.label(), (*available, *requested))
}

pub fn show(view: &HoldView) -> String {
    let (hold, definition) = (&view.hold, &view.definition);
    let names = &definition.rules.names;
    let line = |line: HoldLine| {
        let place = (definition.sku(line.item).as_str(), definition.pool(line.item, line.pool).as_str());
        let price = names.offer(line.pinned.offer).map(|(terms, price)| (terms.as_str(), price.minor_units));
        line_text(line.quantity, place, (names.window(line.pinned.window).map(WindowId::as_str), price))
    };
    let lines: Vec<_> = hold.shown_lines().map(line).collect();
    let until = if hold.state.is_live() { START.until(hold.expires_at()).0 } else { 0 };
    format!("{:?} {lines:?} until {until} by {:?}", hold.state, hold.superseded_by())
}
