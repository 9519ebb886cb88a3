//! The storefront: an axum server with a bounded pool of workers, which all its routes share.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use buttress::Rejected;
use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::TokioExecutor;
use metrics::gauge;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt};

use crate::record::Record;
use crate::script::Route;

/// Requests that the storefront works on at once; the rest wait their turn, first come first
/// served. Every server has such a bound somewhere: threads, or connections of a pool.
pub(crate) const WORKERS: usize = 40;

/// How a handler calls a service behind the storefront.
pub(crate) type Outbound = BoxCloneSyncService<Request<Full<Bytes>>, Response<Body>, BoxError>;

/// What stands before a route, and before its workers.
pub(crate) type Front = fn(Route, MethodRouter) -> MethodRouter;

/// A running storefront.
#[derive(Debug)]
pub(crate) struct Shop {
    pub(crate) address: SocketAddr,
    workers: Arc<Semaphore>,
    server: JoinHandle<io::Result<()>>,
}

impl Shop {
    pub(crate) async fn open(
        name: &'static str,
        [payments, catalog]: &[Dependency; 2],
        front: Front,
        orders: MethodRouter,
        recorder: PrometheusHandle,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let workers = Arc::new(Semaphore::new(WORKERS));
        let pool = workers.clone();
        let metrics = async move || scrape(&recorder, name, &pool);
        let at_work = from_fn_with_state(workers.clone(), on_a_worker);
        let checkout = post(ask).with_state(payments.clone()).layer(at_work.clone());
        let catalog = get(ask).with_state(catalog.clone()).layer(at_work);
        let app = Router::new()
            .route(Route::Checkout.path(), front(Route::Checkout, checkout))
            .route(Route::Catalog.path(), front(Route::Catalog, catalog))
            // Of these no thread is kept busy: a handler that waits costs next to nothing.
            .route("/orders", orders)
            // No worker: a scrape must not wait for one, nor for a limit.
            .route("/metrics", get(metrics));
        let server = tokio::spawn(axum::serve(listener, app).into_future());
        Ok(Self { address, workers, server })
    }

    pub(crate) fn busy_workers(&self) -> usize {
        busy(&self.workers)
    }

    pub(crate) fn close(self) {
        self.server.abort();
    }
}

fn busy(workers: &Semaphore) -> usize {
    WORKERS - workers.available_permits()
}

/// What `/metrics` says: all that the layers report, and a figure of the storefront's own.
#[allow(clippy::cast_precision_loss, reason = "40 at most")]
fn scrape(recorder: &PrometheusHandle, name: &'static str, workers: &Semaphore) -> String {
    gauge!("storefront_busy_workers", "storefront" => name).set(busy(workers) as f64);
    recorder.render()
}

/// Has a worker handle the request, once one is free.
///
/// A caller that gives up while it waits leaves the line. Once a worker has begun, it goes on to
/// the end, in a task of its own: a thread could not be stopped either, and a payment that has
/// been sent must not be forgotten because a customer closed a window.
async fn on_a_worker(
    State(workers): State<Arc<Semaphore>>,
    request: axum::extract::Request,
    next: Next,
) -> Response {
    let Ok(worker) = workers.acquire_owned().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let work = tokio::spawn(async move {
        let answer = next.run(request).await;
        drop(worker);
        answer
    });
    work.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// A service behind the storefront, as its route's handler knows it.
#[derive(Clone, Debug)]
pub(crate) struct Dependency {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) service: Outbound,
}

/// The handler of both routes: calls the service behind it, and passes its answer on.
///
/// A refusal of a layer comes as an answer too: a problem document, which the caller should see.
/// Everything else that is no success is the storefront's own 502.
async fn ask(State(dependency): State<Dependency>) -> Response {
    let mut request = Request::new(Full::default());
    *request.method_mut() = dependency.method;
    *request.uri_mut() = dependency.uri;
    match dependency.service.oneshot(request).await {
        Ok(answer) if answer.status().is_success() || is_refusal(&answer) => answer,
        Ok(_) | Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

/// Whether a layer made the answer. The header would not do: payments could send one as well.
fn is_refusal<B>(answer: &Response<B>) -> bool {
    answer.extensions().get::<Rejected>().is_some()
}

/// A hyper client with its own pool of connections.
///
/// A refused attempt to connect counts as a call that reached the service: the load is the same
/// to whoever must refuse it, and no server is there to count it.
pub(crate) fn client(
    route: Route,
    record: Arc<Record>,
) -> Client<impl Connect + Clone, Full<Bytes>> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let connector = connector.map_err(move |error| {
        record.reached(route);
        error
    });
    Client::builder(TokioExecutor::new()).build(connector)
}
