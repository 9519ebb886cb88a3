//! [`RetryPolicy`].

use http::{Request, Response, StatusCode};

use crate::classify::Class;
use crate::deadline::Deadline;
use crate::error::Rejectable;
use crate::http::{Replay, is_keyed_by, retry_after_hint};
use crate::idempotency::client::{KeyLayer, RetryAdvice, classify};
use crate::policy::{Attempt, Hint, Policy};
use crate::rejected::{Reason, Rejected};

/// A policy of a [`RetryLayer`](crate::retry::RetryLayer) for requests with idempotency keys,
/// around one for those without: [`http::RetryPolicy`](crate::http::RetryPolicy) by default.
///
/// It sets the key before the first attempt, as a [`KeyLayer`] does, which may stand on either side
/// of the retry and is not needed. Then
///
/// - a request with a key may be sent again whatever its method is, if its body can be
///   ([`Replay`]), after a failure of which nobody knows how far the request got, and after those
///   answers that [`classify`] says so of, not before their `Retry-After`;
/// - a request without is left to the policy inside.
///
/// What the policy inside does not clone is not sent twice, and its
/// [`classify`](Policy::classify) and [`hint`](Policy::hint) are asked first: an error that it
/// calls permanent is final. A refusal of a layer in this process is judged by it alone, save for
/// that of an idempotency layer that the request is in progress.
///
/// The key is good for as long as the server keeps it: see to it that all attempts together take
/// less than its retention (24 hours by default), by a deadline or by the number of attempts and
/// the cap of the backoff.
///
/// ```
/// use buttress::idempotency::{KeyLayer, RetryPolicy};
/// use buttress::retry::RetryLayer;
///
/// // A server that keeps whatever came of a key, and knows it by another header.
/// let policy = RetryPolicy::default().keys(KeyLayer::new().header("x-request-key")).stop_at_500();
/// let retry = RetryLayer::new(policy);
/// # let _ = retry;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct RetryPolicy<P = crate::http::RetryPolicy> {
    inner: P,
    keys: KeyLayer,
    server_errors: ServerErrors,
}

/// What the server does with the key of a request that ended in a 500.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ServerErrors {
    Released,
    Kept,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new(crate::http::RetryPolicy::new())
    }
}

impl<P> RetryPolicy<P> {
    /// Keys as [`KeyLayer::new`] sets them, around this policy.
    pub fn new(inner: P) -> Self {
        Self { inner, keys: KeyLayer::new(), server_errors: ServerErrors::Released }
    }

    /// Sets the keys as this layer does. Give it the layer that is in the stack as well, if that
    /// has settings of its own.
    pub fn keys(mut self, keys: KeyLayer) -> Self {
        self.keys = keys;
        self
    }

    /// Takes a 500 for final, for servers that keep it and would only repeat it: such as an
    /// idempotency layer with `OutcomePolicy::store_everything`. Default: it is sent again.
    pub fn stop_at_500(mut self) -> Self {
        self.server_errors = ServerErrors::Kept;
        self
    }

    fn is_keyed<B>(&self, request: &Request<B>) -> bool {
        is_keyed_by(request.headers(), &self.keys.stamp().header)
    }

    fn sends_again<B>(&self, response: &Response<B>) -> bool {
        let kept = self.server_errors == ServerErrors::Kept
            && response.status() == StatusCode::INTERNAL_SERVER_ERROR;
        !kept && matches!(classify(response), RetryAdvice::Retry { .. })
    }
}

impl<P, B, R, E> Policy<Request<B>, Response<R>, E> for RetryPolicy<P>
where
    P: Policy<Request<B>, Response<R>, E>,
    B: Replay,
{
    fn clone_request(&self, request: &Request<B>) -> Option<Request<B>> {
        self.inner.clone_request(request)
    }

    fn classify(&self, outcome: Result<&Response<R>, &E>) -> Class
    where
        E: Rejectable,
    {
        match (self.inner.classify(outcome), outcome) {
            (said @ (Class::Transient | Class::Overload { .. }), _) => said,
            (_, Ok(response)) if !is_local(response) && self.sends_again(response) => {
                Class::Transient
            }
            (said, _) => said,
        }
    }

    fn may_resend(&self, kept: &Request<B>, outcome: Result<&Response<R>, &E>) -> bool {
        if !self.is_keyed(kept) || outcome.is_ok_and(is_local) {
            return self.inner.may_resend(kept, outcome);
        }
        kept.body().can_replay() && outcome.map_or(true, |response| self.sends_again(response))
    }

    fn may_hedge(&self, request: &Request<B>) -> bool {
        self.inner.may_hedge(request)
    }

    fn hint(&self, outcome: Result<&Response<R>, &E>, class: Class) -> Hint {
        match (self.inner.hint(outcome, class), outcome) {
            (Hint::None, Ok(response)) => {
                retry_after_hint(response.headers()).map_or(Hint::None, Hint::AtLeast)
            }
            (said, _) => said,
        }
    }

    fn prepare(&self, request: &mut Request<B>) {
        // Before the policy inside, which may set keys in the usual form.
        self.keys.stamp().apply(request);
        self.inner.prepare(request);
    }

    fn deadline(&self, request: &Request<B>) -> Option<Deadline> {
        self.inner.deadline(request)
    }

    fn mark(&self, request: &mut Request<B>, attempt: Attempt) {
        self.inner.mark(request, attempt);
    }
}

/// Whether a layer in this process answered, and not because the request is in progress.
fn is_local<B>(response: &Response<B>) -> bool {
    let refusal = response.extensions().get::<Rejected>();
    refusal.is_some_and(|refusal| refusal.reason() != Reason::InProgress)
}
