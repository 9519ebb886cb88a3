//! What is said about a request: to its client, to the observers, and never.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use buttress::http::Statuses;
use buttress::idempotency::{Concurrent, IdempotencyLayer, OnStoreError, Scope};
use buttress::observe::IdempotencyResult as Done;
use buttress::observe::{MetricsObserver, TracingObserver};
use buttress::{Class, Classify, Rejected};
use bytes::Bytes;
use http::{Request, Response};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::Value;
use tower::ServiceExt;

use super::{
    LEASE, Memory, Runs, S, Sent, Shop, Told, answer, begin, call, memory, panic_of, plain, post,
    request, settle, shop, slow, unscoped,
};
use crate::support::faulty::{ERROR_TEXT, Fault, Op};

const KEY: &str = "SECRETKEY-7";
const BODY: &str = "SECRETBODY";
const TENANT: &str = "SECRETTENANT";

/// Every refusal there is over HTTP, by its code, from a layer with this builder.
async fn refusals(
    configure: impl Fn(Builder) -> Builder,
) -> Vec<(&'static str, Response<Bytes>, Option<Rejected>)> {
    let mut found = Vec::new();
    let mut keep = async |code, service: &Shop<Sent>, sent: Request<Sent>| {
        let Ok(response) = service.clone().oneshot(sent).await;
        let rejected = response.extensions().get::<Rejected>().cloned();
        let (parts, body) = response.into_parts();
        let body = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
        found.push((code, Response::from_parts(parts, body), rejected));
    };
    let runs = Runs::default();
    let store = memory();
    let base = || configure(unscoped(&store).name("orders"));
    let service = plain(&base().require_key(true).max_request_body(20).build(), &runs);
    keep("key_missing", &service, request("POST", "/", None, BODY)).await;
    keep("key_invalid", &service, post(&format!("{KEY},"), BODY)).await;
    keep("request_too_large", &service, post(KEY, &BODY.repeat(9))).await;
    let nobody = configure(IdempotencyLayer::builder(store.clone()).scope(|_| None).name("orders"));
    keep("scope_missing", &plain(&nobody.build(), &runs), post(KEY, BODY)).await;

    let layer = base().max_in_flight(1).build();
    let service = slow(&layer, &runs, S);
    let running = begin(&service, post(KEY, BODY));
    settle().await;
    keep("overloaded", &service, post(KEY, BODY)).await;
    keep("in_progress", &plain(&base().build(), &runs), post(KEY, BODY)).await;
    running.await;
    keep("fingerprint_mismatch", &service, post(KEY, "else")).await;

    let layer = base().max_response_body(0).build();
    let large = plain(&layer, &runs);
    call(&large, post("large", BODY)).await;
    keep("result_unavailable", &large, post("large", BODY)).await;
    let barrier = shop(&layer, &runs, async |work| {
        work.context().begin_effects().await.unwrap();
        answer(500, "")
    });
    call(&barrier, post("unknown", BODY)).await;
    keep("outcome_unknown", &barrier, post("unknown", BODY)).await;
    store.then(Op::Begin, [Fault::Refused; 3]);
    keep("store_unavailable", &large, post("down", BODY)).await;
    tokio::time::sleep(5 * S).await;
    store.then(Op::Begin, [Fault::Full]);
    keep("store_full", &large, post("full", BODY)).await;
    found
}

type Builder = buttress::idempotency::Builder<Memory, buttress::idempotency::Scoped>;

#[tokio::test(start_paused = true)]
async fn each_refusal_is_the_document_of_its_code() {
    let all = refusals(|builder| builder.docs_url("https://docs.example/keys")).await;
    assert_eq!(all.len(), 11);
    for (code, response, rejected) in all {
        let (status, retry) = match code {
            "key_missing" | "key_invalid" => (400, None),
            "scope_missing" => (403, None),
            "in_progress" => (409, Some("1")),
            "outcome_unknown" | "result_unavailable" => (409, None),
            "request_too_large" => (413, None),
            "fingerprint_mismatch" => (422, None),
            _ => (503, Some("1")),
        };
        let header = |name: &str| response.headers().get(name).map(|v| v.to_str().unwrap());
        assert_eq!((response.status().as_u16(), header("retry-after")), (status, retry), "{code}");
        assert_eq!(header("content-type"), Some("application/problem+json"));
        assert_eq!(header("cache-control"), Some("no-store"));
        assert_eq!(header("buttress-refusal"), Some(code));
        assert_eq!(header("link"), Some("<https://docs.example/keys>; rel=\"describedby\""));
        assert_eq!(header("idempotency-replayed"), None);
        let document: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(document["code"], code);
        assert_eq!(document["status"], status);
        if code != "overloaded" {
            let kind = format!("urn:problem-type:idempotency:{code}");
            assert_eq!(document["type"], kind);
        }
        assert!(document["title"].is_string() && document["detail"].is_string());
        let original = document.get("original_status").and_then(Value::as_u64);
        assert_eq!(original, (code == "result_unavailable").then_some(201));
        let text = format!("{response:?} {rejected:?}");
        assert!(!text.contains("SECRET"), "{text}");

        let rejected = rejected.expect("the refusal itself");
        assert_eq!((rejected.reason().code(), rejected.name()), (code, Some("orders")));
        assert_eq!(rejected.retry_after().is_some(), retry.is_some(), "{code}");
        let ran = ["in_progress", "outcome_unknown", "result_unavailable"].contains(&code);
        assert_eq!(rejected.was_dispatched(), ran, "{code}");
        let mut judged = Response::new(());
        *judged.status_mut() = response.status();
        judged.extensions_mut().insert(rejected);
        assert_eq!(Statuses.classify(Ok::<_, &Rejected>(&judged)), Class::Ignore);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rendering_of_ones_own_keeps_the_marker() {
    let all = refusals(|builder| {
        builder.problem(|problem| {
            let text = format!("{} {}", problem.code(), problem.original_status().unwrap_or(0));
            Response::builder().status(problem.status()).body(text.into()).unwrap()
        })
    })
    .await;
    for (code, response, rejected) in all {
        assert_eq!(response.headers()["buttress-refusal"], code);
        assert!(response.body().starts_with(code.as_bytes()));
        assert_eq!(rejected.unwrap().reason().code(), code);
        assert!(!response.headers().contains_key("content-type"));
    }
}

#[tokio::test(start_paused = true)]
async fn each_outcome_is_told_once() {
    let (store, runs, told) = (memory(), Runs::default(), Told::default());
    let layer = unscoped(&store).max_response_body(8).observe(told.listener()).build();
    let service = shop(&layer, &runs, async |work| match &*work.body {
        "release" => answer(500, ""),
        "unknown" => {
            work.context().begin_effects().await.unwrap();
            answer(500, "")
        }
        "large" => answer(201, "more than that"),
        _ => answer(201, "ran"),
    });
    let mut seen = 0;
    let mut next = || {
        let all = told.results();
        let new = all[seen..].to_vec();
        seen = all.len();
        new
    };
    for (body, first, second) in [
        ("run", vec![Done::Executed], vec![Done::Replayed]),
        ("release", vec![Done::Released], vec![Done::Released]),
        ("unknown", vec![Done::Indeterminate], vec![Done::Indeterminate]),
        ("large", vec![Done::Tombstone], vec![Done::Tombstone]),
    ] {
        call(&service, post(body, body)).await;
        assert_eq!(next(), first, "{body}");
        call(&service, post(body, body)).await;
        assert_eq!(next(), second, "{body}");
    }
    call(&service, post("run", "else")).await;
    assert_eq!(next(), [Done::Mismatch]);
    call(&service, request("POST", "/", None, "")).await;
    assert_eq!(next(), [Done::Bypass]);
    call(&service, post("a,b", "")).await;
    assert_eq!(next(), [Done::Rejected]);
    call(&service, request("GET", "/", Some("k"), "")).await;
    assert_eq!(next(), []);
    // What the store did not take was not kept.
    store.then(Op::Complete, [Fault::TooLarge]);
    call(&service, post("long", "run")).await;
    assert_eq!(next(), [Done::Tombstone]);
    store.then(Op::Begin, [Fault::Full]);
    call(&service, post("full", "run")).await;
    assert_eq!(next(), [Done::StoreError]);
    assert_eq!(told.gauges(), (0, 0));
}

/// Writes down whatever is traced, fields, values and all.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, attributes: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        write!(self.0.lock().unwrap(), "{attributes:?}").unwrap();
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, record: &tracing::span::Record<'_>) {
        write!(self.0.lock().unwrap(), "{record:?}").unwrap();
    }
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        write!(self.0.lock().unwrap(), "{event:?}").unwrap();
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn a_handler_runs_in_a_span_of_its_record_attempt_and_fence() {
    let (store, runs, log) = (memory(), Runs::default(), Log::default());
    let service = plain(&unscoped(&store).build(), &runs);
    let guard = tracing::subscriber::set_default(log.clone());
    call(&service, post("k", "")).await.is_own(201, "run 1");
    drop(guard);
    let record: String =
        format!("{:08x}", u32::from_be_bytes(store.last_key().as_bytes()[..4].try_into().unwrap()));
    let fence = super::record(&store).await.unwrap().fence.get();
    let logged = log.0.lock().unwrap();
    assert!(logged.contains(&format!("record: {record}, attempt: 1, fence: {fence}")), "{logged}");
}

/// Walks all paths, and writes down whatever is said on them.
async fn everything_said(log: &Log) -> String {
    let (store, runs, metrics) = (memory(), Runs::default(), MetricsObserver::new());
    let mut said = String::new();
    let base = || {
        IdempotencyLayer::builder(store.clone())
            .scope(|_| Some(Scope::new(TENANT)))
            .secret("SECRETSECRET")
            .observe(metrics.clone())
            .observe(TracingObserver::new())
    };
    write!(said, "{:?}", base()).unwrap();
    let wait = Concurrent::Wait { timeout: S, max_waiters: 1 };
    for builder in [base(), base().on_concurrent(wait).on_store_error(OnStoreError::FailOpen)] {
        let layer = builder.build();
        let service = shop(&layer, &runs, async |work| {
            let text = format!("{:?}", work.context);
            assert!(!text.contains("SECRET"), "{text}");
            assert!(!work.body.ends_with("panic"), "boom");
            tokio::time::sleep(S / 2).await;
            answer(if work.body.ends_with("500") { 500 } else { 201 }, &text)
        });
        write!(said, "{layer:?} {:?} {:?}", layer.handle(), store.inner).unwrap();
        let bad = ["", ",", "\"", "\u{7f}"].map(|end| format!("{KEY}{end}"));
        for key in bad.iter().filter_map(|key| http::HeaderValue::from_str(key).ok()) {
            let mut sent = request("POST", "/SECRETPATH?SECRETQUERY", None, BODY);
            sent.headers_mut().insert("idempotency-key", key);
            write!(said, "{:?}", call(&service, sent).await).unwrap();
        }
        for end in ["", "500", "panic"] {
            for fault in [Fault::None, Fault::Refused, Fault::ReplyLost, Fault::Misconfigured] {
                for op in [Op::Begin, Op::Complete, Op::Abandon] {
                    store.then(op, [fault]);
                }
                let [key, body] = [KEY, BODY].map(|text| format!("{text}{end}"));
                let calls = [0; 3].map(|_| {
                    let (service, sent) = (service.clone(), post(&key, &body));
                    tokio::spawn(async move { format!("{:?}", call(&service, sent).await) })
                });
                for call in futures::future::join_all(calls).await {
                    write!(said, "{call:?}").unwrap();
                }
                write!(said, "{:?}", call(&service, post(&key, "else")).await).unwrap();
                tokio::time::sleep(LEASE).await;
            }
        }
        layer.handle().drain(LEASE).await;
    }
    let logged = log.0.lock().unwrap();
    assert!(logged.contains("replayed") && logged.contains("in_progress"), "{logged}");
    // The store's own words are for operators, in the log alone.
    assert!(logged.contains(ERROR_TEXT) && !said.contains(ERROR_TEXT));
    said.push_str(&logged.replace(ERROR_TEXT, ""));
    said
}

#[test]
fn nothing_that_is_said_shows_a_key_a_tenant_a_body_or_a_secret() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let log = Log::default();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let said = metrics::with_local_recorder(&recorder, || {
        tracing::subscriber::with_default(log.clone(), || {
            runtime.unwrap().block_on(everything_said(&log))
        })
    });
    let scraped = recorder.handle().render();
    assert!(scraped.contains("buttress_idempotency_total"));
    for (what, text) in [("metrics", &scraped), ("everything else", &said)] {
        if let Some(at) = text.find("SECRET") {
            panic!("in {what}: {}", &text[at.saturating_sub(100)..(at + 60).min(text.len())]);
        }
    }
    for gauge in ["buttress_in_flight", "buttress_queued"] {
        let line = scraped.lines().find(|line| line.starts_with(gauge)).expect(gauge);
        assert!(line.ends_with(" 0"), "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_leaves_the_gauges_at_nothing() {
    let (store, runs, told) = (memory(), Runs::default(), Told::default());
    let layer = unscoped(&store).observe(told.listener()).build();
    let service = shop(&layer, &runs, async |_| panic!("boom"));
    panic_of(call(&service, post("k", ""))).await;
    settle().await;
    assert_eq!((told.gauges(), layer.handle().in_flight()), ((0, 0), 0));
}
