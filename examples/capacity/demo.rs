//! A service to measure, whose capacity is known.
//!
//! ```text
//! observe `api` ─▶ bulkhead `http` ─▶ timeout `http` ─▶ handler ─┬▶ observe `workers` ─▶ workers
//!                                                                │
//!                  circuit_breaker `inventory` ◀─────────────────┘ both at once
//!                    ─▶ bulkhead ─▶ timeout ─▶ HTTP ─▶ the inventory, with workers of its own
//! ```
//!
//! It is the same in every mode, but for the one part that has room for 200 requests a second, and
//! not for several times as many.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use buttress::bulkhead::BulkheadLayer;
use buttress::circuit_breaker::{CircuitBreakerLayer, Window};
use buttress::http::respond;
use buttress::observe::{MetricsObserver, ObserveLayer};
use buttress::timeout::TimeoutLayer;
use http::{StatusCode, Uri};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder, ServiceExt};

use crate::diagnosis::Kind;
use crate::pool::Pool;

/// Which part of the service has the least room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Workers,
    Bulkhead,
    Dependency,
}

impl Mode {
    pub(crate) const ALL: [Self; 3] = [Self::Workers, Self::Bulkhead, Self::Dependency];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Workers => "workers",
            Self::Bulkhead => "bulkhead",
            Self::Dependency => "dependency",
        }
    }

    /// The requests a second that it is configured for.
    pub(crate) fn capacity(self) -> f64 {
        let Sizes { limit, work, workers, lookup, shelves } = self.sizes();
        let per_second = |places: u32, time: Duration| f64::from(places) / time.as_secs_f64();
        let narrowest = per_second(workers, work).min(per_second(shelves, lookup));
        narrowest.min(per_second(limit, work.max(lookup)))
    }

    /// What has to be named, by the label of the layer that shows it.
    pub(crate) fn saturates(self) -> (Kind, &'static str) {
        match self {
            Self::Workers => (Kind::Workers, "workers"),
            Self::Bulkhead => (Kind::Limit, "http"),
            Self::Dependency => (Kind::Dependency, "inventory"),
        }
    }

    fn sizes(self) -> Sizes {
        const SLOW: Duration = Duration::from_millis(80);
        const QUICK: Duration = Duration::from_millis(20);
        let ample = Sizes { limit: 1000, workers: 80, work: QUICK, shelves: 80, lookup: QUICK };
        match self {
            Self::Workers => Sizes { workers: 16, work: SLOW, ..ample },
            Self::Bulkhead => Sizes { limit: 16, workers: 80, work: SLOW, ..ample },
            Self::Dependency => Sizes { shelves: 16, lookup: SLOW, ..ample },
        }
    }
}

#[derive(Debug)]
struct Sizes {
    /// Of bulkhead `http`.
    limit: u32,
    workers: u32,
    work: Duration,
    /// The workers of the inventory, and how long each takes.
    shelves: u32,
    lookup: Duration,
}

/// The running service, on threads of its own.
#[derive(Debug)]
pub(crate) struct Demo {
    pub(crate) target: Uri,
    pub(crate) metrics: Uri,
    /// It ends with this, which must not be dropped by a task.
    _threads: Runtime,
}

impl Demo {
    /// Installs the recorder of the process: there can be one demo in each.
    pub(crate) fn start(mode: Mode) -> Result<Self, BoxError> {
        let threads = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let address = threads.block_on(open(&mode.sizes()))?;
        let uri = |path| format!("http://{address}{path}").parse::<Uri>();
        Ok(Self { target: uri("/order")?, metrics: uri("/metrics")?, _threads: threads })
    }
}

async fn open(sizes: &Sizes) -> Result<SocketAddr, BoxError> {
    // The buckets matter to whoever has them drawn: this program reads sums and counts.
    let recorder = PrometheusBuilder::new().set_buckets(&[0.05, 0.1, 0.2, 0.5, 1.0])?;
    let recorder = recorder.install_recorder()?;
    MetricsObserver::describe();
    let metrics = MetricsObserver::new();

    let shelves = Arc::new(Pool::new(sizes.shelves as usize, sizes.lookup));
    let lookup = async move || {
        shelves.work().await;
        "in stock"
    };
    let inventory = serve(Router::new().route("/stock", get(lookup))).await?;
    let inventory = inventory_client(inventory, &metrics)?;
    let workers = workers(sizes, &metrics);
    let order = async move || match tokio::join!(workers.oneshot(()), inventory.oneshot(())) {
        (Ok(()), Ok(())) => StatusCode::OK,
        _ => StatusCode::BAD_GATEWAY,
    };

    let bulkhead = BulkheadLayer::builder(sizes.limit as usize)
        .name("http")
        .queue(1000)
        .max_wait(Duration::from_secs(1))
        .observe(metrics.clone())
        .build();
    let timeout =
        TimeoutLayer::builder(Duration::from_secs(2)).name("http").observe(metrics.clone()).build();
    let api = ObserveLayer::builder(metrics).name("api").build();
    let stack = ServiceBuilder::new().layer(api).layer(bulkhead).layer(timeout);
    let app = Router::new()
        .route("/order", get(order).layer(respond(stack)))
        // Before all limits: a scrape must not wait in the line that it is to tell of.
        .route("/metrics", get(async move || recorder.render()));
    Ok(serve(app).await?)
}

async fn serve(app: Router) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(axum::serve(listener, app).into_future());
    Ok(address)
}

type Part = BoxCloneSyncService<(), (), BoxError>;

/// The pool, with a layer before it that tells how long it takes, its line included.
fn workers(sizes: &Sizes, metrics: &MetricsObserver) -> Part {
    let pool = Arc::new(Pool::new(sizes.workers as usize, sizes.work));
    let observe = ObserveLayer::builder(metrics.clone()).name("workers").build();
    BoxCloneSyncService::new(ServiceBuilder::new().layer(observe).service_fn(move |()| {
        let pool = pool.clone();
        async move {
            pool.work().await;
            Ok::<_, BoxError>(())
        }
    }))
}

fn inventory_client(address: SocketAddr, metrics: &MetricsObserver) -> Result<Part, BoxError> {
    let uri: Uri = format!("http://{address}/stock").parse()?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build(connector);
    let breaker = CircuitBreakerLayer::builder()
        .name("inventory")
        .failure_rate(0.5)
        .window(Window::time(Duration::from_secs(1)))
        .minimum_calls(50)
        .open_for(Duration::from_millis(500))
        .observe(metrics.clone())
        .build();
    let bulkhead = BulkheadLayer::builder(1000).name("inventory").observe(metrics.clone()).build();
    let timeout = TimeoutLayer::builder(Duration::from_millis(1500))
        .name("inventory")
        .observe(metrics.clone())
        .build();
    let stack = ServiceBuilder::new().layer(breaker).layer(bulkhead).layer(timeout);
    Ok(BoxCloneSyncService::new(stack.service_fn(move |()| {
        let answer = client.get(uri.clone());
        async move {
            answer.await?.into_body().collect().await?;
            Ok::<_, BoxError>(())
        }
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_is_configured_for_the_same_load_and_one_part_of_it_is_narrow() {
        for mode in Mode::ALL {
            assert!((mode.capacity() - 200.0).abs() < 1e-9, "{mode:?}: {}", mode.capacity());
        }
    }
}
