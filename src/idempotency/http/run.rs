//! The task of one protected request: claim, handler, record.

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response};
use tower_service::Service;

use crate::classify::{Class, Classify};
use crate::http::Statuses;
use crate::idempotency::execution::{
    Called, Caller, Execution, Kept, Opening, Panic, Refusal, caught,
};
use crate::idempotency::http::headers::REPLAYED;
use crate::idempotency::http::hold::{Hold, hold};
use crate::idempotency::http::payload::Payload;
use crate::idempotency::http::service::{Protocol, Shared};
use crate::idempotency::http::{AlreadyRecorded, Body, OnUnstorable};
use crate::idempotency::identity::{Fingerprint, RecordKey};
use crate::idempotency::outcome::Disposition;
use crate::idempotency::store::{Store, StoredOutcome};
use crate::observe::{EventKind, IdempotencyResult, Stage};
use crate::rejected::{Reason, Rejected};

pub(super) struct Run<St> {
    pub(super) shared: Arc<Shared<St>>,
    pub(super) key: RecordKey,
    pub(super) fingerprint: Fingerprint,
    pub(super) protocol: Protocol,
}

/// What the caller gets: a response, or the inner service's own error.
type Answer<B, E> = Result<Response<Body<B>>, E>;

impl<St: Store> Run<St> {
    pub(super) async fn request<S, RB, OB>(
        self,
        mut inner: S,
        mut request: Request<Body<RB>>,
        caller: Arc<Caller<Answer<OB, S::Error>>>,
    ) -> Result<Answer<OB, S::Error>, Panic>
    where
        S: Service<Request<Body<RB>>, Response = Response<OB>>,
        RB: http_body::Body<Data = Bytes>,
        OB: http_body::Body<Data = Bytes>,
    {
        let Shared { engine, settings, .. } = &*self.shared;
        let reserve = settings.hold.bytes;
        let execution = match engine.open(self.key, self.fingerprint, reserve, &caller).await {
            Opening::Run(execution) => execution,
            Opening::Ended(outcome, stage) => return Ok(Ok(self.replay(&outcome, stage))),
            Opening::Refused(refusal) => return Ok(Ok(self.refused(refusal))),
            Opening::Unprotected => {
                return match caught(caller.call(&mut inner, request)).await? {
                    Called::Ran(outcome) => Ok(outcome.map(|response| own(response))),
                    Called::NotReady(error) => Ok(Err(error)),
                    Called::Left | Called::Dropped => Ok(Ok(self.for_nobody())),
                };
            }
        };
        let filter = settings.replay_headers.clone();
        request.extensions_mut().insert(execution.context().with(filter));
        match execution.drive(caught(caller.call(&mut inner, request))).await {
            Ok(Called::Ran(Ok(response))) => self.record(execution, response).await.map(Ok),
            Ok(Called::Ran(Err(error))) => {
                self.failed(execution, settings.outcome.failed()).await;
                Ok(Err(error))
            }
            Err(panic) => {
                self.failed(execution, settings.outcome.panicked()).await;
                Err(panic)
            }
            Ok(Called::NotReady(error)) => {
                execution.return_unused().await;
                Ok(Err(error))
            }
            Ok(Called::Left) => {
                execution.return_unused().await;
                Ok(Ok(self.for_nobody()))
            }
            Ok(Called::Dropped) => {
                drop(execution);
                Ok(Ok(self.for_nobody()))
            }
        }
    }

    /// The handler has ended without a response.
    async fn failed(&self, execution: Execution<St>, disposition: Disposition) {
        match disposition {
            Disposition::Release => execution.release(Class::Transient).await,
            // There is nothing that could be kept.
            _ => execution.give_up(Class::Transient).await,
        }
    }

    /// Makes what came of the request the answer to all of its repetitions, before its own caller
    /// sees any of it.
    async fn record<B>(
        &self,
        execution: Execution<St>,
        response: Response<B>,
    ) -> Result<Response<Body<B>>, Panic>
    where
        B: http_body::Body<Data = Bytes>,
    {
        let class = self.class_of(&response);
        if response.extensions().get::<AlreadyRecorded>().is_some() {
            execution.already_recorded(class);
            return Ok(own(response));
        }
        let settings = &self.shared.settings;
        let disposition = match (response.extensions().get::<Disposition>(), self.protocol) {
            (Some(&said), _) => Some(said),
            (None, Protocol::Http) => {
                Some(settings.outcome.judge(response.status(), response.headers()))
            }
            // The verdict is in the trailers.
            (None, Protocol::Grpc) => None,
        };
        if !matches!(disposition, None | Some(Disposition::Store)) || is_endless(&response) {
            let disposition = match disposition {
                None | Some(Disposition::Store) => self.unstorable(),
                Some(other) => other,
            };
            return Ok(self.end(execution, disposition, own(response), class).await);
        }
        let (mut parts, body) = response.into_parts();
        parts.headers.remove(REPLAYED);
        Ok(match execution.drive(caught(hold(body, settings.hold))).await {
            // The handler has answered, so this is no reason to run it again.
            Err(panic) => {
                let response = Response::from_parts(parts, Body::<B>::whole(Bytes::new(), None));
                self.end(execution, self.unstorable(), response, class).await;
                return Err(panic);
            }
            Ok(Hold::Unstorable(body)) => {
                let response = Response::from_parts(parts, body);
                self.end(execution, self.unstorable(), response, class).await
            }
            Ok(Hold::Whole { data, trailers }) => {
                let judged =
                    || settings.outcome.judge_call(parts.status, &parts.headers, trailers.as_ref());
                let disposition = disposition.unwrap_or_else(judged);
                let whole = Whole { parts, data, trailers };
                self.keep(execution, disposition, whole, class).await
            }
        })
    }

    /// Ends a request whose whole answer is known.
    async fn keep<B>(
        &self,
        execution: Execution<St>,
        disposition: Disposition,
        whole: Whole,
        class: Class,
    ) -> Response<Body<B>>
    where
        B: http_body::Body<Data = Bytes>,
    {
        if disposition != Disposition::Store {
            return self.end(execution, disposition, whole.into_response(), class).await;
        }
        let kept = execution.complete(self.outcome(&whole), class).await;
        self.answer(kept, || whole.into_response())
    }

    fn outcome(&self, whole: &Whole) -> StoredOutcome {
        let payload = Payload {
            status: whole.parts.status,
            headers: self.shared.settings.replay_headers.stored(&whole.parts.headers),
            body: whole.data.clone(),
            trailers: whole.trailers.clone(),
        };
        StoredOutcome::new(whole.parts.status.as_u16(), payload.encode())
    }

    /// Ends a request whose answer is not kept.
    async fn end<B>(
        &self,
        execution: Execution<St>,
        disposition: Disposition,
        response: Response<Body<B>>,
        class: Class,
    ) -> Response<Body<B>>
    where
        B: http_body::Body<Data = Bytes>,
    {
        match disposition {
            Disposition::Release => execution.release(class).await,
            Disposition::Indeterminate => execution.give_up(class).await,
            Disposition::Tombstone | Disposition::Store => {
                let outcome = StoredOutcome::tombstone(response.status().as_u16());
                return self.answer(execution.complete(outcome, class).await, || response);
            }
        }
        response
    }

    /// The answer for the one who ran the request.
    fn answer<B>(&self, kept: Kept, own: impl FnOnce() -> Response<Body<B>>) -> Response<Body<B>>
    where
        B: http_body::Body<Data = Bytes>,
    {
        match kept {
            Kept::Own => own(),
            Kept::Canonical(outcome) => self.replay(&outcome, Stage::Arriving),
            Kept::Refused(refusal) => self.refused(refusal),
        }
    }

    /// An answer that was given before.
    fn replay<B>(&self, outcome: &StoredOutcome, stage: Stage) -> Response<Body<B>>
    where
        B: http_body::Body<Data = Bytes>,
    {
        let engine = &self.shared.engine;
        let payload = match Payload::decode(outcome) {
            Ok(payload) => payload,
            // Not to be read, perhaps by this version: running the request again is no answer.
            Err(error) => {
                engine.emitter.store_failed(&error);
                let (failed, reason) = (IdempotencyResult::StoreError, Reason::StoreUnavailable);
                let refusal = engine.refuse(stage, failed, reason);
                return self.refused(Refusal { dispatched: true, ..refusal });
            }
        };
        engine.emitter.emit(stage, EventKind::Idempotency(IdempotencyResult::Replayed));
        let mut response = Response::new(Body::whole(payload.body, payload.trailers));
        *response.status_mut() = payload.status;
        *response.headers_mut() = payload.headers;
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        response
    }

    fn refused<B>(&self, refusal: Refusal) -> Response<Body<B>>
    where
        B: http_body::Body<Data = Bytes>,
    {
        self.shared.refused(refusal, self.protocol)
    }

    /// Whoever asked has left.
    fn for_nobody<B>(&self) -> Response<Body<B>>
    where
        B: http_body::Body<Data = Bytes>,
    {
        self.refused(Refusal::new(Reason::InProgress))
    }

    fn unstorable(&self) -> Disposition {
        match self.shared.settings.on_unstorable {
            OnUnstorable::Tombstone => Disposition::Tombstone,
            OnUnstorable::Release => Disposition::Release,
        }
    }

    fn class_of<B>(&self, response: &Response<B>) -> Class {
        match self.protocol {
            Protocol::Http => Statuses.classify(Ok::<_, &Rejected>(response)),
            // What a status says about the service is for the layers of its own.
            Protocol::Grpc => Class::Success,
        }
    }
}

/// A response with all of its body.
struct Whole {
    parts: http::response::Parts,
    data: Bytes,
    trailers: Option<HeaderMap>,
}

impl Whole {
    fn into_response<B: http_body::Body<Data = Bytes>>(self) -> Response<Body<B>> {
        Response::from_parts(self.parts, Body::whole(self.data, self.trailers))
    }
}

/// Whether nobody can say when the body ends: upgrades and event streams.
fn is_endless<B>(response: &Response<B>) -> bool {
    const EVENTS: &[u8] = b"text/event-stream";
    let events = |value: &HeaderValue| {
        value.as_bytes().get(..EVENTS.len()).is_some_and(|start| start.eq_ignore_ascii_case(EVENTS))
    };
    response.status().is_informational() || response.headers().get(CONTENT_TYPE).is_some_and(events)
}

/// The handler's answer as it comes. Only a replay says that it is one.
fn own<B: http_body::Body>(mut response: Response<B>) -> Response<Body<B>> {
    response.headers_mut().remove(REPLAYED);
    response.map(Body::passing)
}
