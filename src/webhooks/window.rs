//! The events of one webhook that are on their way: which may be sent now, and how far all were delivered.
//!
//! Pure: time, chance and outcomes are arguments. Events of one drop are sent in their order, one delivery at a time;
//! events of different drops do not wait for each other. After a failure the whole webhook waits and then sends one
//! delivery at a time until one succeeds, so a receiver that is down gets few requests, whatever waits for it.

use std::collections::{HashMap, VecDeque};

use stockade_feed::{Event, Position};
use stockade_types::ids::DropId;
use stockade_types::time::{Millis, Timestamp};

use super::outcome::Outcome;
use super::retry;

/// Most events of a webhook on their way.
pub const EVENTS_MAX: usize = 1_000;
/// Most bytes of a webhook's events on their way; one event is accepted whatever its size.
pub const BYTES_MAX: usize = 256 * 1024;
/// Most deliveries of a webhook at once.
pub const AT_ONCE_MAX: usize = 8;
/// How many it begins with: little, since nothing is known of how long its receiver takes.
const AT_ONCE_FIRST: usize = 2;
/// How many events a webhook that fails keeps in memory; the others are read again.
const KEPT_WHILE_FAILING: usize = 16;

/// The shortest wait of a receiver that asks for one.
const ASKED_MIN: Millis = Millis::from_secs(1);

/// The number of an event in a window: the next one is one more.
type Place = u64;
/// What events are ordered by: their drop; those without one are a group of their own.
type Group = Option<DropId>;

/// An event on its way.
#[derive(Debug)]
struct Entry {
    /// The event; none once it was delivered or given up.
    event: Option<Event>,
    /// The position after it.
    position: Position,
    /// When it is given up.
    deadline: Timestamp,
    is_sent: bool,
}

/// The events of one drop that are on their way.
#[derive(Debug, Default)]
struct Line {
    places: VecDeque<Place>,
    /// A delivery with some of them is on its way.
    is_sent: bool,
    /// Failures of the first one.
    failures: u32,
    /// When the first one may be sent.
    next_try: Timestamp,
}

/// What is known of the receiver.
#[derive(Debug)]
struct Receiver {
    /// Failures since the last success; those of deliveries that were under way together count once.
    failures: u32,
    /// The last delivery that was begun before the last failure.
    failed_upto: u64,
    next_try: Timestamp,
    at_once: usize,
    at_once_max: usize,
    /// Most events in one delivery now.
    batch: usize,
}

/// A delivery to be sent: these events, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sending {
    /// Its number.
    number: u64,
    places: Vec<Place>,
}

/// A webhook's events on their way.
#[derive(Debug)]
pub struct Window {
    entries: VecDeque<Entry>,
    /// The place of the first entry.
    first: Place,
    lines: HashMap<Group, Line>,
    receiver: Receiver,
    bytes: usize,
    sent: usize,
    sendings: u64,
    batch_max: usize,
    /// Events that were forgotten since it was asked last.
    forgotten: usize,
    /// Everything up to here was delivered, given up, or is not for this webhook.
    delivered_to: Position,
    /// Everything up to here was read.
    read_to: Position,
}

impl Window {
    /// An empty window after this position, for deliveries of up to this many events.
    #[must_use]
    pub fn new(after: Position, batch_max: usize) -> Self {
        let batch_max = batch_max.max(1);
        let receiver = Receiver {
            failures: 0,
            failed_upto: 0,
            next_try: Timestamp(0),
            at_once: AT_ONCE_FIRST,
            at_once_max: AT_ONCE_MAX,
            batch: batch_max,
        };
        Self {
            entries: VecDeque::new(),
            first: 0,
            lines: HashMap::new(),
            receiver,
            bytes: 0,
            sent: 0,
            sendings: 0,
            batch_max,
            forgotten: 0,
            delivered_to: after,
            read_to: after,
        }
    }

    /// With at most this many deliveries at once, and in any case one.
    #[must_use]
    pub fn at_once(mut self, most: usize) -> Self {
        self.receiver.at_once_max = most.clamp(1, AT_ONCE_MAX);
        self.receiver.at_once = self.receiver.at_once.min(self.receiver.at_once_max);
        self
    }

    /// As after a failure, but with nothing to wait for: the receiver has failed before this window.
    #[must_use]
    pub const fn failing(mut self) -> Self {
        self.receiver.failures = 1;
        self.receiver.at_once = 1;
        self
    }

    /// Everything up to here was delivered, given up, or is not for this webhook.
    #[must_use]
    pub const fn delivered_to(&self) -> Position {
        self.delivered_to
    }

    /// Everything up to here was read.
    #[must_use]
    pub const fn read_to(&self) -> Position {
        self.read_to
    }

    /// Events that wait or are being sent.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lines.values().map(|line| line.places.len()).fold(0, usize::saturating_add)
    }

    /// Deliveries that are being sent.
    #[must_use]
    pub const fn sent(&self) -> usize {
        self.sent
    }

    /// Bytes of the events in memory.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many events were forgotten since the last call: they are behind [`Window::read_to`] again.
    pub fn take_forgotten(&mut self) -> usize {
        std::mem::take(&mut self.forgotten)
    }

    /// Whether there is nothing on its way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether the last deliveries have failed.
    #[must_use]
    pub const fn is_failing(&self) -> bool {
        self.receiver.failures > 0
    }

    /// Whether an event of this size is accepted.
    #[must_use]
    pub fn has_room(&self, bytes: usize) -> bool {
        let most = if self.is_failing() { KEPT_WHILE_FAILING } else { EVENTS_MAX };
        self.entries.is_empty() || (self.entries.len() < most && self.bytes.saturating_add(bytes) <= BYTES_MAX)
    }

    /// Adds the next event, which is given up at this instant.
    pub fn push(&mut self, event: Event, deadline: Timestamp) {
        let place = self.first.saturating_add(count(self.entries.len()));
        let group = event.drop.as_deref().map(|drop| drop.id.clone());
        self.lines.entry(group).or_default().places.push_back(place);
        self.bytes = self.bytes.saturating_add(event.weight());
        self.read_to = event.position;
        let position = event.position;
        self.entries.push_back(Entry { event: Some(event), position, deadline, is_sent: false });
    }

    /// Everything up to here was read.
    pub fn read_upto(&mut self, position: Position) {
        self.read_to = self.read_to.max(position);
        if self.entries.is_empty() {
            self.delivered_to = self.read_to;
        }
    }

    /// The events of a delivery, in order.
    pub fn events(&self, sending: &Sending) -> Vec<&Event> {
        sending.places.iter().filter_map(|place| self.entry(*place)?.event.as_ref()).collect()
    }

    /// When the next delivery may be sent; none while there is nothing to send, or enough is being sent.
    #[must_use]
    pub fn ready_at(&self) -> Option<Timestamp> {
        if self.sent >= self.receiver.at_once {
            return None;
        }
        let ready = self.lines.values().filter(|line| !line.is_sent && !line.places.is_empty());
        ready.map(|line| line.next_try.max(self.receiver.next_try)).min()
    }

    /// The next delivery, if one may be sent now. It counts as being sent until [`Window::finish`].
    pub fn next(&mut self, now: Timestamp) -> Option<Sending> {
        if self.ready_at()? > now {
            return None;
        }
        let places = self.choose(now);
        if places.is_empty() {
            return None;
        }
        for place in &places {
            let Some(group) = self.group(*place) else { continue };
            if let Some(line) = self.lines.get_mut(&group) {
                line.is_sent = true;
            }
            if let Some(entry) = self.entry_mut(*place) {
                entry.is_sent = true;
            }
        }
        self.sent = self.sent.saturating_add(1);
        self.sendings = self.sendings.saturating_add(1);
        Some(Sending { number: self.sendings, places })
    }

    /// The next events to send: those that never failed first, then in order.
    fn choose(&self, now: Timestamp) -> Vec<Place> {
        let is_ready = |line: &&Line| !line.is_sent && line.next_try <= now;
        if self.receiver.batch <= 1 {
            let heads = self.lines.values().filter(is_ready).filter_map(|line| Some((line, *line.places.front()?)));
            let first = heads.min_by_key(|(line, place)| (line.failures, *place));
            return first.map(|(_, place)| place).into_iter().collect();
        }
        let mut bytes = 0_usize;
        let mut places = Vec::new();
        for (place, entry) in (self.first..).zip(&self.entries) {
            let Some(event) = entry.event.as_ref().filter(|_| !entry.is_sent) else { continue };
            let group = event.drop.as_deref().map(|drop| drop.id.clone());
            if !self.lines.get(&group).as_ref().is_some_and(is_ready) {
                continue;
            }
            bytes = bytes.saturating_add(event.weight());
            if !places.is_empty() && (places.len() >= self.receiver.batch || bytes > BYTES_MAX) {
                break;
            }
            places.push(place);
        }
        places
    }

    /// Takes in what became of a delivery. `random` is a number drawn evenly from all of its type. Returns how many
    /// events were delivered.
    pub fn finish(&mut self, sending: &Sending, outcome: Outcome, now: Timestamp, random: u32) -> usize {
        self.sent = self.sent.saturating_sub(1);
        let is_delivered = outcome == Outcome::Delivered;
        if is_delivered {
            self.succeeded();
        } else {
            self.failed(sending, outcome, now, random);
        }
        let mut groups: Vec<Group> = sending.places.iter().filter_map(|place| self.group(*place)).collect();
        groups.sort_unstable();
        groups.dedup();
        for group in groups {
            let Some(line) = self.lines.get_mut(&group) else { continue };
            line.is_sent = false;
            if is_delivered {
                (line.failures, line.next_try) = (0, Timestamp(0));
            } else {
                line.failures = line.failures.saturating_add(1);
                line.next_try = now.plus(pause(outcome, line.failures, random));
            }
        }
        for place in &sending.places {
            if let Some(entry) = self.entry_mut(*place) {
                entry.is_sent = false;
            }
            if is_delivered {
                self.end(*place);
            }
        }
        self.advance();
        if is_delivered { sending.places.len() } else { 0 }
    }

    fn succeeded(&mut self) {
        let was_down = self.receiver.failures > 1;
        self.receiver.failures = 0;
        self.receiver.next_try = Timestamp(0);
        self.receiver.at_once = self.receiver.at_once.saturating_mul(2).min(self.receiver.at_once_max);
        self.receiver.batch = self.receiver.batch.saturating_mul(2).min(self.batch_max);
        if was_down {
            // It was down, and is back: what failed meanwhile need not wait any longer. After a single failure, which
            // may be due to its event, the event keeps its own wait.
            for line in self.lines.values_mut().filter(|line| !line.is_sent) {
                line.next_try = Timestamp(0);
            }
        }
    }

    fn failed(&mut self, sending: &Sending, outcome: Outcome, now: Timestamp, random: u32) {
        let receiver = &mut self.receiver;
        receiver.at_once = 1;
        receiver.batch = (receiver.batch / 2).max(1);
        if sending.number > receiver.failed_upto {
            receiver.failures = receiver.failures.saturating_add(1);
            receiver.failed_upto = self.sendings;
        }
        receiver.next_try = receiver.next_try.max(now.plus(pause(outcome, receiver.failures, random)));
        self.forget_the_last();
    }

    /// Forgets the events beyond the first few, which are read again later. Stops at an event that is being sent.
    fn forget_the_last(&mut self) {
        while self.entries.len() > KEPT_WHILE_FAILING
            && let Some(last) = self.entries.back()
            && !last.is_sent
            && last.event.is_some()
        {
            let place = self.first.saturating_add(count(self.entries.len())).saturating_sub(1);
            if let Some(group) = self.group(place)
                && let Some(line) = self.lines.get_mut(&group)
            {
                line.places.pop_back();
            }
            let event = self.entries.pop_back().and_then(|entry| entry.event);
            self.bytes = self.bytes.saturating_sub(event.map_or(0, |event| event.weight()));
            self.read_to = self.entries.back().map_or(self.delivered_to, |entry| entry.position);
            self.forgotten = self.forgotten.saturating_add(1);
        }
        self.lines.retain(|_, line| !line.places.is_empty());
    }

    /// Gives up the events whose deadline has passed. Returns how many.
    pub fn give_up(&mut self, now: Timestamp) -> usize {
        let due = (self.first..).zip(&self.entries);
        let due = due.filter(|(_, entry)| entry.event.is_some() && !entry.is_sent && entry.deadline <= now);
        let places: Vec<Place> = due.map(|(place, _)| place).collect();
        for place in &places {
            if let Some(group) = self.group(*place)
                && let Some(line) = self.lines.get_mut(&group)
                && !line.is_sent
                && line.places.front() == Some(place)
            {
                (line.failures, line.next_try) = (0, Timestamp(0));
            }
            self.end(*place);
        }
        self.advance();
        places.len()
    }

    /// The earliest instant at which an event is given up.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let waiting = self.entries.iter().filter(|entry| entry.event.is_some() && !entry.is_sent);
        waiting.map(|entry| entry.deadline).min()
    }

    /// Ends an event: it was delivered or given up.
    fn end(&mut self, place: Place) {
        if let Some(group) = self.group(place)
            && let Some(line) = self.lines.get_mut(&group)
        {
            if line.places.front() == Some(&place) {
                line.places.pop_front();
            } else {
                line.places.retain(|known| *known != place);
            }
        }
        let event = self.entry_mut(place).and_then(|entry| entry.event.take());
        self.bytes = self.bytes.saturating_sub(event.map_or(0, |event| event.weight()));
    }

    /// Removes what has ended from the front.
    fn advance(&mut self) {
        while self.entries.front().is_some_and(|entry| entry.event.is_none())
            && let Some(entry) = self.entries.pop_front()
        {
            self.first = self.first.saturating_add(1);
            self.delivered_to = entry.position;
        }
        if self.entries.is_empty() {
            self.delivered_to = self.read_to;
        }
        self.lines.retain(|_, line| !line.places.is_empty());
    }

    fn entry(&self, place: Place) -> Option<&Entry> {
        self.entries.get(usize::try_from(place.checked_sub(self.first)?).ok()?)
    }

    fn entry_mut(&mut self, place: Place) -> Option<&mut Entry> {
        self.entries.get_mut(usize::try_from(place.checked_sub(self.first)?).ok()?)
    }

    fn group(&self, place: Place) -> Option<Group> {
        let event = self.entry(place)?.event.as_ref()?;
        Some(event.drop.as_deref().map(|drop| drop.id.clone()))
    }
}

/// How long to wait after this many failures: never shorter than the receiver has asked for. What it asks for may be
/// nothing, or be over already, so it never makes the wait shorter either.
fn pause(outcome: Outcome, failures: u32, random: u32) -> Millis {
    match outcome {
        Outcome::Throttled(Some(asked)) => asked.max(retry::wait(failures, random)).max(ASKED_MIN),
        Outcome::Delivered
        | Outcome::Gone
        | Outcome::Throttled(None)
        | Outcome::Redirected
        | Outcome::Rejected
        | Outcome::TimedOut
        | Outcome::Unreachable
        | Outcome::Forbidden => retry::wait(failures, random),
    }
}

fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
