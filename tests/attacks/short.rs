//! Endless reserves with little memory: they are refused, calls that end a hold go on, and releases make room again.

use stockade_proto as pb;
use stockade_proto::operation::Operation as Verb;
use stockade_proto::result::Result as Came;
use stockade_types::metrics::Stopwatch;

use super::measured::Measured;
use super::polite::{Caller, reserve};
use super::server::{Flag, MIB, Target};

const RESOURCE_EXHAUSTED: u32 = 8;
/// Reserves in a message, and messages that together have more of them than fit into memory.
const TOGETHER: usize = 2_000;
const MESSAGES: usize = 500;

fn sent(caller: &Caller, operations: impl IntoIterator<Item = Verb>) -> Vec<Option<Came>> {
    let operation = |operation| pb::Operation { operation: Some(operation) };
    let operations = operations.into_iter().map(operation).collect();
    let answer = caller.batch(operations, pb::HoldView::Brief).expect("an answer");
    answer.results.into_iter().map(|result| result.result).collect()
}

/// Reserves until one is refused. Returns the granted holds and the refusal's message.
fn until_refused(caller: &Caller) -> (Vec<String>, String) {
    let mut granted = Vec::new();
    for _ in 0..MESSAGES {
        let asked: Vec<pb::ReserveRequest> = (0..TOGETHER).map(|_| reserve()).collect();
        let ids: Vec<String> = asked.iter().map(|reserve| reserve.hold_id.clone()).collect();
        let mut refused = None;
        for (id, came) in ids.into_iter().zip(sent(caller, asked.into_iter().map(Verb::Reserve))) {
            match came {
                Some(Came::Hold(_)) => granted.push(id),
                Some(Came::Error(error)) if error.code == RESOURCE_EXHAUSTED => refused = Some(error.message),
                other => panic!("{other:?}"),
            }
        }
        if let Some(words) = refused {
            return (granted, words);
        }
    }
    panic!("{} were granted, and no end", granted.len());
}

/// Claims a few holds and releases all others, each with success.
fn end_all(caller: &Caller, holds: &[String]) {
    let (claimed, released) = holds.split_at(holds.len() / 10);
    let order_ref = "order".to_owned();
    let claim = |id: &String| {
        let order_ref = order_ref.clone();
        Verb::Claim(pb::ClaimRequest { hold_id: id.clone(), order_ref, ..pb::ClaimRequest::default() })
    };
    let release =
        |id: &String| Verb::Release(pb::ReleaseRequest { hold_id: id.clone(), ..pb::ReleaseRequest::default() });
    let verbs = claimed.iter().map(claim).chain(released.iter().map(release)).collect::<Vec<_>>();
    for verbs in verbs.chunks(TOGETHER) {
        for came in sent(caller, verbs.iter().cloned()) {
            assert!(matches!(came, Some(Came::Hold(_))), "{came:?}");
        }
    }
}

fn takes_again(target: &Target) -> bool {
    matches!(sent(&Caller::to(target), [Verb::Reserve(reserve())]).first(), Some(Some(Came::Hold(_))))
}

#[test]
fn holds_beyond_their_bound_are_refused_until_others_end() {
    const HOLDS: Flag = ("--max-holds", "20000");
    let target = Target::with(&[("--memory-budget", "192MiB"), HOLDS]);
    let measured = Measured::alone("reserves without end, to the bound on holds", &target);
    let caller = Caller::to(&target);
    let (granted, words) = until_refused(&caller);
    assert!(words.contains("--max-holds"), "{words}");
    assert_eq!(granted.len(), 20_000);
    assert!(!takes_again(&target), "it stays so");
    end_all(&caller, &granted);
    // Claimed holds still count; nine of ten were released.
    let (again, words) = until_refused(&caller);
    assert!(words.contains("--max-holds"), "{words}");
    assert_eq!(again.len(), 18_000);
    let grown = measured.grown();
    assert!(grown < 64 * MIB, "{} MiB", grown / MIB);
    drop(measured);
    target.ends_well();
}

#[test]
fn holds_beyond_the_mark_are_refused_and_a_start_takes_them_again() {
    // The bound on holds is far beyond the memory bound.
    let memory = [("--memory-budget", "64MiB"), ("--max-holds", "5000000")];
    let target = Target::with(&memory);
    let measured = Measured::alone("reserves without end, to the mark", &target);
    let caller = Caller::to(&target);
    let watch = Stopwatch::start();
    let (granted, words) = until_refused(&caller);
    assert!(words.contains("memory is short"), "{words}");
    eprintln!("{} holds in {:?}", granted.len(), watch.elapsed());
    end_all(&caller, &granted);
    assert_eq!(target.number("stockade_holds{state=\"held\"}"), 0);
    // Tables keep their memory, so reserves need not be accepted again before the next start.
    eprintln!("taken again at once: {}", takes_again(&target));
    let grown = measured.grown();
    assert!(grown < 64 * MIB, "{} MiB", grown / MIB);
    drop(measured);
    let target = target.again();
    assert!(takes_again(&target), "a start has the memory of what is there alone");
    target.ends_well();
}
