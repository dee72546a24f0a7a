//! Well-formed requests: bytes choose which fields are set and their values, so that most requests pass the first
//! check. It follows the contract's descriptors, so new fields are included.

use arbitrary::{Result, Unstructured};
use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};

use crate::fields::message;
use crate::requests::{check, kinds};

/// The maximum nesting of messages: that of a batch of reserves and of a drop's items with their slots.
pub(crate) const DEEPEST: usize = 5;
/// Texts with a meaning in some field.
const TEXTS: [&str; 16] = [
    "",
    "0190b5f0-8a5e-7c3e-9d3a-0123456789ab",
    "0190b5f0-8a5e-7c3e-9d3a-0123456789ac",
    "knife-1204",
    "KNIFE/20cm",
    "FORK",
    "general",
    "default",
    "card",
    "gold",
    "customer-1",
    "order/1",
    "opens_at",
    "items",
    "2:1.0190b5f0-8a5e-7c3e-9d3a-0123456789ab",
    "1a2.knife-1204",
];
/// Numbers at which behaviour changes.
const NUMBERS: [i64; 14] =
    [0, 1, 2, 3, 60, 300, 86_400, 604_800, 999_999_999, 1_000_000, 1_000_000_000_000, 253_402_300_799, -1, i64::MAX];

pub(crate) fn run(input: &[u8]) {
    let Some((kind, rest)) = input.split_first() else { return };
    let kinds = kinds();
    let (name, _) = kinds.get(usize::from(*kind) % kinds.len()).expect("a kind");
    if let Ok(request) = build(&mut Unstructured::new(rest), &message(name), DEEPEST) {
        check(*kind, &request.encode_to_vec());
    }
}

/// A message whose fields and values the bytes choose.
pub(crate) fn build(
    bytes: &mut Unstructured<'_>,
    descriptor: &MessageDescriptor,
    deep: usize,
) -> Result<DynamicMessage> {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        // Three of four fields are set; once the bytes are used up, none.
        if deep == 0 || !bytes.ratio(3_u8, 4_u8)? || bytes.is_empty() {
            continue;
        }
        let value = if field.is_map() {
            let mut entries = std::collections::HashMap::new();
            for _ in 0..bytes.int_in_range(0..=2)? {
                let value = map_value(bytes, &field, deep)?;
                entries.insert(MapKey::String(text(bytes)?), value);
            }
            Value::Map(entries)
        } else if field.is_list() {
            let count = bytes.int_in_range(0..=3)?;
            Value::List((0..count).map(|_| single(bytes, &field.kind(), deep)).collect::<Result<_>>()?)
        } else {
            single(bytes, &field.kind(), deep)?
        };
        message.set_field(&field, value);
    }
    Ok(message)
}

fn map_value(bytes: &mut Unstructured<'_>, field: &FieldDescriptor, deep: usize) -> Result<Value> {
    let Kind::Message(entry) = field.kind() else { return Err(arbitrary::Error::IncorrectFormat) };
    let value = entry.get_field_by_name("value").ok_or(arbitrary::Error::IncorrectFormat)?;
    single(bytes, &value.kind(), deep)
}

fn single(bytes: &mut Unstructured<'_>, kind: &Kind, deep: usize) -> Result<Value> {
    let wide = number(bytes)?;
    let small = |wide: i64| i32::try_from(wide).unwrap_or(i32::MAX);
    let natural = |wide: i64| u32::try_from(wide).unwrap_or(u32::MAX);
    Ok(match kind {
        Kind::Message(inner) => Value::Message(build(bytes, inner, deep.saturating_sub(1))?),
        Kind::Enum(known) => {
            let values: Vec<i32> = known.values().map(|value| value.number()).collect();
            let strange = bytes.ratio(1_u8, 16_u8)?;
            Value::EnumNumber(if strange { small(wide) } else { *bytes.choose(&values)? })
        }
        Kind::String => Value::String(text(bytes)?),
        Kind::Bytes => Value::Bytes(text(bytes)?.into_bytes().into()),
        Kind::Bool => Value::Bool(bytes.arbitrary()?),
        Kind::Double => Value::F64(f64::from(small(wide))),
        Kind::Float => Value::F32(0.5),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(small(wide)),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(wide),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(natural(wide)),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(wide.unsigned_abs()),
    })
}

fn number(bytes: &mut Unstructured<'_>) -> Result<i64> {
    if bytes.ratio(1_u8, 8_u8)? { bytes.arbitrary() } else { Ok(*bytes.choose(&NUMBERS)?) }
}

fn text(bytes: &mut Unstructured<'_>) -> Result<String> {
    if bytes.ratio(1_u8, 8_u8)? { bytes.arbitrary() } else { Ok((*bytes.choose(&TEXTS)?).to_owned()) }
}
