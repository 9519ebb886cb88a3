//! [`RateLimitHeadersLayer`].

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use tower_layer::Layer;

use crate::http::RateLimitHeaders;
use crate::http::retry_after;
use crate::rate_limit::{Buckets, Fixed, RateLimitLayer, Refuse, Whole};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Tells callers how they stand with a rate limit, in the headers `RateLimit-Policy` and
/// `RateLimit` of every answer, refusals among them ([draft 10]).
///
/// ```text
/// ratelimit-policy: "default";q=100;w=60
/// ratelimit: "default";r=12;t=1
/// ```
///
/// The policy is the rate as it was set: `q` calls in `w` seconds, without `w` where that is not
/// whole seconds. `r` is how many calls of cost 1 would pass when the answer is sent, the burst at
/// most, and `t` in how many seconds, rounded up, there will be one more; after a rest there is none
/// to come, and no `t`.
///
/// It stands outside of [`respond`](crate::http::respond), so that it sees the refusals; the rate limit
/// itself may be anywhere inside. An answer that has such a header already keeps it, and gets this
/// one beside it: a list of policies, as the draft has it. Several of these layers need names.
///
/// ```
/// use axum::{Router, routing::get};
/// use buttress::{http::{RateLimitHeadersLayer, respond}, rate_limit::RateLimitLayer};
/// use tower::ServiceBuilder;
///
/// let limit = RateLimitLayer::new(100);
/// let app: Router = Router::new().route("/", get(async || "hello")).layer(
///     ServiceBuilder::new()
///         .layer(RateLimitHeadersLayer::new(&limit))
///         .layer(respond(limit)),
/// );
/// ```
///
/// With a rate for each key, the key is found a second time, and kept until the answer is there.
/// It is never shown: there is no partition key in the headers.
///
/// [draft 10]: https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/10/
pub struct RateLimitHeadersLayer<K = Whole, M = Refuse, C = Fixed> {
    limit: RateLimitLayer<K, M, C>,
    name: &'static str,
    policy: HeaderValue,
}

impl<K, M: Clone, C> RateLimitHeadersLayer<K, M, C> {
    /// About this rate limit, which they call `default`.
    #[must_use]
    pub fn new(limit: &RateLimitLayer<K, M, C>) -> Self {
        Self::named("default", limit)
    }

    /// About this rate limit, under a name for callers.
    ///
    /// # Panics
    ///
    /// If the name is not made of visible ASCII characters other than `"` and `\`.
    #[must_use]
    #[track_caller]
    pub fn named(name: &'static str, limit: &RateLimitLayer<K, M, C>) -> Self {
        let fits = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        assert!(!name.is_empty() && name.bytes().all(fits), "not a name of a policy: {name:?}");
        let (calls, per) = limit.rate();
        let window =
            if per.subsec_nanos() == 0 { format!(";w={}", per.as_secs()) } else { String::new() };
        let policy = value(&format!("\"{name}\";q={calls}{window}"));
        Self { limit: limit.clone(), name, policy }
    }
}

impl<K: Buckets, M, C> RateLimitHeadersLayer<K, M, C> {
    pub(super) fn limit(&self) -> &RateLimitLayer<K, M, C> {
        &self.limit
    }

    pub(super) fn tell(&self, spot: &K::Spot, headers: &mut HeaderMap) {
        let standing = self.limit.standing_at(spot);
        let more = |wait: Duration| format!(";t={}", retry_after::seconds(wait));
        let more = standing.more_in().map_or_else(String::new, more);
        headers.append(POLICY, self.policy.clone());
        let limit = format!("\"{}\";r={}{more}", self.name, standing.available());
        headers.append(LIMIT, value(&limit));
    }
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("visible ASCII")
}

impl<S, K, M: Clone, C> Layer<S> for RateLimitHeadersLayer<K, M, C> {
    type Service = RateLimitHeaders<S, K, M, C>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimitHeaders::new(inner, self.clone())
    }
}

impl<K, M: Clone, C> Clone for RateLimitHeadersLayer<K, M, C> {
    fn clone(&self) -> Self {
        Self { limit: self.limit.clone(), name: self.name, policy: self.policy.clone() }
    }
}

impl<K, M, C> fmt::Debug for RateLimitHeadersLayer<K, M, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitHeadersLayer")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
