//! Which requests are protected, under which key, and what they are compared by.

use std::convert::Infallible;

use buttress::idempotency::{
    Body, Fingerprinter, IdempotencyLayer, KeyScope, KeySyntax, OnStoreError, Scope,
};
use bytes::Bytes;
use futures::channel::mpsc;
use futures::{SinkExt, StreamExt};
use http::header::IF_MATCH;
use http::{HeaderValue, Method, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use tower::{Layer, ServiceExt, service_fn};

use super::{Answer, Runs, S, Sent, answer, call, memory, plain, post, request, settle, unscoped};
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

/// The tenant is in a header of the test's own.
fn tenants(
    store: &super::Memory,
) -> buttress::idempotency::Builder<super::Memory, buttress::idempotency::Scoped> {
    IdempotencyLayer::builder(store.clone())
        .scope(|parts| parts.headers.get("x-tenant").map(Scope::new))
}

fn of_tenant(tenant: &str, mut request: Request<Sent>) -> Request<Sent> {
    request.headers_mut().insert("x-tenant", tenant.parse().unwrap());
    request
}

#[tokio::test(start_paused = true)]
async fn tenants_never_see_each_other() {
    let (store, runs) = (memory(), Runs::default());
    let service = plain(&tenants(&store).build(), &runs);
    call(&service, of_tenant("a", post("k", "x"))).await.is_own(201, "run 1");
    call(&service, of_tenant("b", post("k", "x"))).await.is_own(201, "run 2");
    // Not even that the key is in use for something else.
    call(&service, of_tenant("c", post("k", "y"))).await.is_own(201, "run 3");
    call(&service, of_tenant("a", post("k", "x"))).await.is_replayed(201, "run 1");
}

#[tokio::test(start_paused = true)]
async fn no_scope_and_an_empty_one_are_refused() {
    let (store, runs) = (memory(), Runs::default());
    let service = plain(&tenants(&store).build(), &runs);
    call(&service, post("k", "x")).await.is_refused(403, "scope_missing");
    call(&service, of_tenant("", post("k", "x"))).await.is_refused(403, "scope_missing");
    assert_eq!((runs.started(), store.calls(Op::Begin)), (0, 0));
    // Nothing is asked of a request without a key.
    call(&service, request("POST", "/", None, "")).await.is_own(201, "run 1");
}

#[tokio::test(start_paused = true)]
async fn the_key_is_read_before_the_scope_and_the_scope_before_the_body() {
    let (store, runs) = (memory(), Runs::default());
    let service = plain(&tenants(&store).max_request_body(1).build(), &runs);
    call(&service, post("a,b", "long")).await.is_refused(400, "key_invalid");
    call(&service, post("k", "long")).await.is_refused(403, "scope_missing");
    call(&service, of_tenant("a", post("k", "long"))).await.is_refused(413, "request_too_large");
}

#[tokio::test(start_paused = true)]
async fn a_key_elsewhere_is_another_record_or_with_tenant_scope_a_mismatch() {
    let (store, runs) = (memory(), Runs::default());
    let service = plain(&unscoped(&store).build(), &runs);
    for (run, method, uri) in [(1, "POST", "/a"), (2, "POST", "/b"), (3, "PATCH", "/a")] {
        let own = call(&service, request(method, uri, Some("k"), "x")).await;
        own.is_own(201, &format!("run {run}"));
    }
    let tenant = unscoped(&store).key_scope(KeyScope::Tenant).namespace("other").build();
    let service = plain(&tenant, &runs);
    call(&service, request("POST", "/a", Some("k"), "x")).await.is_own(201, "run 4");
    call(&service, request("POST", "/a", Some("k"), "x")).await.is_replayed(201, "run 4");
    for (method, uri) in [("POST", "/b"), ("PATCH", "/a")] {
        let other = call(&service, request(method, uri, Some("k"), "x")).await;
        other.is_refused(422, "fingerprint_mismatch");
    }
}

#[tokio::test(start_paused = true)]
async fn namespaces_and_secrets_keep_records_apart() {
    let (store, runs) = (memory(), Runs::default());
    let layers = [
        unscoped(&store).build(),
        unscoped(&store).namespace("orders").build(),
        unscoped(&store).secret("one").build(),
        unscoped(&store).secret("two").build(),
    ];
    for (number, layer) in layers.iter().enumerate() {
        let own = call(&plain(layer, &runs), post("k", "x")).await;
        own.is_own(201, &format!("run {}", number + 1));
    }
    for (number, layer) in layers.iter().enumerate() {
        let same = call(&plain(layer, &runs), post("k", "x")).await;
        same.is_replayed(201, &format!("run {}", number + 1));
    }
}

#[tokio::test(start_paused = true)]
async fn the_fingerprint_is_query_type_encoding_and_body() {
    let (store, runs) = (memory(), Runs::default());
    let service = plain(&unscoped(&store).build(), &runs);
    let with = |uri: &str, headers: &[(&'static str, &str)], body: &str| {
        let mut request = request("POST", uri, Some("k"), body);
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        request
    };
    let first = with("/?a=1", &[("content-type", "text/plain")], "x");
    call(&service, first).await.is_own(201, "run 1");
    for other in [
        with("/?a=2", &[("content-type", "text/plain")], "x"),
        with("/", &[("content-type", "text/plain")], "x"),
        with("/?a=1", &[("content-type", "text/html")], "x"),
        with("/?a=1", &[], "x"),
        with("/?a=1", &[("content-type", "text/plain"), ("content-encoding", "gzip")], "x"),
        with("/?a=1", &[("content-type", "text/plain")], "x "),
    ] {
        call(&service, other).await.is_refused(422, "fingerprint_mismatch");
    }
    // What changes from one attempt to the next is not in it.
    let headers = [
        ("content-type", "text/plain"),
        ("authorization", "Bearer 2"),
        ("user-agent", "other"),
        ("date", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("traceparent", "00-1-1-01"),
        ("x-request-id", "2"),
        ("accept", "*/*"),
        ("accept-language", "de"),
        ("cookie", "a=2"),
        ("if-match", "2"),
    ];
    call(&service, with("/?a=1", &headers, "x")).await.is_replayed(201, "run 1");
}

#[tokio::test(start_paused = true)]
async fn more_headers_or_a_closure_can_be_the_fingerprint() {
    let (store, runs) = (memory(), Runs::default());
    let matched = |value: &str| {
        let mut request = post("k", "x");
        request.headers_mut().insert(IF_MATCH, value.parse().unwrap());
        request
    };
    let more = unscoped(&store).fingerprint(Fingerprinter::raw().header(IF_MATCH)).build();
    let service = plain(&more, &runs);
    call(&service, matched("1")).await.is_own(201, "run 1");
    call(&service, matched("2")).await.is_refused(422, "fingerprint_mismatch");

    let first = Fingerprinter::closure(|_, body| body[..1].to_vec());
    let service = plain(&unscoped(&store).namespace("b").fingerprint(first).build(), &runs);
    call(&service, post("k", "xa")).await.is_own(201, "run 2");
    call(&service, post("k", "xb")).await.is_replayed(201, "run 2");
    call(&service, post("k", "yb")).await.is_refused(422, "fingerprint_mismatch");
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
