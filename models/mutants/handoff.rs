//! Mutants of the journal's hand-off to its writer.

use super::Mutant;

/// The modelled files of `src/journal`.
pub const FILES: [&str; 7] = [GATE, PROGRESS, QUEUE, SHARED, "ticket.rs", WAITERS, WRITER];

const GATE: &str = "gate.rs";
const PROGRESS: &str = "progress.rs";
const QUEUE: &str = "queue.rs";
const SHARED: &str = "shared.rs";
const WAITERS: &str = "waiters.rs";
const WRITER: &str = "writer.rs";

pub const MUTANTS: [Mutant; 24] = [
    Mutant {
        name: "doze_after_the_look",
        file: QUEUE,
        sound: "let late = || if progress.bell.doze() > progress.durable() { self.take(&mut waiting) } else { None };",
        spoilt: "let late = || {\n                progress.bell.doze();\n                None\n            };",
    },
    Mutant {
        name: "up_before_it_sleeps",
        file: QUEUE,
        sound: "            drop(waiting);\n            thread::park_timeout(PATIENCE);",
        spoilt: "            drop(waiting);\n            progress.bell.rise();\n            thread::park_timeout(PATIENCE);",
    },
    Mutant {
        name: "enough_that_does_not_ring",
        file: QUEUE,
        sound: "        if enough {\n            progress.bell.ring();\n        }\n",
        spoilt: "        let _ = enough;\n",
    },
    Mutant {
        name: "close_that_does_not_ring",
        file: QUEUE,
        sound: "            waiting.phase = Phase::Closing(now);\n        }\n        drop(waiting);\n        \
                progress.bell.ring();\n",
        spoilt: "            waiting.phase = Phase::Closing(now);\n        }\n        drop(waiting);\n        \
                 let _ = progress;\n",
    },
    Mutant {
        name: "closed_before_all_is_written",
        file: QUEUE,
        sound: "let at_once = rung || waiting.phase != Phase::Open ||",
        spoilt: "let at_once = rung ||",
    },
    Mutant {
        name: "push_after_the_close",
        file: QUEUE,
        sound: "        if waiting.phase != Phase::Open {\n            return Err(Ended);\n        }\n",
        spoilt: "",
    },
    Mutant {
        name: "want_that_wakes_nobody",
        file: PROGRESS,
        sound: "                Ok(_) if word & ASLEEP != 0 => return self.wake(),\n",
        spoilt: "",
    },
    Mutant {
        name: "want_that_overlooks_the_sleeper",
        file: PROGRESS,
        sound: "while word < wanted || word & ASLEEP != 0 {",
        spoilt: "while word < wanted {",
    },
    Mutant {
        name: "wanted_that_is_not_said",
        file: PROGRESS,
        sound: "        let mut word = self.word.load(Ordering::Acquire);\n        while word < wanted || word & ASLEEP != 0",
        spoilt: "        let mut word = self.word.load(Ordering::Acquire);\n        while word & ASLEEP != 0",
    },
    Mutant {
        name: "told_before_the_mark",
        file: PROGRESS,
        sound: "        self.durable.raise(lsn);\n        for lane in self.lanes.lock().iter() {\n            \
                lane.tell(lsn, woken);\n        }\n        self.strays.tell(lsn, woken);\n",
        spoilt: "        for lane in self.lanes.lock().iter() {\n            lane.tell(lsn, woken);\n        }\n        \
                 self.strays.tell(lsn, woken);\n        self.durable.raise(lsn);\n",
    },
    Mutant {
        name: "relaxed_mark",
        file: PROGRESS,
        sound: "self.0.store(to.0, Ordering::Release);",
        spoilt: "self.0.store(to.0, Ordering::Relaxed);",
    },
    Mutant {
        name: "woken_before_the_failure",
        file: PROGRESS,
        sound: "        let _first = self.failure.set(failure);\n",
        spoilt: "        self.strays.wake_all();\n        let _first = self.failure.set(failure);\n        \
                 if true {\n            return;\n        }\n",
    },
    Mutant {
        name: "failure_before_the_mark",
        file: PROGRESS,
        sound: "Some(if self.durable() >= lsn { Ok(()) } else { Err(failure) })",
        spoilt: "Some(Err(failure))",
    },
    Mutant {
        name: "failure_told_to_strays_alone",
        file: PROGRESS,
        sound: "            lane.wake_all();\n",
        spoilt: "            let _ = lane;\n",
    },
    Mutant {
        name: "no_look_under_the_lock",
        file: WAITERS,
        sound: "if let Some(result) = reached() {",
        spoilt: "if let Some(result) = reached().filter(|_| false) {",
    },
    Mutant {
        name: "closed_list_that_takes_waiters",
        file: WAITERS,
        sound: "if matches!(list.told, Told::Closed) {",
        spoilt: "if false {",
    },
    Mutant {
        name: "courier_stored_after_the_look",
        file: WAITERS,
        sound: "            let mut list = lane.list.lock();\n            \
                list.told = Told::ByCourier(Some(context.waker().clone()));\n            \
                // Under the lock: who raises the mark from now on finds the waker.\n            \
                take(&mut list.all, progress.durable(), woken);\n",
        spoilt: "            take(&mut lane.list.lock().all, progress.durable(), woken);\n            \
                 lane.list.lock().told = Told::ByCourier(Some(context.waker().clone()));\n",
    },
    Mutant {
        name: "courier_that_looks_before_the_lock",
        file: WAITERS,
        sound: "            let mut list = lane.list.lock();\n            \
                list.told = Told::ByCourier(Some(context.waker().clone()));\n            \
                // Under the lock: who raises the mark from now on finds the waker.\n            \
                take(&mut list.all, progress.durable(), woken);\n",
        spoilt: "            let durable = progress.durable();\n            let mut list = lane.list.lock();\n            \
                 list.told = Told::ByCourier(Some(context.waker().clone()));\n            \
                 take(&mut list.all, durable, woken);\n",
    },
    Mutant {
        name: "dropped_courier_that_tells_nobody",
        file: WAITERS,
        sound: "        for waiter in left {\n            waiter.waker.wake();\n        }\n",
        spoilt: "        drop(left);\n",
    },
    Mutant {
        name: "mark_before_the_log",
        file: WRITER,
        sound: "        self.shared.log.append(first, &sealed)?;\n",
        spoilt: "        self.shared.progress.advance(Lsn(sealed.head().next().0.saturating_sub(1)), &mut self.woken);\n        \
                 self.shared.log.append(first, &sealed)?;\n",
    },
    Mutant {
        name: "tip_after_the_mark",
        file: WRITER,
        sound: "        *self.shared.tip.lock() = (last, self.chain);\n        \
                self.shared.progress.advance(last, &mut self.woken);\n",
        spoilt: "        self.shared.progress.advance(last, &mut self.woken);\n        \
                 *self.shared.tip.lock() = (last, self.chain);\n",
    },
    Mutant {
        name: "close_that_awaits_no_permits",
        file: SHARED,
        sound: "        self.await_permits(patience);\n",
        spoilt: "        let _ = patience;\n",
    },
    Mutant {
        name: "enter_that_looks_first",
        file: GATE,
        sound: "        let seen = self.0.fetch_add(count, Ordering::AcqRel);\n",
        spoilt: "        let seen = self.0.load(Ordering::Acquire);\n        self.0.fetch_add(count, Ordering::AcqRel);\n",
    },
    Mutant {
        name: "refused_that_stays_inside",
        file: GATE,
        sound: "        if admitted < count {\n",
        spoilt: "        if admitted < count && admitted > 0 {\n",
    },
];
