//! The checker finds each planted fault: small histories with one fault each, and their sound counterparts.

use super::event::{Answer, Call, Figures, History, Moment, Seen, Setup, Shown, Term, Verb, Why};
use super::search::{Bounds, Verdict, search};
use super::terms::Terms;
use super::{check, check::Report, lens::parts};

/// The wall clock when a history begins.
const ZERO: u64 = 1_000_000;
const TTL: u64 = 1_000;

const fn moment(ms: u64) -> Moment {
    Moment { ns: ms * 1_000_000, wall: ZERO + ms }
}

/// Builds a history: two units of one item, three a customer. Instants are in milliseconds.
pub struct Tape(History);

/// A requested hold: its name, its customer, units.
type Goal = (&'static str, u32, u32);
const A: Goal = ("a", 1, 1);
const A2: Goal = ("a", 1, 2);
const B: Goal = ("b", 2, 1);
const B2: Goal = ("b", 2, 2);
const C: Goal = ("c", 3, 1);

impl Tape {
    fn new() -> Self {
        let stock = vec![2];
        let setup =
            Setup { stock, limit: 3, max_hold_life: 2_000, payment_ttl: 500, grace: 300, slack: 5, ..Setup::default() };
        let terms = vec![Term { spawned: ZERO, serving: ZERO, gone: None }];
        Self(History { setup, terms, ..History::default() })
    }

    fn call(mut self, goal: Goal, verb: Verb, (sent, back): (u64, u64), answer: Answer) -> Self {
        let now = match answer {
            Answer::Absent | Answer::Adjusted | Answer::Unknown(_) | Answer::Odd(_) => None,
            Answer::Hold(_) | Answer::Refused(..) | Answer::Stock(_) => Some(ZERO + back - 1),
        };
        let (hold, customer, units) = goal;
        let term = u32::try_from(self.0.terms.len() - 1).expect("few");
        self.0.calls.push(Call {
            client: 0,
            term,
            verb,
            hold: hold.to_owned(),
            customer,
            lines: vec![(0, units)],
            sent: moment(sent),
            back: moment(back),
            now,
            answer,
            last: false,
        });
        self
    }

    /// A reserve that is granted: made right before the answer.
    fn held(self, goal: Goal, (sent, back): (u64, u64)) -> Self {
        self.call(goal, Verb::Reserve { ttl: TTL }, (sent, back), hold(goal, Shown::Held, back - 1, back - 1 + TTL))
    }

    fn reserve(self, goal: Goal, span: (u64, u64), answer: Answer) -> Self {
        self.call(goal, Verb::Reserve { ttl: TTL }, span, answer)
    }

    fn get(self, goal: Goal, span: (u64, u64), answer: Answer) -> Self {
        self.call(goal, Verb::GetHold, span, answer)
    }

    /// The server is killed, and serves again 50 ms later.
    fn crash(mut self, at: u64) -> Self {
        self.0.terms.last_mut().expect("a life").gone = Some(moment(at));
        self.0.terms.push(Term { spawned: ZERO + at + 10, serving: ZERO + at + 50, gone: None });
        self
    }
}

fn hold((_, customer, units): Goal, state: Shown, created: u64, due: u64) -> Answer {
    let has = state.is_live() || state == Shown::Claimed;
    let lines = vec![(0, if has { units } else { 0 })];
    let order = (state == Shown::Claimed).then_some(0);
    Answer::Hold(Seen {
        state,
        created: ZERO + created,
        due: ZERO + due,
        revision: 1,
        order,
        lines,
        customer,
        served: Vec::new(),
    })
}

fn sold(order: u8) -> Answer {
    let mut answer = hold(A, Shown::Claimed, 9, 1_009);
    if let Answer::Hold(seen) = &mut answer {
        seen.order = Some(order);
    }
    answer
}

fn refused(why: Why) -> Answer {
    Answer::Refused(why, vec![0])
}

fn unknown() -> Answer {
    Answer::Unknown("lost".to_owned())
}

fn stock(free: u32, held: u32) -> Answer {
    Answer::Stock(vec![Figures { received: 2, free, held, paying: 0, claimed: 0 }])
}

fn look(tape: Tape) -> Report {
    let mut history = tape.0;
    history.calls.sort_by_key(|call| call.sent.ns);
    check(&history)
}

/// Asserts that one history is sound, and that one that differs in one answer is not.
fn told_apart(what: &str, sound: Tape, faulty: Tape) {
    let report = look(sound);
    assert!(report.is_linearizable(), "{what}, sound: {report}");
    let report = look(faulty);
    assert!(report.violations > 0 && report.undecided == 0, "{what}, faulty: {report}");
    assert!(!report.findings.is_empty(), "{what}: it is reported in words");
}

const CLAIM: Verb = Verb::Claim { order: 0 };
const OTHER: Verb = Verb::Claim { order: 1 };
const GET_DROP: Verb = Verb::GetDrop;
const NOTHING: Goal = ("", 0, 0);

#[test]
fn stock_and_limits() {
    let taken = || Tape::new().held(A2, (0, 10));
    told_apart("oversell", taken().reserve(B, (20, 30), refused(Why::SoldOut)), taken().held(B, (20, 30)));
    let some = || Tape::new().held(A, (0, 10));
    let no = refused(Why::SoldOut);
    told_apart("false sold out", some().reserve(B2, (20, 30), no.clone()), some().reserve(B, (20, 30), no.clone()));
    let limit = refused(Why::LimitReached);
    let two = ("d", 1, 2);
    let three = ("d", 1, 3);
    told_apart("false limit", some().reserve(three, (20, 30), limit.clone()), some().reserve(two, (20, 30), limit));
    let generous = |more: Goal| {
        let mut tape = Tape::new();
        tape.0.setup.stock = vec![9];
        tape.held(A2, (0, 10)).held(more, (20, 30))
    };
    told_apart("over the limit", generous(B2), generous(two));
    let other = |at| taken().reserve(B, (at, at + 10), refused(Why::SoldOut));
    told_apart("not sellable after its deadline", other(900), other(1_010));
    let early = |at| taken().held(B, (at, at + 10));
    told_apart("sold before its deadline", early(1_010), early(980));
    let released = |tape: Tape| tape.call(A2, Verb::Release, (12, 18), hold(A2, Shown::Released, 9, 1_009));
    told_apart("sold twice", released(taken()).held(B2, (20, 30)), taken().held(B2, (20, 30)));
    let add = ("adjustment", 0, 1);
    let added = |tape: Tape| tape.call(add, Verb::Adjust, (12, 18), Answer::Adjusted);
    told_apart("restocked", added(taken()).held(B, (20, 30)), added(taken()).held(B2, (20, 30)));
    let shown = |free, held| some().call(NOTHING, GET_DROP, (20, 30), stock(free, held));
    told_apart("figures", shown(1, 1), shown(2, 0));
}

#[test]
fn the_life_of_a_hold() {
    let some = || Tape::new().held(A, (0, 10));
    let claimed = || some().call(A, CLAIM, (20, 30), sold(0));
    let mismatch = refused(Why::OrderMismatch);
    told_apart(
        "double claim",
        claimed().call(A, OTHER, (40, 50), mismatch),
        claimed().call(A, OTHER, (40, 50), sold(1)),
    );
    let late = |answer| some().call(A, CLAIM, (1_100, 1_110), answer);
    told_apart("claimed past its deadline", late(refused(Why::Expired)), late(sold(0)));
    let expired = hold(A, Shown::Expired, 9, 1_009);
    let shown = |at| some().get(A, (at, at + 10), expired.clone());
    told_apart("expired early", shown(1_010), shown(900));
    let held = |created| hold(A, Shown::Held, created, created + TTL);
    let again = |created| some().reserve(A, (20, 30), held(created));
    told_apart("made twice", again(9), again(29));
    let extended = || some().call(A, Verb::Extend { ttl: TTL, pay: false }, (500, 510), hold(A, Shown::Held, 9, 1_509));
    let read = |due| extended().get(A, (520, 530), hold(A, Shown::Held, 9, due));
    told_apart("stale read", read(1_509), read(1_009));
    let short = |due| some().call(A, Verb::Extend { ttl: 800, pay: false }, (500, 510), hold(A, Shown::Held, 9, due));
    told_apart("extended too short", short(1_309), short(1_200));
    let released = |tape: Tape| tape.call(A, Verb::Release, (20, 30), hold(A, Shown::Released, 9, 1_009));
    let read = |answer| released(some()).get(A, (40, 50), answer);
    told_apart("resurrected", read(hold(A, Shown::Released, 9, 1_009)), read(held(9)));
    let again = |answer| released(some()).reserve(A, (40, 50), answer);
    told_apart("given again", again(Answer::Refused(Why::Released, Vec::new())), again(held(9)));
    let pay = Verb::Extend { ttl: 0, pay: true };
    let paying = || some().call(A, pay, (20, 30), hold(A, Shown::Paying, 9, 1_009));
    let back = |answer| paying().call(A, Verb::Release, (40, 50), answer);
    let no = Answer::Refused(Why::Paying, Vec::new());
    told_apart("released in payment", back(no), back(hold(A, Shown::Released, 9, 1_009)));
    told_apart("gone", some().get(A, (20, 30), held(9)), some().get(A, (20, 30), Answer::Absent));
}

#[test]
fn crashes() {
    let held = |due| hold(A, Shown::Held, 9, due);
    let some = || Tape::new().held(A, (0, 10)).crash(100);
    told_apart("lost ack", some().get(A, (200, 210), held(1_009)), some().get(A, (200, 210), Answer::Absent));
    let released = || Tape::new().held(A, (0, 10)).call(A, Verb::Release, (20, 30), hold(A, Shown::Released, 9, 1_009));
    let gone = hold(A, Shown::Released, 9, 1_009);
    let after = |answer| released().crash(100).get(A, (200, 210), answer);
    told_apart("a release undone", after(gone), after(held(1_009)));
    let full = || Tape::new().held(A2, (0, 10)).call(A2, Verb::Release, (20, 30), hold(A2, Shown::Released, 9, 1_009));
    let ask = |tape: Tape| tape.crash(100).reserve(B, (200, 210), refused(Why::SoldOut));
    told_apart("false sold out after it", ask(Tape::new().held(A2, (0, 10))), ask(full()));
    // Killed at 950, serves again from 1000 at the latest: a hold that lived then lives until 1260 at least.
    let graced = |at| Tape::new().held(A, (0, 10)).crash(950).get(A, (at, at + 10), hold(A, Shown::Expired, 9, 1_290));
    told_apart("eaten by the outage", graced(1_310), graced(1_200));
    let undone = |state: Shown, due| {
        let tape = Tape::new().held(A, (0, 10)).held(B, (1_100, 1_110)).crash(1_120);
        tape.get(A, (1_200, 1_210), hold(A, state, 9, due))
    };
    // Of two holds, one is surely past its deadline, the other may be: they are not interchangeable.
    let two = |more: Goal| {
        let brief = Answer::Hold(Seen {
            state: Shown::Held,
            created: ZERO + 1_009,
            due: ZERO + 1_259,
            revision: 1,
            order: None,
            lines: vec![(0, 1)],
            customer: 2,
            served: Vec::new(),
        });
        let tape = Tape::new().held(A, (0, 10)).crash(950).call(B, Verb::Reserve { ttl: 250 }, (1_000, 1_010), brief);
        let tape = tape.held(C, (1_255, 1_262)).reserve(("d", 4, 1), (1_262, 1_264), refused(Why::SoldOut));
        tape.held(more, (1_390, 1_400))
    };
    told_apart("one surely due", two(("e", 5, 1)), two(("e", 5, 2)));
    told_apart("an expired one revived", undone(Shown::Expired, 1_009), undone(Shown::Held, 1_450));
}

#[test]
fn calls_without_an_answer() {
    let maybe = |tape: Tape, goal, at| tape.reserve(goal, (at, at + 20), unknown());
    let refused_by_it = || maybe(Tape::new(), A2, 90).reserve(B, (92, 98), refused(Why::SoldOut));
    // Units of a hold that the crash undid are free again; those of a hold that it kept are not.
    let after = |tape: Tape| tape.crash(100).held(B2, (200, 210));
    let kept = |tape: Tape| tape.get(A2, (220, 230), hold(A2, Shown::Held, 95, 1_095));
    told_apart("sold out by a hold that was lost", after(refused_by_it()), kept(after(refused_by_it())));
    told_apart("or that was kept", kept(refused_by_it().crash(100)), kept(Tape::new().crash(100)));
    // A call takes no effect before it is sent, nor after the process has ended.
    let early = Tape::new().reserve(B, (70, 80), refused(Why::SoldOut));
    told_apart("taken before it was sent", refused_by_it(), maybe(early, A2, 90));
    let late = || Tape::new().crash(60).reserve(B, (200, 210), refused(Why::SoldOut));
    let mut early = late();
    early.0.calls.extend(maybe(Tape::new(), A2, 50).0.calls);
    let mut gone = late();
    gone.0.calls.extend(maybe(Tape::new(), A2, 65).0.calls);
    told_apart("sent to nobody", early, gone);
    let release = |tape: Tape, at| tape.call(A2, Verb::Release, (at, at + 10), unknown());
    let taken = || Tape::new().held(A2, (0, 10));
    told_apart("given back, perhaps", release(taken(), 20).held(B, (40, 50)), release(taken().held(B, (40, 50)), 60));
    // If one answer shows that it exists, it stays; if one after the crash shows that it does not, it never does.
    let tape = || maybe(Tape::new(), A, 50).crash(100).get(A, (200, 210), Answer::Absent);
    let here = hold(A, Shown::Held, 55, 1_055);
    told_apart("absent, then there", tape().get(A, (220, 230), Answer::Absent), tape().get(A, (220, 230), here));
    let extend = Verb::Extend { ttl: TTL, pay: false };
    let moved = |tape: Tape| tape.call(A, CLAIM, (1_100, 1_110), sold(0));
    let some = || Tape::new().held(A, (0, 10));
    told_apart("extended, perhaps", moved(some().call(A, extend, (500, 510), unknown())), moved(some()));
}

#[test]
fn units_come_from_a_hold_that_may_have_expired_or_from_a_release_without_an_answer() {
    // Killed within a millisecond of A's deadline: it may have expired before. C's unit is B's, for A is there later.
    let tape = || Tape::new().held(A, (0, 10)).held(B, (400, 410)).crash(1_008);
    let release = |tape: Tape| tape.call(B, Verb::Release, (1_100, 1_110), unknown());
    let rest = |tape: Tape| {
        let tape = tape.held(C, (1_120, 1_130)).reserve(("d", 4, 1), (1_140, 1_150), refused(Why::SoldOut));
        tape.get(A, (1_200, 1_210), hold(A, Shown::Held, 9, 1_340))
    };
    told_apart("the one or the other", rest(release(tape())), rest(tape()));
}

#[test]
fn who_asks_at_once_may_be_served_in_any_order() {
    // The refusal returned first, and was sent after the reserve that took all: sound. Sent before it: not.
    let at = |sent| Tape::new().held(A2, (10, 40)).reserve(B, (sent, 20), refused(Why::SoldOut));
    assert!(look(at(15)).is_linearizable());
    assert!(!look(Tape::new().reserve(B, (1, 5), refused(Why::SoldOut)).held(A2, (10, 40))).is_linearizable());
    // Three ask for two units at once: whichever is refused, two are granted.
    let crowd = |third: Answer| Tape::new().held(A, (0, 50)).held(B, (1, 49)).reserve(C, (2, 48), third);
    assert!(look(crowd(refused(Why::SoldOut))).is_linearizable());
    assert!(!look(crowd(hold(C, Shown::Held, 47, 1_047))).is_linearizable());
}

#[test]
fn single_answers() {
    let some = || Tape::new().held(A, (0, 10));
    let held = hold(A, Shown::Held, 9, 1_009);
    let with = |change: fn(&mut Call)| {
        let mut tape = some().get(A, (20, 30), held.clone());
        change(tape.0.calls.last_mut().expect("a call"));
        tape
    };
    let seen = |call: &mut Call, change: fn(&mut Seen)| {
        if let Answer::Hold(seen) = &mut call.answer {
            change(seen);
        }
    };
    told_apart("other lines", with(|_same| ()), with(|call| call.lines = vec![(0, 2)]));
    told_apart("another's", with(|_same| ()), with(|call| call.customer = 7));
    told_apart("out of time", with(|_same| ()), with(|call| call.now = Some(ZERO + 90)));
    told_apart("no answer", with(|_same| ()), with(|call| call.answer = Answer::Odd("what".to_owned())));
    let mut older = some().get(A, (20, 30), held.clone());
    seen(&mut older.0.calls[0], |seen| seen.revision = 5);
    told_apart("an older revision", with(|_same| ()), older);
}

#[test]
fn a_search_that_is_given_up_is_no_pass() {
    let history = Tape::new().held(A, (0, 50)).held(B, (1, 49)).reserve(C, (2, 48), refused(Why::SoldOut)).0;
    let (part, terms) = (parts(&history).pop().expect("a part"), Terms::of(&history));
    let (verdict, _) = search(&part, &history, &terms, Bounds { wide: 1, all: 1 });
    assert!(matches!(verdict, Verdict::Undecided(_)), "{verdict:?}");
    let report = check::check(&history, Bounds { wide: 1, all: 1 });
    assert!(report.undecided > 0 && !report.is_linearizable() && report.to_string().contains("UNDECIDED"));
}

#[test]
fn sold_out_says_of_an_item_that_was_asked_for() {
    let reported = |items: Vec<u8>| {
        let tape = Tape::new().held(A2, (0, 10));
        tape.reserve(B, (20, 30), Answer::Refused(Why::SoldOut, items))
    };
    told_apart("sold out of nothing", reported(vec![0]), reported(Vec::new()));
    told_apart("sold out of what was not asked for", reported(vec![0]), reported(vec![0, 1]));
    assert!(!look(Tape::new().reserve(B, (20, 30), Answer::Refused(Why::SoldOut, vec![1]))).is_linearizable());
}

#[test]
fn a_history_without_answers_is_no_pass() {
    let silent = |tape: Tape, what: &str| {
        let report = look(tape);
        assert_eq!((report.violations, report.undecided, report.is_linearizable()), (0, 0, false), "{what}: {report}");
        assert!(report.silences > 0 && report.to_string().contains("TOO FEW ANSWERS"), "{what}: {report}");
    };
    silent(Tape::new(), "nobody asked");
    silent(Tape::new().reserve(A, (0, 10), unknown()), "nobody was answered");
    let second = |answers: usize, all: usize| {
        let mut tape = Tape::new().held(A, (0, 10)).crash(20);
        for number in 0..all {
            let answer = if number < answers { Answer::Absent } else { unknown() };
            let at = 100 + 100 * u64::try_from(number).expect("few");
            tape = tape.get(B, (at, at + 10), answer);
        }
        tape
    };
    silent(second(4, 12), "a life that answers a third");
    assert!(look(second(6, 12)).is_linearizable(), "a half is enough");
    assert!(look(second(0, 2)).is_linearizable(), "it was too short to tell");
    silent(
        Tape::new().held(A, (0, 10)).crash(20).crash(2_000).get(B, (2_100, 2_110), Answer::Absent),
        "nobody asked it",
    );
    let mut last = Tape::new().held(A, (0, 10)).get(A, (20, 30), unknown());
    assert!(look(Tape(last.0.clone())).is_linearizable());
    last.0.calls.last_mut().expect("a look").last = true;
    silent(last, "a last look");
}
