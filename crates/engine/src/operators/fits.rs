//! Whether a drop fits into one record, now and once all of its rules have fired.

use std::collections::BTreeMap;

use stockade_types::ids::Lsn;
use stockade_types::record::{
    Announced, DROP_IMAGE_BYTES_MAX, DropFact, DropImage, LastUpdate, MarkKind, RECORD_BYTES_MAX, Record, each_mark,
};
use stockade_types::time::Timestamp;

use crate::answer::{Fault, InvalidField};

/// Checks that the drop fits into one record, and that every fact about it will, whatever of it fires. Bounds on its
/// other parts ensure that mostly; goods and tiers named by many limits, and rules that are many in each part, can add up
/// to more.
pub(crate) fn fits(image: &DropImage) -> Result<(), Fault> {
    // With room for what an update adds, so that every drop that was made can be renamed.
    let announced = Some(Announced { changes: u32::MAX, at: Timestamp(u64::MAX) });
    let update = Some(LastUpdate { base: Lsn(u64::MAX), request: [0; 32], announced });
    let image = DropImage { update, ..image.clone() };
    let size = image.encoded_len();
    if size > DROP_IMAGE_BYTES_MAX {
        let field = if image.definition.has_rules() { "drop" } else { "drop.limits" };
        let description =
            format!("name too many goods and tiers: the drop takes {size} bytes, {DROP_IMAGE_BYTES_MAX} at most");
        return Err(Fault::Invalid(vec![InvalidField { field: field.to_owned(), description }]));
    }
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    each_mark(&image.definition, |kind, _| {
        let times = times.entry(field(kind)).or_default();
        *times = times.saturating_add(1);
    });
    let mut bytes = Vec::new();
    Record::DropFact(Box::new(DropFact::largest(image))).encode(&mut bytes);
    if bytes.len() <= RECORD_BYTES_MAX {
        return Ok(());
    }
    let too_many = |(field, times): (&str, usize)| InvalidField {
        field: field.to_owned(),
        description: format!(
            "can fire {times} times: with all that can fire the drop's record takes {} bytes, {RECORD_BYTES_MAX} at most",
            bytes.len()
        ),
    };
    let mut times: Vec<_> = times.into_iter().collect();
    times.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    Err(Fault::Invalid(times.into_iter().map(too_many).collect()))
}

/// The field of a drop that has what such a mark is of.
const fn field(kind: MarkKind) -> &'static str {
    match kind {
        MarkKind::WindowOpens(_) | MarkKind::WindowCloses(_) => "drop.windows",
        MarkKind::TermsStart(_) | MarkKind::TermsEnd(_) | MarkKind::PriceStep(..) => "drop.terms",
        MarkKind::Tranche(_) => "drop.tranches",
        MarkKind::Signal(_) | MarkKind::SignalMissed(_) => "drop.signals",
        MarkKind::Flow(_)
        | MarkKind::SlotStarts(_)
        | MarkKind::SoldOut(_)
        | MarkKind::BackInStock(_)
        | MarkKind::Band(..) => "drop.items",
        MarkKind::Opens | MarkKind::Closes => "drop",
    }
}
