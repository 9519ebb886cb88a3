//! Many seeds, each run twice; what fails is shrunk and printed with the command that replays it.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

use super::plan::Plan;
use super::report::Report;
use super::run::Sim;
use super::seeds::Seeds;
use super::shrink::PlanTree;
use super::world::World;
use crate::time::now;

/// How many seeds are all run twice; of those beyond, one in [`TWICE_EACH`] is.
const TWICE: usize = 16;
const TWICE_EACH: usize = 16;

/// A claim about a stack, tried with many seeds.
///
/// ```
/// use std::time::Duration;
/// use buttress::sim::{Check, Clients, Latency, Plan, Server, ensure};
///
/// let plan = Plan::new(Duration::from_secs(5))
///     .server("db", Server::workers(4, Latency::exponential(Duration::from_millis(20))))
///     .clients("app", Clients::open(50.0));
///
/// Check::new(plan).seeds(8).holds(
///     |world| {
///         let db = world.server("db");
///         world.clients("app", db);
///     },
///     |report| ensure(report.goodput() >= 0.99, || format!("goodput {}", report.goodput())),
/// );
/// ```
///
/// # Which seeds
///
/// The [regressions](Self::regressions) and then `0..`[`seeds`](Self::seeds), unless the
/// environment says otherwise: `SIM_SEED=0x2a` runs that seed alone, `SIM_SEEDS=0..20000` those.
/// `SIM_SECONDS=60` ends each check after a minute, but not before it has run the number of its
/// `seeds`. What was run is printed.
///
/// # Determinism
///
/// The first 16 seeds are run twice, and one in sixteen of those beyond: traces that differ are a
/// failure too.
pub struct Check {
    plan: Box<dyn Fn(u64) -> Plan>,
    seeds: u64,
    at_most: u64,
    regressions: Vec<u64>,
    command: String,
}

impl Check {
    /// A claim about runs of this plan.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        Self::of(move |_| plan.clone())
    }

    /// A claim about runs of a plan that depends on the seed.
    #[must_use]
    pub fn of(plan: impl Fn(u64) -> Plan + 'static) -> Self {
        Self {
            plan: Box::new(plan),
            seeds: 64,
            at_most: u64::MAX,
            regressions: Vec::new(),
            command: "cargo test".to_owned(),
        }
    }

    /// How many seeds to run, from 0 on. Default: 64.
    #[must_use]
    pub fn seeds(mut self, seeds: u64) -> Self {
        self.seeds = seeds;
        self
    }

    /// How many to run whatever the environment says: for controls that need no more.
    #[must_use]
    pub fn at_most(mut self, seeds: u64) -> Self {
        self.at_most = seeds;
        self
    }

    /// Seeds that failed once, and are run before all others.
    #[must_use]
    pub fn regressions(mut self, seeds: &[u64]) -> Self {
        self.regressions = seeds.to_vec();
        self
    }

    /// How the tests are run, for the line that replays a failure: it is followed by the name of
    /// the test. Default: `cargo test`.
    #[must_use]
    pub fn command(mut self, command: &str) -> Self {
        command.clone_into(&mut self.command);
        self
    }

    /// Runs the seeds. Every run must be [sound](Report::sound), `judge` must find nothing, and
    /// whatever must happen [sometimes](World::sometimes) must have happened in one run at least.
    ///
    /// # Panics
    ///
    /// With the [`Counterexample`], if there is one. If the environment names no seeds that can be
    /// run.
    pub fn holds(
        self,
        wire: impl Fn(&mut World<'_>),
        judge: impl Fn(&Report) -> Result<(), String>,
    ) {
        match self.run(wire, judge) {
            Ok(summary) => println!("{summary}"),
            Err(counterexample) => panic!("{counterexample}"),
        }
    }

    /// The same, without a panic.
    ///
    /// # Errors
    ///
    /// The first seed that failed, with the smallest plan that still does.
    ///
    /// # Panics
    ///
    /// If the environment names no seeds that can be run.
    pub fn run(
        self,
        wire: impl Fn(&mut World<'_>),
        judge: impl Fn(&Report) -> Result<(), String>,
    ) -> Result<Summary, Box<Counterexample>> {
        let asked = Seeds::from_env().unwrap_or_else(|error| panic!("{error}"));
        let test = name_of_test();
        let mut summary = Summary { test: test.clone(), ..Summary::default() };
        let trial = Trial { wire: &wire, judge: &judge };
        let began = now();
        let of_range = |range: &Range<u64>| range.end.saturating_sub(range.start).min(self.at_most);
        let seeds: Box<dyn Iterator<Item = u64>> = match &asked.seeds {
            Some(range) => Box::new(range.start..range.start + of_range(range)),
            None => Box::new(self.regressions.clone().into_iter().chain(0..self.seeds)),
        };
        for (index, seed) in seeds.enumerate() {
            let is_over = asked.within.is_some_and(|within| now() - began >= within);
            if is_over && summary.seeds >= self.seeds {
                break;
            }
            let plan = (self.plan)(seed);
            let twice = index < TWICE || index % TWICE_EACH == 0;
            match trial.of(seed, &plan, twice) {
                Ok(report) => summary.add(&report),
                Err((report, says)) => {
                    let found = Counterexample::new(&test, &self.command, seed, &report, says);
                    return Err(Box::new(found.shrunk(&plan, &trial)));
                }
            }
        }
        match summary.never() {
            Some(name) if summary.seeds >= self.seeds => {
                Err(Box::new(Counterexample::never(&test, &name, summary.seeds)))
            }
            _ => Ok(summary),
        }
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check").field("seeds", &self.seeds).finish_non_exhaustive()
    }
}

/// For judges: `Err` with the words of `says` unless it `holds`.
///
/// # Errors
///
/// The words, if it does not hold.
pub fn ensure(holds: bool, says: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(says()) }
}

/// What is run for a seed, and how it is judged.
struct Trial<'a, W, J> {
    wire: &'a W,
    judge: &'a J,
}

impl<W, J> Trial<'_, W, J>
where
    W: Fn(&mut World<'_>),
    J: Fn(&Report) -> Result<(), String>,
{
    fn of(&self, seed: u64, plan: &Plan, twice: bool) -> Result<Report, (Box<Report>, String)> {
        let run = || Sim::new(seed).run(plan, self.wire);
        let report = run();
        if twice {
            let again = run().trace_hash;
            if again != report.trace_hash {
                let says = format!(
                    "not deterministic: the second run has the trace {again:016x}; has every \
                     layer that draws by chance a seed, `.seed(world.seed(\"..\"))`?"
                );
                return Err((Box::new(report), says));
            }
        }
        let judged = || report.sound().and_then(|()| (self.judge)(&report));
        match catch_unwind(AssertUnwindSafe(judged)) {
            Ok(Ok(())) => Ok(report),
            Ok(Err(says)) => Err((Box::new(report), says)),
            Err(panic) => Err((Box::new(report), words_of(panic.as_ref()))),
        }
    }
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|&text| text.to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panic".to_owned())
}

/// What was run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// The test.
    pub test: String,
    /// How many seeds held.
    pub seeds: u64,
    /// How many requests their runs had.
    pub requests: u64,
    /// In how many of the runs what must happen sometimes did.
    pub sometimes: BTreeMap<String, u64>,
}

impl Summary {
    fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.requests += report.offered();
        for (name, count) in &report.sometimes {
            *self.sometimes.entry(name.clone()).or_default() += u64::from(*count > 0);
        }
    }

    fn never(&self) -> Option<String> {
        self.sometimes.iter().find(|(_, runs)| **runs == 0).map(|(name, _)| name.clone())
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { test, seeds, requests, sometimes } = self;
        write!(f, "{test}: {seeds} seeds held, {requests} requests")?;
        sometimes.iter().try_for_each(|(name, runs)| write!(f, "; {name} in {runs}"))
    }
}

/// A run in which a claim did not hold.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Counterexample {
    /// The test.
    pub test: String,
    /// Its seed; `None` where what must happen sometimes never did.
    pub seed: Option<u64>,
    /// What did not hold.
    pub says: String,
    /// The hash of its trace.
    pub trace_hash: u64,
    /// The events of its trace.
    pub events: u64,
    /// The smallest plan found that fails with the seed, and what it says.
    pub shrunk: Option<(Plan, String)>,
    /// The command that replays it.
    pub replay: String,
}

impl Counterexample {
    fn new(test: &str, command: &str, seed: u64, report: &Report, says: String) -> Self {
        Self {
            test: test.to_owned(),
            seed: Some(seed),
            says,
            trace_hash: report.trace_hash,
            events: report.events,
            shrunk: None,
            replay: format!("SIM_SEED={seed:#x} {command} {test} -- --exact"),
        }
    }

    fn never(test: &str, name: &str, seeds: u64) -> Self {
        Self {
            test: test.to_owned(),
            seed: None,
            says: format!("sometimes {name:?}: never, in {seeds} seeds"),
            trace_hash: 0,
            events: 0,
            shrunk: None,
            replay: String::new(),
        }
    }

    fn shrunk<W, J>(mut self, plan: &Plan, trial: &Trial<'_, W, J>) -> Self
    where
        W: Fn(&mut World<'_>),
        J: Fn(&Report) -> Result<(), String>,
    {
        let Some(seed) = self.seed else { return self };
        let config =
            Config { max_shrink_iters: 200, failure_persistence: None, ..Config::default() };
        let outcome = TestRunner::new(config).run_one(PlanTree::new(plan.clone()), |plan| {
            match trial.of(seed, &plan, false) {
                Err((_, says)) if kind(&says) == kind(&self.says) => Err(TestCaseError::fail(says)),
                _ => Ok(()),
            }
        });
        if let Err(TestError::Fail(says, plan)) = outcome {
            self.shrunk = Some((plan, says.to_string()));
        }
        self
    }
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(seed) = self.seed else { return write!(f, "{}: {}", self.test, self.says) };
        writeln!(f, "{}: seed {seed:#x} failed", self.test)?;
        writeln!(f, "  {}", self.says)?;
        writeln!(f, "  trace {:016x}, {} events", self.trace_hash, self.events)?;
        writeln!(f, "  replay: {}", self.replay)?;
        if let Some((plan, says)) = &self.shrunk {
            let plan = serde_json::to_string_pretty(plan).map_err(|_| fmt::Error)?;
            writeln!(f, "  the smallest plan found that fails with it: {says}\n{plan}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Counterexample {}

/// What kind of failure it is: the first words of what it says, up to the first figure. A plan that
/// is cut down until it fails in another way would tell of nothing.
fn kind(says: &str) -> Vec<&str> {
    let words = says.split(|c: char| c.is_ascii_digit()).next().unwrap_or_default();
    words.split_whitespace().take(3).collect()
}

/// The test harness names the thread of a test after it, unless it runs but one at a time.
fn name_of_test() -> String {
    let thread = std::thread::current();
    match thread.name() {
        None | Some("main") => "TEST".to_owned(),
        Some(name) => name.to_owned(),
    }
}
