//! Runs a model.

#[cfg(loom)]
pub use interleavings::{check, check_within};
#[cfg(shuttle)]
pub use schedules::{check, check_within};

#[cfg(loom)]
mod interleavings {
    /// Maximum preemptions of a run unless `LOOM_MAX_PREEMPTIONS` says otherwise. Each fault is caught with fewer.
    const PREEMPTIONS: usize = 3;
    /// Maximum steps of a run; with more it counts as endless.
    const STEPS_MAX: usize = 20_000;

    /// Runs `model` in every interleaving within the bound.
    pub fn check(model: impl Fn() + Sync + Send + 'static) {
        check_within(PREEMPTIONS, model);
    }

    /// The same for a model of many steps, with its own bound.
    pub fn check_within(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.max_branches = STEPS_MAX;
        builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
        builder.check(model);
    }
}

#[cfg(shuttle)]
mod schedules {
    use std::sync::Arc;

    use shuttle::scheduler::{PctScheduler, RandomScheduler};
    use shuttle::{Config, FailurePersistence, MaxSteps, Runner};

    /// Schedules of a run unless `STOCKADE_SCHEDULES` says otherwise. Half of them are random. The other half change
    /// threads only a few times at random places, which finds faults that need a thread to sleep for long.
    const SCHEDULES: usize = 16_000;
    /// Thread changes in the second half.
    const CHANGES: usize = 3;
    /// Maximum steps of a schedule; with more it counts as endless.
    const STEPS_MAX: usize = 1_000_000;
    /// The seed of the schedules, unless `STOCKADE_SCHEDULES_SEED` says otherwise.
    const SEED: u64 = 1;

    #[expect(clippy::disallowed_methods, reason = "what a run is asked for; the server's own settings have one door")]
    #[expect(clippy::expect_used, reason = "a run that was asked for wrongly must stop")]
    fn asked(name: &str) -> Option<u64> {
        std::env::var(name).ok().map(|text| text.parse().expect("a number"))
    }

    /// Runs `model` in the wanted number of schedules. A failing one is printed; [`shuttle::replay`] repeats it.
    pub fn check(model: impl Fn() + Sync + Send + 'static) {
        let schedules = asked("STOCKADE_SCHEDULES").and_then(|asked| usize::try_from(asked).ok()).unwrap_or(SCHEDULES);
        let seed = asked("STOCKADE_SCHEDULES_SEED").unwrap_or(SEED);
        let model = Arc::new(model);
        let mut config = Config::new();
        config.max_steps = MaxSteps::FailAfter(STEPS_MAX);
        config.failure_persistence = FailurePersistence::Print;
        let again = Arc::clone(&model);
        Runner::new(RandomScheduler::new_from_seed(seed, schedules.div_ceil(2)), config.clone()).run(move || again());
        Runner::new(PctScheduler::new_from_seed(seed, CHANGES, schedules / 2), config).run(move || model());
    }

    /// The same: a random schedule is as long as its model is.
    pub fn check_within(_preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
        check(model);
    }
}
