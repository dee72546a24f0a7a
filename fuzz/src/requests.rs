//! Requests: any bytes of protobuf, and their conversion at the edge.

use std::fmt::Debug;
use std::sync::Arc;

use prost::Message;
use stockade::grpc::convert::{self, Rejection};
use stockade_engine::answer::{DropState, DropView};
use stockade_engine::command::{CreateDrop, Reserve, WantedUnits};
use stockade_proto as pb;
use stockade_types::definition::{Definition, Item, Pool, Schedule, Terms};
use stockade_types::ids::{DropNo, Lsn};
use stockade_types::record::{DropImage, Marks, Record, request_digest};
use stockade_types::time::{Millis, Timestamp};

use crate::bounds::bounded;
use crate::fields::{message, names_a_field};

/// Memory for reading a request. An empty message in a list is two bytes on the wire. The widest such message, an item,
/// takes 328 in memory, and a list that has just grown had room for three times its entries.
const MEMORY: (u64, u64) = (64 * 1024, 512);

/// A kind of request: its name in the contract, and the check of its bytes.
pub type Kind = (&'static str, fn(&'static str, &[u8]));

/// Every kind; the first byte of an input chooses one.
#[must_use]
pub fn kinds() -> [Kind; 19] {
    [
        ("stockade.v1.ReserveRequest", reserve),
        ("stockade.v1.ExtendRequest", |name, bytes| drop(stable(name, bytes, convert::extend))),
        ("stockade.v1.ClaimRequest", |name, bytes| drop(stable(name, bytes, convert::claim))),
        ("stockade.v1.ReleaseRequest", |name, bytes| drop(stable(name, bytes, convert::release))),
        ("stockade.v1.ReturnUnitsRequest", |name, bytes| drop(stable(name, bytes, convert::return_units))),
        ("stockade.v1.GetHoldRequest", |name, bytes| drop(stable(name, bytes, convert::get_hold))),
        ("stockade.v1.ListHoldsRequest", |name, bytes| drop(stable(name, bytes, convert::list_holds))),
        ("stockade.v1.ExplainRequest", |name, bytes| drop(stable(name, bytes, convert::explain))),
        ("stockade.v1.ListDropsRequest", |name, bytes| drop(stable(name, bytes, convert::list_drops))),
        ("stockade.v1.AdjustStockRequest", |name, bytes| drop(stable(name, bytes, convert::adjust_stock))),
        ("stockade.v1.CreateDropRequest", create_drop),
        ("stockade.v1.UpdateDropRequest", update_drop),
        ("stockade.v1.BatchRequest", batch),
        ("stockade.v1.ReconcileStockRequest", reconcile),
        ("stockade.v1.CreateSeriesRequest", |name, bytes| drop(stable(name, bytes, convert::create_series))),
        ("stockade.v1.UpdateSeriesRequest", |name, bytes| drop(stable(name, bytes, convert::update_series))),
        ("stockade.v1.GetSeriesRequest", |name, bytes| drop(stable(name, bytes, convert::get_series))),
        ("stockade.v1.ListSeriesRequest", |name, bytes| drop(stable(name, bytes, convert::list_series))),
        ("stockade.v1.PreviewSeriesRequest", |name, bytes| drop(stable(name, bytes, convert::preview_series))),
    ]
}

/// The cursor was read before: it stands for a record, or is none.
fn reconcile(name: &'static str, bytes: &[u8]) {
    let convert = |asked: &pb::ReconcileStockRequest| convert::reconcile_stock(asked, Some(Lsn(7)));
    drop(stable(name, bytes, convert));
}

pub(crate) fn run(input: &[u8]) {
    let Some((kind, bytes)) = input.split_first() else { return };
    check(*kind, bytes);
}

/// Checks the bytes of a request of this kind.
pub(crate) fn check(kind: u8, bytes: &[u8]) {
    let kinds = kinds();
    let (name, check) = kinds.get(usize::from(kind) % kinds.len()).expect("a kind");
    check(name, bytes);
}

/// Reads a request; if it can be read it can be encoded, and is read as the same again.
fn read<M: Message + Default + PartialEq + Debug>(name: &str, bytes: &[u8]) -> Option<M> {
    let request = bounded(name, bytes.len(), MEMORY, || M::decode(bytes)).ok()?;
    let again = M::decode(request.encode_to_vec().as_slice()).expect("what was sent is read");
    assert!(again == request, "{name}: sent again, it is another request: {request:?}");
    Some(request)
}

/// Converts a request twice, the second time after encoding and decoding: the result must be the same.
fn stable<M, C>(name: &str, bytes: &[u8], convert: impl Fn(&M) -> Result<C, Rejection>) -> Option<(M, C)>
where
    M: Message + Default + PartialEq + Debug,
    C: PartialEq + Debug,
{
    let request: M = read(name, bytes)?;
    let command = convert(&request);
    let again = M::decode(request.encode_to_vec().as_slice()).expect("what was sent is read");
    assert_eq!(convert(&again), command, "{name}: sent again, it asks for something else");
    match command {
        Ok(command) => Some((request, command)),
        Err(rejection) => {
            explained(name, &rejection);
            None
        }
    }
}

/// Checks that a rejection names at least one field, and only fields of the contract, each with a description.
pub(crate) fn explained(name: &str, rejection: &Rejection) {
    let message = message(name);
    let fields: Vec<&String> = match rejection {
        Rejection::Invalid(violations) => violations
            .iter()
            .map(|violation| {
                assert!(!violation.description.is_empty(), "{name}: {} without a reason", violation.field);
                &violation.field
            })
            .collect(),
        Rejection::Unbuilt(fields) => fields.iter().collect(),
    };
    assert!(!fields.is_empty(), "{name}: a rejection that names nothing");
    for field in fields {
        assert!(names_a_field(&message, field), "{name} has no field {field:?}");
    }
}

/// Checks that the lines of a command have the order that all code after the edge depends on.
fn ordered(lines: &[WantedUnits]) {
    let order = |line: &WantedUnits| (line.sku.clone(), line.pool.is_none(), line.pool.clone());
    assert!(lines.is_sorted_by(|a, b| order(a) < order(b)), "lines that are not summed and ascending: {lines:?}");
    assert!(lines.iter().all(|line| line.units > 0), "a line of nothing: {lines:?}");
}

fn reserve(name: &'static str, bytes: &[u8]) {
    let Some((request, command)) = stable(name, bytes, convert::reserve) else { return };
    ordered(&command.lines);
    // Lines in another order are the same cart.
    let mut reversed: pb::ReserveRequest = request;
    reversed.lines.reverse();
    let other = convert::reserve(&reversed).expect("the same lines");
    let line = |line: &WantedUnits| (line.sku.clone(), line.pool.clone(), line.units);
    let cart = |command: &Reserve| -> Vec<_> { command.lines.iter().map(line).collect() };
    assert_eq!(cart(&other), cart(&command), "another cart with the lines turned round");
}

fn create_drop(name: &'static str, bytes: &[u8]) {
    let Some((_, CreateDrop { definition, validate_only })) = stable(name, bytes, convert::create_drop) else { return };
    let image = DropImage {
        number: DropNo(0),
        created_at: Timestamp(0),
        request: request_digest(&definition),
        update: None,
        definition: definition.clone(),
    };
    let mut written = Vec::new();
    let record = Record::Drop(Box::new(image));
    record.encode(&mut written);
    assert_eq!(Record::decode(&written), Ok(record), "a drop that was accepted can't be read back");
    // A drop as it is shown can be used in a create request, and is the same drop.
    let opens_at = definition.schedule.opens_at;
    let mut shown = convert::drop_view(&view(definition.clone()));
    if opens_at.is_none() {
        shown.opens_at = None;
    }
    let again = convert::create_drop(&pb::CreateDropRequest { drop: Some(shown), validate_only });
    assert_eq!(again, Ok(CreateDrop { definition, validate_only }), "a drop that is shown is another one");
}

fn update_drop(name: &'static str, bytes: &[u8]) {
    let current = view(sample());
    let update = |request: &pb::UpdateDropRequest| convert::update_drop(request)?.onto(&current);
    drop(stable(name, bytes, update));
}

fn batch(name: &'static str, bytes: &[u8]) {
    let Some(request) = read::<pb::BatchRequest>(name, bytes) else { return };
    let pb::BatchRequest { operations, view } = request;
    if let Err(rejection) = convert::batch(operations.len(), view) {
        explained(name, &rejection);
    }
    for operation in operations.iter().filter_map(|operation| operation.operation.as_ref()) {
        use pb::operation::Operation;
        // An operation of a batch must be decided as its own request would be.
        let (kind, bytes) = match operation {
            Operation::Reserve(request) => (0, request.encode_to_vec()),
            Operation::Extend(request) => (1, request.encode_to_vec()),
            Operation::Claim(request) => (2, request.encode_to_vec()),
            Operation::Release(request) => (3, request.encode_to_vec()),
            Operation::ReturnUnits(request) => (4, request.encode_to_vec()),
        };
        check(kind, &bytes);
        if let Err(rejection) = convert::operation(operation) {
            explained(kinds().get(usize::from(kind)).expect("a kind").0, &rejection);
        }
    }
}

fn view(definition: Definition) -> DropView {
    DropView {
        opens_at: definition.schedule.opens_at.unwrap_or_default(),
        definition: Arc::new(definition),
        closed_at: None,
        announced: stockade_engine::answer::Announced { changes: 0, at: Timestamp(0) },
        state: DropState::Scheduled,
        revision: Lsn(7),
        as_of: Lsn(9),
        stock: Vec::new(),
        marks: Marks::default(),
    }
}

/// The drop that updates are applied to.
fn sample() -> Definition {
    let pool = Pool::plain("general".parse().expect("an id"), 300);
    Definition {
        id: "knife-1204".parse().expect("an id"),
        title: "Knife".to_owned(),
        shop: "default".parse().expect("an id"),
        series: None,
        labels: std::collections::BTreeMap::new(),
        schedule: Schedule { opens_at: Some(Timestamp(1_796_403_600_000)), closes_at: None },
        terms: Terms { hold_ttl: Millis(300_000), max_hold_life: Millis(600_000), payment_ttl: Millis(900_000) },
        items: vec![Item::plain("KNIFE/20cm".parse().expect("a sku"), vec![pool])],
        limits: Vec::new(),
        rules: stockade_types::definition::Rules::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An input of many empty messages is the worst case of a request.
    fn of_empty(messages: usize) -> Vec<u8> {
        [0x0a, 0x00].repeat(messages)
    }

    #[test]
    fn a_list_of_empty_messages_stays_within_the_multiple() {
        for messages in [1_000, 32_768, 32_769] {
            assert!(read::<pb::BatchRequest>("a batch", &of_empty(messages)).is_some());
        }
    }

    #[test]
    fn the_multiple_is_that_of_the_widest_message_of_a_list() {
        let sizes = [
            size_of::<pb::Operation>(),
            size_of::<pb::Item>(),
            size_of::<pb::Window>(),
            size_of::<pb::Limit>(),
            size_of::<pb::Terms>(),
            size_of::<pb::Tranche>(),
            size_of::<pb::Signal>(),
            size_of::<pb::ConductRule>(),
            size_of::<pb::Tightening>(),
            size_of::<pb::Pool>(),
            size_of::<pb::Flow>(),
            size_of::<pb::PriceStep>(),
        ];
        let widest = sizes.into_iter().max().and_then(|size| u64::try_from(size).ok()).expect("some");
        // Two bytes on the wire; a list that has just grown had room for three times its entries.
        assert!(widest * 3 / 2 <= MEMORY.1, "{widest} bytes: {sizes:?}");
    }

    #[test]
    #[should_panic(expected = "took")]
    fn a_reader_that_takes_more_than_its_multiple_is_found() {
        let bytes = of_empty(32_769);
        let _read = bounded("a batch", bytes.len(), (64 * 1024, 64), || pb::BatchRequest::decode(bytes.as_slice()));
    }

    #[test]
    #[should_panic(expected = "has no field")]
    fn a_fault_that_names_no_field_is_found() {
        explained("stockade.v1.ReserveRequest", &Rejection::Unbuilt(vec!["lines[0].colour".to_owned()]));
    }

    #[test]
    #[should_panic(expected = "asks for something else")]
    fn a_conversion_that_is_not_stable_is_found() {
        let calls = std::cell::Cell::new(0);
        let convert = |_: &pb::GetHoldRequest| {
            calls.set(calls.get() + 1);
            Ok(calls.get())
        };
        drop(stable("stockade.v1.GetHoldRequest", &[], convert));
    }
}
