//! Killed under load, again and again on one folder: what was acknowledged survives, nothing is sold twice, and every
//! call can be sent again.

use std::path::Path;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use stockade_client::Client;
use stockade_drill::facts;
use stockade_drill::process::Process;
use stockade_drill::request::Request;
use stockade_proto as pb;

use crate::ledger::Entry;
use crate::server::{BINARY, Server, serve, start, verified};
use crate::wire::{Dice, all_shown, books_balance, create, line, reserve, sold};

const WORKERS: u64 = 8;
const LIMIT: u32 = 4;
/// A stock for each round, small enough to sell out in it.
const SCARCE: [&str; 6] = ["SCARCE/0", "SCARCE/1", "SCARCE/2", "SCARCE/3", "SCARCE/4", "SCARCE/5"];
const PLENTY: &str = "PLENTY";

/// The flags of each round's server, and its shortest and longest life in milliseconds.
const ROUNDS: [(&[&str], u64, u64); 6] = [
    (&[], 50, 500),
    (&["--snapshot-every", "1s,1MiB"], 1_100, 1_700),
    (&["--durability", "os", "--snapshot-every", "1s,1MiB"], 1_100, 1_700),
    (&["--durability", "os"], 50, 500),
    (&["--snapshot-every", "1s,1MiB"], 1_100, 1_700),
    (&[], 50, 300),
];

struct Worker {
    dice: Dice,
    entries: Vec<Entry>,
}

impl Worker {
    /// Makes one call after another, until one is not answered.
    async fn work(&mut self, client: Client, round: usize, unhurried: bool) {
        loop {
            let live: Vec<usize> = (0..self.entries.len()).filter(|n| self.entries[*n].is_live()).collect();
            let at = if live.is_empty() || self.dice.below(5) < 2 {
                let wish = self.wish(round);
                self.entries.push(Entry::new(wish));
                self.entries.len() - 1
            } else {
                live[usize::try_from(self.dice.below(u64::try_from(live.len()).expect("few"))).expect("few")]
            };
            let call = self.next_call(at);
            if self.entries[at].send(&client, call).await.is_err() {
                return;
            }
            if unhurried {
                tokio::time::sleep(Duration::from_micros(self.dice.below(8_000))).await;
            }
        }
    }

    /// A new hold for one of this round's customers.
    fn wish(&mut self, round: usize) -> pb::ReserveRequest {
        let customer = format!("round-{round}-customer-{}", self.dice.below(120));
        let units = |dice: &mut Dice| u32::try_from(1 + dice.below(2)).expect("small");
        let mut lines = vec![line(SCARCE[round], units(&mut self.dice))];
        match self.dice.below(3) {
            0 => lines.push(line(PLENTY, units(&mut self.dice))),
            1 => lines = vec![line(PLENTY, 2)],
            _ => {}
        }
        reserve(&self.dice.hold_id(), &customer, lines)
    }

    fn next_call(&mut self, at: usize) -> Request {
        let Entry { reserve, known, .. } = &self.entries[at];
        let Some(hold) = known else { return Request::Reserve(reserve.clone()) };
        let hold_id = hold.id.clone();
        let claim = |hold_id: String| {
            let order_ref = format!("order-{hold_id}");
            Request::Claim(pb::ClaimRequest { hold_id, order_ref, ..pb::ClaimRequest::default() })
        };
        let stage = |hold_id, stage: pb::HoldStage| {
            Request::Extend(pb::ExtendRequest { hold_id, stage: stage.into(), ..pb::ExtendRequest::default() })
        };
        match (hold.state(), self.dice.below(5)) {
            // To the ceiling, so that a repetition changes nothing.
            (pb::HoldState::Held, 0) => Request::Extend(pb::ExtendRequest {
                hold_id,
                ttl: Some(prost_types::Duration { seconds: 86_400, nanos: 0 }),
                ..pb::ExtendRequest::default()
            }),
            (pb::HoldState::Held | pb::HoldState::Paying, 1) => claim(hold_id),
            (pb::HoldState::Held, 2) => stage(hold_id, pb::HoldStage::Paying),
            (pb::HoldState::Paying, 0 | 2) => stage(hold_id, pb::HoldStage::Held),
            (pb::HoldState::Held, 3) if hold.lines.iter().any(|line| line.quantity > 1) => {
                let keep = hold.lines.iter().map(|kept| line(&kept.sku, 1)).collect();
                Request::Release(pb::ReleaseRequest { hold_id, keep, ..pb::ReleaseRequest::default() })
            }
            (pb::HoldState::Claimed, _) => {
                let restock = self.dice.below(2) == 0;
                Request::Return(pb::ReturnUnitsRequest { hold_id, restock, ..pb::ReturnUnitsRequest::default() })
            }
            _ => {
                Request::Release(pb::ReleaseRequest { hold_id, abandon_payment: true, ..pb::ReleaseRequest::default() })
            }
        }
    }
}

/// Compares everything that was ever sent with what the server shows, and sends it again.
async fn audit(server: &Server, workers: &mut [Worker]) {
    let client = server.client().await;
    let ids = |workers: &[Worker]| -> Vec<String> {
        workers.iter().flat_map(|worker| &worker.entries).map(|entry| entry.reserve.hold_id.clone()).collect()
    };
    let found = all_shown(&client, ids(workers)).await;
    books_balance(&client, &found, LIMIT).await;
    let entries = workers.iter_mut().flat_map(|worker| &mut worker.entries);
    let mut pairs: Vec<_> = entries.zip(&found).collect();
    for (entry, found) in &pairs {
        entry.must_explain(found.as_ref());
    }
    let client = &client;
    let again = pairs.iter_mut().map(|(entry, found)| entry.send_again(client, found.as_ref()));
    stream::iter(again).buffer_unordered(64).collect::<()>().await;
    let settled = all_shown(client, ids(workers)).await;
    for (entry, shown) in workers.iter().flat_map(|worker| &worker.entries).zip(&settled) {
        assert_eq!(entry.known.as_ref(), shown.as_ref());
    }
    books_balance(client, &settled, LIMIT).await;
    assert_eq!(server.metric("stockade_conservation_error_units"), "0");
}

async fn live_and_die(server: Server, workers: &mut [Worker], round: usize, life: Duration) {
    let mut at_work = Vec::new();
    for worker in workers {
        at_work.push(worker.work(server.client().await, round, life > Duration::from_secs(1)));
    }
    let death = async move {
        tokio::time::sleep(life).await;
        assert_eq!(server.metric("stockade_conservation_error_units"), "0");
        tokio::task::spawn_blocking(|| server.kill()).await.expect("a death")
    };
    let (ended, ()) = tokio::join!(death, async {
        stream::iter(at_work).buffer_unordered(usize::MAX).collect::<()>().await;
    });
    assert_eq!(ended.code, None, "only the signal may end it: {}", ended.log);
}

fn items() -> Vec<(&'static str, u64)> {
    let scarce = SCARCE.iter().map(|sku| (*sku, 60));
    scarce.chain([(PLENTY, 1_000_000)]).collect()
}

/// Kills a server shortly after its start.
async fn die_young(data: &Path, dice: &mut Dice) {
    let process = Process::start("stockade", serve(data, &[])).expect("the binary runs");
    tokio::time::sleep(Duration::from_micros(dice.below(40_000))).await;
    drop(process);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_every_kill() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let mut dice = Dice::seeded("what_was_acknowledged_survives_every_kill");
    let mut workers: Vec<Worker> =
        (0..WORKERS).map(|_| Worker { dice: Dice::new(dice.next()), entries: Vec::new() }).collect();
    for (round, (flags, least, most)) in ROUNDS.into_iter().enumerate() {
        let server = start(&data, flags);
        if round == 0 {
            create(&server.client().await, &items(), LIMIT).await;
        }
        audit(&server, &mut workers).await;
        let life = Duration::from_millis(least + dice.below(most - least));
        live_and_die(server, &mut workers, round, life).await;
        verified(&data);
        if round % 2 == 1 {
            die_young(&data, &mut dice).await;
            verified(&data);
        }
    }
    let server = start(&data, &[]);
    audit(&server, &mut workers).await;
    let entries = || workers.iter().flat_map(|worker| &worker.entries);
    let in_state =
        |state| entries().filter(|entry| entry.known.as_ref().is_some_and(|hold| hold.state() == state)).count();
    let refused = entries().filter(|entry| entry.known.is_none()).count();
    let states =
        [pb::HoldState::Held, pb::HoldState::Paying, pb::HoldState::Claimed, pb::HoldState::Released].map(in_state);
    eprintln!("held, paying, claimed, released: {states:?}; refused: {refused}");
    assert!(refused > 0 && states.iter().all(|count| *count > 0), "too little load to say anything");
    assert_eq!(server.stop().code, Some(0));
    assert!(verified(&data).contains("closed in order"));
    // At every record, so at every cut that a kill may have made, all pools add up.
    let facts = facts::read(BINARY, &data).expect("a journal");
    let trial = facts::judge(&sold(&items(), LIMIT), &facts, |_customer| Vec::new());
    assert_eq!(trial.violations(), 0, "{trial}: {:?}", trial.findings);
    assert!(trial.holds > 100 && trial.records > trial.holds, "{trial}");
}
