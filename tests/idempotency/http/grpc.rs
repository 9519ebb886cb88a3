//! Unary calls of gRPC.

use std::convert::Infallible;

use buttress::idempotency::Body;
use bytes::Bytes;
use futures::channel::mpsc;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt, service_fn};

use super::{
    Answer, Memory, Runs, S, Sent, Shop, begin, call, memory, plain, record, slow, unscoped,
};
use crate::support::faulty::Op;

const CREATE: &str = "/shop.Orders/Create";
const ONE: &str = "\0\0\0\0\u{2}hi";

/// A call as tonic sends it.
fn unary(path: &str, key: &str, body: &str) -> Request<Sent> {
    let request = Request::post(path).header("content-type", "application/grpc");
    let request = request.header("te", "trailers").header("idempotency-key", key);
    request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap()
}

fn fields(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

type Streamed = http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>;
type Calls = BoxCloneSyncService<Request<Sent>, Response<Body<Streamed>>, Infallible>;

/// A service whose every call ends with this status in its trailers, or in its headers alone.
fn ending(store: &Memory, runs: &Runs, status: u16, trailers_only: bool) -> Calls {
    let layer = unscoped(store).grpc([CREATE]).build();
    let runs = runs.clone();
    BoxCloneSyncService::new(layer.layer(service_fn(move |_: Request<Body<Sent>>| {
        let run = runs.start().to_string();
        let status = status.to_string();
        let end = fields(&[("grpc-status", &status), ("grpc-status-details-bin", "CAU")]);
        let mut frames = vec![Ok(Frame::data(Bytes::from(run))), Ok(Frame::trailers(end.clone()))];
        let mut headers = fields(&[("content-type", "application/grpc"), ("x-order", "7")]);
        if trailers_only {
            headers.extend(end);
            frames.clear();
        }
        let mut response =
            Response::new(StreamBody::new(futures::stream::iter(frames)).boxed_unsync());
        *response.headers_mut() = headers;
        async move { Ok::<_, Infallible>(response) }
    })))
}

#[tokio::test(start_paused = true)]
async fn each_status_is_stored_or_released_as_the_table_says() {
    for trailers_only in [false, true] {
        for status in 0..=16 {
            let (store, runs) = (memory(), Runs::default());
            let service = ending(&store, &runs, status, trailers_only);
            let answers = [
                call(&service, unary(CREATE, "k", ONE)).await,
                call(&service, unary(CREATE, "k", ONE)).await,
            ];
            let is_stored = [0, 3, 5, 6, 9, 11, 12].contains(&status);
            let replays = answers.each_ref().map(Answer::is_replay);
            assert_eq!(replays, [false, is_stored], "{status}, {trailers_only}");
            assert_eq!(runs.started(), if is_stored { 1 } else { 2 });
            assert_eq!(record(&store).await.is_some(), is_stored);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_replay_has_the_metadata_the_message_and_the_trailers() {
    for trailers_only in [false, true] {
        let (store, runs) = (memory(), Runs::default());
        let service = ending(&store, &runs, 5, trailers_only);
        let first = call(&service, unary(CREATE, "k", ONE)).await;
        let end = if trailers_only { &first.headers } else { first.trailers.as_ref().unwrap() };
        assert_eq!(end["grpc-status"], "5");
        assert_eq!(end["grpc-status-details-bin"], "CAU");
        let mut again = call(&service, unary(CREATE, "k", ONE)).await;
        assert_eq!(again.headers.remove("idempotency-replayed").unwrap(), "true");
        assert_eq!(again, first);
    }
}

#[tokio::test(start_paused = true)]
async fn listed_methods_are_protected_and_other_calls_pass() {
    let (store, runs) = (memory(), Runs::default());
    let service = plain(&unscoped(&store).grpc([CREATE]).build(), &runs);
    call(&service, unary("/shop.Orders/List", "k", ONE)).await.is_own(201, "run 1");
    call(&service, unary("/shop.Orders/List", "k", ONE)).await.is_own(201, "run 2");
    assert_eq!(store.calls(Op::Begin), 0);

    let streaming = service_fn(async |request: Request<Body<_>>| {
        let first = request.into_body().frame().await;
        Ok::<_, Infallible>(Response::new(Full::new(first.unwrap().unwrap().into_data().unwrap())))
    });
    let layer = unscoped(&store).grpc([CREATE]).build();
    let (sent, stream) = mpsc::unbounded::<Result<Frame<Bytes>, Infallible>>();
    sent.unbounded_send(Ok(Frame::data(Bytes::from_static(b"first")))).unwrap();
    let request = unary("/shop.Orders/Watch", "k", "").map(|_| StreamBody::new(stream));
    let Ok(response) = layer.layer(streaming).oneshot(request).await;
    assert_eq!(Answer::of(response).await.body, "first", "before the stream has ended");
    drop(sent);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_one_message_is_an_invalid_argument() {
    let (store, runs) = (memory(), Runs::default());
    let service = plain(&unscoped(&store).grpc([CREATE]).build(), &runs);
    for body in ["", "\0\0\0\0\u{3}hi", "\0\0\0\0\0\0\0\0\0\0", "\u{2}\0\0\0\0"] {
        let refused = call(&service, unary(CREATE, "k", body)).await;
        refused.is_refused(200, "body_read");
        assert_eq!(refused.header("grpc-status"), Some("3"), "{body:?}");
    }
    let refused = call(&service, unary(CREATE, "a,b", ONE)).await;
    refused.is_refused(200, "key_invalid");
    assert_eq!(refused.header("grpc-status"), Some("3"));
    assert_eq!((runs.started(), store.calls(Op::Begin)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn another_message_is_a_mismatch_and_another_deadline_is_none() {
    let (store, runs) = (memory(), Runs::default());
    let service = ending(&store, &runs, 0, false);
    let within = |wait: &str| {
        let mut request = unary(CREATE, "k", ONE);
        request.headers_mut().insert("grpc-timeout", wait.parse().unwrap());
        request
    };
    assert!(!call(&service, within("1S")).await.is_replay());
    assert!(call(&service, within("500m")).await.is_replay());
    for other in ["\0\0\0\0\u{2}ho", "\u{1}\0\0\0\u{2}hi"] {
        let refused = call(&service, unary(CREATE, "k", other)).await;
        refused.is_refused(200, "fingerprint_mismatch");
        assert_eq!(refused.header("grpc-status"), Some("9"));
    }
    assert_eq!(runs.started(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_in_progress_is_aborted_with_a_pushback() {
    let (store, runs) = (memory(), Runs::default());
    let service: Shop<Sent> = slow(&unscoped(&store).grpc([CREATE]).build(), &runs, S);
    let first = begin(&service, unary(CREATE, "k", ONE));
    super::settle().await;
    let refused = call(&service, unary(CREATE, "k", ONE)).await;
    refused.is_refused(200, "in_progress");
    assert_eq!(refused.header("grpc-status"), Some("10"));
    assert_eq!(refused.header("grpc-retry-pushback-ms"), Some("1000"));
    assert_eq!((first.await.status, runs.started()), (201, 1));
}
