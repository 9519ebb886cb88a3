//! What is kept of an answer, and what becomes of all others.

use std::convert::Infallible;
use std::io;

use buttress::idempotency::{
    Body, Disposition, HeaderFilter, OnUnstorable, OutcomePolicy, RecordState,
};
use bytes::Bytes;
use futures::StreamExt;
use futures::channel::mpsc;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use tower::{Layer, Service, ServiceExt, service_fn};

use super::{
    Answer, Memory, Runs, S, Sent, answer, call, memory, panic_of, post, settle, shop, state,
    status, unscoped,
};
use crate::support::faulty::{Fault, Op};

const RELEASED: [u16; 9] = [401, 403, 407, 408, 421, 423, 425, 426, 429];

#[tokio::test(start_paused = true)]
async fn each_status_is_stored_or_released_as_the_table_says() {
    let (store, runs) = (memory(), Runs::default());
    let layer = unscoped(&store).build();
    let echo = shop(&layer, &runs, async |work| answer(work.body.parse().unwrap(), "said"));
    for code in (200..=599).filter(|code| *code != 204 && *code != 304) {
        let [key, body] = [format!("k{code}"), code.to_string()];
        let before = runs.started();
        call(&echo, post(&key, &body)).await.is_own(code, "said");
        let again = call(&echo, post(&key, &body)).await;
        let stored = code < 500 && !RELEASED.contains(&code);
        assert_eq!(again.is_replay(), stored, "{code}");
        assert_eq!(runs.started() - before, if stored { 1 } else { 2 }, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_release_the_key_is_as_good_as_new() {
    let (store, runs) = (memory(), Runs::default());
    let layer = unscoped(&store).build();
    let service = shop(&layer, &runs, async |work| match work.run {
        1 => answer(500, "failed"),
        _ => answer(201, &work.body),
    });
    call(&service, post("k", "one")).await.is_own(500, "failed");
    assert_eq!(state(&store).await, None);
    // Another body, since nothing is known of the first.
    call(&service, post("k", "two")).await.is_own(201, "two");
    call(&service, post("k", "one")).await.is_refused(422, "fingerprint_mismatch");
}

#[tokio::test(start_paused = true)]
async fn store_everything_runs_once_whatever_comes_of_it() {
    let (store, runs) = (memory(), Runs::default());
    let layer = unscoped(&store).outcome(OutcomePolicy::store_everything()).build();
    let service = shop(&layer, &runs, async |work| match &*work.body {
        "panic" => panic!("boom"),
        code => answer(code.parse().unwrap(), "said"),
    });
    for code in [500, 503, 429, 401] {
        let [key, body] = [format!("k{code}"), code.to_string()];
        call(&service, post(&key, &body)).await.is_own(code, "said");
        call(&service, post(&key, &body)).await.is_replayed(code, "said");
    }
    panic_of(call(&service, post("p", "panic"))).await;
    call(&service, post("p", "panic")).await.is_refused(409, "outcome_unknown");
    assert_eq!(runs.started(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_policy_of_ones_own_judges_by_status_and_headers() {
    let (store, runs) = (memory(), Runs::default());
    let policy = OutcomePolicy::new(|status, headers| match headers.get("x-say") {
        Some(value) if value == "tombstone" => Disposition::Tombstone,
        Some(_) => Disposition::Indeterminate,
        None if status == 500 => Disposition::Store,
        None => Disposition::Release,
    });
    let layer = unscoped(&store).outcome(policy.on_panic(Disposition::Indeterminate)).build();
    let service = shop(&layer, &runs, async |work| {
        let mut response = answer(if work.body == "500" { 500 } else { 200 }, "said");
        match &*work.body {
            "panic" => panic!("boom"),
            "500" | "200" => {}
            say => drop(response.headers_mut().insert("x-say", say.parse().unwrap())),
        }
        response
    });
    for (body, status, code) in [
        ("500", 500, None),
        ("200", 200, None),
        ("tombstone", 409, Some("result_unavailable")),
        ("unknown", 409, Some("outcome_unknown")),
    ] {
        call(&service, post(body, body)).await;
        let again = call(&service, post(body, body)).await;
        assert_eq!((again.status, again.code()), (status, code), "{body}");
        assert_eq!(again.is_replay(), body == "500");
    }
    panic_of(call(&service, post("p", "panic"))).await;
    call(&service, post("p", "panic")).await.is_refused(409, "outcome_unknown");
}

#[tokio::test(start_paused = true)]
async fn the_handler_has_the_last_word() {
    let (store, runs) = (memory(), Runs::default());
    let layer = unscoped(&store).build();
    let service = shop(&layer, &runs, async |work| {
        let (code, disposition) = match &*work.body {
            "store" => (500, Disposition::Store),
            "release" => (201, Disposition::Release),
            "unknown" => (201, Disposition::Indeterminate),
            _ => (201, Disposition::Tombstone),
        };
        let mut response = answer(code, "said");
        response.extensions_mut().insert(disposition);
        response
    });
    for (body, first, second, code) in [
        ("store", 500, 500, None),
        ("release", 201, 201, None),
        ("unknown", 201, 409, Some("outcome_unknown")),
        ("tombstone", 201, 409, Some("result_unavailable")),
    ] {
        call(&service, post(body, body)).await.is_own(first, "said");
        let again = call(&service, post(body, body)).await;
        assert_eq!((again.status, again.code()), (second, code), "{body}");
        assert_eq!(again.is_replay(), body == "store");
    }
    assert_eq!(runs.started(), 5);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_service_passes_untouched_and_releases() {
    let store = memory();
    let runs = Runs::default();
    let counted = runs.clone();
    let inner = service_fn(move |_: Request<Body<Sent>>| {
        let run = counted.start();
        async move { if run == 1 { Err("broken") } else { Ok(answer(201, "ran")) } }
    });
    let service = unscoped(&store).build().layer(inner);
    assert_eq!(service.clone().oneshot(post("k", "")).await.unwrap_err(), "broken");
    assert_eq!(state(&store).await, None);
    let second = service.clone().oneshot(post("k", "")).await.unwrap();
    Answer::of(second).await.is_own(201, "ran");
    assert_eq!(runs.started(), 2);

    let policy = OutcomePolicy::store_everything();
    let broken = service_fn(async |_: Request<Body<Sent>>| Err::<Response<Sent>, _>("broken"));
    let service = unscoped(&store).namespace("all").outcome(policy).build().layer(broken);
    assert_eq!(service.clone().oneshot(post("k", "")).await.unwrap_err(), "broken");
    let second = service.oneshot(post("k", "")).await.unwrap();
    Answer::of(second).await.is_refused(409, "outcome_unknown");
}

/// It has not been sent, whatever the policy says of what has.
#[tokio::test(start_paused = true)]
async fn an_error_of_readiness_releases_under_every_policy() {
    #[derive(Clone)]
    struct Broken;
    impl Service<Request<Body<Sent>>> for Broken {
        type Response = Response<Sent>;
        type Error = &'static str;
        type Future = std::future::Ready<Result<Response<Sent>, &'static str>>;
        fn poll_ready(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), &'static str>> {
            std::task::Poll::Ready(Err("broken"))
        }
        fn call(&mut self, _: Request<Body<Sent>>) -> Self::Future {
            unreachable!("it is not ready")
        }
    }
    let store = memory();
    let layer = unscoped(&store).outcome(OutcomePolicy::store_everything()).build();
    let service = layer.layer(Broken);
    assert_eq!(service.oneshot(post("k", "")).await.unwrap_err(), "broken");
    assert_eq!((state(&store).await, layer.handle().in_flight()), (None, 0));
}

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

const DROPPED: [(&str, &str); 21] = [
    ("connection", "x-hop"),
    ("x-hop", "1"),
    ("keep-alive", "1"),
    ("proxy-authenticate", "Basic"),
    ("te", "trailers"),
    ("upgrade", "h2c"),
    ("date", "Thu, 01 Jan 1970 00:00:00 GMT"),
    ("server", "x"),
    ("set-cookie", "session=SECRET"),
    ("age", "1"),
    ("alt-svc", "h3"),
    ("server-timing", "db"),
    ("request-id", "1"),
    ("x-request-id", "1"),
    ("x-correlation-id", "1"),
    ("x-amzn-trace-id", "1"),
    ("x-cloud-trace-context", "1"),
    ("traceparent", "1"),
    ("tracestate", "1"),
    ("b3", "1"),
    ("x-b3-traceid", "1"),
];

#[tokio::test(start_paused = true)]
async fn headers_of_one_exchange_are_not_replayed() {
    let (store, runs) = (memory(), Runs::default());
    let layer = unscoped(&store).build();
    let service = shop(&layer, &runs, async |_| {
        let mut response = answer(201, "said");
        for (name, value) in DROPPED {
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        response.headers_mut().insert("content-length", HeaderValue::from_static("4"));
        response.headers_mut().insert("location", HeaderValue::from_static("/orders/1"));
        response
    });
    let first = call(&service, post("k", "")).await;
    assert!(DROPPED.iter().all(|(name, value)| first.header(name) == Some(value)));
    let again = call(&service, post("k", "")).await;
    again.is_replayed(201, "said");
    let kept: Vec<_> = again.headers.keys().map(http::HeaderName::as_str).collect();
    assert_eq!(kept, ["content-type", "location", "idempotency-replayed"]);
}

#[tokio::test(start_paused = true)]
async fn a_filter_of_ones_own_keeps_more_or_less() {
    let (store, runs) = (memory(), Runs::default());
    let filter = HeaderFilter::default().allow("date").deny("location");
    let layer = unscoped(&store).replay_headers(filter).build();
    let service = shop(&layer, &runs, async |_| {
        let mut response = answer(201, "said");
        response.headers_mut().insert("date", HeaderValue::from_static("then"));
        response.headers_mut().insert("location", HeaderValue::from_static("/orders/1"));
        response
    });
    call(&service, post("k", "")).await;
    let again = call(&service, post("k", "")).await;
    assert_eq!((again.header("date"), again.header("location")), (Some("then"), None));
}

#[tokio::test(start_paused = true)]
async fn only_a_replay_says_that_it_is_one() {
    let (store, runs) = (memory(), Runs::default());
    let layer = unscoped(&store)
        .on_store_error(buttress::idempotency::OnStoreError::FailOpen)
        .problem(|problem| {
            let mut response = Response::new(Bytes::from(problem.to_json()));
            *response.status_mut() = problem.status();
            response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
            response
        })
        .build();
    let service = shop(&layer, &runs, async |work| {
        let mut response = answer(work.body.parse().unwrap(), "said");
        response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
        response
    });
    for code in ["201", "500"] {
        let first = call(&service, post(code, code)).await;
        assert!(first.header("idempotency-replayed").is_none(), "{code}");
    }
    let replay = call(&service, post("201", "201")).await;
    assert_eq!(replay.headers.get_all("idempotency-replayed").iter().count(), 1);
    let refused = call(&service, post("201", "202")).await;
    refused.is_refused(422, "fingerprint_mismatch");
    // Nor does one that runs without protection.
    store.is_down(true);
    let open = call(&service, post("open", "201")).await;
    assert!(open.header("idempotency-replayed").is_none());
}
