//! What `stockade drop apply` says of a drop that is there already: what has changed, and how stock is changed instead.

use crate::proto as pb;

/// How stock is changed where the file says another quantity than the drop began with. What has been received in all
/// by now may stand in the file as well: then there is nothing to change.
pub fn stock_advice(before: &pb::Drop, file: &mut pb::Drop) -> Option<String> {
    let mut lines = Vec::new();
    for item in &mut file.items {
        let Some(known) = before.items.iter().find(|known| known.sku == item.sku) else { continue };
        let received = known.stock.map_or(known.quantity, |stock| stock.received);
        if item.quantity == received {
            item.quantity = known.quantity;
        } else if item.quantity != known.quantity {
            let (drop, sku, units) = (&before.id, &item.sku, item.quantity);
            lines.push(format!("stockade drop adjust {drop} --sku {sku:?} --set {units} --expected {received}"));
        }
    }
    (!lines.is_empty()).then(|| format!("to change stock instead:\n    {}", lines.join("\n    ")))
}

/// What has become of a drop, or would.
pub fn outcome(before: &pb::Drop, after: &pb::Drop, dry_run: bool) -> String {
    let changed = changed(before, after).join(", ");
    let (id, was, is) = (&before.id, before.revision, after.revision);
    match (dry_run, changed.is_empty()) {
        (false, true) => format!("drop {id} unchanged, revision {is}"),
        (false, false) => format!("drop {id} changed: {changed}; revision {was} became {is}"),
        (true, true) => format!("drop {id} would stay unchanged, revision {was}"),
        (true, false) => format!("drop {id} would be changed: {changed}; revision is {was}"),
    }
}

/// The fields of a definition in which two drops differ.
fn changed(before: &pb::Drop, after: &pb::Drop) -> Vec<&'static str> {
    let fields = [
        ("title", before.title != after.title),
        ("labels", before.labels != after.labels),
        ("opens_at", before.opens_at != after.opens_at),
        ("closes_at", before.closes_at != after.closes_at),
        ("hold_ttl", before.hold_ttl != after.hold_ttl),
        ("max_hold_life", before.max_hold_life != after.max_hold_life),
        ("payment_ttl", before.payment_ttl != after.payment_ttl),
        ("items", before.items.len() != after.items.len()),
        ("limits", before.limits != after.limits),
    ];
    fields.into_iter().filter(|(_, differs)| *differs).map(|(field, _)| field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drop(quantity: u64, received: u64) -> pb::Drop {
        let stock = Some(pb::Stock { received, ..pb::Stock::default() });
        let items = vec![pb::Item { sku: "K".into(), quantity, stock, ..pb::Item::default() }];
        pb::Drop { id: "knife".into(), items, revision: 7, ..pb::Drop::default() }
    }

    #[test]
    fn a_file_may_say_what_there_was_first_or_what_there_is_by_now() {
        for says in [300, 350] {
            let mut file = drop(says, 0);
            assert_eq!(stock_advice(&drop(300, 350), &mut file), None);
            assert_eq!(file.items[0].quantity, 300);
        }
        let mut file = drop(400, 0);
        let advice = stock_advice(&drop(300, 350), &mut file).expect("advice");
        assert!(advice.contains("stockade drop adjust knife --sku \"K\" --set 400 --expected 350"), "{advice}");
        assert_eq!(file.items[0].quantity, 400, "the server says no");
    }

    #[test]
    fn what_has_changed_is_told_by_name() {
        let before = drop(1, 1);
        assert_eq!(outcome(&before, &before, false), "drop knife unchanged, revision 7");
        assert_eq!(outcome(&before, &before, true), "drop knife would stay unchanged, revision 7");
        let after = pb::Drop { title: "t".into(), revision: 9, ..before.clone() };
        assert_eq!(outcome(&before, &after, false), "drop knife changed: title; revision 7 became 9");
        assert_eq!(outcome(&before, &after, true), "drop knife would be changed: title; revision is 7");
    }
}
