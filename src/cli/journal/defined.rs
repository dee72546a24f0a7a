//! Changes of what operators define by an id, other than drops, as facts with named fields.

use serde_json::Value;
use stockade_types::record::{DefinedFact, DefinedImage, DefinedKind, DefinedVerb, LastUpdate};

use super::fact::by;
use super::fields::{Fact, hex, time};

/// A change of a definition, with the definition after it.
pub(super) fn defined(fact: &DefinedFact) -> Fact {
    let DefinedFact { verb, at, origin, image } = fact;
    let DefinedImage { kind, id, created_at, request, update, bytes } = image;
    let name = match (kind, verb) {
        (DefinedKind::Series, DefinedVerb::Create) => "series_created",
        (DefinedKind::Series, DefinedVerb::Update) => "series_updated",
        (DefinedKind::Series, DefinedVerb::Delete) => "series_deleted",
    };
    by(Fact::new(name).with("id", id.as_str()).with("at", time(*at)), origin)
        .with("created_at", time(*created_at))
        .with("request_digest", hex(request))
        .with("updated_from", update.map(|LastUpdate { base, .. }| base.0))
        .with("update_digest", update.map(|LastUpdate { request, .. }| hex(&request)))
        .with("definition", definition(*kind, bytes))
}

/// The definition by its kind. What is secret in one must not be shown.
fn definition(kind: DefinedKind, bytes: &[u8]) -> Value {
    match kind {
        DefinedKind::Series => hex(bytes).into(),
    }
}
