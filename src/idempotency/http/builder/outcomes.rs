//! The settings about what is kept, and what the layer's own answers look like.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};

use crate::config::check;
use crate::idempotency::http::{
    Builder, HeaderFilter, OnUnstorable, OutcomePolicy, Problem, problem,
};
use crate::idempotency::{Concurrent, LeaseExpiry, OnCancel, OnStoreError};

/// What is kept, and what becomes of everything else.
impl<St, Sc> Builder<St, Sc> {
    /// The longest response body that is kept, in bytes. Default: 1 MiB.
    pub fn max_response_body(mut self, bytes: usize) -> Self {
        self.settings.hold.bytes = bytes;
        self
    }

    /// How long a response is held until the end of its body is there. Default: 5 s.
    pub fn max_response_time(mut self, time: Duration) -> Self {
        self.settings.hold.time = time;
        self
    }

    /// Which outcomes are final. Default: [`OutcomePolicy::retry_server_errors`].
    pub fn outcome(mut self, policy: OutcomePolicy) -> Self {
        self.settings.outcome = policy;
        self
    }

    /// What becomes of an answer that cannot be kept. Default: [`OnUnstorable::Tombstone`].
    pub fn on_unstorable(mut self, on_unstorable: OnUnstorable) -> Self {
        self.settings.on_unstorable = on_unstorable;
        self
    }

    /// Which headers of a response are kept. Default: [`HeaderFilter::default`].
    pub fn replay_headers(mut self, filter: HeaderFilter) -> Self {
        let judgement = filter.check();
        self.settings.replay_headers = Arc::new(filter);
        self.judged(judgement)
    }

    /// How long a record is kept after its request has ended. Default: 24 h.
    pub fn retention(mut self, retention: Duration) -> Self {
        self.config.retention = retention;
        self
    }

    /// How long a claim holds once its holder is not heard of. Default: 60 s.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.config.lease = lease;
        self
    }

    /// How long the claim of a running request is renewed at most. Default: 15 min.
    pub fn max_execution(mut self, max_execution: Duration) -> Self {
        self.config.max_execution = max_execution;
        self
    }

    /// How many executions there may be under one key, each in place of one whose lease had
    /// lapsed. Default: 5.
    pub fn max_attempts(mut self, max_attempts: u32) -> Self {
        self.config.max_attempts = max_attempts;
        self
    }

    /// What becomes of a claim whose lease has lapsed. Default: [`LeaseExpiry::Takeover`].
    pub fn on_lease_expiry(mut self, on_lease_expiry: LeaseExpiry) -> Self {
        self.config.on_lease_expiry = on_lease_expiry;
        self
    }

    /// What becomes of a request whose key is in use by one that runs. Default: 409, with a hint
    /// of 1 s.
    pub fn on_concurrent(mut self, on_concurrent: Concurrent) -> Self {
        self.config.on_concurrent = on_concurrent;
        self
    }

    /// What becomes of a request whose caller leaves. Default: [`OnCancel::Detach`].
    pub fn on_cancel(mut self, on_cancel: OnCancel) -> Self {
        self.config.on_cancel = on_cancel;
        self
    }

    /// What becomes of a request when the store cannot be reached. Default:
    /// [`OnStoreError::FailClosed`].
    pub fn on_store_error(mut self, on_store_error: OnStoreError) -> Self {
        self.config.on_store_error = on_store_error;
        self
    }

    /// How long one call to the store may take. Default: 2 s.
    pub fn store_timeout(mut self, store_timeout: Duration) -> Self {
        self.config.store_timeout = store_timeout;
        self
    }

    /// How many requests may be in the layer at once, those whose callers have left included. Limits
    /// further out do not see these. Default: 1024.
    pub fn max_in_flight(mut self, max_in_flight: usize) -> Self {
        self.config.max_in_flight = max_in_flight;
        self
    }
}

/// How the layer's own answers look.
impl<St, Sc> Builder<St, Sc> {
    /// Renders the layer's own answers. The marker header is added to whatever it makes. Default:
    /// [`Problem::respond`].
    pub fn problem(
        mut self,
        render: impl Fn(&Problem) -> Response<Bytes> + Send + Sync + 'static,
    ) -> Self {
        self.settings.render = Some(Arc::new(render));
        self
    }

    /// Where the API's use of keys is described: told by a `Link` header. Default: nowhere.
    pub fn docs_url(mut self, url: impl Into<Arc<str>>) -> Self {
        let url = url.into();
        let judgement = problem::check_docs_url(&url);
        self.settings.docs_url = Some(url);
        self.judged(judgement)
    }

    /// The status for a key that was used for another request. Default: 422.
    pub fn mismatch_status(mut self, status: StatusCode) -> Self {
        self.settings.mismatch = status;
        let client = check(
            status.is_client_error(),
            "idempotency.mismatch_status",
            status.as_u16(),
            "a status of 400 to 499",
        );
        self.judged(client)
    }
}
