//! Series and webhooks: what operators do with them, the drops that series make, and how far deliveries are; and the
//! comparison of all of it with the model.

use stockade_engine::Engine;
use stockade_engine::answer::{DropState, Fault};
use stockade_engine::background::agenda::AgendaEntry;
use stockade_engine::context::Context;
use stockade_engine::operators::define::Define;
use stockade_engine::operators::series::{CreateSeries, UpdateSeries};
use stockade_types::definition::Schedule;
use stockade_types::ids::{DefinedId, Lsn, SeriesId};
use stockade_types::record::{DefinedKind, OccurrenceVerb};
use stockade_types::series::{Series, SeriesState};
use stockade_types::time::{Millis, Timestamp};
use stockade_types::webhook::{EventPlace, Progress, WebhookProgress};

use crate::dice::Dice;
use crate::model::defined::{Came, Made, Makes, ModelSeries, ModelWebhook, SERIES, WEBHOOKS, local};
use crate::model::says::Said;
use crate::model::state::Model;
use crate::model::words::{START, definition, drop_id};
use crate::simulation::{Checked, Plant, Simulation};

const HOUR: u64 = 60;
const DAY: u64 = 24 * HOUR;

impl Simulation {
    /// An operator defines something, or a dispatcher keeps how far it is.
    pub(crate) fn define(&mut self) -> Checked {
        match self.dice.below(10) {
            0..=2 => self.create_series(),
            3..=5 => self.update_series(),
            6..=7 => self.define_webhook(),
            _ => self.deliver(),
        }
    }

    fn create_series(&mut self) -> Checked {
        let mut before = self.before();
        let number = self.dice.place(SERIES);
        let wanted = drawn(&mut self.dice, self.machine.now() / 60_000);
        let command = CreateSeries { series: as_defined(number, &wanted), validate_only: false };
        let engine = self.engine();
        let text = match engine.create_series(&command, Context::anonymous(self.machine.instant())) {
            Ok(made) => format!("{:?}", made.value.view.state),
            Err(refused) => said(&refused.value),
        };
        let (expected, states) = before.seen.create_series(number, wanted);
        self.coverage.count(if states.is_empty() { "did create a series again" } else { "did create a series" });
        self.defined_as(before, &format!("creates series {number}"), (expected, text), states)
    }

    fn update_series(&mut self) -> Checked {
        let mut before = self.before();
        let number = self.dice.place(SERIES);
        let makes = self.dice.weighted(&[(4, Makes::Drops), (4, Makes::NoneForNow), (1, Makes::NoneEver)]);
        let title = u8::try_from(self.dice.below(2)).expect("few");
        let engine = self.engine();
        let context = Context::anonymous(self.machine.instant());
        let known = before.seen.defined.series[number].clone();
        let wanted = known.map(|known| ModelSeries { makes, title, ..known });
        let text = match (engine.get_series(&series_id(number), context), wanted) {
            (Ok(view), Some(wanted)) => {
                let (series, revision) = (as_defined(number, &wanted), view.value.revision);
                let command = UpdateSeries { series, keep_state: false, revision, validate_only: false };
                match engine.update_series(&command, context) {
                    Ok(changed) => format!("{:?}", changed.value.view.state),
                    Err(refused) => said(&refused.value),
                }
            }
            (Err(refused), None) => said(&refused.value),
            (view, wanted) => return self.violated(format!("model {wanted:?}, engine {view:?}")),
        };
        let (expected, states) = before.seen.update_series(number, makes, title);
        self.coverage.count("did update a series");
        self.defined_as(before, &format!("updates series {number} to {makes:?}"), (expected, text), states)
    }

    fn define_webhook(&mut self) -> Checked {
        let mut before = self.before();
        let number = self.dice.place(WEBHOOKS);
        let version = (!self.dice.percent(25)).then(|| u8::try_from(self.dice.below(3)).expect("few"));
        let engine = self.engine();
        let context = Context::anonymous(self.machine.instant());
        let (kind, id) = (DefinedKind::Webhook, webhook_id(number));
        let known = engine.defined(kind, &id).ok().map(|known| known.value.revision);
        let (text, did) = match (version, known) {
            (None, _) => (engine.undefine(kind, &id, context).map(|_deleted| ()), "delete"),
            (Some(version), Some(base)) => {
                (engine.redefine(as_webhook(&id, version), base, context).map(|_changed| ()), "update")
            }
            (Some(version), None) => (engine.define(as_webhook(&id, version), context).map(|_made| ()), "create"),
        };
        let done = || "done".to_owned();
        let text = text.map_or_else(|refused| said(&refused.value), |_decided| done());
        let changes = before.seen.define_webhook(number, version);
        if changes {
            self.coverage.count(&format!("did {did} a webhook"));
        }
        let states = if changes { vec![before.seen.clone()] } else { Vec::new() };
        self.defined_as(before, &format!("webhook {number} becomes {version:?}"), (done(), text), states)
    }

    /// Keeps how far deliveries are: what is durable was delivered.
    fn deliver(&mut self) -> Checked {
        let mut before = self.before();
        let engine = self.engine();
        let durable = engine.journal().durable().0;
        let late = u64::from(self.options.plant == Some(Plant::LateDelivery));
        let mut kept = Vec::new();
        for (number, webhook) in before.seen.defined.webhooks.iter_mut().enumerate() {
            let Some(webhook) = webhook.as_mut().filter(|webhook| webhook.delivered < Some(durable)) else { continue };
            webhook.delivered = Some(durable);
            kept.push(WebhookProgress {
                webhook: webhook_id(number),
                created_at: START.plus(Millis(webhook.created_at)),
                progress: progress(durable - late),
            });
        }
        if kept.is_empty() {
            return Ok(());
        }
        let context = Context::anonymous(self.machine.instant());
        let text =
            engine.keep_progress(kept, context).map_or_else(|refused| said(&refused.value), |_| "done".to_owned());
        self.coverage.count("did keep what was delivered");
        let states = vec![before.seen.clone()];
        self.defined_as(before, &format!("all is delivered up to {durable}"), ("done".to_owned(), text), states)
    }

    fn defined_as(
        &mut self,
        mut before: crate::calls::Before,
        what: &str,
        (expected, text): (String, String),
        mut states: Vec<Model>,
    ) -> Checked {
        states.pop();
        before.earlier = states;
        let ticket = Some(self.engine().journal().barrier());
        self.operated(what, &expected, Said { text, ticket, shown: None })?;
        self.count_occurrences(&before.was, &before.seen);
        self.explain(before)
    }

    /// Lets series do what is due: what has passed is said, and drops are made, once; nothing else is done, nor sooner.
    pub(crate) fn look_at_series(&mut self) -> Checked {
        let now = self.machine.now();
        self.have_turns(AgendaEntry::Series, self.machine.instant());
        self.truth.now = now;
        let before = self.truth.clone();
        for number in 0..SERIES {
            for state in self.truth.clone().look_at_series(number) {
                self.truth = state;
                self.history.append(now, &self.truth);
            }
        }
        let after = self.truth.clone();
        self.count_occurrences(&before, &after);
        let (appended, last) = (self.engine().journal().appended().0, self.history.last());
        if appended == last || self.broken() {
            return Ok(());
        }
        self.violated(format!("after a look at series the journal goes to {appended}, the history to {last}"))
    }

    fn count_occurrences(&mut self, before: &Model, after: &Model) {
        let count = |model: &Model, what: Came| {
            let came = model.defined.series.iter().flatten().flat_map(|series| series.came.values());
            u64::try_from(came.filter(|came| **came == what).count()).expect("few")
        };
        for (what, name) in [(Came::Drop, "occurrence made"), (Came::Skip, "occurrence skipped")] {
            let more = count(after, what) - count(before, what);
            if more > 0 {
                self.coverage.add(name, more);
            }
        }
    }
}

/// A series with occurrences within the hour, and in a day.
fn drawn(dice: &mut Dice, minute: u64) -> ModelSeries {
    let mut minutes = vec![minute + dice.between(1, 4), minute + dice.between(5, HOUR)];
    for most in [3, 20, 2 * HOUR] {
        minutes.push(minute + DAY + dice.between(1, most));
    }
    minutes.sort_unstable();
    minutes.dedup();
    let makes = dice.weighted(&[(3, Makes::Drops), (1, Makes::NoneForNow)]);
    ModelSeries { makes, title: 0, minutes, since: 0, came: std::collections::BTreeMap::new() }
}

fn series_id(number: usize) -> SeriesId {
    format!("series-{number}").parse().expect("an id")
}

fn webhook_id(number: usize) -> DefinedId {
    format!("webhook-{number}").parse().expect("an id")
}

fn as_defined(number: usize, wanted: &ModelSeries) -> Series {
    let mut template = definition("template", &[("A", 5)], &[]);
    template.schedule = Schedule::default();
    let dates = wanted.minutes.iter().skip(1).map(|minute| format!("RDATE:{}", local(*minute)[1]));
    Series {
        id: series_id(number),
        shop: template.shop.clone(),
        title: format!("title {}", wanted.title),
        state: match wanted.makes {
            Makes::Drops => SeriesState::Active,
            Makes::NoneForNow => SeriesState::Paused,
            Makes::NoneEver => SeriesState::Ended,
        },
        time_zone: "UTC".to_owned(),
        starts_at: local(wanted.minutes[0])[0].clone(),
        rules: dates.collect(),
        closes: None,
        template,
        create_ahead_days: 1,
        guards: Vec::new(),
        made_follow: false,
    }
}

fn as_webhook(id: &DefinedId, version: u8) -> Define {
    let (id, bytes) = (id.clone(), [version].into());
    Define { kind: DefinedKind::Webhook, id, request: [version; 32], bytes, validate_only: false }
}

fn progress(upto: u64) -> Progress {
    Progress {
        delivered_to: EventPlace { lsn: Lsn(upto), place: u16::MAX },
        era: 1,
        last_success_at: Some(START),
        failing_since: None,
        given_up: 0,
        last_error: String::new(),
    }
}

fn said(fault: &Fault) -> String {
    if matches!(fault, Fault::Exists { .. }) {
        "exists".to_owned()
    } else if matches!(fault, Fault::NoDefinition(..)) {
        "not found".to_owned()
    } else {
        fault.to_string()
    }
}

/// The first difference between what is defined, and came of it, in the engine and in the model, if any.
pub fn compare(engine: &Engine, model: &Model, now: Timestamp) -> Result<(), String> {
    let drops = engine.inventory().drops.all().len();
    let expected = model.drops.len() + model.defined.made.len();
    if drops != expected {
        return Err(format!("drops: model {expected}, engine {drops}"));
    }
    for Made { series, minute, opened } in &model.defined.made {
        let id = drop_id(&format!("series-{series}-{}", local(*minute)[2]));
        let found = engine.get_drop(&id, Context::anonymous(now));
        let found = found.map(|found| (found.value.state, START.until(found.value.opens_at).0));
        let state = if *opened { DropState::Open } else { DropState::Scheduled };
        if found != Ok((state, minute * 60_000)) {
            return Err(format!("drop {id} of a series: model {state:?}, engine {found:?}"));
        }
    }
    for number in 0..SERIES {
        let table = engine.inventory().definitions.lock(DefinedKind::Series);
        let id = series_id(number);
        let known = table.get(&id.as_str().parse().expect("an id")).map(|known| known.fact.image.bytes.clone());
        drop(table);
        let ours = model.defined.series[number].as_ref();
        let wanted = ours.map(|series| as_defined(number, series).encode().into_boxed_slice());
        if known != wanted {
            return Err(format!("series {number}: model {ours:?}, engine has another"));
        }
        let occurrences = engine.inventory().occurrences.lock();
        let came = occurrences.of(&id).map(|occurred| {
            let came = match occurred.fact.verb {
                OccurrenceVerb::Create => Some(Came::Drop),
                OccurrenceVerb::Skip => Some(Came::Skip),
                OccurrenceVerb::Change | OccurrenceVerb::Cancel | OccurrenceVerb::Fail => None,
            };
            (START.until(occurred.fact.opens_at).0 / 60_000, came)
        });
        let came: Vec<_> = came.collect();
        let expected: Vec<_> =
            ours.into_iter().flat_map(|series| &series.came).map(|(minute, came)| (*minute, Some(*came))).collect();
        if came != expected {
            return Err(format!("occurrences of series {number}: model {expected:?}, engine {came:?}"));
        }
    }
    for number in 0..WEBHOOKS {
        let id = webhook_id(number);
        let known = engine.defined(DefinedKind::Webhook, &id).ok().map(|known| {
            let image = &known.value.fact.image;
            let delivered = engine.webhook_progress(&id).map(|known| known.delivered_to.lsn.0);
            let created_at = START.until(image.created_at).0;
            ModelWebhook { version: image.bytes[0], created_at, delivered }
        });
        if known != model.defined.webhooks[number] {
            let ours = model.defined.webhooks[number];
            return Err(format!("webhook {number}: model {ours:?}, engine {known:?}"));
        }
    }
    Ok(())
}
