//! [`Idempotency`]: the service of [`IdempotencyLayer`](super::IdempotencyLayer).

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, Request, Response};
use tower_service::Service;

use crate::idempotency::Scope;
use crate::idempotency::execution::{Engine, Refusal};
use crate::idempotency::http::future::Start;
use crate::idempotency::http::headers::REPLAYED;
use crate::idempotency::http::path::original_path;
use crate::idempotency::http::settings::Settings;
use crate::idempotency::http::{Body, KeyScope, Problem, ResponseFuture, grpc};
use crate::idempotency::identity::{self, Fingerprint, RecordKey};
use crate::idempotency::store::Store;
use crate::observe::{IdempotencyResult, Stage};
use crate::rejected::Reason;

/// Runs each request once, and answers repetitions with what came of it.
///
/// Always ready: the inner service is made ready, as a clone, by the request that runs, so that
/// replays and refusals take up none of its capacity.
pub struct Idempotency<S, St> {
    inner: S,
    shared: Arc<Shared<St>>,
}

/// What all requests of one layer share.
pub(super) struct Shared<St> {
    pub(super) engine: Arc<Engine<St>>,
    pub(super) settings: Settings,
}

/// What the head of a request says.
pub(super) enum Intake {
    /// Not the layer's business.
    Pass,
    Refuse(Refusal, Protocol),
    Protect(Ticket),
}

/// A request that is to be protected, before its body is known.
pub(super) struct Ticket {
    key: String,
    scope: Option<Scope>,
    pub(super) protocol: Protocol,
}

/// How the request is judged and answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http,
    /// A unary call.
    Grpc,
}

impl<S, St> Idempotency<S, St> {
    pub(super) fn new(inner: S, shared: Arc<Shared<St>>) -> Self {
        Self { inner, shared }
    }
}

impl<S, St, RB, OB> Service<Request<RB>> for Idempotency<S, St>
where
    S: Service<Request<Body<RB>>, Response = Response<OB>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send + 'static,
    St: Store,
    RB: http_body::Body<Data = Bytes> + Send + 'static,
    RB::Error: Send,
    OB: http_body::Body<Data = Bytes> + Send + 'static,
    OB::Error: Send,
{
    type Response = Response<Body<OB>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, St, RB, OB>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RB>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let protocol = self.shared.protocol(&parts);
        let intake = protocol.map_or(Intake::Pass, |protocol| self.shared.intake(&parts, protocol));
        match intake {
            Intake::Pass => {
                let request = Request::from_parts(parts, Body::passing(body));
                ResponseFuture::passing(self.inner.clone(), request)
            }
            Intake::Refuse(refusal, protocol) => {
                ResponseFuture::answered(self.shared.refused(refusal, protocol))
            }
            Intake::Protect(ticket) => {
                let shared = self.shared.clone();
                let limit = shared.settings.max_request_body;
                let start = Start { inner: self.inner.clone(), shared, parts, ticket };
                ResponseFuture::collecting(body, limit, start)
            }
        }
    }
}

impl<St: Store> Shared<St> {
    /// By the head alone, so that a slow upload holds no claim and a bad request is not read.
    fn intake(&self, parts: &Parts, protocol: Protocol) -> Intake {
        let settings = &self.settings;
        let unfit = |reason| Intake::Refuse(self.unfit_for(reason), protocol);
        let lines = parts.headers.get_all(&settings.header).iter();
        let key = match settings.key.read(lines.map(http::HeaderValue::as_bytes)) {
            Ok(Some(key)) => key,
            Ok(None) if settings.required.of(parts) => return unfit(Reason::KeyMissing),
            Ok(None) => {
                self.engine.note(IdempotencyResult::Bypass);
                return Intake::Pass;
            }
            Err(_) => return unfit(Reason::KeyInvalid),
        };
        let scope = match &settings.scope {
            None => None,
            Some(find) => match find(parts) {
                // An empty one is a tenant that somebody forgot to fill in.
                Some(scope) if !scope.is_empty() => Some(scope),
                _ => return unfit(Reason::ScopeMissing),
            },
        };
        if declared_length(&parts.headers) > Some(settings.max_request_body as u64) {
            return unfit(Reason::RequestTooLarge);
        }
        Intake::Protect(Ticket { key, scope, protocol })
    }

    /// `None` for requests that the layer does not look at.
    fn protocol(&self, parts: &Parts) -> Option<Protocol> {
        let settings = &self.settings;
        if settings.grpc.contains(parts.uri.path()) {
            return Some(Protocol::Grpc);
        }
        // Other calls of gRPC may stream, and their status says nothing.
        let is_grpc = parts
            .headers
            .get(CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
        let protects = !is_grpc
            && settings.methods.contains(&parts.method)
            && settings.protect.as_ref().is_none_or(|protect| protect(parts));
        protects.then_some(Protocol::Http)
    }

    pub(super) fn unfit_for(&self, reason: Reason) -> Refusal {
        self.engine.refuse(Stage::Arriving, IdempotencyResult::Rejected, reason)
    }

    /// The record of a request, and what it is compared by.
    pub(super) fn identify(
        &self,
        ticket: &Ticket,
        parts: &Parts,
        body: &Bytes,
    ) -> (RecordKey, Fingerprint) {
        let settings = &self.settings;
        let secret = settings.secret.as_deref();
        let operation = (parts.method.as_str(), original_path(parts));
        let (in_key, in_fingerprint) = match settings.key_scope {
            KeyScope::Operation => (operation, None),
            KeyScope::Tenant => (("", ""), Some(operation)),
        };
        let key = identity::record_key(
            secret,
            self.engine.config.namespace.as_bytes(),
            ticket.scope.as_ref().map_or(b"", Scope::as_bytes),
            (in_key.0.as_bytes(), in_key.1.as_bytes()),
            ticket.key.as_bytes(),
        );
        let fingerprint = match ticket.protocol {
            Protocol::Http => settings.fingerprint.of(parts, body, in_fingerprint, secret),
            Protocol::Grpc => grpc::fingerprint(body, in_fingerprint, secret),
        };
        (key, fingerprint)
    }

    /// The layer's own answer.
    pub(super) fn refused<B: http_body::Body<Data = Bytes>>(
        &self,
        refusal: Refusal,
        protocol: Protocol,
    ) -> Response<Body<B>> {
        let settings = &self.settings;
        let rejected = self.engine.emitter.named(refusal.rejected());
        let mut problem = Problem::new(rejected).documented_at(settings.docs_url.clone());
        if let Some(status) = refusal.tag {
            problem = problem.of_original(status);
        }
        if refusal.reason == Reason::FingerprintMismatch {
            problem = problem.answered_with(settings.mismatch);
        }
        let mut response = match (protocol, &settings.render) {
            (Protocol::Grpc, _) => grpc::refusal(&problem),
            (Protocol::Http, None) => problem.respond(),
            (Protocol::Http, Some(render)) => render(&problem),
        };
        // Whatever a renderer makes of it.
        response.headers_mut().remove(REPLAYED);
        problem.mark(&mut response);
        response.map(|body| Body::whole(body, None))
    }
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl<S: Clone, St> Clone for Idempotency<S, St> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), shared: self.shared.clone() }
    }
}

impl<S: fmt::Debug, St> fmt::Debug for Idempotency<S, St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Idempotency")
            .field("inner", &self.inner)
            .field("engine", &self.shared.engine)
            .finish_non_exhaustive()
    }
}
