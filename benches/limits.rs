//! Limits: the cost of checking a request against one limit and against ten, and of counting its units.
//!
//! Compared with `no limits`: the same two changes of the subject, one that turns its hold into a sale and one that
//! turns it back. So the difference is the check. The table has many subjects, each with a unit and a live hold, and
//! they are visited in random order, as with real customers.

#![expect(clippy::expect_used, reason = "a benchmark that can't run must stop")]

mod common;
#[path = "common/drops.rs"]
mod drops;
#[path = "common/short.rs"]
mod short;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use stockade_engine::inventory::limits::{CountedHoldRef, HoldKey, LimitQuery, Purpose};
use stockade_engine::inventory::{Drops, Holds, Registry, Subject, Subjects};
use stockade_types::definition::{Limit, Scope};
use stockade_types::digest::DigestKey;
use stockade_types::hold::{ContentHash, Hold, HoldFields, HoldLine, HoldState, Lines};
use stockade_types::ids::{DropNo, ItemNo, LimitId, Lsn, PoolNo, ShopId, SubjectKey};
use stockade_types::record::DropImage;
use stockade_types::time::Timestamp;

use common::{customer, hold_id};
use drops::{NOW, definition};
use short::short;

const SUBJECTS: [u64; 2] = [10_000, 1_000_000];
const LIMITS: [u32; 3] = [0, 1, 10];
const DROP: DropNo = DropNo(0);
const ITEM: ItemNo = ItemNo(0);
const DUE: Timestamp = Timestamp(300_000);

/// This many limits that are never reached; every other one counts the whole drop.
fn limits(count: u32) -> Vec<Limit> {
    let scope = |n: u32| if n.is_multiple_of(2) { Scope::Drop } else { Scope::Item };
    (0..count)
        .map(|n| {
            let id = LimitId::try_from(format!("limit-{n}").as_str()).expect("an id");
            Limit { max_units: Some(100 + n), ..Limit::new(id, scope(n)) }
        })
        .collect()
}

/// Subjects with a unit and a live hold each, and their keys in an arbitrary order.
fn filled(count: u64) -> (Subjects, Vec<SubjectKey>) {
    let key = DigestKey::from_bytes([1; 16]);
    let shop = ShopId::try_from("default").expect("an id");
    let subjects = Subjects::new();
    let keys: Vec<SubjectKey> = (0..count).map(|n| key.customers(&shop).subject(&customer(n))).collect();
    let held = Held::new(&key);
    for key in &keys {
        subjects.with(&[*key], |subjects| subjects.iter_mut().for_each(|subject| held.made(subject)));
    }
    let mut shuffled = keys;
    shuffled.sort_unstable_by_key(|key| key.0.rotate_left(17));
    (subjects, shuffled)
}

/// A hold of one unit, as a subject stores it. Its place in the table does not matter here.
struct Held {
    hold_key: HoldKey,
    lines: Lines,
}

impl Held {
    fn new(key: &DigestKey) -> Self {
        let lines = Lines::from_slice(&[HoldLine::new(ITEM, PoolNo(0), 1)]);
        let hold = Hold::from(HoldFields {
            id: hold_id(0),
            drop: DROP,
            state: HoldState::Held,
            customer: customer(0),
            content: ContentHash(0),
            created_at: Timestamp(0),
            expires_at: DUE,
            settled_at: Timestamp(0),
            has_grace: false,
            revision: Lsn(1),
            lines: lines.clone(),
            extras: None,
        });
        let place = Holds::new(key).with_id(&hold_id(0), |mut shard| shard.insert(hold));
        Self { hold_key: HoldKey { drop: DROP, place, created_at: Timestamp(0) }, lines }
    }

    fn counted(&self, state: HoldState) -> CountedHoldRef<'_> {
        CountedHoldRef { state, expires_at: DUE, conduct_at: None, lines: self.lines.view() }
    }

    fn made(&self, subject: &mut Subject) {
        subject.enter(self.hold_key, None, Some(self.counted(HoldState::Held)));
    }

    fn sold(&self, subject: &mut Subject) {
        subject.enter(self.hold_key, Some(self.counted(HoldState::Held)), Some(self.counted(HoldState::Claimed)));
    }

    fn back(&self, subject: &mut Subject) {
        subject.enter(self.hold_key, Some(self.counted(HoldState::Claimed)), Some(self.counted(HoldState::Held)));
    }
}

fn check_and_count(criterion: &mut Criterion) {
    let held = Held::new(&DigestKey::from_bytes([1; 16]));
    for count in SUBJECTS {
        let (subjects, keys) = filled(count);
        let mut group = criterion.benchmark_group(format!("limits of {count} subjects"));
        group.throughput(Throughput::Elements(1));
        for limit in LIMITS {
            let limits = limits(limit);
            let mut keys = keys.iter().cycle();
            let name = if limits.is_empty() { "no limits".to_owned() } else { format!("{limit} checked") };
            in_a_drop(&limits, |query| {
                group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                    bencher.iter(|| {
                        let key = *keys.next().expect("an endless walk");
                        let fits = subjects.with(&[key], |subjects| {
                            let fits = black_box(query).check(subjects, ItemNo::index).is_empty();
                            for subject in subjects {
                                held.sold(subject);
                            }
                            fits
                        });
                        assert!(fits, "nobody reaches a limit");
                        subjects.with(&[key], |subjects| subjects.iter_mut().for_each(|subject| held.back(subject)));
                    });
                });
            });
        }
        group.finish();
    }
}

/// A request for a unit in a drop with these limits.
fn in_a_drop(limits: &[Limit], f: impl FnOnce(LimitQuery<'_>)) {
    let drops = Drops::default();
    let definition = definition("knives", 1, limits.to_vec());
    let id = definition.id.clone();
    let make = |registry: &mut Registry| {
        let number = registry.new_drop_number().number;
        let image = DropImage { number, created_at: NOW, definition, request: [0; 32], update: None };
        registry.put(Lsn(1), &image);
        Ok::<_, std::convert::Infallible>(())
    };
    drops.add(&id, make).expect("a drop");
    drops.with_id_among(&id, |drop, drop_table| {
        let (lines, now) = (&[(ITEM, 1)], NOW);
        let purpose = Purpose::Reserve;
        f(LimitQuery { drop, drop_table, limits, conduct: &[], lines, tiers: &[], identities: &[], now, purpose });
    });
}

criterion_group! {
    name = benches;
    config = short();
    targets = check_and_count
}
criterion_main!(benches);
