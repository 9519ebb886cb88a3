//! The servers: one handler, naked and behind everything that a server has.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use buttress::adaptive_limit::{AdaptiveLimitLayer, Cohort};
use buttress::bulkhead::{BulkheadLayer, Queue};
use buttress::http::{RespondLayer, Statuses, respond};
use buttress::idempotency::{IdempotencyLayer, MemoryStore, Scope};
use buttress::load_shed::LoadShedLayer;
use buttress::observe::{MetricsObserver, ObserveLayer};
use buttress::timeout::{DeadlineLayer, FromRequest, TimeoutLayer};
use futures::future::try_join_all;
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::net::TcpListener;
use tower::layer::util::{Identity, Stack};
use tower::{BoxError, ServiceBuilder};

/// Where the handler does nothing.
pub(crate) const NOTHING: &str = "/";

/// Where it computes for about a tenth of a millisecond, as one that reads and writes JSON and
/// talks to a database does.
pub(crate) const WORK: &str = "/work";

const ANSWER: &str = r#"{"order":4711,"state":"accepted"}"#;

fn work() {
    static INPUT: [u8; 3 << 17] = [7; 3 << 17];

    let mut hasher = DefaultHasher::new();
    black_box(&INPUT).hash(&mut hasher);
    black_box(hasher.finish());
}

/// What stands before the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Naked,
    /// A layer that does nothing: what axum takes for there being any.
    Nothing,
    Observe,
    Deadline,
    Shed,
    Keys,
    Bulkhead,
    Adaptive,
    Timeout,
    /// Everything, with a bulkhead for a limit.
    AllBulkhead,
    /// Everything, with an adaptive limit.
    AllAdaptive,
}

impl Kind {
    const ALL: [Self; 11] = [
        Self::Naked,
        Self::Nothing,
        Self::Observe,
        Self::Deadline,
        Self::Shed,
        Self::Keys,
        Self::Bulkhead,
        Self::Adaptive,
        Self::Timeout,
        Self::AllBulkhead,
        Self::AllAdaptive,
    ];

    /// The parts of the stack, each for itself.
    pub(crate) fn alone() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|kind| *kind >= Self::Nothing && *kind < Self::AllBulkhead)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Naked => "naked",
            Self::Nothing => "a layer that does nothing",
            Self::Observe => "observe",
            Self::Deadline => "deadline",
            Self::Shed => "load shed",
            Self::Keys => "idempotency, no key",
            Self::Bulkhead => "bulkhead",
            Self::Adaptive => "adaptive limit",
            Self::Timeout => "timeout",
            Self::AllBulkhead => "the stack, with a bulkhead",
            Self::AllAdaptive => "the stack, with an adaptive limit",
        }
    }

    /// Every layer reports to an observer that has metrics made of it, as in production.
    fn app(self) -> Router {
        let handler = Router::new().route(NOTHING, post(async || ANSWER)).route(
            WORK,
            post(async || {
                work();
                ANSWER
            }),
        );
        let make = Layers { metrics: MetricsObserver::new(), name: self.name() };
        let stack = ServiceBuilder::new();
        match self {
            Self::Naked => handler,
            Self::Nothing => handler.layer(Identity::new()),
            Self::Observe => handler.layer(respond(make.observe())),
            Self::Deadline => handler.layer(respond(make.deadline())),
            Self::Shed => handler.layer(respond(make.shed())),
            Self::Keys => handler.layer(make.keys()),
            Self::Bulkhead => handler.layer(respond(make.bulkhead())),
            Self::Adaptive => handler.layer(respond(make.adaptive())),
            Self::Timeout => handler.layer(respond(make.timeout())),
            Self::AllBulkhead => {
                let inside = stack.clone().layer(make.bulkhead()).layer(make.timeout());
                handler.layer(stack.layer(make.outside()).layer(make.keys()).layer(respond(inside)))
            }
            Self::AllAdaptive => {
                let inside = stack.clone().layer(make.adaptive()).layer(make.timeout());
                handler.layer(stack.layer(make.outside()).layer(make.keys()).layer(respond(inside)))
            }
        }
    }
}

/// Makes the layers, as the guide has them in a server.
struct Layers {
    metrics: MetricsObserver,
    name: &'static str,
}

type Outside = Stack<LoadShedLayer, Stack<DeadlineLayer, Stack<ObserveLayer<Statuses>, Identity>>>;

impl Layers {
    fn outside(&self) -> RespondLayer<ServiceBuilder<Outside>> {
        let stack = ServiceBuilder::new().layer(self.observe()).layer(self.deadline());
        respond(stack.layer(self.shed()))
    }

    fn observe(&self) -> ObserveLayer<Statuses> {
        ObserveLayer::builder(self.metrics.clone()).name(self.name).classify(Statuses).build()
    }

    fn deadline(&self) -> DeadlineLayer {
        let builder = DeadlineLayer::builder().name(self.name).at_most(Duration::from_secs(10));
        builder.observe(self.metrics.clone()).build()
    }

    fn shed(&self) -> LoadShedLayer {
        LoadShedLayer::builder().name(self.name).observe(self.metrics.clone()).build()
    }

    /// No request has a key: it looks for one, and lets the request pass.
    fn keys(&self) -> IdempotencyLayer<MemoryStore> {
        IdempotencyLayer::builder(MemoryStore::new())
            .name(self.name)
            .scope(|_| Some(Scope::new("all")))
            .observe(self.metrics.clone())
            .build()
    }

    /// With more room than the client has connections, and a queue.
    fn bulkhead(&self) -> BulkheadLayer<Queue<FromRequest>> {
        BulkheadLayer::builder(256)
            .name(self.name)
            .queue(64)
            .max_wait(Duration::from_millis(200))
            .deadline(FromRequest)
            .observe(self.metrics.clone())
            .build()
    }

    fn adaptive(&self) -> AdaptiveLimitLayer<Cohort, Statuses> {
        let builder = AdaptiveLimitLayer::builder().name(self.name).classify(Statuses);
        builder.observe(self.metrics.clone()).build()
    }

    fn timeout(&self) -> TimeoutLayer<FromRequest> {
        let builder = TimeoutLayer::builder(Duration::from_secs(5)).name(self.name);
        builder.deadline(FromRequest).observe(self.metrics.clone()).build()
    }
}

/// One server of each kind, all on one thread.
#[derive(Debug)]
pub(crate) struct Server {
    /// In the order of [`Kind::ALL`].
    addresses: Vec<SocketAddr>,
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
                let open = try_join_all(Kind::ALL.map(|kind| serve(kind.app())));
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
