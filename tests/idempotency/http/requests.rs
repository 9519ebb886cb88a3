//! Which requests are protected, by which key, and their bodies.

use std::convert::Infallible;

use buttress::idempotency::{Body, KeySyntax, OnStoreError};
use bytes::Bytes;
use futures::channel::mpsc;
use futures::{SinkExt, StreamExt};
use http::{HeaderValue, Method, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use tower::{Layer, ServiceExt, service_fn};

use super::{Answer, Runs, S, answer, call, memory, plain, post, request, settle, unscoped};
use crate::support::faulty::Op;

#[tokio::test(start_paused = true)]
async fn post_and_patch_are_protected_and_everything_else_passes() {
    let (store, runs) = (memory(), Runs::default());
    let service = plain(&unscoped(&store).build(), &runs);
    for method in ["POST", "PATCH"] {
        let first = call(&service, request(method, "/", Some("k"), "")).await;
        call(&service, request(method, "/", Some("k"), "")).await.is_replayed(201, &first.body);
    }
    assert_eq!(runs.started(), 2);
    let asked = store.calls(Op::Begin);
    for method in ["GET", "HEAD", "OPTIONS", "TRACE", "QUERY", "PUT", "DELETE"] {
        let [first, second] = [1, 2].map(|_| request(method, "/", Some("k"), ""));
        assert!(!call(&service, first).await.is_replay());
        assert!(!call(&service, second).await.is_replay());
    }
    assert_eq!((runs.started(), store.calls(Op::Begin)), (16, asked));
}

#[tokio::test(start_paused = true)]
async fn other_methods_and_a_predicate_say_what_is_protected() {
    let (store, runs) = (memory(), Runs::default());
    let layer = unscoped(&store)
        .methods([Method::PUT, Method::POST])
        .protect_when(|parts| parts.uri.path() != "/free")
        .build();
    let service = plain(&layer, &runs);
    for (method, uri, protected) in
        [("PUT", "/", true), ("POST", "/", true), ("PATCH", "/", false), ("POST", "/free", false)]
    {
        call(&service, request(method, uri, Some("k"), "")).await;
        let second = call(&service, request(method, uri, Some("k"), "")).await;
        assert_eq!(second.is_replay(), protected, "{method} {uri}");
    }
}

/// A body that is sent frame by frame, and the answer to each from the other side.
#[tokio::test(start_paused = true)]
async fn what_passes_is_not_buffered() {
    let (store, (echo, mut heard)) = (memory(), mpsc::unbounded());
    let inner = service_fn(move |request: Request<Body<_>>| {
        let mut body = request.into_body();
        let mut echo = echo.clone();
        async move {
            while let Some(frame) = body.frame().await {
                let frame: Frame<Bytes> = frame.unwrap();
                echo.send(frame).await.unwrap();
            }
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        }
    });
    let service = unscoped(&store).build().layer(inner);
    let (mut upload, frames) = mpsc::unbounded::<Result<Frame<Bytes>, Infallible>>();
    let body = StreamBody::new(frames);
    let request = Request::put("/").header("idempotency-key", "k").body(body).unwrap();
    let call = tokio::spawn(service.oneshot(request));
    for part in ["one", "two"] {
        upload.send(Ok(Frame::data(part.into()))).await.unwrap();
        assert_eq!(heard.next().await.unwrap().into_data().unwrap(), part);
    }
    let trailers: http::HeaderMap =
        [("x-sum".parse().unwrap(), HeaderValue::from_static("7"))].into_iter().collect();
    upload.send(Ok(Frame::trailers(trailers.clone()))).await.unwrap();
    assert_eq!(heard.next().await.unwrap().into_trailers().unwrap(), trailers);
    drop(upload);
    call.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn without_a_key_a_request_passes_unless_one_is_required() {
    let (store, runs) = (memory(), Runs::default());
    let service = plain(&unscoped(&store).build(), &runs);
    call(&service, request("POST", "/", None, "")).await.is_own(201, "run 1");
    call(&service, request("POST", "/", None, "")).await.is_own(201, "run 2");
    assert_eq!(store.calls(Op::Begin), 0);

    let service = plain(&unscoped(&store).require_key(true).build(), &runs);
    call(&service, request("POST", "/", None, "")).await.is_refused(400, "key_missing");
    call(&service, request("GET", "/", None, "")).await.is_own(201, "run 3");

    let some = unscoped(&store).require_when(|parts| parts.uri.path() == "/pay").build();
    let service = plain(&some, &runs);
    call(&service, request("POST", "/pay", None, "")).await.is_refused(400, "key_missing");
    call(&service, request("POST", "/", None, "")).await.is_own(201, "run 4");
}

#[tokio::test(start_paused = true)]
async fn a_malformed_key_is_refused_and_nothing_runs() {
    let (store, runs) = (memory(), Runs::default());
    let service = plain(&unscoped(&store).build(), &runs);
    let long = "k".repeat(256);
    let long_quoted = format!("\"{long}\"");
    let malformed: Vec<&[u8]> = vec![
        b"",
        b"   ",
        b"\t",
        b"\"\"",
        b"a,b",
        b"\"a\", \"b\"",
        b"a b",
        b"a;b",
        b"a\\b",
        b"a\"b",
        b"\"open",
        b"\"open\\\"",
        b"\"a\"b",
        b"\"a\" ;x",
        b"\"a\\n\"",
        b"\"a\";A=1",
        b"caf\xc3\xa9",
        b"\"caf\xc3\xa9\"",
        b"\xff",
        b"\"a\tb\"",
        long.as_bytes(),
        long_quoted.as_bytes(),
    ];
    for key in malformed {
        let mut bad = request("POST", "/", None, "x");
        bad.headers_mut().insert("idempotency-key", HeaderValue::from_bytes(key).unwrap());
        let refused = call(&service, bad).await;
        refused.is_refused(400, "key_invalid");
        assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    }
    for keys in [["k", "k"], ["k", "l"]] {
        let mut twice = request("POST", "/", Some(keys[0]), "");
        twice.headers_mut().append("idempotency-key", HeaderValue::from_static(keys[1]));
        call(&service, twice).await.is_refused(400, "key_invalid");
    }
    assert_eq!((runs.started(), store.calls(Op::Begin)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn quoted_and_bare_are_one_key_and_parameters_mean_nothing() {
    let (store, runs) = (memory(), Runs::default());
    let service = plain(&unscoped(&store).build(), &runs);
    call(&service, post("abc", "x")).await.is_own(201, "run 1");
    for same in ["\"abc\"", "  abc ", "\"abc\";v=1", "\"abc\"; a; b=\"x\""] {
        call(&service, post(same, "x")).await.is_replayed(201, "run 1");
    }
    let longest = "k".repeat(255);
    call(&service, post(&longest, "x")).await.is_own(201, "run 2");
    call(&service, post(&format!("\"{longest}\""), "x")).await.is_replayed(201, "run 2");
    // An escape is one byte of the key.
    call(&service, post(r#""a \"b\" \\""#, "x")).await.is_own(201, "run 3");
}

#[tokio::test(start_paused = true)]
async fn a_strict_syntax_a_length_and_a_check_of_the_application_refuse_more() {
    let (store, runs) = (memory(), Runs::default());
    let strict = plain(&unscoped(&store).key_syntax(KeySyntax::Strict).build(), &runs);
    call(&strict, post("abc", "")).await.is_refused(400, "key_invalid");
    call(&strict, post("\"abc\"", "")).await.is_own(201, "run 1");

    let checked = unscoped(&store)
        .min_key_len(3)
        .max_key_len(5)
        .validate_key(|key| key.starts_with('a'))
        .header("x-request-key")
        .build();
    let checked = plain(&checked, &runs);
    for (key, fits) in [("ab", false), ("abc", true), ("abcdef", false), ("bbb", false)] {
        let mut keyed = request("POST", "/other", None, "");
        keyed.headers_mut().insert("x-request-key", key.parse().unwrap());
        let answer = call(&checked, keyed).await;
        assert_eq!(answer.status, if fits { 201 } else { 400 }, "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_too_long_is_refused_by_its_header_at_once_and_by_counting() {
    let (store, runs) = (memory(), Runs::default());
    let layer = unscoped(&store).max_request_body(4).build();
    let service = plain(&layer, &runs);
    call(&service, post("k", "four")).await.is_own(201, "run 1");
    call(&service, post("l", "fives")).await.is_refused(413, "request_too_large");

    // By the header: of a body that never comes.
    let inner = service_fn(async |_: Request<Body<_>>| Ok::<_, Infallible>(answer(201, "ran")));
    let service = layer.layer(inner);
    let (_upload, frames) = mpsc::unbounded::<Result<Frame<Bytes>, Infallible>>();
    let declared = Request::post("/")
        .header("idempotency-key", "m")
        .header("content-length", "5")
        .body(StreamBody::new(frames))
        .unwrap();
    let Ok(refused) = service.clone().oneshot(declared).await;
    Answer::of(refused).await.is_refused(413, "request_too_large");

    // By counting: in the middle of one that has no end.
    let (mut upload, frames) = mpsc::unbounded();
    let endless = Request::post("/").header("idempotency-key", "m");
    let call = tokio::spawn(service.oneshot(endless.body(StreamBody::new(frames)).unwrap()));
    for part in ["fo", "ur", "s"] {
        upload.send(Ok(Frame::data(part.into()))).await.unwrap();
    }
    let Ok(refused) = call.await.unwrap();
    Answer::of(refused).await.is_refused(413, "request_too_large");
    assert_eq!((runs.started(), store.calls(Op::Begin)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_slow_upload_holds_no_claim_and_its_trailers_are_kept() {
    let store = memory();
    let inner = service_fn(async |request: Request<Body<_>>| {
        let body = request.into_body().collect().await.unwrap();
        let sum = body.trailers().unwrap()["x-sum"].to_str().unwrap().to_owned();
        let data = body.to_bytes();
        Ok::<_, Infallible>(answer(201, &format!("{} {sum}", data.len())))
    });
    let layer = unscoped(&store).build();
    let service = layer.layer(inner);
    let (mut upload, frames) = mpsc::unbounded::<Result<Frame<Bytes>, Infallible>>();
    let request = Request::post("/").header("idempotency-key", "k");
    let slow = tokio::spawn(service.oneshot(request.body(StreamBody::new(frames)).unwrap()));
    for part in ["one", "", "two"] {
        upload.send(Ok(Frame::data(part.into()))).await.unwrap();
        tokio::time::sleep(100 * S).await;
        assert_eq!((store.calls(Op::Begin), layer.handle().in_flight()), (0, 0));
    }
    let trailers = [("x-sum".parse().unwrap(), HeaderValue::from_static("7"))];
    upload.send(Ok(Frame::trailers(trailers.into_iter().collect()))).await.unwrap();
    drop(upload);
    let Ok(response) = slow.await.unwrap();
    Answer::of(response).await.is_own(201, "6 7");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_is_refused() {
    let store = memory();
    let inner = service_fn(async |_: Request<Body<_>>| Ok::<_, Infallible>(answer(201, "ran")));
    let service = unscoped(&store).build().layer(inner);
    let frames = futures::stream::iter([
        Ok(Frame::data(Bytes::from("half"))),
        Err(std::io::Error::other("SECRETSTORE")),
    ]);
    let request = Request::post("/").header("idempotency-key", "k");
    let Ok(refused) = service.oneshot(request.body(StreamBody::new(frames)).unwrap()).await;
    let refused = Answer::of(refused).await;
    refused.is_refused(400, "body_read");
    assert!(!refused.body.contains("SECRET"));
    assert_eq!(store.calls(Op::Begin), 0);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_upload_leaves_nothing_behind() {
    let store = memory();
    let inner = service_fn(async |_: Request<Body<_>>| Ok::<_, Infallible>(answer(201, "ran")));
    let layer = unscoped(&store).on_store_error(OnStoreError::FailOpen).build();
    let (_upload, frames) = mpsc::unbounded::<Result<Frame<Bytes>, Infallible>>();
    let request = Request::post("/").header("idempotency-key", "k");
    let call =
        tokio::spawn(layer.layer(inner).oneshot(request.body(StreamBody::new(frames)).unwrap()));
    settle().await;
    call.abort();
    settle().await;
    assert_eq!((store.calls(Op::Begin), layer.handle().in_flight()), (0, 0));
}
