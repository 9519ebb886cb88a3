//! The settings about what is kept, and what the layer's own answers look like.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};

use crate::config::check;
use crate::idempotency::http::{
    Builder, HeaderFilter, OnUnstorable, OutcomePolicy, Problem, problem,
};

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
}

/// How the layer's own answers look.
impl<St, Sc> Builder<St, Sc> {
    /// Renders the layer's own answers. The marker header is added to whatever it makes. Default:
    /// `application/problem+json`, as RFC 9457 has it.
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
