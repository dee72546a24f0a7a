//! What has fired stays as it is: an update that would change it is refused by field.

use stockade_types::definition::{Definition, Flow, Item, Moment, PriceStep, PriceTerms, Tranche, Trigger, Window};
use stockade_types::ids::{ItemNo, PoolNo};
use stockade_types::record::{FlowPlace, Lifecycle, MarkKind, each_planned, each_planned_mut};

/// The fields by which an update would change something that has fired: move its moment, change its trigger or what it
/// did, or take it away. So an id never gets the marks of another thing that had it, and there are never more marks than
/// one definition has rules. A moment that moves with the closing stays where it was.
pub(super) fn fired_differences(is: &Definition, wanted: &Definition, lifecycle: &Lifecycle) -> Vec<String> {
    let mut differing = Vec::new();
    windows(is, wanted, lifecycle, &mut differing);
    terms(is, wanted, lifecycle, &mut differing);
    tranches(is, wanted, lifecycle, &mut differing);
    flows(is, wanted, lifecycle, &mut differing);
    signals(is, wanted, lifecycle, &mut differing);
    differing
}

/// Gives moments that have fired the instant at which they came: one that is named by the closing does not move with it
/// any more. A slot that has begun keeps its end, too.
pub(super) fn keep_fired(is: &Definition, wanted: &mut Definition, lifecycle: &Lifecycle) {
    let mut fired: Vec<(MarkKind, Moment)> = Vec::new();
    each_planned(is, |kind, moment| {
        if lifecycle.has(kind) {
            fired.push((kind, moment));
        }
    });
    if fired.is_empty() {
        return;
    }
    each_planned_mut(wanted, |kind, moment| {
        let known = fired.iter().find(|(of, known)| *of == kind && known.named == moment.named);
        moment.at = known.map_or(moment.at, |(_, known)| known.at);
    });
    for (number, (known, item)) in (0..).map(ItemNo).zip(is.items.iter().zip(&mut wanted.items)) {
        if let (Some(known), Some(slot)) = (&known.slot, &mut item.slot)
            && lifecycle.has(MarkKind::SlotStarts(number))
            && slot.ends.named == known.ends.named
        {
            slot.ends.at = known.ends.at;
        }
    }
}

/// Whether both name the same moment.
fn same(one: Option<Moment>, other: Option<Moment>) -> bool {
    one.map(|moment| moment.named) == other.map(|moment| moment.named)
}

fn windows(is: &Definition, wanted: &Definition, lifecycle: &Lifecycle, differing: &mut Vec<String>) {
    for known in &is.rules.windows {
        let Some(number) = is.rules.names.window_no(&known.id) else { continue };
        let Window { starts, ends, .. } = known;
        let opened = lifecycle.has(MarkKind::WindowOpens(number)) || starts.is_none() && lifecycle.opened.is_some();
        let closed = lifecycle.has(MarkKind::WindowCloses(number));
        let found = wanted.rules.windows.iter().enumerate().find(|(_, window)| window.id == known.id);
        let Some((place, window)) = found else {
            if opened || closed {
                differing.push("drop.windows".to_owned());
            }
            continue;
        };
        if opened && !same(*starts, window.starts) {
            differing.push(format!("drop.windows[{place}].starts"));
        }
        if closed && !same(*ends, window.ends) {
            differing.push(format!("drop.windows[{place}].ends"));
        }
    }
}

fn terms(is: &Definition, wanted: &Definition, lifecycle: &Lifecycle, differing: &mut Vec<String>) {
    for known in &is.rules.prices {
        let Some(number) = is.rules.names.terms_no(&known.id) else { continue };
        let PriceTerms { starts, ends, steps, .. } = known;
        let found = wanted.rules.prices.iter().enumerate().find(|(_, terms)| terms.id == known.id);
        let Some((place, terms)) = found else {
            let stepped = (0..).zip(steps).any(|(step, _)| lifecycle.has(MarkKind::PriceStep(number, step)));
            if stepped || lifecycle.has(MarkKind::TermsStart(number)) || lifecycle.has(MarkKind::TermsEnd(number)) {
                differing.push("drop.terms".to_owned());
            }
            continue;
        };
        if lifecycle.has(MarkKind::TermsStart(number)) && !same(*starts, terms.starts) {
            differing.push(format!("drop.terms[{place}].starts"));
        }
        if lifecycle.has(MarkKind::TermsEnd(number)) && !same(*ends, terms.ends) {
            differing.push(format!("drop.terms[{place}].ends"));
        }
        for (step, known) in (0..).zip(steps) {
            let has_fired = lifecycle.has(MarkKind::PriceStep(number, step));
            if has_fired && terms.steps.get(usize::from(step)).map(plain_step) != Some(plain_step(known)) {
                differing.push(format!("drop.terms[{place}].steps[{step}]"));
            }
        }
    }
}

fn tranches(is: &Definition, wanted: &Definition, lifecycle: &Lifecycle, differing: &mut Vec<String>) {
    for known in &is.rules.tranches {
        let number = is.rules.names.tranche_no(&known.id);
        if !number.is_some_and(|number| lifecycle.has(MarkKind::Tranche(number))) {
            continue;
        }
        let plain = |tranche: &Tranche| Tranche { when: plain(&tranche.when), ..tranche.clone() };
        let place = wanted.rules.tranches.iter().position(|tranche| tranche.id == known.id);
        match place.and_then(|place| Some((place, wanted.rules.tranches.get(place)?))) {
            Some((_, tranche)) if plain(tranche) == plain(known) => {}
            Some((place, _)) => differing.push(format!("drop.tranches[{place}]")),
            None => differing.push("drop.tranches".to_owned()),
        }
    }
}

/// A signal that has fired, or was missed, keeps its trigger. What is handed on with it may change, for it may fire
/// again.
fn signals(is: &Definition, wanted: &Definition, lifecycle: &Lifecycle, differing: &mut Vec<String>) {
    for known in &is.rules.signals {
        let number = is.rules.names.signal_no(&known.id);
        if !number.is_some_and(|number| lifecycle.has(MarkKind::Signal(number))) {
            continue;
        }
        let place = wanted.rules.signals.iter().position(|signal| signal.id == known.id);
        match place.and_then(|place| Some((place, wanted.rules.signals.get(place)?))) {
            Some((_, signal)) if plain(&signal.on) == plain(&known.on) => {}
            Some((place, _)) => differing.push(format!("drop.signals[{place}].on")),
            None => differing.push("drop.signals".to_owned()),
        }
    }
}

fn flows(is: &Definition, wanted: &Definition, lifecycle: &Lifecycle, differing: &mut Vec<String>) {
    for (number, (known, item)) in (0..).map(ItemNo).zip(is.items.iter().zip(&wanted.items)) {
        for ((from, to), flow) in known.flows() {
            let place = FlowPlace { item: number, from, to };
            let known = Flow { when: flow.when.as_ref().map(plain), ..flow.clone() };
            if lifecycle.has(MarkKind::Flow(place)) && !has_flow(item, from, &known) {
                differing.push(format!("drop.items[{}].pools[{}].flows", number.0, from.0));
            }
        }
    }
}

fn has_flow(item: &Item, from: PoolNo, known: &Flow) -> bool {
    let same = |flow: &Flow| Flow { when: flow.when.as_ref().map(plain), ..flow.clone() } == *known;
    item.pools.get(from.index()).is_some_and(|pool| pool.flows.iter().any(same))
}

fn plain_step(step: &PriceStep) -> PriceStep {
    PriceStep { when: plain(&step.when), price: step.price }
}

/// The trigger as it was defined, without the instant that its moment was resolved to.
fn plain(trigger: &Trigger) -> Trigger {
    match trigger {
        Trigger::Moment(moment) => Trigger::Moment(moment.named.into()),
        Trigger::Stock(level) => Trigger::Stock(level.clone()),
    }
}
