//! The scenarios of another project's suite, re-stated for the default algorithm: those of the
//! adaptive request concurrency of Vector (`tests/data/adaptive-concurrency/` there; `.toml` until
//! 2026, `.yaml` since). Taken over are the facts: how many requests, how often, and how long its
//! test service takes at which concurrency and rate.
//!
//! Its expectations are histograms of how its own algorithm moves: from a limit of 1, by one at a
//! time, down by a tenth. They do not carry over. What it is there for does, and is expected here:
//! as fast as the service can do it, near its knee, no runaway, and no more failures than finding
//! out takes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress::adaptive_limit::AdaptiveLimitLayer;
use buttress::observe::{Event, EventKind};
use buttress::timeout::TimeoutLayer;
use buttress::{Class, Error, classify_fn};
use tokio::time::{Instant, sleep};
use tower::{ServiceBuilder, ServiceExt, service_fn};

use crate::stacks::{ms, seconds};
use crate::tools::{Dice, OnDrop, locked};

/// The test service, and who sends to it.
#[derive(Clone, Debug)]
struct Scenario {
    requests: usize,
    /// Between two requests; zero for as fast as they are taken.
    interval: Duration,
    /// Of one request that is alone.
    delay: f64,
    /// The mean of what is added by chance, exponentially, as a share of the delay.
    jitter: f64,
    /// How much longer for each other request in flight, as a share of the delay.
    scale: f64,
    /// From so many in flight on, each further one makes it so many times as long.
    knee: Option<(usize, f64)>,
    /// More in flight than this, or begun in the last second, and the request is not served.
    most_at_once: Option<usize>,
    most_per_second: Option<usize>,
    unserved: Unserved,
    fixed: Option<usize>,
    /// So many requests fail, after so many others.
    failures: (usize, usize),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Unserved {
    /// Answered with an error after the usual delay.
    Deferred,
    /// Never answered.
    Dropped,
}

impl Scenario {
    fn of(requests: usize, delay: f64) -> Self {
        Self {
            requests,
            interval: Duration::ZERO,
            delay,
            jitter: 0.0,
            scale: 0.0,
            knee: None,
            most_at_once: None,
            most_per_second: None,
            unserved: Unserved::Deferred,
            fixed: None,
            failures: (0, 0),
        }
    }
}

/// What was seen at the service and at the limit.
#[derive(Clone, Debug)]
struct Seen {
    scenario: Scenario,
    dice: Dice,
    start: Instant,
    in_flight: usize,
    most: usize,
    /// Of the requests in flight over time: up to which moment, and the sum of all.
    summed: (Instant, f64),
    begun: Vec<Instant>,
    served: Vec<Instant>,
    unserved: usize,
    failures: usize,
    latencies: Vec<Duration>,
}

impl Seen {
    fn new(scenario: Scenario) -> Self {
        let start = Instant::now();
        Self {
            scenario,
            dice: Dice::new(7),
            start,
            in_flight: 0,
            most: 0,
            summed: (start, 0.0),
            begun: Vec::new(),
            served: Vec::new(),
            unserved: 0,
            failures: 0,
            latencies: Vec::new(),
        }
    }

    fn count(&mut self, change: isize) {
        let now = Instant::now();
        self.summed.1 += self.in_flight as f64 * (now - self.summed.0).as_secs_f64();
        self.summed.0 = now;
        self.in_flight = self.in_flight.checked_add_signed(change).expect("none below 0");
        self.most = self.most.max(self.in_flight);
    }

    /// A request begins: how long it takes, and whether it is served.
    fn begin(&mut self) -> (Duration, bool) {
        self.count(1);
        let now = Instant::now();
        self.begun.push(now);
        let recent = self.begun.iter().rev().take_while(|at| now - **at < seconds(1)).count();
        let Scenario { delay, jitter, scale, knee, .. } = self.scenario;
        let above = |most: Option<usize>, level: usize| most.is_some_and(|most| level > most);
        let over = above(self.scenario.most_at_once, self.in_flight)
            || above(self.scenario.most_per_second, recent);
        let (after, of) = self.scenario.failures;
        let fails = (after..after + of).contains(&(self.begun.len() - 1));
        let level = if over { 1 } else { self.in_flight };
        let chance = (self.dice.below(1 << 32) as f64 + 1.0) / (1_u64 << 32) as f64;
        let bent =
            knee.map_or(0.0, |(from, times)| times.powf(level.saturating_sub(from) as f64) - 1.0);
        let longer = 1.0 + scale * (level - 1) as f64 + bent - jitter * chance.ln();
        self.unserved += usize::from(over);
        self.failures += usize::from(fails);
        (Duration::from_secs_f64(delay * longer), !over && !fails)
    }

    /// Requests served per second, until nine of ten were: the last ones wait for their retries.
    fn rate(&self) -> f64 {
        let most = self.served.len() * 9 / 10;
        most as f64 / (self.served[most - 1] - self.start).as_secs_f64()
    }

    /// The same of the second half of these.
    fn rate_in_the_end(&self) -> f64 {
        let (half, most) = (self.served.len() / 2, self.served.len() * 9 / 10);
        (most - half) as f64 / (self.served[most - 1] - self.served[half - 1]).as_secs_f64()
    }

    fn mean_in_flight(&self) -> f64 {
        self.summed.1 / (self.summed.0 - self.start).as_secs_f64()
    }
}

/// What came of it, and the limit after each request that was served.
struct Outcome {
    seen: Seen,
    limits: Vec<usize>,
}

impl Outcome {
    fn tell(&self) {
        let Self { seen, limits } = self;
        println!(
            "most {} mean {:.1} in flight, {:.1} served per s, {:.1} in the end, {} not, limit {:?}",
            seen.most,
            seen.mean_in_flight(),
            seen.rate(),
            seen.rate_in_the_end(),
            seen.unserved,
            (limits.iter().max(), limits.last()),
        );
    }
}

/// All requests, each sent again after a second or two until it is served.
async fn run(scenario: Scenario) -> Outcome {
    let seen = Arc::new(Mutex::new(Seen::new(scenario.clone())));
    let limits = Arc::new(Mutex::new(Vec::new()));
    let watch = Arc::clone(&seen);
    let builder = AdaptiveLimitLayer::builder()
        .classify(classify_fn(|outcome: Result<&(), &Error<Class>>| match outcome {
            Ok(()) => Class::Success,
            Err(Error::Service(class)) => *class,
            Err(Error::Rejected(_)) => Class::Transient,
        }))
        .queue(scenario.requests)
        .observe(move |event: &Event<'_>| {
            if let EventKind::Settled { latency, .. } = event.kind {
                locked(&watch).latencies.push(latency);
            }
        });
    let layer = match scenario.fixed {
        Some(limit) => builder.min(limit).max(limit).build(),
        None => builder.build(),
    };
    let handle = layer.handle();
    let service = Arc::clone(&seen);
    let stack = ServiceBuilder::new()
        .layer(layer)
        .layer(TimeoutLayer::new(seconds(1)))
        .service(service_fn(move |()| answer(Arc::clone(&service))));
    let mut tasks = Vec::new();
    for _ in 0..scenario.requests {
        let (stack, seen, limits) = (stack.clone(), Arc::clone(&seen), Arc::clone(&limits));
        let handle = handle.clone();
        tasks.push(tokio::spawn(async move {
            let mut wait = 1;
            while stack.clone().oneshot(()).await.is_err() {
                sleep(seconds(wait)).await;
                wait = (2 * wait).min(8);
            }
            locked(&seen).served.push(Instant::now());
            locked(&limits).push(handle.limit());
        }));
        if !scenario.interval.is_zero() {
            sleep(scenario.interval).await;
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!((handle.in_flight(), handle.queued()), (0, 0));
    let outcome = Outcome { seen: locked(&seen).clone(), limits: locked(&limits).clone() };
    outcome.tell();
    outcome
}

async fn answer(seen: Arc<Mutex<Seen>>) -> Result<(), Error<Class>> {
    let (takes, is_served) = locked(&seen).begin();
    let left = Arc::clone(&seen);
    let in_flight = OnDrop(move || locked(&left).count(-1));
    if locked(&seen).scenario.unserved == Unserved::Dropped && !is_served {
        drop(in_flight);
        std::future::pending::<()>().await;
    }
    sleep(takes).await;
    if is_served { Ok(()) } else { Err(Error::Service(Class::Overload { retry_after: None })) }
}

/// `constant-link`: 500 requests of 100 ms, however many at once. There the limit goes to some 30
/// and the mean in flight is 15 to 16: 3.2 s.
#[tokio::test(start_paused = true)]
async fn a_link_that_takes_any_number_is_filled() {
    let Outcome { seen, .. } = run(Scenario::of(500, 0.1)).await;
    assert!(seen.most >= 30 && seen.rate() >= 155.0, "{} in flight, {}", seen.most, seen.rate());
    assert_eq!(seen.unserved, 0);
}

/// `defers-at-high-concurrency`: 500 requests of 100 ms, more than 5 at once are deferred: 50 per
/// second at best. There 20 to 44, and up to 18 at once.
#[tokio::test(start_paused = true)]
async fn deferred_above_five_at_once() {
    let scenario = Scenario { most_at_once: Some(5), ..Scenario::of(500, 0.1) };
    let Outcome { seen, limits } = run(scenario).await;
    assert!(seen.most <= 18, "{}", seen.most);
    assert!(seen.rate_in_the_end() >= 40.0, "{}", seen.rate_in_the_end());
    assert!(limits[250..].iter().all(|limit| *limit <= 10), "{:?}", limits[250..].iter().max());
}

/// `drops-at-high-concurrency`: the same, not answered at all. There 31 to 54 per second, those
/// that are dropped included.
#[tokio::test(start_paused = true)]
async fn dropped_above_five_at_once() {
    let unserved = Unserved::Dropped;
    let scenario = Scenario { most_at_once: Some(5), unserved, ..Scenario::of(500, 0.1) };
    let Outcome { seen, .. } = run(scenario).await;
    assert!(seen.most <= 18, "{}", seen.most);
    assert!(seen.rate_in_the_end() >= 31.0, "{}", seen.rate_in_the_end());
}

/// `defers-at-high-rate`: 1000 requests of 100 ms, more than 100 per second are deferred. There 31
/// to 75 per second, and 16 to 24 at once. Who is deferred answers as fast as who is served, so that
/// all there is to see are the deferrals; each counts for a second against the rate.
#[tokio::test(start_paused = true)]
async fn deferred_above_a_hundred_per_second() {
    let scenario = Scenario { most_per_second: Some(100), ..Scenario::of(1_000, 0.1) };
    let Outcome { seen, .. } = run(scenario).await;
    assert!(seen.rate_in_the_end() >= 50.0, "{}", seen.rate_in_the_end());
}

/// `fixed-concurrency-simple` and `fixed-concurrency-jitter`: with a limit that is set, 10 are in
/// flight, and the limit never moves.
#[tokio::test(start_paused = true)]
async fn a_limit_that_is_set_stays() {
    for jitter in [0.0, 0.5] {
        let scenario = Scenario { fixed: Some(10), jitter, ..Scenario::of(500, 0.1) };
        let Outcome { seen, limits } = run(scenario).await;
        assert!(limits.iter().all(|limit| *limit == 10));
        assert!(seen.most == 10 && seen.mean_in_flight() >= 9.0, "{}", seen.mean_in_flight());
    }
}

/// `jittery-link-small`: 1000 requests of 100 ms and a tenth of that by chance, however many at
/// once. There 20 to 40 at once and 8 to 20 in the mean: 180 per second at best.
#[tokio::test(start_paused = true)]
async fn a_link_with_jitter_is_filled() {
    let scenario = Scenario { jitter: 0.1, ..Scenario::of(1_000, 0.1) };
    let Outcome { seen, .. } = run(scenario).await;
    assert!(seen.most >= 20 && seen.rate() >= 180.0, "{} in flight, {}", seen.most, seen.rate());
}

/// `medium-send`, `slow-send-1`, `slow-send-2`: whoever sends no faster than the service answers
/// has no need of a limit. There it creeps up to 9, 2 and 3; here it stays where it began.
#[tokio::test(start_paused = true)]
async fn who_sends_slowly_leaves_the_limit_alone() {
    for (requests, interval, delay, most) in
        [(500, ms(25), 0.1, 5), (100, ms(100), 0.05, 1), (100, ms(50), 0.05, 2)]
    {
        let scenario = Scenario { interval, ..Scenario::of(requests, delay) };
        let Outcome { seen, limits } = run(scenario).await;
        assert!(seen.most <= most, "{} in flight", seen.most);
        assert!(limits.iter().all(|limit| *limit == limits[0]), "{limits:?}");
    }
}

/// `shallow-knee`: 1000 requests of 100 ms, and a tenth longer for each above 10 in flight: 100 per
/// second at best, with 10 or 11. There 87 to 89, with 9 to 12; here up to 16, since each costs
/// little, and 87 at least.
#[tokio::test(start_paused = true)]
async fn a_shallow_knee_is_found() {
    let scenario = Scenario { knee: Some((10, 1.1)), ..Scenario::of(1_000, 0.1) };
    let Outcome { seen, limits } = run(scenario).await;
    assert!(seen.rate_in_the_end() >= 87.0, "{}", seen.rate_in_the_end());
    let settled = &limits[500..];
    let mean = settled.iter().sum::<usize>() as f64 / settled.len() as f64;
    assert!((8.0..=17.0).contains(&mean), "{mean}");
}

/// `slow-link`: 200 requests of 100 ms for each that is in flight: 10 per second whatever is done.
/// There 1.5 to 5 in flight, since more only wait; here some 7, which wait longer: what a call takes
/// alone is never seen, and the queue that is kept is that of a service with several workers.
#[tokio::test(start_paused = true)]
async fn a_link_that_more_requests_only_slow_down() {
    let scenario = Scenario { scale: 1.0, ..Scenario::of(200, 0.1) };
    let Outcome { seen, limits } = run(scenario).await;
    assert!(limits[100..].iter().all(|limit| *limit <= 9), "{:?}", limits[100..].iter().max());
    assert!(seen.mean_in_flight() <= 8.0, "{}", seen.mean_in_flight());
}

/// `retried-request-rtt`, of a branch: five failures after two requests, each sent again. What the
/// limit takes for a latency is that of one attempt, and not of the pauses between them.
#[tokio::test(start_paused = true)]
async fn pauses_between_attempts_are_no_latency() {
    let scenario = Scenario { fixed: Some(1), failures: (2, 5), ..Scenario::of(20, 0.1) };
    let Outcome { seen, .. } = run(scenario).await;
    assert_eq!((seen.failures, seen.latencies.len()), (5, 25));
    assert!(seen.latencies.iter().all(|took| (ms(100)..=ms(102)).contains(took)));
}
