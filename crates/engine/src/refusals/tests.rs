//! The rings, filled and measured.

use std::collections::BTreeMap;

use stockade_types::definition::{Item, Pool, Rules, Schedule, Scope, Terms, WindowNo};
use stockade_types::ids::SubjectKey;

use super::*;

/// What the documentation of operation states.
const ALL_MIB: usize = 40;
const MIB: usize = 1024 * 1024;

impl Refusals {
    /// Bytes on the heap, found by a walk over every entry: nothing is computed from bounds.
    fn measured(&self) -> usize {
        let rings = self.of_all.iter().chain(&self.by_drop);
        let rings = rings.map(|ring| {
            let ring = ring.lock();
            let more: usize = ring.entries.iter().map(KeptRefusal::more_bytes).sum();
            assert_eq!(more, ring.more, "as it was counted");
            ring.entries.capacity() * size_of::<KeptRefusal>() + more
        });
        let own = (self.of_all.len() + self.by_drop.len()) * size_of::<CachePadded<Mutex<Ring>>>();
        own + rings.sum::<usize>()
    }

    fn kept(&self) -> usize {
        self.of_all.iter().chain(&self.by_drop).map(|ring| ring.lock().entries.len()).sum()
    }
}

fn definition(items: u16) -> Definition {
    let pool = || Pool::plain("general".parse().expect("an id"), 3);
    let item = |n| Item::plain(format!("SKU-{n}").parse().expect("a sku"), vec![pool()]);
    Definition {
        id: "d".parse().expect("an id"),
        title: String::new(),
        shop: "s".parse().expect("an id"),
        series: None,
        labels: BTreeMap::new(),
        schedule: Schedule { opens_at: None, closes_at: None },
        terms: Terms { hold_ttl: Millis(1), max_hold_life: Millis(1), payment_ttl: Millis(1) },
        items: (0..items).map(item).collect(),
        limits: Vec::new(),
        rules: Rules::default(),
    }
}

/// The rules that can be behind a reason.
fn rules(reason: Reason) -> Vec<Rule> {
    match reason {
        Reason::NotOpen => vec![Rule::Drop, Rule::Window(WindowNo(1))],
        Reason::Closed => vec![Rule::Drop, Rule::Window(WindowNo(1)), Rule::Slot],
        Reason::NotEligible => vec![Rule::Window(WindowNo(1)), Rule::Terms, Rule::Stock { free: None }],
        Reason::Cooldown | Reason::TooManyHolds | Reason::LimitReached => vec![Rule::Limit, Rule::Conduct],
        Reason::Paused
        | Reason::SlotRequired
        | Reason::SoldOut
        | Reason::HoldExpired
        | Reason::HoldReleased
        | Reason::HoldClaimed
        | Reason::Superseded
        | Reason::OrderMismatch
        | Reason::PaymentInProgress
        | Reason::CeilingReached => vec![Rule::behind(reason)],
    }
}

/// Fills every ring twice over, in all lanes and groups of drops, with refusals of this many lines and, by limits, the
/// longest names.
fn filled(lines: u16) -> Refusals {
    let (refusals, definition) = (Refusals::default(), definition(lines));
    let line =
        |item: &Item, reason| RefusedLine { sku: item.sku.clone(), reason, requested: 2, available: 1, pool: None };
    for reason in Reason::ALL {
        for rule in rules(reason) {
            let limit = matches!(rule, Rule::Limit | Rule::Conduct).then(|| LimitHit {
                id: "l".repeat(64).parse().expect("an id"),
                scope: Scope::Drop,
                identity_kind: Some("k".repeat(32).parse().expect("a kind")),
                max: 1,
                used: 1,
            });
            let refusal = Refusal {
                reason,
                rule,
                sku: None,
                retry_after: None,
                may_come_back: false,
                lines: definition.items.iter().map(|item| line(item, reason)).collect(),
                limit,
                hold: None,
            };
            let line = |item| NumberedLine { item, pool: None, reason, requested: 2, available: 1 };
            let numbered: Vec<NumberedLine> = (0..lines).map(ItemNo).map(line).collect();
            let most = if lasts(rule) { KEPT_BY_DROP * GROUPS } else { KEPT };
            for n in 0..2 * u32::try_from(most).expect("few") {
                LANE.set(Some(usize::try_from(n).expect("small") / GROUPS % refusals.lanes));
                refusals.keep(Refused {
                    at: Timestamp(u64::from(n)),
                    operation: Operation::Reserve,
                    hold: HoldId::from_bytes([7; 16]),
                    drop: DropNo(n),
                    customer: SubjectKey(n.into()),
                    refusal: &refusal,
                    lines: &numbered,
                });
            }
        }
    }
    refusals
}

#[test]
fn all_rings_full_take_no_more_than_is_documented() {
    for (lines, least_kept) in [(1, 100_000), (2, 60_000), (32, 10_000)] {
        let refusals = filled(lines);
        let (bytes, kept) = (refusals.measured(), refusals.kept());
        println!("{kept} refusals of {lines} lines take {} KiB", bytes / 1024);
        assert!(bytes <= ALL_MIB * MIB, "{bytes} bytes for {kept} refusals of {lines} lines");
        assert!(bytes >= 16 * MIB && kept >= least_kept, "the rings are full: {bytes} bytes, {kept} refusals");
    }
}
