//! Changes of a drop's definition while it exists, also while it sells.
//!
//! The gate is closed for the change, so every request is decided by one definition or the other. Holds keep what they
//! were granted: changed times apply from the next extend or reserve on, changed limits from the next reserve on. Items
//! can only be added.

use std::sync::Arc;

use stockade_types::definition::{Definition, Field, Item};
use stockade_types::record::{Announced, DropImage, DropVerb, LastUpdate, PoolBasis, PoolFigures, update_digest};
use stockade_types::time::Timestamp;

use crate::Engine;
use crate::answer::{DropView, Fault, InvalidField, Stock};
use crate::attempt::{Answer, Decided};
use crate::command::UpdateDrop;
use crate::context::Context;
use crate::inventory::{DropEntry, DropInner, DropState};
use crate::operators::create::{define_signals, plan};
use crate::operators::fired::{fired_differences, keep_fired};
use crate::operators::fits::fits;
use crate::operators::turn::fact;
use crate::operators::view::{show_drop, view};

const BEFORE: &[DropState] = &[DropState::Scheduled];
const UNTIL_CLOSED: &[DropState] = &[DropState::Scheduled, DropState::Open, DropState::Paused];
const UNTIL_ARCHIVED: &[DropState] =
    &[DropState::Scheduled, DropState::Open, DropState::Paused, DropState::Closed, DropState::Cancelled];
const NEVER: &[DropState] = &[];

/// What may change in which state. `docs/operations.md` has the same table.
const MAY_CHANGE: [(Field, &[DropState]); 23] = [
    (Field::Title, UNTIL_ARCHIVED),
    (Field::Labels, UNTIL_ARCHIVED),
    (Field::OpensAt, BEFORE),
    (Field::ClosesAt, UNTIL_CLOSED),
    (Field::HoldTtl, UNTIL_CLOSED),
    (Field::MaxHoldLife, UNTIL_CLOSED),
    (Field::PaymentTtl, UNTIL_CLOSED),
    (Field::Limits, UNTIL_CLOSED),
    (Field::Conduct, UNTIL_CLOSED),
    (Field::NewItems, UNTIL_CLOSED),
    (Field::KnownItems, NEVER),
    (Field::Shop, NEVER),
    (Field::Series, NEVER),
    (Field::Windows, UNTIL_CLOSED),
    (Field::PriceTerms, UNTIL_CLOSED),
    (Field::Tranches, UNTIL_CLOSED),
    (Field::Signals, UNTIL_CLOSED),
    (Field::Scarcity, UNTIL_CLOSED),
    (Field::SlotRequired, UNTIL_CLOSED),
    (Field::TimeZone, BEFORE),
    (Field::Location, UNTIL_ARCHIVED),
    (Field::Zones, UNTIL_ARCHIVED),
    (Field::ItemRules, UNTIL_CLOSED),
];
/// The label with the address where the drop's goods are bought.
const BUY_URL: &str = "public.buy_url";
/// Most fields that a refusal names: it must fit into a trailer.
const NAMED_MAX: usize = 32;

impl Engine {
    /// Changes a drop's definition. If nothing differs, no record is written. The same request again returns the same
    /// answer, as long as no other change came after it.
    ///
    /// # Errors
    /// [`Fault::NoDrop`]; [`Fault::Stale`] when the definition is not the one that the change was made for;
    /// [`Fault::Precondition`] when the drop's state forbids the change of a field; [`Fault::Invalid`] for a closing
    /// that is not after the opening or not in the future; and faults of the journal.
    pub fn update_drop(&self, command: &UpdateDrop, context: Context<'_>) -> Answer<DropView> {
        let updated = self.inventory.drops.with_id(&command.wanted.id, |entry| {
            let mut inner = entry.write();
            let Context { now, origin } = context.not_before(inner.turned_at);
            self.turn_in(entry, &mut inner, now)?;
            if command.validate_only {
                return tried(entry, &inner, command, now);
            }
            if let Some(definition) = changed(entry, &inner, command, now)? {
                let (number, created_at, request) = (entry.number, entry.created_at, entry.request);
                let update = Some(remembered(command, &inner, &definition, now));
                let image = DropImage { number, created_at, definition, request, update };
                fits(&image)?;
                if image.encoded_len() > entry.weight(&inner) {
                    self.has_memory()?;
                }
                let new = image.definition.items.iter().skip(inner.definition.items.len());
                let new: Vec<_> = new.flat_map(first_figures).collect();
                let mut lifecycle = inner.lifecycle.clone();
                lifecycle.redefine(&inner.definition, &image.definition);
                let mut fact = fact(entry, &inner, DropVerb::Update, (lifecycle, origin.clone()), now);
                fact.image = image;
                fact.stock.extend(new);
                // The change may open the drop at once. Without room for that record, too, it is not changed.
                let opening = self.journal.permit()?;
                self.commit_fact(self.journal.permit()?, (entry, &mut inner), fact, now)?;
                self.inventory.series_looks.drop_changed();
                self.turn_with(opening, entry, &mut inner, now)?;
            }
            Ok(show_drop(entry, &inner))
        });
        updated.unwrap_or_else(|| Err(Fault::NoDrop(command.wanted.id.clone()).into()))
    }
}

/// The drop as the change would leave it.
fn tried(entry: &DropEntry, inner: &DropInner, command: &UpdateDrop, now: Timestamp) -> Answer<DropView> {
    let mut shown = show_drop(entry, inner);
    if let Some(definition) = changed(entry, inner, command, now)? {
        let (number, created_at, request) = (entry.number, entry.created_at, entry.request);
        let update = Some(remembered(command, inner, &definition, now));
        let image = DropImage { number, created_at, definition, request, update };
        fits(&image)?;
        let definition = Arc::new(image.definition);
        let new = definition.items.iter().skip(shown.value.stock.len());
        let new: Vec<Vec<Stock>> = new.map(first_stock).collect();
        let mut then = inner.with_definition(definition);
        (then.lifecycle, _) = then.turned(entry, now);
        shown.value = view(entry, &then);
        shown.value.stock.extend(new);
    }
    Ok(shown)
}

fn first_figures(item: &Item) -> impl Iterator<Item = PoolFigures> + '_ {
    let basis = |units| PoolBasis { received: units, taken_out: 0 };
    item.pools.iter().map(move |pool| PoolFigures { basis: basis(pool.units), ..PoolFigures::default() })
}

fn first_stock(item: &Item) -> Vec<Stock> {
    let stock = |units| Stock { received: units, free: units, ..Stock::default() };
    item.pools.iter().map(|pool| stock(pool.units)).collect()
}

/// How a command is remembered, to recognise it when it is sent again, and to tell calendars.
fn remembered(command: &UpdateDrop, inner: &DropInner, wanted: &Definition, now: Timestamp) -> LastUpdate {
    let before = inner.update.and_then(|update| update.announced);
    let announced = if is_announced(&inner.definition, wanted) {
        let changes = before.map_or(0, |before| before.changes).saturating_add(1);
        Some(Announced { changes, at: now })
    } else {
        before
    };
    LastUpdate { base: command.revision, request: update_digest(&command.named, &command.wanted), announced }
}

/// Whether this very command was the last one.
fn was_last(inner: &DropInner, command: &UpdateDrop) -> bool {
    inner.update.is_some_and(|LastUpdate { base, request, announced: _ }| {
        base == command.revision && request == update_digest(&command.named, &command.wanted)
    })
}

/// Whether calendars show a difference.
fn is_announced(is: &Definition, wanted: &Definition) -> bool {
    let links = |definition: &Definition| definition.labels.get(BUY_URL).cloned();
    let shown = is.differences(wanted).into_iter().any(|(field, _)| match field {
        Field::Title
        | Field::OpensAt
        | Field::ClosesAt
        | Field::Windows
        | Field::TimeZone
        | Field::Location
        | Field::Signals => true,
        Field::Labels
        | Field::HoldTtl
        | Field::MaxHoldLife
        | Field::PaymentTtl
        | Field::Limits
        | Field::Conduct
        | Field::NewItems
        | Field::KnownItems
        | Field::Shop
        | Field::Series
        | Field::PriceTerms
        | Field::Tranches
        | Field::SlotRequired
        | Field::Zones
        | Field::ItemRules
        | Field::Scarcity => false,
    });
    shown || links(is) != links(wanted)
}

/// The definition after the change; none if nothing differs.
fn changed(
    entry: &DropEntry,
    inner: &DropInner,
    command: &UpdateDrop,
    now: Timestamp,
) -> Result<Option<Definition>, Decided<Fault>> {
    let is = inner.definition.as_ref();
    if inner.revision != command.revision || inner.revision != command.seen {
        if was_last(inner, command) {
            return Ok(None);
        }
        let (known, asked) = (inner.revision, command.revision.0);
        let what = format!("drop {} has revision {known}, not {asked}: read it again", is.id);
        return Err(Decided { value: Fault::Stale(what), durable_after: known });
    }
    let mut wanted = command.wanted.clone();
    let opens_at = inner.opens_at(entry);
    wanted.schedule.opens_at = match wanted.schedule.opens_at {
        // No instant means now. If none was given at creation either, it still means the creation. If no field is named
        // and the opening can't change any more, it stays as it is.
        None if command.named.is_empty() && inner.state() != DropState::Scheduled => is.schedule.opens_at,
        None => is.schedule.opens_at.map(|_| now),
        Some(at) if at == opens_at => is.schedule.opens_at,
        Some(at) => Some(at),
    };
    wanted.rules.names = is.rules.names.clone();
    let opening = wanted.schedule.opens_at.unwrap_or(opens_at);
    plan(&mut wanted, opening, |wanted| keep_fired(is, wanted, &inner.lifecycle))?;
    define_signals(Some(is), &mut wanted, now);
    let changes = is.differences(&wanted);
    if changes.is_empty() {
        return Ok(None);
    }
    let fired = fired_differences(is, &wanted, &inner.lifecycle);
    if !fired.is_empty() {
        let what = format!("drop {}: {} has fired and can't be changed", is.id, fired.join(", "));
        return Err(Decided { value: Fault::Precondition(what), durable_after: inner.durable_after() });
    }
    let state = inner.state();
    let forbidden: Vec<&str> =
        changes.iter().filter(|(field, _)| !may_change(*field, state)).map(|(_, path)| path.as_str()).collect();
    if !forbidden.is_empty() {
        return Err(Decided { value: refused(is, state, &forbidden), durable_after: inner.durable_after() });
    }
    let closing = changes.iter().any(|(field, _)| *field == Field::ClosesAt);
    let description = match wanted.schedule.closes_at {
        Some(closes) if closes <= wanted.schedule.opens_at.unwrap_or(opens_at) => "must be after opens_at",
        Some(closes) if closing && closes <= now => "must be later than now: CloseDrop ends a sale at once",
        Some(_) | None => return Ok(Some(wanted)),
    };
    let field = "drop.closes_at".to_owned();
    Err(Fault::Invalid(vec![InvalidField { field, description: description.to_owned() }]).into())
}

fn may_change(field: Field, state: DropState) -> bool {
    MAY_CHANGE.iter().any(|(known, states)| *known == field && states.contains(&state))
}

fn refused(is: &Definition, state: DropState, paths: &[&str]) -> Fault {
    let named = paths.iter().take(NAMED_MAX).copied().collect::<Vec<_>>().join(", ");
    let more = match paths.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let stock = paths.iter().any(|path| path.ends_with(".quantity"));
    let hint = if stock { "; stock changes by AdjustStock" } else { "" };
    let state = match state {
        DropState::Scheduled => "SCHEDULED",
        DropState::Open => "OPEN",
        DropState::Paused => "PAUSED",
        DropState::Closed => "CLOSED",
        DropState::Cancelled => "CANCELLED",
        DropState::Archived => "ARCHIVED",
    };
    Fault::Precondition(format!("drop {} is {state}: {named}{more} can't be changed{hint}", is.id))
}

#[cfg(test)]
mod tests {
    use stockade_types::definition::{Rules, Schedule, Terms};

    use super::*;

    #[test]
    fn every_part_stands_in_the_table_once() {
        let all = [
            Field::Title,
            Field::Labels,
            Field::OpensAt,
            Field::ClosesAt,
            Field::HoldTtl,
            Field::MaxHoldLife,
            Field::PaymentTtl,
            Field::Limits,
            Field::NewItems,
            Field::KnownItems,
            Field::Shop,
            Field::Series,
            Field::Windows,
            Field::PriceTerms,
            Field::Tranches,
            Field::Signals,
            Field::Scarcity,
            Field::SlotRequired,
            Field::TimeZone,
            Field::Location,
            Field::Zones,
            Field::ItemRules,
        ];
        for field in all {
            assert_eq!(MAY_CHANGE.iter().filter(|(known, _)| *known == field).count(), 1, "{field:?}");
        }
        assert!(may_change(Field::OpensAt, DropState::Scheduled) && !may_change(Field::OpensAt, DropState::Paused));
        for over in [DropState::Closed, DropState::Cancelled] {
            assert!(may_change(Field::Labels, over) && !may_change(Field::Limits, over));
        }
        assert!(!may_change(Field::OpensAt, DropState::Cancelled));
    }

    #[test]
    fn a_refusal_names_no_more_than_a_trailer_holds() {
        let definition = Definition {
            id: "d".parse().expect("an id"),
            title: String::new(),
            shop: "default".parse().expect("an id"),
            series: None,
            labels: std::collections::BTreeMap::new(),
            schedule: Schedule { opens_at: None, closes_at: None },
            terms: Terms {
                hold_ttl: stockade_types::time::Millis(1),
                max_hold_life: stockade_types::time::Millis(1),
                payment_ttl: stockade_types::time::Millis(1),
            },
            items: Vec::new(),
            limits: Vec::new(),
            rules: Rules::default(),
        };
        let paths: Vec<String> = (0..256).map(|n| format!("drop.items[{n}].quantity")).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let text = refused(&definition, DropState::Open, &paths).to_string();
        assert!(text.starts_with("drop d is OPEN: drop.items[0].quantity, "), "{text}");
        assert!(text.ends_with(" and 224 more can't be changed; stock changes by AdjustStock"), "{text}");
        assert!(text.len() < 1_500, "{}", text.len());
    }
}
