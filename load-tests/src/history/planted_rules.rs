//! The checker finds each planted fault of windows, pools, prices, a tranche and the journal, and passes its sound
//! counterpart.

use stockade_drill::facts::{Fact, Line, Moment as Fired, Price};

use super::check::Report;
use super::event::{Answer, Call, History, Moment, Seen, Served, Setup, Shown, Term, Times, Verb, Why};
use super::{ask::sku, check};

/// The wall clock at the opening.
const ZERO: u64 = 1_000_000;
const TTL: u64 = 2_000;
/// The item whose pool of one unit flows at a moment; two more units are for all.
const ITEM: u8 = 1;
const MEMBER: u32 = 3;
const TIMES: Times = Times { opens: ZERO, all: 100, second: 200, step: 10_000, flow: 400, closes: 4_000 };

/// Builds a history of a drop with rules. Instants are in milliseconds after its opening.
struct Tape(History);

/// Units that a hold got: pool and number.
type Units<'a> = &'a [(&'a str, u32)];

impl Tape {
    fn new() -> Self {
        let stock = vec![4, 3, 4];
        let (max_hold_life, payment_ttl, grace, slack) = (4_000, 500, 300, 5);
        let rules = Some(TIMES);
        let setup = Setup { stock, limit: 9, max_hold_life, payment_ttl, grace, slack, rules, ..Setup::default() };
        let terms = vec![Term { spawned: ZERO, serving: ZERO, gone: None }];
        Self(History { setup, terms, ..History::default() })
    }

    fn call(mut self, (id, customer): (&str, u32), (item, units): (u8, u32), at: u64, answer: Answer) -> Self {
        let moment = |ms: u64| Moment { ns: (ms + 1_000) * 1_000_000, wall: ZERO + ms };
        self.0.calls.push(Call {
            client: 0,
            term: 0,
            verb: Verb::Reserve { ttl: TTL },
            hold: id.to_owned(),
            customer,
            lines: vec![(item, units)],
            sent: moment(at),
            back: moment(at + 2),
            now: Some(ZERO + at + 1),
            answer,
            last: false,
        });
        self
    }

    fn refused(self, who: (&str, u32), units: (u8, u32), at: u64, why: Why) -> Self {
        let items = if why == Why::SoldOut { vec![units.0] } else { Vec::new() };
        self.call(who, units, at, Answer::Refused(why, items))
    }

    /// A hold of these units through a window, at a price, and its record.
    fn served(
        mut self,
        who: (&str, u32),
        at: u64,
        units: Units<'_>,
        (window, terms, price): (&str, &str, i64),
    ) -> Self {
        let all = units.iter().map(|(_, units)| units).sum();
        let (created, due) = (ZERO + at + 1, ZERO + at + 1 + TTL);
        let served = |(pool, units): &(&str, u32)| {
            let [pool, window, terms] = [*pool, window, terms].map(String::from);
            Served { item: ITEM, units: *units, pool, window, terms, price }
        };
        let served: Vec<Served> = units.iter().map(served).collect();
        self.0.facts.push(record(who, at + 1, &served));
        let (state, customer, lines) = (Shown::Held, who.1, vec![(ITEM, all)]);
        let seen = Seen { state, created, due, revision: 1, order: None, lines, customer, served };
        self.call(who, (ITEM, all), at, Answer::Hold(seen))
    }

    fn member(self, id: &str, at: u64, units: Units<'_>) -> Self {
        self.served((id, MEMBER), at, units, ("members", "members", 3_600))
    }

    fn stranger(self, id: &str, at: u64, units: Units<'_>) -> Self {
        self.served((id, 1), at, units, ("all", "usual", 4_000))
    }

    /// The history with its journal: the moments of the drop among the holds.
    fn whole(mut self) -> History {
        let name = String::from;
        let moments = [
            (0, Fired { what: name("opened"), ..Fired::default() }),
            (100, Fired { what: name("window_opened"), window: name("all"), ..Fired::default() }),
            (200, Fired { what: name("tranche_released"), tranche: name("second"), ..Fired::default() }),
            (
                400,
                Fired {
                    what: name("flow_fired"),
                    sku: sku(ITEM),
                    pool: name("members"),
                    to: name("public"),
                    ..Fired::default()
                },
            ),
        ];
        for (at, moment) in moments {
            let moments = Some(vec![Fired { scheduled_for: text(at), ..moment }]);
            let (kind, drop_id, at) = (name("drop_turned"), Some(name("history")), Some(text(at)));
            self.0.facts.push(Fact { kind, drop_id, at, moments, ..Fact::default() });
        }
        self.0.facts.sort_by(|one, other| one.at.cmp(&other.at));
        (1..).zip(&mut self.0.facts).for_each(|(lsn, fact)| fact.lsn = lsn);
        self.0.calls.sort_by_key(|call| call.sent.ns);
        self.0
    }
}

/// An instant as the journal prints it.
fn text(ms: u64) -> String {
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_millis(ZERO + ms);
    humantime::format_rfc3339_millis(at).to_string()
}

fn record((id, customer): (&str, u32), at: u64, served: &[Served]) -> Fact {
    let line = |Served { item, units, pool, window, terms, price }: &Served| Line {
        sku: sku(*item),
        pool: pool.clone(),
        quantity: u64::from(*units),
        withdrawn: 0,
        window: window.clone(),
        terms: terms.clone(),
        price: Some(Price { currency: "EUR".to_owned(), minor_units: *price }),
    };
    Fact {
        kind: "hold".to_owned(),
        drop_id: Some("history".to_owned()),
        hold_id: Some(id.to_owned()),
        customer_id: Some(format!("customer-{customer}")),
        state: Some("held".to_owned()),
        lines: Some(served.iter().map(line).collect()),
        created_at: Some(text(at)),
        at: Some(text(at)),
        ..Fact::default()
    }
}

/// Asserts that one history is sound, and that the other one is not, with a finding that says this.
fn told_apart(what: &str, sound: Tape, faulty: Tape, says: &str) {
    let report = check(&sound.whole());
    assert!(report.is_linearizable(), "{what}, sound: {report}");
    flagged(what, &check(&faulty.whole()), says);
}

fn flagged(what: &str, report: &Report, says: &str) {
    assert!(report.violations > 0 && report.undecided == 0, "{what}, faulty: {report}");
    assert!(report.findings.iter().any(|finding| finding.contains(says)), "{what}: {report}");
}

const ONE: (u8, u32) = (ITEM, 1);
const BEN: (&str, u32) = ("b", 1);
const ANN: (&str, u32) = ("a", MEMBER);

#[test]
fn stock_pool_by_pool() {
    let public = || Tape::new().stranger("p", 150, &[("public", 2)]);
    let no = Why::SoldOut;
    // A member's unit is free, and is no stranger's: until it flows.
    let early = public().refused(BEN, ONE, 300, no);
    told_apart("false sold out after the flow", early, public().refused(BEN, ONE, 500, no), "stock of pools 11");
    let some = Tape::new().stranger("p", 150, &[("public", 1)]).refused(BEN, ONE, 300, no);
    told_apart("false sold out before it", public().refused(BEN, ONE, 300, no), some, "stock of pools 10");
    let theirs = public().member("m", 160, &[("members", 1)]).refused(ANN, ONE, 300, no);
    told_apart("false sold out of a member", theirs, public().refused(ANN, ONE, 300, no), "stock of pools 11");
    let both = |pool| Tape::new().member("m", 20, &[("members", 1)]).member("n", 40, &[(pool, 1)]);
    told_apart("a pool of one unit, twice", both("public"), both("members"), "more out than it received");
    let all = |units| {
        let tape = Tape::new().member("m", 20, &[("members", 1), ("public", units)]);
        tape.stranger("s", 150, &[("public", 1)])
    };
    told_apart("an item oversold", all(1), all(2), "stock of pools 10");
}

#[test]
fn windows_prices_and_moments() {
    let window = |window| Tape::new().served(BEN, 150, &[("public", 1)], (window, "usual", 4_000));
    told_apart("a window of others", window("all"), window("members"), "is not for tiers");
    let at = |at| Tape::new().stranger("s", at, &[("public", 1)]);
    told_apart("before the window", at(100), at(50), "window all was not open");
    let pool = |at| Tape::new().stranger("s", at, &[("members", 1)]);
    told_apart("before the flow", pool(400), pool(390), "pool members");
    let price = |price| Tape::new().served(ANN, 20, &[("members", 1)], ("members", "members", price));
    told_apart("another price", price(3_600), price(4_000), "was not the price");
    let terms = |terms, price| Tape::new().served(ANN, 150, &[("public", 1)], ("all", terms, price));
    told_apart("terms of others", terms("members", 3_600), terms("usual", 4_000), "was not the price");
    let refused = |at, why| Tape::new().refused(BEN, ONE, at, why);
    told_apart("refused as not open", refused(50, Why::NotOpen), refused(150, Why::NotOpen), "a window was open");
    let public = |at| Tape::new().member("m", 20, &[("public", 2)]).refused(BEN, ONE, at, Why::SoldOut);
    told_apart("sold out before it opens", public(150), public(50), "no window was open");
    let closed = |at| refused(at, Why::DropClosed);
    told_apart("closed early", closed(4_010), closed(3_900), "before the closing");
    told_apart("not eligible", refused(50, Why::NotOpen), refused(50, Why::NotEligible), "for everyone");
}

#[test]
fn what_was_answered_is_in_the_journal() {
    let mut history = Tape::new().member("m", 20, &[("members", 1)]).whole();
    assert!(check(&history).is_linearizable());
    let record = history.facts.iter().position(|fact| fact.kind == "hold").expect("a record");
    history.facts.remove(record);
    (1..).zip(&mut history.facts).for_each(|(lsn, fact)| fact.lsn = lsn);
    flagged("a lost record", &check(&history), "was answered, and no record has it");
    history.facts.clear();
    flagged("a lost journal", &check(&history), "was answered, and no record has it");
}

#[test]
fn a_hold_that_a_crash_undid_may_have_drawn_on_any_pool() {
    // Without an answer, and gone: one unit of it may have been of the public pool, and refused a stranger.
    let lost = |units| {
        let tape = Tape::new().stranger("p", 150, &[("public", 1)]);
        let unknown = Answer::Unknown("lost".to_owned());
        let mut history = tape.call(ANN, (ITEM, units), 160, unknown).refused(BEN, ONE, 161, Why::SoldOut).whole();
        history.terms[0].gone = Some(Moment { ns: 1_170 * 1_000_000, wall: ZERO + 170 });
        history.terms.push(Term { spawned: ZERO + 180, serving: ZERO + 190, gone: None });
        check(&history)
    };
    assert!(lost(2).is_linearizable(), "{}", lost(2));
    assert!(lost(1).is_linearizable(), "{}", lost(1));
}
