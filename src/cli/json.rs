//! Answers as JSON: the canonical protobuf mapping, with the contract's field names.

use prost::Message;
use prost_reflect::{DynamicMessage, SerializeOptions};
use serde::Serializer;

use super::failure::Failure;
use crate::contract::contract;

/// A message of the contract, such as `GetDropResponse`, as indented JSON.
///
/// # Errors
/// If the contract has no such message, which is a bug.
pub(super) fn text(name: &str, message: &impl Message) -> Result<String, Failure> {
    let mut json = Vec::new();
    write(name, message, &mut serde_json::Serializer::pretty(&mut json))?;
    String::from_utf8(json).map_err(|_bad| Failure::Bug("JSON is not text"))
}

/// The same in one line, for streams of messages.
///
/// # Errors
/// As [`text`].
pub(super) fn line(name: &str, message: &impl Message) -> Result<String, Failure> {
    let mut json = Vec::new();
    write(name, message, &mut serde_json::Serializer::new(&mut json))?;
    String::from_utf8(json).map_err(|_bad| Failure::Bug("JSON is not text"))
}

fn write<S: Serializer>(name: &str, message: &impl Message, serializer: S) -> Result<(), Failure> {
    let pool = contract().map_err(|_bad| Failure::Bug("the descriptors do not parse"))?;
    let descriptor = pool.get_message_by_name(&format!("stockade.v1.{name}"));
    let descriptor = descriptor.ok_or(Failure::Bug("a message is not of the contract"))?;
    let bytes = message.encode_to_vec();
    let message =
        DynamicMessage::decode(descriptor, &*bytes).map_err(|_bad| Failure::Bug("a message does not parse"))?;
    let options = SerializeOptions::new().use_proto_field_name(true);
    let written = message.serialize_with_options(serializer, &options);
    written.map(|_done| ()).map_err(|_bad| Failure::Bug("a message can't be written"))
}

#[cfg(test)]
mod tests {
    use stockade_proto as pb;

    use super::*;

    #[test]
    fn json_is_canonical_with_the_contracts_names() {
        let hold = pb::Hold {
            id: "h".into(),
            drop_id: "d".into(),
            state: pb::HoldState::Held.into(),
            expires_at: Some(prost_types::Timestamp { seconds: 1, nanos: 500_000_000 }),
            revision: 7,
            ..pb::Hold::default()
        };
        let outcome = Some(pb::reserve_response::Outcome::Hold(hold));
        let answer = pb::ReserveResponse { outcome, ..pb::ReserveResponse::default() };
        let json: serde_json::Value =
            serde_json::from_str(&text("ReserveResponse", &answer).expect("json")).expect("json");
        let wanted = serde_json::json!({"hold": {
            "id": "h", "drop_id": "d", "state": "HOLD_STATE_HELD", "expires_at": "1970-01-01T00:00:01.500Z", "revision": "7",
        }});
        assert_eq!(json, wanted);
    }
}
