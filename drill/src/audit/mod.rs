//! The audit from the outside: every answer that a customer got is compared with what the server shows afterwards.
//!
//! It trusts no counter of the server. The answers give, for each hold, a time in which its units were surely taken and
//! a time in which they may have been; what the server lists must agree with both.

use std::collections::HashMap;

use stockade_proto as pb;
use uuid::Uuid;

use crate::ledger::{Ledger, Sale};

mod books;
mod fetch;
mod holds;
mod intervals;
mod pools;
mod rules;
mod time;

pub use fetch::{fetch, shown};

/// Findings that are described in words; further ones are only counted.
const FINDINGS_MAX: usize = 20;

/// A hold as the server lists it.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its state.
    pub state: pb::HoldState,
    /// Whose.
    pub customer: String,
    /// Items by their place in the drop, and units that it has now.
    pub lines: Vec<(u16, u32)>,
    /// The order, if it is claimed.
    pub order: String,
    /// Its deadline, in milliseconds since the epoch.
    pub expires_at: u64,
    /// Its revision.
    pub revision: u64,
    /// When it was made, in milliseconds since the epoch.
    pub created_at: u64,
    /// Its lines as it was made, of a drop with rules.
    pub served: Vec<pb::HoldLine>,
    /// The server's time when the page was asked for, in milliseconds since the epoch.
    pub as_of: u64,
    /// The server's time when the page arrived: what expired meanwhile may be shown either way.
    pub until: u64,
}

/// A drop as the server shows it.
#[derive(Debug, Clone, Default)]
pub struct Shown {
    /// Every hold that it lists.
    pub holds: HashMap<Uuid, Listed>,
    /// Holds that it lists more than once.
    pub twice: Vec<Uuid>,
    /// The stock of each item, in the sale's order.
    pub stocks: Vec<pb::Stock>,
    /// The drop, if it has rules: with the instants at which they come and have fired, and the stock of each pool.
    pub drop: pb::Drop,
    /// The server's time when it showed the stock.
    pub as_of: u64,
}

/// All that the server shows.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The drops, in the order of the sales.
    pub drops: Vec<Shown>,
    /// The metrics page right before the load, and after it; none if its address is not known.
    pub metrics: Option<(String, String)>,
    /// Whether nobody else uses the server, so that its counters count this load alone.
    pub alone: bool,
}

/// The audit's result. All counts but those of unanswered requests, answers and listed holds must be 0.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Audit {
    /// Units that more customers had at one time than there were.
    pub oversold: u64,
    /// Customers that had more at one time than the limit.
    pub over_limit: u64,
    /// Holds whose acknowledged state the server does not show.
    pub lost_acks: u64,
    /// Holds and orders that are claimed twice, or that nobody claimed.
    pub double_claims: u64,
    /// Customers that were refused as sold out although enough units were free during the whole call, or as over a
    /// limit although they had room.
    pub false_refusals: u64,
    /// Answers that do not match the request.
    pub wrong_answers: u64,
    /// Holds that the server has and no customer was granted.
    pub phantoms: u64,
    /// Units by which the server's books do not add up.
    pub conservation_error: u64,
    /// Lines through a window that was not open then, or is not for the customer.
    pub outside_windows: u64,
    /// Lines from a pool that is not for the customer, and had not flowed.
    pub foreign_pools: u64,
    /// Lines at a price that was not the customer's then.
    pub wrong_prices: u64,
    /// Places where the server's own pages disagree with each other or with the customers' count.
    pub disagreements: u64,
    /// Requests with an unknown outcome. No finding: a server may be busy, or be stopped.
    pub unanswered: u64,
    /// Answers that were checked.
    pub answers: u64,
    /// Holds that the server lists.
    pub listed: u64,
    /// The first findings, in words.
    pub findings: Vec<String>,
}

impl Audit {
    /// The counts that must be 0, with their names.
    #[must_use]
    pub const fn counts(&self) -> [(&'static str, u64); 12] {
        [
            ("oversold", self.oversold),
            ("over limit", self.over_limit),
            ("lost acks", self.lost_acks),
            ("double claims", self.double_claims),
            ("false refusals", self.false_refusals),
            ("wrong answers", self.wrong_answers),
            ("phantom holds", self.phantoms),
            ("outside windows", self.outside_windows),
            ("foreign pools", self.foreign_pools),
            ("wrong prices", self.wrong_prices),
            ("conservation error", self.conservation_error),
            ("disagreements", self.disagreements),
        ]
    }

    /// Whether all of them are 0.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.counts().iter().all(|(_, count)| *count == 0)
    }

    /// Counts a place where two pages, or a page and the customers' count, differ.
    fn differs(&mut self, what: impl FnOnce() -> String) {
        self.disagreements = self.disagreements.saturating_add(1);
        self.tell(what);
    }

    /// Describes a finding in words, up to a bound.
    fn tell(&mut self, what: impl FnOnce() -> String) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(what());
        }
    }
}

/// Compares all answers with all that the server shows.
#[must_use]
pub fn judge(sales: &[Sale], ledger: &Ledger, evidence: &Evidence) -> Audit {
    let mut audit = Audit::default();
    holds::judge(sales, ledger, evidence, &mut audit);
    time::judge(sales, ledger, &mut audit);
    rules::judge(sales, ledger, evidence, &mut audit);
    pools::judge(sales, ledger, evidence, &mut audit);
    books::judge(sales, ledger, evidence, &mut audit);
    audit
}

/// Compares what the server shows with itself alone: stock, holds, limits, metrics.
#[must_use]
pub fn books(sales: &[Sale], evidence: &Evidence) -> Audit {
    let mut audit = Audit::default();
    books::judge(sales, &Ledger::default(), &Evidence { alone: false, ..evidence.clone() }, &mut audit);
    audit
}

#[cfg(test)]
mod planted;
#[cfg(test)]
mod planted_rules;
