//! Mutants of the journal's hand-off to its writer.

use super::Mutant;

/// The modelled files of `src/journal`.
pub const FILES: [&str; 7] = [PERMITS, PROGRESS, QUEUE, SHARED, "ticket.rs", WAITERS, WRITER];

const PERMITS: &str = "permits.rs";
const PROGRESS: &str = "progress.rs";
const QUEUE: &str = "queue.rs";
const SHARED: &str = "shared.rs";
const WAITERS: &str = "waiters.rs";
const WRITER: &str = "writer.rs";

pub const MUTANTS: [Mutant; 24] = [
    Mutant {
        name: "doze_after_the_look",
        file: QUEUE,
        sound: "let late =\n                \
                || if progress.parker.prepare_park() > progress.durable() { self.take(&mut state) } else { None };",
        spoilt: "let late = || {\n                progress.parker.prepare_park();\n                None\n            \
                };",
    },
    Mutant {
        name: "up_before_it_sleeps",
        file: QUEUE,
        sound: "            drop(state);\n            thread::park_timeout(FLUSH_INTERVAL);",
        spoilt: "            drop(state);\n            progress.parker.cancel_park();\n            \
                thread::park_timeout(FLUSH_INTERVAL);",
    },
    Mutant {
        name: "enough_that_does_not_ring",
        file: QUEUE,
        sound: "        if flush_due {\n            progress.parker.unpark();\n        }\n",
        spoilt: "        let _ = flush_due;\n",
    },
    Mutant {
        name: "close_that_does_not_ring",
        file: QUEUE,
        sound: "            state.phase = Phase::Closing(now);\n        }\n        drop(state);\n        \
                progress.parker.unpark();\n",
        spoilt: "            state.phase = Phase::Closing(now);\n        }\n        drop(state);\n        \
                 let _ = progress;\n",
    },
    Mutant {
        name: "closed_before_all_is_written",
        file: QUEUE,
        sound: "let at_once = woken || state.phase != Phase::Open ||",
        spoilt: "let at_once = woken ||",
    },
    Mutant {
        name: "push_after_the_close",
        file: QUEUE,
        sound: "        if state.phase != Phase::Open {\n            return Err(QueueClosed);\n        }\n",
        spoilt: "",
    },
    Mutant {
        name: "want_that_wakes_nobody",
        file: PROGRESS,
        sound: "                Ok(_) if word & ASLEEP != 0 => return self.unpark_writer(),\n",
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
        sound: "        let mut word = self.word.load(Ordering::Acquire);\n        \
                while word < wanted || word & ASLEEP != 0",
        spoilt: "        let mut word = self.word.load(Ordering::Acquire);\n        while word & ASLEEP != 0",
    },
    Mutant {
        name: "told_before_the_mark",
        file: PROGRESS,
        sound: "        self.durable.raise(lsn);\n        for waiters in self.local_lists.lock().iter() {\n            \
                waiters.notify(lsn, woken);\n        }\n        self.shared_waiters.notify(lsn, woken);\n",
        spoilt: "        for waiters in self.local_lists.lock().iter() {\n            \
                waiters.notify(lsn, woken);\n        }\n        self.shared_waiters.notify(lsn, woken);\n        \
                self.durable.raise(lsn);\n",
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
        spoilt: "        self.shared_waiters.wake_all();\n        let _first = self.failure.set(failure);\n        \
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
        sound: "            waiters.wake_all();\n",
        spoilt: "            let _ = waiters;\n",
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
        sound: "if matches!(list.delivery, Delivery::Closed) {",
        spoilt: "if false {",
    },
    Mutant {
        name: "local_waker_stored_after_the_look",
        file: WAITERS,
        sound: "            let mut list = waiters.list.lock();\n            \
                list.delivery = Delivery::ByLocalWaker(Some(context.waker().clone()));\n            \
                // Under the lock: who raises the mark from now on finds the waker.\n            \
                take(&mut list.all, progress.durable(), woken);\n",
        spoilt: "            take(&mut waiters.list.lock().all, progress.durable(), woken);\n            \
                 waiters.list.lock().delivery = Delivery::ByLocalWaker(Some(context.waker().clone()));\n",
    },
    Mutant {
        name: "local_waker_that_looks_before_the_lock",
        file: WAITERS,
        sound: "            let mut list = waiters.list.lock();\n            \
                list.delivery = Delivery::ByLocalWaker(Some(context.waker().clone()));\n            \
                // Under the lock: who raises the mark from now on finds the waker.\n            \
                take(&mut list.all, progress.durable(), woken);\n",
        spoilt: "            let durable = progress.durable();\n            let mut list = waiters.list.lock();\n            \
                list.delivery = Delivery::ByLocalWaker(Some(context.waker().clone()));\n            \
                take(&mut list.all, durable, woken);\n",
    },
    Mutant {
        name: "dropped_local_waker_that_tells_nobody",
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
        file: PERMITS,
        sound: "        let seen = self.0.fetch_add(count, Ordering::AcqRel);\n",
        spoilt: "        let seen = self.0.load(Ordering::Acquire);\n        \
                self.0.fetch_add(count, Ordering::AcqRel);\n",
    },
    Mutant {
        name: "refused_that_stays_inside",
        file: PERMITS,
        sound: "        if admitted < count {\n",
        spoilt: "        if admitted < count && admitted > 0 {\n",
    },
];
