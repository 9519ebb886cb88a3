//! What further attempts cost in allocations, and what it costs to be ready for them.

use std::future::ready;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use allocation_counter::measure;
use buttress::hedge::HedgeLayer;
use buttress::retry::{Budget, Idempotent, Policy, RetryLayer};
use tower::{Layer, Service, service_fn};

use super::{Fault, WARM};

/// A policy for requests whose clones are to be counted.
#[derive(Debug)]
struct Boxing;

impl<T, E> Policy<Box<u32>, T, E> for Boxing {
    fn clone_request(&self, request: &Box<u32>) -> Option<Box<u32>> {
        Some(request.clone())
    }
}

#[test]
fn a_retry_allocates_what_cloning_the_request_does_and_the_last_attempt_does_not_clone_it() {
    let of = |attempts: u32, fails: u32| {
        let layer = RetryLayer::builder(Boxing)
            .max_attempts(attempts)
            .delays(|| [Duration::ZERO; 9])
            .budget(Budget::ratio(1.0).at_least(1000))
            .build();
        let left = std::cell::Cell::new(0);
        let mut service = layer.layer(service_fn(|_: Box<u32>| {
            left.set(left.get() - 1);
            ready(if left.get() < 0 { Ok(()) } else { Err(Fault::Service("down")) })
        }));
        let mut one = || {
            left.set(i64::from(fails));
            let request = Box::new(7);
            let mut cx = Context::from_waker(Waker::noop());
            assert!(service.poll_ready(&mut cx).is_ready());
            let counted = measure(|| {
                assert!(pin!(service.call(request)).poll(&mut cx).is_ready());
            });
            counted.count_total
        };
        one();
        one()
    };
    assert_eq!(of(1, 0), 0, "one attempt: nothing is cloned");
    assert_eq!(of(3, 0), 1, "one clone");
    // A call that has failed keeps its state, and here its delays, in two boxes.
    assert_eq!(of(2, 1), 1 + 2, "the second attempt of two is the last: no further clone");
    assert_eq!(of(3, 1), 2 + 2, "the second attempt of three is cloned");
}

/// Neither does one that is not ready at once, and so makes a timer.
#[tokio::test(start_paused = true)]
async fn a_call_that_needs_no_second_attempt_allocates_nothing() {
    let layer = HedgeLayer::new(Idempotent);
    let mut service = layer.layer(service_fn(|pends: u32| {
        let mut left = pends;
        std::future::poll_fn(move |_| {
            if left == 0 {
                return Poll::Ready(Ok::<_, Fault>(()));
            }
            left -= 1;
            Poll::Pending
        })
    }));
    let mut one = |pends: u32| {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(service.poll_ready(&mut cx).is_ready());
        let mut future = pin!(service.call(pends));
        (0..pends).for_each(|_| assert!(future.as_mut().poll(&mut cx).is_pending()));
        assert!(future.poll(&mut cx).is_ready());
    };
    (0..WARM).for_each(|_| one(3));
    assert!(layer.handle().delay().is_some(), "it is warm");
    assert_eq!(measure(|| (0..100).for_each(|_| one(3))).count_total, 0);
}
