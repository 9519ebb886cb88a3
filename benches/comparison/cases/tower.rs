//! tower's own middleware. Its rate limit counts the calls of each clone by itself.

use std::convert::Infallible;
use std::fmt::Debug;
use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use buttress::BoxError;
use tower::hedge::{self, Hedge};
use tower::limit::{ConcurrencyLimitLayer, RateLimitLayer};
use tower::load_shed::LoadShedLayer;
use tower::retry::budget::{Budget, TpsBudget};
use tower::retry::{self, RetryLayer};
use tower::timeout::TimeoutLayer;
use tower::{Layer, Service, ServiceBuilder};

use super::ours::{HOUR, LATER, READY, SECOND};
use super::{Case, TOWER, occupy, refuses, succeeds};
use crate::drive::{Request, Subject};
use crate::inner::{Endless, Stuck};

const ENDLESS: Endless<Infallible> = Endless(PhantomData);
const STUCK: Stuck<Infallible> = Stuck(PhantomData);

pub(super) fn cases() -> Vec<Case> {
    let case = |row, make| Case { row, whose: TOWER, make };
    vec![
        case("timeout, inner ready", || succeeds(TimeoutLayer::new(SECOND).layer(READY))),
        case("timeout, inner pending", || succeeds(TimeoutLayer::new(SECOND).layer(LATER))),
        case("bulkhead", || succeeds(ConcurrencyLimitLayer::new(10).layer(READY))),
        case("bulkhead full", full),
        case("load shed", || succeeds(LoadShedLayer::new().layer(READY))),
        case("load shed, not ready", || refuses(LoadShedLayer::new().layer(STUCK))),
        case("retry with budget", || succeeds(RetryLayer::new(Resend::new()).layer(READY))),
        case("rate limit", || succeeds(RateLimitLayer::new(u64::MAX, HOUR).layer(READY))),
        case("rate limit exceeded", exceeded),
        case("hedge, primary wins", || succeeds(hedged(READY))),
        case("hedge, primary pending", || succeeds(hedged(LATER))),
        case("stack of 4", || succeeds(four())),
    ]
}

/// It has no layer that refuses when it is full: it is not ready, which another makes a refusal.
fn full() -> Box<dyn Subject> {
    let mut limit = ConcurrencyLimitLayer::new(1).layer(ENDLESS);
    occupy(&mut limit);
    refuses(LoadShedLayer::new().layer(limit))
}

/// As above.
fn exceeded() -> Box<dyn Subject> {
    let mut limit = RateLimitLayer::new(1, HOUR).layer(ENDLESS);
    occupy(&mut limit);
    refuses(LoadShedLayer::new().layer(limit))
}

/// Sends a failed request again as long as the budget pays for it.
#[derive(Clone)]
pub(crate) struct Resend(Arc<TpsBudget>);

impl Resend {
    pub(crate) fn new() -> Self {
        Self(Arc::new(TpsBudget::new(Duration::from_secs(10), 10, 0.2)))
    }
}

impl<E> retry::Policy<Request, u32, E> for Resend {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Request, result: &mut Result<u32, E>) -> Option<Ready<()>> {
        if result.is_ok() {
            self.0.deposit();
            return None;
        }
        self.0.withdraw().then(|| ready(()))
    }

    fn clone_request(&mut self, request: &Request) -> Option<Request> {
        Some(*request)
    }
}

fn hedged<S>(inner: S) -> impl Service<Request, Response = u32, Error: Debug>
where
    S: Service<Request, Response = u32, Error = BoxError> + Clone,
{
    Hedge::new(inner, Always, 10, 0.95, Duration::from_secs(60))
}

#[derive(Clone)]
struct Always;

impl hedge::Policy<Request> for Always {
    fn clone_request(&self, request: &Request) -> Option<Request> {
        Some(*request)
    }

    fn can_retry(&self, _: &Request) -> bool {
        true
    }
}

/// What it has in place of ours: it has no breaker, and its limit needs another layer to refuse.
fn four() -> impl Service<Request, Response = u32, Error: Debug> {
    ServiceBuilder::new()
        .layer(RetryLayer::new(Resend::new()))
        .layer(LoadShedLayer::new())
        .layer(ConcurrencyLimitLayer::new(10))
        .layer(TimeoutLayer::new(SECOND))
        .service(READY)
}
