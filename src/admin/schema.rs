//! JSON schemas of the contract's messages in their canonical JSON, with the contract's comments as descriptions.

use std::collections::BTreeMap;

use prost_reflect::{EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

/// Where the schemas are in a document.
const COMPONENTS: &str = "#/components/schemas/";
/// The package of the contract, which names of schemas leave out.
const PACKAGE: &str = "stockade.v1.";

/// The schemas of messages and of all that they contain, by name.
#[derive(Debug, Default)]
pub(super) struct Schemas {
    found: BTreeMap<String, Value>,
}

impl Schemas {
    /// A reference to a message's schema, which is added if it is not there yet.
    pub(super) fn message(&mut self, message: &MessageDescriptor) -> Value {
        if let Some(schema) = well_known(message.full_name()) {
            return schema;
        }
        let name = short(message.full_name());
        if !self.found.contains_key(&name) {
            // Entered first: a message may contain itself.
            self.found.insert(name.clone(), Value::Null);
            let fields = message.fields().map(|field| (field.json_name().to_owned(), self.field(&field)));
            let properties: Map<String, Value> = fields.collect();
            let mut schema = json!({"type": "object", "properties": properties});
            describe(&mut schema, comment(&message.parent_file(), message.path()));
            self.found.insert(name.clone(), schema);
        }
        reference(&name)
    }

    /// The schemas, as the part of a document that has them.
    pub(super) fn into_components(self) -> Value {
        self.found.into_iter().collect::<Map<_, _>>().into()
    }

    fn field(&mut self, field: &FieldDescriptor) -> Value {
        let one = |schemas: &mut Self, field: &FieldDescriptor| schemas.kind(&field.kind());
        let mut schema = if field.is_map() {
            let kind = field.kind();
            let entry = kind.as_message().map(MessageDescriptor::map_entry_value_field);
            let value = entry.map_or(Value::Bool(true), |value| one(self, &value));
            json!({"type": "object", "additionalProperties": value})
        } else if field.is_list() {
            json!({"type": "array", "items": one(self, field)})
        } else {
            one(self, field)
        };
        describe(&mut schema, comment(&field.parent_message().parent_file(), field.path()));
        schema
    }

    fn kind(&mut self, kind: &Kind) -> Value {
        match kind {
            Kind::Double | Kind::Float => json!({"type": "number"}),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => json!({"type": "integer", "format": "int32"}),
            Kind::Uint32 | Kind::Fixed32 => json!({"type": "integer", "minimum": 0, "maximum": u32::MAX}),
            // As a number would lose digits in many readers.
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => json!({"type": "string", "pattern": "^-?[0-9]+$"}),
            Kind::Uint64 | Kind::Fixed64 => json!({"type": "string", "pattern": "^[0-9]+$"}),
            Kind::Bool => json!({"type": "boolean"}),
            Kind::String => json!({"type": "string"}),
            Kind::Bytes => json!({"type": "string", "contentEncoding": "base64"}),
            Kind::Message(message) => self.message(message),
            Kind::Enum(choice) => self.choice(choice),
        }
    }

    fn choice(&mut self, choice: &EnumDescriptor) -> Value {
        let name = short(choice.full_name());
        if !self.found.contains_key(&name) {
            let values: Vec<String> = choice.values().map(|value| value.name().to_owned()).collect();
            let mut schema = json!({"type": "string", "enum": values});
            describe(&mut schema, comment(&choice.parent_file(), choice.path()));
            self.found.insert(name.clone(), schema);
        }
        reference(&name)
    }
}

/// The schema of a type with a JSON form of its own.
fn well_known(name: &str) -> Option<Value> {
    match name {
        "google.protobuf.Timestamp" => Some(json!({"type": "string", "format": "date-time"})),
        "google.protobuf.Duration" => Some(json!({"type": "string", "pattern": "^-?[0-9]+(\\.[0-9]{1,9})?s$"})),
        "google.protobuf.FieldMask" => Some(json!({"type": "string"})),
        _ => None,
    }
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("{COMPONENTS}{name}")})
}

fn short(name: &str) -> String {
    name.strip_prefix(PACKAGE).unwrap_or(name).to_owned()
}

fn describe(schema: &mut Value, comment: Option<String>) {
    if let (Some(schema), Some(comment)) = (schema.as_object_mut(), comment) {
        schema.insert("description".to_owned(), comment.into());
    }
}

/// The comment of the contract at this place of a file: the one above it, else the one behind it.
pub(super) fn comment(file: &FileDescriptor, path: &[i32]) -> Option<String> {
    let places = file.file_descriptor_proto().source_code_info.as_ref()?;
    let place = places.location.iter().find(|place| place.path == path)?;
    let text = place.leading_comments.as_deref().or(place.trailing_comments.as_deref())?;
    let text = text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}
