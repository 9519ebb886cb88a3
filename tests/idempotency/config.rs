//! Settings from a file, and what a mistake in one is answered with.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use buttress::idempotency::{
    Concurrent, Config, IdempotencyLayer, LeaseExpiry, MemoryStore, OnCancel, OnStoreError,
};
use buttress::observe::{Event, Observe};
use serde_json::{from_value, json, to_value};

const S: Duration = Duration::from_secs(1);

#[test]
fn every_setting_is_read_under_its_name() {
    let mut expected = Config::default();
    expected.namespace = "orders".into();
    expected.retention = 3600 * S;
    expected.lease = 30 * S;
    expected.max_execution = 300 * S;
    expected.max_attempts = 3;
    expected.on_lease_expiry = LeaseExpiry::Indeterminate;
    expected.on_concurrent = Concurrent::Wait { timeout: 5 * S, max_waiters: 8 };
    expected.on_cancel = OnCancel::Release;
    expected.on_store_error = OnStoreError::FailOpen;
    expected.store_timeout = S;
    expected.max_in_flight = 64;
    expected.name = Some("payments".into());
    let text = json!({
        "namespace": "orders", "retention": "1h", "lease": "30s", "max_execution": "5m",
        "max_attempts": 3, "on_lease_expiry": "indeterminate",
        "on_concurrent": { "wait": { "timeout": "5s", "max_waiters": 8 } },
        "on_cancel": "release", "on_store_error": "fail_open", "store_timeout": "1s",
        "max_in_flight": 64, "name": "payments",
    });
    assert_eq!(from_value::<Config>(text.clone()).unwrap(), expected);
    assert_eq!(to_value(&expected).unwrap(), text);
    assert_eq!(from_value::<Config>(json!({})).unwrap(), Config::default());
    let built =
        IdempotencyLayer::builder(MemoryStore::new()).unscoped().config(expected).try_build();
    assert!(built.is_ok());
}

#[test]
fn a_mistake_is_answered_with_the_setting_its_value_and_what_is_allowed() {
    let unknown = from_value::<Config>(json!({ "leese": "30s" })).unwrap_err().to_string();
    assert!(unknown.contains("leese"), "{unknown}");
    let config: Config = from_value(json!({ "lease": "5s", "store_timeout": "2s" })).unwrap();
    let built = IdempotencyLayer::builder(MemoryStore::new()).unscoped().config(config).try_build();
    assert_eq!(
        built.unwrap_err().to_string(),
        "idempotency.lease is 5s, allowed is at least three times the store_timeout",
    );
}

#[derive(Default)]
struct Warnings(AtomicUsize);

impl Observe for Warnings {
    fn on_event(&self, _: &Event<'_>) {}

    fn on_unshared_store(&self, name: &str) {
        assert_eq!(name, "orders");
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn records_of_one_process_are_warned_of_unless_it_is_the_only_one() {
    let warned = |store| {
        let warnings = Arc::new(Warnings::default());
        let layer = IdempotencyLayer::builder(store).unscoped().name("orders");
        drop(layer.observe(Arc::clone(&warnings)).build());
        warnings.0.load(Ordering::Relaxed)
    };
    assert_eq!(warned(MemoryStore::new()), 1);
    assert_eq!(warned(MemoryStore::builder().single_instance().build()), 0);
}
