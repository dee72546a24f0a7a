//! The memory layout of messages, as far as their size goes. Made once, from the contract's own descriptors.

use std::collections::HashMap;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use super::limits::{ENTRIES_MAX, LENIENCE};
use crate::contract::contract;

/// Bytes of a text, of a list and of a map within a message, without what they point to.
const TEXT_BYTES: usize = 24;
const LIST_BYTES: usize = 24;
const MAP_BYTES: usize = 48;
/// Bytes of a number, and of the mark that a field is set.
const NUMBER_BYTES: usize = 8;
const PRESENCE_BYTES: usize = 8;
/// A growing list may have twice the capacity that it needs.
const GROWTH: usize = 2;
/// Most fields of a message that are counted: repeated fields and messages.
pub(super) const COUNTED_MAX: usize = 24;

/// The contract's descriptors can't be used: the build is broken.
#[derive(Debug, thiserror::Error)]
pub enum BrokenShape {
    /// They don't parse.
    #[error("the contract's descriptors do not parse")]
    Descriptors(#[from] prost_reflect::DescriptorError),
    /// A repeated field of a request has no bound in [`ENTRIES_MAX`].
    #[error("{0} has no bound")]
    Unbounded(String),
    /// A message has more counted fields than `COUNTED_MAX`.
    #[error("{0} has too many repeated fields")]
    TooMany(String),
    /// The contract has no such message.
    #[error("{0} is not in the contract")]
    Unknown(String),
}

/// A field, as it is encoded and in memory.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: Box<str>,
    /// Its place among the counted fields of its message, and its most occurrences; `None` if it is not counted.
    pub(super) counted: Option<(usize, u32)>,
    /// Bytes of each occurrence, besides those within the message.
    pub(super) each: usize,
    pub(super) what: What,
}

/// The type of a field.
#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    /// A number.
    Number,
    /// Text or bytes: its length counts too.
    Text,
    /// A message, by its place in [`Shapes`].
    Message(usize),
}

/// The shape of a message.
#[derive(Debug, Default)]
pub struct Shape {
    /// By field number; the numbers are small.
    pub(super) fields: Vec<Option<Field>>,
    /// Bytes of the message in memory, without what its lists and texts point to. Never too small.
    pub(super) size: usize,
}

/// The shapes of all messages that requests consist of.
#[derive(Debug)]
pub struct Shapes {
    messages: Vec<Shape>,
    places: HashMap<String, usize>,
}

impl Shapes {
    /// The shapes of these requests and of all messages within them, and the place of each request.
    ///
    /// # Errors
    /// If the contract's descriptors can't be used, or a list in a request has no bound.
    pub fn of(requests: impl IntoIterator<Item = &'static str>) -> Result<(Self, Vec<usize>), BrokenShape> {
        let pool = contract()?;
        let mut shapes = Self { messages: Vec::new(), places: HashMap::new() };
        let place = |request: &str| {
            let found = pool.get_message_by_name(request);
            shapes.add(&found.ok_or_else(|| BrokenShape::Unknown(request.to_owned()))?)
        };
        let places = requests.into_iter().map(place).collect::<Result<_, _>>()?;
        Ok((shapes, places))
    }

    pub(super) fn at(&self, place: usize) -> Option<&Shape> {
        self.messages.get(place)
    }

    /// Adds a message and the messages within it, and returns its place.
    fn add(&mut self, message: &MessageDescriptor) -> Result<usize, BrokenShape> {
        if let Some(place) = self.places.get(message.full_name()) {
            return Ok(*place);
        }
        let place = self.messages.len();
        self.places.insert(message.full_name().to_owned(), place);
        self.messages.push(Shape::default());
        let mut shape = Shape { fields: Vec::new(), size: PRESENCE_BYTES };
        let mut counted = 0;
        // Of the fields of a oneof the largest counts.
        let mut choices: HashMap<String, usize> = HashMap::new();
        for field in message.fields() {
            let choice = field.containing_oneof().map(|oneof| oneof.name().to_owned());
            let (field, number) = (self.field(&field, &mut counted)?, field.number());
            let place = usize::try_from(number).unwrap_or(usize::MAX);
            if shape.fields.len() <= place {
                shape.fields.resize_with(place.saturating_add(1), || None);
            }
            if let Some(slot) = shape.fields.get_mut(place) {
                *slot = Some(field.0);
            }
            match choice {
                Some(choice) => {
                    let largest = choices.entry(choice).or_default();
                    *largest = field.1.max(*largest);
                }
                None => shape.size = shape.size.saturating_add(field.1),
            }
        }
        shape.size = choices.into_values().fold(shape.size, usize::saturating_add);
        if counted > COUNTED_MAX {
            return Err(BrokenShape::TooMany(message.full_name().to_owned()));
        }
        if let Some(slot) = self.messages.get_mut(place) {
            *slot = shape;
        }
        Ok(place)
    }

    /// A field, and its bytes within its message.
    fn field(&mut self, field: &FieldDescriptor, counted: &mut usize) -> Result<(Field, usize), BrokenShape> {
        let (what, size) = match field.kind() {
            Kind::String | Kind::Bytes => (What::Text, TEXT_BYTES),
            Kind::Message(message) => {
                let place = self.add(&message)?;
                (What::Message(place), self.at(place).map_or(0, |shape| shape.size))
            }
            Kind::Double
            | Kind::Float
            | Kind::Int32
            | Kind::Int64
            | Kind::Uint32
            | Kind::Uint64
            | Kind::Sint32
            | Kind::Sint64
            | Kind::Fixed32
            | Kind::Fixed64
            | Kind::Sfixed32
            | Kind::Sfixed64
            | Kind::Bool
            | Kind::Enum(_) => (What::Number, NUMBER_BYTES),
        };
        let repeated = field.is_list() || field.is_map();
        let most = match (repeated, what) {
            (true, _) => {
                let bound = ENTRIES_MAX.iter().find(|(name, _)| *name == field.full_name());
                let (_, most) = bound.ok_or_else(|| BrokenShape::Unbounded(field.full_name().to_owned()))?;
                Some(most.saturating_mul(LENIENCE))
            }
            // Set again, it would be merged with its first occurrence, and its lists could exceed their bounds.
            (false, What::Message(_)) => Some(1),
            (false, What::Number | What::Text) => None,
        };
        let name = field.name().into();
        let place = *counted;
        *counted = place.saturating_add(usize::from(most.is_some()));
        let counted = most.map(|most| (place, most));
        let (each, own) = match (field.is_map(), repeated) {
            (true, _) => (size.saturating_add(PRESENCE_BYTES).saturating_mul(GROWTH), MAP_BYTES),
            (false, true) => (size.saturating_mul(GROWTH), LIST_BYTES),
            (false, false) => (0, size.saturating_add(PRESENCE_BYTES)),
        };
        Ok((Field { name, counted, each, what }, own))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use stockade_proto as pb;

    use super::*;
    use crate::grpc::served;

    #[test]
    fn messages_are_no_larger_in_memory_than_is_thought() {
        let requests = ["stockade.v1.BatchRequest", "stockade.v1.CreateDropRequest"];
        let (shapes, _) = Shapes::of(requests).expect("the contract");
        let thought = |name: &str| shapes.at(shapes.places[name]).expect(name).size;
        let hold = |name: &str, size: usize| {
            assert!(thought(name) >= size, "{name}: {} < {size}", thought(name));
            assert!(thought(name) <= 4 * size, "{name}: {} is far from {size}", thought(name));
        };
        hold("stockade.v1.Operation", size_of::<pb::Operation>());
        hold("stockade.v1.ReserveRequest", size_of::<pb::ReserveRequest>());
        hold("stockade.v1.Line", size_of::<pb::Line>());
        hold("stockade.v1.Customer", size_of::<pb::Customer>());
        hold("stockade.v1.Identity", size_of::<pb::Identity>());
        hold("stockade.v1.Drop", size_of::<pb::Drop>());
        hold("stockade.v1.Item", size_of::<pb::Item>());
        hold("stockade.v1.Limit", size_of::<pb::Limit>());
        hold("stockade.v1.Window", size_of::<pb::Window>());
        hold("stockade.v1.Pool", size_of::<pb::Pool>());
        hold("stockade.v1.Terms", size_of::<pb::Terms>());
        hold("stockade.v1.Slot", size_of::<pb::Slot>());
        hold("stockade.v1.Trigger", size_of::<pb::Trigger>());
        hold("stockade.v1.Flow", size_of::<pb::Flow>());
        hold("stockade.v1.Tranche", size_of::<pb::Tranche>());
        hold("stockade.v1.Signal", size_of::<pb::Signal>());
        hold("stockade.v1.Scarcity", size_of::<pb::Scarcity>());
        hold("stockade.v1.ConductRule", size_of::<pb::ConductRule>());
        hold("stockade.v1.Tightening", size_of::<pb::Tightening>());
        hold("stockade.v1.WaitingRoom", size_of::<pb::WaitingRoom>());
        hold("stockade.v1.Waitlist", size_of::<pb::Waitlist>());
    }

    /// Each list and map of this message and of the messages within it, by full name.
    fn lists(message: &MessageDescriptor, seen: &mut BTreeSet<String>, found: &mut BTreeSet<String>) {
        if !seen.insert(message.full_name().to_owned()) {
            return;
        }
        for field in message.fields() {
            if field.is_list() || field.is_map() {
                found.insert(field.full_name().to_owned());
            }
            if let Kind::Message(inner) = field.kind() {
                lists(&inner, seen, found);
            }
        }
    }

    #[test]
    fn each_list_of_a_served_request_has_a_bound_and_each_bound_is_of_one() {
        let contract = contract().expect("the contract");
        let (mut seen, mut found) = (BTreeSet::new(), BTreeSet::new());
        for (_, request) in served() {
            lists(&contract.get_message_by_name(request).expect("a request"), &mut seen, &mut found);
        }
        let bounded: BTreeSet<String> = ENTRIES_MAX.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(bounded, found, "bounds on the left, lists of requests on the right");
        assert_eq!(bounded.len(), ENTRIES_MAX.len(), "each has one bound");
    }

    #[test]
    fn a_list_without_a_bound_is_a_fault_of_the_build() {
        let broken = Shapes::of(["stockade.v1.ListDropsResponse"]).expect_err("an answer's list has none");
        assert_eq!(broken.to_string(), "stockade.v1.ListDropsResponse.drops has no bound");
    }
}
