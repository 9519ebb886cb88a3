//! [`Config`]: the settings that every form of the layer has, as data.

use std::time::Duration;

use crate::config::{self, ConfigError, check, not_zero};
use crate::idempotency::LeaseExpiry;

/// What becomes of a request whose key is in use by one that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Concurrent {
    /// It is refused as in progress.
    Reject {
        /// When to come back, in seconds.
        retry_after: u64,
    },
    /// It waits, and gets the same answer. If the one that runs releases the key, one of those
    /// that wait runs instead.
    Wait {
        /// How long, before it is refused after all.
        timeout: Duration,
        /// How many may wait for one key; the next is refused.
        max_waiters: usize,
    },
}

impl Default for Concurrent {
    fn default() -> Self {
        Self::Reject { retry_after: 1 }
    }
}

/// What becomes of a request whose caller leaves while it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnCancel {
    /// It runs to its end, and its outcome is kept for the caller's next attempt.
    #[default]
    Detach,
    /// It is dropped where it stands, and the key released. For handlers that can be interrupted
    /// anywhere.
    Release,
}

/// What becomes of a request when the store cannot be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnStoreError {
    /// It is refused.
    #[default]
    FailClosed,
    /// It runs, unprotected: a repetition runs as well, and the handler gets no
    /// [`Context`](crate::idempotency::Context).
    FailOpen,
}

/// The settings of an idempotency layer. With feature `serde`, readable from a file.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// Keeps the records of two services in one store apart. Default: empty.
    pub namespace: String,
    /// How long a record is kept after its request has ended. Default: 24 h.
    pub retention: Duration,
    /// How long a claim holds once its holder is not heard of. It is renewed three times as often.
    /// Default: 60 s.
    pub lease: Duration,
    /// How long the claim of a running request is renewed at most. Default: 15 min.
    pub max_execution: Duration,
    /// How many executions there may be under one key, each in place of one whose lease had
    /// lapsed. Default: 5.
    pub max_attempts: u32,
    /// What becomes of a claim whose lease has lapsed. Default: the next request takes over.
    pub on_lease_expiry: LeaseExpiry,
    /// What becomes of a request whose key is in use. Default: refused, with a hint of 1 s.
    pub on_concurrent: Concurrent,
    /// What becomes of a request whose caller leaves. Default: it runs to its end.
    pub on_cancel: OnCancel,
    /// What becomes of a request when the store cannot be reached. Default: refused.
    pub on_store_error: OnStoreError,
    /// How long one call to the store may take. Default: 2 s.
    pub store_timeout: Duration,
    /// How many requests may be in the layer at once, those whose callers have left included.
    /// Default: 1024.
    pub max_in_flight: usize,
    /// The name of the instance. Default: `idempotency`.
    pub name: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            namespace: String::new(),
            retention: Duration::from_secs(24 * 60 * 60),
            lease: Duration::from_secs(60),
            max_execution: Duration::from_secs(15 * 60),
            max_attempts: 5,
            on_lease_expiry: LeaseExpiry::default(),
            on_concurrent: Concurrent::default(),
            on_cancel: OnCancel::default(),
            on_store_error: OnStoreError::default(),
            store_timeout: Duration::from_secs(2),
            max_in_flight: 1024,
            name: None,
        }
    }
}

impl Config {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        not_zero("idempotency.store_timeout", self.store_timeout)?;
        // A claim must outlast the repetitions of the `begin` that made it.
        check(
            self.lease >= self.store_timeout.saturating_mul(3),
            "idempotency.lease",
            self.lease,
            "at least three times the store_timeout",
        )?;
        check(
            self.retention >= self.lease,
            "idempotency.retention",
            self.retention,
            "at least the lease",
        )?;
        check(
            self.max_execution >= self.lease,
            "idempotency.max_execution",
            self.max_execution,
            "at least the lease",
        )?;
        config::at_least_one("idempotency.max_attempts", self.max_attempts)?;
        let name = "idempotency.max_in_flight";
        check(self.max_in_flight >= 1, name, self.max_in_flight, "1 or more")?;
        if let Concurrent::Wait { timeout, max_waiters } = self.on_concurrent {
            not_zero("idempotency.on_concurrent.timeout", timeout)?;
            let name = "idempotency.on_concurrent.max_waiters";
            check(max_waiters >= 1, name, max_waiters, "1 or more")?;
        }
        Ok(())
    }
}
