//! The stacks: the layers between clients and servers, and between servers.

use std::time::Duration;

use buttress::bulkhead::BulkheadLayer;
use buttress::circuit_breaker::CircuitBreakerLayer;
use buttress::retry::{Budget, RetryLayer};
use buttress::sim::{Endpoint, Failures, Plan, Request, Response, RetryPolicy, Workers, World};
use buttress::timeout::{FromRequest, TimeoutLayer};
use buttress::{BoxError, LiftLayer};
use tower::util::BoxCloneSyncService;
use tower::{ServiceBuilder, ServiceExt, service_fn};

/// How long one attempt may take: five times what it takes where nobody is in the way.
const ATTEMPT: Duration = Duration::from_millis(250);

type Service = BoxCloneSyncService<Request, Response, BoxError>;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Stack {
    Naive,
    Timeout,
    Backoff,
    Budget,
    Breaker,
    Bulkhead,
    Full,
}

impl Stack {
    pub(crate) const ALL: [Self; 7] = [
        Self::Naive,
        Self::Timeout,
        Self::Backoff,
        Self::Budget,
        Self::Breaker,
        Self::Bulkhead,
        Self::Full,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Naive => "naive",
            Self::Timeout => "timeout",
            Self::Backoff => "backoff",
            Self::Budget => "budget",
            Self::Breaker => "breaker",
            Self::Bulkhead => "bulkhead",
            Self::Full => "full",
        }
    }

    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::Naive => "a timeout for each attempt, and the next attempt at once",
            Self::Timeout => "one attempt, with a timeout",
            Self::Backoff => "a timeout for each attempt, and a pause before the next",
            Self::Budget => "the same, and a budget for further attempts",
            Self::Breaker => "the same, and a circuit breaker",
            Self::Bulkhead => "as budget, and bulkheads on both sides of the wire",
            Self::Full => "all of it: budget, circuit breaker, bulkheads",
        }
    }

    pub(crate) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stack| stack.name() == name)
    }

    pub(crate) fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    fn has_breaker(self) -> bool {
        matches!(self, Self::Breaker | Self::Full)
    }

    fn has_bulkheads(self) -> bool {
        matches!(self, Self::Bulkhead | Self::Full)
    }

    fn has_budget(self) -> bool {
        !matches!(self, Self::Backoff)
    }
}

/// Puts the stack between the clients and the first server, between that and the second, and so
/// on, in the order of their names.
pub(crate) fn wire(world: &mut World<'_>, plan: &Plan, stack: Stack, attempts: u32) {
    let mut next: Option<Service> = None;
    for ((name, server), hops) in plan.servers.iter().rev().zip(1..) {
        let endpoint = serve(world, name, server.workers, stack, next);
        // A call is out for as long as those that it makes in turn.
        let at_once = hops * 4 * server.workers;
        next = Some(if stack == Stack::Naive {
            naive(endpoint, attempts)
        } else {
            protected(world, name, endpoint, at_once, stack, attempts)
        });
    }
    let Some(first) = next else { return };
    for name in plan.clients.keys() {
        world.clients(name, first.clone());
    }
}

/// What people write first: a timeout, a loop.
fn naive(server: Endpoint, attempts: u32) -> Service {
    BoxCloneSyncService::new(service_fn(move |request: Request| {
        let server = server.clone();
        async move {
            let mut attempt = 1;
            loop {
                let call = server.clone().oneshot(request.clone());
                match tokio::time::timeout(ATTEMPT, call).await {
                    Ok(Ok(answer)) => return Ok(answer),
                    failed if attempt == attempts => return Ok(failed??),
                    _ => attempt += 1,
                }
            }
        }
    }))
}

/// What the manual says that a client needs, as far as the stack has it.
fn protected(
    world: &World<'_>,
    name: &str,
    server: Endpoint,
    at_once: u32,
    stack: Stack,
    attempts: u32,
) -> Service {
    // Whatever draws by chance has its seed from the run, or a run could not be repeated.
    let retry = RetryLayer::builder(RetryPolicy)
        .name(name)
        .max_attempts(attempts)
        .budget(if stack.has_budget() { Budget::ratio(0.2) } else { unlimited() })
        .seed(world.seed(&format!("retry {name}")))
        .observe(world.observer())
        .build();
    let breaker = CircuitBreakerLayer::builder()
        .name(name)
        .classify(Failures)
        .open_for(Duration::from_millis(500))
        .open_for_at_most(Duration::from_secs(2))
        .seed(world.seed(&format!("breaker {name}")))
        .observe(world.observer())
        .build();
    let bulkhead =
        BulkheadLayer::builder(at_once as usize).name(name).observe(world.observer()).build();
    let service = ServiceBuilder::new()
        .layer(TimeoutLayer::builder(Duration::from_secs(5)).deadline(FromRequest).build())
        .option_layer((stack != Stack::Timeout).then_some(retry))
        .option_layer(stack.has_breaker().then_some(breaker))
        .option_layer(stack.has_bulkheads().then_some(bulkhead))
        .layer(TimeoutLayer::new(ATTEMPT))
        .layer(LiftLayer)
        .service(server);
    BoxCloneSyncService::new(service.map_err(BoxError::from))
}

fn unlimited() -> Budget {
    Budget::ratio(100.0).at_least(1_000_000)
}

/// The server: its workers behind a bulkhead, if the stack has one, and then the next server.
fn serve(
    world: &mut World<'_>,
    name: &str,
    workers: u32,
    stack: Stack,
    next: Option<Service>,
) -> Endpoint {
    let bulkhead = BulkheadLayer::builder(2 * workers as usize)
        .name(format!("{name}, server"))
        .observe(world.observer())
        .build();
    let handle = bulkhead.handle();
    world.idle(format!("{name}: in flight"), move || handle.in_flight());
    let guarded = |workers: Workers| {
        let guard = ServiceBuilder::new()
            .option_layer(stack.has_bulkheads().then_some(bulkhead))
            .layer(LiftLayer);
        BoxCloneSyncService::new(guard.service(workers).map_err(BoxError::from))
    };
    match next {
        None if !stack.has_bulkheads() => world.server(name),
        None => world.server_behind(name, guarded),
        Some(next) => world.server_behind(name, |workers| {
            let own = guarded(workers);
            service_fn(move |request: Request| {
                let (own, next) = (own.clone(), next.clone());
                async move {
                    own.oneshot(request.clone()).await?;
                    next.oneshot(request).await
                }
            })
        }),
    }
}
