//! Scenarios 12, 13, 14: when attempts are sent, and when they are not.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress::observe::{EventKind, Withheld};
use buttress::retry::{Attempt, Backoff, Budget, Hint, Idempotent, Jitter, Policy, RetryLayer};
use buttress::sim::{
    Clients, Failure, Failures, Faults, Latency, Plan, Report, Request, Response, RetryPolicy,
    Server, World, ensure,
};
use buttress::timeout::{Deadline, TimeoutLayer};
use buttress::{Class, Error, LiftLayer};
use tokio::time::Instant;
use tower::{Service, ServiceBuilder, service_fn};

use crate::figures::Spread;
use crate::stacks::{check, check_of, client_side, clients, ms, seconds, server_side};

/// Clients in a hurry, who ask again by themselves: for many an attempt, the deadline comes while
/// it waits.
fn hurried(seed: u64) -> Plan {
    let hurry = clients(0.6).deadline(ms(100 + 37 * (seed % 40))).attempts(3).pause(ms(40));
    let faults = Faults::new()
        .slow("db", 4.0, seconds(1), seconds(2))
        .errors("db", 0.7, seconds(4), seconds(2))
        .pause("db", seconds(7), ms(700));
    Plan::new(seconds(9))
        .server("db", Server::workers(10, Latency::exponential(ms(50))))
        .clients("shop", hurry)
        .faults(faults)
}

/// How many attempts were sent at their deadline or later.
#[derive(Clone, Default)]
struct Late(Arc<AtomicUsize>);

impl Late {
    fn watch(&self, request: Request) -> Request {
        if request.deadline.is_some_and(Deadline::has_passed) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        request
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

#[test]
fn s12_no_attempt_is_sent_once_its_deadline_has_passed() {
    check_of(hurried).holds(
        |world| {
            let late = Late::default();
            let watched = late.clone();
            world.always("attempts are sent before their deadline", move || {
                ensure(watched.count() == 0, || "one was sent later".to_owned())
            });
            let db = server_side(world, "db");
            let db = ServiceBuilder::new().map_request(move |r| late.watch(r)).service(db);
            let stack = client_side(world, "db", db);
            world.clients("shop", stack);
        },
        |report| {
            let withheld = report.events_of("db retry", |kind| {
                matches!(kind, EventKind::Withheld(Withheld::Deadline))
            });
            let refused = report.rejections().get("deadline_exceeded").copied().unwrap_or(0);
            ensure(withheld + refused > 0, || "no deadline mattered".to_owned())
        },
    );
}

#[test]
fn s12_without_deadlines_attempts_are_sent_too_late() {
    check_of(hurried).at_most(64).holds(
        |world| {
            let (late, sometimes) = (Late::default(), world.sometimes("sent too late"));
            let retry = RetryLayer::builder(Idempotent)
                .classify(Failures)
                .max_attempts(4)
                .seed(world.seed("retry"))
                .build();
            let stack = ServiceBuilder::new()
                .layer(retry)
                .layer(TimeoutLayer::new(ms(250)))
                .layer(LiftLayer)
                .map_request(move |request| {
                    let request = late.watch(request);
                    if late.count() == 1 {
                        sometimes.happened();
                    }
                    request
                })
                .service(world.server("db"));
            world.clients("shop", stack);
        },
        |report| ensure(report.sometimes["sent too late"] > 0, || "none was".to_owned()),
    );
}

/// 5,000 clients, whose requests are all in work when the server crashes for a second.
fn herd() -> Plan {
    Plan::new(ms(950))
        .server("db", Server::workers(5000, Latency::fixed(seconds(3))))
        .clients("shop", Clients::closed(5000, Latency::uniform(ms(0), ms(900))).deadline(ms(9000)))
        .faults(Faults::new().crash("db", seconds(1), seconds(1)))
}

/// When retries were sent, in tenths of a tenth of a second.
type Buckets = Arc<Mutex<BTreeMap<u128, u64>>>;

fn stampede(world: &mut World<'_>, jitter: Jitter, buckets: &Buckets) {
    let start = Instant::now();
    buckets.lock().unwrap().clear();
    let buckets = Arc::clone(buckets);
    let backoff = Backoff::exponential(ms(50), seconds(20)).jitter(jitter);
    let retry = RetryLayer::builder(RetryPolicy)
        .max_attempts(4)
        .backoff(backoff)
        .budget(Budget::ratio(3.0))
        .seed(world.seed("retry"))
        .build();
    let stack = ServiceBuilder::new()
        .layer(retry)
        .layer(LiftLayer)
        .map_request(move |request: Request| {
            if request.attempt.is_some_and(|attempt| attempt.number > 1) {
                let bucket = start.elapsed().as_millis() / 10;
                *buckets.lock().unwrap().entry(bucket).or_default() += 1;
            }
            request
        })
        .service(world.server("db"));
    world.clients("shop", stack);
}

/// The share of all retries that were sent in the fullest ten milliseconds.
fn fullest(report: &Report, buckets: &Buckets) -> Result<f64, String> {
    let (reset, buckets) = (report.servers["db"].reset, buckets.lock().unwrap());
    let (all, most) = (buckets.values().sum::<u64>(), buckets.values().max().copied());
    ensure(reset == 5000 && all == 15_000, || format!("{reset} reset, {all} retries"))?;
    Ok(most.unwrap_or(0) as f64 / all as f64)
}

#[test]
fn s13_full_jitter_spreads_a_herd() {
    let (buckets, share) = (Buckets::default(), Spread::of("fullest 10 ms"));
    check(herd()).holds(
        |world| stampede(world, Jitter::Full, &buckets),
        |report| {
            let most = share.note(fullest(report, &buckets)?);
            ensure(most <= 0.12, || format!("{most} of the retries in 10 ms"))
        },
    );
}

#[test]
fn s13_without_jitter_a_herd_returns_together() {
    let buckets = Buckets::default();
    check(herd()).at_most(16).holds(
        |world| stampede(world, Jitter::None, &buckets),
        |report| {
            let most = fullest(report, &buckets)?;
            ensure(most > 0.3, || format!("{most} of the retries in 10 ms"))
        },
    );
}

/// What a server says beside a failure: a number that follows from request and attempt.
fn draw(seed: u64, request: &Request) -> u64 {
    let attempt = request.attempt.map_or(0, |attempt| u64::from(attempt.number));
    let mixed = (request.id ^ attempt << 40 ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33
}

/// From when to when the next attempt of each request may be sent.
#[derive(Clone, Default)]
struct Windows {
    next: Arc<Mutex<BTreeMap<u64, (Instant, Instant)>>>,
    broken: Arc<Mutex<Option<String>>>,
}

impl Windows {
    /// The next attempt of this request is to be sent from `from` on, for so long.
    fn expect(&self, request: u64, wait: Duration, at_most_later: Duration) {
        let from = Instant::now() + wait;
        // Timers fire on the millisecond.
        let until = from + at_most_later + ms(1);
        self.next.lock().unwrap().insert(request, (from, until));
    }

    fn forbid(&self, request: u64) {
        let never = Instant::now() + seconds(86_400);
        self.next.lock().unwrap().insert(request, (never, never));
    }

    fn sent(&self, request: &Request) {
        let Some((from, until)) = self.next.lock().unwrap().remove(&request.id) else { return };
        let now = Instant::now();
        if now < from || now > until {
            let off = if now < from { from - now } else { now - until };
            let way = if now < from { "early" } else { "late" };
            *self.broken.lock().unwrap() = Some(format!("an attempt was sent {off:?} too {way}"));
        }
    }

    fn hold(&self) -> Result<(), String> {
        self.broken.lock().unwrap().clone().map_or(Ok(()), Err)
    }
}

fn busy() -> Plan {
    Plan::new(seconds(10))
        .server("db", Server::workers(10, Latency::exponential(ms(20))))
        .clients("shop", Clients::open(60.0).deadline(ms(2500)))
}

/// A server that turns away half of what comes, some of it with a hint; `tell` writes down what
/// that means for the next attempt.
fn hinting<P>(world: &mut World<'_>, policy: P, tell: fn(&Windows, u64, Option<Duration>))
where
    P: Policy<Request, Response, Error<Failure>> + Send + Sync + 'static,
{
    let seed = world.seed("hints");
    let db = world.server_behind("db", |workers| {
        service_fn(move |request: Request| {
            let (drawn, mut workers) = (draw(seed, &request), workers.clone());
            async move {
                if drawn % 2 == 0 {
                    return workers.call(request).await;
                }
                Err(Failure::Overloaded { retry_after: hint_of(drawn) })
            }
        })
    });
    let windows = Windows::default();
    let watch = windows.clone();
    world.always("hints are kept", move || watch.hold());
    let told = service_fn(move |request: Request| {
        windows.sent(&request);
        let (id, windows, mut db) = (request.id, windows.clone(), db.clone());
        async move {
            let outcome = db.call(request).await;
            if let Err(Failure::Overloaded { retry_after }) = outcome {
                tell(&windows, id, retry_after);
            }
            outcome
        }
    });
    let retry = RetryLayer::builder(policy)
        .name("retry")
        .max_attempts(4)
        .budget(Budget::ratio(3.0))
        .seed(world.seed("retry"))
        .observe(world.observer())
        .build();
    world.clients("shop", ServiceBuilder::new().layer(retry).layer(LiftLayer).service(told));
}

/// None for a quarter of them, or from 0 to 3 s: some are beyond the deadline.
fn hint_of(drawn: u64) -> Option<Duration> {
    (drawn % 8 != 1).then(|| Duration::from_micros(drawn / 8 * 997 % 3_000_000))
}

/// That attempts were made, and that some were not for this reason.
fn made_and_withheld(report: &Report, why: Withheld) -> Result<(), String> {
    let made = report.events_of("retry", |kind| matches!(kind, EventKind::Retried { .. }));
    let withheld = report.events_of("retry", |kind| *kind == EventKind::Withheld(why));
    ensure(made > 50 && withheld > 50, || format!("{made} attempts made, {withheld} withheld"))
}

#[test]
fn s14_no_attempt_is_sent_before_the_hint_or_much_after() {
    check(busy()).holds(
        |world| {
            hinting(world, RetryPolicy, |windows, request, hint| match hint {
                // Up to a tenth later, so that they do not all return together.
                Some(wait) if !wait.is_zero() => windows.expect(request, wait, wait / 10),
                // "At once" leaves it to the backoff, as no hint does.
                _ => windows.expect(request, Duration::ZERO, seconds(8)),
            });
        },
        |report| made_and_withheld(report, Withheld::Deadline),
    );
}

/// As a server of gRPC pushes back: a wait is exact, and none at all means stop.
#[derive(Clone, Copy)]
struct Pushback;

impl Policy<Request, Response, Error<Failure>> for Pushback {
    fn clone_request(&self, request: &Request) -> Option<Request> {
        Some(request.clone())
    }

    fn hint(&self, outcome: Result<&Response, &Error<Failure>>, _: Class) -> Hint {
        match outcome {
            Err(Error::Service(Failure::Overloaded { retry_after: Some(wait) })) => {
                Hint::Exactly(*wait)
            }
            Err(_) => Hint::Stop,
            Ok(_) => Hint::None,
        }
    }

    fn mark(&self, request: &mut Request, attempt: Attempt) {
        request.attempt = Some(attempt);
    }
}

#[test]
fn s14_pushback_is_exact_and_may_say_stop() {
    check(busy()).holds(
        |world| {
            hinting(world, Pushback, |windows, request, hint| match hint {
                Some(wait) => windows.expect(request, wait, Duration::ZERO),
                None => windows.forbid(request),
            });
        },
        |report| made_and_withheld(report, Withheld::Stopped),
    );
}

/// The negative control: who does not hear the hint comes too early.
#[test]
fn s14_without_hints_attempts_are_early() {
    let deaf = check(busy()).seeds(16).run(
        |world| {
            hinting(world, Idempotent, |windows, request, hint| {
                windows.expect(request, hint.unwrap_or_default(), seconds(8));
            });
        },
        |_| Ok(()),
    );
    let says = deaf.expect_err("hints are heard by nobody").says;
    assert!(says.contains("too early"), "{says}");
}
