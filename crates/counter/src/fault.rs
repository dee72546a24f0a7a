//! Planted faults: one switch for each, which exists only in a build for a model checker.
//!
//! A model shows something only if it finds the fault that it is there to find. So the source names, at the place of
//! the step, what a fault would do instead, and a test plants one fault and must see its scenario fail:
//!
//! | in the source | in a usual build | under a checker, while `name` is planted |
//! |---|---|---|
//! | `ordering!(AcqRel, name)` | `Ordering::AcqRel` | `Ordering::Relaxed` |
//! | `sound!(step, name)` | `step` | nothing |
//! | `sound!(step, name, other)` | `step` | `other` |
//! | `fault!(name, step)` | nothing | `step`, which comes in addition, or returns |
//!
//! The macros of a usual build expand to exactly the second column: of a fault nothing is compiled, not even its
//! condition. Names are searched for as they stand: here, in the source, and in the tests of `models/`.

/// A memory ordering; `Relaxed` while the fault is planted.
#[cfg(not(any(loom, shuttle)))]
#[macro_export]
macro_rules! ordering {
    ($sound:ident, $name:ident) => {
        $crate::sync::Ordering::$sound
    };
}

/// A step; left out or replaced while the fault is planted.
#[cfg(not(any(loom, shuttle)))]
#[macro_export]
macro_rules! sound {
    ($sound:expr, $name:ident $(, $faulty:expr)?) => {
        $sound
    };
}

/// What is done only while the fault is planted.
#[cfg(not(any(loom, shuttle)))]
#[macro_export]
macro_rules! fault {
    ($name:ident, $faulty:expr) => {};
}

/// A memory ordering; `Relaxed` while the fault is planted.
#[cfg(any(loom, shuttle))]
#[macro_export]
macro_rules! ordering {
    ($sound:ident, $name:ident) => {
        $crate::sound!($crate::sync::Ordering::$sound, $name, $crate::sync::Ordering::Relaxed)
    };
}

/// A step; left out or replaced while the fault is planted.
#[cfg(any(loom, shuttle))]
#[macro_export]
macro_rules! sound {
    ($sound:expr, $name:ident) => {
        $crate::sound!($sound, $name, ())
    };
    ($sound:expr, $name:ident, $faulty:expr) => {
        if $crate::fault::is_planted(stringify!($name)) { $faulty } else { $sound }
    };
}

/// What is done only while the fault is planted.
#[cfg(any(loom, shuttle))]
#[macro_export]
macro_rules! fault {
    ($name:ident, $faulty:expr) => {
        if $crate::fault::is_planted(stringify!($name)) {
            $faulty;
        }
    };
}

#[cfg(any(loom, shuttle))]
pub use planting::{Planted, is_planted, plant};

#[cfg(any(loom, shuttle))]
mod planting {
    use std::cell::Cell;

    std::thread_local! {
        /// The standard library's: the checkers run all threads of a model on the thread of its test, and each test
        /// has its own.
        static PLANTED: Cell<Option<&'static str>> = const { Cell::new(None) };
    }

    /// Removes the fault when it is dropped, also by the panic that the fault is meant to cause.
    #[derive(Debug)]
    #[must_use = "the fault is there while this is"]
    pub struct Planted(());

    impl Drop for Planted {
        fn drop(&mut self) {
            PLANTED.set(None);
        }
    }

    /// Plants a fault for the models that this thread runs.
    pub fn plant(name: &'static str) -> Planted {
        PLANTED.set(Some(name));
        Planted(())
    }

    /// Whether this fault is planted.
    pub fn is_planted(name: &str) -> bool {
        PLANTED.get() == Some(name)
    }
}
