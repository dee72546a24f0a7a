//! A report as CSV (RFC 4180): a line a figure, and a line a piece of time.

use super::figure::figures;
use crate::guardrail::FindingState;
use crate::report::{Report, Share};

/// All figures but the demand over time: `drop_id,part,name,key,unit,value`. A line of what is not known has no value.
#[must_use]
pub fn figures_csv(report: &Report) -> String {
    let mut table = Table::with_head(&["drop_id", "part", "name", "key", "unit", "value"]);
    let mut line = |part: &str, name: &str, key: &str, unit: &str, value: &str| {
        table.line(&[&report.drop_id, part, name, key, unit, value]);
    };
    for figure in figures(report) {
        let (unit, value) = figure.value.map_or(("", String::new()), |value| {
            let (unit, plain) = value.plain();
            (unit, plain.to_string())
        });
        line(figure.part, figure.field, "", unit, &value);
    }
    for (reason, refused) in &report.refused_by_reason {
        line("demand", "refused_by_reason", reason, "count", &refused.to_string());
    }
    for (name, shares) in lists(report) {
        for Share { id, units, basis_points, buyers, refused } in shares {
            line("fairness", &format!("{name}.units"), id, "count", &units.to_string());
            line("fairness", &format!("{name}.share"), id, "basis_points", &basis_points.to_string());
            line("fairness", &format!("{name}.buyers"), id, "count", &buyers.to_string());
            if let Some(refused) = refused {
                line("fairness", &format!("{name}.refused"), id, "count", &refused.to_string());
            }
        }
    }
    for money in &report.money {
        let key = format!("{}/{}/{}", money.sku, money.terms, money.tier);
        line("money", "units", &key, "count", &money.units.to_string());
        let amounts = [("revenue", Some(money.revenue)), ("cost", money.cost)];
        for (name, amount) in amounts.into_iter().filter_map(|(name, amount)| Some((name, amount?))) {
            let unit = format!("{} minor units", amount.currency.as_str());
            line("money", name, &key, &unit, &amount.minor_units.to_string());
        }
    }
    for finding in &report.findings {
        let value = finding.value.map_or_else(String::new, |value| value.to_string());
        line("findings", state(finding.state), &finding.guardrail, finding.measure.in_words(), &value);
    }
    table.0
}

/// Demand over time: `drop_id,after_open_ms,width_ms,requests,units_held`.
#[must_use]
pub fn demand_csv(report: &Report) -> String {
    let mut table = Table::with_head(&["drop_id", "after_open_ms", "width_ms", "requests", "units_held"]);
    for bucket in &report.demand {
        let figures = [bucket.after_open.to_string(), bucket.width.0.to_string()];
        let counts = [bucket.requests.to_string(), bucket.units_held.to_string()];
        let [after_open, width] = &figures;
        let [requests, held] = &counts;
        table.line(&[&report.drop_id, after_open, width, requests, held]);
    }
    table.0
}

/// Shares by what they are of.
pub(super) fn lists(report: &Report) -> [(&'static str, &Vec<Share>); 4] {
    [
        ("by_tier", &report.by_tier),
        ("by_zone", &report.by_zone),
        ("by_window", &report.by_window),
        ("by_pool", &report.by_pool),
    ]
}

/// A state's word.
pub(super) const fn state(state: FindingState) -> &'static str {
    match state {
        FindingState::Ok => "ok",
        FindingState::TooFew => "too-few",
        FindingState::Pending => "pending",
        FindingState::Tripped => "tripped",
    }
}

struct Table(String);

impl Table {
    fn with_head(names: &[&str]) -> Self {
        let mut table = Self(String::new());
        table.line(names);
        table
    }

    /// Fields with a comma, a quote or a line break are quoted.
    fn line(&mut self, fields: &[&str]) {
        for (place, field) in fields.iter().enumerate() {
            if place > 0 {
                self.0.push(',');
            }
            if field.contains([',', '"', '\r', '\n']) {
                self.0.push('"');
                self.0.push_str(&field.replace('"', "\"\""));
                self.0.push('"');
            } else {
                self.0.push_str(field);
            }
        }
        self.0.push_str("\r\n");
    }
}
