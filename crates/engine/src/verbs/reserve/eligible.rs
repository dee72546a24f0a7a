//! What the drop's rules offer of each line to the customer of a request.

use smallvec::SmallVec;
use stockade_types::ids::{ItemNo, PoolNo};
use stockade_types::refusal::{Reason, Rule};
use stockade_types::time::{Millis, Timestamp};

use super::refusal::refused_line;
use super::{Line, ReserveRequest, ReserveResult, ResolvedLine};
use crate::answer::{Fault, InvalidField};
use crate::attempt::Decided;
use crate::command::WantedUnits;
use crate::rules::{Choices, Closedness, LineOffer, NotOffered, Standing, Visitor};

/// What the drop's rules offer to the customer of a request.
pub(super) struct Offers<'a> {
    standing: &'a Standing,
    visitor: Visitor,
    /// One for each line.
    lines: SmallVec<[LineOffer; 2]>,
}

impl Offers<'_> {
    /// What is offered of a line.
    #[inline]
    pub(super) fn of(&self, line: Line<'_>) -> LineOffer {
        self.lines.get(line.place).copied().unwrap_or_default()
    }

    /// The same, spelled out: see [`Standing::choices`].
    #[inline]
    pub(super) fn choices(&self, line: Line<'_>) -> Choices<'_> {
        self.standing.choices(&self.visitor, line.item, self.of(line))
    }
}

impl<'a> ReserveRequest<'a> {
    /// Finds what is offered of each line. Returns a refusal if a line is offered nothing that it needs, unless the request
    /// may be served without it. What the
    /// customer has already, in the hold that is superseded, needs no offer.
    #[inline(never)]
    pub(super) fn find_offers(&self, standing: &'a Standing) -> Result<Option<ReserveResult>, Fault> {
        self.has_goods(standing)?;
        let command = self.command;
        let visitor = standing.visitor(&command.tiers, &command.zones, command.over_windows.is_some());
        let mut lines = SmallVec::new();
        let mut closed: Vec<(ResolvedLine, NotOffered)> = Vec::new();
        for line in self.resolved.lines() {
            if line.units <= self.own(line) {
                lines.push(LineOffer::default());
                continue;
            }
            match standing.offer(&visitor, line.item, line.named) {
                Ok(offer) => lines.push(offer),
                Err(why) => {
                    lines.push(LineOffer::default());
                    closed.push((line, why));
                }
            }
        }
        if !closed.is_empty() && !self.may_do_without(standing, &closed) {
            return Ok(Some(self.not_offered(&closed)));
        }
        let offers = Offers { standing, visitor, lines };
        if self.resolved.named.is_some() {
            self.names_apart(|line, pool| {
                offers.choices(line).any(|mut choice| choice.any(|(offered, _)| offered == pool))
            })?;
        }
        if standing.slot_required && command.over_windows.is_none() && !self.has_slot(standing) {
            return Ok(Some(self.refused_by_drop(Reason::SlotRequired, None)));
        }
        let set = self.offers.set(offers);
        stockade_types::invariant!(set.is_ok(), "offers of a request are found twice");
        Ok(None)
    }

    /// The same of a drop without rules: every line is offered all pools of its item.
    #[cold]
    pub(super) fn names_apart_without_rules(&self) -> Result<(), Fault> {
        self.names_apart(|line, _| line.needs() > 0)
    }

    /// A pool that one line names must not be offered to a line of the same SKU that names none: units that the request
    /// itself has taken from it are in doubt until the hold is made, and it would wait for itself. `offered` says whether
    /// a line is offered a pool.
    fn names_apart(&self, offered: impl Fn(Line<'_>, PoolNo) -> bool) -> Result<(), Fault> {
        let lines = || self.lines();
        for line in lines().filter(|line| line.named.is_none()) {
            let is_offered = |pool| offered(line, pool);
            let both = |other: &Line<'_>| other.item == line.item && other.named.is_some_and(is_offered);
            let Some(pool) = lines().find(both).and_then(|other| other.named) else { continue };
            let definition = &self.inner.definition;
            let (sku, pool) = (definition.sku(line.item), definition.pool(line.item, pool));
            let is_it = |wanted: &&WantedUnits| wanted.sku == *sku && wanted.pool.as_ref() == Some(pool);
            let place = self.command.lines.iter().find(is_it).map_or(0, |wanted| wanted.place);
            let description = format!(
                "the line of {:?} without a pool may draw on {pool} too: name a pool for all units of a SKU, or for none",
                sku.as_str()
            );
            return Err(Fault::Invalid(vec![InvalidField { field: format!("lines[{place}].pool"), description }]));
        }
        Ok(())
    }

    /// Whether the request may be served without the lines of which nothing is offered: with `allow_partial`, if goods are
    /// offered of another line. Slots are served whole or not at all.
    fn may_do_without(&self, standing: &Standing, closed: &[(ResolvedLine, NotOffered)]) -> bool {
        let is_slot = |line: ResolvedLine| standing.is_slot(line.item);
        let is_closed =
            |line: ResolvedLine| closed.iter().any(|(of, _)| (of.item, of.named) == (line.item, line.named));
        let no_slot = || !closed.iter().any(|(line, _)| is_slot(*line));
        self.command.allow_partial && no_slot() && self.resolved.lines().any(|line| !is_slot(line) && !is_closed(line))
    }

    /// Why nothing is offered of a line that needs more than the customer has already; none if something is.
    #[cold]
    pub(super) fn not_offered_by(&self, line: Line<'_>) -> Option<Reason> {
        let offers = self.offers.get()?;
        if line.needs() == 0 || offers.choices(line).next().is_some() {
            return None;
        }
        // Decided as it was before: the drop's gate is held.
        let offer = offers.standing.offer(&offers.visitor, line.item, line.named);
        offer.err().map(|why| reason_of(&why))
    }

    fn has_slot(&self, standing: &Standing) -> bool {
        self.resolved.lines().any(|line| standing.is_slot(line.item))
    }

    /// A slot is reserved together with goods.
    fn has_goods(&self, standing: &Standing) -> Result<(), Fault> {
        if self.resolved.lines().any(|line| !standing.is_slot(line.item)) {
            return Ok(());
        }
        let alone = |place| InvalidField {
            field: format!("lines[{place}].sku"),
            description: "is a pickup slot: it is reserved together with goods".to_owned(),
        };
        Err(Fault::Invalid(self.command.lines.iter().map(|line| alone(line.place)).collect()))
    }

    /// Refuses lines of which nothing is offered. The refusal follows from marks, so it is sent once they are durable.
    fn not_offered(&self, closed: &[(ResolvedLine, NotOffered)]) -> ReserveResult {
        let order = [Reason::Closed, Reason::NotOpen, Reason::NotEligible];
        // Of several that are to open, the one that opens last; otherwise the first.
        let opens_at = |why: &Closedness| if let Closedness::NotOpen(at) = why { *at } else { Timestamp::default() };
        let rule = |first| {
            let of_reason = closed.iter().rev().map(|(_, why)| why).filter(|why| reason_of(why) == first);
            of_reason.max_by_key(|(why, _)| opens_at(why)).map(|(_, rule)| *rule)
        };
        let first = order.into_iter().find_map(|first| Some((first, rule(first)?)));
        let first = first.unwrap_or((Reason::NotEligible, Rule::behind(Reason::NotEligible)));
        // Worth another try once every window has opened; never if a line is not for this customer.
        let opens = closed.iter().map(|(_, (why, _))| match why {
            Closedness::NotOpen(at) => *at,
            Closedness::Closed | Closedness::NotEligible => Timestamp::NEVER,
        });
        let opens = opens.max().filter(|at| *at != Timestamp::NEVER);
        let retry_after: Option<Millis> = opens.map(|at| self.now.until(at));
        let lines = closed.iter().map(|(line, why)| refused_line(*line, reason_of(why), self.own(*line))).collect();
        Decided { durable_after: self.inner.durable_after(), ..self.refuse(first, retry_after, lines, None) }
    }

    /// What rules may bring this line later.
    pub(super) fn later(&self, item: ItemNo, named: Option<PoolNo>) -> (Timestamp, bool) {
        self.offers.get().map_or((Timestamp::NEVER, false), |Offers { standing, visitor, lines: _ }| {
            let later = standing.later(visitor, item, named);
            (later.at, later.by_trigger)
        })
    }
}

const fn reason_of((why, _): &NotOffered) -> Reason {
    match why {
        Closedness::Closed => Reason::Closed,
        Closedness::NotOpen(_) => Reason::NotOpen,
        Closedness::NotEligible => Reason::NotEligible,
    }
}
