//! An instance: a server of axum with the layer, and a handler that notes its effects.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use buttress::idempotency::{
    Concurrent, Context, ContextError, Handle, IdempotencyLayer, OnStoreError, Scope,
};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::ledger::{Ledger, Note, What};
use super::transaction;
use super::watched::{Crash, Point, Watched};

/// How long things take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) lease: Duration,
    pub(super) store_timeout: Duration,
}

impl Times {
    pub(super) const SHORT: Self =
        Self { lease: Duration::from_millis(600), store_timeout: Duration::from_millis(150) };
}

/// What the handler does.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Plan {
    /// Before its effect it takes this long, and up to as much again.
    pub(super) before: Duration,
    pub(super) after: Duration,
    pub(super) guard: Guard,
    /// Fails one time in eight, before its effect.
    pub(super) flaky: bool,
}

/// What the handler asks right before its effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Guard {
    #[default]
    None,
    Check,
    BeginEffects,
    /// The effect and the answer are one transaction.
    Transaction,
}

#[derive(Clone)]
pub(super) struct App {
    pub(super) ledger: Ledger,
    pub(super) plan: Plan,
    pub(super) crash: Crash,
    /// Called in the middle of the effect.
    during: Arc<dyn Fn() + Send + Sync>,
}

impl App {
    pub(super) fn new(ledger: Ledger, plan: Plan) -> Self {
        Self { ledger, plan, crash: Crash::never(), during: Arc::new(|| {}) }
    }

    pub(super) fn crashing(mut self, crash: Crash) -> Self {
        self.crash = crash;
        self
    }

    pub(super) fn doing(mut self, during: impl Fn() + Send + Sync + 'static) -> Self {
        self.during = Arc::new(during);
        self
    }

    async fn order(self, headers: HeaderMap, context: Option<Context>, body: String) -> Response {
        let text = |name: &str| headers[name].to_str().unwrap().trim_matches('"').to_owned();
        let key = format!("{}/{}", text("x-tenant"), text("idempotency-key"));
        let (attempt, fence) =
            context.as_ref().map_or((0, 0), |of| (of.attempt(), of.fence().get()));
        let note = |what| Note { what, key: key.clone(), attempt, fence };
        self.ledger.note(note(What::Started)).await;
        self.crash.pass(Point::InHandler);
        sleep(self.plan.before + self.plan.before.mul_f64(chance(fence))).await;
        if self.plan.flaky && fence % 8 == 0 {
            return StatusCode::BAD_GATEWAY.into_response();
        }
        let answer = format!("{key}|{body}|{attempt}|{fence}");
        match (&context, self.plan.guard) {
            (Some(context), Guard::Transaction) => {
                return transaction::order(&self, context, &note(What::Effect), answer).await;
            }
            (Some(context), guard) => {
                if let Err(error) = guarded(context, guard).await {
                    return (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response();
                }
            }
            (None, _) => {}
        }
        self.ledger.note(note(What::Effect)).await;
        (self.during)();
        self.crash.pass(Point::AfterEffect);
        sleep(self.plan.after).await;
        answer.into_response()
    }
}

async fn guarded(context: &Context, guard: Guard) -> Result<(), ContextError> {
    match guard {
        Guard::None | Guard::Transaction => Ok(()),
        Guard::Check => context.check().await,
        Guard::BeginEffects => context.begin_effects().await,
    }
}

/// From 0 to 1, by the number of the claim.
fn chance(fence: u64) -> f64 {
    let scattered = fence.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48;
    f64::from(u16::try_from(scattered).unwrap()) / f64::from(u16::MAX)
}

/// Ends, as far as new connections go, once it is dropped.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) address: SocketAddr,
    pub(super) handle: Handle,
    server: JoinHandle<()>,
}

impl Instance {
    pub(super) async fn start(store: Watched, app: App, times: Times) -> Self {
        Self::with(store, app, times, OnStoreError::FailClosed).await
    }

    pub(super) async fn with(
        store: Watched,
        app: App,
        times: Times,
        on_store_error: OnStoreError,
    ) -> Self {
        let tenant = |parts: &http::request::Parts| parts.headers.get("x-tenant").map(Scope::new);
        let layer = IdempotencyLayer::builder(store.crashing(app.crash.clone()))
            .scope(tenant)
            .namespace("chaos")
            .lease(times.lease)
            .store_timeout(times.store_timeout)
            .retention(Duration::from_secs(600))
            .max_attempts(20)
            .on_concurrent(Concurrent::Reject { retry_after: 1 })
            .on_store_error(on_store_error)
            .build();
        let handle = layer.handle();
        let order = move |headers: HeaderMap, context: Option<Context>, body: String| {
            app.clone().order(headers, context, body)
        };
        let router = Router::new().route("/orders", post(order)).layer(layer);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, handle, server }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.server.abort();
    }
}
