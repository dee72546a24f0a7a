//! Page tokens: a list accepts every token that it returns, and every accepted token means one place.

use stockade::grpc::convert::{drop_token, hold_token, list_drops, list_holds};
use stockade_engine::verbs::list::{DropPlace, HoldPlace};
use stockade_proto as pb;
use stockade_types::ids::{DropId, HoldId, Lsn};
use stockade_types::time::Timestamp;

use crate::requests::explained;

/// The maximum length of a drop id.
const ID_LENGTH_MAX: usize = 64;

pub(crate) fn run(input: &[u8]) {
    given_back(input);
    if let Ok(text) = std::str::from_utf8(input) {
        taken(text);
    }
}

fn place_of_holds(token: &str) -> Option<HoldPlace> {
    let request =
        pb::ListHoldsRequest { customer_id: "c".to_owned(), page_token: token.to_owned(), ..Default::default() };
    match list_holds(&request) {
        Ok((_, place, _)) => place,
        Err(rejection) => {
            explained("stockade.v1.ListHoldsRequest", &rejection);
            None
        }
    }
}

fn place_of_drops(token: &str) -> Option<DropPlace> {
    match list_drops(&pb::ListDropsRequest { page_token: token.to_owned(), ..Default::default() }) {
        Ok((_, place, _)) => place,
        Err(rejection) => {
            explained("stockade.v1.ListDropsRequest", &rejection);
            None
        }
    }
}

/// The token of any place must be accepted.
fn given_back(input: &[u8]) {
    let Some((shard, rest)) = input.split_first_chunk() else { return };
    let Some((after, rest)) = rest.split_first_chunk() else { return };
    let place = Some(HoldPlace { shard: u32::from_le_bytes(*shard), after: HoldId::from_bytes(*after) });
    assert_eq!(place_of_holds(&hold_token(place)), place, "a token that was given out is not taken back");
    let Some((as_of, rest)) = rest.split_first_chunk() else { return };
    let Some((opens_at, rest)) = rest.split_first_chunk() else { return };
    let name: String = rest.iter().take(ID_LENGTH_MAX).map(|byte| char::from(b'A' + byte % 26)).collect();
    let Ok(after) = DropId::try_from(name.as_str()) else { return };
    let (as_of, opens_at) = (Lsn(u64::from_le_bytes(*as_of)), Timestamp(u64::from_le_bytes(*opens_at)));
    let place = Some(DropPlace { as_of, opens_at, after });
    assert_eq!(place_of_drops(&drop_token(place.clone())), place, "a token that was given out is not taken back");
}

/// A place that is read from any text must equal the place of its own token.
fn taken(text: &str) {
    let holds = place_of_holds(text);
    assert_eq!(place_of_holds(&hold_token(holds)), holds);
    let drops = place_of_drops(text);
    assert_eq!(place_of_drops(&drop_token(drops.clone())), drops);
}
