//! Whether an error names a field of the contract. Callers show the error next to that field of a form, so it must
//! exist.

use std::sync::OnceLock;

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};
use stockade_proto::DESCRIPTORS;

/// The contract.
pub(crate) fn contract() -> &'static DescriptorPool {
    static CONTRACT: OnceLock<DescriptorPool> = OnceLock::new();
    CONTRACT.get_or_init(|| DescriptorPool::decode(DESCRIPTORS).expect("the contract's descriptors"))
}

/// A message of the contract.
pub(crate) fn message(name: &str) -> MessageDescriptor {
    contract().get_message_by_name(name).unwrap_or_else(|| panic!("the contract has no {name}"))
}

/// Whether `path` leads from `message` to a field (or to a `oneof`), as in `drop.limits[0].max_units_by_tier[gold]`.
pub(crate) fn names_a_field(message: &MessageDescriptor, path: &str) -> bool {
    let end = path.find(['.', '[']).unwrap_or(path.len());
    let (name, rest) = path.split_at(end);
    let Some(field) = message.get_field_by_name(name) else {
        return rest.is_empty() && message.oneofs().any(|oneof| oneof.name() == name);
    };
    let rest = match rest.strip_prefix('[') {
        None => rest,
        // A map's key may be any text and ends the path, since values of maps have no fields here.
        Some(key) if field.is_map() => return key.ends_with(']'),
        Some(index) => {
            let Some((index, rest)) = index.split_once(']') else { return false };
            if !field.is_list() || index.parse::<usize>().is_err() {
                return false;
            }
            rest
        }
    };
    match (rest.strip_prefix('.'), inner(&field)) {
        (None, _) => rest.is_empty(),
        (Some(rest), Some(inner)) => names_a_field(&inner, rest),
        (Some(_), None) => false,
    }
}

fn inner(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    let kind = field.kind();
    if let Kind::Message(message) = kind { Some(message) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_followed_to_its_end() {
        let drop = message("stockade.v1.CreateDropRequest");
        for good in ["drop", "drop.items[3].sku", "drop.labels[a.b]", "drop.limits[0].max_units_by_tier[gold]"] {
            assert!(names_a_field(&drop, good), "{good}");
        }
        for bad in ["", "sku", "drop.items[x].sku", "drop.items[0].skus", "drop.id[0]", "drop.", "drop.id.x"] {
            assert!(!names_a_field(&drop, bad), "{bad}");
        }
        assert!(names_a_field(&message("stockade.v1.AdjustStockRequest"), "change"), "a oneof");
    }
}
