//! Rules of a drop, as tables: a definition, then calls in order, each with what it answers.
//!
//! A step is a line `second call -> answer`. Every scenario ends with a restart: the live engine, a replay and followers
//! from every cut must have the same state.

mod closings;
mod conduct;
mod corners;
mod definitions;
mod explained;
mod fired;
mod signals;
mod slots;
mod tables;

use std::fmt::Write as _;

use std::sync::Arc;
use stockade_engine::Engine;
use stockade_engine::answer::{DropView, Fault, Outcome, Stock};
use stockade_engine::attempt::Answer;
use stockade_engine::background::agenda::{Agenda, AgendaEntry};
use stockade_engine::command::{ExpiredPolicy, Extend, FireFlow, Release, Reserve, Return, Stage, Steer, WantedUnits};
use stockade_engine::context::Context;
use stockade_engine::verbs::explain::{Decision, Subject};
use stockade_types::definition::{Definition, Scarcity};
use stockade_types::ids::HoldId;
use stockade_types::record::{MarkKind, StockChange};
use stockade_types::time::{Millis, Timestamp};

use stockade_simulation::world::{
    AtOnce, Calls as _, START, World, adjust, claim, create, drop_id, extend, hold_id, restart, settle, sku, target,
    update,
};

/// Plays a scenario.
pub fn play(name: &str, sale: &Definition, script: &str) {
    let mut world = World::new();
    let (engine, _) = world.start();
    create(&engine, sale.clone(), START);
    let mut engine = Arc::new(engine);
    let mut agenda = Agenda::new(Arc::clone(&engine));
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (step, wanted) = line.split_once("->").unwrap_or_else(|| panic!("{name}: {line:?} has no answer"));
        let (second, call) = step.trim().split_once(' ').expect("a second and a call");
        let (whole, tenth) = second.split_once('.').unwrap_or((second, "0"));
        let number = |text: &str| text.parse::<u64>().expect("a number");
        world.now = START.plus(Millis(number(whole) * 1_000 + number(tenth) * 100));
        let words: Vec<&str> = call.split_whitespace().collect();
        if words == ["restart"] {
            drop(agenda);
            let old = Arc::into_inner(engine).expect("nobody else has it");
            let (new, live, replayed) = restart(old, &world, AtOnce::Each);
            assert_eq!(live, replayed, "{name}: {line}");
            engine = Arc::new(new);
            agenda = Agenda::new(Arc::clone(&engine));
            continue;
        }
        // Stops in order, and starts at a later second.
        if let ["outage", until] = &*words {
            drop(agenda);
            Arc::into_inner(engine).expect("nobody else has it").stop(world.now);
            world.now = START.plus(Millis::from_secs(number(until)));
            engine = Arc::new(world.start().0);
            agenda = Agenda::new(Arc::clone(&engine));
            continue;
        }
        // One agenda for as long as the engine runs: what it has seen counts at its next look.
        let entry = match &*words {
            ["levels"] => Some(AgendaEntry::StockLevels),
            ["sale"] => Some(AgendaEntry::Sale),
            _ => None,
        };
        if let Some(entry) = entry {
            agenda.run_entry(entry, world.now);
        }
        let answer = reported(&engine, &words, world.now);
        assert_eq!(answer, wanted.trim(), "{name}, step {line:?}");
    }
    drop(agenda);
    assert_eq!(engine.conservation_error(), 0, "{name}");
    let engine = Arc::into_inner(engine).expect("nobody else has it");
    let (_, live, replayed) = restart(engine, &world, AtOnce::Each);
    assert_eq!(live, replayed, "{name}: a restart knows something else");
}

fn reported(engine: &Arc<Engine>, words: &[&str], now: Timestamp) -> String {
    let context = Context::anonymous(now);
    let hold = |word: &str| hold_id(word.parse().expect("a number"));
    match words {
        ["reserve", n, customer, rest @ ..] => {
            let command = reserve(hold(n), customer, rest);
            answered(now, settle(|| engine.reserve(&command, context)).map(|decided| decided.value))
        }
        ["claim", n, rest @ ..] => {
            let order = rest.iter().find_map(|word| word.strip_prefix("as=")).unwrap_or("order");
            let mut command = claim(hold(n), order);
            command.lines = wanted(rest);
            if rest.contains(&"late") {
                command.expired = ExpiredPolicy::TakeFreeStock;
            }
            answered(now, settle(|| engine.claim(&command, context)).map(|decided| decided.value))
        }
        ["release", n, keep @ ..] => {
            let command = Release { target: target(hold(n)), keep: wanted(keep), abandon_payment: false };
            answered(now, value(engine.release(&command, context)))
        }
        ["return", n, rest @ ..] => {
            let (target, restock) = (target(hold(n)), rest.contains(&"restock"));
            answered(now, value(engine.return_units(&Return { target, returned: wanted(rest), restock }, context)))
        }
        ["pay", n] => {
            let command = Extend { stage: Some(Stage::Paying), ..extend(hold(n), None) };
            answered(now, value(engine.extend(&command, context)))
        }
        ["abandon", n] => {
            let command = Release { target: target(hold(n)), keep: Vec::new(), abandon_payment: true };
            answered(now, value(engine.release(&command, context)))
        }
        ["extend", n] => answered(now, value(engine.extend(&extend(hold(n), None), context))),
        ["fire", item, pool, to] => {
            let [pool, to] = [pool, to].map(|id| id.parse().expect("an id"));
            let command = FireFlow { drop: drop_id("d"), sku: sku(item), pool, to };
            shown(value(engine.fire_flow(&command, context)))
        }
        ["add", item, n, units] => {
            let command =
                adjust("d", item, n.parse().expect("a number"), StockChange::Delta(units.parse().expect("units")));
            shown(settle(|| engine.adjust_stock(&command, context)).map(|decided| decided.value))
        }
        ["look"] => {
            let mut agenda = Agenda::new(Arc::clone(engine));
            agenda.run_entry(AgendaEntry::StockLevels, now);
            drop(agenda);
            shown(value(engine.get_drop(&drop_id("d"), context)))
        }
        ["why", n] => why(engine, hold(n), context),
        ["show" | "levels" | "sale"] => shown(value(engine.get_drop(&drop_id("d"), context))),
        ["pause"] => shown(value(engine.steer(&drop_id("d"), Steer::Pause, context))),
        ["close"] => shown(value(engine.steer(&drop_id("d"), Steer::Close, context))),
        ["archive"] => format!("{:?}", engine.archive(now)),
        ["resume"] => shown(value(engine.steer(&drop_id("d"), Steer::Resume, context))),
        ["update", change] => {
            let change = definitions::change(change);
            shown(value(engine.update_drop(&update(engine, "d", now, change), context)))
        }
        other => panic!("no call: {other:?}"),
    }
}

fn value<T>(answer: Answer<T>) -> Result<T, Fault> {
    answer.map(|decided| decided.value).map_err(|decided| decided.value)
}

/// A reserve: `customer[,tier…][@zone…]`, then lines `units*SKU[/pool]`, then `partial`, `over`, `over-limits`,
/// `for=hold`, `card=value`, `ttl=s`.
fn reserve(id: HoldId, customer: &str, rest: &[&str]) -> Reserve {
    let (named, zones) = customer.split_once('@').unwrap_or((customer, ""));
    let mut tiers = named.split(',');
    let customer = tiers.next().expect("a name").parse().expect("a customer");
    let ids = |text: &str| text.split(',').filter(|id| !id.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let mut command = Reserve::new(id, drop_id("d"), customer, wanted(rest));
    command.tiers = tiers.map(|tier| tier.parse().expect("a tier")).collect();
    command.zones = ids(zones).iter().map(|zone| zone.parse().expect("a zone")).collect();
    command.allow_partial = rest.contains(&"partial");
    command.over_windows = rest.contains(&"over").then(|| "a friend".into());
    command.over_limits = rest.contains(&"over-limits").then(|| "a friend".into());
    for word in rest {
        if let Some(old) = word.strip_prefix("for=") {
            command.supersedes = Some(hold_id(old.parse().expect("a number")));
        } else if let Some(card) = word.strip_prefix("card=") {
            command.identities.push(("card".parse().expect("a kind"), card.into()));
        } else if let Some(seconds) = word.strip_prefix("ttl=") {
            command.ttl = Some(Millis::from_secs(seconds.parse().expect("seconds")));
        }
    }
    command
}

/// Lines as the edge makes them: ascending by SKU, named pools first.
fn wanted(words: &[&str]) -> Vec<WantedUnits> {
    let mut lines: Vec<WantedUnits> = words
        .iter()
        .filter_map(|word| word.split_once('*'))
        .enumerate()
        .map(|(place, (units, name))| {
            let (name, pool) = name.split_once('/').map_or((name, None), |(name, pool)| (name, Some(pool)));
            let pool = pool.map(|pool| pool.parse().expect("a pool"));
            WantedUnits { sku: sku(name), pool, units: units.parse().expect("units"), place }
        })
        .collect();
    lines.sort_by(|a, b| (&a.sku, a.pool.is_none(), &a.pool).cmp(&(&b.sku, b.pool.is_none(), &b.pool)));
    lines
}

/// A hold as `units*SKU/pool[ window][ terms=price]; …, for seconds`; a refusal as its reason, when to come again, and its
/// lines; a fault by its words.
fn answered(now: Timestamp, answer: Result<Outcome, Fault>) -> String {
    let mut text = String::new();
    match answer {
        Ok(Outcome::Hold(view)) => {
            let (names, definition) = (&view.definition.rules.names, &view.definition);
            let lines: Vec<String> = view
                .hold
                .shown_lines()
                .map(|line| {
                    let (sku, pool) = (definition.sku(line.item).as_str(), definition.pool(line.item, line.pool));
                    let window = names.window(line.pinned.window).map(|id| format!(" {id}")).unwrap_or_default();
                    let offer = names.offer(line.pinned.offer);
                    let price = offer.map(|(id, price)| format!(" {id}={}", price.minor_units)).unwrap_or_default();
                    format!("{}*{sku}/{pool}{window}{price}", line.quantity)
                })
                .collect();
            write!(text, "{}: {}", view.hold.state.label(), lines.join("; ")).expect("text");
            if view.hold.state.is_live() {
                write!(text, ", for {} s", now.until(view.hold.expires_at()).0 / 1_000).expect("text");
            }
            for short in view.short_lines() {
                write!(text, ", short {} of {}", short.available, short.requested).expect("text");
            }
        }
        Ok(Outcome::Refused(refusal)) => {
            text.push_str(refusal.reason.label());
            if let Some(limit) = &refusal.limit {
                write!(text, " {} {} of {}", limit.id, limit.used, limit.max).expect("text");
            }
            if let Some(after) = refusal.retry_after {
                write!(text, " for {} s", after.0 / 1_000).expect("text");
            }
            if refusal.may_come_back {
                text.push_str(", may come back");
            }
            for line in refusal.lines {
                let pool = line.pool.map(|pool| format!("/{pool}")).unwrap_or_default();
                write!(text, "; {}{pool} {} {} of {}", line.sku, line.reason.label(), line.available, line.requested)
                    .expect("text");
            }
        }
        Err(fault) => text = said(&fault),
    }
    text
}

/// The rule of the last refusal of a request with this id, and what it saw.
fn why(engine: &Engine, hold: HoldId, context: Context<'_>) -> String {
    let known = match value(engine.explain(&Subject::Hold(hold), context)) {
        Ok(known) => known,
        Err(fault) => return said(&fault),
    };
    let decisions = known.decisions([]);
    let Decision { operation, rule, facts, .. } = decisions.last().expect("a decision");
    let facts: Vec<String> = facts.iter().map(|(name, value)| format!(", {name} {value}")).collect();
    let facts = facts.concat();
    format!("{operation} by {} {}{facts}", rule.kind, rule.id).trim_end().to_owned()
}

fn said(fault: &Fault) -> String {
    if let Fault::Invalid(fields) = fault {
        let fields: Vec<&str> = fields.iter().map(|field| field.field.as_str()).collect();
        return format!("invalid {}", fields.join(" "));
    }
    fault.to_string()
}

/// The drop as `state: SKU/pool free+live+sold-withdrawn …`, with the marks that are set.
fn shown(answer: Result<DropView, Fault>) -> String {
    let view = match answer {
        Ok(view) => view,
        Err(fault) => return said(&fault),
    };
    let mut text = format!("{:?}:", view.state).to_lowercase();
    for (item, pools) in view.definition.items.iter().zip(&view.stock) {
        for (pool, stock) in item.pools.iter().zip(pools) {
            let Stock { received, free, held, paying, claimed, withdrawn, .. } = *stock;
            assert_eq!(received, free + held + paying + claimed + withdrawn, "conservation");
            write!(text, " {}/{} {free}+{}+{claimed}-{withdrawn}", item.sku, pool.id, held + paying).expect("text");
        }
    }
    for mark in view.marks.iter() {
        write!(text, " {}", mark.kind.label()).expect("text");
        let (names, sku) = (&view.definition.rules.names, |item| view.definition.sku(item));
        let at = START.until(mark.scheduled_for).0 / 100;
        if let MarkKind::Signal(number) = mark.kind {
            write!(text, ":{}@{}.{}", names.signal(number).expect("a name"), at / 10, at % 10).expect("text");
        } else if let MarkKind::SignalMissed(number) = mark.kind {
            write!(text, ":{}", names.signal(number).expect("a name")).expect("text");
        } else if let MarkKind::SoldOut(Some(item)) | MarkKind::BackInStock(Some(item)) = mark.kind {
            write!(text, ":{}", sku(item)).expect("text");
        } else if let MarkKind::Band(item, band) = mark.kind {
            let scarcity = view.definition.rules.scarcity.clone().unwrap_or(Scarcity::USUAL);
            write!(text, ":{}={}", sku(item), scarcity.name(band)).expect("text");
        }
    }
    text
}
