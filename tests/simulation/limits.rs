//! Adaptive limits before a simulated server, and what is seen of them over a run.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress::LiftLayer;
use buttress::adaptive_limit::{AdaptiveLimitLayer, Handle};
use buttress::observe::{Event, EventKind};
use buttress::sim::{
    Clients, Failure, Faults, Latency, Plan, Report, Request, Server, World, ensure,
};
use buttress::timeout::TimeoutLayer;
use tower::ServiceBuilder;

use crate::stacks::{Stacked, ms, seconds};
use crate::tools::{Watch, locked};

/// An M/M/c server: 800 requests a second. Long calls, since the clock ticks in milliseconds.
pub(crate) const WORKERS: u32 = 32;
pub(crate) const SERVICE_TIME: Duration = ms(40);
pub(crate) const CAPACITY: f64 = 800.0;
/// What an answer is worth waiting for: ten times what one takes that meets nobody.
pub(crate) const DEADLINE: Duration = ms(400);

pub(crate) fn server() -> Server {
    Server::workers(WORKERS, Latency::exponential(SERVICE_TIME))
}

/// The same with service times that vary little: what it does in any one second is known to a few
/// requests, so that single seconds can be judged.
pub(crate) fn steady_server() -> Server {
    Server::workers(WORKERS, Latency::uniform(SERVICE_TIME / 2, SERVICE_TIME * 3 / 2))
}

/// Clients that offer so many times the capacity.
pub(crate) fn offering(load: f64) -> Clients {
    Clients::open(CAPACITY * load).deadline(DEADLINE)
}

pub(crate) fn plan(run_for: Duration, clients: Clients, faults: Faults) -> Plan {
    Plan::new(run_for).server("db", server()).clients("shop", clients).faults(faults)
}

/// The limit over the run in progress, and the most in flight, by tenths of a second.
#[derive(Clone, Debug, Default)]
pub(crate) struct Course(Arc<Mutex<Vec<Moment>>>);

#[derive(Clone, Copy, Debug)]
struct Moment {
    limit: usize,
    most: usize,
    refused: usize,
}

const TENTH: Duration = ms(100);

impl Course {
    /// Follows this limit, and forgets what was seen in runs before.
    pub(crate) fn follow(&self, world: &mut World<'_>, handle: Handle) {
        let (seen, watch) = (Arc::clone(&self.0), Watch::start());
        locked(&seen).clear();
        world.always("a limit in its range", move || {
            let now = Moment { limit: handle.limit(), most: handle.in_flight(), refused: 0 };
            let (mut seen, moments) = (locked(&seen), tenths(watch.at()) + 1);
            if seen.len() < moments {
                seen.resize(moments, now);
            }
            let last = &mut seen[moments - 1];
            *last = Moment { limit: now.limit, most: last.most.max(now.most), ..*last };
            let allowed = (1..=10_000).contains(&now.limit);
            ensure(allowed, || format!("the limit is {}", now.limit))
        });
    }

    /// Counts the refusals of the run that is followed.
    fn refusals(&self) -> impl Fn(&Event<'_>) + Send + Sync + use<> {
        let seen = Arc::clone(&self.0);
        move |event| {
            let is_refusal = matches!(event.kind, EventKind::Rejected(_));
            if let (true, Some(last)) = (is_refusal, locked(&seen).last_mut()) {
                last.refused += 1;
            }
        }
    }

    /// How many were refused from then to then.
    pub(crate) fn refused(&self, from: Duration, until: Duration) -> usize {
        let seen = locked(&self.0);
        part(&seen, from, until).iter().map(|moment| moment.refused).sum()
    }

    /// The most that was in flight from then to then.
    pub(crate) fn most(&self, from: Duration, until: Duration) -> usize {
        let seen = locked(&self.0);
        part(&seen, from, until).iter().map(|moment| moment.most).max().unwrap_or(0)
    }

    /// The mean limit from then to then.
    pub(crate) fn mean(&self, from: Duration, until: Duration) -> f64 {
        let seen = locked(&self.0);
        let part = part(&seen, from, until);
        part.iter().map(|moment| moment.limit as f64).sum::<f64>() / part.len() as f64
    }
}

fn tenths(at: Duration) -> usize {
    usize::try_from(at.as_millis() / TENTH.as_millis()).expect("a short run")
}

/// As much of it as there is: plans that fail are made shorter.
fn part<T>(of: &[T], from: Duration, until: Duration) -> &[T] {
    let end = tenths(until).min(of.len());
    &of[tenths(from).min(end)..end]
}

/// The server behind its own adaptive limit, as the manual says: a timeout inside, the limit
/// outside of it.
pub(crate) fn on_the_server(course: &Course) -> impl Fn(&mut World<'_>) {
    move |world| {
        let limit = AdaptiveLimitLayer::builder()
            .observe(world.observer())
            .observe(course.refusals())
            .build();
        course.follow(world, limit.handle());
        let left = limit.handle();
        world.idle("adaptive limit: in flight", move || left.in_flight());
        let db = world.server_behind("db", |workers| {
            ServiceBuilder::new()
                .layer(limit)
                .layer(TimeoutLayer::new(DEADLINE))
                .layer(LiftLayer)
                .service(workers)
        });
        world.clients("shop", db);
    }
}

/// A client's adaptive limit before a server.
pub(crate) fn at_the_client<S>(
    world: &mut World<'_>,
    name: &str,
    server: S,
) -> (impl Stacked + use<S>, Handle)
where
    S: tower::Service<Request, Response = buttress::sim::Response, Error = Failure, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
{
    let limit = AdaptiveLimitLayer::builder().name(name).observe(world.observer()).build();
    let (handle, left) = (limit.handle(), limit.handle());
    world.idle(format!("{name}: in flight"), move || left.in_flight());
    let stack = ServiceBuilder::new()
        .layer(limit)
        .layer(TimeoutLayer::new(DEADLINE))
        .layer(LiftLayer)
        .service(server);
    (stack, handle)
}

/// Goodput as a share of the oracle's, of the requests sent from then to then.
pub(crate) fn of_oracle(report: &Report, from: Duration, until: Duration) -> f64 {
    let good: u64 = report
        .clients
        .values()
        .flat_map(|client| part(&client.moments, from, until))
        .map(|moment| moment.good)
        .sum();
    good as f64 / part(&report.oracle(), from, until).iter().sum::<f64>()
}

/// How long after `from` the goodput over a second was first 95 % of the oracle's, if it was before
/// `until`.
pub(crate) fn back_after(report: &Report, from: Duration, until: Duration) -> Option<Duration> {
    const SECOND: Duration = seconds(1);
    let begins = (0_u32..).map(|step| from + TENTH * step);
    let mut seconds = begins.take_while(|at| *at + SECOND <= until);
    seconds
        .find(|at| of_oracle(report, *at, *at + SECOND) >= 0.95)
        .map(|at| at.saturating_sub(from))
}
