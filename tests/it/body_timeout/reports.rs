//! The layer: what it tells, what its shadow does, and what it will not be built with.

use std::convert::Infallible;
use std::task::Poll;
use std::time::Duration;

use buttress::http::{BodyTimeoutConfig, BodyTimeoutLayer, TimeoutBody};
use buttress::observe::EventKind::{Abandoned, Rejected, WouldReject};
use buttress::observe::Stage;
use buttress::{Class, Reason};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use tower::{Layer, Service, ServiceExt, service_fn};

use super::{MS, poll, refusal, text};
use crate::support::{Fault, Fill, Hand, Ledger, Pipe, admitted, panics, pipe, poll_once, settled};

/// A response of the layer's service, and the end at which it is filled.
async fn open(
    layer: &BodyTimeoutLayer,
    length: Option<u64>,
) -> (Fill, Response<TimeoutBody<Pipe>>) {
    let (fill, body) = pipe();
    let mut body = Some(body);
    let service = service_fn(move |_: Request<()>| {
        let response = length.into_iter().fold(Response::builder(), |response, length| {
            response.header("content-length", length)
        });
        let response = response.body(body.take().expect("one call")).unwrap();
        async { Ok::<_, Fault>(response) }
    });
    (fill, layer.layer(service).oneshot(Request::new(())).await.unwrap())
}

fn layer(ledger: &Ledger) -> BodyTimeoutLayer {
    BodyTimeoutLayer::builder().idle(10 * MS).name("dl").observe(ledger.clone()).build()
}

const SUCCESS: Class = Class::Success;

#[tokio::test(start_paused = true)]
async fn a_body_that_takes_too_long_is_told_and_names_the_layer() {
    let ledger = Ledger::default();
    let (_fill, response) = open(&layer(&ledger), None).await;
    let mut body = Box::pin(response.into_body());
    assert_eq!(refusal(body.frame().await).name(), Some("dl"));
    drop(body);
    assert_eq!(ledger.only().last_stage(), Some(Stage::InFlight));
    assert_eq!(ledger.take("body_timeout"), [admitted(), Rejected(Reason::TimedOut)]);
    ledger.assert_settled();
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_with_its_body_and_once() {
    type Put = fn(&Fill) -> &Fill;
    let ends: [(Put, _); 6] = [
        (|fill| fill.data("a").end(), settled(SUCCESS)),
        (|fill| fill.end(), settled(SUCCESS)),
        (|fill| fill.trailers().end(), settled(SUCCESS)),
        (|fill| fill.fail(), settled(Class::Transient)),
        (|fill| fill.data("a"), Abandoned),
        (|fill| fill, Abandoned),
    ];
    for (put, end) in ends {
        let ledger = Ledger::default();
        let (fill, response) = open(&layer(&ledger), None).await;
        let mut body = Box::pin(response.into_body());
        assert_eq!(ledger.only().kinds(), [admitted()]);
        put(&fill);
        while let Poll::Ready(Some(Ok(_))) = poll(&mut body) {}
        drop(body);
        assert_eq!(ledger.take("body_timeout"), [admitted(), end]);
        ledger.assert_settled();
    }
}

/// A server does not ask a body for its end that has given all it announced.
#[tokio::test(start_paused = true)]
async fn a_body_read_to_its_announced_length_has_ended() {
    for (length, end) in [(4, settled(SUCCESS)), (5, Abandoned)] {
        let ledger = Ledger::default();
        let (fill, response) = open(&layer(&ledger), Some(length)).await;
        let mut body = Box::pin(response.into_body());
        fill.data("abcd");
        assert_eq!(text(&mut body).await, "abcd");
        drop(body);
        assert_eq!(ledger.take("body_timeout"), [admitted(), end]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_without_a_body_ends_with_its_head() {
    let ledger = Ledger::default();
    let service = service_fn(async |request: Request<()>| {
        let status = if request.uri() == "/204" { 204 } else { 200 };
        let body = if request.uri() == "/empty" { "" } else { "abc" };
        Ok::<_, Infallible>(
            Response::builder().status(status).body(Full::<Bytes>::from(body)).unwrap(),
        )
    });
    for (method, uri) in [("HEAD", "/"), ("GET", "/204"), ("GET", "/empty")] {
        let request = Request::builder().method(method).uri(uri).body(()).unwrap();
        let response = layer(&ledger).layer(service).oneshot(request).await.unwrap();
        assert_eq!(ledger.take("body_timeout"), [admitted(), settled(SUCCESS)], "{method} {uri}");
        drop(response);
        ledger.assert_settled();
    }
    assert_eq!(ledger.take("body_timeout"), []);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_head_ends_with_its_error() {
    let ledger = Ledger::default();
    for (error, class) in [
        (Fault::Broken(1), Class::Transient),
        (buttress::Rejected::new(Reason::CircuitOpen).into(), Class::Ignore),
    ] {
        let outcome = error.clone();
        let service = service_fn(move |_: Request<()>| {
            std::future::ready(Err::<Response<Empty<Bytes>>, _>(outcome.clone()))
        });
        let outcome = layer(&ledger).layer(service).oneshot(Request::new(())).await;
        assert_eq!(outcome.unwrap_err(), error, "untouched");
        assert_eq!(ledger.take("body_timeout"), [admitted(), settled(class)]);
    }
    ledger.assert_settled();
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_or_panics_before_its_head_is_abandoned() {
    let ledger = Ledger::default();
    let stuck = service_fn(|_: Request<()>| {
        std::future::pending::<Result<Response<Empty<Bytes>>, Infallible>>()
    });
    let mut future = Box::pin(layer(&ledger).layer(stuck).call(Request::new(())));
    // The head is not bounded here.
    assert!(poll_once(&mut future).is_pending());
    tokio::time::advance(900 * MS).await;
    assert!(poll_once(&mut future).is_pending());
    drop(future);
    assert_eq!(ledger.take("body_timeout"), [admitted(), Abandoned]);
    let bad =
        service_fn(|_: Request<()>| -> std::future::Ready<Result<Response<Empty<Bytes>>, Fault>> {
            panic!("as the test wants")
        });
    panics(|| drop(layer(&ledger).layer(bad).call(Request::new(()))));
    assert_eq!(ledger.take("body_timeout"), [admitted(), Abandoned]);
    ledger.assert_settled();
}

#[tokio::test(start_paused = true)]
async fn a_shadow_reports_once_and_lets_the_body_go_on() {
    let ledger = Ledger::default();
    let build = || BodyTimeoutLayer::builder().shadow().observe(ledger.clone());
    let would = WouldReject(Reason::TimedOut);
    let (fill, response) = open(&build().idle(10 * MS).build(), None).await;
    let (mut body, hand) = (Box::pin(response.into_body()), Hand::new());
    for _ in 0..3 {
        assert!(hand.poll(&mut body.frame()).is_pending());
        tokio::time::advance(90 * MS).await;
    }
    fill.data("a").end();
    assert_eq!(text(&mut body).await, "a");
    assert!(!fill.is_dropped());
    assert_eq!(ledger.take("body_timeout"), [admitted(), would, settled(SUCCESS)]);

    let (fill, response) = open(&build().total(10 * MS).build(), None).await;
    let mut body = Box::pin(response.into_body());
    tokio::time::advance(90 * MS).await;
    fill.data("a").data("b").data("c").end();
    for part in ["a", "b", "c"] {
        assert_eq!(text(&mut body).await, part);
    }
    assert_eq!(ledger.take("body_timeout"), [admitted(), would, settled(SUCCESS)]);
    ledger.assert_settled();
}

#[tokio::test(start_paused = true)]
async fn the_total_of_a_response_begins_with_its_head() {
    let layer = BodyTimeoutLayer::total(50 * MS);
    let slow = service_fn(async |_: Request<()>| {
        tokio::time::sleep(900 * MS).await;
        Ok::<_, Infallible>(Response::new(pipe().1))
    });
    let response = layer.layer(slow).oneshot(Request::new(())).await.unwrap();
    let start = tokio::time::Instant::now();
    tokio::time::advance(30 * MS).await;
    refusal(Box::pin(response.into_body()).frame().await);
    assert_eq!(start.elapsed(), 50 * MS);
}

#[test]
fn nonsense_is_refused_by_try_build_and_build_panics_with_the_same_text() {
    let builder = BodyTimeoutLayer::builder;
    let error = builder().try_build().unwrap_err().to_string();
    let none = "body_timeout.idle is None, allowed is a duration, where `total` is none either";
    assert_eq!(error, none);
    assert_eq!(panics(|| builder().build()), none);
    let text = "body_timeout.idle is 0ns, allowed is longer than 0";
    assert_eq!(panics(|| BodyTimeoutLayer::idle(Duration::ZERO)), text);
    let text = "body_timeout.total is 0ns, allowed is longer than 0";
    assert_eq!(panics(|| BodyTimeoutLayer::total(Duration::ZERO)), text);
    assert!(builder().idle(MS).total(Duration::ZERO).try_build().is_err());
    assert!(BodyTimeoutLayer::from_config(BodyTimeoutConfig::default()).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_config_builds_the_same_layer() {
    let mut config = BodyTimeoutConfig::default();
    (config.idle, config.total) = (Some(10 * MS), Some(50 * MS));
    config.name = Some("dl".into());
    let layer = BodyTimeoutLayer::from_config(config.clone()).unwrap();
    let (_fill, response) = open(&layer, None).await;
    let start = tokio::time::Instant::now();
    assert_eq!(refusal(Box::pin(response.into_body()).frame().await).name(), Some("dl"));
    assert_eq!(start.elapsed(), 10 * MS);
    config.shadow = true;
    let (fill, response) = open(&BodyTimeoutLayer::from_config(config).unwrap(), None).await;
    tokio::time::advance(90 * MS).await;
    fill.data("a");
    assert_eq!(text(&mut Box::pin(response.into_body())).await, "a");
}
