//! [`respond`] around services that do as they are told.

use std::convert::Infallible;
use std::future::ready;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tower::{ServiceExt, service_fn};
use tower_layer::{Layer, layer_fn};
use tower_service::Service;

use crate::bulkhead::BulkheadLayer;
use crate::http::{Respond, respond};
use crate::rejected::{Reason, Rejected};

type Answer = Response<Full<Bytes>>;

fn hello() -> Answer {
    Response::new(Full::from("hello"))
}

#[tokio::test]
async fn an_answer_and_its_body_pass_untouched() {
    let service = service_fn(async |()| Ok::<_, Infallible>(hello()));
    let response = respond(BulkheadLayer::new(1)).layer(service).oneshot(()).await.unwrap();
    assert_eq!(response.body().size_hint().exact(), Some(5));
    assert!(!response.body().is_end_stream());
    assert_eq!(response.collect().await.unwrap().to_bytes(), "hello");
}

#[tokio::test]
async fn an_error_of_the_service_passes_as_itself() {
    let service = service_fn(async |()| Err::<Answer, _>("reset"));
    let error: &str = respond(BulkheadLayer::new(1)).layer(service).oneshot(()).await.unwrap_err();
    assert_eq!(error, "reset");
}

#[tokio::test]
async fn the_body_of_a_refusal_knows_its_size_and_its_end() {
    let service = service_fn(async |()| Ok::<_, Infallible>(hello()));
    let response = respond(BulkheadLayer::new(0)).layer(service).oneshot(()).await.unwrap();
    let mut body = response.into_body();
    let size = body.size_hint().exact().unwrap();
    assert!(!body.is_end_stream());
    let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(data.len() as u64, size);
    assert!(body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(0));
    assert!(body.frame().await.is_none());
}

/// Refuses in place of getting ready, the first few times.
#[derive(Clone)]
struct Unready<S> {
    inner: S,
    refusals: u32,
}

impl<S> Service<()> for Unready<S>
where
    S: Service<(), Error: From<Rejected>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        if self.refusals == 0 {
            return self.inner.poll_ready(cx);
        }
        self.refusals -= 1;
        Poll::Ready(Err(Rejected::new(Reason::Overloaded).into()))
    }

    fn call(&mut self, (): ()) -> S::Future {
        self.inner.call(())
    }
}

#[tokio::test]
async fn a_refusal_in_place_of_readiness_answers_the_next_call_of_that_instance() {
    let stack = layer_fn(|inner| Unready { inner, refusals: 2 });
    let bottom = service_fn(async |()| Ok::<_, Infallible>(hello()));
    let mut service = respond(stack).layer(bottom);
    let is_ready = |service: &mut Respond<_>| {
        let ready = service.poll_ready(&mut Context::from_waker(Waker::noop()));
        matches!(ready, Poll::Ready(Ok(())))
    };

    assert!(is_ready(&mut service));
    assert!(is_ready(&mut service), "and is not asked again while a refusal stands");
    let mut clone: Respond<_> = service.clone();
    assert_eq!(service.call(()).await.unwrap().status(), 503);
    assert!(is_ready(&mut service));
    assert_eq!(service.call(()).await.unwrap().status(), 503);
    assert!(is_ready(&mut service));
    assert_eq!(service.call(()).await.unwrap().status(), 200);

    assert_eq!(clone.call(()).await.unwrap().status(), 200, "a clone has not been refused");
}

#[test]
fn an_answer_that_passes_allocates_nothing() {
    let bottom =
        service_fn(|()| ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))));
    let mut service = respond(BulkheadLayer::new(1)).layer(bottom);
    let mut call = || {
        let cx = &mut Context::from_waker(Waker::noop());
        let _ = service.poll_ready(cx);
        let answer = pin!(service.call(())).poll(cx);
        assert!(matches!(answer, Poll::Ready(Ok(response)) if response.status() == 200));
    };
    assert_eq!(allocation_counter::measure(&mut call).count_total, 0);
}
