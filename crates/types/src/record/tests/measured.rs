//! What is measured of drops: round trips, and the largest of each.

use super::*;

fn sums() -> DemandSums {
    let mut sums = DemandSums {
        served: 3,
        late_refused: 1,
        units_asked: 9,
        peak: 4,
        uncounted: Millis(5),
        ..DemandSums::default()
    };
    sums.refused[Reason::SoldOut.place()] = 7;
    sums.refused[Reason::CeilingReached.place()] = u64::MAX;
    sums
}

fn demand(tiers: usize, registers: u16, intervals: usize) -> Record {
    let tier = |n: usize| (format!("{n:064}").parse().expect("a tier"), u64::MAX);
    let interval = |n: u32| Interval { begins: n * 600_000, requests: u32::MAX, units: u32::MAX };
    Record::Demand(Box::new(DemandFact {
        drop: DropNo(u32::MAX),
        at: Timestamp(u64::MAX),
        sums: sums(),
        by_tier: (0..tiers).map(tier).collect(),
        registers: (0..registers).map(|place| (place, 63)).collect(),
        intervals: (0..).take(intervals).map(interval).collect(),
    }))
}

fn report(part: ReportPart, length: usize) -> Record {
    Record::Report(Box::new(ReportFact {
        drop: DropNo(7),
        id: "knife".parse().expect("an id"),
        shop: "kitchen".parse().expect("a shop"),
        series: (part == ReportPart::Demand).then(|| "fridays".parse().expect("a series")),
        opens_at: Timestamp(1),
        at: Timestamp(2),
        part,
        bytes: vec![1; length].into(),
    }))
}

pub(super) fn samples() -> Vec<Record> {
    let totals = DropTotals {
        made: 6,
        expired: 5,
        released: 4,
        claimed: 3,
        late: 2,
        times_sold_out: 1,
        sold_out_at: Timestamp(9),
    };
    let totals = Record::Totals(TotalsImage { drop: DropNo(1), totals });
    vec![totals, demand(0, 0, 0), demand(2, 3, 4), report(ReportPart::Figures, 0), report(ReportPart::Demand, 3)]
}

#[test]
fn all_that_can_be_asked_of_a_drop_fits_a_record() {
    let registers = u16::try_from(REGISTERS).expect("small");
    let largest = bytes(&demand(256, registers, INTERVALS_MAX));
    assert!(largest.len() <= RECORD_BYTES_MAX && Record::decode(&largest).is_ok(), "{}", largest.len());
    assert_eq!(Record::decode(&bytes(&demand(0, registers + 1, 0))), Err(DecodeError::Bad("register")));
    let many = bytes(&demand(0, 0, INTERVALS_MAX + 1));
    assert_eq!(Record::decode(&many), Err(DecodeError::Bad("count of intervals")));
}

#[test]
fn the_largest_report_fits_a_record_and_a_larger_one_is_refused() {
    let largest = bytes(&report(ReportPart::Demand, REPORT_BYTES_MAX));
    assert!(largest.len() <= RECORD_BYTES_MAX && Record::decode(&largest).is_ok());
    let larger = bytes(&report(ReportPart::Figures, REPORT_BYTES_MAX + 1));
    assert_eq!(Record::decode(&larger), Err(DecodeError::Bad("length of a report")));
}
