//! Many threads at once: nothing is oversold, and no refusal is false.

use std::sync::Barrier;
use std::thread;

use stockade_simulation::prelude::*;

const THREADS: u64 = 4;

fn engine(world: &World, items: &[(&str, u64)], limits: &[(&str, Scope, u32)]) -> Engine {
    let (engine, _) = world.start();
    create(&engine, definition("d", items, limits), world.now);
    engine
}

fn held(answer: &Decided<Outcome>) -> bool {
    match &answer.value {
        Outcome::Hold(_) => true,
        Outcome::Refused(refusal) => {
            assert_eq!(refusal.reason, Reason::SoldOut, "{refusal:?}");
            false
        }
    }
}

#[test]
fn a_herd_gets_every_unit_and_not_one_more() {
    let world = World::new();
    let engine = engine(&world, &[("A", 1_000)], &[]);
    let won = together(THREADS, |t| (0..1_000).filter(|n| held(&ask(&engine, hold_id(t * 10_000 + n), START))).count());
    assert_eq!(won.into_iter().sum::<usize>(), 1_000);
    assert_eq!(engine.conservation_error(), 0);
}

/// How many of three reserves of each thread are granted.
fn at_all_doors(engine: &Engine, round: u64, reserve: impl Fn(u64, HoldId) -> Reserve + Sync) -> usize {
    let granted = |t, id| matches!(engine.ask(&reserve(t, id), START).value, Outcome::Hold(_));
    let doors = together(THREADS, |t| (0..3).filter(|n| granted(t, hold_id(round * 100 + t * 10 + n))).count());
    doors.into_iter().sum()
}

#[test]
fn one_customer_at_many_doors_never_passes_his_limit() {
    let world = World::new();
    let engine = engine(&world, &[("A", 100_000)], &[("five", Scope::Drop, 5)]);
    for round in 0..200 {
        let customer = format!("customer-{round}");
        assert_eq!(at_all_doors(&engine, round, |_, id| reserve(id, "d", &customer, &[("A", 1)])), 5, "round {round}");
    }
}

#[test]
fn a_card_at_many_doors_never_passes_its_limit_whoever_holds_it() {
    let world = World::new();
    let (engine, _) = world.start();
    let mut drop = definition("d", &[("A", 100_000)], &[("five", Scope::Drop, 5)]);
    drop.limits[0].identity_kind = Some("card".parse().expect("a kind"));
    create(&engine, drop, world.now);
    for round in 0..200 {
        let card = format!("card-{round}");
        let of = |t, id| with_card(reserve(id, "d", &format!("customer-{t}"), &[("A", 1)]), &card);
        assert_eq!(at_all_doors(&engine, round, of), 5, "round {round}");
    }
}

#[test]
fn crossed_subjects_and_drops_that_are_made_meanwhile_never_stand_still() {
    // Each thread uses all cards, named in another order; meanwhile holds fall due, are released and sold, and drops
    // are made.
    let world = World::new();
    let (engine, _) = world.start();
    let mut sale = definition("d", &[("A", 1_000_000)], &[("many", Scope::Series, 1_000_000)]);
    sale.limits[0].identity_kind = Some("card".parse().expect("a kind"));
    sale.series = Some("winter".parse().expect("a series"));
    sale.terms.hold_ttl = Millis(40);
    create(&engine, sale.clone(), world.now);
    let kind: IdentityKind = "card".parse().expect("a kind");
    thread::scope(|scope| {
        for t in 0..THREADS {
            let (engine, kind) = (&engine, &kind);
            scope.spawn(move || {
                for n in 0..1_000_u64 {
                    let now = START.plus(Millis(n));
                    let id = hold_id(t * 10_000 + n);
                    let mut command = reserve(id, "d", &format!("customer-{t}"), &[("A", 1)]);
                    command.identities = (0..6).map(|c| (kind.clone(), ((c + t) % 6).to_string())).collect();
                    engine.ask(&command, now);
                    match n % 3 {
                        0 => drop(engine.ask(&release(id, &[]), now)),
                        1 => drop(engine.ask(&claim(id, "order"), now)),
                        _ => drop(engine.sweep(now).expect("a sweep")),
                    }
                    engine.evict_ended(now);
                }
            });
        }
        let (engine, sale, now) = (&engine, &sale, world.now);
        scope.spawn(move || {
            for n in 0..50 {
                create(engine, Definition { id: drop_id(&format!("d{n}")), ..sale.clone() }, now);
            }
        });
    });
    assert_eq!(engine.conservation_error(), 0);
    // Four customers and six cards: no other subject has anything.
    assert_eq!(engine.inventory().subjects.len(), THREADS + 6);
}

#[test]
fn whoever_gives_back_before_asking_is_never_refused() {
    // As many units as threads, plus one: each thread holds at most one at a time. Carts over both items fail meanwhile
    // and give back what they took. A unit is always free for a single line, so SOLD_OUT would be false.
    let world = World::new();
    let engine = engine(&world, &[("A", THREADS + 1), ("B", 1)], &[]);
    together(THREADS, |t| {
        for n in 0..2_000 {
            let id = hold_id(t * 1_000_000 + n);
            let cart = t % 2 == 0 && n % 2 == 0;
            let wanted: &[(&str, u32)] = if cart { &[("A", 1), ("B", 1)] } else { &[("A", 1)] };
            if held(&engine.ask(&reserve(id, "d", "x", wanted), START)) {
                engine.ask(&release(id, &[]), START);
            } else {
                assert!(cart, "a single line was refused although a unit was free");
            }
        }
    });
    let view = engine.view("d", START);
    assert_eq!((view.stock[0][0].free, view.stock[1][0].free), (THREADS + 1, 1));
    assert_eq!(engine.conservation_error(), 0);
}

#[test]
fn a_due_unit_is_there_for_whoever_asks_from_its_deadline_on() {
    let world = World::new();
    let engine = engine(&world, &[("A", 8)], &[]);
    // In every round the holds of the round before are due, and only reserves sweep them.
    for round in 0..300_u64 {
        let now = after(300 * round);
        let is_held = |t, n| held(&ask(&engine, hold_id(round * 100 + t * 10 + n), now));
        let won = together(THREADS, |t| (0..2).filter(|n| is_held(t, *n)).count());
        assert_eq!(won.into_iter().sum::<usize>(), 8, "round {round}");
    }
    assert_eq!(engine.conservation_error(), 0);
}

#[test]
fn whoever_loses_a_unit_to_a_hold_is_told_when_it_may_come_back() {
    let world = World::new();
    let engine = engine(&world, &[("A", 1)], &[]);
    for round in 0..3_000_u64 {
        let now = after(300 * round);
        together(2, |t| {
            if let Outcome::Refused(refusal) = ask(&engine, hold_id(round * 10 + t), now).value {
                assert_eq!(refusal.retry_after, Some(Millis::from_secs(300)), "round {round}");
            }
        });
    }
}

#[test]
fn lists_and_the_comparison_of_books_never_hold_up_requests_for_good() {
    let world = World::new();
    let engine = engine(&world, &[("A", 100_000)], &[]);
    let filter = HoldFilter { drop: Some(drop_id("d")), sku: Some(sku("A")), ..HoldFilter::default() };
    thread::scope(|scope| {
        scope.spawn(|| (0..2_000).for_each(|n| drop(ask(&engine, hold_id(n), START))));
        scope.spawn(|| (0..2_000).for_each(|_| assert_eq!(engine.conservation_error(), 0)));
        scope.spawn(|| {
            for _ in 0..20 {
                let listed = engine.list_holds(&filter, None, &mut page::<HoldView>(5_000), Context::anonymous(START));
                durable(&engine, listed).expect("a page");
            }
        });
    });
    let mut shown = page::<HoldView>(5_000);
    let _next = engine.list_holds(&filter, None, &mut shown, Context::anonymous(START)).expect("a page");
    assert_eq!(shown.into_shown().len(), 2_000);
}

fn ask(engine: &Engine, id: HoldId, now: Timestamp) -> Decided<Outcome> {
    engine.ask(&reserve(id, "d", "x", &[("A", 1)]), now)
}

#[test]
fn a_claim_that_races_the_deadline_is_decided_once() {
    let world = World::new();
    let engine = engine(&world, &[("A", 400)], &[]);
    for n in 0..400 {
        ask(&engine, hold_id(n), START);
    }
    let deadline = after(300);
    let just_before = Timestamp(deadline.0 - 1);
    let claimed: u64 = thread::scope(|scope| {
        scope.spawn(|| engine.sweep_all(deadline));
        let claims = (0..400).map(|n| {
            let answer = engine.ask(&claim(hold_id(n), "order"), just_before);
            match answer.value {
                Outcome::Hold(view) => {
                    assert_eq!(view.hold.state, HoldState::Claimed);
                    1
                }
                Outcome::Refused(refusal) => {
                    assert_eq!(refusal.reason, Reason::HoldExpired);
                    0
                }
            }
        });
        claims.sum()
    });
    let view = engine.view("d", deadline);
    assert_eq!((view.stock[0][0].claimed, view.stock[0][0].held), (claimed, 0));
    assert_eq!(view.stock[0][0].free, 400 - claimed);
    assert_eq!(engine.conservation_error(), 0);
}

/// A reserve that supersedes another hold.
fn in_place_of(old: u64, id: u64, wanted: &[(&str, u32)]) -> Reserve {
    Reserve { supersedes: Some(hold_id(old)), ..reserve(hold_id(id), "d", "x", wanted) }
}

/// Which call got a hold that several competed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Winner {
    Claim,
    Successor,
    Deadline,
    Nobody,
}

#[test]
fn of_a_successor_a_claim_and_the_deadline_exactly_one_wins() {
    const ROUNDS: u64 = 1_500;
    let world = World::new();
    let engine = engine(&world, &[("A", 20 * ROUNDS), ("B", 20 * ROUNDS)], &[]);
    let mut wins = [0; 3];
    for round in 0..ROUNDS {
        let start = after(1_000 * round);
        engine.sweep_all(start);
        let deadline = start.plus(Millis::from_secs(300));
        // In every other round no sweep runs and no call is late, so only the claim and the successors compete.
        let (just_before, sweeps) = (Timestamp(deadline.0 - 1), round % 2 == 0);
        let id = round * 10;
        let cart = reserve(hold_id(id), "d", "x", &[("A", 2), ("B", 1)]);
        assert!(held(&engine.ask(&cart, start)));
        let barrier = Barrier::new(4);
        // Each waits a little longer than the others in its turn, so that each wins at times.
        let come = |turn: u64| {
            barrier.wait();
            (0..(round * turn % 7) * 300).for_each(|_| std::hint::spin_loop());
        };
        let successor = |n: u64, wanted: &'static [(&'static str, u32)]| {
            come(n + 2);
            let command = in_place_of(id, id + n, wanted);
            won(&engine.ask(&command, just_before), Winner::Successor)
        };
        let outcomes: [Winner; 4] = thread::scope(|scope| {
            let late = scope.spawn(|| {
                come(1);
                let swept = if sweeps { engine.sweep(deadline).expect("a sweep") } else { 0 };
                if swept > 0 { Winner::Deadline } else { Winner::Nobody }
            });
            let more = scope.spawn(|| successor(1, &[("A", 3)]));
            let less = scope.spawn(|| successor(2, &[("A", 1), ("B", 2)]));
            come(2);
            let claimed = engine.ask(&claim(hold_id(id), "order"), just_before);
            let joined = [late, more, less].map(|thread| thread.join().expect("a thread"));
            [won(&claimed, Winner::Claim), joined[0], joined[1], joined[2]]
        });
        let winners: Vec<Winner> = outcomes.into_iter().filter(|outcome| *outcome != Winner::Nobody).collect();
        let [winner] = winners[..] else { panic!("round {round}: {outcomes:?}") };
        wins[usize::from(winner == Winner::Successor) + 2 * usize::from(winner == Winner::Deadline)] += 1;
        let old = engine.get_hold(hold_id(id), None, Context::anonymous(just_before)).expect("the old hold").value.hold;
        let is_held = |id: &HoldId| engine.get_hold(*id, None, Context::anonymous(just_before)).is_ok();
        let (state, by) = match winner {
            Winner::Claim => (HoldState::Claimed, None),
            Winner::Successor => (HoldState::Released, [1, 2].map(|n| hold_id(id + n)).into_iter().find(is_held)),
            Winner::Deadline | Winner::Nobody => (HoldState::Expired, None),
        };
        assert_eq!((old.state, old.superseded_by()), (state, by), "round {round}");
        assert_eq!(winner == Winner::Successor, by.is_some(), "round {round}");
        assert_eq!(engine.conservation_error(), 0, "round {round}");
    }
    assert!(wins.iter().all(|wins| *wins > 0), "a race that one side never wins proves nothing: {wins:?}");
}

/// Checks whether this call won; if not, its refusal must name the winner.
fn won(answer: &Decided<Outcome>, winner: Winner) -> Winner {
    match &answer.value {
        Outcome::Hold(_) => winner,
        Outcome::Refused(refusal) => {
            let lost = [Reason::Superseded, Reason::HoldClaimed, Reason::HoldExpired];
            assert!(lost.contains(&refusal.reason), "{refusal:?}");
            Winner::Nobody
        }
    }
}

#[test]
fn two_chains_that_cross_never_wait_for_one_another() {
    // Each thread has one hold and supersedes it over and over, so shards of old and new holds are locked in every
    // order of their ids. Every unit stays with its owner, though the item is sold out.
    let world = World::new();
    let engine = engine(&world, &[("A", 2 * THREADS), ("B", THREADS)], &[]);
    for t in 0..THREADS {
        let first = reserve(hold_id(t * 1_000_000), "d", "x", &[("A", 2)]);
        assert!(held(&engine.ask(&first, START)));
    }
    thread::scope(|scope| {
        for t in 0..THREADS {
            let engine = &engine;
            scope.spawn(move || {
                let id = |n: u64| t * 1_000_000 + n;
                for n in 1..3_000 {
                    let wanted: &[(&str, u32)] = if n % 2 == 0 { &[("A", 2)] } else { &[("A", 2), ("B", 1)] };
                    let command = in_place_of(id(n - 1), id(n), wanted);
                    assert!(held(&engine.ask(&command, START)), "{t}: {n}");
                }
            });
        }
        scope.spawn(|| {
            for n in 0..3_000 {
                let outsider = reserve(hold_id(9_000_000 + n), "d", "y", &[("A", 1)]);
                let answer = engine.ask(&outsider, START);
                assert!(!held(&answer), "a unit that goes over from one hold to another was free in between");
            }
        });
    });
    let view = engine.view("d", START);
    assert_eq!((view.stock[0][0].held, view.stock[0][0].free), (2 * THREADS, 0));
    assert_eq!((view.stock[1][0].held, view.stock[1][0].free), (THREADS, 0));
    assert_eq!(engine.conservation_error(), 0);
}

#[test]
fn whoever_takes_what_there_is_leaves_nothing_and_takes_nothing_twice() {
    let world = World::new();
    let engine = engine(&world, &[("A", 5_000), ("B", 700)], &[("seven", Scope::Item, 7)]);
    let got = together(THREADS, |t| {
        let mut got = [0, 0];
        for n in 0..1_000 {
            let wanted = [("A", 3 + u32::try_from(n % 9).expect("small")), ("B", 2)];
            let command = reserve(hold_id(t * 10_000 + n), "d", &format!("customer-{t}-{n}"), &wanted);
            let answer = engine.ask(&Reserve { allow_partial: true, ..command }, START);
            let Outcome::Hold(view) = &answer.value else {
                assert!(!held(&answer));
                break;
            };
            for line in view.hold.lines() {
                got[line.item.index()] += u64::from(line.quantity);
            }
            for short in view.short_lines() {
                let may = short.reason == Reason::SoldOut || (short.available == 7 && short.requested > 7);
                assert!(may, "{short:?}");
            }
        }
        got
    });
    let got = got.into_iter().fold([0, 0], |sum, got| [sum[0] + got[0], sum[1] + got[1]]);
    assert_eq!(got, [5_000, 700], "who asks for what there is stops only when nothing is left");
    assert_eq!(engine.conservation_error(), 0);
}

#[test]
fn nobody_settles_for_less_while_all_is_there_or_in_doubt() {
    // Three times as many units as all take at once, but carts that fail take some for a moment and give them back.
    let world = World::new();
    let engine = engine(&world, &[("A", 3 * THREADS), ("B", 0)], &[]);
    together(THREADS, |t| {
        for n in 0..2_000 {
            let id = hold_id(t * 1_000_000 + n);
            let view = engine.granted(&Reserve { allow_partial: true, ..reserve(id, "d", "x", &[("A", 3)]) }, START);
            assert!(view.short_lines().is_empty(), "settled for {:?}", view.hold.lines());
            engine.ask(&release(id, &[]), START);
            let cart = reserve(hold_id(t * 1_000_000 + 500_000 + n), "d", "x", &[("A", 3), ("B", 1)]);
            assert!(!held(&engine.ask(&cart, START)));
        }
    });
    assert_eq!(engine.conservation_error(), 0);
}
