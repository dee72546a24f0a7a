//! The initial inputs of fuzzing: real journals, snapshots, records, drop files, requests and tokens.
//!
//! `cargo test -p stockade-fuzz --test seeds -- --ignored` writes them; their names begin with `seed-`. Other files in
//! `fuzz/corpus` were found by fuzzing and are kept.

#![expect(clippy::expect_used, reason = "a test that can't go on must stop")]

use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use prost::Message as _;
use stockade::grpc::convert;
use stockade_engine::answer::Outcome;
use stockade_engine::attempt::Decided;
use stockade_engine::command::{Claim, CreateDrop, Extend, Release, Reserve, Return, Steer};
use stockade_engine::context::Context;
use stockade_engine::lifecycle::data_folder::DataFolder;
use stockade_engine::lifecycle::recover::{StartOptions, recover};
use stockade_engine::{Bounds, Engine};
use stockade_journal::storage::SimulatedStorage;
use stockade_journal::{Durability, FileLogOptions, inspect};
use stockade_proto as pb;
use stockade_types::ids::Lsn;
use stockade_types::record::{ChannelFact, ChannelProgress, Record, Sent};
use stockade_types::time::{Millis, Timestamp};
use stockade_types::webhook::EventPlace;

const START: Timestamp = Timestamp(1_796_403_600_000);

fn path(of: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(of)
}

fn keep(target: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let folder = path("corpus").join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(format!("seed-{name}")), bytes)
}

fn hold_id(n: u8) -> String {
    format!("0190b5f0-8a5e-7c3e-9d3a-0123456789{n:02x}")
}

fn line(sku: &str, quantity: u32) -> pb::Line {
    pb::Line { sku: sku.to_owned(), quantity, pool: String::new() }
}

fn drop() -> pb::Drop {
    let text = fs::read_to_string(path("../examples/knife.yaml")).expect("the example");
    let mut drop = stockade::cli::drop_file::parse("knife.yaml", &text).expect("a good file");
    drop.opens_at = None;
    drop.closes_at = None;
    drop.items.push(pb::Item { sku: "FORK".to_owned(), quantity: 50, ..pb::Item::default() });
    drop.labels = [("season".to_owned(), "winter".to_owned())].into();
    drop.limits.push(pb::Limit {
        id: "cards".to_owned(),
        scope: pb::LimitScope::Shop.into(),
        identity_kind: "card".to_owned(),
        max_units: Some(9),
        max_units_by_tier: [("gold".to_owned(), 12)].into(),
        rolling: Some(prost_types::Duration { seconds: 86_400, nanos: 0 }),
        cooldown: Some(prost_types::Duration { seconds: 0, nanos: 300_000_000 }),
        ..pb::Limit::default()
    });
    drop
}

fn reserve(n: u8, lines: Vec<pb::Line>) -> pb::ReserveRequest {
    let identity = pb::Identity { kind: "card".to_owned(), value: "4242".to_owned() };
    pb::ReserveRequest {
        hold_id: hold_id(n),
        drop_id: drop().id,
        lines,
        customer: Some(pb::Customer {
            id: format!("customer-{n}"),
            tiers: vec!["gold".to_owned()],
            zones: Vec::new(),
            identities: vec![identity],
        }),
        ttl: Some(prost_types::Duration { seconds: 120, nanos: 0 }),
        ..pb::ReserveRequest::default()
    }
}

/// One request of each kind, by the number of the kind.
fn requests() -> Vec<Vec<u8>> {
    let (drop_id, customer_id) = (drop().id, "customer-1".to_owned());
    let lines = vec![line("KNIFE/20cm", 1), line("FORK", 1)];
    let operation = |operation| pb::Operation { operation: Some(operation) };
    let first = reserve(1, lines.clone());
    let claim = pb::ClaimRequest {
        hold_id: hold_id(1),
        drop_id: drop_id.clone(),
        customer_id: customer_id.clone(),
        order_ref: "order/1".to_owned(),
        expired_policy: pb::ExpiredPolicy::TakeFreeStock.into(),
        lines: lines.clone(),
    };
    let extend = pb::ExtendRequest {
        hold_id: hold_id(1),
        drop_id: drop_id.clone(),
        customer_id: customer_id.clone(),
        ttl: Some(prost_types::Duration { seconds: 60, nanos: 5 }),
        stage: pb::HoldStage::Paying.into(),
    };
    let release = pb::ReleaseRequest {
        hold_id: hold_id(1),
        drop_id: drop_id.clone(),
        customer_id,
        keep: vec![line("FORK", 1)],
        abandon_payment: true,
    };
    let returned = pb::ReturnUnitsRequest {
        hold_id: hold_id(1),
        drop_id: drop_id.clone(),
        returned: vec![line("FORK", 1)],
        restock: true,
    };
    let batch = pb::BatchRequest {
        operations: vec![
            operation(pb::operation::Operation::Reserve(first.clone())),
            operation(pb::operation::Operation::Extend(extend.clone())),
            operation(pb::operation::Operation::Claim(claim.clone())),
        ],
        view: pb::HoldView::Brief.into(),
    };
    let mut requests = vec![
        first.encode_to_vec(),
        extend.encode_to_vec(),
        claim.encode_to_vec(),
        release.encode_to_vec(),
        returned.encode_to_vec(),
        pb::GetHoldRequest { hold_id: hold_id(1), drop_id, ..Default::default() }.encode_to_vec(),
    ];
    requests.extend(requests_of_operators());
    requests.push(batch.encode_to_vec());
    requests
}

fn requests_of_operators() -> [Vec<u8>; 6] {
    let drop_id = drop().id;
    let list = pb::ListHoldsRequest {
        drop_id: drop_id.clone(),
        customer_id: "customer-1".to_owned(),
        state: pb::HoldState::Held.into(),
        page_size: 10,
        page_token: format!("2:1.{}", hold_id(1)),
        ..pb::ListHoldsRequest::default()
    };
    let drops = pb::ListDropsRequest {
        shop: "default".to_owned(),
        state: pb::DropState::Open.into(),
        page_token: "1a2.knife-1204".to_owned(),
        ..pb::ListDropsRequest::default()
    };
    let adjust = pb::AdjustStockRequest {
        drop_id,
        sku: "FORK".to_owned(),
        pool: "general".to_owned(),
        adjustment_id: hold_id(9),
        change: Some(pb::adjust_stock_request::Change::Delta(-3)),
    };
    let reconcile = pb::ReconcileStockRequest {
        drop_id: adjust.drop_id.clone(),
        sku: "FORK".to_owned(),
        reconciliation_id: hold_id(9),
        as_of: "AWNvdW50ZWQ".to_owned(),
        on_hand: 297,
        dry_run: true,
        ..pb::ReconcileStockRequest::default()
    };
    let mask = prost_types::FieldMask { paths: vec!["title".to_owned(), "limits".to_owned()] };
    let update = pb::UpdateDropRequest {
        drop: Some(drop()),
        update_mask: Some(mask),
        revision: 7,
        ..pb::UpdateDropRequest::default()
    };
    [
        list.encode_to_vec(),
        drops.encode_to_vec(),
        adjust.encode_to_vec(),
        pb::CreateDropRequest { drop: Some(drop()), validate_only: true }.encode_to_vec(),
        update.encode_to_vec(),
        reconcile.encode_to_vec(),
    ]
}

/// Requests at the bounds of decoding, and beyond them: many parts of two bytes.
fn extremes() -> [(&'static str, Vec<u8>); 15] {
    const RESERVE: u8 = 0;
    const CREATE: u8 = 9;
    const UPDATE: u8 = 10;
    const BATCH: u8 = 11;
    let of = |kind: u8, bytes: Vec<u8>| [vec![kind], bytes].concat();
    let within = |tag: u8, bytes: Vec<u8>| {
        let length = u16::try_from(bytes.len()).expect("short");
        let [low, high] = [length & 0x7f, length >> 7].map(|part| part.to_le_bytes()[0]);
        [vec![tag, low | 0x80, high], bytes].concat()
    };
    let groups = |deep: usize| [[0xa3, 6].repeat(deep), [0xa4, 6].repeat(deep)].concat();
    [
        ("lines-at-the-bound", of(RESERVE, [0x1a, 0].repeat(64))),
        ("lines-beyond", of(RESERVE, [0x1a, 0].repeat(65))),
        ("identities-at-the-bound", of(RESERVE, within(0x22, [0x22, 0].repeat(32)))),
        ("identities-beyond", of(RESERVE, within(0x22, [0x22, 0].repeat(33)))),
        ("customer-twice", of(RESERVE, [0x22, 0].repeat(2))),
        ("groups-as-deep-as-may-be", of(RESERVE, groups(100))),
        ("groups-too-deep", of(RESERVE, groups(101))),
        ("operations-merged", of(BATCH, vec![0x0a, 4, 0x0a, 0, 0x0a, 0])),
        ("operations-replaced", of(BATCH, vec![0x0a, 4, 0x0a, 0, 0x1a, 0])),
        ("operations-of-one-line", of(BATCH, [0x0a, 4, 0x0a, 2, 0x1a, 0].repeat(300))),
        ("operations-at-the-bound", of(BATCH, [0x0a, 0].repeat(10_000))),
        ("items-of-one-pool", of(CREATE, within(0x0a, [0x5a, 2, 0x1a, 0].repeat(256)))),
        ("labels-beyond", of(CREATE, within(0x0a, [0x82, 1, 0].repeat(33)))),
        // Labels encoded as a fixed64, which hides the start of an item with very many pools.
        (
            "labels-that-hide-pools",
            of(
                CREATE,
                within(0x0a, [&[0x81, 1, 0, 0x5a, 0xce, 0x8f, 0x80, 0, 0x1a, 0][..], &[0x1a, 0].repeat(998)].concat()),
            ),
        ),
        ("paths-at-the-bound", of(UPDATE, within(0x12, [0x0a, 0].repeat(128)))),
    ]
}

/// A record of how far a channel is.
fn channel() -> Vec<u8> {
    let sent = vec![Sent { audience: [7; 16], last_at: START, count: 2 }];
    let progress = ChannelProgress { decided_to: EventPlace { lsn: Lsn(300), place: 1 }, sent };
    let fact = ChannelFact { at: START, channel: "push".parse().expect("a name"), progress: Some(progress) };
    let mut bytes = Vec::new();
    Record::Channel(fact).encode(&mut bytes);
    bytes
}

/// A short history with every verb; it leaves two snapshots and a journal of several segments.
fn history(durability: Durability, closed: bool) -> (SimulatedStorage, SimulatedStorage) {
    let [root, journal, snapshots] = [(); 3].map(|()| SimulatedStorage::new());
    let folder = DataFolder::over(Arc::new(root), Arc::new(journal.clone()), Arc::new(snapshots.clone()), "seeds")
        .expect("a folder");
    let options = StartOptions {
        bounds: Bounds::default(),
        log: FileLogOptions { durability, segment_bytes: 300 },
        outage_grace: Millis::from_secs(30),
        accept_clock: false,
    };
    let engine = recover(&folder, &options, &|| START).expect("an engine").engine;
    play(&engine, &snapshots);
    if closed {
        engine.journal().close(START.plus(Millis(9_000))).expect("a clean stop");
    }
    (journal, snapshots)
}

fn play(engine: &Engine, snapshots: &SimulatedStorage) {
    let at = |seconds: u64| START.plus(Millis(seconds * 1_000));
    let CreateDrop { definition, .. } =
        convert::create_drop(&pb::CreateDropRequest { drop: Some(drop()), validate_only: false }).expect("good");
    let command = CreateDrop { definition, validate_only: false };
    engine.create_drop(&command, Context::anonymous(at(0))).expect("a drop");
    engine.journal().barrier().wait().expect("durable");
    let put = |n, lines: Vec<pb::Line>, supersedes: Option<u8>| {
        let request = reserve(supersedes.unwrap_or(n), lines);
        let supersedes = supersedes.map(hold_id).unwrap_or_default();
        let request = pb::ReserveRequest { hold_id: hold_id(n), supersedes, ..request };
        let command: Reserve = convert::reserve(&request).expect("good");
        let answer = engine.reserve(&command, Context::anonymous(at(n.into()))).expect("an answer");
        assert!(matches!(answer, Decided { value: Outcome::Hold(_), .. }), "{answer:?}");
    };
    put(1, vec![line("KNIFE/20cm", 1), line("FORK", 1)], None);
    put(2, vec![line("KNIFE/20cm", 1)], None);
    put(3, vec![line("FORK", 2)], None);
    put(4, vec![line("FORK", 1)], None);
    engine.journal().barrier().wait().expect("durable");
    engine.snapshot(snapshots, at(5)).expect("a snapshot");
    let requests = requests();
    let request = |kind: usize| requests.get(kind).expect("of each kind").as_slice();
    let extend: Extend = convert::extend(&pb::ExtendRequest::decode(request(1)).expect("a request")).expect("good");
    engine.extend(&extend, Context::anonymous(at(5))).expect("an answer");
    let claim: Claim = convert::claim(&pb::ClaimRequest::decode(request(2)).expect("a request")).expect("good");
    engine.claim(&claim, Context::anonymous(at(5))).expect("an answer");
    let returned: Return =
        convert::return_units(&pb::ReturnUnitsRequest::decode(request(4)).expect("a request")).expect("good");
    engine.return_units(&returned, Context::anonymous(at(5))).expect("an answer");
    let request = pb::ReleaseRequest { hold_id: hold_id(3), keep: vec![line("FORK", 1)], ..Default::default() };
    let release: Release = convert::release(&request).expect("good");
    engine.release(&release, Context::anonymous(at(5))).expect("an answer");
    engine.journal().barrier().wait().expect("durable");
    engine.snapshot(snapshots, at(6)).expect("a snapshot");
    put(6, vec![line("FORK", 2)], Some(4));
    engine.sweep(at(500)).expect("a sweep");
    engine.steer(&command.definition.id, Steer::Pause, Context::anonymous(at(501))).expect("paused");
    engine.journal().barrier().wait().expect("durable");
    engine.journal().barrier().wait().expect("durable");
}

#[test]
#[ignore = "writes the seeds of the kept corpora anew"]
fn write_seeds() -> io::Result<()> {
    for (name, durability, closed) in
        [("sync", Durability::Sync, false), ("closed", Durability::Sync, true), ("os", Durability::Os, false)]
    {
        let (journal, snapshots) = history(durability, closed);
        keep("journal", name, &journal.files().into_values().collect::<Vec<_>>().concat())?;
        for (n, bytes) in snapshots.files().values().enumerate() {
            keep("snapshot", &format!("{name}-{n}"), bytes)?;
        }
        let records = inspect(&journal).expect("a journal").flat_map(|batch| batch.expect("a batch").records);
        for (n, record) in records.enumerate() {
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            keep("record", &format!("{n}"), &bytes)?;
        }
    }
    keep("record", "channel", &channel())?;
    for name in ["open", "torn", "rotten", "os-hole"] {
        let folder = path("../tests/fixtures/journal").join(name);
        let mut files: Vec<_> = fs::read_dir(folder)?.collect::<io::Result<_>>()?;
        files.sort_by_key(fs::DirEntry::file_name);
        let bytes: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file.path())).collect::<io::Result<_>>()?;
        keep("journal", name, &bytes.concat())?;
    }
    for (kind, request) in requests().into_iter().enumerate() {
        let kind = u8::try_from(kind).expect("few");
        let request = [vec![kind], request].concat();
        keep("request", &format!("{kind}"), &request)?;
        // Bytes that choose the fields of a request: arbitrary, but the same on each machine.
        let chosen: Vec<u8> = (0..512_u32).map(|n| (n.wrapping_mul(0x9e37_79b9) >> 13).to_le_bytes()[0]).collect();
        keep("structured", &format!("{kind}"), &[vec![kind], chosen.clone()].concat())?;
        keep("intake", &format!("{kind}"), &request)?;
        keep("intake", &format!("chosen-{kind}"), &[vec![kind | 0x80], chosen].concat())?;
    }
    for (name, request) in extremes() {
        keep("intake", name, &request)?;
    }
    keep("yaml", "knife", &fs::read(path("../examples/knife.yaml"))?)?;
    keep("yaml", "limits", LIMITS.as_bytes())?;
    keep("yaml", "aliases", ALIASES.as_bytes())?;
    for (name, token) in [
        ("holds", format!("2:1f.{}", hold_id(1))),
        ("drops", "19b5f08a5e0.knife-1204".to_owned()),
        ("none", "x".repeat(40)),
    ] {
        keep("token", name, token.as_bytes())?;
    }
    Ok(())
}

const LIMITS: &str = "# Every key there is.
kind: Drop
id: knife-1204
title: \"Messer, \\u00e4hnlich\"
shop: default
series: winter
labels: {season: winter, 'a: b': c}
opens_at: 2026-12-04T18:00:00+01:00
closes_at: 2026-12-04T20:00:00.5Z
hold_ttl: 5m
max_hold_life: 1h 30m
payment_ttl: 250s
items:
  - {sku: A, quantity: 1_000}
  - sku: >-
      folded
      text
    quantity: 3
limits:
  - id: cards
    scope: series
    skus: [A, B]
    identity_kind: card
    max_units: 2
    max_units_by_tier: {gold: 4, silver: 3}
    max_live_units: 1
    max_live_holds: 0
    rolling: 30 days
    cooldown: 500ms
  - {id: all, scope: shop, max_units: 9}
";

const ALIASES: &str = "kind: Drop
id: &id knife-1204
title: *id
items: [&item {sku: A, quantity: 1}, *item, *item]
limits: []
";
