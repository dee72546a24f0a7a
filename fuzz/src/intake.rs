//! The check of requests before they are decoded. A request that it accepts takes no more memory than it computes. A
//! request that it refuses is not protobuf, or has too many entries of a field.

use std::sync::OnceLock;

use arbitrary::Unstructured;
use prost::Message;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use stockade::grpc::intake::{ENTRIES_MAX, LENIENCE, Oversized, Shapes, decoded_size};
use stockade_proto as pb;

use crate::fields::message;
use crate::structured::{DEEPEST, build};

/// Decodes a request. Returns the memory of the result, and the peak while decoding, if it can be decoded.
type Decode = fn(&[u8]) -> Option<(usize, usize)>;

/// Every served request; the first byte of an input chooses one.
const REQUESTS: [(&str, Decode); 40] = [
    ("stockade.v1.ReserveRequest", decode::<pb::ReserveRequest>),
    ("stockade.v1.ExtendRequest", decode::<pb::ExtendRequest>),
    ("stockade.v1.ClaimRequest", decode::<pb::ClaimRequest>),
    ("stockade.v1.ReleaseRequest", decode::<pb::ReleaseRequest>),
    ("stockade.v1.ReturnUnitsRequest", decode::<pb::ReturnUnitsRequest>),
    ("stockade.v1.GetHoldRequest", decode::<pb::GetHoldRequest>),
    ("stockade.v1.ListHoldsRequest", decode::<pb::ListHoldsRequest>),
    ("stockade.v1.ExplainRequest", decode::<pb::ExplainRequest>),
    ("stockade.v1.ListDropsRequest", decode::<pb::ListDropsRequest>),
    ("stockade.v1.AdjustStockRequest", decode::<pb::AdjustStockRequest>),
    ("stockade.v1.FireFlowRequest", decode::<pb::FireFlowRequest>),
    ("stockade.v1.CreateDropRequest", decode::<pb::CreateDropRequest>),
    ("stockade.v1.UpdateDropRequest", decode::<pb::UpdateDropRequest>),
    ("stockade.v1.BatchRequest", decode::<pb::BatchRequest>),
    ("stockade.v1.BatchStreamRequest", decode::<pb::BatchStreamRequest>),
    ("stockade.v1.GetDropRequest", decode::<pb::GetDropRequest>),
    ("stockade.v1.PauseDropRequest", decode::<pb::PauseDropRequest>),
    ("stockade.v1.ResumeDropRequest", decode::<pb::ResumeDropRequest>),
    ("stockade.v1.CloseDropRequest", decode::<pb::CloseDropRequest>),
    ("stockade.v1.WatchDropRequest", decode::<pb::WatchDropRequest>),
    ("stockade.v1.ReadEventsRequest", decode::<pb::ReadEventsRequest>),
    ("stockade.v1.ListEventsRequest", decode::<pb::ListEventsRequest>),
    ("stockade.v1.ReconcileStockRequest", decode::<pb::ReconcileStockRequest>),
    ("stockade.v1.CreateSeriesRequest", decode::<pb::CreateSeriesRequest>),
    ("stockade.v1.UpdateSeriesRequest", decode::<pb::UpdateSeriesRequest>),
    ("stockade.v1.GetSeriesRequest", decode::<pb::GetSeriesRequest>),
    ("stockade.v1.ListSeriesRequest", decode::<pb::ListSeriesRequest>),
    ("stockade.v1.PreviewSeriesRequest", decode::<pb::PreviewSeriesRequest>),
    ("stockade.v1.GetDropStatusRequest", decode::<pb::GetDropStatusRequest>),
    ("stockade.v1.WatchDropStatusRequest", decode::<pb::WatchDropStatusRequest>),
    ("stockade.v1.ListDropStatusesRequest", decode::<pb::ListDropStatusesRequest>),
    ("stockade.v1.CreateWebhookRequest", decode::<pb::CreateWebhookRequest>),
    ("stockade.v1.UpdateWebhookRequest", decode::<pb::UpdateWebhookRequest>),
    ("stockade.v1.GetWebhookRequest", decode::<pb::GetWebhookRequest>),
    ("stockade.v1.ListWebhooksRequest", decode::<pb::ListWebhooksRequest>),
    ("stockade.v1.DeleteWebhookRequest", decode::<pb::DeleteWebhookRequest>),
    ("stockade.v1.TestWebhookRequest", decode::<pb::TestWebhookRequest>),
    ("stockade.v1.RecordFactsRequest", decode::<pb::RecordFactsRequest>),
    ("stockade.v1.GetDropReportRequest", decode::<pb::GetDropReportRequest>),
    ("stockade.v1.ListDropReportsRequest", decode::<pb::ListDropReportsRequest>),
];
/// Added to the first byte: then the other bytes choose fields and values by the contract's descriptors.
const STRUCTURED: u8 = 0x80;

fn decode<M: Message + Default>(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut decoded = None;
    let taken = allocation_counter::measure(|| decoded = Some(M::decode(bytes)));
    decoded.expect("measuring runs it").ok()?;
    let with_itself = |bytes: usize| bytes.saturating_add(size_of::<M>());
    let kept = usize::try_from(taken.bytes_current).expect("what is decoded is kept");
    Some((with_itself(kept), with_itself(usize::try_from(taken.bytes_max).unwrap_or(usize::MAX))))
}

/// The shapes of all requests, made once, and the index of each.
fn shapes() -> &'static (Shapes, Vec<usize>) {
    static SHAPES: OnceLock<(Shapes, Vec<usize>)> = OnceLock::new();
    SHAPES.get_or_init(|| Shapes::of(REQUESTS.map(|(name, _)| name)).expect("the contract"))
}

pub(crate) fn run(input: &[u8]) {
    let Some((kind, rest)) = input.split_first() else { return };
    let request = usize::from(kind & !STRUCTURED) % REQUESTS.len();
    let (name, _) = REQUESTS.get(request).expect("a request");
    if kind & STRUCTURED == 0 {
        check(request, rest);
    } else if let Ok(built) = build(&mut Unstructured::new(rest), &message(name), DEEPEST) {
        check(request, &built.encode_to_vec());
    }
}

fn check(request: usize, bytes: &[u8]) {
    let (name, decode) = REQUESTS.get(request).expect("a request");
    let (shapes, places) = shapes();
    let mut sized = None;
    let place = *places.get(request).expect("of each request");
    let looked = allocation_counter::measure(|| sized = Some(decoded_size(shapes, place, bytes)));
    let taken = decode(bytes);
    match sized.expect("measuring runs it") {
        Ok(said) => {
            assert_eq!(looked.count_total, 0, "{name}: a look takes no memory");
            if let Some((taken, at_most)) = taken {
                assert!(taken <= said, "{name} takes {taken} bytes, and {said} were said");
                // A growing list exists twice for a moment, the old one half as large.
                assert!(at_most <= said + said / 2, "{name} took {at_most} bytes for a moment, and {said} were said");
            }
        }
        Err(refused) => {
            if taken.is_some() {
                deserved(&message(name), bytes, &refused);
            }
        }
    }
}

/// A request that can be decoded but was refused must have more entries of the named field than its bound.
fn deserved(request: &MessageDescriptor, bytes: &[u8], refused: &Oversized) {
    let name = request.full_name();
    let (path, most) = match refused {
        Oversized::TooMany { path, most } => (path, *most),
        Oversized::Twice { path } => (path, 1),
        Oversized::Malformed { path } => {
            // prost does not check the encoding of a map's entries.
            assert!(leads_to_a_map(request, path), "{name}: {path:?} is not malformed: it can be decoded");
            return;
        }
    };
    let (field, count) = occurrences(request, bytes, path).unwrap_or_else(|| panic!("{name} has no {path:?}"));
    let may = ENTRIES_MAX.iter().find(|(bounded, _)| *bounded == field.full_name());
    let may = may.map_or(1, |(_, entries)| entries.saturating_mul(LENIENCE));
    assert_eq!(most, may, "{path}: the bound is another one");
    assert!(count > usize::try_from(most).expect("small"), "{path}: {count} entries are not more than {most}");
}

fn leads_to_a_map(message: &MessageDescriptor, path: &str) -> bool {
    let (step, rest) = path.split_once('.').map_or((path, None), |(step, rest)| (step, Some(rest)));
    let name = step.split_once('[').map_or(step, |(name, _)| name);
    let field = message.get_field_by_name(name);
    match (rest, field.as_ref().map(FieldDescriptor::kind)) {
        (None, _) => field.is_some_and(|field| field.is_map()),
        (Some(rest), Some(Kind::Message(inner))) => leads_to_a_map(&inner, rest),
        (Some(_), _) => false,
    }
}

/// The field that a path leads to, such as `operations[3].reserve.lines`, and the number of its entries.
fn occurrences(message: &MessageDescriptor, bytes: &[u8], path: &str) -> Option<(FieldDescriptor, usize)> {
    let (step, rest) = path.split_once('.').map_or((path, None), |(step, rest)| (step, Some(rest)));
    let (field, place) = match step.split_once('[') {
        None => (step, 0),
        Some((field, place)) => (field, place.strip_suffix(']')?.parse().ok()?),
    };
    let field = message.get_field_by_name(field)?;
    let all = entries(bytes, field.number());
    match (rest, field.kind()) {
        (None, _) => Some((field, all.len())),
        (Some(rest), Kind::Message(inner)) => occurrences(&inner, all.get::<usize>(place)?, rest),
        (Some(_), _) => None,
    }
}

/// Each occurrence of a field, read with prost's own code: its bytes, if it is length-delimited.
fn entries(mut bytes: &[u8], number: u32) -> Vec<&[u8]> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let (tag, wire) = decode_key(&mut bytes).expect("decoded before");
        let entry = if wire == WireType::LengthDelimited {
            let length = usize::try_from(decode_varint(&mut bytes).expect("decoded before")).expect("short");
            let (entry, rest) = bytes.split_at(length);
            bytes = rest;
            entry
        } else {
            skip_field(wire, tag, &mut bytes, DecodeContext::default()).expect("decoded before");
            &[]
        };
        if tag == number {
            entries.push(entry);
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_that_is_served_is_looked_at() {
        let mut wanted: Vec<&str> = stockade::grpc::served().map(|(_, request)| request).collect();
        let mut there = REQUESTS.map(|(name, _)| name);
        wanted.sort_unstable();
        there.sort_unstable();
        assert_eq!(there.as_slice(), wanted);
    }

    #[test]
    fn occurrences_are_counted_where_a_path_leads() {
        let line = pb::Line { sku: "A".to_owned(), quantity: 1, pool: String::new() };
        let reserve = pb::ReserveRequest { lines: vec![line; 3], ..pb::ReserveRequest::default() };
        let operation = |operation| pb::Operation { operation };
        let reserve = operation(Some(pb::operation::Operation::Reserve(reserve)));
        let batch = pb::BatchRequest { operations: vec![operation(None), reserve], view: 0 }.encode_to_vec();
        let count = |path| occurrences(&message("stockade.v1.BatchRequest"), &batch, path).map(|(_, count)| count);
        assert_eq!(count("operations"), Some(2));
        assert_eq!(count("operations[1].reserve.lines"), Some(3));
        assert_eq!(count("operations[1].reserve.lines[2].sku"), Some(1));
        assert_eq!(count("operations[0].reserve.lines"), None);
        assert_eq!(count("operations[0].nothing"), None);
    }

    #[test]
    #[should_panic(expected = "are not more than 64")]
    fn a_refusal_without_a_reason_is_found() {
        let refused = Oversized::TooMany { path: "lines".to_owned(), most: 64 };
        deserved(&message("stockade.v1.ReserveRequest"), &[0x1a, 0].repeat(64), &refused);
    }
}
