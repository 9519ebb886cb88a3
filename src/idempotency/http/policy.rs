//! [`OutcomePolicy`]: which answers are final.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, StatusCode};

use crate::idempotency::Disposition;
use crate::idempotency::http::grpc;

/// Says of each outcome what becomes of the record.
///
/// An answer that is kept is final: it is what every repetition of the request gets. An answer that
/// is released is not, and the next attempt runs the handler again. Whatever the policy says, after
/// the handler has marked where its effects begin nothing is released: it is indeterminate instead.
#[derive(Clone)]
pub struct OutcomePolicy {
    rule: Rule,
    on_error: Disposition,
    on_panic: Disposition,
}

#[derive(Clone)]
enum Rule {
    RetryServerErrors,
    StoreEverything,
    Custom(Arc<Custom>),
}

type Custom = dyn Fn(StatusCode, &HeaderMap) -> Disposition + Send + Sync;

impl OutcomePolicy {
    /// The default: the same request may be tried again where the service has not decided about it.
    ///
    /// | outcome | disposition |
    /// | --- | --- |
    /// | 2xx, 3xx | stored |
    /// | 4xx | stored |
    /// | 401, 403, 407 | released: with other credentials it may pass |
    /// | 408, 421, 423, 425, 426, 429 | released: at another time or place it may pass |
    /// | 5xx | released |
    /// | 1xx, which is an upgrade | has no end to wait for: as [`OnUnstorable`](super::OnUnstorable) says |
    /// | error of the service, panic | released |
    /// | gRPC: `OK`, `INVALID_ARGUMENT`, `NOT_FOUND`, `ALREADY_EXISTS`, `FAILED_PRECONDITION`, `OUT_OF_RANGE`, `UNIMPLEMENTED` | stored |
    /// | gRPC: any other status, or none | released |
    ///
    /// A handler that fails half way runs again in full: mark where its effects begin, or take
    /// [`store_everything`](Self::store_everything).
    #[must_use]
    pub fn retry_server_errors() -> Self {
        Self::of(Rule::RetryServerErrors, Disposition::Release)
    }

    /// At most once, whatever comes of it: each answer is stored, a 500 like a 200. After an error
    /// of the service and after a panic, of which there is no answer, nobody knows the outcome.
    ///
    /// For payments, and whatever else must not happen twice. A client whose request has failed
    /// needs a new key to try again.
    #[must_use]
    pub fn store_everything() -> Self {
        Self::of(Rule::StoreEverything, Disposition::Indeterminate)
    }

    /// A policy of your own, by status and headers. An error of the service and a panic release
    /// unless [`on_error`](Self::on_error) and [`on_panic`](Self::on_panic) say otherwise.
    ///
    /// An upgrade (1xx) cannot be stored: [`OnUnstorable`](super::OnUnstorable) says what becomes of
    /// it where this says `Store`. Of a gRPC call the
    /// headers are headers and trailers together, with its `grpc-status`.
    #[must_use]
    pub fn new(
        policy: impl Fn(StatusCode, &HeaderMap) -> Disposition + Send + Sync + 'static,
    ) -> Self {
        Self::of(Rule::Custom(Arc::new(policy)), Disposition::Release)
    }

    fn of(rule: Rule, without_answer: Disposition) -> Self {
        Self { rule, on_error: without_answer, on_panic: without_answer }
    }

    /// What becomes of the record when the service returns an error. There is no answer to keep:
    /// `Store` and `Tombstone` mean `Indeterminate`.
    #[must_use]
    pub fn on_error(mut self, disposition: Disposition) -> Self {
        self.on_error = without_answer(disposition);
        self
    }

    /// What becomes of the record when the handler panics. There is no answer to keep: `Store` and
    /// `Tombstone` mean `Indeterminate`.
    #[must_use]
    pub fn on_panic(mut self, disposition: Disposition) -> Self {
        self.on_panic = without_answer(disposition);
        self
    }

    /// Of an answer.
    pub(super) fn judge(&self, status: StatusCode, headers: &HeaderMap) -> Disposition {
        match &self.rule {
            Rule::RetryServerErrors if is_final(status) => Disposition::Store,
            Rule::RetryServerErrors => Disposition::Release,
            Rule::StoreEverything => Disposition::Store,
            Rule::Custom(policy) => policy(status, headers),
        }
    }

    /// Of a unary gRPC call, by its `grpc-status`: HTTP says 200 to every one.
    pub(super) fn judge_call(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        trailers: Option<&HeaderMap>,
    ) -> Disposition {
        match &self.rule {
            Rule::RetryServerErrors if grpc::is_final(grpc::status(headers, trailers)) => {
                Disposition::Store
            }
            Rule::RetryServerErrors => Disposition::Release,
            Rule::StoreEverything => Disposition::Store,
            Rule::Custom(policy) => policy(status, &grpc::joined(headers, trailers)),
        }
    }

    /// Of an error of the service.
    pub(super) fn failed(&self) -> Disposition {
        self.on_error
    }

    /// Of a panic.
    pub(super) fn panicked(&self) -> Disposition {
        self.on_panic
    }
}

fn without_answer(disposition: Disposition) -> Disposition {
    match disposition {
        Disposition::Store | Disposition::Tombstone => Disposition::Indeterminate,
        disposition => disposition,
    }
}

/// Whether the service has decided about the request. A status of 600 or more is one of the
/// server's (RFC 9110, section 15).
fn is_final(status: StatusCode) -> bool {
    status.as_u16() < 500
        && !matches!(status.as_u16(), 401 | 403 | 407 | 408 | 421 | 423 | 425 | 426 | 429)
}

impl Default for OutcomePolicy {
    fn default() -> Self {
        Self::retry_server_errors()
    }
}

impl fmt::Debug for OutcomePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = match self.rule {
            Rule::RetryServerErrors => "retry_server_errors",
            Rule::StoreEverything => "store_everything",
            Rule::Custom(_) => "custom",
        };
        f.debug_struct("OutcomePolicy")
            .field("rule", &format_args!("{rule}"))
            .field("on_error", &self.on_error)
            .field("on_panic", &self.on_panic)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(policy: &OutcomePolicy, of: Disposition) -> Vec<u16> {
        let is = |code: &u16| {
            policy.judge(StatusCode::from_u16(*code).unwrap(), &HeaderMap::new()) == of
        };
        (100..1000).filter(is).collect()
    }

    #[test]
    fn by_default_what_the_service_has_decided_is_stored() {
        let policy = OutcomePolicy::default();
        let again = [401, 403, 407, 408, 421, 423, 425, 426, 429];
        let stored: Vec<_> = (100..500).filter(|code| !again.contains(code)).collect();
        assert_eq!(judged(&policy, Disposition::Store), stored);
        let released: Vec<_> = again.into_iter().chain(500..1000).collect();
        assert_eq!(judged(&policy, Disposition::Release), released);
        assert_eq!(policy.failed(), Disposition::Release);
        assert_eq!(policy.panicked(), Disposition::Release);
    }

    #[test]
    fn everything_is_stored() {
        let policy = OutcomePolicy::store_everything();
        assert_eq!(judged(&policy, Disposition::Store), (100..1000).collect::<Vec<_>>());
        assert_eq!(policy.failed(), Disposition::Indeterminate);
        assert_eq!(policy.panicked(), Disposition::Indeterminate);
    }

    #[test]
    fn a_policy_of_one_s_own_sees_status_and_headers() {
        let policy = OutcomePolicy::new(|status, headers| {
            match headers.get("x-final").map(http::HeaderValue::as_bytes) {
                Some(b"no") => Disposition::Indeterminate,
                _ if status == 500 => Disposition::Tombstone,
                _ => Disposition::Store,
            }
        });
        let no = HeaderMap::from_iter([("x-final".parse().unwrap(), "no".parse().unwrap())]);
        assert_eq!(policy.judge(StatusCode::OK, &no), Disposition::Indeterminate);
        assert_eq!(judged(&policy, Disposition::Tombstone), [500]);
        assert_eq!(policy.failed(), Disposition::Release);
        assert_eq!(policy.panicked(), Disposition::Release);
        let call = |trailers| policy.judge_call(StatusCode::OK, &HeaderMap::new(), trailers);
        assert_eq!(call(Some(&no)), Disposition::Indeterminate);
        assert_eq!(call(None), Disposition::Store);
    }

    #[test]
    fn what_has_no_answer_can_only_be_released_or_unknown() {
        use Disposition::{Indeterminate, Release, Store, Tombstone};
        for (said, meant) in [
            (Store, Indeterminate),
            (Tombstone, Indeterminate),
            (Indeterminate, Indeterminate),
            (Release, Release),
        ] {
            let error = OutcomePolicy::store_everything().on_error(said);
            assert_eq!((error.failed(), error.panicked()), (meant, Indeterminate));
            let panic = OutcomePolicy::default().on_panic(said);
            assert_eq!((panic.failed(), panic.panicked()), (Release, meant));
        }
    }

    #[test]
    fn a_call_is_judged_by_its_own_status() {
        let status =
            |code: u16| HeaderMap::from_iter([("grpc-status".parse().unwrap(), code.into())]);
        let judge = |policy: &OutcomePolicy, code| {
            policy.judge_call(StatusCode::OK, &HeaderMap::new(), Some(&status(code)))
        };
        let policy = OutcomePolicy::default();
        for code in 0..=16 {
            let stored = [0, 3, 5, 6, 9, 11, 12].contains(&code);
            let expected = if stored { Disposition::Store } else { Disposition::Release };
            assert_eq!(judge(&policy, code), expected, "{code}");
            assert_eq!(judge(&OutcomePolicy::store_everything(), code), Disposition::Store);
            assert_eq!(policy.judge_call(StatusCode::OK, &status(code), None), expected);
        }
        assert_eq!(
            policy.judge_call(StatusCode::OK, &HeaderMap::new(), None),
            Disposition::Release
        );
    }

    #[test]
    fn debug_says_which_policy_it_is() {
        assert_eq!(
            format!("{:?}", OutcomePolicy::store_everything().on_error(Disposition::Release)),
            "OutcomePolicy { rule: store_everything, on_error: Release, on_panic: Indeterminate }"
        );
    }
}
