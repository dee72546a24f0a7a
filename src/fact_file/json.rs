//! Facts as JSON: the canonical protobuf mapping, by the contract's descriptors.

use prost_reflect::{DeserializeOptions, DynamicMessage, MessageDescriptor};
use serde_json::{Map, Value};
use stockade_proto as pb;

use super::{BadField, BadFile, Read};
use crate::contract::contract;

/// The contract's descriptors have no facts, which is a bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the contract has no facts")]
pub(crate) struct BrokenDescriptors;

/// Reads facts from JSON.
#[derive(Debug, Clone)]
pub(crate) struct JsonFacts(MessageDescriptor);

impl JsonFacts {
    /// By the contract.
    ///
    /// # Errors
    /// If the contract's descriptors can't be used.
    pub(crate) fn new() -> Result<Self, BrokenDescriptors> {
        let fact = contract().ok().and_then(|contract| contract.get_message_by_name("stockade.v1.Fact"));
        fact.map(Self).ok_or(BrokenDescriptors)
    }

    /// All facts of a document `{"facts": […]}`, each made when it is asked for.
    ///
    /// # Errors
    /// If it is none.
    pub(crate) fn document(self, bytes: &[u8]) -> Result<impl Iterator<Item = Read> + use<>, BadFile> {
        let form =
            |what: String| BadFile::Form(format!("the document is not JSON of the form {{\"facts\": […]}}: {what}"));
        let value: Value = serde_json::from_slice(bytes).map_err(|error| form(error.to_string()))?;
        let Value::Object(mut fields) = value else { return Err(form("it is no object".to_owned())) };
        let facts = fields.remove("facts");
        if let Some(other) = fields.keys().next() {
            return Err(form(format!("unknown field {other:?}")));
        }
        let Some(Value::Array(facts)) = facts else { return Err(form("facts must be a list".to_owned())) };
        Ok(facts.into_iter().map(move |fact| Read { line: None, fact: self.fact(fact) }))
    }

    /// One fact.
    ///
    /// # Errors
    /// All its faulty fields.
    pub(crate) fn fact(&self, value: Value) -> Result<pb::Fact, Vec<BadField>> {
        let Value::Object(fields) = value else { return Err(vec![BadField::new("", "a fact must be a JSON object")]) };
        self.whole(&fields).map_err(|error| self.faulty_fields(fields, &error))
    }

    fn whole(&self, fields: &Map<String, Value>) -> Result<pb::Fact, String> {
        let options = DeserializeOptions::new().deny_unknown_fields(true);
        let message = DynamicMessage::deserialize_with_options(self.0.clone(), fields.clone(), &options);
        message.map_err(|error| error.to_string())?.transcode_to().map_err(|error| error.to_string())
    }

    /// Each field that can't be read by itself; if each can, what is wrong with them together.
    fn faulty_fields(&self, fields: Map<String, Value>, whole: &str) -> Vec<BadField> {
        let one = |(name, value): (String, Value)| {
            let known = self.0.fields().find(|field| field.name() == name || field.json_name() == name);
            let field = known.map_or_else(|| name.clone(), |field| field.name().to_owned());
            let fault = self.whole(&Map::from_iter([(name, value)])).err()?;
            Some(BadField::new(field, fault))
        };
        let faults: Vec<BadField> = fields.into_iter().filter_map(one).collect();
        if faults.is_empty() { vec![BadField::new("", whole)] } else { faults }
    }
}
