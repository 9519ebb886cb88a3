//! That a call costs the same however much a layer has seen, and how many bytes a key takes.

mod keyed;
mod rate_limit;

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use buttress::BoxError;
use criterion::{criterion_group, criterion_main};
use tower::Service;

/// One call, driven by hand: no runtime, and so no scheduler in the figures.
fn call<S>(service: &mut S, request: u64) -> u64
where
    S: Service<u64, Response = u64, Error = BoxError>,
{
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    match pin!(service.call(black_box(request))).poll(&mut cx) {
        Poll::Ready(Ok(answer)) => answer,
        other => panic!("the inner service is ready at once: {other:?}"),
    }
}

criterion_group!(
    scale,
    keyed::groups,
    rate_limit::keys,
    rate_limit::calls_per_window,
    rate_limit::bytes_per_key
);
criterion_main!(scale);
