//! Limits: what it costs to check a request against them and to count what it takes, with one limit and with ten.
//!
//! Compared with `no limits`: the same two visits of the subject, one that counts a unit up and one that counts it down
//! again, so that the difference is the check. Many subjects are in the table, each with a unit and a live hold, and
//! the visits come in no order of theirs, as customers do.

#![expect(clippy::expect_used, reason = "a benchmark that can't run must stop")]

mod common;

use std::hint::black_box;

use common::{customer, hold_id};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use stockade::definition::{Limit, Scope};
use stockade::digest::DigestKey;
use stockade::hold::{ContentHash, Hold, HoldState, Lines};
use stockade::ids::{DropNo, ItemNo, LimitId, Lsn, ShopId, SubjectKey};
use stockade::inventory::{Holds, Subjects};
use stockade::time::Timestamp;

const SUBJECTS: [u64; 2] = [10_000, 1_000_000];
const LIMITS: [u32; 3] = [0, 1, 10];
const DROP: DropNo = DropNo(3);
const ITEM: ItemNo = ItemNo(0);
const DUE: Timestamp = Timestamp(300_000);

/// So many limits that nobody reaches: every other one counts the whole drop.
fn limits(count: u32) -> Vec<Limit> {
    let scope = |n: u32| if n.is_multiple_of(2) { Scope::Drop } else { Scope::Item };
    (0..count)
        .map(|n| {
            let id = LimitId::try_from(format!("limit-{n}").as_str()).expect("an id");
            Limit { max_units: Some(100 + n), ..Limit::new(id, scope(n)) }
        })
        .collect()
}

/// Subjects with a unit and a live hold each, and their keys in an order of no meaning.
fn filled(count: u64) -> (Subjects, Vec<SubjectKey>) {
    let key = DigestKey::from_bytes([1; 16]);
    let shop = ShopId::try_from("default").expect("an id");
    let subjects = Subjects::new();
    let keys: Vec<SubjectKey> = (0..count).map(|n| key.customer(&shop, &customer(n))).collect();
    // Any hold will do for a subject to have: its place is all that is remembered.
    let hold = Hold {
        id: hold_id(0),
        drop: DROP,
        state: HoldState::Held,
        customer: customer(0),
        content: ContentHash(0),
        created_at: Timestamp(0),
        expires_at: DUE,
        settled_at: Timestamp(0),
        revision: Lsn(1),
        lines: Lines::from_slice(&[]),
        rare: None,
    };
    let place = Holds::new(key).with_id(&hold_id(0), |mut shard| shard.insert(hold));
    for key in &keys {
        subjects.with(*key, |subject| {
            subject.count(DROP, ITEM, 0, 1);
            subject.follow(place, None, Some(DUE));
        });
    }
    let mut shuffled = keys;
    shuffled.sort_unstable_by_key(|key| key.0.rotate_left(17));
    (subjects, shuffled)
}

fn check_and_count(criterion: &mut Criterion) {
    for count in SUBJECTS {
        let (subjects, keys) = filled(count);
        let mut group = criterion.benchmark_group(format!("limits of {count} subjects"));
        group.throughput(Throughput::Elements(1));
        for limit in LIMITS {
            let limits = limits(limit);
            let mut keys = keys.iter().cycle();
            let name = if limit == 0 { "no limits".to_owned() } else { format!("{limit} checked") };
            group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                bencher.iter(|| {
                    let key = *keys.next().expect("an endless walk");
                    let fits = subjects.with(key, |subject| {
                        let fits = subject.broken(DROP, black_box(&limits), &[(ITEM, 1)]).is_empty();
                        subject.count(DROP, ITEM, 0, 1);
                        fits
                    });
                    assert!(fits, "nobody reaches a limit");
                    subjects.with(key, |subject| subject.count(DROP, ITEM, 1, 0));
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, check_and_count);
criterion_main!(benches);
