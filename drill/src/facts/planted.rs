//! The judgement finds each kind of fault that is planted in a journal, under the right count.

use super::*;
use crate::rules::tests::members_first;

const START: u64 = 1_000;

fn text(second: u64) -> String {
    format!("2026-12-04T17:00:{second:02}.000Z")
}

fn line(pool: &str, quantity: u64, (window, terms, price): (&str, &str, i64)) -> Line {
    let [sku, pool, window, terms] = ["KNIFE", pool, window, terms].map(String::from);
    let price = Some(Price { currency: "EUR".into(), minor_units: price });
    Line { sku, pool, quantity, withdrawn: 0, window, terms, price }
}

const MEMBER: (&str, &str, i64) = ("members", "members", 36);
const USUAL: (&str, &str, i64) = ("all", "usual", 40);
const STEPPED: (&str, &str, i64) = ("all", "usual", 45);

/// A journal that is written record by record.
struct Tape(Vec<Fact>);

impl Tape {
    fn push(mut self, second: u64, fact: Fact) -> Self {
        let lsn = START + u64::try_from(self.0.len()).expect("few");
        let (drop_id, at) = (Some("d".to_owned()), Some(text(second)));
        self.0.push(Fact { lsn, drop_id, at, ..fact });
        self
    }

    fn hold(self, second: u64, id: &str, customer: &str, lines: Vec<Line>) -> Self {
        let (created_at, state) = (Some(text(second)), Some("held".to_owned()));
        let (hold_id, customer_id) = (Some(id.to_owned()), Some(customer.to_owned()));
        let kind = "hold".to_owned();
        self.push(second, Fact { kind, hold_id, customer_id, created_at, state, lines: Some(lines), ..Fact::default() })
    }

    fn change(self, second: u64, kind: &str, (id, state): (&str, &str), lines: Vec<Line>) -> Self {
        let (kind, hold_id, state) = (kind.to_owned(), Some(id.to_owned()), Some(state.to_owned()));
        self.push(second, Fact { kind, hold_id, state, lines: Some(lines), ..Fact::default() })
    }

    fn fire(self, second: u64, what: &str, names: Moment, stock: Option<[Figures; 2]>) -> Self {
        let moment = Moment { what: what.to_owned(), scheduled_for: text(second), ..names };
        let (kind, stock) = ("drop_turned".to_owned(), stock.map(Vec::from));
        self.push(second, Fact { kind, moments: Some(vec![moment]), stock, ..Fact::default() })
    }
}

fn figures(received: u64, held: u64, claimed: u64) -> Figures {
    Figures { received, held, claimed, ..Figures::default() }
}

fn flow() -> Moment {
    let [sku, pool, to] = ["KNIFE", "members", "public"].map(String::from);
    Moment { sku, pool, to, ..Moment::default() }
}

/// A journal without faults: all windows, pools, prices and the tranche are used.
fn played() -> Vec<Fact> {
    let window = Moment { window: "all".into(), ..Moment::default() };
    let step = Moment { terms: "usual".into(), ..Moment::default() };
    let tranche = Moment { tranche: "second".into(), ..Moment::default() };
    Tape(Vec::new())
        .push(0, Fact { kind: "drop_created".into(), ..Fact::default() })
        .fire(0, "opened", Moment::default(), Some([figures(4, 0, 0), figures(6, 0, 0)]))
        .hold(1, "ann", "member", vec![line("members", 4, MEMBER), line("public", 1, MEMBER)])
        .fire(10, "window_opened", window, None)
        .hold(11, "bob", "stranger", vec![line("public", 2, USUAL)])
        .fire(12, "price_stepped", step, Some([figures(4, 4, 0), figures(6, 3, 0)]))
        .hold(13, "cyd", "stranger", vec![line("public", 3, STEPPED)])
        .fire(14, "flow_fired", flow(), None)
        .change(15, "released", ("ann", "released"), vec![line("members", 0, MEMBER), line("public", 0, MEMBER)])
        .hold(16, "dan", "stranger", vec![line("members", 1, STEPPED)])
        .change(17, "claimed", ("dan", "claimed"), vec![line("members", 1, STEPPED)])
        .fire(20, "tranche_released", tranche, Some([figures(4, 0, 1), figures(8, 5, 0)]))
        .0
}

fn judged(facts: &[Fact]) -> Trial {
    let mut facts = facts.to_vec();
    // The tape's positions begin later, so that it is seen that those before are missing.
    for fact in &mut facts {
        fact.lsn = fact.lsn.saturating_sub(START - 1);
    }
    let tiers = |customer: &str| vec![customer.to_owned()];
    judge(&members_first(), &facts, tiers)
}

/// The counts above 0, after a fault was planted.
fn planted(plant: impl FnOnce(&mut Vec<Fact>)) -> Vec<(&'static str, u64)> {
    let mut facts = played();
    plant(&mut facts);
    let trial = judged(&facts);
    assert_eq!(trial.violations() == 0, trial.findings.is_empty(), "{trial:?}");
    trial.counts().into_iter().filter(|(_, count)| *count > 0).collect()
}

fn first_line(fact: &mut Fact) -> &mut Line {
    &mut fact.lines.as_mut().expect("a hold")[0]
}

#[test]
fn a_journal_without_faults_is_clean() {
    let trial = judged(&played());
    assert_eq!(trial.violations(), 0, "{trial:?}");
    assert_eq!((trial.records, trial.holds, trial.marks), (12, 4, 5));
    assert!(trial.to_string().contains("12 records of the drop, 4 holds, 5 marks"), "{trial}");
}

#[test]
fn a_hold_outside_the_drop_is_found() {
    let before = planted(|facts| facts[2].created_at = Some("2026-12-04T16:59:59.999Z".into()));
    assert_eq!(before, [("holds outside the drop", 1)]);
    let unopened = planted(|facts| facts[1].moments = None);
    assert!(unopened.contains(&("holds outside the drop", 4)), "{unopened:?}");
    let closed = planted(|facts| facts[7].closed = Some(text(14)));
    assert!(closed.contains(&("holds outside the drop", 1)), "{closed:?}");
    assert_eq!(planted(|facts| facts[7].paused = Some(true)), [("holds outside the drop", 1)]);
}

#[test]
fn a_line_outside_its_window_of_a_foreign_pool_or_at_another_price_is_found() {
    let early = planted(|facts| facts[3].moments = Some(Vec::new()));
    assert_eq!(early, [("lines outside a window", 3)], "three of strangers");
    let foreign = planted(|facts| facts[4].customer_id = Some("member".into()));
    assert_eq!(foreign, [("wrong prices", 1)], "a member pays less");
    let not_flowed = planted(|facts| facts[7].moments = Some(Vec::new()));
    assert_eq!(not_flowed, [("lines of a foreign pool", 1)]);
    let stale =
        planted(|facts| first_line(&mut facts[6]).price = Some(Price { currency: "EUR".into(), minor_units: 40 }));
    assert_eq!(stale, [("wrong prices", 1)]);
    let window = planted(|facts| first_line(&mut facts[4]).window = "members".into());
    assert_eq!(window, [("lines outside a window", 1)]);
}

#[test]
fn a_mark_that_comes_twice_early_or_without_its_level_is_found() {
    let twice =
        planted(|facts| facts[7].moments.as_mut().expect("marks").push(Moment { what: "flow_fired".into(), ..flow() }));
    assert_eq!(twice, [("wrong marks", 1)]);
    let early = planted(|facts| facts[3].moments.as_mut().expect("marks")[0].scheduled_for = text(11));
    assert_eq!(early, [("wrong marks", 1)]);
    // Seven of ten are taken when the price steps, ten when the pool flows: with one less it may not.
    let level = planted(|facts| first_line(&mut facts[6]).quantity = 1);
    assert!(level.contains(&("wrong marks", 1)), "{level:?}");
    let unknown = planted(|facts| facts[3].moments.as_mut().expect("marks")[0].what = "window_painted".into());
    assert!(unknown.contains(&("wrong marks", 1)), "{unknown:?}");
}

#[test]
fn a_slot_that_is_taken_when_it_has_begun_and_a_mark_behind_the_closing_are_found() {
    let of =
        |what: &str| Moment { what: what.into(), sku: "KNIFE".into(), scheduled_for: text(10), ..Moment::default() };
    let begun = |late| {
        planted(|facts| {
            facts[7].moments.as_mut().expect("marks").push(of("slot_started"));
            facts[10].late = Some(late);
        })
    };
    assert_eq!(begun(false), [("lines of a slot that has begun", 1)], "the last hold");
    assert_eq!(begun(true), [("lines of a slot that has begun", 2)], "and its late claim");
    let closed = |then: Option<Moment>| {
        planted(|facts| {
            (facts[10].kind, facts[10].moments) = ("drop_turned".into(), Some(vec![of("closed")]));
            facts[11].stock = None;
            facts[11].moments.as_mut().expect("marks").extend(then.clone());
            if then.is_some() {
                facts[11].moments.as_mut().expect("marks").remove(0);
            }
        })
    };
    assert_eq!(closed(Some(of("slot_started"))), []);
    assert_eq!(closed(None), [("wrong marks", 1)], "a tranche");
}

#[test]
fn pools_that_do_not_add_up_are_found() {
    let more = planted(|facts| first_line(&mut facts[2]).quantity = 5);
    assert!(more.iter().any(|(name, count)| *name == "records that do not add up" && *count >= 2), "{more:?}");
    // The sum of both pools is right, and each is wrong.
    let moved = planted(|facts| {
        let stock = facts[5].stock.as_mut().expect("figures");
        (stock[0].held, stock[1].held) = (3, 4);
    });
    assert_eq!(moved, [("records that do not add up", 2)]);
    let lost = planted(|facts| facts[11].moments = Some(Vec::new()));
    assert_eq!(lost, [("records that do not add up", 1)], "two units of the tranche");
    let missing = planted(|facts| drop(facts.remove(9)));
    assert!(missing.contains(&("gaps", 1)) && missing.contains(&("records that do not add up", 1)), "{missing:?}");
    let sinks = planted(|facts| {
        facts[3].kind = "adjusted".into();
        (facts[3].sku, facts[3].pool) = (Some("KNIFE".into()), Some("public".into()));
        (facts[3].received, facts[3].taken_out) = (Some(5), Some(0));
    });
    assert!(sinks.contains(&("records that do not add up", 1)), "{sinks:?}");
}
