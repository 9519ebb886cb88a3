//! What runs the models of the concurrent parts. Both see the same models.
//!
//! loom takes every schedule within a bound of preemptions, and what weak memory allows. shuttle
//! draws schedules without such a bound, over memory that is sequentially consistent.

#[cfg(buttress_loom)]
pub(crate) use loom::{future::block_on, thread};
#[cfg(buttress_shuttle)]
pub(crate) use shuttle::{future::block_on, thread};

/// Checks the model in every schedule with at most so many preemptions.
#[cfg(buttress_loom)]
pub(crate) fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

/// Checks the model in so many random schedules as `SHUTTLE_ITERATIONS` says, the same ones in
/// each run. By default they are few: the count that proves something is in `scripts/test`.
#[cfg(buttress_shuttle)]
pub(crate) fn explore(_preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let iterations = std::env::var("SHUTTLE_ITERATIONS").map(|count| count.parse().unwrap());
    let scheduler =
        shuttle::scheduler::RandomScheduler::new_from_seed(0, iterations.unwrap_or(1_000));
    let mut config = shuttle::Config::new();
    config.silence_warnings = true;
    shuttle::Runner::new(scheduler, config).run(model);
}
