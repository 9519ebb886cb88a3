//! Clients: hyper's, under our layers or naive, and the traffic that they send.

use std::error::Error as StdError;
use std::time::Duration;

use buttress::bulkhead::BulkheadLayer;
use buttress::circuit_breaker::{CircuitBreakerLayer, Window};
use buttress::http::{RetryPolicy, Statuses};
use buttress::retry::{Backoff, Budget, RetryLayer};
use buttress::timeout::{Deadline, FromRequest, PropagateDeadlineLayer, TimeoutLayer};
use buttress::{Error, LiftLayer, Reason, Rejected};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use tokio::time::Instant;
use tower::util::BoxCloneService;
use tower::{Service, ServiceBuilder, ServiceExt};

use super::history::{Call, History, Outcome, What, now};
use super::net::{self, Protocol};
use super::servers::{Bulkheads, GIVES_UP, ID};

pub(super) type Failure = Error<legacy::Error>;
pub(super) type Client = BoxCloneService<Request<Full<Bytes>>, Response<Incoming>, Failure>;

/// What one attempt may take.
pub(super) const ATTEMPT: Duration = Duration::from_millis(100);
/// What a call may take, its attempts and the waits between them.
pub(super) const TOTAL: Duration = Duration::from_millis(400);
/// How long the circuit is open, at most.
pub(super) const OPEN_FOR: Duration = Duration::from_millis(200);

/// The budget lets pass one retry for so many calls ...
const FOR_ONE_RETRY: usize = 5;
/// ... and so many in any case, over the 10 s that no run here exceeds.
const FLOOR: usize = 10;

/// hyper's client, whose attempts are taken down.
pub(super) fn transport(
    history: &History,
    client: &'static str,
    protocol: Protocol,
) -> impl Service<Request<Full<Bytes>>, Response = Response<Incoming>, Error = Failure, Future: Send>
+ Clone
+ Send
+ use<> {
    let (history, transport) = (history.clone(), net::client(protocol));
    ServiceBuilder::new().layer(LiftLayer).service_fn(move |request: Request<Full<Bytes>>| {
        let id = request.headers()[ID].to_str().unwrap().parse().unwrap();
        history.add(What::Sent { client, id });
        transport.request(request)
    })
}

/// A retry with a budget, `attempts` at most.
pub(super) fn retry(
    history: &History,
    client: &'static str,
    attempts: u32,
    seed: u64,
) -> RetryLayer<RetryPolicy> {
    let (base, cap) = (Duration::from_millis(20), Duration::from_millis(100));
    RetryLayer::builder(RetryPolicy::new())
        .max_attempts(attempts)
        .backoff(Backoff::exponential(base, cap))
        .budget(Budget::ratio(0.2).at_least(1))
        .observe(history.observer(client))
        .seed(seed)
        .build()
}

/// No more than a retry and the timeouts.
pub(super) fn retrying(
    history: &History,
    client: &'static str,
    protocol: Protocol,
    attempts: u32,
    seed: u64,
) -> Client {
    ServiceBuilder::new()
        .layer(TimeoutLayer::builder(TOTAL).deadline(FromRequest).build())
        .layer(retry(history, client, attempts, seed))
        .layer(TimeoutLayer::builder(ATTEMPT).observe(history.observer(client)).build())
        .layer(PropagateDeadlineLayer::new())
        .service(transport(history, client, protocol))
        .boxed_clone()
}

/// The whole order of a client: total timeout, retry, circuit breaker, bulkhead, attempt timeout.
pub(super) fn protected(
    history: &History,
    bulkheads: &Bulkheads,
    client: &'static str,
    protocol: Protocol,
    seed: u64,
) -> Client {
    let breaker = CircuitBreakerLayer::builder()
        .failure_rate(0.5)
        .window(Window::time(Duration::from_millis(250)))
        .minimum_calls(10)
        .open_for(OPEN_FOR)
        .open_for_at_most(OPEN_FOR)
        .classify(Statuses)
        .observe(history.observer(client))
        .seed(seed)
        .build();
    let bulkhead = BulkheadLayer::new(64);
    bulkheads.watch(bulkhead.handle());
    ServiceBuilder::new()
        .layer(TimeoutLayer::builder(TOTAL).deadline(FromRequest).build())
        .layer(retry(history, client, 3, seed))
        .layer(breaker)
        .layer(bulkhead)
        .layer(TimeoutLayer::builder(ATTEMPT).observe(history.observer(client)).build())
        .layer(PropagateDeadlineLayer::new())
        .service(transport(history, client, protocol))
        .boxed_clone()
}

/// What is written first: a timeout, and three retries.
pub(super) fn naive(history: &History, client: &'static str, protocol: Protocol) -> Client {
    let transport = transport(history, client, protocol);
    tower::service_fn(move |request: Request<Full<Bytes>>| {
        let transport = transport.clone();
        async move {
            let mut failure = Rejected::new(Reason::TimedOut).into();
            for _ in 0..4 {
                let attempt = transport.clone().oneshot(request.clone());
                match tokio::time::timeout(ATTEMPT, attempt).await {
                    Ok(Ok(response)) if !response.status().is_server_error() => {
                        return Ok(response);
                    }
                    Ok(Err(error)) => failure = error,
                    Ok(Ok(_)) | Err(_) => {}
                }
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
            Err(failure)
        }
    })
    .boxed_clone()
}

/// The attempts of a run stay within the budget.
#[track_caller]
pub(super) fn assert_within_budget(history: &History, client: &str) {
    let (calls, sent) = (history.calls(client).len(), history.sent(client).len());
    let allowed = calls + calls / FOR_ONE_RETRY + FLOOR;
    assert!(sent <= allowed, "{sent} attempts for {calls} calls, not {allowed}");
}

/// Requests at a steady pace, whatever becomes of those before.
#[derive(Clone, Debug)]
pub(super) struct Traffic {
    pub(super) client: &'static str,
    pub(super) server: &'static str,
    pub(super) method: Method,
    /// Whether the requests have a key, by which they may be sent again.
    pub(super) keyed: bool,
    pub(super) every: Duration,
    pub(super) calls: u64,
    /// What a call may take.
    pub(super) deadline: Duration,
}

impl Traffic {
    pub(super) fn gets(client: &'static str, server: &'static str) -> Self {
        let (every, deadline) = (Duration::from_millis(10), TOTAL);
        Self { client, server, method: Method::GET, keyed: false, every, calls: 150, deadline }
    }

    pub(super) fn posts(client: &'static str, server: &'static str) -> Self {
        Self { method: Method::POST, ..Self::gets(client, server) }
    }

    /// Sends them all, and waits for their ends and for those of what they left at the server.
    pub(super) async fn send(self, history: History, service: Client) {
        let mut calls = Vec::new();
        let start = Instant::now();
        for id in 0..self.calls {
            tokio::time::sleep_until(start + self.every * u32::try_from(id).unwrap()).await;
            let (service, history, request) = (service.clone(), history.clone(), self.request(id));
            calls.push(tokio::spawn(call(self.client, id, service, request, history)));
        }
        for call in calls {
            call.await.unwrap();
        }
        tokio::time::sleep(2 * TOTAL).await;
    }

    fn request(&self, id: u64) -> Request<Full<Bytes>> {
        let gives_up = (now().unwrap() + self.deadline).as_micros();
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(format!("http://{}/", self.server))
            .header(ID, id)
            .header(GIVES_UP, u64::try_from(gives_up).unwrap())
            .extension(Deadline::after(self.deadline));
        if self.keyed {
            request = request.header("idempotency-key", format!("\"{id}\""));
        }
        request.body(Full::from("do it")).unwrap()
    }
}

async fn call(
    client: &'static str,
    id: u64,
    service: Client,
    request: Request<Full<Bytes>>,
    history: History,
) {
    let began = now().unwrap();
    let outcome = match service.oneshot(request).await {
        Ok(response) => {
            let status = response.status().as_u16();
            // The rest of an answer takes no longer than its beginning.
            match tokio::time::timeout(ATTEMPT, response.into_body().collect()).await {
                Ok(Ok(_)) => Outcome::Answered(status),
                _ => Outcome::Failed("the answer broke off".into()),
            }
        }
        Err(Error::Rejected(refusal)) => {
            Outcome::Refused(refusal.reason(), refusal.was_dispatched())
        }
        Err(Error::Service(error)) => Outcome::Failed(innermost(&error)),
    };
    let took = now().unwrap() - began;
    history.add(What::Ended(Call { client, id, began, took, outcome }));
}

fn innermost(error: &(dyn StdError + 'static)) -> String {
    let sources = std::iter::successors(Some(error), |&error| error.source());
    sources.last().map(ToString::to_string).unwrap_or_default()
}
