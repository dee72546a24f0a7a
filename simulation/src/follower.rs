//! A follower of the journal that is on the disk: what a start makes of it at once, it makes record by record.

use stockade::engine::recover::Report;
use stockade::ids::Lsn;
use stockade::inventory::BulkLoad;
use stockade::journal::inspect;
use stockade::record::{Record, Restart};
use stockade::snapshot;

use crate::machine::Machine;

/// What is known of the snapshot that a start has used, of half of the records behind it at once, and of the others one
/// by one; and then of the restart, if there was one to tell of.
pub fn digest(machine: &Machine, report: &Report, restart: Option<Restart>) -> Result<[u8; 32], String> {
    let load = BulkLoad::new(machine.folder().key);
    let (from, upto) = match report.snapshot {
        None => (Lsn(0), Lsn(0)),
        Some(from) => {
            let apply = |lsn, record: Record| load.apply(lsn, &record).map_err(|error| error.to_string());
            let loaded = snapshot::load(&machine.snapshots, from, apply).map_err(|error| error.to_string())?;
            (from, loaded.upto)
        }
    };
    let mut records = Vec::new();
    for batch in inspect(&machine.journal).map_err(|error| error.to_string())? {
        // Behind what the start has found it may write already.
        let Ok(batch) = batch else { break };
        records.extend(batch.iter().filter(|(lsn, _)| *lsn > from).map(|(lsn, record)| (lsn, record.clone())));
    }
    records.retain(|(lsn, _)| *lsn <= report.last);
    // A snapshot adds up once all records up to its end are applied.
    let at_once = records.partition_point(|(lsn, _)| *lsn <= upto).max(records.len() / 2);
    let (first, rest) = records.split_at(at_once);
    let wrong = |lsn: &Lsn, error| format!("a follower at {lsn}: {error}");
    for (lsn, record) in first {
        load.apply(*lsn, record).map_err(|error| wrong(lsn, error))?;
    }
    let follower = load.finish(usize::MAX).map_err(|error| wrong(&report.last, error))?;
    for (lsn, record) in rest {
        follower.follow(*lsn, record).map_err(|error| wrong(lsn, error))?;
    }
    if let Some(restart) = restart {
        let next = report.last.next();
        follower.follow(next, &Record::Restart(restart)).map_err(|error| wrong(&next, error))?;
    }
    Ok(follower.digest())
}
