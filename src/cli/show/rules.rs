//! A drop's rules in words.

use stockade_proto as pb;

use super::{instant, span};
use crate::cli::drop_file::shown_money;
use crate::text::escaped;

/// Whom a rule is for.
pub(in crate::cli) fn audience(audience: Option<&pb::Audience>) -> String {
    let named = |what: &str, names: &[String]| match names {
        [] => None,
        [name] => Some(format!("{what} {name}")),
        names => Some(format!("{what}s {}", names.join(" or "))),
    };
    let none = pb::Audience::default();
    let pb::Audience { tiers, zones } = audience.unwrap_or(&none);
    let parts: Vec<_> = [named("tier", tiers), named("zone", zones)].into_iter().flatten().collect();
    if parts.is_empty() { "everyone".to_owned() } else { parts.join(" in ") }
}

/// An amount of money.
pub(in crate::cli) fn price(price: Option<&pb::Money>) -> String {
    price.map_or_else(|| super::NOTHING.to_owned(), shown_money)
}

/// A moment as it is defined.
pub(in crate::cli) fn moment(moment: &pb::Moment) -> String {
    use pb::moment::When;
    match &moment.when {
        Some(When::At(at)) => instant(Some(at)),
        Some(When::AfterOpen(after)) if *after == prost_types::Duration::default() => "at the opening".to_owned(),
        Some(When::AfterOpen(pb_span)) if pb_span.seconds < 0 || pb_span.nanos < 0 => {
            let (seconds, nanos) = (pb_span.seconds.saturating_neg(), pb_span.nanos.saturating_neg());
            format!("{} before the opening", span(Some(&prost_types::Duration { seconds, nanos })))
        }
        Some(When::AfterOpen(after)) => format!("{} after the opening", span(Some(after))),
        Some(When::BeforeClose(before)) if *before == prost_types::Duration::default() => "at the closing".to_owned(),
        Some(When::BeforeClose(before)) => format!("{} before the closing", span(Some(before))),
        Some(When::Local(pb::LocalTime { days_after_open: 0, time })) => format!("{time} on the day of the opening"),
        Some(When::Local(pb::LocalTime { days_after_open, time })) => {
            let (days, which) = (days_after_open.unsigned_abs(), if *days_after_open < 0 { "before" } else { "after" });
            let many = if days == 1 { "" } else { "s" };
            format!("{time}, {days} day{many} {which} that of the opening")
        }
        None => super::NOTHING.to_owned(),
    }
}

/// A trigger as it is defined; `usual` is what a level of stock without a SKU is about.
pub(in crate::cli) fn trigger(trigger: Option<&pb::Trigger>, usual: &str) -> String {
    use pb::stock_level::Level;
    use pb::trigger::On;
    let level = match trigger.and_then(|trigger| trigger.on.as_ref()) {
        None => return "by hand".to_owned(),
        Some(On::Moment(at)) => return moment(at),
        Some(On::Stock(level)) => level,
    };
    let pb::StockLevel { sku, pool, level } = level;
    let of = if sku.is_empty() { usual } else { sku.as_str() };
    let of = if pool.is_empty() { of.to_owned() } else { format!("pool {pool} of {of}") };
    match level {
        Some(Level::FreeAtMost(most)) => format!("at most {most} of {of} free"),
        Some(Level::SoldBasisPoints(points)) => format!("{} of {of} sold", percent(*points)),
        Some(Level::TakenBasisPoints(points)) => format!("{} of {of} taken", percent(*points)),
        None => super::NOTHING.to_owned(),
    }
}

/// Basis points such as `12%` or `12.5%`.
pub(in crate::cli) fn percent(points: u32) -> String {
    match (points / 100, points % 100) {
        (whole, 0) => format!("{whole}%"),
        (whole, part) if part % 10 == 0 => format!("{whole}.{}%", part / 10),
        (whole, part) => format!("{whole}.{part:02}%"),
    }
}

/// The names, or this word if there are none.
pub(in crate::cli) fn names(names: &[String], none: &str) -> String {
    if names.is_empty() { none.to_owned() } else { names.join(", ") }
}

fn pools(pools: &[String]) -> String {
    if pools.is_empty() { String::new() } else { format!(" from pool {}", pools.join(" or ")) }
}

fn bounds(starts: Option<&pb::Moment>, ends: Option<&pb::Moment>) -> String {
    let from = starts.map(|at| format!(", from {}", moment(at))).unwrap_or_default();
    let until = ends.map(|at| format!(", until {}", moment(at))).unwrap_or_default();
    format!("{from}{until}")
}

/// What a window allows.
pub(in crate::cli) fn allowed(window: &pb::Window) -> String {
    let pb::Window { audience: whom, skus, pools: through, hold_ttl, .. } = window;
    let ttl = hold_ttl.as_ref().map(|ttl| format!(", for {}", span(Some(ttl)))).unwrap_or_default();
    format!("{} may reserve {}{}{ttl}", audience(whom.as_ref()), names(skus, "everything"), pools(through))
}

/// A window in words.
pub(in crate::cli) fn window(window: &pb::Window) -> String {
    format!("{}{}", allowed(window), bounds(window.starts.as_ref(), window.ends.as_ref()))
}

/// What terms offer, before any step.
pub(in crate::cli) fn offered(terms: &pb::Terms) -> String {
    let pb::Terms { audience: whom, skus, price: of, pools: through, .. } = terms;
    let goods = names(skus, "everything");
    format!("{} for {goods}{}, for {}", price(of.as_ref()), pools(through), audience(whom.as_ref()))
}

/// Terms in words.
pub(in crate::cli) fn terms(terms: &pb::Terms) -> String {
    let usual = names(&terms.skus, "all items");
    let step = |step: &pb::PriceStep| {
        format!("; {} from: {}", price(step.price.as_ref()), trigger(step.when.as_ref(), &usual))
    };
    let steps: String = terms.steps.iter().map(step).collect();
    format!("{}{}{steps}", offered(terms), bounds(terms.starts.as_ref(), terms.ends.as_ref()))
}

/// What a tranche brings.
pub(in crate::cli) fn brought(tranche: &pb::Tranche) -> String {
    let pb::Tranche { sku, pool, units, .. } = tranche;
    let into = if pool.is_empty() { String::new() } else { format!(" into pool {pool}") };
    format!("{units} more of {sku}{into}")
}

/// A tranche in words.
pub(in crate::cli) fn tranche(tranche: &pb::Tranche) -> String {
    format!("{}: {}", brought(tranche), trigger(tranche.when.as_ref(), "all goods"))
}

/// What a signal makes known, to whom and over which channels.
pub(in crate::cli) fn made_known(signal: &pb::Signal) -> String {
    let pb::Signal { audience: whom, channels, repeat_after, .. } = signal;
    let over = if channels.is_empty() { String::new() } else { format!(" over {}", escaped(&channels.join(", "))) };
    let again = repeat_after.as_ref().map(|after| format!(", again after {}", span(Some(after)))).unwrap_or_default();
    format!("is made known to {}{over}{again}", audience(whom.as_ref()))
}

/// A signal in words.
pub(in crate::cli) fn signal(signal: &pb::Signal) -> String {
    let mut labels: Vec<_> = signal.labels.iter().map(|(key, value)| format!("{key}={value:?}")).collect();
    labels.sort();
    let labels = if labels.is_empty() { String::new() } else { format!(", with {}", labels.join(" ")) };
    let valid = signal.valid_for.as_ref().map(|span| format!(", {} late at most", super::span(Some(span))));
    let on = trigger(signal.on.as_ref(), "all goods");
    format!("{}{}{labels}: {on}", made_known(signal), valid.unwrap_or_default())
}

/// What the public sees of the stock.
pub(in crate::cli) fn scarcity(scarcity: &pb::Scarcity) -> String {
    let pb::Scarcity { bands, min_interval } = scarcity;
    let band = |band: &pb::Band| match band.min_free_basis_points {
        0 => format!("{} for nothing free", band.id),
        points => format!("{} from {} free on", band.id, percent(points)),
    };
    let usual = || "available from one unit on, sold_out for nothing free".to_owned();
    let bands = if bands.is_empty() { usual() } else { bands.iter().map(band).collect::<Vec<_>>().join(", ") };
    format!("the public sees {bands}; each for {} at least", span(min_interval.as_ref()))
}

/// A rule of conduct in words.
pub(in crate::cli) fn conduct(rule: &pb::ConductRule) -> String {
    let pb::ConductRule { identity_kind, counts: _, at_least, within, audience: whom, hold_ttl, cooldown, .. } = rule;
    let subject = if ["", "customer"].contains(&identity_kind.as_str()) { "customer" } else { identity_kind };
    let deeds = match rule.counts() {
        pb::Conduct::UnclaimedHolds => "unclaimed hold",
        pb::Conduct::Cancellations => "cancellation",
        pb::Conduct::Chargebacks => "chargeback",
        pb::Conduct::Returns => "return",
        pb::Conduct::Unspecified => super::NOTHING,
    };
    let whom = whom.as_ref().map(|whom| format!(", for {}", audience(Some(whom)))).unwrap_or_default();
    let cost = [
        hold_ttl.as_ref().map(|ttl| format!("holds of {} at most", span(Some(ttl)))),
        rule.max_live_units.map(|most| format!("{} on hold at most", plural(most, "unit"))),
        rule.max_units.map(|most| format!("{} at most", plural(most, "unit"))),
        cooldown.as_ref().map(|pause| format!("{} between two reserves", span(Some(pause)))),
    ];
    let cost: Vec<String> = cost.into_iter().flatten().collect();
    format!("a {subject} with {} within {}{whom}: {}", plural(*at_least, deeds), days(within.as_ref()), cost.join(", "))
}

/// A number of things.
fn plural(count: u32, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// A span in days if it is whole days, for months are of different lengths.
fn days(of: Option<&prost_types::Duration>) -> String {
    const DAY: i64 = 24 * 60 * 60;
    match of {
        Some(prost_types::Duration { seconds, nanos: 0 }) if *seconds > DAY && seconds % DAY == 0 => {
            format!("{} days", seconds / DAY)
        }
        of => span(of),
    }
}

/// A pool in words, without its flows.
pub(in crate::cli) fn pool(pool: &pb::Pool) -> String {
    use pb::pool::Size;
    let size = match pool.size {
        Some(Size::Units(units)) => format!("{units} units"),
        Some(Size::ShareBasisPoints(points)) => percent(points),
        None => "the rest".to_owned(),
    };
    let pb::Pool { audience: whom, place, .. } = pool;
    let place =
        if place.is_empty() { String::new() } else { format!(", only by its name, picked up at {}", escaped(place)) };
    format!("{size} for {}{place}", audience(whom.as_ref()))
}

/// An item in words.
pub(in crate::cli) fn item(item: &pb::Item) -> String {
    let flow = |flow: &pb::Flow| format!("; opens to {}: {}", flow.to, trigger(flow.when.as_ref(), &item.sku));
    let of_pool =
        |of: &pb::Pool| format!("pool {}: {}{}", of.id, pool(of), of.flows.iter().map(flow).collect::<String>());
    let mut parts = vec![item.quantity.to_string()];
    if !is_general(item) {
        parts.extend(item.pools.iter().map(of_pool));
    }
    if let Some(pb::Slot { place, starts, ends, .. }) = &item.slot {
        parts.push(format!("slot at {}{}", escaped(place), bounds(starts.as_ref(), ends.as_ref())));
    }
    for (name, money) in [("price_floor", &item.price_floor), ("unit_cost", &item.unit_cost)] {
        parts.extend(money.as_ref().map(|money| format!("{name} {}", shown_money(money))));
    }
    parts.join(", ")
}

/// Whether the item has the one pool of an item that names none.
pub(in crate::cli) fn is_general(item: &pb::Item) -> bool {
    let general = |pool: &pb::Pool| {
        let pb::Pool { id, audience: whom, size, flows, place, stock: _ } = pool;
        let all = size.is_none_or(|size| size == pb::pool::Size::Units(item.quantity));
        id == "general" && whom.is_none() && flows.is_empty() && place.is_empty() && all
    };
    item.pools.len() <= 1 && item.pools.iter().all(general)
}
