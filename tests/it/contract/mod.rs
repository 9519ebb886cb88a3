//! What every layer owes to tower, to the service inside and to whoever watches: one suite, one
//! line for each layer.
//!
//! A line may except a layer from a group of clauses, for a reason that its documentation gives:
//! `bare` (asks nothing of the inner service that tower would not), `release` (a drop cuts the
//! inner future), `events` (tells of calls), `either` (keeps the error type), `pending` (`poll_ready`
//! is pending where the inner service's is), `early` (readies the inner service in `poll_ready`, not
//! in the response future).

mod bare;
mod company;
mod endings;
mod outcomes;
mod readiness;
mod sharing;

use std::time::Duration;

use buttress::LiftLayer;
use buttress::adaptive_limit::AdaptiveLimitLayer;
use buttress::bulkhead::BulkheadLayer;
use buttress::circuit_breaker::{CircuitBreakerLayer, Window};
use buttress::hedge::{Delay, HedgeLayer};
use buttress::keyed::KeyedLayer;
use buttress::load_shed::{LoadShedLayer, Priority, PriorityClass, ThrottleLayer};
use buttress::observe::ObserveLayer;
#[cfg(feature = "rate-limit")]
use buttress::rate_limit::RateLimitLayer;
use buttress::retry::{Policy, RetryLayer};
use buttress::timeout::TimeoutLayer;
#[cfg(feature = "http")]
use buttress::timeout::{Deadline, DeadlineLayer, PropagateDeadlineLayer};
use tower::{Layer, Service};

pub(crate) use outcomes::Subject;

use crate::support::{Ask, Ledger, Mock, ready};

const HOUR: Duration = Duration::from_secs(3600);

/// A layer and its name; the layer is told to report to a ledger.
macro_rules! contract {
    ($name:ident, $build:expr $(, except $($except:ident)+)?) => {
        mod $name {
            use super::*;

            contract!(@traits $build);
            contract!(@outcomes $build);
            contract!(@company $build);
            unless!(early: [$($($except)+)?] contract!(@early $build););
            unless!(bare: [$($($except)+)?] contract!(@bare $build););
            unless!(release: [$($($except)+)?] contract!(@release $build););
            unless!(events: [$($($except)+)?] contract!(@events $build););
            unless!(either: [$($($except)+)?] contract!(@either $build););
            unless!(pending: [$($($except)+)?] contract!(@pending $build););
        }
    };
    (@early $build:expr) => {
        #[tokio::test(start_paused = true)]
        async fn calls_the_very_instance_that_was_made_ready() {
            readiness::calls_the_very_instance_that_was_made_ready($build);
        }

        #[tokio::test(start_paused = true)]
        async fn errors_of_poll_ready_pass_untouched() {
            readiness::errors_of_poll_ready_pass_untouched($build);
        }
    };
    (@traits $build:expr) => {
        #[tokio::test(start_paused = true)]
        async fn auto_traits_are_those_of_the_inner_service() {
            let layer = made(Ledger::default(), $build);
            let mut service = layer.layer(Mock::new());
            let future = ready(&mut service).call(Ask::Answer(1));
            bare::layer_traits(&layer);
            bare::service_traits(&service);
            bare::future_traits(&future);
        }
    };
    (@pending $build:expr) => {
        #[tokio::test(start_paused = true)]
        async fn a_readiness_grant_survives_repeated_poll_ready() {
            readiness::a_grant_survives_repeated_poll_ready($build);
        }

        #[tokio::test(start_paused = true)]
        async fn inner_pending_is_forwarded_with_a_waker_that_wakes() {
            readiness::pending_is_forwarded_with_a_waker_that_wakes($build);
        }

        #[tokio::test(start_paused = true)]
        async fn clones_never_share_readiness() {
            readiness::clones_never_share_readiness($build);
        }

        #[tokio::test(start_paused = true)]
        async fn works_around_a_concurrency_limit_of_one() {
            let ledger = Ledger::default();
            let mock = Mock::new();
            let watch = mock.watch();
            let limit = tower::limit::ConcurrencyLimit::new(mock, 1);
            let service = made(ledger.clone(), $build).layer(limit);
            company::hands_on_the_only_permit(&service);
            company::serves_many(service).await;
            assert_eq!(watch.most_replies(), 1);
            ledger.assert_settled();
        }
    };
    (@outcomes $build:expr) => {
        #[tokio::test(start_paused = true)]
        async fn a_pending_answer_is_forwarded_with_a_waker_that_wakes() {
            outcomes::pending_is_forwarded_with_a_waker_that_wakes($build);
        }

        #[tokio::test(start_paused = true)]
        async fn errors_and_answers_pass_untouched() {
            outcomes::errors_and_answers_pass_untouched($build).await;
        }
    };
    (@release $build:expr) => {
        #[tokio::test(start_paused = true)]
        async fn dropping_the_service_or_the_future_releases() {
            outcomes::dropping_the_service_or_the_future_releases($build);
        }

        #[tokio::test(start_paused = true)]
        async fn a_drop_at_any_poll_leaves_nothing_behind() {
            outcomes::a_drop_at_any_poll_leaves_nothing_behind($build);
        }
    };
    (@events $build:expr) => {
        #[tokio::test(start_paused = true)]
        async fn one_terminal_event_per_call_in_every_way_a_call_can_end() {
            outcomes::one_terminal_event_per_call($build).await;
        }
    };
    (@bare $build:expr) => {
        #[test]
        fn asks_nothing_of_the_inner_service_that_tower_would_not() {
            let calls = std::cell::Cell::new(0);
            let mut service = made(Ledger::default(), $build).layer(bare::Bare::new(&calls));
            bare::serves(&mut service);
            assert_eq!(calls.get(), 1);
        }
    };
    (@either $build:expr) => {
        #[tokio::test(start_paused = true)]
        async fn works_in_an_option_layer() {
            let layer = made(Ledger::default(), $build);
            let with = tower::util::option_layer(Some(layer.clone())).layer(Mock::new());
            company::serves(with).await;
            let without = tower::util::option_layer(Some(layer).filter(|_| false));
            company::serves(without.layer(Mock::new())).await;
        }
    };
    (@company $build:expr) => {
        #[tokio::test(start_paused = true)]
        async fn works_behind_a_buffer() {
            let ledger = Ledger::default();
            let service = made(ledger.clone(), $build).layer(Mock::new());
            company::serves_many(tower::buffer::Buffer::new(service, 4)).await;
            ledger.assert_settled();
        }

        #[tokio::test(start_paused = true)]
        async fn works_behind_a_concurrency_limit_of_one() {
            let ledger = Ledger::default();
            let service = made(ledger.clone(), $build).layer(Mock::new());
            company::serves_many(tower::limit::ConcurrencyLimit::new(service, 1)).await;
            ledger.assert_settled();
        }

        #[tokio::test(start_paused = true)]
        async fn works_in_a_bare_axum_router() {
            let ledger = Ledger::default();
            let stack = tower::ServiceBuilder::new()
                .layer(company::AnswerLayer)
                .layer(made(ledger.clone(), $build))
                .layer(LiftLayer);
            company::serves_all_routes(company::routes(Duration::from_millis(1)).layer(stack)).await;
            ledger.assert_settled();
        }
    };
}

/// The rest, unless the name before it is in the list.
macro_rules! unless {
    (early: [early $($names:ident)*] $($rest:tt)*) => {};
    (bare: [bare $($names:ident)*] $($rest:tt)*) => {};
    (release: [release $($names:ident)*] $($rest:tt)*) => {};
    (events: [events $($names:ident)*] $($rest:tt)*) => {};
    (either: [either $($names:ident)*] $($rest:tt)*) => {};
    (pending: [pending $($names:ident)*] $($rest:tt)*) => {};
    ($group:ident: [$other:ident $($names:ident)*] $($rest:tt)*) => {
        unless!($group: [$($names)*] $($rest)*);
    };
    ($group:ident: [] $($rest:tt)*) => { $($rest)* };
}

/// The policy for whatever this suite sends, the router's requests among it, which have no body.
#[derive(Debug)]
struct Again;

impl<T, E> Policy<Ask, T, E> for Again {
    fn clone_request(&self, ask: &Ask) -> Option<Ask> {
        Some(*ask)
    }
}

impl<T, E> Policy<axum::extract::Request, T, E> for Again {
    fn clone_request(&self, request: &axum::extract::Request) -> Option<axum::extract::Request> {
        let mut copy = axum::extract::Request::default();
        request.method().clone_into(copy.method_mut());
        request.uri().clone_into(copy.uri_mut());
        Some(copy)
    }
}

fn made<L>(ledger: Ledger, build: impl Fn(Ledger) -> L) -> L {
    build(ledger)
}

contract!(lift, |_| LiftLayer, except events either);
contract!(observe, ObserveLayer::new);
contract!(timeout, |o| TimeoutLayer::builder(HOUR).observe(o).build());
contract!(timeout_with_readiness, |o| TimeoutLayer::builder(HOUR)
    .also_readiness()
    .observe(o)
    .build());
contract!(timeout_detaching, |o| TimeoutLayer::builder(HOUR).detach(64).observe(o).build(), except bare release);
contract!(timeout_in_shadow, |o| TimeoutLayer::builder(HOUR).shadow().observe(o).build());
contract!(timeout_of_attempts, |o| TimeoutLayer::builder(HOUR)
    .last_attempt_unbounded()
    .observe(o)
    .build());
#[cfg(feature = "http")]
contract!(deadline, |o| DeadlineLayer::builder().observe(o).build());
#[cfg(feature = "http")]
contract!(deadline_capped, |o| DeadlineLayer::builder().at_most(HOUR).observe(o).build());
#[cfg(feature = "http")]
contract!(deadline_in_shadow, |o| DeadlineLayer::builder()
    .at_most(Duration::from_nanos(1))
    .shadow()
    .observe(o)
    .build());
#[cfg(feature = "http")]
contract!(propagate_deadline, |o| PropagateDeadlineLayer::builder().observe(o).build());
#[cfg(feature = "http")]
contract!(propagate_deadline_of_all, |o| PropagateDeadlineLayer::builder()
    .deadline(|_: &_| Some(Deadline::after(HOUR)))
    .observe(o)
    .build());
contract!(bulkhead, |o| BulkheadLayer::builder(1024).observe(o).build());
contract!(bulkhead_queue, |o| BulkheadLayer::builder(2).queue(1024).observe(o).build(), except bare);
contract!(bulkhead_in_shadow, |o| BulkheadLayer::builder(0).shadow().observe(o).build());
contract!(bulkhead_partitions, |o| BulkheadLayer::builder(1024)
    .partition(|_: &_| 1, [(1, 0.5)])
    .observe(o)
    .build());
contract!(adaptive_limit, |o| AdaptiveLimitLayer::builder().initial(100).observe(o).build());
contract!(adaptive_limit_queue, |o| AdaptiveLimitLayer::builder()
    .max(2)
    .queue(1024)
    .observe(o)
    .build(), except bare);
contract!(adaptive_limit_in_shadow, |o| AdaptiveLimitLayer::builder()
    .max(1)
    .shadow()
    .observe(o)
    .build());
contract!(adaptive_limit_priorities, |o| AdaptiveLimitLayer::builder()
    .initial(100)
    .priority(|_: &_| Some(PriorityClass::Sheddable.into()), [])
    .observe(o)
    .build());
contract!(circuit_breaker, |o| CircuitBreakerLayer::builder().observe(o).build());
contract!(circuit_breaker_by_count, |o| CircuitBreakerLayer::builder()
    .window(Window::count(100))
    .observe(o)
    .build());
contract!(circuit_breaker_consecutive, |o| CircuitBreakerLayer::builder()
    .consecutive_failures(9)
    .observe(o)
    .build());
contract!(circuit_breaker_gate, |o| CircuitBreakerLayer::builder().gate().observe(o).build());
contract!(circuit_breaker_in_shadow, |o| CircuitBreakerLayer::builder()
    .shadow()
    .observe(o)
    .build());
#[cfg(feature = "rate-limit")]
contract!(rate_limit, |o| RateLimitLayer::builder().per_second(1 << 20).observe(o).build());
#[cfg(feature = "rate-limit")]
contract!(rate_limit_with_a_wait, |o| RateLimitLayer::builder()
    .per_second(1 << 20)
    .max_wait(HOUR)
    .observe(o)
    .build(), except bare);
#[cfg(feature = "rate-limit")]
contract!(rate_limit_by_key, |o| RateLimitLayer::builder()
    .per_second(1 << 20)
    .key(|_: &_| 1)
    .observe(o)
    .build());
#[cfg(feature = "rate-limit")]
contract!(rate_limit_in_shadow, |o| RateLimitLayer::builder()
    .per(1, HOUR)
    .shadow()
    .observe(o)
    .build());
contract!(retry, |o| RetryLayer::builder(Again).observe(o).build(), except bare);
contract!(retry_of_one_attempt, |o| RetryLayer::builder(Again)
    .max_attempts(1)
    .observe(o)
    .build(), except bare);
contract!(hedge, |o| HedgeLayer::builder(Again).observe(o).build(), except bare);
contract!(hedge_after_an_hour, |o| HedgeLayer::builder(Again)
    .delay(Delay::Fixed(HOUR))
    .observe(o)
    .build(), except bare);
contract!(hedge_that_sends_twice, |o| HedgeLayer::builder(Again)
    .delay(Delay::Fixed(Duration::from_millis(1)))
    .observe(o)
    .build(), except bare);
contract!(keyed, |o| KeyedLayer::new(
    |_: &_| 7_u8,
    move |_: &u8| BulkheadLayer::builder(1024).observe(o.clone()).build()
), except early bare events pending);
contract!(keyed_idle_by_ref, |o| KeyedLayer::builder_by_ref(
    |_: &_| "key",
    move |_: &str| BulkheadLayer::builder(1024).observe(o.clone()).build()
).idle(HOUR).build(), except early bare events pending);
contract!(throttle, |o| ThrottleLayer::builder().floor(1000.0).observe(o).build());
contract!(throttle_in_shadow, |o| ThrottleLayer::builder().shadow().observe(o).build());
contract!(load_shed, |o| LoadShedLayer::builder().observe(o).build(), except bare pending);
contract!(load_shed_with_a_signal, |o| LoadShedLayer::builder()
    .signal(|| 0.0)
    .observe(o)
    .build(), except bare pending);
contract!(load_shed_queue, |o| LoadShedLayer::builder()
    .queue_delay(HOUR, 2 * HOUR)
    .observe(o)
    .build(), except bare pending);
contract!(load_shed_fail_fast, |o| LoadShedLayer::builder()
    .fail_fast(HOUR)
    .observe(o)
    .build(), except bare pending);
contract!(load_shed_by_priority, |o| LoadShedLayer::builder()
    .priority(|_: &_| Some(Priority::new(PriorityClass::Batch)))
    .exempt(|_: &_| false)
    .observe(o)
    .build(), except bare pending);
contract!(load_shed_in_shadow, |o| LoadShedLayer::builder().shadow().observe(o).build(), except bare);
contract!(load_shed_queue_in_shadow, |o| LoadShedLayer::builder()
    .queue(8)
    .shadow()
    .observe(o)
    .build(), except bare);
