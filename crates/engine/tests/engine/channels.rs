//! How far channels are: kept through starts and snapshots, forgotten by a record, bounded.

use stockade_engine::inventory::CHANNELS_MAX;
use stockade_simulation::prelude::*;
use stockade_types::ids::DefinedId;
use stockade_types::record::{AUDIENCES_MAX, ChannelProgress, Sent};
use stockade_types::webhook::EventPlace;

fn id(text: &str) -> DefinedId {
    text.parse().expect("an id")
}

fn progress(upto: u64, audiences: usize) -> ChannelProgress {
    let sent = Sent { audience: [7; 16], last_at: START, count: 3 };
    ChannelProgress { decided_to: EventPlace { lsn: Lsn(upto), place: 1 }, sent: vec![sent; audiences] }
}

fn keep(engine: &Engine, name: &str, progress: Option<ChannelProgress>) -> Result<Lsn, Fault> {
    durable(engine, engine.keep_channel(id(name), progress, Context::anonymous(START)))
}

#[test]
fn progress_is_the_same_after_a_start_from_the_journal_and_from_a_snapshot_and_what_is_forgotten_stays_so() {
    let world = World::new();
    let (mut engine, _) = world.start();
    for name in ["push", "mail", "old"] {
        keep(&engine, name, Some(progress(3, 2))).expect("kept");
    }
    for (upto, snapshot) in [(7, false), (8, true), (9, false)] {
        keep(&engine, "push", Some(progress(upto, 1))).expect("kept");
        keep(&engine, "old", None).expect("forgotten");
        if snapshot {
            engine.snapshot(&world.snapshots, START).expect("a snapshot");
        }
        let (started, live, replayed) = restart(engine, &world, AtOnce::Drawn(1));
        assert_eq!(replayed, live, "the journal replays to another state");
        engine = started;
        let known = ["push", "mail", "old"].map(|name| engine.channel_progress(&id(name)));
        assert_eq!(known, [Some(progress(upto, 1)), Some(progress(3, 2)), None]);
        assert_eq!(engine.channels(), [id("mail"), id("push")]);
    }
}

#[test]
fn channels_and_their_audiences_are_bounded() {
    let (engine, _) = World::new().start();
    for number in 0..CHANNELS_MAX {
        keep(&engine, &format!("c{number}"), Some(progress(1, AUDIENCES_MAX))).expect("kept");
    }
    assert!(matches!(keep(&engine, "more", Some(progress(1, 0))), Err(Fault::Precondition(_))));
    assert!(matches!(keep(&engine, "c0", Some(progress(1, AUDIENCES_MAX + 1))), Err(Fault::Precondition(_))));
    keep(&engine, "c0", None).expect("forgotten");
    keep(&engine, "more", Some(progress(1, 0))).expect("there is room");
}
