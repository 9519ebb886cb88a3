//! What the builder refuses.

use std::time::Duration;

use buttress::idempotency::{
    Concurrent, Config, HeaderFilter, IdempotencyLayer, MemoryStore, Scoped,
};
use http::{Method, StatusCode};

type Builder = buttress::idempotency::Builder<MemoryStore, Scoped>;

#[track_caller]
fn refused(configure: impl FnOnce(Builder) -> Builder, said: &str) {
    let builder = IdempotencyLayer::builder(MemoryStore::new()).unscoped();
    let error = configure(builder).try_build().expect_err(said).to_string();
    assert_eq!(error, said);
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn each_mistake_is_named_with_its_value_and_what_is_allowed() {
    refused(
        |b| b.lease(5 * SECOND),
        "idempotency.lease is 5s, must be at least three times the store_timeout",
    );
    refused(|b| b.store_timeout(Duration::ZERO), "");
    refused(|b| b.retention(SECOND), "");
    refused(|b| b.max_execution(SECOND), "");
    refused(|b| b.max_attempts(0), "");
    refused(|b| b.max_in_flight(0), "");
    refused(|b| b.on_concurrent(Concurrent::Wait { timeout: SECOND, max_waiters: 0 }), "");
    refused(|b| b.on_concurrent(Concurrent::Wait { timeout: Duration::ZERO, max_waiters: 1 }), "");
    refused(|b| b.methods([Method::POST, Method::GET]), "");
    refused(|b| b.methods([Method::from_bytes(b"QUERY").unwrap()]), "");
    refused(|b| b.header("no header"), "");
    refused(|b| b.secret(""), "");
    refused(|b| b.max_key_len(0), "");
    refused(|b| b.min_key_len(300), "");
    refused(|b| b.max_response_time(Duration::ZERO), "");
    refused(|b| b.replay_headers(HeaderFilter::default().allow("set-cookie")), "");
    refused(|b| b.replay_headers(HeaderFilter::default().deny("no header")), "");
    refused(|b| b.docs_url("https://docs>"), "");
    refused(|b| b.mismatch_status(StatusCode::OK), "");
    refused(|b| b.grpc(["shop.Orders/Create"]), "");
}

#[test]
fn the_first_of_several_mistakes_is_named() {
    refused(|b| b.secret("").header("no header"), "");
}

#[test]
#[should_panic(expected = "idempotency.lease")]
fn build_panics_with_it() {
    let _ = IdempotencyLayer::builder(MemoryStore::new()).unscoped().lease(SECOND).build();
}

#[test]
fn every_method_without_effects_is_refused() {
    for method in ["GET", "HEAD", "OPTIONS", "TRACE", "QUERY"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let builder = IdempotencyLayer::builder(MemoryStore::new()).unscoped();
        let error = builder.methods([method.clone()]).try_build().unwrap_err();
        assert!(error.to_string().contains(method.as_str()), "{error}");
    }
}

#[test]
fn the_defaults_are_those_of_the_manual() {
    let config = Config::default();
    assert_eq!(
        (config.lease, config.retention, config.max_execution, config.store_timeout),
        (60 * SECOND, 86_400 * SECOND, 900 * SECOND, 2 * SECOND)
    );
    assert_eq!((config.max_attempts, config.max_in_flight), (5, 1024));
}
