//! The calls to the services behind the storefront: plain, as people write them, and protected;
//! what protects the storefront itself; and what has an order run once.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::routing::MethodRouter;
use buttress::adaptive_limit::AdaptiveLimitLayer;
use buttress::bulkhead::BulkheadLayer;
use buttress::circuit_breaker::{CircuitBreakerLayer, Window};
use buttress::http::{RetryPolicy, Statuses, respond};
use buttress::idempotency::{Concurrent, DynStore, IdempotencyLayer, Scope};
use buttress::observe::MetricsObserver;
use buttress::retry::{Backoff, Budget, RetryLayer};
use buttress::timeout::{Deadline, FromRequest, TimeoutLayer};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::Connect;
use tokio::time::timeout;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};

use crate::orders::desk::Customer;
use crate::script::Route;
use crate::shop::Outbound;

/// Calls the service with nothing in between.
pub(crate) fn plain<C>(client: Client<C, Full<Bytes>>) -> Outbound
where
    C: Connect + Clone + Send + Sync + 'static,
{
    BoxCloneSyncService::new(
        client.map_response(|answer| answer.map(Body::new)).map_err(BoxError::from),
    )
}

/// What the customer's 500 ms leave to each of four attempts.
const A_QUARTER: Duration = Duration::from_millis(125);

/// Calls payments as people write it: a timeout, and three retries at once.
pub(crate) fn naive<C>(client: Client<C, Full<Bytes>>) -> Outbound
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let client = plain(client);
    BoxCloneSyncService::new(service_fn(move |request: Request<Full<Bytes>>| {
        let client = client.clone();
        async move {
            let mut retries = 3;
            loop {
                let attempt = client.clone().oneshot(request.clone());
                match timeout(A_QUARTER, attempt).await {
                    Ok(Ok(answer)) if !answer.status().is_server_error() => return Ok(answer),
                    last if retries == 0 => return last?,
                    _ => retries -= 1,
                }
            }
        }
    }))
}

/// Calls payments through a retry, a circuit breaker, a bulkhead and a timeout.
pub(crate) fn protected<C>(client: Client<C, Full<Bytes>>) -> Outbound
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let metrics = MetricsObserver::new();
    // A payment is a POST: only a key that all attempts share makes it fit to be sent again.
    let retry = RetryLayer::builder(RetryPolicy::new().stamp_idempotency_keys())
        .name("payments")
        .max_attempts(3)
        .backoff(Backoff::exponential(Duration::from_millis(20), Duration::from_millis(200)))
        .min_attempt(Duration::from_millis(50))
        // Payments gets at most a tenth more than the customers ask for, whatever happens to it.
        .budget(Budget::ratio(0.1).at_least(2))
        .observe(metrics.clone())
        .build();
    let breaker = CircuitBreakerLayer::builder()
        .name("payments")
        .classify(Statuses)
        .failure_rate(0.5)
        .window(Window::time(Duration::from_secs(1)))
        .minimum_calls(20)
        // How long payments may be back before anybody notices. It grows up to the longest while
        // payments stays away, and every time costs payments one call.
        .open_for(Duration::from_millis(250))
        .open_for_at_most(Duration::from_millis(800))
        .probes(1)
        .close_after(3)
        .observe(metrics.clone())
        .build();
    // What payments has workers for: more would only stand in its line. In calm, 250 calls a second of
    // 30 ms each need 8 slots; with payments ten times as slow they would take 75 of the 40
    // workers, and all of them would be too late.
    let bulkhead = BulkheadLayer::builder(10)
        .name("payments")
        .queue(16)
        .max_wait(Duration::from_millis(50))
        .observe(metrics.clone())
        .build();
    // Of one attempt: just above the slowest answer that still makes sense. The deadline, below,
    // is what bounds all of them.
    let attempt = TimeoutLayer::builder(Duration::from_millis(400))
        .name("payments")
        .deadline(FromRequest)
        .observe(metrics)
        .build();

    let stack = ServiceBuilder::new().layer(retry).layer(breaker).layer(bulkhead).layer(attempt);
    let payments = ServiceBuilder::new().layer(respond(stack)).service(client);
    let payments = payments.map_request(|mut request: Request<Full<Bytes>>| {
        // Of the customer's 500 ms, what is left when the answer has to be on its way.
        request.extensions_mut().insert(Deadline::after(Duration::from_millis(450)));
        request
    });
    BoxCloneSyncService::new(
        payments.map_response(|answer| answer.map(Body::new)).map_err(BoxError::from),
    )
}

/// Puts a limit before a route of the storefront's own, and before its workers: whom they cannot
/// serve in time is told at once, and stands in nobody's way.
///
/// A limit for each route: a checkout takes ten times as long as a look at the catalog, and a share
/// of the two that changes would look to a common limit like a service that does.
pub(crate) fn limited(route: Route, handler: MethodRouter) -> MethodRouter {
    let metrics = MetricsObserver::new();
    let limit = AdaptiveLimitLayer::builder()
        .name(route.name())
        // What a layer within has refused says nothing about the storefront.
        .classify(Statuses)
        .observe(metrics.clone())
        .build();
    // Shorter than the customer's 500 ms: of one who has hung up the limit learns nothing.
    let timeout = TimeoutLayer::builder(Duration::from_millis(475))
        .name(route.name())
        .observe(metrics)
        .build();
    handler.layer(respond(ServiceBuilder::new().layer(limit).layer(timeout)))
}

/// How long the answer to an order is kept.
pub(crate) const RETENTION: Duration = Duration::from_secs(24 * 60 * 60);

/// Has an order run once, however often it is sent: the layer, by whose handle it can be waited for.
pub(crate) fn idempotency(
    records: Arc<dyn DynStore>,
    namespace: &str,
) -> IdempotencyLayer<Arc<dyn DynStore>> {
    IdempotencyLayer::builder(records)
        .name("orders")
        .namespace(namespace)
        // Two customers may have the same key: it is the one who is signed in who says whose it is.
        .scope(|head| head.extensions.get().map(|Customer(name)| Scope::new(name)))
        .require_key(true)
        .retention(RETENTION)
        // Who comes back while the order is in the making gets its answer, and not a refusal.
        .on_concurrent(Concurrent::Wait { timeout: Duration::from_secs(2), max_waiters: 4 })
        .observe(MetricsObserver::new())
        .build()
}

/// Puts that before the handler of orders: within whoever signs customers in, since it has to know
/// whose the key is, and outside of whatever limits the work, since an answer that is there already
/// needs none.
pub(crate) fn once(
    idempotency: IdempotencyLayer<Arc<dyn DynStore>>,
    handler: MethodRouter,
) -> MethodRouter {
    let limit = BulkheadLayer::builder(100).name("orders").build();
    // Far beyond what an order takes: it ends what hangs.
    let timeout = TimeoutLayer::builder(Duration::from_secs(5)).name("orders").build();
    let limited = respond(ServiceBuilder::new().layer(limit).layer(timeout));
    handler.layer(ServiceBuilder::new().layer(idempotency).layer(limited))
}
