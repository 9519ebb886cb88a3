//! What the builder refuses.

use std::time::Duration;

use buttress::idempotency::{
    Concurrent, Config, HeaderFilter, IdempotencyLayer, MemoryStore, Scoped,
};
use http::{Method, StatusCode};

type Builder = buttress::idempotency::Builder<MemoryStore, Scoped>;

#[track_caller]
fn refused(configure: impl FnOnce(Builder) -> Builder, setting: &str, value: &str, allowed: &str) {
    let builder = IdempotencyLayer::builder(MemoryStore::new()).unscoped();
    let error = configure(builder).try_build().expect_err(setting).to_string();
    assert_eq!(error, format!("idempotency.{setting} is {value}, allowed is {allowed}"));
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn each_mistake_is_named_with_its_value_and_what_is_allowed() {
    const EFFECTS: &str = "methods with effects, such as POST, PATCH, PUT and DELETE";
    let query = || Method::from_bytes(b"QUERY").unwrap();
    let wait = |timeout, max_waiters| Concurrent::Wait { timeout, max_waiters };
    let headers = HeaderFilter::default;
    refused(|b| b.lease(5 * SECOND), "lease", "5s", "at least three times the store_timeout");
    refused(|b| b.store_timeout(Duration::ZERO), "store_timeout", "0ns", "longer than 0");
    refused(|b| b.retention(SECOND), "retention", "1s", "at least the lease");
    refused(|b| b.max_execution(SECOND), "max_execution", "1s", "at least the lease");
    refused(|b| b.max_attempts(0), "max_attempts", "0", "1 or more");
    refused(|b| b.max_in_flight(0), "max_in_flight", "0", "1 or more");
    let setting = "on_concurrent.max_waiters";
    refused(|b| b.on_concurrent(wait(SECOND, 0)), setting, "0", "1 or more");
    let setting = "on_concurrent.timeout";
    refused(|b| b.on_concurrent(wait(Duration::ZERO, 1)), setting, "0ns", "longer than 0");
    refused(|b| b.methods([Method::POST, Method::GET]), "methods", "GET", EFFECTS);
    refused(|b| b.methods([query()]), "methods", "QUERY", EFFECTS);
    refused(|b| b.header("no header"), "header", "\"no header\"", "the name of a header");
    refused(|b| b.secret(""), "secret", "0", "a byte or more");
    refused(|b| b.max_key_len(0), "max_key_len", "0", "1 or more");
    refused(|b| b.min_key_len(300), "min_key_len", "300", "at most max_key_len");
    refused(|b| b.max_response_time(Duration::ZERO), "max_response_time", "0ns", "longer than 0");
    let allowed = "a header that may be replayed";
    let cookie = "\"set-cookie\"";
    refused(|b| b.replay_headers(headers().allow("set-cookie")), "replay_headers", cookie, allowed);
    let (none, allowed) = ("\"no header\"", "the name of a header");
    refused(|b| b.replay_headers(headers().deny("no header")), "replay_headers", none, allowed);
    let url = "\"https://docs>\"";
    refused(|b| b.docs_url("https://docs>"), "docs_url", url, "a URI, in visible ASCII");
    let status = StatusCode::OK;
    refused(|b| b.mismatch_status(status), "mismatch_status", "200", "a status of 400 to 499");
    let (name, allowed) = ("shop.Orders/Create", "a full name: /package.Service/Method");
    refused(|b| b.grpc([name]), "grpc", "\"shop.Orders/Create\"", allowed);
}

#[test]
fn the_first_of_several_mistakes_is_named() {
    refused(|b| b.secret("").header("no header"), "secret", "0", "a byte or more");
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
