//! The setters that every builder of an idempotency layer has.

/// Over its field `config`, a [`Config`](super::Config).
macro_rules! engine_setters {
    () => {
        /// The settings that are data, as a file has them. Replaces those that were set before.
        pub fn config(mut self, config: crate::idempotency::Config) -> Self {
            self.config = config;
            self
        }

        /// Draws the pauses between calls to the store, so that a simulation repeats. Who holds a
        /// claim is drawn from the operating system all the same: replicas with one seed must not
        /// take each other's claims for their own. Default: from the operating system.
        pub fn seed(mut self, seed: u64) -> Self {
            self.seed = Some(seed);
            self
        }

        /// Keeps the records of two services in one store apart. Default: empty.
        pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
            self.config.namespace = namespace.into();
            self
        }

        /// How long a record is kept after its request has ended. Default: 24 h.
        pub fn retention(mut self, retention: std::time::Duration) -> Self {
            self.config.retention = retention;
            self
        }

        /// How long a claim holds once its holder is not heard of. Default: 60 s.
        pub fn lease(mut self, lease: std::time::Duration) -> Self {
            self.config.lease = lease;
            self
        }

        /// How long the claim of a running request is renewed at most. Default: 15 min.
        pub fn max_execution(mut self, max_execution: std::time::Duration) -> Self {
            self.config.max_execution = max_execution;
            self
        }

        /// How many executions there may be under one key, each in place of one whose lease had
        /// lapsed. Default: 5.
        pub fn max_attempts(mut self, max_attempts: u32) -> Self {
            self.config.max_attempts = max_attempts;
            self
        }

        /// What becomes of a claim whose lease has lapsed. Default:
        /// [`LeaseExpiry::Takeover`](crate::idempotency::LeaseExpiry::Takeover).
        pub fn on_lease_expiry(mut self, on_lease_expiry: crate::idempotency::LeaseExpiry) -> Self {
            self.config.on_lease_expiry = on_lease_expiry;
            self
        }

        /// What becomes of a request whose key is in use by one that runs. Default: it is refused
        /// as in progress, with a hint of 1 s.
        pub fn on_concurrent(mut self, on_concurrent: crate::idempotency::Concurrent) -> Self {
            self.config.on_concurrent = on_concurrent;
            self
        }

        /// What becomes of a request whose caller leaves. Default:
        /// [`OnCancel::Detach`](crate::idempotency::OnCancel::Detach).
        pub fn on_cancel(mut self, on_cancel: crate::idempotency::OnCancel) -> Self {
            self.config.on_cancel = on_cancel;
            self
        }

        /// What becomes of a request when the store cannot be reached. Default:
        /// [`OnStoreError::FailClosed`](crate::idempotency::OnStoreError::FailClosed).
        pub fn on_store_error(mut self, on_store_error: crate::idempotency::OnStoreError) -> Self {
            self.config.on_store_error = on_store_error;
            self
        }

        /// How long one call to the store may take. Default: 2 s.
        pub fn store_timeout(mut self, store_timeout: std::time::Duration) -> Self {
            self.config.store_timeout = store_timeout;
            self
        }

        /// How many requests may be in the layer at once, those whose callers have left included.
        /// Limits further out do not see these. Default: 1024.
        pub fn max_in_flight(mut self, max_in_flight: usize) -> Self {
            self.config.max_in_flight = max_in_flight;
            self
        }
    };
}
pub(crate) use engine_setters;
