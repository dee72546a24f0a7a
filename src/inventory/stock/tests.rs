use super::stock::*;

fn took(counter: &StockCounter, units: u64) -> bool {
    match counter.take(units, Certainty::Certain) {
        Take::Taken(taken) => {
            taken.keep();
            true
        }
        Take::Short { .. } | Take::InDoubt => false,
    }
}

#[test]
fn a_single_taker_gets_every_unit_and_then_a_refusal() {
    let counter = StockCounter::with_shape(300, 4, 8);
    assert!((0..300).all(|_| took(&counter, 1)));
    assert!(matches!(counter.take(1, Certainty::Certain), Take::Short { free: 0 }));
}
