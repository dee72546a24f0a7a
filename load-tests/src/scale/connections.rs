//! The cost of connections: the same load, with the same total in flight, over more and more of them.

use stockade_drill::Failure;
use stockade_drill::drive::closed_loop;
use stockade_drill::numbers::{place, real};
use stockade_proto::GetDropRequest;
use stockade_proto::drop_service_client::DropServiceClient;

use super::cycle::DROP;
use super::{Options, stage};
use crate::kernel;
use crate::output::Output;
use crate::reserves::{Reserves, Wish};
use crate::server::own;
use crate::stubs::Checkout;

/// Files that a process needs in addition to its connections.
const OTHER_FILES: u64 = 200;

/// The cost of this many connections.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Point {
    /// Connections, each of which is used.
    pub connections: u64,
    /// Reserves a second.
    pub rate: f64,
    /// The median latency of a reserve, in milliseconds.
    pub p50_ms: f64,
    /// The 99th percentile, in milliseconds.
    pub p99_ms: f64,
    /// Growth of the server's resident memory for each connection that is open and was used once, in bytes.
    pub memory: f64,
}

/// Measures one number of connections; none if this process may not open that many.
///
/// # Errors
/// When a reserve is not granted, or the stock does not show all of them.
pub async fn measure(options: &Options, connections: u64, output: &mut Output) -> Result<Option<Point>, Failure> {
    let allowed = kernel::open_more_files().unwrap_or(u64::MAX);
    if connections.saturating_add(OTHER_FILES) > allowed {
        output.line(&format!("  left out: a process may open {allowed} files here (ulimit -Hn)"));
        return Ok(None);
    }
    let drops = [DROP.to_owned()];
    let server = stage::server(&options.recipe, &drops).await?;
    let process = own(server.process())?;
    let before = own(kernel::resident(process))?;
    let mut clients = Vec::with_capacity(place(connections));
    for _ in 0..connections {
        let channel = crate::stubs::connect(&server.endpoint).await?;
        let look = GetDropRequest { drop_id: DROP.to_owned() };
        DropServiceClient::new(channel.clone()).get_drop(look).await.map_err(Failure::status("looking at the drop"))?;
        clients.push(Checkout::new(channel));
    }
    let after = own(kernel::resident(process))?;
    let measured = closed_loop(Reserves::over(&clients, &Wish::of(&drops)), options.span()).await?;
    stage::audit(&server, &drops, measured.operations).await?;
    let point = Point {
        connections,
        rate: measured.rate,
        p50_ms: measured.millis(0.5),
        p99_ms: measured.millis(0.99),
        memory: real(after.saturating_sub(before)) / real(connections.max(1)),
    };
    output.line(&format!("  {:.0}/s, p99 {:.2} ms", point.rate, point.p99_ms));
    Ok(Some(point))
}
