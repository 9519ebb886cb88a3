//! One layer that several threads call through.

use std::fmt::Debug;
use std::sync::Arc;

use buttress::adaptive_limit::AdaptiveLimitLayer;
use buttress::bulkhead::BulkheadLayer;
use buttress::circuit_breaker::CircuitBreakerLayer;
use buttress::retry::{Idempotent, RetryLayer};
use tower::limit::ConcurrencyLimitLayer;
use tower::retry::RetryLayer as TowerRetryLayer;
use tower::{Layer, Service};
use tower_acc::{ConcurrencyLimit, Vegas};

use super::others::{governor, inner, recloser};
use super::ours::{READY, consecutive, unlimited};
use super::tower::Resend;
use super::{ACC, GOVERNOR, OURS, PEER, RECLOSER, TOWER, peer};
use crate::drive::{Apart, Does, Request, Subject, Succeeds, works};
use crate::rows::BARE;

/// What one thread calls.
pub(crate) type Clone = Box<dyn Subject + Send>;

/// Somebody's layer, and a clone of its service for each of two threads.
pub(crate) struct Shared {
    pub(crate) name: &'static str,
    pub(crate) whose: &'static str,
    pub(crate) make: fn() -> Vec<Clone>,
    pub(crate) reach: Option<Reach>,
}

/// What two threads are to reach.
#[derive(Clone, Copy)]
pub(crate) enum Reach {
    /// So many times the throughput of one.
    Times(f64),
    /// More than tower's `ConcurrencyLimit`, and so is one.
    MoreThanConcurrencyLimit,
}

pub(crate) const LIMIT: &str = "bulkhead";

pub(crate) fn all() -> Vec<Shared> {
    let case = |name, whose, make| Shared { name, whose, make, reach: None };
    let scales = |name, make| {
        let reach = Some(Reach::Times(1.8));
        Shared { name, whose: OURS, make, reach }
    };
    let limits = |name, make| {
        let reach = Some(Reach::MoreThanConcurrencyLimit);
        Shared { name, whose: OURS, make, reach }
    };
    vec![
        case(BARE, OURS, || clones(READY)),
        limits(LIMIT, || clones(BulkheadLayer::new(10).layer(READY))),
        case(LIMIT, TOWER, || clones(ConcurrencyLimitLayer::new(10).layer(READY))),
        case(LIMIT, PEER, || clones(peer::bulkhead().layer(READY))),
        limits("adaptive limit", || clones(AdaptiveLimitLayer::new().layer(READY))),
        case("adaptive limit", ACC, || clones(ConcurrencyLimit::new(READY, Vegas::default()))),
        scales("breaker, consecutive", || clones(consecutive().build().layer(READY))),
        case("breaker, consecutive", PEER, || clones(peer::consecutive().layer(READY))),
        case("breaker, consecutive", RECLOSER, || {
            let breaker = Arc::new(recloser());
            let clone = || -> Clone {
                let breaker = breaker.clone();
                Box::new(Apart(Does(move || works(breaker.call(inner)))))
            };
            vec![clone(), clone()]
        }),
        scales("breaker, rate over 10 s", || clones(CircuitBreakerLayer::new().layer(READY))),
        case("rate limit", OURS, || clones(unlimited().build().layer(READY))),
        case("rate limit", GOVERNOR, || {
            let limiter = Arc::new(governor());
            let clone = || -> Clone {
                let limiter = limiter.clone();
                Box::new(Apart(Does(move || works(limiter.check().map(|()| inner())))))
            };
            vec![clone(), clone()]
        }),
        scales("retry with budget", || clones(RetryLayer::new(Idempotent).layer(READY))),
        case("retry with budget", TOWER, || {
            clones(TowerRetryLayer::new(Resend::new()).layer(READY))
        }),
    ]
}

fn clones<S>(service: S) -> Vec<Clone>
where
    S: Service<Request, Response = u32, Error: Debug> + std::clone::Clone + Send + 'static,
{
    vec![Box::new(Apart(Succeeds(service.clone()))), Box::new(Apart(Succeeds(service)))]
}
