//! Lifecycle scenarios as text tables: each line of `crates/engine/tests/scenarios/*.txt` is an action and, after the
//! arrow, its result. `# …` is a comment. `crates/engine/tests/scenarios/README.md` describes the language.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use stockade_engine::attempt::Answer;
use stockade_simulation::prelude::*;

#[test]
fn every_scenario_goes_as_it_is_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<_> =
        fs::read_dir(&folder).expect("the folder").map(|entry| entry.expect("a file").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    assert!(files.len() >= 8, "only {} scenarios found", files.len());
    let mut wrong = String::new();
    for file in &files {
        let text = fs::read_to_string(file).expect("a scenario");
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut play = Play::new();
        for (number, line) in (1..).zip(text.lines()) {
            let said = line.split('#').next().unwrap_or_default().trim();
            if said.is_empty() {
                continue;
            }
            let (action, expected) = said.split_once("->").unwrap_or((said, ""));
            let got = play.act(action.trim());
            if got != expected.trim() {
                writeln!(
                    wrong,
                    "{name}:{number}: {}\n  expected: {}\n  got:      {got}",
                    action.trim(),
                    expected.trim()
                )
                .expect("text");
            }
        }
        play.known_to_followers();
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// A running scenario.
struct Play {
    world: World,
    engine: Option<Engine>,
    /// Holds by their names in the scenario.
    holds: BTreeMap<String, HoldId>,
    /// Revisions by their names in the scenario.
    revisions: BTreeMap<String, Lsn>,
}

impl Play {
    fn new() -> Self {
        let mut world = World::new();
        // A follower of the journal never forgets by time, so the engine must not either.
        world.options.bounds.retry_window = Millis::from_secs(10 * 365 * 24 * 3_600);
        let engine = world.start().0;
        Self { world, engine: Some(engine), holds: BTreeMap::new(), revisions: BTreeMap::new() }
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("a running engine")
    }

    /// Checks that followers of the journal, from any record on, have the engine's state.
    fn known_to_followers(&self) {
        let Some(engine) = &self.engine else { return };
        engine.journal().barrier().wait().expect("durable");
        known_to_followers(&self.world, AtOnce::Each, engine.inventory().digest());
    }

    fn act(&mut self, action: &str) -> String {
        let words: Vec<&str> = action.split_whitespace().collect();
        let now = self.world.now;
        match words.as_slice() {
            ["drop", id, settings @ ..] => {
                let command = CreateDrop { definition: parse_drop(id, settings), validate_only: false };
                self.shown(self.engine().create_drop(&command, Context::anonymous(now)))
            }
            ["pause", id] => self.steer(id, Steer::Pause),
            ["resume", id] => self.steer(id, Steer::Resume),
            ["close", id] => self.steer(id, Steer::Close),
            ["state", id] => self.shown(self.engine().get_drop(&drop_id(id), Context::anonymous(now))),
            ["stock", id, item] => self.stock(id, item),
            ["update", id, settings @ ..] => self.update(id, settings),
            ["adjust", id, item, name, change @ ..] => self.adjust(id, item, name, change),
            ["drops", state @ ..] => {
                let mut page = page::<DropView>(100);
                let archived = state.contains(&"archived").then_some(DropState::Archived);
                let filter = DropFilter { state: archived, ..DropFilter::default() };
                let _next =
                    self.engine().list_drops(&filter, None, &mut page, Context::anonymous(now)).expect("a page");
                page.into_shown().iter().map(|view| view.definition.id.to_string()).collect::<Vec<_>>().join(" ")
            }
            ["tick", span] => {
                self.world.now = now.plus(millis(span));
                String::new()
            }
            ["sweep"] => {
                self.engine().sweep_all(now);
                String::new()
            }
            ["archive"] => self.engine().archive(now).expect("a look").to_string(),
            ["snapshot"] => {
                self.engine().snapshot(&self.world.snapshots, now).expect("a snapshot");
                String::new()
            }
            ["stop"] => {
                self.engine().journal().close(now).expect("a clean stop");
                self.engine = None;
                String::new()
            }
            ["power", "cut"] => {
                self.world.journal.crash();
                self.engine = None;
                self.world.lose_power(7);
                String::new()
            }
            ["start"] => {
                self.engine = Some(self.world.start().0);
                String::new()
            }
            [verb, hold, rest @ ..] => {
                let id = self.hold(hold);
                let old = setting(rest, "supersedes").map(|old| self.hold(old));
                let answer = self.verb(verb, id, old, rest);
                let reported = self.reported(answer, *verb == "reserve");
                self.holds.iter().fold(reported, |reported, (name, id)| reported.replace(&id.to_string(), name))
            }
            other => panic!("not an action: {other:?}"),
        }
    }

    fn verb(&self, verb: &str, hold: HoldId, old: Option<HoldId>, rest: &[&str]) -> Result<Decided<Outcome>, Fault> {
        let now = self.world.now;
        let engine = self.engine();
        match (verb, rest) {
            ("reserve", [drop, customer, rest @ ..]) => {
                let mut command = reserve(hold, drop, customer, &wanted(rest));
                command.ttl = setting(rest, "ttl").map(millis);
                command.over_limits = setting(rest, "over").map(Into::into);
                for (key, value) in rest.iter().filter_map(|word| word.split_once('=')) {
                    if key == "tier" {
                        command.tiers.push(value.parse().expect("a tier"));
                    } else if let Some(kind) = key.strip_prefix("id:") {
                        command.identities.push((kind.parse().expect("a kind"), value.to_owned()));
                    }
                }
                (command.supersedes, command.allow_partial) = (old, rest.contains(&"partial"));
                engine.try_ask(&command, now)
            }
            ("extend", rest) => {
                let command = extend(hold, setting(rest, "ttl").map(millis));
                engine.try_ask(&command, now)
            }
            ("pay" | "unpay", []) => {
                let mut command = extend(hold, None);
                command.stage = Some(if verb == "pay" { Stage::Paying } else { Stage::Held });
                engine.try_ask(&command, now)
            }
            ("claim", [order, rest @ ..]) => {
                let mut command = claim(hold, order);
                command.lines = lines(&wanted(rest));
                if rest.contains(&"late") {
                    command.expired = ExpiredPolicy::TakeFreeStock;
                }
                engine.try_ask(&command, now)
            }
            ("release", []) => {
                let command = release(hold, &[]);
                engine.try_ask(&command, now)
            }
            ("release", ["keep", keep @ ..]) => {
                let command = release(hold, &wanted(keep));
                engine.try_ask(&command, now)
            }
            ("release", ["abandon"]) => {
                let command = Release { abandon_payment: true, ..release(hold, &[]) };
                engine.try_ask(&command, now)
            }
            ("return", rest) => {
                let returned = lines(&wanted(rest));
                let command = Return { target: target(hold), returned, restock: rest.contains(&"restock") };
                engine.try_ask(&command, now)
            }
            ("get", []) => {
                let found = settle(|| engine.get_hold(hold, None, Context::anonymous(now)))?;
                Ok(found.map(Outcome::Hold))
            }
            other => panic!("not a verb: {other:?}"),
        }
    }

    fn reported(&self, answer: Result<Decided<Outcome>, Fault>, with_shorts: bool) -> String {
        match answer {
            Err(fault) => fault_text(&fault),
            Ok(Decided { value: outcome, durable_after }) => {
                self.engine().journal().ticket(durable_after).wait().expect("a durable answer");
                match outcome {
                    Outcome::Hold(view) if with_shorts => hold_text(&view) + &shorts_text(&view),
                    Outcome::Hold(view) => hold_text(&view),
                    Outcome::Refused(refusal) => refusal_text(&refusal),
                }
            }
        }
    }

    fn steer(&self, id: &str, steer: Steer) -> String {
        self.shown(self.engine().steer(&drop_id(id), steer, Context::anonymous(self.world.now)))
    }

    fn shown(&self, answer: Answer<DropView>) -> String {
        durable(self.engine(), answer).map_or_else(|fault| fault_text(&fault), |view| format!("{:?}", view.state))
    }

    fn adjust(&mut self, id: &str, item: &str, name: &str, change: &[&str]) -> String {
        let change = match change {
            ["set", expected, units] => StockChange::SetReceived {
                expected: expected.parse().expect("units"),
                units: units.parse().expect("units"),
            },
            [delta] => StockChange::Delta(delta.parse().expect("units")),
            other => panic!("not a change: {other:?}"),
        };
        let n = self.number(name);
        let command = adjust(id, item, n, change);
        let adjusted = self.engine().adjust_stock(&command, Context::anonymous(self.world.now));
        durable(self.engine(), adjusted).map_or_else(|fault| fault_text(&fault), |_| self.stock(id, item))
    }

    fn update(&mut self, id: &str, settings: &[&str]) -> String {
        let mut command = update(self.engine(), id, self.world.now, |wanted| change(wanted, settings));
        if let Some(name) = setting(settings, "at") {
            command.revision = *self.revisions.entry(name.to_owned()).or_insert(command.revision);
        }
        self.shown(self.engine().update_drop(&command, Context::anonymous(self.world.now)))
    }

    fn stock(&self, id: &str, item: &str) -> String {
        let view = self.engine().get_drop(&drop_id(id), Context::anonymous(self.world.now)).expect("a drop").value;
        let place = view.definition.items.iter().position(|known| known.sku == sku(item)).expect("an item");
        let stock = view.stock[place][0];
        let out = stock.held + stock.paying + stock.claimed + stock.withdrawn;
        assert_eq!(stock.received, stock.free + out, "conservation");
        assert_eq!(self.engine().conservation_error(), 0);
        let mut text = format!("free {} held {}", stock.free, stock.held);
        for (name, units) in [("paying", stock.paying)].into_iter().filter(|(_, units)| *units > 0) {
            write!(text, " {name} {units}").expect("text");
        }
        write!(text, " claimed {}", stock.claimed).expect("text");
        let rest = [("withdrawn", stock.withdrawn), ("returned", stock.returned_total)];
        for (name, units) in rest.into_iter().filter(|(_, units)| *units > 0) {
            write!(text, " {name} {units}").expect("text");
        }
        text
    }

    fn hold(&mut self, name: &str) -> HoldId {
        let next = u64::try_from(self.holds.len()).expect("a count");
        *self.holds.entry(name.to_owned()).or_insert_with(|| hold_id(next))
    }

    /// A number for a name, always the same for the same name.
    fn number(&mut self, name: &str) -> u64 {
        let id = self.hold(name);
        u64::from_be_bytes(id.as_bytes()[8..].try_into().expect("eight bytes"))
    }
}

fn hold_text(view: &HoldView) -> String {
    let hold = &view.hold;
    let mut text = format!("{:?}", hold.state).to_uppercase();
    for line in hold.shown_lines() {
        let name = view.definition.sku(line.item);
        write!(text, " {name}={}", line.quantity).expect("text");
        if line.released > 0 {
            write!(text, "(-{})", line.released).expect("text");
        }
        if line.returned > 0 {
            write!(text, "(<{})", line.returned).expect("text");
        }
    }
    if hold.state.is_live() {
        write!(text, " until {}", span(START.until(hold.expires_at()))).expect("text");
    }
    if let Some(order_ref) = hold.order_ref() {
        write!(text, " for {order_ref}").expect("text");
    }
    if hold.is_late() {
        text.push_str(" late");
    }
    if let Some(by) = hold.superseded_by() {
        write!(text, " by {by}").expect("text");
    }
    text
}

fn shorts_text(view: &HoldView) -> String {
    let shorts = view.short_lines();
    let reported = shorts
        .iter()
        .map(|line| format!(" {}:{}={}of{}", line.sku, line.reason.label(), line.available, line.requested));
    if shorts.is_empty() { String::new() } else { format!(" short{}", reported.collect::<String>()) }
}

fn refusal_text(refusal: &Refusal) -> String {
    let Refusal { reason, rule: _, sku: _, retry_after, may_come_back, lines, limit, hold } = refusal;
    let mut text = reason.label().to_uppercase();
    for line in lines {
        write!(text, " {}", line.sku).expect("text");
        if line.reason != *reason {
            write!(text, ":{}", line.reason.label()).expect("text");
        }
        write!(text, "={}of{}", line.available, line.requested).expect("text");
    }
    if let Some(limit) = limit {
        write!(text, " limit {} {}/{}", limit.id, limit.used, limit.max).expect("text");
        if let Some(kind) = &limit.identity_kind {
            write!(text, " by {kind}").expect("text");
        }
    }
    if let Some(retry_after) = retry_after {
        write!(text, " retry {}", span(*retry_after)).expect("text");
    }
    if *reason == Reason::SoldOut && retry_after.is_some() {
        assert!(may_come_back, "at an instant that is known: {text}");
    } else if *may_come_back {
        text.push_str(" may come back");
    }
    if let Some(view) = hold {
        write!(text, " [{}]", hold_text(view)).expect("text");
    }
    text
}

fn fault_text(fault: &Fault) -> String {
    match fault {
        Fault::Invalid(violations) => {
            let fields: Vec<&str> = violations.iter().map(|violation| violation.field.as_str()).collect();
            format!("invalid {}", fields.join(" "))
        }
        Fault::NoDrop(_) | Fault::NoHold(_) | Fault::NoDefinition(..) => "not found".to_owned(),
        Fault::Exists { field, .. } => format!("exists with another {field}"),
        Fault::Stale(_) => "stale".to_owned(),
        Fault::Precondition(_) => "failed precondition".to_owned(),
        Fault::Exhausted(what) | Fault::Overloaded(what) | Fault::Suspended(what) => (*what).to_owned(),
        Fault::InDoubt | Fault::JournalFailed => fault.to_string(),
    }
}

/// `KNIFE=3` pairs; words with other keys are left out.
fn wanted<'a>(words: &[&'a str]) -> Vec<(&'a str, u32)> {
    let mut summed: Vec<(&str, u32)> = Vec::new();
    let other = |key: &str| ["ttl", "tier", "over", "supersedes"].contains(&key) || key.starts_with("id:");
    for (name, units) in words.iter().filter_map(|word| word.split_once('=')).filter(|(key, _)| !other(key)) {
        let units = units.parse::<u32>().expect("units");
        match summed.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += units,
            None => summed.push((name, units)),
        }
    }
    summed
}

fn setting<'a>(words: &[&'a str], key: &str) -> Option<&'a str> {
    words.iter().filter_map(|word| word.split_once('=')).find(|(name, _)| *name == key).map(|(_, value)| value)
}

fn parse_drop(id: &str, settings: &[&str]) -> Definition {
    let mut items = Vec::new();
    let mut limits = Vec::new();
    for (key, value) in settings.iter().filter_map(|word| word.split_once('=')) {
        match key {
            "item" => {
                let (name, units) = value.split_once(':').expect("item=SKU:units");
                items.push((name, units.parse().expect("units")));
            }
            "limit" => limits.push(parse_limit(value)),
            "ttl" | "life" | "opens" | "closes" | "shop" | "series" => {}
            other => panic!("not a setting of a drop: {other}"),
        }
    }
    let mut definition = Definition { limits, ..definition(id, &items, &[]) };
    if let Some(shop) = setting(settings, "shop") {
        definition.shop = shop.parse().expect("a shop");
    }
    definition.series = setting(settings, "series").map(|series| series.parse().expect("a series"));
    if let Some(ttl) = setting(settings, "ttl") {
        definition.terms.hold_ttl = millis(ttl);
        definition.terms.max_hold_life = definition.terms.hold_ttl.doubled();
    }
    if let Some(life) = setting(settings, "life") {
        definition.terms.max_hold_life = millis(life);
    }
    definition.schedule.opens_at = setting(settings, "opens").map(at);
    definition.schedule.closes_at = setting(settings, "closes").map(at);
    definition
}

/// `ID:scope` and its parts, such as `cards:series:2:by=card`.
fn parse_limit(text: &str) -> Limit {
    let mut parts = text.split(':');
    let id = parts.next().expect("an id").parse().expect("an id");
    let scope = match parts.next() {
        Some("item") => Scope::Item,
        Some("drop") => Scope::Drop,
        Some("series") => Scope::Series,
        Some("shop") => Scope::Shop,
        other => panic!("not a scope: {other:?}"),
    };
    let mut limit = Limit::new(id, scope);
    let units = |text: &str| text.parse::<u32>().expect("units");
    for part in parts {
        match part.split_once('=') {
            None => limit.max_units = Some(units(part)),
            Some(("by", kind)) => limit.identity_kind = Some(kind.parse().expect("a kind")),
            Some(("of", skus)) => limit.skus = skus.split(',').map(sku).collect(),
            Some(("tier", most)) => {
                let (tier, most) = most.split_once('/').expect("tier=NAME/units");
                limit.max_units_by_tier.insert(tier.parse().expect("a tier"), units(most));
            }
            Some(("live", most)) => limit.max_live_units = Some(units(most)),
            Some(("holds", most)) => limit.max_live_holds = Some(units(most)),
            Some(("rolling", span)) => limit.rolling = Some(millis(span)),
            Some(("cooldown", span)) => limit.cooldown = Some(millis(span)),
            Some(other) => panic!("not a part of a limit: {other:?}"),
        }
    }
    limit
}

/// Changes a definition by the settings. An existing item gets other units, a new one is added; limits replace all
/// existing ones.
fn change(wanted: &mut Definition, settings: &[&str]) {
    let named = |key: &str| settings.iter().any(|word| word.starts_with(key));
    let fresh: Vec<&str> = settings.iter().copied().filter(|word| *word != "limit=none" && is_of_drop(word)).collect();
    let said = parse_drop("said", &fresh);
    for item in said.items {
        match wanted.items.iter_mut().find(|known| known.sku == item.sku) {
            Some(known) => *known = item,
            None => wanted.items.push(item),
        }
    }
    if named("limit=") {
        wanted.limits = said.limits;
    }
    if named("ttl=") {
        wanted.terms.hold_ttl = said.terms.hold_ttl;
    }
    if named("life=") {
        wanted.terms.max_hold_life = said.terms.max_hold_life;
    }
    wanted.schedule.opens_at = said.schedule.opens_at.or(wanted.schedule.opens_at);
    wanted.schedule.closes_at = said.schedule.closes_at.or(wanted.schedule.closes_at);
    if let Some(title) = setting(settings, "title") {
        title.clone_into(&mut wanted.title);
    }
    if let Some(shop) = setting(settings, "shop") {
        wanted.shop = shop.try_into().expect("a shop");
    }
}

fn is_of_drop(word: &str) -> bool {
    !["title=", "shop=", "at="].iter().any(|key| word.starts_with(key))
}

fn at(text: &str) -> Timestamp {
    START.plus(millis(text))
}

fn millis(text: &str) -> Millis {
    Millis::from(humantime::parse_duration(text).unwrap_or_else(|error| panic!("{text}: {error}")))
}

fn span(span: Millis) -> String {
    humantime::format_duration(span.duration()).to_string().replace(' ', "")
}
