//! Crates with one thing each. What is no layer stands around the call as its manual shows it.

use std::convert::Infallible;
use std::hint::black_box;
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::time::Duration;

use buttress::BoxError;
use failsafe::{CircuitBreaker, FailurePolicy, backoff, failure_policy};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use recloser::Recloser;
use tower::load_shed::LoadShed;
use tower_acc::{ConcurrencyLimit, Vegas};

use super::ours::{HOUR, READY};
use super::{ACC, Case, FAILSAFE, GOVERNOR, RECLOSER, does, occupy, refuses, succeeds};
use crate::drive::{Subject, fails, outcome, works};
use crate::inner::Endless;

const ENDLESS: Endless<Infallible> = Endless(PhantomData);

pub(super) fn cases() -> Vec<Case> {
    let case = |row, whose, make| Case { row, whose, make };
    vec![
        case("breaker, consecutive", RECLOSER, || {
            let breaker = recloser();
            does(move || works(breaker.call(inner)))
        }),
        case("breaker, consecutive", FAILSAFE, || {
            through(failure_policy::consecutive_failures(5, backoff::constant(HOUR)))
        }),
        case("breaker, rate over 10 s", FAILSAFE, || through(rate(Duration::from_secs(10)))),
        case("breaker, rate, 1e4 calls", FAILSAFE, || through(rate(HOUR))),
        case("breaker, rate, 1e6 calls", FAILSAFE, || through(rate(HOUR))),
        case("breaker open", RECLOSER, recloser_open),
        case("breaker open", FAILSAFE, failsafe_open),
        case("adaptive limit", ACC, || succeeds(ConcurrencyLimit::new(READY, Vegas::default()))),
        case("adaptive limit reached", ACC, || {
            let one = Vegas::builder().initial_limit(1).max_limit(1).build();
            let mut limit = ConcurrencyLimit::new(ENDLESS, one);
            occupy(&mut limit);
            refuses(LoadShed::new(limit))
        }),
        case("rate limit", GOVERNOR, || {
            let limiter = governor();
            does(move || works(limiter.check().map(|()| inner())))
        }),
        case("rate limit, per key", GOVERNOR, || {
            let limiter = RateLimiter::keyed(unlimited());
            does(move || works(limiter.check_key(black_box(&7)).map(|()| inner())))
        }),
        case("rate limit exceeded", GOVERNOR, || {
            let limiter = RateLimiter::direct(quota(HOUR, NonZeroU32::MIN));
            works(limiter.check());
            does(move || fails(limiter.check().map(|()| inner())))
        }),
    ]
}

/// A call of the bare service.
#[inline]
pub(crate) fn inner() -> Result<u32, BoxError> {
    outcome(&mut { READY })
}

/// Counts the last 100 calls, in a ring: it knows no other window.
pub(crate) fn recloser() -> Recloser {
    Recloser::custom().error_rate(0.5).closed_len(100).open_wait(HOUR).build()
}

fn recloser_open() -> Box<dyn Subject> {
    let breaker = recloser();
    for _ in 0..1_000 {
        fails(breaker.call(|| Err::<u32, ()>(())));
    }
    does(move || fails(breaker.call(inner)))
}

fn through(policy: impl FailurePolicy + 'static) -> Box<dyn Subject> {
    let breaker = failsafe::Config::new().failure_policy(policy).build();
    does(move || works(breaker.call(inner)))
}

fn rate(window: Duration) -> impl FailurePolicy {
    failure_policy::success_rate_over_time_window(0.5, 20, window, backoff::constant(HOUR))
}

fn failsafe_open() -> Box<dyn Subject> {
    let policy = failure_policy::consecutive_failures(1, backoff::constant(HOUR));
    let breaker = failsafe::Config::new().failure_policy(policy).build();
    fails(breaker.call(|| Err::<u32, ()>(())));
    does(move || fails(breaker.call(inner)))
}

pub(crate) fn governor() -> DefaultDirectRateLimiter {
    RateLimiter::direct(unlimited())
}

fn unlimited() -> Quota {
    quota(Duration::from_nanos(1), NonZeroU32::MAX)
}

fn quota(one_in: Duration, burst: NonZeroU32) -> Quota {
    Quota::with_period(one_in).expect("a quota").allow_burst(burst)
}
