//! Whether the records of a journal stand in the order of what they say: holds are made in drops that are open, through
//! windows that are open, and rules that wait for a level of stock fire when it is reached.

use std::collections::HashMap;

use stockade_types::definition::{Definition, WindowNo};
use stockade_types::hold::Hold;
use stockade_types::ids::{DropNo, ItemNo, Lsn, PoolNo};
use stockade_types::record::{DropFact, DropVerb, Lifecycle, MarkKind, PoolFigures, Record, each_planned};

use crate::rules::{contradicts_stock, stock_triggers};

/// Most findings that are reported; the others are counted.
const REPORTED_MAX: usize = 16;

/// Follows the records of a journal.
#[derive(Debug, Default)]
pub(crate) struct FactOrder {
    /// The last fact about each drop. A drop without one so far is not checked.
    facts: HashMap<DropNo, Box<DropFact>>,
    findings: Vec<String>,
    unreported: u64,
}

impl FactOrder {
    /// Takes the next record.
    pub(crate) fn see(&mut self, lsn: Lsn, record: &Record) {
        if let Record::DropFact(fact) = record {
            if fact.verb == DropVerb::Turn {
                if fact.image.definition.has_rules() {
                    self.turned(lsn, fact);
                }
                self.made_known(lsn, fact);
            }
            self.facts.insert(fact.number(), fact.clone());
        } else if let Record::Made(made) = record {
            self.made(lsn, &made.hold, true);
        } else if let Record::Superseded(superseded) = record {
            // What it keeps of the old hold may have come through a window that is over.
            self.made(lsn, &superseded.made, false);
        }
    }

    fn made(&mut self, lsn: Lsn, hold: &Hold, is_new: bool) {
        let drop = hold.drop;
        let Some(fact) = self.facts.get(&drop) else { return };
        let Lifecycle { paused, opened, closed, .. } = &fact.lifecycle;
        if opened.is_none() || closed.is_some() || *paused {
            return self.find(format!("record {lsn} makes a hold in drop number {drop}, which is not open there"));
        }
        let shut = |number: WindowNo| !is_open(&fact.image.definition, &fact.lifecycle, number);
        if is_new && let Some(line) = hold.lines().iter().find(|line| shut(line.pinned.window)) {
            let window = fact.image.definition.rules.names.window(line.pinned.window);
            let window = window.map_or_else(|| line.pinned.window.0.to_string(), ToString::to_string);
            let what = format!("record {lsn} makes a hold in drop number {drop} through window {window}");
            self.find(format!("{what}, which is not open there"));
        }
    }

    /// Checks the rules that have fired by a level of stock.
    fn turned(&mut self, lsn: Lsn, fact: &DropFact) {
        let definition = &fact.image.definition;
        let Some(before) = self.facts.get(&fact.number()).map(|before| before.lifecycle.clone()) else { return };
        let units = before_tranches(fact);
        let triggers = stock_triggers(definition, &before);
        for mark in &fact.marks {
            if before.closed.is_some() && !may_follow_closing(mark.kind) {
                let (drop, what) = (fact.number(), mark.kind.label());
                self.find(format!("record {lsn}: {what} in drop number {drop}, which is closed there"));
            }
            // Two flows to one pool have one mark: a moment may have fired it, or either of two levels.
            let mut due = false;
            each_planned(definition, |kind, moment| due |= kind == mark.kind && moment.at <= fact.at);
            let mut levels = triggers.iter().filter(|trigger| trigger.kind == mark.kind).peekable();
            let of = |item, pool| figures(definition, &units, item, pool);
            if !due && levels.peek().is_some() && !levels.any(|trigger| trigger.is_reached(definition, of)) {
                let (drop, what) = (fact.number(), mark.kind.label());
                self.find(format!(
                    "record {lsn}: {what} in drop number {drop}, whose stock has not reached that level there"
                ));
            }
        }
    }

    /// Checks what was made known of the stock.
    fn made_known(&mut self, lsn: Lsn, fact: &DropFact) {
        let DropFact { image, lifecycle, marks, stock, .. } = fact;
        for mark in marks {
            if contradicts_stock(&image.definition, &lifecycle.marks, stock, mark.kind) {
                let (drop, what) = (fact.number(), mark.kind.label());
                self.find(format!("record {lsn}: {what} in drop number {drop}, and its stock is not so there"));
            }
        }
    }

    fn find(&mut self, finding: String) {
        if self.findings.len() < REPORTED_MAX {
            self.findings.push(finding);
        } else {
            self.unreported = self.unreported.saturating_add(1);
        }
    }

    /// The findings.
    pub(crate) fn findings(self) -> Vec<String> {
        let Self { facts: _, mut findings, unreported } = self;
        if unreported > 0 {
            findings.push(format!("{unreported} more records contradict the state of their drops"));
        }
        findings
    }
}

/// Whether a window is open; a line that came through none is of a drop without windows, or was made by staff.
fn is_open(definition: &Definition, lifecycle: &Lifecycle, number: WindowNo) -> bool {
    let names = &definition.rules.names;
    let Some(id) = names.window(number) else { return number == WindowNo::default() };
    let window = definition.rules.windows.iter().find(|window| window.id == *id);
    window.is_some_and(|window| {
        (window.starts.is_none() || lifecycle.has(MarkKind::WindowOpens(number)))
            && !(window.ends.is_some() && lifecycle.has(MarkKind::WindowCloses(number)))
    })
}

/// The stock that a fact found, without what its own tranches have added.
fn before_tranches(fact: &DropFact) -> Vec<PoolFigures> {
    let definition = &fact.image.definition;
    let mut stock = fact.stock.clone();
    for mark in &fact.marks {
        let MarkKind::Tranche(number) = mark.kind else { continue };
        let Some(tranche) = definition.tranche(number) else { continue };
        if let Some(figures) = definition.tranche_place(tranche).and_then(|place| stock.get_mut(place)) {
            figures.basis.received = figures.basis.received.saturating_sub(tranche.units);
        }
    }
    stock
}

fn figures(definition: &Definition, stock: &[PoolFigures], item: ItemNo, pool: PoolNo) -> Option<PoolFigures> {
    stock.get(definition.pool_place(item, pool)?).copied()
}

/// Whether this may come once a drop is closed: slots begin, and a signal may be for the instant of the closing.
const fn may_follow_closing(kind: MarkKind) -> bool {
    match kind {
        MarkKind::SlotStarts(_) | MarkKind::Signal(_) | MarkKind::SignalMissed(_) => true,
        MarkKind::Opens
        | MarkKind::Closes
        | MarkKind::WindowOpens(_)
        | MarkKind::WindowCloses(_)
        | MarkKind::Flow(_)
        | MarkKind::Tranche(_)
        | MarkKind::TermsStart(_)
        | MarkKind::TermsEnd(_)
        | MarkKind::PriceStep(..)
        | MarkKind::SoldOut(_)
        | MarkKind::BackInStock(_)
        | MarkKind::Band(..) => false,
    }
}

#[cfg(test)]
mod tests {
    use stockade_types::definition::{
        BandNo, Item, Level, Moment, Named, Pool, Rules, Schedule, StockLevel, Terms, Tranche, Trigger, Window,
    };
    use stockade_types::hold::{ContentHash, HoldFields, HoldLine, HoldState, Lines, Pinned};
    use stockade_types::ids::HoldId;
    use stockade_types::record::{Actor, DropImage, Made, Mark, Origin, PoolBasis};
    use stockade_types::time::{Millis, Timestamp};

    use super::*;

    fn definition() -> Definition {
        let moment = |at| Some(Moment { named: Named::At(Timestamp(at)), at: Timestamp(at) });
        let window = Window {
            id: "early".parse().expect("an id"),
            audience: stockade_types::definition::Audience::default(),
            skus: Vec::new(),
            pools: Vec::new(),
            starts: moment(20),
            ends: moment(30),
            hold_ttl: None,
        };
        let level = StockLevel { sku: None, pool: None, level: Level::FreeAtMost(0) };
        let sku = || "A".parse().expect("a sku");
        let tranche = Tranche {
            id: "more".parse().expect("an id"),
            sku: sku(),
            pool: None,
            units: 5,
            when: Trigger::Stock(level),
        };
        let mut definition = Definition {
            id: "d".parse().expect("an id"),
            title: String::new(),
            shop: "s".parse().expect("an id"),
            series: None,
            labels: std::collections::BTreeMap::new(),
            schedule: Schedule { opens_at: Some(Timestamp(10)), closes_at: None },
            terms: Terms { hold_ttl: Millis(1), max_hold_life: Millis(1), payment_ttl: Millis(1) },
            items: vec![Item::plain(sku(), vec![Pool::plain("general".parse().expect("an id"), 3)])],
            limits: Vec::new(),
            rules: Rules { windows: vec![window], tranches: vec![tranche], ..Rules::default() },
        };
        definition.number_names().expect("few names");
        definition
    }

    /// A turn that sets these marks on top of those before, with these units received and held.
    fn turn(lifecycle: &mut Lifecycle, kinds: &[MarkKind], (received, held): (u64, u64)) -> Record {
        let marks: Vec<Mark> = kinds.iter().map(|kind| Mark { kind: *kind, scheduled_for: Timestamp(10) }).collect();
        for mark in &marks {
            lifecycle.mark(*mark);
        }
        let image = DropImage {
            number: DropNo(7),
            created_at: Timestamp(1),
            definition: definition(),
            request: [0; 32],
            update: None,
        };
        let basis = PoolBasis { received, taken_out: 0 };
        Record::DropFact(Box::new(DropFact {
            verb: DropVerb::Turn,
            at: Timestamp(10),
            origin: Origin::ENGINE,
            image,
            lifecycle: lifecycle.clone(),
            marks,
            stock: vec![PoolFigures { basis, held, ..PoolFigures::default() }],
        }))
    }

    fn made(window: u8) -> Record {
        let pinned = Pinned { window: WindowNo(window), ..Pinned::NOTHING };
        let hold = Hold::from(HoldFields {
            id: HoldId::from_bytes([window; 16]),
            drop: DropNo(7),
            state: HoldState::Held,
            customer: "ada".parse().expect("a customer"),
            content: ContentHash(0),
            created_at: Timestamp(20),
            expires_at: Timestamp(30),
            settled_at: Timestamp(0),
            has_grace: false,
            revision: Lsn(0),
            lines: Lines::from_slice(&[HoldLine { pinned, ..HoldLine::new(ItemNo(0), PoolNo(0), 1) }]),
            extras: None,
        });
        Record::Made(Made { actor: Actor::Anonymous, hold })
    }

    fn findings(records: &[Record]) -> Vec<String> {
        let mut order = FactOrder::default();
        for (lsn, record) in (1..).map(Lsn).zip(records) {
            order.see(lsn, record);
        }
        order.findings()
    }

    #[test]
    fn a_hold_comes_through_no_window_outside_its_marks() {
        let window = WindowNo(1);
        let mut life = Lifecycle::new(DropNo(7));
        let opened = turn(&mut life, &[MarkKind::Opens], (3, 0));
        let begun = turn(&mut life, &[MarkKind::WindowOpens(window)], (3, 0));
        let over = turn(&mut life, &[MarkKind::WindowCloses(window)], (3, 1));
        assert_eq!(findings(&[opened.clone(), made(0), begun.clone(), made(1), over.clone()]), Vec::<String>::new());
        let finding = "makes a hold in drop number 7 through window early, which is not open there";
        assert_eq!(findings(&[opened.clone(), made(1)]), [format!("record 2 {finding}")]);
        assert_eq!(findings(&[opened.clone(), begun, over, made(1)]), [format!("record 4 {finding}")]);
        let unknown = "record 2 makes a hold in drop number 7 through window 9, which is not open there";
        assert_eq!(findings(&[opened, made(9)]), [unknown]);
    }

    #[test]
    fn what_is_made_known_of_the_stock_is_what_the_record_has() {
        let made_known = |kind, held| {
            let mut life = Lifecycle::new(DropNo(7));
            let opened = turn(&mut life, &[MarkKind::Opens], (3, 0));
            findings(&[opened, turn(&mut life, &[kind], (3, held))])
        };
        let item = Some(ItemNo(0));
        for kind in [MarkKind::SoldOut(None), MarkKind::SoldOut(item), MarkKind::Band(ItemNo(0), BandNo(1))] {
            let finding = format!("record 2: {} in drop number 7, and its stock is not so there", kind.label());
            assert_eq!((made_known(kind, 3), made_known(kind, 2)), (vec![], vec![finding]));
        }
        for kind in [MarkKind::BackInStock(item), MarkKind::Band(ItemNo(0), BandNo(0))] {
            assert_eq!((made_known(kind, 2).len(), made_known(kind, 3).len()), (0, 1), "{kind:?}");
        }
    }

    #[test]
    fn a_level_of_stock_is_reached_before_what_it_fires() {
        let fires = |held| {
            let mut life = Lifecycle::new(DropNo(7));
            let opened = turn(&mut life, &[MarkKind::Opens], (3, 0));
            let number = definition().rules.names.tranche_no(&"more".parse().expect("an id")).expect("a number");
            findings(&[opened, turn(&mut life, &[MarkKind::Tranche(number)], (8, held))])
        };
        assert_eq!(fires(3), Vec::<String>::new());
        let finding =
            "record 2: tranche_released in drop number 7, whose stock has not reached that level there".to_owned();
        assert_eq!(fires(2), [finding]);
    }

    #[test]
    fn nothing_but_a_slot_comes_behind_the_closing() {
        let after_closing = |kind| {
            let mut life = Lifecycle::new(DropNo(7));
            let ended = turn(&mut life, &[MarkKind::Opens, MarkKind::Closes], (3, 0));
            findings(&[ended, turn(&mut life, &[kind], (3, 0))])
        };
        assert_eq!(after_closing(MarkKind::SlotStarts(ItemNo(0))), Vec::<String>::new());
        let finding = "record 2: window_opened in drop number 7, which is closed there".to_owned();
        assert_eq!(after_closing(MarkKind::WindowOpens(WindowNo(1))), [finding]);
    }
}
