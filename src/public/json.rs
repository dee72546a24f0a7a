//! A drop's status as JSON: the canonical mapping of protobuf.

use std::sync::OnceLock;

use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use stockade_proto as pb;
use stockade_types::time::Millis;

use crate::contract::contract;

/// The message's name in the contract.
const NAME: &str = "stockade.v1.DropStatus";

fn descriptor() -> Option<&'static MessageDescriptor> {
    static DESCRIPTOR: OnceLock<Option<MessageDescriptor>> = OnceLock::new();
    DESCRIPTOR.get_or_init(|| contract().ok()?.get_message_by_name(NAME)).as_ref()
}

/// A status as JSON. A test shows that each can be written.
pub(super) fn status(message: &pb::DropStatus) -> String {
    let written = || {
        let message = DynamicMessage::decode(descriptor()?.clone(), &*message.encode_to_vec()).ok()?;
        serde_json::to_string(&message).ok()
    };
    written().unwrap_or_else(|| "{}".to_owned())
}

/// A duration as JSON has it: `1.5s`.
pub(super) fn seconds(span: &prost_types::Duration) -> String {
    let millis = Millis::from(std::time::Duration::try_from(*span).unwrap_or_default()).0;
    let (whole, rest) = (millis / 1000, millis.checked_rem(1000).unwrap_or_default());
    if rest == 0 { format!("{whole}s") } else { format!("{whole}.{rest:03}").trim_end_matches('0').to_owned() + "s" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_canonical_json() {
        let item = pb::ItemStatus { sku: "K \"1\" <b>".into(), band: "available".into(), ..pb::ItemStatus::default() };
        let message = pb::DropStatus {
            drop_id: "knife".into(),
            state: pb::DropState::Open.into(),
            opens_at: Some(prost_types::Timestamp { seconds: 1, nanos: 500_000_000 }),
            items: vec![item],
            ..pb::DropStatus::default()
        };
        let wanted = serde_json::json!({
            "dropId": "knife", "state": "DROP_STATE_OPEN", "opensAt": "1970-01-01T00:00:01.500Z",
            "items": [{"sku": "K \"1\" <b>", "band": "available"}],
        });
        assert_eq!(serde_json::from_str::<serde_json::Value>(&status(&message)).expect("JSON"), wanted);
    }

    #[test]
    fn durations_are_short() {
        let of = |seconds, nanos| super::seconds(&prost_types::Duration { seconds, nanos });
        assert_eq!([of(1, 500_000_000), of(60, 0), of(0, 25_000_000)], ["1.5s", "60s", "0.025s"]);
    }
}
