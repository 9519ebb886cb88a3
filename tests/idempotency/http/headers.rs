//! The headers of a replay.

use buttress::idempotency::HeaderFilter;
use bytes::Bytes;
use http::{HeaderValue, Response};

use super::{Runs, answer, call, memory, post, shop, unscoped};

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
