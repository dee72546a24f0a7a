//! Limits at their edges: forgotten holds, excess, and that many holds make no request slow.

use std::time::Duration;

use stockade_engine::Bounds;
use stockade_simulation::prelude::*;
use stockade_types::definition::{LIMIT_SKUS_MAX, LIMITS_MAX};
use stockade_types::metrics::Stopwatch;

fn limit(id: &str, scope: Scope) -> Limit {
    Limit::new(id.parse().expect("an id"), scope)
}

fn ask(engine: &Engine, command: &Reserve, now: Timestamp) -> Decided<Outcome> {
    engine.ask(command, now)
}

fn reason(answer: &Decided<Outcome>) -> Option<Reason> {
    match &answer.value {
        Outcome::Hold(_) => None,
        Outcome::Refused(refusal) => Some(refusal.reason),
    }
}

#[test]
fn a_cooldown_ends_when_its_hold_is_forgotten_and_nothing_of_its_subjects_stays() {
    let mut world = World::new();
    world.options.bounds.retry_window = Millis::from_secs(60);
    let (engine, _) = world.start();
    let cooldown = Some(Millis::from_secs(3_600));
    let kind = Some("card".parse().expect("a kind"));
    let limits = vec![Limit { cooldown, identity_kind: kind, ..limit("wait", Scope::Drop) }];
    create(&engine, Definition { limits, ..definition("d", &[("A", 9)], &[]) }, START);
    let command = |n, customer: &str| with_card(reserve(hold_id(n), "d", customer, &[("A", 1)]), "4242");
    assert_eq!(reason(&ask(&engine, &command(1, "ada"), START)), None);
    engine.ask(&release(hold_id(1), &[]), START);
    let just_before = Timestamp(after(60).0 - 1);
    assert_eq!(engine.evict_ended(just_before), 0);
    assert_eq!(reason(&ask(&engine, &command(2, "bob"), just_before)), Some(Reason::Cooldown));
    assert_eq!(engine.inventory().subjects.len(), 2, "the customer and the card");
    let then = after(60);
    assert_eq!(engine.evict_ended(then), 1);
    assert!(engine.inventory().subjects.is_empty());
    assert_eq!(reason(&ask(&engine, &command(2, "bob"), then)), None);
}

#[test]
fn subjects_are_bounded() {
    let mut world = World::new();
    world.options.bounds = Bounds { max_holds: 4, max_ended_holds: 1, ..Bounds::default() };
    let (engine, _) = world.start();
    create(&engine, definition("d", &[("A", 9)], &[]), START);
    let kind: IdentityKind = "card".parse().expect("a kind");
    let mut command = reserve(hold_id(1), "d", "ada", &[("A", 1)]);
    command.identities = (0..5).map(|n| (kind.clone(), n.to_string())).collect();
    assert_eq!(reason(&ask(&engine, &command, START)), None);
    let next = reserve(hold_id(2), "d", "bob", &[("A", 1)]);
    let Err(Decided { value: Fault::Exhausted(words), .. }) = engine.reserve(&next, Context::anonymous(START)) else {
        panic!("not exhausted")
    };
    assert!(words.contains("subjects") && words.contains("--max-holds"), "{words}");
    engine.ask(&release(hold_id(1), &[]), START);
    while engine.evict_ended(after(86_400)) > 0 {}
    assert_eq!(reason(&ask(&engine, &next, START)), None);
}

#[test]
fn limits_that_name_too_much_are_refused_by_name() {
    let (engine, _) = World::new().start();
    let skus: Vec<_> = (0..LIMIT_SKUS_MAX).map(|n| sku(&format!("{n:0>128}"))).collect();
    let drop = |limits: usize| {
        let rule = |n| Limit { skus: skus.clone(), max_units: Some(1), ..limit(&format!("l{n}"), Scope::Shop) };
        Definition { limits: (0..limits).map(rule).collect(), ..definition("d", &[("A", 9)], &[]) }
    };
    for validate_only in [true, false] {
        let command = CreateDrop { definition: drop(LIMITS_MAX), validate_only };
        let Err(Decided { value: Fault::Invalid(violations), .. }) =
            engine.create_drop(&command, Context::anonymous(START))
        else {
            panic!("not refused")
        };
        assert_eq!(violations[0].field, "drop.limits");
    }
    create(&engine, drop(3), START);
}

#[test]
fn identities_are_kept_as_hashes_and_only_tiers_that_a_limit_names() {
    let (engine, _) = World::new().start();
    let by_tier = [("gold".parse().expect("a tier"), 3)].into();
    let limits = vec![Limit { max_units_by_tier: by_tier, ..limit("tiers", Scope::Drop) }];
    create(&engine, Definition { limits, ..definition("d", &[("A", 9)], &[]) }, START);
    let mut command = with_card(reserve(hold_id(1), "d", "ada", &[("A", 1)]), "zyxw-zyxw");
    command.tiers = ["gold", "vip"].map(|tier| tier.parse().expect("a tier")).into();
    command.over_limits = Some("the buyer called".into());
    let Outcome::Hold(view) = ask(&engine, &command, START).value else { panic!("refused") };
    let extras = view.hold.extras().expect("what few have");
    assert_eq!(extras.tiers, ["gold".parse().expect("a tier")]);
    assert_eq!((extras.identities.len(), extras.identities[0].kind.as_str()), (1, "card"));
    assert_eq!(extras.over_limits.as_deref(), Some("the buyer called"));
    assert!(!format!("{:?}", view.hold).contains("zyxw"), "the value is nowhere");
    let plain = reserve(hold_id(2), "d", "ada", &[("A", 1)]);
    let Outcome::Hold(view) = ask(&engine, &plain, START).value else { panic!("refused") };
    assert_eq!(view.hold.extras(), None);
}

#[test]
fn a_customer_of_very_many_holds_is_answered_as_quickly() {
    // Each reserve reads sums and the window of a rolling limit, not older holds.
    let (engine, _) = World::new().start();
    let limits = vec![
        Limit { max_units: Some(1_000_000), ..limit("all", Scope::Shop) },
        Limit { max_units: Some(100), rolling: Some(Millis(20)), ..limit("lately", Scope::Drop) },
        Limit { cooldown: Some(Millis(1)), ..limit("wait", Scope::Drop) },
        Limit { max_live_holds: Some(1_000_000), max_live_units: Some(1_000_000), ..limit("live", Scope::Drop) },
    ];
    create(&engine, Definition { limits, ..definition("d", &[("A", 1_000_000)], &[]) }, START);
    let round = |from: u64| {
        let watch = Stopwatch::start();
        for n in from..from + 2_000 {
            let command = reserve(hold_id(n), "d", "ada", &[("A", 1)]);
            assert_eq!(reason(&ask(&engine, &command, START.plus(Millis(n)))), None, "hold {n}");
        }
        watch.elapsed()
    };
    let few = round(0);
    for n in 1..20 {
        round(n * 2_000);
    }
    let many = round(40_000);
    assert!(many < few * 8 + Duration::from_millis(200), "{few:?} with few holds, {many:?} with forty thousand");
}
