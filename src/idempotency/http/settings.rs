//! What the layer for HTTP is told, beside what every form of the layer is.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, Method, Response, StatusCode};

use crate::config::{ConfigError, check, not_zero};
use crate::idempotency::Scope;
use crate::idempotency::http::hold::HoldLimits;
use crate::idempotency::http::key_rules::KeyRules;
use crate::idempotency::http::{Fingerprinter, HeaderFilter, OutcomePolicy, Problem};

/// What a key is unique in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyScope {
    /// The tenant's requests with this method and path: the same key elsewhere is another record.
    #[default]
    Operation,
    /// All of the tenant's requests: the same key with another method or path is a mismatch.
    Tenant,
}

/// What becomes of a request whose answer cannot be kept: it is too long, has no end in sight, or
/// broke.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnUnstorable {
    /// It is remembered that it ran. A repetition is told so, and does not run.
    #[default]
    Tombstone,
    /// The key is released, and a repetition runs: for requests that only read.
    Release,
}

/// A response extension: the handler has kept the outcome itself, in its own transaction, by
/// `Context::complete_in`. The layer then leaves the record as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct AlreadyRecorded;

type Predicate = Arc<dyn Fn(&Parts) -> bool + Send + Sync>;

/// Asked of the head of each request.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) header: HeaderName,
    pub(super) methods: HashSet<Method>,
    pub(super) protect: Option<Predicate>,
    pub(super) required: Required,
    pub(super) key: KeyRules,
    pub(super) key_scope: KeyScope,
    pub(super) scope: Option<FindScope>,
    pub(super) secret: Option<Arc<[u8]>>,
    pub(super) fingerprint: Fingerprinter,
    pub(super) max_request_body: usize,
    pub(super) hold: HoldLimits,
    pub(super) outcome: OutcomePolicy,
    pub(super) on_unstorable: OnUnstorable,
    pub(super) replay_headers: Arc<HeaderFilter>,
    pub(super) render: Option<Renderer>,
    pub(super) docs_url: Option<Arc<str>>,
    pub(super) mismatch: StatusCode,
    pub(super) grpc: HashSet<String>,
}

pub(super) type Renderer = Arc<dyn Fn(&Problem) -> Response<Bytes> + Send + Sync>;

pub(super) type FindScope = Arc<dyn Fn(&Parts) -> Option<Scope> + Send + Sync>;

/// Which requests have to carry a key.
#[derive(Clone)]
pub(super) enum Required {
    None,
    All,
    When(Predicate),
}

impl Required {
    pub(super) fn of(&self, parts: &Parts) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::When(predicate) => predicate(parts),
        }
    }
}

impl Settings {
    /// What is wrong with settings that make no sense together.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let KeyRules { min_len, max_len, .. } = self.key;
        check(max_len >= 1, "idempotency.max_key_len", max_len, "1 or more")?;
        check(min_len <= max_len, "idempotency.min_key_len", min_len, "at most max_key_len")?;
        not_zero("idempotency.max_response_time", self.hold.time)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            header: HeaderName::from_static("idempotency-key"),
            methods: [Method::POST, Method::PATCH].into(),
            protect: None,
            required: Required::None,
            key: KeyRules::default(),
            key_scope: KeyScope::default(),
            scope: None,
            secret: None,
            fingerprint: Fingerprinter::raw(),
            max_request_body: 1 << 20,
            hold: HoldLimits { bytes: 1 << 20, time: Duration::from_secs(5) },
            outcome: OutcomePolicy::retry_server_errors(),
            on_unstorable: OnUnstorable::default(),
            replay_headers: Arc::default(),
            render: None,
            docs_url: None,
            mismatch: StatusCode::UNPROCESSABLE_ENTITY,
            grpc: HashSet::new(),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("header", &self.header)
            .field("methods", &self.methods)
            .field("max_request_body", &self.max_request_body)
            .field("hold", &self.hold)
            .finish_non_exhaustive()
    }
}
