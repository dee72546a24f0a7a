//! How far deliveries of webhooks are: kept through starts and snapshots, gone with the webhook.

use stockade_engine::operators::define::Define;
use stockade_simulation::prelude::*;
use stockade_types::ids::DefinedId;
use stockade_types::record::{DELIVERED_MAX, DefinedKind};
use stockade_types::webhook::{EventPlace, Progress, WebhookProgress};

const KIND: DefinedKind = DefinedKind::Webhook;

fn id(text: &str) -> DefinedId {
    text.parse().expect("an id")
}

fn define(engine: &Engine, name: &str) {
    let define = Define { kind: KIND, id: id(name), request: [1; 32], bytes: [1].into(), validate_only: false };
    durable(engine, engine.define(define, Context::anonymous(START))).expect("made");
}

fn progress(upto: u64) -> Progress {
    Progress {
        delivered_to: EventPlace { lsn: Lsn(upto), place: u16::MAX },
        era: 1,
        last_success_at: Some(START),
        failing_since: None,
        given_up: upto,
        last_error: String::new(),
    }
}

fn keep(engine: &Engine, entries: &[(&str, u64)]) -> Result<Lsn, Fault> {
    let entry = |(name, upto): &(&str, u64)| WebhookProgress {
        webhook: id(name),
        created_at: START,
        progress: progress(*upto),
    };
    durable(engine, engine.keep_progress(entries.iter().map(entry).collect(), Context::anonymous(START)))
}

#[test]
fn progress_is_the_same_after_a_start_from_the_journal_and_from_a_snapshot() {
    let world = World::new();
    let (mut engine, _) = world.start();
    define(&engine, "a");
    define(&engine, "b");
    keep(&engine, &[("a", 3), ("b", 4), ("unknown", 5)]).expect("kept");
    for (upto, snapshot) in [(7, false), (8, true), (9, false)] {
        keep(&engine, &[("a", upto)]).expect("kept");
        if snapshot {
            engine.snapshot(&world.snapshots, START).expect("a snapshot");
        }
        let (started, live, replayed) = restart(engine, &world, AtOnce::Drawn(1));
        assert_eq!(replayed, live, "the journal replays to another state");
        engine = started;
        let known = ["a", "b", "unknown"].map(|name| engine.webhook_progress(&id(name)));
        assert_eq!(known, [Some(progress(upto)), Some(progress(4)), None]);
    }
}

#[test]
fn progress_goes_with_its_webhook_and_does_not_come_back_with_another_of_its_id() {
    let (engine, _) = World::new().start();
    define(&engine, "a");
    keep(&engine, &[("a", 3)]).expect("kept");
    assert!(durable(&engine, engine.undefine(KIND, &id("a"), Context::anonymous(START))).expect("gone"));
    keep(&engine, &[("a", 4)]).expect("a record about nothing");
    assert_eq!(engine.webhook_progress(&id("a")), None);
    define(&engine, "a");
    assert_eq!(engine.webhook_progress(&id("a")), None);
    let many: Vec<_> = (0..=DELIVERED_MAX).map(|_| ("a", 1)).collect();
    assert!(matches!(keep(&engine, &many), Err(Fault::Precondition(_))));
}
