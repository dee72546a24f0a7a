//! The cost of drops: the same load spread over more and more of them, and the CPU time of an idle server.

use std::time::Duration;

use stockade_drill::Failure;
use stockade_drill::drive::closed_loop;
use stockade_drill::numbers::{count, real};

use super::{Options, stage};
use crate::kernel;
use crate::output::Output;
use crate::reserves::{Reserves, Wish};
use crate::server::own;

/// How long a server idles before its CPU time is measured, and during that.
const IDLE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(4));

/// The cost of this many drops.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Point {
    /// Drops of one item, all of them open.
    pub drops: u64,
    /// The part of one core that an idle server uses.
    pub idle_cpu: f64,
    /// Reserves a second, each of a random drop.
    pub rate: f64,
    /// The 99th percentile, in milliseconds.
    pub p99_ms: f64,
    /// Growth of the server's resident memory for each drop, in bytes.
    pub memory: f64,
}

/// Measures one number of drops.
///
/// # Errors
/// When a reserve is not granted, or the stock does not show all of them.
pub async fn measure(options: &Options, drops: u64, output: &mut Output) -> Result<Point, Failure> {
    let names: Vec<String> = (0..drops).map(|number| format!("scale-{number}")).collect();
    let empty = stage::server(&options.recipe, &[]).await?;
    let before = own(empty.process().and_then(kernel::resident))?;
    drop(empty);
    let server = stage::server(&options.recipe, &names).await?;
    let process = own(server.process())?;
    let after = own(kernel::resident(process))?;
    let (calm, looked) = IDLE;
    tokio::time::sleep(calm).await;
    let from = own(kernel::cpu_time(process))?;
    tokio::time::sleep(looked).await;
    let spent = own(kernel::cpu_time(process))?.saturating_sub(from);
    let idle_cpu = spent.as_secs_f64() / looked.as_secs_f64();
    let callers = Reserves::callers(&server.endpoint, &Wish::of(&names)).await?;
    let measured = closed_loop(callers, options.span()).await?;
    stage::audit(&server, &names, measured.operations).await?;
    let point = Point {
        drops: count(names.len()),
        idle_cpu,
        rate: measured.rate,
        p99_ms: measured.millis(0.99),
        memory: real(after.saturating_sub(before)) / real(drops.max(1)),
    };
    output.line(&format!("  {:.0}/s, idle at {:.2} % of a core", point.rate, point.idle_cpu * 100.0));
    Ok(point)
}
