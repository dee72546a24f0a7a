//! Moments, triggers and amounts of money.

use stockade_proto as pb;
use stockade_types::definition::{
    BASIS_POINTS, Currency, LOCAL_DAYS_MAX, Level, Moment, Money, Named, StockLevel, Trigger,
};

use super::super::faults::Faults;
use super::super::fields::{instant, optional_id, wait};
use super::reach::Listed;

/// A moment, if one is set; `None` with a fault recorded if it is faulty.
pub(in crate::grpc::convert) fn moment(
    faults: &mut Faults,
    path: &str,
    given: Option<&pb::Moment>,
    closes: bool,
) -> Option<Moment> {
    use pb::moment::When;
    let named = match &given?.when {
        None => {
            faults.invalid(path, "one of at, after_open, before_close and local must be set");
            None
        }
        Some(When::At(at)) => instant(faults, format_args!("{path}.at"), Some(at)).map(Named::At),
        Some(When::AfterOpen(span)) => {
            let span = wait(faults, format_args!("{path}.after_open"), *span)?;
            i64::try_from(span.0).ok().map(Named::AfterOpening)
        }
        Some(When::BeforeClose(span)) => {
            let field = format!("{path}.before_close");
            if !closes {
                faults.invalid(&field, "needs a drop with closes_at");
            }
            wait(faults, field, *span).map(Named::BeforeClosing)
        }
        Some(When::Local(local)) => local_time(faults, &format!("{path}.local"), local),
    };
    named.map(Moment::from)
}

fn local_time(faults: &mut Faults, path: &str, local: &pb::LocalTime) -> Option<Named> {
    let pb::LocalTime { days_after_open: days, time } = local;
    let fits = (-LOCAL_DAYS_MAX..=LOCAL_DAYS_MAX).contains(days);
    if !fits {
        faults.invalid(
            format_args!("{path}.days_after_open"),
            format_args!("must be -{LOCAL_DAYS_MAX} to {LOCAL_DAYS_MAX}"),
        );
    }
    let seconds = time_of_day(time);
    if seconds.is_none() {
        faults.invalid(format_args!("{path}.time"), "must be a time of day such as 18:00 or 18:00:30");
    }
    let seconds = seconds?;
    fits.then_some(Named::Local { days: *days, seconds })
}

/// The seconds of a time of day such as `18:00` or `18:00:30`.
fn time_of_day(text: &str) -> Option<u32> {
    let two = |digits: &str, below: u32| {
        let is_two = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_digit());
        digits.parse().ok().filter(|value: &u32| is_two && *value < below)
    };
    let mut parts = text.split(':');
    let hours = two(parts.next()?, 24)?;
    let minutes = two(parts.next()?, 60)?;
    let seconds = parts.next().map_or(Some(0), |seconds| two(seconds, 60))?;
    let sum = hours.saturating_mul(3_600).saturating_add(minutes.saturating_mul(60)).saturating_add(seconds);
    parts.next().is_none().then_some(sum)
}

/// Where a trigger stands: what its stock level may name.
#[derive(Clone, Copy)]
pub(super) struct TriggerScope<'a> {
    pub(super) listed: &'a Listed<'a>,
    /// The SKUs that a level without one is about; empty: all of the drop.
    pub(super) usual: &'a [String],
    /// Whether the drop has a closing.
    pub(super) closes: bool,
    /// Whether a moment may lie before the opening.
    pub(super) before_opening: bool,
}

/// A trigger, if one is set; `None` with a fault recorded if it is faulty.
pub(super) fn trigger(
    faults: &mut Faults,
    path: &str,
    given: Option<&pb::Trigger>,
    scope: TriggerScope<'_>,
) -> Option<Trigger> {
    use pb::trigger::On;
    match &given?.on {
        None => {
            faults.invalid(path, "one of moment and stock must be set");
            None
        }
        Some(On::Moment(pb::Moment { when: Some(pb::moment::When::AfterOpen(span)) }))
            if scope.before_opening && (span.seconds < 0 || span.nanos < 0) =>
        {
            let field = format!("{path}.moment.after_open");
            let before =
                prost_types::Duration { seconds: span.seconds.saturating_neg(), nanos: span.nanos.saturating_neg() };
            let span = i64::try_from(wait(faults, field, before)?.0).ok()?;
            Some(Trigger::Moment(Named::AfterOpening(span.saturating_neg()).into()))
        }
        Some(On::Moment(at)) => moment(faults, &format!("{path}.moment"), Some(at), scope.closes).map(Trigger::Moment),
        Some(On::Stock(level)) => stock_level(faults, &format!("{path}.stock"), level, scope).map(Trigger::Stock),
    }
}

fn stock_level(faults: &mut Faults, path: &str, given: &pb::StockLevel, scope: TriggerScope<'_>) -> Option<StockLevel> {
    use pb::stock_level::Level as Wire;
    let pb::StockLevel { sku, pool, level } = given;
    let TriggerScope { listed, usual, closes: _, before_opening: _ } = scope;
    let named = optional_id(faults, format_args!("{path}.sku"), sku);
    let is_unknown = named.is_some() && listed.pools(sku).is_none();
    if is_unknown {
        faults.invalid(format_args!("{path}.sku"), "is no item of this drop");
    }
    let named_pool = optional_id(faults, format_args!("{path}.pool"), pool);
    let has_pool =
        if sku.is_empty() { listed.has_pool(usual, pool) } else { listed.has_pool(std::slice::from_ref(sku), pool) };
    if named_pool.is_some() && !is_unknown && !has_pool {
        faults.invalid(format_args!("{path}.pool"), "is no pool of the items that are meant");
    }
    let mut points = |name: &str, points: u32| {
        let fits = (1..=BASIS_POINTS).contains(&points);
        if !fits {
            faults.invalid(format_args!("{path}.{name}"), format_args!("must be 1-{BASIS_POINTS}"));
        }
        fits.then_some(points)
    };
    let level = match level {
        Some(Wire::FreeAtMost(most)) => Some(Level::FreeAtMost(*most)),
        Some(Wire::SoldBasisPoints(sold)) => points("sold_basis_points", *sold).map(Level::Sold),
        Some(Wire::TakenBasisPoints(taken)) => points("taken_basis_points", *taken).map(Level::Taken),
        None => {
            faults.invalid(path, "one of free_at_most, sold_basis_points and taken_basis_points must be set");
            None
        }
    };
    Some(StockLevel { sku: named, pool: named_pool, level: level? })
}

/// The currency of a drop: that of its first amount.
#[derive(Debug, Default)]
pub(super) struct Currencies {
    first: Option<(Currency, String)>,
}

/// An amount, if one is set; `None` with a fault recorded if it is faulty.
pub(super) fn money(
    faults: &mut Faults,
    path: &str,
    given: Option<&pb::Money>,
    currencies: &mut Currencies,
) -> Option<Money> {
    let pb::Money { currency_code, minor_units } = given?;
    let field = format!("{path}.currency_code");
    let currency = Currency::of(currency_code);
    match (currency, &currencies.first) {
        (None, _) => faults.invalid(&field, "must be three capital letters, as in ISO 4217"),
        (Some(currency), None) => currencies.first = Some((currency, field)),
        (Some(currency), Some((first, of))) if currency != *first => {
            faults.invalid(&field, format_args!("differs from {of}: a drop has one currency"));
        }
        (Some(_), Some(_)) => {}
    }
    if *minor_units < 0 {
        faults.invalid(format_args!("{path}.minor_units"), "must not be negative");
    }
    Some(Money { currency: currency?, minor_units: *minor_units })
}
