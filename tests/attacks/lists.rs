//! Long lists of holds: an answer of a MiB to a short request.

use prost::Message as _;
use stockade_drill::wire;
use stockade_proto as pb;

use super::polite::{Caller, reserve};
use super::server::Target;

/// A drop with holds of many lines.
const DROP: &str = "fat";
/// Lines of a hold with long SKUs, about 4 KiB, and the number of such holds: a page ends at a MiB.
const LINES: u16 = 32;
const HOLDS: usize = 500;
const TOGETHER: usize = 250;

fn sku(line: u16) -> String {
    format!("{line:0120}")
}

/// Makes the drop and its holds.
pub fn fill(target: &Target) {
    let skus: Vec<String> = (0..LINES).map(sku).collect();
    target.create(wire::drop(DROP, skus.iter().map(|sku| (sku.as_str(), 1_000_000)), None));
    let caller = Caller::to(target);
    for _ in 0..HOLDS / TOGETHER {
        caller.batch((0..TOGETHER).map(|_| long_reserve(LINES)).collect(), pb::HoldView::Brief).expect("holds");
    }
}

/// A reserve in that drop, of this many lines.
pub fn long_reserve(lines: u16) -> pb::Operation {
    let lines = (0..lines).map(|line| wire::line(&sku(line), 1)).collect();
    let reserve = pb::ReserveRequest { drop_id: DROP.into(), lines, ..reserve() };
    pb::Operation { operation: Some(pb::operation::Operation::Reserve(reserve)) }
}

/// The encoded request of a list.
pub fn list() -> Vec<u8> {
    pb::ListHoldsRequest { drop_id: DROP.into(), page_size: 1_000, ..pb::ListHoldsRequest::default() }.encode_to_vec()
}
