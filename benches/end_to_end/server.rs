//! The servers: one handler, naked and behind everything that a server has.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use buttress::adaptive_limit::AdaptiveLimitLayer;
use buttress::bulkhead::BulkheadLayer;
use buttress::http::{Statuses, respond};
use buttress::idempotency::{IdempotencyLayer, MemoryStore, Scope};
use buttress::load_shed::LoadShedLayer;
use buttress::observe::{MetricsObserver, ObserveLayer};
use buttress::timeout::{DeadlineLayer, FromRequest, TimeoutLayer};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::net::TcpListener;
use tower::{BoxError, ServiceBuilder};

/// What stands before the handler.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Naked,
    /// Everything, with a bulkhead for a limit.
    Bulkhead,
    /// Everything, with an adaptive limit.
    Adaptive,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Naked => "nothing",
            Self::Bulkhead => "a bulkhead",
            Self::Adaptive => "an adaptive limit",
        }
    }
}

/// One server of each kind, all on one thread.
#[derive(Debug)]
pub(crate) struct Server {
    addresses: [SocketAddr; 3],
    /// Where the kernel says how long the thread has run.
    account: Option<PathBuf>,
}

impl Server {
    pub(crate) fn start() -> Result<Self, BoxError> {
        // Kept, so that the metrics are recorded as in production; read by nobody.
        PrometheusBuilder::new().set_buckets(&[0.001, 0.01, 0.1, 1.0])?.install_recorder()?;
        let (started, start) = mpsc::channel();
        thread::Builder::new().name("server".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let opened = runtime.and_then(|runtime| {
                let open = async {
                    let naked = serve(handler()).await?;
                    Ok([naked, serve(bulkhead()).await?, serve(adaptive()).await?])
                };
                runtime.block_on(open).map(|addresses| (runtime, addresses))
            });
            match opened {
                Ok((runtime, addresses)) => {
                    let account = fs::read_link("/proc/thread-self").ok();
                    let account =
                        account.map(|thread| PathBuf::from("/proc").join(thread).join("schedstat"));
                    // Nobody receives it where the main thread has ended.
                    let _ = started.send(Ok(Self { addresses, account }));
                    runtime.block_on(std::future::pending::<()>());
                }
                Err(error) => drop(started.send(Err(error))),
            }
        })?;
        Ok(start.recv()??)
    }

    pub(crate) fn address(&self, kind: Kind) -> SocketAddr {
        self.addresses[kind as usize]
    }

    /// How long the server's thread has run; nothing where the kernel does not say.
    pub(crate) fn cpu(&self) -> Option<Duration> {
        let account = fs::read_to_string(self.account.as_ref()?).ok()?;
        let nanos = account.split_whitespace().next()?.parse().ok()?;
        Some(Duration::from_nanos(nanos))
    }
}

async fn serve(app: Router) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(axum::serve(listener, app).into_future());
    Ok(address)
}

fn handler() -> Router {
    Router::new().route("/", post(async || r#"{"order":4711,"state":"accepted"}"#))
}

/// With more room than the client has connections, and a queue.
fn bulkhead() -> Router {
    let metrics = MetricsObserver::new();
    let limit = BulkheadLayer::builder(256)
        .name("bulkhead")
        .queue(64)
        .max_wait(Duration::from_millis(200))
        .deadline(FromRequest)
        .observe(metrics.clone())
        .build();
    let inside = ServiceBuilder::new().layer(limit).layer(timeout(&metrics, "bulkhead"));
    before(handler().layer(respond(inside)), &metrics, "bulkhead")
}

fn adaptive() -> Router {
    let metrics = MetricsObserver::new();
    let limit = AdaptiveLimitLayer::builder()
        .name("adaptive")
        .classify(Statuses)
        .observe(metrics.clone())
        .build();
    let inside = ServiceBuilder::new().layer(limit).layer(timeout(&metrics, "adaptive"));
    before(handler().layer(respond(inside)), &metrics, "adaptive")
}

fn timeout(metrics: &MetricsObserver, name: &str) -> TimeoutLayer<FromRequest> {
    TimeoutLayer::builder(Duration::from_secs(5))
        .name(name)
        .deadline(FromRequest)
        .observe(metrics.clone())
        .build()
}

/// What stands before the limit. No request has a key: the layer looks for one, and lets it pass.
fn before(app: Router, metrics: &MetricsObserver, name: &str) -> Router {
    let keys = IdempotencyLayer::builder(MemoryStore::new())
        .name(name)
        .scope(|_| Some(Scope::new("all")))
        .observe(metrics.clone())
        .build();
    let observe = ObserveLayer::builder(metrics.clone()).name(name).classify(Statuses).build();
    let deadline = DeadlineLayer::builder()
        .name(name)
        .at_most(Duration::from_secs(10))
        .observe(metrics.clone())
        .build();
    let shed = LoadShedLayer::builder().name(name).observe(metrics.clone()).build();
    let stack = ServiceBuilder::new().layer(observe).layer(deadline).layer(shed);
    app.layer(keys).layer(respond(stack))
}
