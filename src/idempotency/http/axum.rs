//! axum: [`Context`] as an extractor, and the path that a client asked for.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;

use axum::body::Body;
use axum::extract::{FromRequestParts, OptionalFromRequestParts, OriginalUri};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;

use crate::idempotency::execution::Refusal;
use crate::idempotency::http::Problem;
use crate::idempotency::{Context, ContextError};
use crate::rejected::Reason;

/// What the client asked for: nested routers take their prefixes off the path, and two of them
/// would have records in common.
pub(super) fn original_path(parts: &Parts) -> &str {
    parts.extensions.get::<OriginalUri>().map_or(parts.uri.path(), |original| original.path())
}

/// The context of a protected request; [`ContextMissing`] for one that is not protected: no layer,
/// no key, or another method. `Option<Context>` takes both.
impl<S: Sync> FromRequestParts<S> for Context {
    type Rejection = ContextMissing;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ContextMissing> {
        parts.extensions.get().cloned().ok_or(ContextMissing(()))
    }
}

/// A handler asked for the [`Context`] of a request that is not protected: answered with 500.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextMissing(());

impl fmt::Display for ContextMissing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "no idempotency context: the route has no IdempotencyLayer, or the request no key \
             (`.require_key(true)` refuses those)",
        )
    }
}

impl StdError for ContextMissing {}

impl IntoResponse for ContextMissing {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.to_string()).into_response()
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Context {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get().cloned())
    }
}

/// As the layer itself would answer: 409 `in_progress` where another execution has taken over, 503
/// `store_unavailable` where the store does not answer. So a handler can pass it on by `?`.
impl IntoResponse for ContextError {
    fn into_response(self) -> Response {
        let reason = match self {
            Self::Lost => Reason::InProgress,
            Self::Store(_) => Reason::StoreUnavailable,
        };
        Problem::new(Refusal::new(reason).rejected()).respond().map(Body::from)
    }
}
