//! Bodies that are kept, and those that cannot be.

use std::convert::Infallible;
use std::io;

use buttress::idempotency::{Body, OnUnstorable, RecordState};
use bytes::Bytes;
use futures::StreamExt;
use futures::channel::mpsc;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use tower::{Layer, Service, ServiceExt, service_fn};

use super::{
    Answer, Memory, Runs, S, Sent, call, memory, panic_of, post, settle, state, status, unscoped,
};
use crate::support::faulty::{Fault, Op};

type Stream = UnsyncBoxBody<Bytes, io::Error>;

/// A service that answers with what `respond` makes, counted.
fn streaming(
    store: &Memory,
    runs: &Runs,
    on_unstorable: OnUnstorable,
    respond: impl Fn(usize) -> Response<Stream> + Clone + Send + Sync + 'static,
) -> impl Service<Request<Sent>, Response = Response<Body<Stream>>, Error = Infallible, Future: Send>
+ Clone {
    let layer = unscoped(store).max_response_body(8).on_unstorable(on_unstorable).build();
    let runs = runs.clone();
    layer.layer(service_fn(move |_: Request<Body<Sent>>| {
        let response = respond(runs.start());
        async move { Ok::<_, Infallible>(response) }
    }))
}

fn frames(frames: Vec<Result<Frame<Bytes>, io::Error>>) -> Stream {
    UnsyncBoxBody::new(StreamBody::new(futures::stream::iter(frames)))
}

#[allow(clippy::unnecessary_wraps, reason = "as a stream has them")]
fn data(text: &'static str) -> Result<Frame<Bytes>, io::Error> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

/// The client gets it, and every duplicate is told that it ran, with what status.
async fn leaves_a_tombstone(
    name: &str,
    respond: impl Fn(usize) -> Response<Stream> + Clone + Send + Sync + 'static,
) {
    for on_unstorable in [OnUnstorable::Tombstone, OnUnstorable::Release] {
        let (store, runs) = (memory(), Runs::default());
        let service = streaming(&store, &runs, on_unstorable, respond.clone());
        let Ok(first) = service.clone().oneshot(post("k", "")).await;
        let status = first.status().as_u16();
        assert!(first.extensions().get::<buttress::Rejected>().is_none());
        drop(first);
        settle().await;
        let Ok(again) = service.clone().oneshot(post("k", "")).await;
        if on_unstorable == OnUnstorable::Release {
            assert_eq!((again.status().as_u16(), runs.started()), (status, 2), "{name}");
            continue;
        }
        let again = Answer::of(again.map(|body| body.map_err(|_| "broken"))).await;
        again.is_refused(409, "result_unavailable");
        assert!(again.body.contains(&format!("\"original_status\":{status}")), "{}", again.body);
        assert_eq!(again.header("retry-after"), None);
        assert_eq!((runs.started(), state(&store).await), (1, Some(RecordState::Tombstone)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_too_long_leaves_a_tombstone() {
    leaves_a_tombstone("in frames", |_| Response::new(frames(vec![data("four"), data("fives")])))
        .await;
    leaves_a_tombstone("at once", |_| {
        Response::new(UnsyncBoxBody::new(Full::from("nine byte").map_err(io::Error::other)))
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_event_stream_leaves_a_tombstone() {
    for content_type in ["text/event-stream", "Text/Event-Stream; charset=utf-8"] {
        leaves_a_tombstone(content_type, move |_| {
            let response = Response::builder().header("content-type", content_type);
            response.body(frames(vec![data("x")])).unwrap()
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_leaves_a_tombstone() {
    leaves_a_tombstone("101", |_| Response::builder().status(101).body(frames(vec![])).unwrap())
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_leaves_a_tombstone_and_its_client_sees_it_break() {
    let broken = |_| Response::new(frames(vec![data("x"), Err(io::Error::other("cut"))]));
    leaves_a_tombstone("broken", broken).await;
    let (store, runs) = (memory(), Runs::default());
    let service = streaming(&store, &runs, OnUnstorable::Tombstone, broken);
    let Ok(first) = service.oneshot(post("k", "")).await;
    let mut body = first.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "x");
    assert_eq!(body.frame().await.unwrap().unwrap_err().to_string(), "cut");
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_takes_longer_than_five_seconds_goes_on_to_its_client() {
    let (store, runs) = (memory(), Runs::default());
    let (feed, source) = mpsc::unbounded::<Result<Frame<Bytes>, io::Error>>();
    let source = std::sync::Arc::new(std::sync::Mutex::new(Some(source)));
    let service = streaming(&store, &runs, OnUnstorable::Tombstone, move |_| {
        let source = source.lock().unwrap().take().unwrap();
        Response::new(UnsyncBoxBody::new(StreamBody::new(source)))
    });
    feed.unbounded_send(data("one")).unwrap();
    let since = tokio::time::Instant::now();
    let Ok(first) = service.clone().oneshot(post("k", "")).await;
    assert_eq!(since.elapsed(), 5 * S);
    let mut body = first.into_body();
    let trailers: HeaderMap =
        [("x-sum".parse().unwrap(), HeaderValue::from_static("7"))].into_iter().collect();
    feed.unbounded_send(data("two")).unwrap();
    feed.unbounded_send(Ok(Frame::trailers(trailers.clone()))).unwrap();
    for part in ["one", "two"] {
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), part);
    }
    assert_eq!(body.frame().await.unwrap().unwrap().into_trailers().unwrap(), trailers);
    let Ok(again) = service.oneshot(post("k", "")).await;
    let again = Answer::of(again.map(|body| body.map_err(|_| "broken"))).await;
    again.is_refused(409, "result_unavailable");
}

/// Trailers that were read before the time was over are not lost.
#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_keeps_the_trailers_it_has_sent() {
    let (store, runs) = (memory(), Runs::default());
    let trailers: HeaderMap =
        [("x-sum".parse().unwrap(), HeaderValue::from_static("7"))].into_iter().collect();
    let sent = trailers.clone();
    let service = streaming(&store, &runs, OnUnstorable::Tombstone, move |_| {
        let frames = vec![data("one"), Ok(Frame::trailers(sent.clone()))];
        let endless = futures::stream::iter(frames).chain(futures::stream::pending());
        Response::new(UnsyncBoxBody::new(StreamBody::new(endless)))
    });
    let Ok(first) = service.oneshot(post("k", "")).await;
    let mut body = first.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
    let next = tokio::time::timeout(S, body.frame()).await.expect("the trailers are there");
    assert_eq!(next.unwrap().unwrap().into_trailers().unwrap(), trailers);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_body_is_one_of_the_handler_that_has_had_its_effect() {
    let (store, runs) = (memory(), Runs::default());
    let service = streaming(&store, &runs, OnUnstorable::Tombstone, |_| {
        let panics = futures::stream::once(async { panic!("in the body") });
        Response::new(UnsyncBoxBody::new(StreamBody::new(panics)))
    });
    let payload = panic_of(service.clone().oneshot(post("k", ""))).await;
    assert_eq!(*payload.downcast::<&str>().unwrap(), "in the body");
    settle().await;
    let Ok(again) = service.oneshot(post("k", "")).await;
    assert_eq!((again.status(), runs.started()), (status(409), 1));
}

#[tokio::test(start_paused = true)]
async fn a_stored_body_and_its_trailers_are_the_same_for_everybody() {
    let (store, runs) = (memory(), Runs::default());
    let trailers: HeaderMap =
        [("x-sum".parse().unwrap(), HeaderValue::from_static("7"))].into_iter().collect();
    let sent = trailers.clone();
    let service = streaming(&store, &runs, OnUnstorable::Tombstone, move |_| {
        let parts = vec![data("one"), data(""), data("two"), Ok(Frame::trailers(sent.clone()))];
        Response::builder()
            .header("x-twice", "1")
            .header("x-twice", "2")
            .header("x-bytes", HeaderValue::from_bytes(b"\xff\xfe").unwrap())
            .body(frames(parts))
            .unwrap()
    });
    let mut seen = Vec::new();
    for _ in 0..3 {
        let Ok(response) = service.clone().oneshot(post("k", "")).await;
        // A length would keep a server of HTTP/1.1 from sending the trailers.
        assert_eq!(http_body::Body::size_hint(response.body()).exact(), None);
        seen.push(Answer::of(response.map(|body| body.map_err(|_| "broken"))).await);
    }
    assert_eq!((runs.started(), &*seen[0].body, &seen[0].trailers), (1, "onetwo", &Some(trailers)));
    assert_eq!(seen[0].headers.get_all("x-twice").iter().count(), 2);
    assert_eq!(seen[0].headers["x-bytes"].as_bytes(), b"\xff\xfe");
    for again in &mut seen[1..] {
        assert!(again.is_replay());
        again.headers.remove("idempotency-replayed");
    }
    assert_eq!(seen[1], seen[0]);
    assert_eq!(seen[2], seen[0]);
}

#[tokio::test(start_paused = true)]
async fn the_client_gets_nothing_of_an_answer_before_it_is_kept() {
    let (store, runs) = (memory(), Runs::default());
    store.then(Op::Complete, [Fault::Delayed(S)]);
    let service = super::plain(&unscoped(&store).build(), &runs);
    let since = tokio::time::Instant::now();
    call(&service, post("k", "")).await.is_own(201, "run 1");
    assert_eq!(since.elapsed(), S);
    assert_eq!(state(&store).await, Some(RecordState::Completed));
}

#[tokio::test(start_paused = true)]
async fn what_the_store_does_not_take_leaves_a_tombstone() {
    for fault in [Fault::TooLarge, Fault::Full] {
        let (store, runs) = (memory(), Runs::default());
        store.then(Op::Complete, [fault]);
        let service = super::plain(&unscoped(&store).build(), &runs);
        call(&service, post("k", "")).await.is_own(201, "run 1");
        let again = call(&service, post("k", "")).await;
        again.is_refused(409, "result_unavailable");
        assert!(again.body.contains("\"original_status\":201"));
    }
}
