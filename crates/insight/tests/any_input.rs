//! Whatever comes in, nothing panics, bounds hold, and suggestions are what they promise.

use jiff::tz::TimeZone;
use proptest::prelude::*;
use stockade_insight::forecast::{History, InterestHour, PastDrop, Request, SUGGESTIONS_MAX, suggest};
use stockade_insight::guardrail::{FindingState, Guardrail, MeasuredDrop, Tighten, findings, tightening};
use stockade_insight::page::{comparison_page, demand_csv, figures_csv, report_page};
use stockade_insight::report::{
    Afterwards, DemandBucket, DemandTotals, Figures, HoldCounts, MEASURES, Ratio, Report, SaleCounts,
};
use stockade_types::time::{Millis, Timestamp};

const QUARTER: u64 = 15 * 60_000;
/// 2026-11-30 15:00 UTC.
const NOW: u64 = 1_796_050_800_000;

/// Figures as they are, and as they must not hurt.
fn any_count() -> impl Strategy<Value = u64> {
    prop_oneof![3 => 0..5_000_u64, 1 => Just(0), 1 => any::<u64>(), 1 => Just(u64::MAX)]
}

fn any_instant() -> impl Strategy<Value = Timestamp> {
    let recent = (0..400 * 24 * 4_u64).prop_map(|quarters| Timestamp(NOW - quarters * QUARTER));
    prop_oneof![8 => recent, 1 => any::<u64>().prop_map(Timestamp), 1 => Just(Timestamp::NEVER)]
}

prop_compose! {
    fn any_drop()(
        opens_at in any_instant(),
        units_asked in proptest::option::of(any_count()),
        counted in prop_oneof![Just(3_600_000), any_count()],
        by_zone in proptest::collection::vec(("[ab]", any_count()), 0..3),
        by_minute in proptest::collection::vec(any_count(), 0..90),
        stock in any_count(),
        units_claimed in any_count(),
        support_contacts in proptest::option::of(any_count()),
    ) -> PastDrop {
        let counted = Millis(counted);
        PastDrop { opens_at, units_asked, counted, by_zone, by_minute, stock, units_claimed, support_contacts }
    }
}

prop_compose! {
    fn any_interest()(starts_at in any_instant(), zone in "[ab]?", views in any_count(), interest in any_count())
        -> InterestHour {
        InterestHour { starts_at, zone, views, interest }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn suggestions_keep_their_promises(
        drops in proptest::collection::vec(any_drop(), 0..16),
        interest in proptest::collection::vec(any_interest(), 0..20),
        planned in proptest::collection::vec(any_instant(), 0..4),
        zone in "[ab]?",
        from in proptest::option::of(prop_oneof![(0..90 * 96_u64).prop_map(|quarters| Timestamp(NOW + quarters * QUARTER + 7)), any_instant()]),
        days in 1..=60_u64,
        units in any_count(),
        max_suggestions in 0..=SUGGESTIONS_MAX,
        gap in proptest::option::of(prop_oneof![(0..200 * 3_600_000_u64), any::<u64>()]),
        region in prop_oneof![Just("UTC"), Just("Europe/Berlin"), Just("Asia/Kathmandu"), Just("Australia/Lord_Howe")],
    ) {
        let time_zone = TimeZone::get(region).expect("a zone");
        let horizon = Millis(days * 86_400_000);
        let request = Request {
            zone: &zone,
            time_zone: &time_zone,
            now: Timestamp(NOW),
            from,
            horizon: Some(horizon),
            units,
            max_suggestions,
            min_gap: gap.map(Millis),
        };
        let history = History { drops: &drops, interest: &interest, planned: &planned };
        let Ok(schedule) = suggest(&history, &request) else {
            prop_assert!(from.is_some_and(|from| from.0 > NOW + 400 * 86_400_000), "refused");
            return Ok(());
        };
        let first = from.unwrap_or(request.now);
        let most = if max_suggestions == 0 { 10 } else { max_suggestions };
        prop_assert!(schedule.suggestions.len() <= usize::try_from(most).expect("small"));
        let apart = gap.unwrap_or(86_400_000);
        for (place, one) in schedule.suggestions.iter().enumerate() {
            prop_assert!(one.opens_at >= first.max(request.now) && one.opens_at < first.plus(horizon));
            let local = jiff::Timestamp::from_millisecond(i64::try_from(one.opens_at.0).expect("a time"));
            let local = local.expect("a time").to_zoned(time_zone.clone());
            prop_assert!(local.minute() % 15 == 0 && local.second() == 0, "{one:?}");
            prop_assert!(one.low <= one.high, "{one:?}");
            prop_assert!(one.expected_time_to_sold_out.is_none_or(|span| span.0 <= 86_400_000), "{one:?}");
            let others = schedule.suggestions.iter().take(place).map(|other| other.opens_at).chain(planned.clone());
            for other in others {
                prop_assert!(one.opens_at.0.abs_diff(other.0) >= apart.min(1), "{one:?} {other:?}");
                prop_assert!(one.opens_at.0.abs_diff(other.0) >= apart, "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn figures_pages_and_verdicts_take_any_counts(
        counts in proptest::collection::vec(any_count(), 24),
        small in proptest::collection::vec(any::<u32>(), 4),
        starts in proptest::collection::vec((any::<i64>(), any_count(), any_count(), any_count()), 0..40),
        parts in proptest::collection::vec(proptest::option::of((any::<i128>(), any::<u128>())), MEASURES.len()),
        thresholds in proptest::collection::vec((proptest::option::of(any::<i64>()), proptest::option::of(any::<i64>())), 11),
    ) {
        let mut next = counts.into_iter();
        let mut count = || next.next().unwrap_or(1);
        let figures = Figures {
            opens_at: Timestamp(count()),
            closed_at: Some(Timestamp(count())),
            as_of: Timestamp(count()),
            sale: SaleCounts {
                units_received: count(),
                units_withdrawn: count(),
                first_sold_out: Some(Timestamp(count())),
                times_sold_out: 1,
            },
            holds: HoldCounts { made: count(), expired: count(), released: count(), claimed: count(), late_claims: count() },
            demand: Some(DemandTotals {
                requests: count(),
                units_asked: count(),
                customers: count(),
                late_claims_refused: count(),
                missing: Millis(count()),
                ..DemandTotals::default()
            }),
            afterwards: Afterwards {
                units_returned_late: count(),
                units_returned_by_facts: count(),
                cancelled: count(),
                charged_back: count(),
                promoters: small[0],
                passives: small[1],
                detractors: small[2],
                support_contacts: Some(count()),
                units_claimed_late: count(),
                orders_late: count(),
            },
            ..Figures::default()
        };
        let bucket = |(after_open, width, requests, units_held)| {
            DemandBucket { after_open, width: Millis(width), requests, units_held }
        };
        let report = Report { demand: starts.into_iter().map(bucket).collect(), ..figures.report() };
        prop_assert!(report.nps.is_none_or(|nps| (-100..=100).contains(&nps)));
        let pages = [report_page(&report), comparison_page(&report, &Report::default())];
        prop_assert!(pages.iter().all(|page| page.ends_with("</html>") && page.len() < 200_000));
        prop_assert!(!figures_csv(&report).is_empty() && !demand_csv(&report).is_empty());

        let mut ratios = [None; MEASURES.len()];
        for (ratio, part) in ratios.iter_mut().zip(parts) {
            *ratio = part.map(|(part, whole)| Ratio { part, whole });
        }
        let drop = |ratios| MeasuredDrop { drop_id: "d".to_owned(), closed_at: Some(Timestamp(0)), orders: 50, ratios };
        let drops = [drop(ratios), drop(figures.ratios())];
        let tighten = Tighten { drops: small[0], limits_percent: small[1], hold_ttl_percent: small[2], pause: false };
        let guardrails: Vec<Guardrail> = MEASURES
            .into_iter()
            .zip(thresholds)
            .map(|(measure, (above, below))| Guardrail {
                id: measure.in_words().to_owned(),
                measure,
                above,
                below,
                min_orders: 0,
                over_drops: 2,
                settle: None,
                while_running: false,
                tighten: Some(tighten),
            })
            .collect();
        let found = findings(&guardrails, &drops, Timestamp::NEVER);
        prop_assert_eq!(found.len(), guardrails.len());
        prop_assert!(found.is_sorted_by(|one, next| one.state >= next.state));
        let tripped = found.iter().any(|finding| finding.state == FindingState::Tripped);
        let together = tightening(&guardrails, &found);
        prop_assert_eq!(together.is_some(), tripped);
        prop_assert!(together.is_none_or(|all| all.limits_percent <= 100 && all.hold_ttl_percent <= 100 && all.drops > 0));
    }
}
