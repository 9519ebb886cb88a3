//! A run: step after step, until the knee is known.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use tower::BoxError;

use crate::diagnosis::{Diagnosis, diagnose};
use crate::load::{Sent, Target, scrape};
use crate::prometheus::Sample;
use crate::schedule::{Arrivals, schedule};
use crate::search::{Bounds, Next, Search};
use crate::signals::{Signals, read};
use crate::step::{Call, Ending, Envelope, Step, Verdict};

/// Everything that a run needs to know.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) target: Target,
    pub(crate) metrics: Option<Target>,
    pub(crate) envelope: Envelope,
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) step: Duration,
    pub(crate) arrivals: Arrivals,
    pub(crate) seed: u64,
}

/// A step, and what the layers did meanwhile.
#[derive(Debug)]
pub(crate) struct Tried {
    pub(crate) step: Step,
    pub(crate) signals: Vec<Signals>,
}

/// What a run found.
#[derive(Debug)]
pub(crate) struct Findings {
    /// In the order in which they were run.
    pub(crate) tried: Vec<Tried>,
    pub(crate) bounds: Bounds,
    pub(crate) diagnosis: Option<Diagnosis>,
    /// The load that the generator could not keep up, and that the search therefore ended at.
    pub(crate) overrun: Option<f64>,
    /// Why there are no metrics, where there should be.
    pub(crate) no_metrics: Option<String>,
}

/// A step that the load generator was late in is run again, this often altogether.
const TRIES: usize = 5;

/// A percentile needs so many requests.
const FEWEST: f64 = 100.0;

/// Runs until the knee is known, and tells of every step once it is over.
///
/// # Errors
///
/// A target that does not answer before there is any load.
pub(crate) async fn explore(
    plan: &Plan,
    mut tell: impl FnMut(&Step),
) -> Result<Findings, BoxError> {
    let idle = calm(plan).await?;
    let mut search = Search::new(plan.from, plan.to);
    let (mut tried, mut overrun, mut no_metrics) = (Vec::new(), None, None);
    while let Some(next) = search.next() {
        let mut holds = None;
        for _ in 0..TRIES {
            let seed = plan.seed.wrapping_add(tried.len() as u64);
            let (step, signals) = run(plan, next, seed).await;
            let signals = signals.unwrap_or_else(|error| {
                no_metrics = Some(error.to_string());
                Vec::new()
            });
            tell(&step);
            let verdict = step.verdict;
            tried.push(Tried { step, signals });
            settle(plan, idle).await;
            if verdict != Verdict::Invalid {
                holds = Some(verdict == Verdict::Holds);
                break;
            }
        }
        let Some(holds) = holds else {
            overrun = Some(next.rate);
            break;
        };
        search.record(next.rate, holds);
    }
    let bounds = search.bounds();
    let diagnosis = saturated(&tried, bounds);
    Ok(Findings { tried, bounds, diagnosis, overrun, no_metrics })
}

/// The latency of single requests to the target at rest.
async fn calm(plan: &Plan) -> Result<Duration, BoxError> {
    let mut best = Duration::MAX;
    for _ in 0..5 {
        match plan.target.probe().await {
            (Ending::Good, latency) => best = best.min(latency),
            (Ending::Refused(what) | Ending::Failed(what), _) => {
                return Err(
                    format!("the target does not answer before there is any load: {what}").into()
                );
            }
        }
    }
    Ok(best)
}

/// Waits until the target is at rest again, for at most 5 s: what one step has piled up is not to
/// be held against the next.
async fn settle(plan: &Plan, idle: Duration) {
    let rest = async {
        let mut quiet = 0;
        while quiet < 2 {
            let (ending, latency) = plan.target.probe().await;
            let is_quiet =
                ending == Ending::Good && latency <= idle * 3 / 2 + Duration::from_millis(5);
            quiet = if is_quiet { quiet + 1 } else { 0 };
            sleep(Duration::from_millis(20)).await;
        }
    };
    let _ = timeout(Duration::from_secs(5), rest).await;
}

async fn run(plan: &Plan, next: Next, seed: u64) -> (Step, Result<Vec<Signals>, BoxError>) {
    let Plan { target, envelope, arrivals, .. } = plan;
    let Window { warm_up, length } = Window::of(plan.step, next);
    let schedule = schedule(*arrivals, next.rate, warm_up + length, seed);
    // By Little's law the average request waits three times its allowance by then.
    let most = 3.0 * next.rate * envelope.p95.as_secs_f64() + 50.0;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "18 million at most"
    )]
    let most = most as usize;
    let (sent, over) = oneshot::channel::<()>();
    let start = Instant::now() + Duration::from_millis(10);
    // A task of its own: to read a page of metrics must not hold up the load.
    let watch = tokio::spawn(watch(plan.metrics.clone(), over));
    let load = target.load(&schedule, start, most, || drop(sent));
    let Sent { calls, cut } = load.await;
    let scrapes = watch.await.unwrap_or_else(|failed| Err(failed.into()));
    let (calls, window) = measured(calls, warm_up, length, cut);
    (Step::of(next.rate, window, &calls, envelope), scrapes.map(|scrapes| read(&scrapes)))
}

/// A step's length in two parts.
struct Window {
    /// Of this nothing is measured: connections are made, and lines grow to what they will be.
    warm_up: Duration,
    length: Duration,
}

impl Window {
    fn of(step: Duration, next: Next) -> Self {
        let length = (step * 4 / 5).max(Duration::from_secs_f64(FEWEST / next.rate));
        Self { warm_up: step / 5, length: if next.again { length * 2 } else { length } }
    }
}

/// The requests that count, and the time that they were due in. A step that was cut short has
/// broken in whatever part there is of it.
fn measured(
    mut calls: Vec<Call>,
    warm_up: Duration,
    length: Duration,
    cut: Option<Duration>,
) -> (Vec<Call>, Duration) {
    if let Some(cut) = cut {
        return (calls, cut);
    }
    calls.retain(|call| call.due >= warm_up);
    (calls, length)
}

/// How often the gauges are looked at.
const LOOK: Duration = Duration::from_millis(250);

/// Scrapes at once, then now and then, and for the last time when the load is `over`.
async fn watch(
    metrics: Option<Target>,
    mut over: oneshot::Receiver<()>,
) -> Result<Vec<Vec<Sample>>, BoxError> {
    let Some(metrics) = metrics else { return Ok(Vec::new()) };
    let mut scrapes = vec![scrape(&metrics).await?];
    while timeout(LOOK, &mut over).await.is_err() {
        scrapes.push(scrape(&metrics).await?);
    }
    scrapes.push(scrape(&metrics).await?);
    Ok(scrapes)
}

/// What is seen at the lowest load that broke: what is first to saturate shows there, and what
/// follows from it does not yet. Where that is too faint, at the next.
fn saturated(tried: &[Tried], bounds: Bounds) -> Option<Diagnosis> {
    let is_broken = |tried: &&Tried| {
        let is_beyond = bounds.breaks.is_some_and(|breaks| tried.step.rate >= breaks);
        is_beyond && matches!(tried.step.verdict, Verdict::Breaks(_))
    };
    let mut broken: Vec<_> = tried.iter().filter(is_broken).collect();
    broken.sort_by(|a, b| a.step.rate.total_cmp(&b.step.rate));
    let held = tried.iter().filter(|tried| tried.step.verdict == Verdict::Holds);
    let lowest = held.min_by(|a, b| a.step.rate.total_cmp(&b.step.rate));
    let before = lowest.map_or(&[][..], |tried| &tried.signals);
    let all: Vec<_> = tried.iter().map(|tried| tried.signals.as_slice()).collect();
    broken.into_iter().find_map(|tried| diagnose(before, &tried.signals, &all))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use axum::Router;
    use axum::routing::get;

    use super::*;
    use crate::demo::{Demo, Mode};
    use crate::diagnosis::Kind;

    const ENVELOPE: Envelope = Envelope { p95: Duration::from_millis(200), errors: 0.001 };

    fn call(due: u64, latency: u64) -> Call {
        let [due, latency] = [due, latency].map(Duration::from_millis);
        Call { due, lag: Duration::ZERO, latency, ending: Ending::Good }
    }

    /// Three parts, of which this one is slow.
    fn signals(slow: &str) -> Vec<Signals> {
        let of = |name: &str| {
            let latency = if name == slow { 0.5 } else { 0.05 };
            let (layer, name) = ("observe".to_owned(), name.to_owned());
            Signals { layer, name, calls: 100.0, latency, ..Signals::default() }
        };
        ["first", "later", "accident"].map(of).into()
    }

    fn tried(rate: f64, latency: u64, signals: Vec<Signals>) -> Tried {
        let calls: Vec<_> = (0..100).map(|due| call(due, latency)).collect();
        Tried { step: Step::of(rate, Duration::from_millis(100), &calls, &ENVELOPE), signals }
    }

    #[test]
    fn a_step_lasts_until_it_has_enough_requests_and_twice_as_long_again() {
        let of = |rate, again| {
            let Window { warm_up, length } =
                Window::of(Duration::from_millis(2500), Next { rate, again });
            (warm_up.as_millis(), length.as_millis())
        };
        assert_eq!(of(200.0, false), (500, 2000));
        assert_eq!(of(200.0, true), (500, 4000));
        assert_eq!(of(10.0, false), (500, 10_000));
    }

    #[test]
    fn the_warm_up_does_not_count_unless_the_step_did_not_get_beyond_it() {
        let calls = || (0..10).map(|index| call(index * 100, 1)).collect();
        let [warm_up, length] = [300, 700].map(Duration::from_millis);
        let (kept, window) = measured(calls(), warm_up, length, None);
        assert_eq!((kept.len(), window), (7, length));
        let (kept, window) = measured(calls(), warm_up, length, Some(warm_up / 2));
        assert_eq!((kept.len(), window), (10, warm_up / 2));
    }

    #[tokio::test]
    async fn the_metrics_are_read_at_the_start_and_at_the_end_however_short_a_step_is() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/metrics", listener.local_addr().unwrap());
        let reads = Arc::new(AtomicU32::new(0));
        let page = async move || format!("reads {}", 1 + reads.fetch_add(1, Ordering::Relaxed));
        let app = Router::new().route("/metrics", get(page));
        tokio::spawn(axum::serve(listener, app).into_future());
        let metrics = Target::new(uri.parse().unwrap(), Duration::from_secs(10));
        let (sent, over) = oneshot::channel();
        drop(sent);
        let scrapes = watch(Some(metrics), over).await.unwrap();
        let values: Vec<_> = scrapes.iter().map(|scrape| scrape[0].value).collect();
        assert_eq!(values, [1.0, 2.0]);
    }

    /// Over real sockets. What a busy machine can spoil, the knee, is left to `--check`.
    #[test]
    fn the_bulkhead_of_the_demo_is_named_by_its_metrics() {
        let demo = Demo::start(Mode::Bulkhead).unwrap();
        let target = |uri: &http::Uri| Target::new(uri.clone(), Duration::from_secs(10));
        let plan = Plan {
            target: target(&demo.target),
            metrics: Some(target(&demo.metrics)),
            envelope: ENVELOPE,
            from: 100.0,
            to: 400.0,
            step: Duration::from_millis(1250),
            arrivals: Arrivals::Sliced,
            seed: 1,
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let signals = |rate| {
            let next = Next { rate, again: false };
            runtime.block_on(run(&plan, next, 1)).1.unwrap()
        };
        let (before, after) = (signals(100.0), signals(400.0));
        let found = diagnose(&before, &after, &[&before, &after]).unwrap();
        assert_eq!((found.kind, found.layer.as_str()), (Kind::Limit, "bulkhead"), "{after:?}");
        assert_eq!(found.name, "http");
    }

    #[test]
    fn the_lowest_load_that_broke_is_asked_first_and_accidents_below_the_knee_are_not() {
        let all = [
            tried(40.0, 50, signals("none")),
            tried(60.0, 500, signals("accident")),
            tried(60.0, 50, signals("none")),
            tried(180.0, 500, signals("later")),
            tried(120.0, 500, signals("first")),
        ];
        let bounds = Bounds { holds: Some(100.0), breaks: Some(120.0) };
        let found = saturated(&all, bounds).unwrap();
        assert_eq!((found.kind, found.name.as_str()), (Kind::Workers, "first"));
        assert_eq!(saturated(&all, Bounds { breaks: None, ..bounds }), None);
    }
}
