//! `stockade verify`.

use stockade_engine::lifecycle::verify::{Verified, verify as look_at};

use super::Finding;
use super::args::VerifyOptions;
use super::failure::Failure;
use super::output::Output;

/// Checks a data folder and prints what was found.
///
/// # Errors
/// If the folder can't be read.
pub(super) fn verify(options: &VerifyOptions, output: &mut Output) -> Result<Finding, Failure> {
    let Verified { notes, findings } = look_at(&options.data)?;
    let finding = if findings.is_empty() { Finding::Well } else { Finding::Amiss };
    if options.json {
        let sound = finding == Finding::Well;
        output.json(&serde_json::json!({"sound": sound, "notes": notes, "findings": findings}).to_string());
        return Ok(finding);
    }
    for note in &notes {
        output.line(note);
    }
    for finding in &findings {
        output.line(&format!("finding: {finding}"));
    }
    output.line(match finding {
        Finding::Well => "all is well",
        Finding::Amiss => "this folder is damaged or does not add up",
    });
    Ok(finding)
}
