//! The servers: axum on loopback, alike but for what stands before their routes.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use buttress::adaptive_limit::{AdaptiveLimitLayer, Handle};
use buttress::bulkhead::BulkheadLayer;
use buttress::http::respond;
use buttress::load_shed::{Priority, PriorityClass};
use buttress::timeout::TimeoutLayer;
use http::{Request, StatusCode};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tower::ServiceBuilder;

use crate::pool::Pool;

/// What a server gives a call. Less than the caller's own patience: where a caller hangs up first,
/// the call is abandoned, and tells a limit nothing.
const TIMEOUT: Duration = Duration::from_millis(200);

/// What stands before the routes of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Naked,
    /// A limit that somebody guessed, too high.
    Guessed,
    /// The limit that somebody would choose who knew how many workers there are.
    Sensible,
    Adaptive,
    Priorities,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] =
        [Self::Naked, Self::Guessed, Self::Sensible, Self::Adaptive, Self::Priorities];

    /// Its place in [`ALL`](Self::ALL).
    pub(crate) fn index(self) -> usize {
        self as usize
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Naked => "naked",
            Self::Guessed => "limit 256",
            Self::Sensible => "limit 20",
            Self::Adaptive => "adaptive",
            Self::Priorities => "priorities",
        }
    }
}

/// The routes: the same work, but for who asks.
pub(crate) const CRITICAL: &str = "/checkout";
pub(crate) const USUAL: &str = "/search";

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) pool: Arc<Pool>,
    limit: Option<Handle>,
    task: JoinHandle<io::Result<()>>,
}

impl Server {
    pub(crate) async fn open(kind: Kind, seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let pool = Arc::new(Pool::new(seed));
        let routes = Router::new()
            .route(CRITICAL, get(answer))
            .route(USUAL, get(answer))
            .with_state(pool.clone());
        let (app, limit) = protected(routes, kind);
        let task = tokio::spawn(axum::serve(listener, app).into_future());
        Ok(Self { address, pool, limit, task })
    }

    /// The adaptive limit of this moment, where there is one.
    pub(crate) fn limit(&self) -> Option<usize> {
        self.limit.as_ref().map(Handle::limit)
    }

    pub(crate) fn close(self) {
        self.task.abort();
    }
}

/// The limit stands before the timeout, so that it sees what timed out, and nothing queues between
/// it and the workers but their own line: that line is what it keeps short.
fn protected(routes: Router, kind: Kind) -> (Router, Option<Handle>) {
    let stack = ServiceBuilder::new();
    let timeout = TimeoutLayer::new(TIMEOUT);
    match kind {
        Kind::Naked => (routes.layer(respond(stack.layer(timeout))), None),
        Kind::Guessed => {
            let limit = BulkheadLayer::new(256);
            (routes.layer(respond(stack.layer(limit).layer(timeout))), None)
        }
        Kind::Sensible => {
            let limit = BulkheadLayer::new(20);
            (routes.layer(respond(stack.layer(limit).layer(timeout))), None)
        }
        Kind::Adaptive => {
            let limit = AdaptiveLimitLayer::new();
            let handle = limit.handle();
            (routes.layer(respond(stack.layer(limit).layer(timeout))), Some(handle))
        }
        Kind::Priorities => {
            let limit = AdaptiveLimitLayer::builder().priority(priority, SHARES).build();
            let handle = limit.handle();
            (routes.layer(respond(stack.layer(limit).layer(timeout))), Some(handle))
        }
    }
}

/// Whatever is not critical may use seven tenths of the limit: the rest is what a burst of critical
/// calls finds free.
const SHARES: [(PriorityClass, f64); 1] = [(PriorityClass::Default, 0.7)];

/// By the route, which is the server's own word. A header would be the caller's, and every caller
/// thinks that his call is critical.
fn priority(request: &Request<Body>) -> Option<Priority> {
    (request.uri().path() == CRITICAL).then_some(Priority::new(PriorityClass::Critical))
}

/// In a task of its own: the work goes on when the call has ended.
async fn answer(State(pool): State<Arc<Pool>>) -> StatusCode {
    match tokio::spawn(async move { pool.work().await }).await {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
