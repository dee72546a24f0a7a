//! Batches: the operations of a message, and the result of each.

use stockade_engine::answer::{HoldView, InvalidField, Outcome};
use stockade_engine::command::{Claim, Extend, Release, Reserve, Return, WantedUnits};
use stockade_proto as pb;
use stockade_types::hold::{HoldLine, Pinned};
use tonic::Status;
use tonic_types::StatusExt as _;

use super::answer::{claim_mode, hold, hold_line, refusal, short_lines, timestamp};
use super::faults::{Faults, Rejection};
use super::fields::enumeration;
use super::hold::{claim, extend, release, reserve, return_units};

/// Most operations of a message.
pub const OPERATIONS_MAX: usize = 5_000;

/// How much of a hold is returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// All of it.
    Full,
    /// State, deadline and revision, and the lines if they differ from the request's.
    Brief,
}

/// One operation of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchCommand {
    /// Reserves units.
    Reserve(Reserve),
    /// Moves a deadline.
    Extend(Extend),
    /// Turns a hold into a sale.
    Claim(Claim),
    /// Gives units back before the sale.
    Release(Release),
    /// Gives units back after it.
    Return(Return),
}

/// Checks the number of operations and the view of a message.
///
/// # Errors
/// All faulty fields.
pub fn batch(operations: usize, view: i32) -> Result<View, Rejection> {
    let mut faults = Faults::default();
    if operations == 0 || operations > OPERATIONS_MAX {
        faults.invalid("operations", format_args!("must be 1-{OPERATIONS_MAX}, not {operations}"));
    }
    let view = match enumeration(&mut faults, "view", view) {
        Some(pb::HoldView::Unspecified | pb::HoldView::Full) => Some(View::Full),
        Some(pb::HoldView::Brief) => Some(View::Brief),
        None => None,
    };
    faults.finish(view)
}

/// Converts an operation of a message.
///
/// # Errors
/// As for the operation's own call.
pub fn operation(operation: &pb::operation::Operation) -> Result<BatchCommand, Rejection> {
    use pb::operation::Operation;
    match operation {
        Operation::Reserve(request) => reserve(request).map(BatchCommand::Reserve),
        Operation::Extend(request) => extend(request).map(BatchCommand::Extend),
        Operation::Claim(request) => claim(request).map(BatchCommand::Claim),
        Operation::Release(request) => release(request).map(BatchCommand::Release),
        Operation::ReturnUnits(request) => return_units(request).map(BatchCommand::Return),
    }
}

/// The rejection of an operation that is empty or of a kind that this server does not know.
#[must_use]
pub fn no_operation() -> Rejection {
    let violation = InvalidField { field: "operation".to_owned(), description: "must be set".to_owned() };
    Rejection::Invalid(vec![violation])
}

/// The result of an operation that was decided.
#[must_use]
pub fn result(command: &BatchCommand, outcome: &Outcome, view: View) -> pb::Result {
    let (mode, short_lines) = match (command, outcome) {
        (BatchCommand::Reserve(_), outcome) => (pb::ClaimMode::Unspecified, short_lines(outcome)),
        (BatchCommand::Claim(_), Outcome::Hold(view)) => (claim_mode(view), Vec::new()),
        (
            BatchCommand::Extend(_) | BatchCommand::Claim(_) | BatchCommand::Release(_) | BatchCommand::Return(_),
            Outcome::Hold(_) | Outcome::Refused(_),
        ) => (pb::ClaimMode::Unspecified, Vec::new()),
    };
    let shown = |hold_view: &HoldView| match view {
        View::Full => hold(hold_view),
        View::Brief => brief(command, hold_view),
    };
    let result = match outcome {
        Outcome::Hold(view) => pb::result::Result::Hold(shown(view)),
        Outcome::Refused(no) => {
            let hold = no.hold.as_ref().map(shown);
            pb::result::Result::Refusal(Box::new(pb::Refusal { hold, ..refusal(no) }))
        }
    };
    pb::Result { result: Some(result), claim_mode: mode.into(), short_lines }
}

/// The result of an operation that could not be decided: the status that its own call would have had.
#[must_use]
pub fn error(status: &Status) -> pb::Result {
    let details = status.get_error_details();
    let violations = details.bad_request().map(|request| request.field_violations.as_slice()).unwrap_or_default();
    let field_violations = violations
        .iter()
        .map(|fault| pb::FieldViolation { field: fault.field.clone(), description: fault.description.clone() })
        .collect();
    let delay = details.retry_info().and_then(|info| info.retry_delay);
    let error = pb::Error {
        code: i32::from(status.code()).unsigned_abs(),
        message: status.message().to_owned(),
        field_violations,
        retry_after: delay.and_then(|delay| prost_types::Duration::try_from(delay).ok()),
    };
    pb::Result {
        result: Some(pb::result::Result::Error(error)),
        claim_mode: pb::ClaimMode::Unspecified.into(),
        short_lines: Vec::new(),
    }
}

fn brief(command: &BatchCommand, view: &HoldView) -> pb::Hold {
    let HoldView { hold, definition } = view;
    let lines = if as_asked(command, view) {
        Vec::new()
    } else {
        hold.shown_lines().map(|line| hold_line(definition, line)).collect()
    };
    pb::Hold {
        state: i32::from(hold.state.number()),
        lines,
        expires_at: Some(timestamp(hold.expires_at())),
        revision: hold.revision.0,
        ..pb::Hold::default()
    }
}

/// Whether the request implies the hold's lines: the lines are what the operation requested, and nothing else has
/// changed.
fn as_asked(command: &BatchCommand, view: &HoldView) -> bool {
    let HoldView { hold, definition } = view;
    let asked = |wanted: &[WantedUnits], line: &HoldLine| {
        let (sku, pool) = (definition.sku(line.item), definition.pool(line.item, line.pool));
        let is_meant =
            |wanted: &&WantedUnits| wanted.sku == *sku && wanted.pool.as_ref().is_none_or(|named| named == pool);
        wanted.iter().find(is_meant).map_or(0, |wanted| wanted.units)
    };
    // What the request does not say: the pools of a line that names none, and what is pinned.
    let has_more = |line: &HoldLine| {
        let pools = definition.items.get(line.item.index()).map_or(0, |item| item.pools.len());
        line.pinned != Pinned::NOTHING || pools > 1
    };
    let names_lines = match command {
        BatchCommand::Reserve(_) => true,
        BatchCommand::Extend(_) => false,
        BatchCommand::Claim(Claim { lines, .. })
        | BatchCommand::Release(Release { keep: lines, .. })
        | BatchCommand::Return(Return { returned: lines, .. }) => !lines.is_empty(),
    };
    if names_lines && hold.shown_lines().any(|line| has_more(&line)) {
        return false;
    }
    let untouched = |line: &HoldLine| line.released == 0 && line.returned == 0;
    let mut lines = hold.shown_lines();
    match command {
        // A granted reserve has the request's lines as they were at first: other content under the same id is
        // refused. Only a hold that got fewer units than requested may lack a line.
        BatchCommand::Reserve(reserve) => {
            hold.shorts().is_empty()
                && lines.all(|line| untouched(&line) && line.quantity == asked(&reserve.lines, &line))
        }
        BatchCommand::Extend(_) => lines.all(|line| untouched(&line)),
        BatchCommand::Claim(claim) if claim.lines.is_empty() => lines.all(|line| untouched(&line)),
        BatchCommand::Claim(claim) => {
            lines.all(|line| line.returned == 0 && line.quantity == asked(&claim.lines, &line))
        }
        BatchCommand::Release(release) => lines.all(|line| line.quantity == asked(&release.keep, &line)),
        BatchCommand::Return(returned) if returned.returned.is_empty() => lines.all(|line| line.quantity == 0),
        BatchCommand::Return(returned) => lines.all(|line| line.returned == asked(&returned.returned, &line)),
    }
}
