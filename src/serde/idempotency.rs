//! Idempotency keys: how long records and claims last, and what becomes of repetitions.

use std::time::Duration;

use ::serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::idempotency::{Concurrent, Config, LeaseExpiry, OnCancel, OnStoreError};
use crate::serde::duration;
use crate::serde::named::Named;

#[derive(Serialize, Deserialize)]
#[serde(remote = "Config", default = "Config::default", deny_unknown_fields)]
struct ConfigMirror {
    namespace: String,
    #[serde(with = "duration")]
    retention: Duration,
    #[serde(with = "duration")]
    lease: Duration,
    #[serde(with = "duration")]
    max_execution: Duration,
    max_attempts: u32,
    on_lease_expiry: LeaseExpiry,
    on_concurrent: Concurrent,
    on_cancel: OnCancel,
    on_store_error: OnStoreError,
    #[serde(with = "duration")]
    store_timeout: Duration,
    max_in_flight: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Concurrent", rename_all = "snake_case", deny_unknown_fields)]
enum ConcurrentMirror {
    Reject {
        retry_after: u64,
    },
    Wait {
        #[serde(with = "duration")]
        timeout: Duration,
        max_waiters: usize,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "LeaseExpiry", rename_all = "snake_case")]
enum LeaseExpiryMirror {
    Takeover,
    Indeterminate,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "OnCancel", rename_all = "snake_case")]
enum OnCancelMirror {
    Detach,
    Release,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "OnStoreError", rename_all = "snake_case")]
enum OnStoreErrorMirror {
    FailClosed,
    FailOpen,
}

through! {
    ConfigMirror for Config as "idempotency";
}

enums! {
    ConcurrentMirror for Concurrent;
    LeaseExpiryMirror for LeaseExpiry;
    OnCancelMirror for OnCancel;
    OnStoreErrorMirror for OnStoreError;
}
