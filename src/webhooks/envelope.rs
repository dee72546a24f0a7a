//! Bodies of deliveries: events in the JSON format of `CloudEvents` 1.0.
//!
//! The `data` of each is the contract's `Event` in protobuf's canonical JSON.

use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use serde::Serialize;
use stockade_proto as pb;

use crate::contract::contract;

/// The content type of a body with one event.
pub const ONE: &str = "application/cloudevents+json";
/// The content type of a body with a list of events.
pub const BATCH: &str = "application/cloudevents-batch+json";

/// An event could not be written: the build is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the contract's events can't be written as JSON")]
pub struct BrokenEvents;

/// Writes events of one journal.
#[derive(Debug, Clone)]
pub struct Envelopes {
    journal: String,
    event: MessageDescriptor,
}

/// An event as `CloudEvents` 1.0 has it.
#[derive(Serialize)]
struct CloudEvent {
    specversion: &'static str,
    id: String,
    source: String,
    r#type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    subject: String,
    datacontenttype: &'static str,
    sequence: String,
    data: DynamicMessage,
}

impl Envelopes {
    /// For events of this journal.
    ///
    /// # Errors
    /// [`BrokenEvents`].
    pub fn new(journal: String) -> Result<Self, BrokenEvents> {
        let pool = contract().map_err(|_bad| BrokenEvents)?;
        let event = pool.get_message_by_name("stockade.v1.Event").ok_or(BrokenEvents)?;
        Ok(Self { journal, event })
    }

    /// The body for one event.
    ///
    /// # Errors
    /// [`BrokenEvents`].
    pub fn one(&self, event: &pb::Event) -> Result<Vec<u8>, BrokenEvents> {
        serde_json::to_vec(&self.envelope(event)?).map_err(|_bad| BrokenEvents)
    }

    /// The body for several events, as a list in their order.
    ///
    /// # Errors
    /// [`BrokenEvents`].
    pub fn batch(&self, events: &[pb::Event]) -> Result<Vec<u8>, BrokenEvents> {
        let all: Vec<CloudEvent> = events.iter().map(|event| self.envelope(event)).collect::<Result<_, _>>()?;
        serde_json::to_vec(&all).map_err(|_bad| BrokenEvents)
    }

    fn envelope(&self, event: &pb::Event) -> Result<CloudEvent, BrokenEvents> {
        let data = DynamicMessage::decode(self.event.clone(), &*event.encode_to_vec()).map_err(|_bad| BrokenEvents)?;
        Ok(CloudEvent {
            specversion: "1.0",
            id: event.id.clone(),
            source: format!("stockade://{}/{}", self.journal, event.shop),
            r#type: event.r#type.clone(),
            time: event.time.as_ref().and_then(rfc_3339),
            subject: event.drop_id.clone(),
            datacontenttype: "application/json",
            sequence: format!("{:020}", event.lsn),
            data,
        })
    }
}

fn rfc_3339(at: &prost_types::Timestamp) -> Option<String> {
    let instant = jiff::Timestamp::new(at.seconds, at.nanos).ok()?;
    Some(format!("{instant:.3}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event() -> pb::Event {
        pb::Event {
            id: "j1-42-created".into(),
            cursor: "c".into(),
            time: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 500_000_000 }),
            r#type: "stockade.hold.created".into(),
            shop: "knives".into(),
            drop_id: "friday".into(),
            hold: Some(pb::Hold { id: "h".into(), state: pb::HoldState::Held.into(), ..pb::Hold::default() }),
            lsn: 42,
            ..pb::Event::default()
        }
    }

    fn envelopes() -> Envelopes {
        Envelopes::new("j1".into()).expect("the contract")
    }

    #[test]
    fn an_event_is_written_as_the_contract_says() {
        let body: Value = serde_json::from_slice(&envelopes().one(&event()).expect("a body")).expect("json");
        let wanted = json!({
            "specversion": "1.0",
            "id": "j1-42-created",
            "source": "stockade://j1/knives",
            "type": "stockade.hold.created",
            "time": "2023-11-14T22:13:20.500Z",
            "subject": "friday",
            "datacontenttype": "application/json",
            "sequence": "00000000000000000042",
            "data": {
                "id": "j1-42-created",
                "cursor": "c",
                "time": "2023-11-14T22:13:20.500Z",
                "type": "stockade.hold.created",
                "shop": "knives",
                "dropId": "friday",
                "hold": {"id": "h", "state": "HOLD_STATE_HELD"},
                "lsn": "42",
            },
        });
        assert_eq!(body, wanted);
    }

    #[test]
    fn what_has_no_drop_has_no_subject_and_a_batch_is_a_list() {
        let restarted = pb::Event { drop_id: String::new(), shop: String::new(), time: None, ..event() };
        let body = envelopes().batch(&[event(), restarted]).expect("a body");
        let body: Value = serde_json::from_slice(&body).expect("json");
        let list = body.as_array().expect("a list");
        assert_eq!(list.len(), 2);
        assert_eq!(list[1]["source"], "stockade://j1/");
        assert!(list[1].get("subject").is_none() && list[1].get("time").is_none());
    }
}
