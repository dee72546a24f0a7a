//! A drop's plan in the order in which it comes, in the drop's time zone: who may buy what, from which pool, at which
//! price.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use stockade_proto as pb;

use super::output::{Output, table};
use super::show::{self, rules};
use crate::text::escaped;

/// Shown if there is no instant.
const NOTHING: &str = "-";

/// The drop's clock: its time zone, opening and closing.
pub(super) struct Calendar {
    /// None: UTC, shown as everywhere.
    zone: Option<TimeZone>,
    opens_at: Option<Timestamp>,
    closes_at: Option<Timestamp>,
}

impl Calendar {
    pub(super) fn of(drop: &pb::Drop) -> Self {
        let zone = (!drop.time_zone.is_empty()).then(|| TimeZone::get(&drop.time_zone).ok()).flatten();
        let at = |at: &Option<prost_types::Timestamp>| at.as_ref().and_then(parsed);
        Self { zone, opens_at: at(&drop.opens_at), closes_at: at(&drop.closes_at) }
    }

    /// An instant in the drop's time zone.
    pub(super) fn shown(&self, at: Option<Timestamp>) -> String {
        match (&self.zone, at) {
            (_, None) => NOTHING.to_owned(),
            (None, Some(at)) => format!("{at:.3}"),
            (Some(zone), Some(at)) => at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string(),
        }
    }

    /// When a moment comes.
    fn resolved(&self, moment: &pb::Moment) -> Option<Timestamp> {
        use pb::moment::When;
        let span = |span: &prost_types::Duration| jiff::SignedDuration::new(span.seconds, span.nanos);
        match moment.when.as_ref()? {
            When::At(at) => parsed(at),
            When::AfterOpen(after) => self.opens_at?.checked_add(span(after)).ok(),
            When::BeforeClose(before) => self.closes_at?.checked_sub(span(before)).ok(),
            When::Local(pb::LocalTime { days_after_open, time }) => {
                let zone = self.zone.clone().unwrap_or(TimeZone::UTC);
                let day = self.opens_at?.to_zoned(zone.clone()).date().checked_add(days_after_open.days()).ok()?;
                let time: jiff::civil::Time = time.parse().ok()?;
                zone.to_ambiguous_timestamp(day.to_datetime(time)).compatible().ok()
            }
        }
    }
}

fn parsed(at: &prost_types::Timestamp) -> Option<Timestamp> {
    Timestamp::new(at.seconds, at.nanos).ok()
}

/// What comes, and when.
struct Plan<'a> {
    calendar: &'a Calendar,
    /// What comes at an instant.
    dated: Vec<(Option<Timestamp>, String)>,
    /// What comes at a level of stock or by hand, with that.
    others: Vec<(String, String)>,
}

impl Plan<'_> {
    fn at(&mut self, at: Option<Timestamp>, what: String) {
        self.dated.push((at, what));
    }

    /// What starts at a moment, or with the drop.
    fn from(&mut self, moment: Option<&pb::Moment>, what: String) {
        let at = moment.map_or(self.calendar.opens_at, |moment| self.calendar.resolved(moment));
        self.at(at, what);
    }

    /// What ends at a moment, if it doesn't end with the drop.
    fn until(&mut self, moment: Option<&pb::Moment>, what: String) {
        if let Some(moment) = moment {
            self.at(self.calendar.resolved(moment), what);
        }
    }

    fn when(&mut self, trigger: Option<&pb::Trigger>, usual: &str, what: String) {
        match trigger.and_then(|trigger| trigger.on.as_ref()) {
            Some(pb::trigger::On::Moment(moment)) => self.from(Some(moment), what),
            Some(pb::trigger::On::Stock(_)) | None => self.others.push((rules::trigger(trigger, usual), what)),
        }
    }

    fn items(&mut self, drop: &pb::Drop) {
        for item in &drop.items {
            let pb::Item { sku, quantity, pools, slot, .. } = item;
            if let Some(pb::Slot { place, starts, ends, .. }) = slot {
                let place = if place.is_empty() { String::new() } else { format!(" at {}", escaped(place)) };
                self.from(
                    starts.as_ref(),
                    format!(
                        "slot {sku}{place} begins: {quantity} visits; it can't be reserved or claimed late any more"
                    ),
                );
                self.until(ends.as_ref(), format!("slot {sku} ends"));
            }
            if rules::is_general(item) {
                continue;
            }
            for pool in pools {
                let fired = |flow: &pb::Flow| flow.fired_at.as_ref().map(|_| " (it has)").unwrap_or_default();
                self.from(None, format!("pool {} of {sku}: {}", pool.id, rules::pool(pool)));
                for flow in &pool.flows {
                    let what = format!("pool {} of {sku} opens to those of pool {}{}", pool.id, flow.to, fired(flow));
                    self.when(flow.when.as_ref(), sku, what);
                }
            }
        }
    }

    fn windows(&mut self, drop: &pb::Drop) {
        for window in &drop.windows {
            self.from(window.starts.as_ref(), format!("window {} opens: {}", window.id, rules::allowed(window)));
            self.until(window.ends.as_ref(), format!("window {} closes", window.id));
        }
    }

    fn prices(&mut self, drop: &pb::Drop) {
        for terms in &drop.terms {
            self.from(terms.starts.as_ref(), format!("price {}: {}", terms.id, rules::offered(terms)));
            let usual = rules::names(&terms.skus, "all items");
            for step in &terms.steps {
                let fired = if step.fired_at.is_some() { " (it has)" } else { "" };
                let what = format!("price {} becomes {}{fired}", terms.id, rules::price(step.price.as_ref()));
                self.when(step.when.as_ref(), &usual, what);
            }
            self.until(terms.ends.as_ref(), format!("price {} ends", terms.id));
        }
    }

    fn tranches(&mut self, drop: &pb::Drop) {
        for tranche in &drop.tranches {
            let fired = if tranche.fired_at.is_some() { " (they came)" } else { "" };
            let what = format!("tranche {}: {}{fired}", tranche.id, rules::brought(tranche));
            self.when(tranche.when.as_ref(), "all goods", what);
        }
    }
}

impl Plan<'_> {
    fn signals(&mut self, drop: &pb::Drop) {
        for signal in &drop.signals {
            let fired = signal.fired_at.as_ref().map(|_| " (it was)").unwrap_or_default();
            let what = format!("signal {} {}{fired}", signal.id, rules::made_known(signal));
            self.when(signal.on.as_ref(), "all goods", what);
        }
    }
}

/// Whether a drop has more to tell than its opening, closing and limits.
pub(super) fn has_rules(drop: &pb::Drop) -> bool {
    let is_plain = |item: &pb::Item| rules::is_general(item) && item.slot.is_none();
    !drop.windows.is_empty()
        || !drop.terms.is_empty()
        || !drop.tranches.is_empty()
        || !drop.conduct.is_empty()
        || !drop.signals.is_empty()
        || drop.scarcity.is_some()
        || drop.slot_required
        || !drop.items.iter().all(is_plain)
}

/// Prints when units may be bought, by whom, and how many.
pub(super) fn timeline(output: &mut Output, drop: &pb::Drop) {
    let calendar = Calendar::of(drop);
    let mut plan = Plan { calendar: &calendar, dated: Vec::new(), others: Vec::new() };
    let goods = drop.items.iter().filter(|item| item.slot.is_none());
    let goods: Vec<_> = goods.map(|item| format!("{} of {}", item.quantity, item.sku)).collect();
    let whom = if drop.windows.is_empty() { "opens: everyone may reserve" } else { "opens:" };
    plan.from(None, format!("{whom} {}", goods.join(", ")));
    plan.items(drop);
    plan.windows(drop);
    plan.prices(drop);
    plan.tranches(drop);
    plan.signals(drop);
    if let Some(at) = calendar.closes_at {
        plan.at(Some(at), "closes: live holds can still be claimed".to_owned());
    }
    let Plan { mut dated, others, .. } = plan;
    // A stable sort: what comes at one instant stays in the order of the definition, the closing last.
    dated.sort_by_key(|(at, _)| *at);
    let mut rows = table(&["when", "what"]);
    for (at, what) in dated {
        rows.add_row([calendar.shown(at), what]);
    }
    for (when, what) in others {
        rows.add_row([when, what]);
    }
    let (ttl, life) = (show::span(drop.hold_ttl.as_ref()), show::span(drop.max_hold_life.as_ref()));
    rows.add_row(["from then on".to_owned(), format!("a hold lives {ttl}, {life} at most")]);
    let payment = show::span(drop.payment_ttl.as_ref());
    rows.add_row(["from then on".to_owned(), format!("a payment may take {payment}")]);
    if drop.slot_required {
        rows.add_row(["all the time".to_owned(), "goods are reserved with a pickup slot only".to_owned()]);
    }
    for limit in &drop.limits {
        rows.add_row(["all the time".to_owned(), format!("{}: {}", limit.id, show::limit(limit))]);
    }
    for rule in &drop.conduct {
        rows.add_row(["all the time".to_owned(), format!("{}: {}", rule.id, rules::conduct(rule))]);
    }
    if let Some(scarcity) = &drop.scarcity {
        rows.add_row(["all the time".to_owned(), rules::scarcity(scarcity)]);
    }
    if calendar.closes_at.is_none() {
        rows.add_row([NOTHING.to_owned(), "never closes by itself".to_owned()]);
    }
    output.table(rows);
}

/// Moves what a drop names by its calendar to another opening: by the clock on the wall of its time zone.
pub(super) fn moved(drop: &pb::Drop, opens_at: Timestamp) -> Option<pb::Drop> {
    let zone = Calendar::of(drop).zone.unwrap_or(TimeZone::UTC);
    let wall = |at: Timestamp| at.to_zoned(zone.clone()).datetime();
    let by = wall(opens_at).duration_since(wall(drop.opens_at.as_ref().and_then(parsed)?));
    let moved = |at: &prost_types::Timestamp| {
        let then = wall(parsed(at)?).checked_add(by).ok()?;
        let at = zone.to_ambiguous_timestamp(then).compatible().ok()?;
        Some(prost_types::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() })
    };
    let mut drop = drop.clone();
    drop.opens_at = Some(prost_types::Timestamp { seconds: opens_at.as_second(), nanos: opens_at.subsec_nanosecond() });
    if let Some(closes_at) = &mut drop.closes_at {
        *closes_at = moved(closes_at)?;
    }
    for moment in moments(&mut drop) {
        if let Some(pb::moment::When::At(at)) = &mut moment.when {
            *at = moved(at)?;
        }
    }
    Some(drop)
}

/// Every moment of a drop.
fn moments(drop: &mut pb::Drop) -> Vec<&mut pb::Moment> {
    let mut all: Vec<&mut pb::Moment> = Vec::new();
    for window in &mut drop.windows {
        all.extend(window.starts.iter_mut().chain(&mut window.ends));
    }
    for terms in &mut drop.terms {
        all.extend(terms.starts.iter_mut().chain(&mut terms.ends));
        all.extend(terms.steps.iter_mut().filter_map(|step| moment_of(step.when.as_mut())));
    }
    all.extend(drop.tranches.iter_mut().filter_map(|tranche| moment_of(tranche.when.as_mut())));
    all.extend(drop.signals.iter_mut().filter_map(|signal| moment_of(signal.on.as_mut())));
    for item in &mut drop.items {
        if let Some(slot) = &mut item.slot {
            all.extend(slot.starts.iter_mut().chain(&mut slot.ends));
        }
        let flows = item.pools.iter_mut().flat_map(|pool| &mut pool.flows);
        all.extend(flows.filter_map(|flow| moment_of(flow.when.as_mut())));
    }
    all
}

fn moment_of(trigger: Option<&mut pb::Trigger>) -> Option<&mut pb::Moment> {
    match trigger?.on.as_mut()? {
        pb::trigger::On::Moment(moment) => Some(moment),
        pb::trigger::On::Stock(_) => None,
    }
}
