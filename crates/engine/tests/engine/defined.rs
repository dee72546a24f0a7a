//! What operators define by an id, other than drops: created once, changed by revision, bounded, and the same after a
//! start from journal or snapshot and for a follower.

use stockade_engine::inventory::{Defined, DefinedBounds};
use stockade_engine::operators::define::Define;
use stockade_simulation::prelude::*;
use stockade_types::ids::DefinedId;
use stockade_types::record::{
    DEFINED_BYTES_MAX, DefinedFact, DefinedImage, DefinedKind, DefinedUpdate, DefinedVerb, Origin,
};

const KIND: DefinedKind = DefinedKind::Series;

fn id(text: &str) -> DefinedId {
    text.parse().expect("an id")
}

fn command(name: &str, bytes: &[u8]) -> Define {
    let bytes: Box<[u8]> = bytes.into();
    let mut request = [0; 32];
    request[..bytes.len().min(32)].copy_from_slice(&bytes[..bytes.len().min(32)]);
    Define { kind: KIND, id: id(name), request, bytes, validate_only: false }
}

fn define(engine: &Engine, name: &str, bytes: &[u8]) -> Result<Defined, Fault> {
    durable(engine, engine.define(command(name, bytes), Context::anonymous(START)))
}

fn redefine(engine: &Engine, name: &str, bytes: &[u8], base: u64) -> Result<Defined, Fault> {
    durable(engine, engine.redefine(command(name, bytes), Lsn(base), Context::anonymous(START)))
}

fn undefine(engine: &Engine, name: &str) -> bool {
    durable(engine, engine.undefine(KIND, &id(name), Context::anonymous(START))).expect("an answer")
}

fn bytes_of(engine: &Engine, name: &str) -> Option<Vec<u8>> {
    engine.defined(KIND, &id(name)).ok().map(|known| known.value.fact.image.bytes.to_vec())
}

#[test]
fn the_same_request_again_gives_the_same_answer_and_another_one_does_not() {
    let (engine, _) = World::new().start();
    let made = define(&engine, "a", b"one").expect("made");
    assert_eq!((made.revision, made.fact.verb, made.fact.at), (Lsn(1), DefinedVerb::Create, START));
    assert_eq!(define(&engine, "a", b"one"), Ok(made.clone()));
    let exists = define(&engine, "a", b"two").expect_err("another").to_string();
    assert_eq!(exists, "series a exists already with another definition");

    let changed = redefine(&engine, "a", b"two", 1).expect("changed");
    assert_eq!((changed.revision, changed.fact.verb), (Lsn(2), DefinedVerb::Update));
    assert_eq!(redefine(&engine, "a", b"two", 1), Ok(changed.clone()), "this very change was the last one");
    assert_eq!(redefine(&engine, "a", b"two", 2), Ok(changed), "it changes nothing");
    let stale = redefine(&engine, "a", b"three", 1).expect_err("of another revision");
    assert_eq!(stale, Fault::Stale("series a has revision 2, not 1: read it again".to_owned()));
    assert_eq!(define(&engine, "a", b"one").expect("sent again, late").revision, Lsn(2));
    let missing = redefine(&engine, "b", b"one", 1).expect_err("there is none").to_string();
    assert_eq!(missing, "series b not found");
    assert_eq!(engine.journal().appended(), Lsn(2), "what changes nothing writes nothing");

    assert!(undefine(&engine, "a") && !undefine(&engine, "a"), "gone already is well");
    assert_eq!((bytes_of(&engine, "a"), engine.journal().appended()), (None, Lsn(3)));
    assert_eq!(define(&engine, "a", b"new").expect("the id is free").revision, Lsn(4));
}

#[test]
fn trying_a_change_writes_nothing() {
    let (engine, _) = World::new().start();
    let tried = |bytes: &[u8]| Define { validate_only: true, ..command("a", bytes) };
    let context = Context::anonymous(START);
    let would_be = engine.define(tried(b"one"), context).expect("possible").value;
    assert_eq!((would_be.revision, &*would_be.fact.image.bytes), (Lsn(0), &b"one"[..]));
    define(&engine, "a", b"one").expect("made");
    let would_be = engine.redefine(tried(b"two"), Lsn(1), context).expect("possible").value;
    assert_eq!((would_be.revision, &*would_be.fact.image.bytes), (Lsn(1), &b"two"[..]));
    assert_eq!((bytes_of(&engine, "a"), engine.journal().appended()), (Some(b"one".to_vec()), Lsn(1)));
}

#[test]
fn definitions_are_bounded_in_size_number_and_bytes() {
    let (engine, _) = World::new().start();
    let large = vec![7; DEFINED_BYTES_MAX];
    let fault = define(&engine, "a", &[&large[..], &[7]].concat()).expect_err("too large");
    assert!(matches!(&fault, Fault::Invalid(fields) if fields[0].field == "series"), "{fault:?}");
    let DefinedBounds { count, bytes } = DefinedBounds::of(KIND);
    let fits = bytes / DEFINED_BYTES_MAX;
    for n in 0..fits {
        define(&engine, &format!("large-{n}"), &large).expect("there is room");
    }
    assert!(matches!(define(&engine, "one-more", b"x"), Err(Fault::Exhausted(_))), "no byte is left");
    redefine(&engine, "large-0", b"x", 1).expect("smaller");
    define(&engine, "one-more", b"x").expect("room for few bytes");
    for n in 1..fits {
        assert!(undefine(&engine, &format!("large-{n}")));
    }
    for n in 2..count {
        define(&engine, &format!("small-{n}"), b"x").expect("there is room");
    }
    assert!(matches!(define(&engine, "too-many", b"x"), Err(Fault::Exhausted(_))));
    assert!(undefine(&engine, "one-more"));
    define(&engine, "no-longer-too-many", b"x").expect("one is gone");
}

#[test]
fn they_are_listed_in_the_order_of_ids_a_page_at_a_time() {
    let (engine, _) = World::new().start();
    for name in ["c", "a", "d", "b"] {
        define(&engine, name, name.as_bytes()).expect("made");
    }
    let page = |after: Option<&str>, most| {
        let after = after.map(id);
        let listed = engine.list_defined(KIND, after.as_ref(), most, |known| known.fact.image.id != id("c")).value;
        listed.iter().map(|known| known.fact.image.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!((page(None, 2), page(Some("b"), 2)), (vec!["a".to_owned(), "b".to_owned()], vec!["d".to_owned()]));
}

#[test]
fn a_start_from_journal_or_snapshot_and_a_follower_have_the_same_definitions() {
    let world = World::new();
    let (mut engine, _) = world.start();
    define(&engine, "kept", b"one").expect("made");
    define(&engine, "gone", b"one").expect("made");
    define(&engine, "changed", b"one").expect("made");
    for snapshot in [false, true, false] {
        let base = engine.defined(KIND, &id("changed")).expect("there").value.revision;
        let next = format!("after {base}");
        let changed = redefine(&engine, "changed", next.as_bytes(), base.0).expect("changed");
        assert_eq!(undefine(&engine, "gone"), base == Lsn(3));
        if snapshot {
            engine.snapshot(&world.snapshots, START).expect("a snapshot");
        }
        let (started, live, replayed) = restart(engine, &world, AtOnce::Drawn(1));
        assert_eq!(replayed, live, "the journal replays to another state");
        engine = started;
        assert_eq!(redefine(&engine, "changed", next.as_bytes(), base.0), Ok(changed), "sent again after a start");
        assert_eq!((bytes_of(&engine, "kept"), bytes_of(&engine, "gone")), (Some(b"one".to_vec()), None));
    }
}

fn record(verb: DefinedVerb, base: Option<u64>, bytes: &[u8]) -> Record {
    let update = base.map(|base| DefinedUpdate { base: Lsn(base), request: [0; 32] });
    let image =
        DefinedImage { kind: KIND, id: id("a"), created_at: START, request: [0; 32], update, bytes: bytes.into() };
    Record::Defined(Box::new(DefinedFact { verb, at: START, origin: Origin::ENGINE, image }))
}

#[test]
fn a_record_that_can_t_follow_those_before_it_is_refused_by_a_follower_and_a_start() {
    let created = record(DefinedVerb::Create, None, b"one");
    let wrong = [
        (created.clone(), "series a is created twice"),
        (record(DefinedVerb::Update, Some(7), b"two"), "series a is changed as another record left it"),
        (record(DefinedVerb::Delete, None, b"two"), "series a is deleted as another record left it"),
    ];
    for (record, expected) in wrong {
        let inventory = Inventory::new(DigestKey::from_bytes([1; 16]));
        inventory.follow(Lsn(1), &created).expect("sound");
        let refused = inventory.follow(Lsn(2), &record).expect_err(expected).to_string();
        assert_eq!(refused, format!("record 2: {expected}"));
        let load = BulkLoad::new(DigestKey::from_bytes([1; 16]));
        load.apply(Lsn(1), &created).expect("sound");
        assert_eq!(load.apply(Lsn(2), &record).expect_err(expected).to_string(), refused);
    }
    let inventory = Inventory::new(DigestKey::from_bytes([1; 16]));
    inventory.follow(Lsn(9), &record(DefinedVerb::Update, Some(3), b"two")).expect("of one that was deleted later");
    let before = inventory.digest();
    inventory.follow(Lsn(9), &created).expect("known already");
    assert_eq!(inventory.digest(), before);
    let load = BulkLoad::new(DigestKey::from_bytes([1; 16]));
    let gone = record(DefinedVerb::Delete, None, b"one");
    assert_eq!(
        load.restore(Lsn(9), &gone).expect_err("in a snapshot").to_string(),
        "record 9: it stands in journals only"
    );
}
