//! What a second thread brings, or costs, on one shared layer.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::cases::shared::{self, Shared};
use crate::drive::Subject;
use crate::measure::{REPETITIONS, calls_in, median};

/// Long beside the start of a thread.
const REPETITION: Duration = Duration::from_millis(20);

/// Million calls per second of one thread and of two together, and how many times as much that is:
/// the median of neighbours, since machines drift.
#[derive(Clone, Copy)]
pub(crate) struct Throughput {
    pub(crate) alone: f64,
    pub(crate) together: f64,
    pub(crate) times: f64,
}

/// The throughput of every subject, measured in turns.
pub(crate) fn all(subjects: &[Shared]) -> Vec<Throughput> {
    let mut running: Vec<Running> = subjects.iter().map(Running::new).collect();
    for _ in 0..REPETITIONS {
        running.iter_mut().for_each(Running::repeat);
    }
    running.into_iter().map(Running::throughput).collect()
}

/// One subject, with a clone of the service for each thread.
struct Running {
    clones: Vec<shared::Clone>,
    calls: u32,
    alone: Vec<f64>,
    together: Vec<f64>,
}

impl Running {
    fn new(subject: &Shared) -> Self {
        let mut clones = (subject.make)();
        let calls = calls_in(REPETITION, &mut *clones[0]);
        Self { clones, calls, alone: Vec::new(), together: Vec::new() }
    }

    fn repeat(&mut self) {
        let calls = self.calls;
        let rate = |threads: u32, spent: Duration| {
            f64::from(threads) * f64::from(calls) / spent.as_secs_f64() / 1e6
        };
        self.alone.push(rate(1, time(&mut self.clones[..1], calls)));
        self.together.push(rate(2, time(&mut self.clones[..2], calls)));
    }

    fn throughput(self) -> Throughput {
        let times = self.together.iter().zip(&self.alone).map(|(two, one)| two / one).collect();
        Throughput {
            alone: median(self.alone),
            together: median(self.together),
            times: median(times),
        }
    }
}

/// So long do these take for so many calls each, from the first's start to the last's end.
pub(crate) fn time(clones: &mut [shared::Clone], calls: u32) -> Duration {
    let start = Arc::new(Barrier::new(clones.len()));
    let runtime = Handle::current();
    let spans: Vec<(Instant, Instant)> = thread::scope(|scope| {
        let threads: Vec<_> = clones
            .iter_mut()
            .map(|clone| {
                let (start, runtime) = (start.clone(), runtime.clone());
                scope.spawn(move || {
                    let _entered = runtime.enter();
                    start.wait();
                    span(&mut **clone, calls)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread that ends")).collect()
    });
    let started = spans.iter().map(|span| span.0).min().expect("a thread");
    let ended = spans.iter().map(|span| span.1).max().expect("a thread");
    ended - started
}

fn span(subject: &mut dyn Subject, calls: u32) -> (Instant, Instant) {
    let started = Instant::now();
    subject.run(calls);
    (started, Instant::now())
}
