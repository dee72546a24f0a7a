//! A journal's facts, as `stockade journal dump --json` prints them, and their judgement by the contract alone.
//!
//! The journal's order is the order in which everything was decided. So it shows exactly, without any margin, which
//! rules had fired when a hold was made, and what each pool had at every record: that is at every cut that a crash may
//! make.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};
use stockade_proto as pb;

mod books;
mod judge;

pub use judge::{Trial, judge};

use crate::Failure;
use crate::rules::Mark;

/// A record. Fields that a kind does not have are none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// Its position.
    pub lsn: u64,
    /// What it is.
    pub kind: String,
    /// The drop that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop_id: Option<String>,
    /// The hold that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_id: Option<String>,
    /// The hold that this one has replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded_hold_id: Option<String>,
    /// The hold's customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// The hold's state after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The hold's lines after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<Vec<Line>>,
    /// When the hold was made; texts of one form, that sort as instants do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// When it was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Whether the drop is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// Since when the drop is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<String>,
    /// What it has fired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moments: Option<Vec<Moment>>,
    /// What each pool has after it: of all items, or of the item that was adjusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stock: Option<Vec<Figures>>,
    /// The SKU that was adjusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    /// The pool that was adjusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// Units that the pool has received, with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<u64>,
    /// Units that adjustments have taken out of the pool, with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_out: Option<u64>,
    /// Whether a claim was late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<bool>,
}

/// A line of a hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Its SKU.
    #[serde(default)]
    pub sku: String,
    /// Its pool.
    #[serde(default)]
    pub pool: String,
    /// Units that it has.
    #[serde(default)]
    pub quantity: u64,
    /// Units that were returned and not put on sale again.
    #[serde(default)]
    pub withdrawn: u64,
    /// The window that it came through.
    #[serde(default)]
    pub window: String,
    /// The terms of its price.
    #[serde(default)]
    pub terms: String,
    /// The price of a unit.
    #[serde(default)]
    pub price: Option<Price>,
}

/// A price.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Its currency.
    pub currency: String,
    /// Its amount.
    pub minor_units: i64,
}

/// Something that a record has fired.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// What.
    pub what: String,
    /// When it was due.
    #[serde(default)]
    pub scheduled_for: String,
    /// The window.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub window: String,
    /// The SKU of a flow or of a slot.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sku: String,
    /// The pool that flows.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pool: String,
    /// To whose customers.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub to: String,
    /// The tranche.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tranche: String,
    /// The terms.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub terms: String,
    /// The step of the terms.
    #[serde(default)]
    pub step: u8,
}

/// What a pool has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Units received.
    pub received: u64,
    /// Units that adjustments took out.
    pub taken_out: u64,
    /// Units held.
    pub held: u64,
    /// Units in payment.
    pub paying: u64,
    /// Units sold.
    pub claimed: u64,
    /// Units that came back after a sale and are not for sale.
    pub withdrawn: u64,
}

impl Moment {
    /// The fact that it is; none for one that the rules here do not know.
    #[must_use]
    pub fn mark(&self) -> Option<Mark> {
        let (window, terms) = (|| self.window.clone(), || self.terms.clone());
        Some(match self.what.as_str() {
            "opened" => Mark::Opened,
            "closed" => Mark::Closed,
            "window_opened" => Mark::WindowOpened(window()),
            "window_closed" => Mark::WindowClosed(window()),
            "flow_fired" => Mark::Flowed(self.sku.clone(), self.pool.clone(), self.to.clone()),
            "tranche_released" => Mark::Tranche(self.tranche.clone()),
            "terms_started" => Mark::TermsStarted(terms()),
            "terms_ended" => Mark::TermsEnded(terms()),
            "slot_started" => Mark::SlotStarted(self.sku.clone()),
            "price_stepped" => Mark::Stepped(terms(), self.step),
            _ => return None,
        })
    }
}

impl Line {
    /// The line as the contract shows it.
    fn shown(&self) -> pb::HoldLine {
        let price = |Price { currency, minor_units }: &Price| pb::Money {
            currency_code: currency.clone(),
            minor_units: *minor_units,
        };
        pb::HoldLine {
            sku: self.sku.clone(),
            pool: self.pool.clone(),
            quantity: u32::try_from(self.quantity).unwrap_or(u32::MAX),
            window: self.window.clone(),
            terms_id: self.terms.clone(),
            unit_price: self.price.as_ref().map(price),
            ..pb::HoldLine::default()
        }
    }
}

/// Reads the journal of a data folder that no server has open, and that none is started on again, with this build of
/// Stockade. Segments that have left the journal and are kept for readers are put back into its folder first: a crash
/// between the two may leave them in both.
///
/// # Errors
/// When it can't be read to its end, or a line of it is no record.
pub fn read(binary: impl AsRef<OsStr>, data: &Path) -> Result<Vec<Fact>, Failure> {
    if let Ok(kept) = std::fs::read_dir(data.join("kept")) {
        for segment in kept {
            let segment = segment?;
            // Named by its first record, the next one, and when it left; in the journal by its first record alone.
            let name = segment.file_name().to_string_lossy().into_owned();
            let first = name.split('-').next().unwrap_or_default().to_owned();
            std::fs::copy(segment.path(), data.join("journal").join(first + ".journal"))?;
        }
    }
    let output = Command::new(binary).args(["journal", "dump", "--json", "--data"]).arg(data).output()?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Failure::Work(format!("{} can't be read: {why}", data.display())));
    }
    let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let fact = |line| serde_json::from_slice(line).map_err(|bad| Failure::Work(format!("no record: {bad}")));
    lines.map(fact).collect()
}

#[cfg(test)]
mod planted;
