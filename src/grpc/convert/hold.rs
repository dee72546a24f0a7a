//! Converts requests about holds to commands.

use stockade_engine::command::{Claim, ExpiredPolicy, Extend, Release, Reserve, Return, Stage, Target, WantedUnits};
use stockade_proto as pb;
use stockade_types::hold::HOLD_LINES_MAX;
use stockade_types::ids::{DropId, HoldId, Quantity};

use super::customer::{Buyer, Overrides, buyer, overrides};
use super::faults::{Faults, Rejection};
use super::fields::{enumeration, id, optional_id, span};

/// A reserve.
///
/// # Errors
/// All faulty fields; if there are none, all that are set and not built.
pub fn reserve(request: &pb::ReserveRequest) -> Result<Reserve, Rejection> {
    let pb::ReserveRequest {
        hold_id,
        drop_id,
        lines,
        customer,
        ttl,
        supersedes,
        allow_partial,
        admission_token,
        r#override,
        superseded_customer_id,
    } = request;
    let mut faults = Faults::default();
    let hold = id(&mut faults, "hold_id", hold_id);
    let drop = id(&mut faults, "drop_id", drop_id);
    if lines.is_empty() {
        faults.invalid("lines", format_args!("must have 1-{HOLD_LINES_MAX} lines"));
    }
    let lines = wanted(&mut faults, "lines", lines);
    let buyer = buyer(&mut faults, customer.as_ref());
    let ttl = span(&mut faults, "ttl", ttl.as_ref());
    let supersedes = optional_id(&mut faults, "supersedes", supersedes);
    if supersedes.is_some() && supersedes == hold {
        faults.invalid("supersedes", "must be another hold than hold_id");
    }
    let allow_partial = *allow_partial;
    faults.unbuilt(!admission_token.is_empty(), "admission_token");
    faults.unbuilt(!superseded_customer_id.is_empty(), "superseded_customer_id");
    let overrides = overrides(&mut faults, r#override.as_ref());
    let command = (|| {
        let Buyer { customer, tiers, zones, identities } = buyer;
        let Overrides { over_limits, over_windows } = overrides;
        let plain = Reserve::new(hold?, drop?, customer?, lines?);
        Some(Reserve { ttl, tiers, zones, identities, supersedes, allow_partial, over_limits, over_windows, ..plain })
    })();
    faults.finish(command)
}

/// By SKU, and of one SKU the lines that name a pool before the one that doesn't.
fn order(WantedUnits { sku, pool, .. }: &WantedUnits) -> impl Ord + '_ {
    (sku, pool.is_none(), pool)
}

/// Lines summed by SKU and pool, in order. The place of the first such line is kept for error messages.
fn wanted(faults: &mut Faults, field: &str, lines: &[pb::Line]) -> Option<Vec<WantedUnits>> {
    if lines.len() > HOLD_LINES_MAX {
        faults.invalid(field, format_args!("must have at most {HOLD_LINES_MAX} lines, not {}", lines.len()));
        return None;
    }
    let mut wanted = Vec::with_capacity(lines.len());
    for (place, line) in lines.iter().enumerate() {
        let pb::Line { sku, quantity, pool } = line;
        let sku = id(faults, format_args!("{field}[{place}].sku"), sku);
        let units = Quantity::try_from(*quantity);
        if let Err(error) = &units {
            faults.invalid(format_args!("{field}[{place}].quantity"), error);
        }
        let pool = optional_id(faults, format_args!("{field}[{place}].pool"), pool);
        if let (Some(sku), Ok(units)) = (sku, units) {
            wanted.push(WantedUnits { sku, pool, units: units.get(), place });
        }
    }
    // A stable sort: the first line of a SKU and pool stays first, and its place is kept.
    wanted.sort_by(|a, b| order(a).cmp(&order(b)));
    wanted.dedup_by(|later, first| {
        let same = (&later.sku, &later.pool) == (&first.sku, &first.pool);
        if same {
            first.units = first.units.saturating_add(later.units);
        }
        same
    });
    Some(wanted)
}

fn target(faults: &mut Faults, hold_id: &str, drop_id: &str, customer_id: &str) -> Option<Target> {
    let hold = id::<HoldId>(faults, "hold_id", hold_id);
    let drop = optional_id(faults, "drop_id", drop_id);
    let customer = optional_id(faults, "customer_id", customer_id);
    Some(Target { hold: hold?, drop, customer })
}

/// An extend.
///
/// # Errors
/// All faulty fields; if there are none, all that are set and not built.
pub fn extend(request: &pb::ExtendRequest) -> Result<Extend, Rejection> {
    let pb::ExtendRequest { hold_id, drop_id, customer_id, ttl, stage } = request;
    let mut faults = Faults::default();
    let target = target(&mut faults, hold_id, drop_id, customer_id);
    let ttl = span(&mut faults, "ttl", ttl.as_ref());
    let stage = match enumeration(&mut faults, "stage", *stage) {
        Some(pb::HoldStage::Held) => Some(Stage::Held),
        Some(pb::HoldStage::Paying) => Some(Stage::Paying),
        Some(pb::HoldStage::Unspecified) | None => None,
    };
    let command = (|| Some(Extend { target: target?, ttl, stage }))();
    faults.finish(command)
}

/// A claim.
///
/// # Errors
/// All faulty fields; if there are none, all that are set and not built.
pub fn claim(request: &pb::ClaimRequest) -> Result<Claim, Rejection> {
    let pb::ClaimRequest { hold_id, drop_id, customer_id, order_ref, expired_policy, lines } = request;
    let mut faults = Faults::default();
    let target = target(&mut faults, hold_id, drop_id, customer_id);
    let order_ref = id(&mut faults, "order_ref", order_ref);
    let expired = match enumeration(&mut faults, "expired_policy", *expired_policy) {
        Some(pb::ExpiredPolicy::TakeFreeStock) => ExpiredPolicy::TakeFreeStock,
        Some(pb::ExpiredPolicy::Unspecified | pb::ExpiredPolicy::Refuse) | None => ExpiredPolicy::Refuse,
    };
    let lines = wanted(&mut faults, "lines", lines);
    let command = (|| Some(Claim { target: target?, order_ref: order_ref?, expired, lines: lines? }))();
    faults.finish(command)
}

/// A release.
///
/// # Errors
/// All faulty fields; if there are none, all that are set and not built.
pub fn release(request: &pb::ReleaseRequest) -> Result<Release, Rejection> {
    let pb::ReleaseRequest { hold_id, drop_id, customer_id, keep, abandon_payment } = request;
    let mut faults = Faults::default();
    let target = target(&mut faults, hold_id, drop_id, customer_id);
    let keep = wanted(&mut faults, "keep", keep);
    let abandon_payment = *abandon_payment;
    let command = (|| Some(Release { target: target?, keep: keep?, abandon_payment }))();
    faults.finish(command)
}

/// A return of units after a sale.
///
/// # Errors
/// All faulty fields; if there are none, all that are set and not built.
pub fn return_units(request: &pb::ReturnUnitsRequest) -> Result<Return, Rejection> {
    let pb::ReturnUnitsRequest { hold_id, drop_id, returned, restock } = request;
    let mut faults = Faults::default();
    let target = target(&mut faults, hold_id, drop_id, "");
    let returned = wanted(&mut faults, "returned", returned);
    let command = (|| Some(Return { target: target?, returned: returned?, restock: *restock }))();
    faults.finish(command)
}

/// The hold to show, and the drop that it must belong to, if one is named.
///
/// # Errors
/// All faulty fields; if there are none, all that are set and not built.
pub fn get_hold(request: &pb::GetHoldRequest) -> Result<(HoldId, Option<DropId>), Rejection> {
    let pb::GetHoldRequest { hold_id, drop_id, with_token } = request;
    let mut faults = Faults::default();
    let hold = id(&mut faults, "hold_id", hold_id);
    let drop = optional_id(&mut faults, "drop_id", drop_id);
    faults.unbuilt(*with_token, "with_token");
    let named = (|| Some((hold?, drop)))();
    faults.finish(named)
}

/// The drop in a request's `drop_id`.
///
/// # Errors
/// If it is not an id.
pub fn drop_id(text: &str) -> Result<DropId, Rejection> {
    let mut faults = Faults::default();
    let drop = id(&mut faults, "drop_id", text);
    faults.finish(drop)
}
