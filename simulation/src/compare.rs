//! Compares the engine's whole state with the model's, hold by hold, and changes nothing.

use stockade_engine::Engine;
use stockade_engine::answer::HoldView;
use stockade_types::hold::Hold;
use stockade_types::ids::DropNo;
use stockade_types::time::Timestamp;

use crate::defined;
use crate::model::says::show;
use crate::model::state::Model;
use crate::model::stock::shown;
use crate::model::words::{START, drop_id, hold_id};
use crate::model::{DROPS, Parts};

/// A hold in the engine's memory, due or not. None for a hold of an archived drop, even while it is still in memory.
pub fn remembered(engine: &Engine, hold: u64) -> Option<Hold> {
    let id = hold_id(hold);
    let found = engine.inventory().holds.with_id(&id, |shard| shard.get(shard.find(&id)?).cloned())?;
    (!archived(engine).contains(&found.drop)).then_some(found)
}

fn archived(engine: &Engine) -> Vec<DropNo> {
    let drops = engine.inventory().drops.all();
    drops.iter().filter(|drop| drop.read().archived.is_some()).map(|drop| drop.number).collect()
}

/// A difference between the engine's hold and the model's, if any.
pub fn hold(engine: &Engine, model: &Model, hold: u64) -> Result<(), String> {
    let known = remembered(engine, hold);
    let (Some(expected), Some(found)) = (model.holds.get(&hold), known) else {
        let (ours, theirs) = (model.holds.contains_key(&hold), remembered(engine, hold).is_some());
        return if ours == theirs { Ok(()) } else { Err(format!("hold {hold}: model {ours}, engine {theirs}")) };
    };
    let drop = drop_id(DROPS[expected.drop()]);
    let definition = engine.inventory().drops.with_id(&drop, |entry| entry.read().definition.clone());
    let definition = definition.ok_or_else(|| format!("no drop {drop}"))?;
    let created_at = START.until(found.created_at()).0;
    let returned: Vec<(u32, u32)> = found.lines().iter().map(|line| (line.returned, line.withdrawn)).collect();
    let text = show(&HoldView { hold: found, definition });
    let expected_text = model.show(hold);
    if text != expected_text || created_at != expected.created_at {
        return Err(format!(
            "hold {hold}: model {expected_text} made {}, engine {text} made {created_at}",
            expected.created_at
        ));
    }
    let of = |units: &Parts| units.values().sum::<u32>();
    let sums = (of(&expected.returned), of(&expected.withdrawn));
    let found = (returned.iter().map(|line| line.0).sum(), returned.iter().map(|line| line.1).sum());
    if sums == found {
        Ok(())
    } else {
        Err(format!("hold {hold}: returned, withdrawn: model {sums:?}, engine {found:?}"))
    }
}

/// The first difference between the engine and the model, if any.
pub fn all(engine: &Engine, model: &Model, now: Timestamp) -> Result<(), String> {
    for number in model.holds.keys() {
        hold(engine, model, *number)?;
    }
    let (archived, mut theirs) = (archived(engine), 0);
    engine.inventory().holds.for_each_shard(|shard| {
        theirs += shard.iter().filter(|(_, hold)| !archived.contains(&hold.drop)).count();
    });
    let ours = model.holds.len();
    if ours != theirs {
        return Err(format!("holds: model {ours}, engine {theirs}"));
    }
    for (drop, id) in DROPS.iter().enumerate() {
        let (ours, theirs) = (model.stock(drop), shown(engine, drop, now));
        if ours != theirs {
            return Err(format!("drop {id}: model {ours}, engine {theirs}"));
        }
    }
    defined::compare(engine, model, now)?;
    conserved(engine)
}

/// Whether counters and ledgers agree.
pub fn conserved(engine: &Engine) -> Result<(), String> {
    match engine.conservation_error() {
        0 => Ok(()),
        units => Err(format!("counters and ledgers disagree by {units} units")),
    }
}
