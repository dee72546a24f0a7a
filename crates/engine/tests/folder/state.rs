//! An engine's state as text that a person can check.

use std::fmt::Write as _;

use stockade_engine::inventory::{DropEntry, Stock};
use stockade_engine::lifecycle::recover::Report;
use stockade_simulation::prelude::*;

/// Drops with their stock, then holds, ascending by id.
pub fn shown(engine: &Engine) -> String {
    let mut out = String::new();
    let drops = engine.inventory().drops.all();
    for drop in &drops {
        tell_drop(&mut out, drop);
    }
    let mut holds = Vec::new();
    engine.inventory().holds.for_each_shard(|shard| holds.extend(shard.iter().map(|(_, hold)| hold.clone())));
    holds.sort_unstable_by_key(|hold| hold.id);
    for hold in &holds {
        tell_hold(&mut out, hold, &drops[hold.drop.index()]);
    }
    out
}

/// The report of a start.
pub fn reported(report: &Report) -> String {
    let mut out = String::new();
    let mut line = |text: String| writeln!(out, "{text}").expect("a string takes all");
    line(format!("journal up to {}, {}", report.last, if report.clean { "closed in order" } else { "not closed" }));
    match report.snapshot {
        Some(from) => line(format!("snapshot {from}: {} entries, {} records behind", report.entries, report.replayed)),
        None => line(format!("no snapshot, {} records", report.replayed)),
    }
    for (file, why) in report.set_aside.iter().zip(&report.skipped) {
        line(format!("set aside {file}: {why}"));
    }
    if let Some(cut) = &report.cut {
        line(format!("cut {} at byte {}, record {}: {} bytes", cut.file, cut.offset, cut.lsn, cut.bytes));
    }
    for file in &report.lost {
        line(format!("lost {file}"));
    }
    out
}

fn tell_drop(out: &mut String, drop: &DropEntry) {
    let inner = drop.read();
    let definition = &inner.definition;
    writeln!(out, "drop {}: {}, shop {}", definition.id, definition.title, definition.shop).expect("written");
    for (item, pools) in definition.items.iter().zip(drop.stock(&inner).0) {
        for (pool, stock) in item.pools.iter().zip(pools) {
            let Stock { received, free, held, paying, claimed, withdrawn, returned_total } = stock;
            writeln!(
                out,
                "  {} {}: received {received} = free {free} + held {held} + paying {paying} + claimed {claimed} + \
                 withdrawn {withdrawn}; returned {returned_total}",
                item.sku, pool.id
            )
            .expect("written");
        }
    }
    for limit in &definition.limits {
        writeln!(out, "  limit {}: {:?} {:?}", limit.id, limit.scope, limit.max_units).expect("written");
    }
}

fn tell_hold(out: &mut String, hold: &Hold, drop: &DropEntry) {
    let lines: Vec<String> = hold
        .shown_lines()
        .map(|line| format!("{} x {}", line.quantity, drop.sku(line.item).expect("an item of its drop")))
        .collect();
    write!(out, "hold {} of {}: {:?}, ", hold.id, hold.customer, hold.state).expect("written");
    write!(out, "[{}], made {}, until {}", lines.join(", "), hold.created_at().0, hold.expires_at().0)
        .expect("written");
    if let Some(order) = hold.order_ref() {
        write!(out, ", order {order}").expect("written");
    }
    if let Some(by) = hold.superseded_by() {
        write!(out, ", superseded by {by}").expect("written");
    }
    writeln!(out, ", record {}", hold.revision).expect("written");
}
