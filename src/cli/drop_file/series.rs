//! A series as a YAML file: its calendar, and a template with the keys of a drop's file.

use serde::Deserialize;
use serde_saphyr::Spanned;
use stockade_proto as pb;

use super::entries::{
    ConductEntry, ItemEntry, LimitEntry, MomentEntry, ScarcityEntry, SignalEntry, TermsEntry, TrancheEntry, WindowEntry,
};
use super::values::FileFaults;
use super::{explain, says_nothing};
use std::collections::BTreeMap;

/// The smallest valid file.
const SMALLEST: &str = "kind: Series\nid: weekly\ntime_zone: Europe/Berlin\nstarts_at: 2026-12-04T18:00:00\n\
    rules: [\"RRULE:FREQ=WEEKLY\"]\ntemplate:\n  items: [{sku: KNIFE/20cm, quantity: 300}]\n";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SeriesFile {
    kind: Spanned<String>,
    id: String,
    #[serde(default)]
    shop: String,
    #[serde(default)]
    title: String,
    time_zone: String,
    starts_at: String,
    #[serde(default)]
    rules: Vec<String>,
    closes: Option<Spanned<MomentEntry>>,
    template: TemplateEntry,
    create_ahead_days: Option<Spanned<String>>,
    #[serde(default)]
    guards: Vec<GuardEntry>,
}

/// A drop without what the series says of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TemplateEntry {
    #[serde(default)]
    title: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    hold_ttl: Option<Spanned<String>>,
    max_hold_life: Option<Spanned<String>>,
    payment_ttl: Option<Spanned<String>>,
    items: Vec<ItemEntry>,
    #[serde(default)]
    limits: Vec<LimitEntry>,
    #[serde(default)]
    windows: Vec<WindowEntry>,
    #[serde(default)]
    terms: Vec<TermsEntry>,
    slot_required: Option<Spanned<String>>,
    #[serde(default)]
    location: String,
    #[serde(default)]
    tranches: Vec<TrancheEntry>,
    #[serde(default)]
    conduct: Vec<ConductEntry>,
    #[serde(default)]
    signals: Vec<SignalEntry>,
    scarcity: Option<ScarcityEntry>,
    #[serde(default)]
    zones: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GuardEntry {
    kind: Spanned<String>,
    action: Option<Spanned<String>>,
    max: Option<Spanned<String>>,
}

/// Reads a series from the text of a file with this name.
///
/// # Errors
/// All faults that can be found at once, each with line and column.
pub fn series(name: &str, text: &str) -> Result<pb::Series, String> {
    if says_nothing(text) {
        return Err(format!("{name} is empty; the least that a file must say is:\n\n{SMALLEST}"));
    }
    let file: SeriesFile = serde_saphyr::from_str(text).map_err(|error| explain(name, text, &error))?;
    let mut faults = FileFaults { name, lines: Vec::new() };
    if file.kind.value != "Series" {
        faults.add(file.kind.referenced, format_args!("kind must be Series, not {:?}", file.kind.value));
    }
    let series = pb::Series {
        closes: faults.moment(file.closes.as_ref(), "closes"),
        template: Some(faults.template(file.template)),
        create_ahead_days: file.create_ahead_days.map_or(0, |days| faults.whole(&days, "create_ahead_days", 0)),
        guards: file.guards.iter().map(|guard| faults.guard(guard)).collect(),
        id: file.id,
        shop: file.shop,
        title: file.title,
        time_zone: file.time_zone,
        starts_at: file.starts_at,
        rules: file.rules,
        ..pb::Series::default() // what only the server sets
    };
    if faults.lines.is_empty() { Ok(series) } else { Err(faults.lines.join("\n")) }
}

impl FileFaults<'_> {
    fn template(&mut self, file: TemplateEntry) -> pb::Drop {
        pb::Drop {
            title: file.title,
            labels: file.labels.into_iter().collect(),
            hold_ttl: self.span(file.hold_ttl.as_ref(), "hold_ttl"),
            max_hold_life: self.span(file.max_hold_life.as_ref(), "max_hold_life"),
            payment_ttl: self.span(file.payment_ttl.as_ref(), "payment_ttl"),
            items: file.items.into_iter().map(|entry| self.item(entry)).collect(),
            limits: file.limits.into_iter().map(|entry| self.limit(entry)).collect(),
            windows: file.windows.into_iter().map(|entry| self.window(entry)).collect(),
            terms: file.terms.into_iter().map(|entry| self.terms(entry)).collect(),
            slot_required: self.flag(file.slot_required.as_ref(), "slot_required"),
            location: file.location,
            tranches: file.tranches.into_iter().map(|entry| self.tranche(entry)).collect(),
            conduct: file.conduct.into_iter().map(|entry| self.conduct(entry)).collect(),
            signals: file.signals.into_iter().map(|entry| self.signal(entry)).collect(),
            scarcity: file.scarcity.map(|entry| self.scarcity(entry)),
            zones: file.zones,
            ..pb::Drop::default() // what the series says, and what is not built yet
        }
    }

    fn guard(&mut self, GuardEntry { kind, action, max }: &GuardEntry) -> pb::Guard {
        let of_kind = match kind.value.as_str() {
            "overlap" => pb::GuardKind::Overlap,
            "max_drops_a_week" => pb::GuardKind::MaxDropsAWeek,
            other => {
                self.add(kind.referenced, format_args!("kind must be overlap or max_drops_a_week, not {other:?}"));
                pb::GuardKind::Unspecified
            }
        };
        let of_action = match action.as_ref().map(|action| action.value.as_str()) {
            None | Some("warn") => pb::GuardAction::Warn,
            Some("skip") => pb::GuardAction::Skip,
            Some(other) => {
                let place = action.as_ref().map_or(kind.referenced, |action| action.referenced);
                self.add(place, format_args!("action must be warn or skip, not {other:?}"));
                pb::GuardAction::Unspecified
            }
        };
        let max = max.as_ref().map_or(0, |max| self.whole(max, "max", 1));
        pb::Guard { kind: of_kind.into(), action: of_action.into(), max }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_read_with_its_template() {
        let text = format!(
            "{SMALLEST}  labels: {{season: winter}}\ncloses: {{after_open: 2h}}\ncreate_ahead_days: 7\n\
             guards: [{{kind: overlap, action: skip}}, {{kind: max_drops_a_week, max: 4}}]\n"
        );
        let read = series("a.yaml", &text).expect("a series");
        assert_eq!(
            (read.id.as_str(), read.rules.len(), read.create_ahead_days, read.guards.len()),
            ("weekly", 1, 7, 2)
        );
        let template = read.template.expect("a template");
        assert_eq!((template.items.len(), template.labels.len(), template.id.as_str()), (1, 1, ""));
        assert_eq!(read.guards[0].action(), pb::GuardAction::Skip);
        assert_eq!((read.guards[1].kind(), read.guards[1].max), (pb::GuardKind::MaxDropsAWeek, 4));
    }

    #[test]
    fn faults_have_lines() {
        let faulty = SMALLEST.replace("kind: Series", "kind: Drop") + "guards: [{kind: never, action: stop}]\n";
        let said = series("a.yaml", &faulty).expect_err("faulty");
        assert_eq!(said.lines().count(), 3, "{said}");
        assert!(said.contains("a.yaml:1:7: kind must be Series, not \"Drop\""), "{said}");
        let said =
            series("a.yaml", &SMALLEST.replace("items:", "opens_at: now\n  items:")).expect_err("not of a template");
        assert!(said.contains("unknown key opens_at; keys here are title"), "{said}");
        assert!(series("a.yaml", "# nothing\n").expect_err("empty").contains("kind: Series"));
    }
}
