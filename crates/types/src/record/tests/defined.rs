//! Changes of what operators define by an id.

use super::*;

/// A change with every part set.
fn fact(verb: DefinedVerb) -> DefinedFact {
    let update = (verb != DefinedVerb::Create).then_some(DefinedUpdate { base: Lsn(7), request: [4; 32] });
    let image = DefinedImage {
        kind: DefinedKind::Series,
        id: "weekly".parse().expect("an id"),
        created_at: Timestamp(5),
        request: [3; 32],
        update,
        bytes: [1, 2, 3].into(),
    };
    DefinedFact { verb, at: Timestamp(9), origin: origin(), image }
}

pub(super) fn samples() -> Vec<Record> {
    [DefinedVerb::Create, DefinedVerb::Update, DefinedVerb::Delete]
        .map(|verb| Record::Defined(Box::new(fact(verb))))
        .into()
}

#[test]
fn the_largest_definition_fits_a_record_and_a_larger_one_is_refused() {
    let of = |length| {
        let mut fact = fact(DefinedVerb::Update);
        fact.image.bytes = vec![1; length].into();
        bytes(&Record::Defined(Box::new(fact)))
    };
    let largest = of(DEFINED_BYTES_MAX);
    assert!(largest.len() <= RECORD_BYTES_MAX && Record::decode(&largest).is_ok());
    assert_eq!(Record::decode(&of(DEFINED_BYTES_MAX + 1)), Err(DecodeError::Bad("size of a definition")));
}

#[test]
fn the_verbs_and_kinds_of_definitions_are_those_that_the_first_build_could_read() {
    let created = Record::Defined(Box::new(fact(DefinedVerb::Create)));
    assert_eq!(read_at(&created, 1, "verb"), [1, 2, 3]);
    assert_eq!(read_at(&created, 2, "kind of a definition"), [1]);
}
