//! [`HeaderFilter`]: which headers of an answer are kept.

use http::header::CONNECTION;
use http::{HeaderMap, HeaderName};

use crate::config::ConfigError;

/// Marks a replay. Whoever else sets it is not believed.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Which headers of an answer are kept and replayed: all but those that belong to one exchange.
///
/// Not kept by default, unless [`allow`](Self::allow)ed: `Date`, `Server`, `Age`, `Alt-Svc`,
/// `Server-Timing`, and those that name a request or a trace: `Request-Id`, `X-Request-Id`,
/// `X-Correlation-Id`, `X-Amzn-RequestId`, `X-Amzn-Trace-Id`, `X-Cloud-Trace-Context`,
/// `Traceparent`, `Tracestate`, `Traceresponse`, `Baggage`, `B3`, `X-B3-*`.
///
/// Never kept: `Set-Cookie`, which is a session's; `Content-Length`, which is worked out anew;
/// `Idempotency-Replayed`, which is the layer's own; what belongs to one connection (`Connection`
/// and what it names, `Keep-Alive`, `Proxy-Connection`, `Proxy-Authenticate`, `TE`,
/// `Transfer-Encoding`, `Upgrade`). `Trailer` is kept: the trailers are replayed, and HTTP/1.1
/// sends none that are not announced.
#[derive(Clone, Debug, Default)]
pub struct HeaderFilter {
    /// The last one for a name wins.
    rules: Vec<(HeaderName, Rule)>,
    /// The first name that makes no sense: `build` says so.
    nonsense: Option<ConfigError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Allow,
    Deny,
}

impl HeaderFilter {
    /// Does not keep this header.
    ///
    /// The `build` of the layer panics, and its `try_build` returns an error, if that is no name of
    /// a header.
    #[must_use]
    pub fn deny(self, name: impl AsRef<str>) -> Self {
        self.rule(name.as_ref(), Rule::Deny)
    }

    /// Keeps this header, which by default is not.
    ///
    /// The `build` of the layer panics, and its `try_build` returns an error, if that is no name of
    /// a header, or one that is never kept.
    #[must_use]
    pub fn allow(self, name: impl AsRef<str>) -> Self {
        self.rule(name.as_ref(), Rule::Allow)
    }

    fn rule(mut self, name: &str, rule: Rule) -> Self {
        match HeaderName::from_bytes(name.as_bytes()) {
            Err(_) => self.object(name, "the name of a header"),
            Ok(known) if rule == Rule::Allow && is_never_kept(known.as_str()) => {
                self.object(name, "a header that may be replayed");
            }
            Ok(known) => self.rules.push((known, rule)),
        }
        self
    }

    fn object(&mut self, name: &str, allowed: &'static str) {
        let nonsense = ConfigError::new("idempotency.replay_headers", name, allowed);
        self.nonsense.get_or_insert(nonsense);
    }

    /// For `try_build`.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        self.nonsense.clone().map_or(Ok(()), Err)
    }

    /// What is kept of these.
    pub(super) fn stored(&self, headers: &HeaderMap) -> HeaderMap {
        let mut stored = HeaderMap::with_capacity(headers.keys_len());
        for (name, value) in headers {
            if self.keeps(name) && !is_nominated(name, headers) {
                stored.append(name, value.clone());
            }
        }
        stored
    }

    fn keeps(&self, name: &HeaderName) -> bool {
        let rule = self.rules.iter().rev().find(|(of, _)| of == name);
        !is_never_kept(name.as_str())
            && match rule {
                Some((_, rule)) => *rule == Rule::Allow,
                None => !is_of_one_exchange(name.as_str()),
            }
    }
}

fn is_never_kept(name: &str) -> bool {
    #[cfg(mutant = "session-replayed")]
    let name = if name == "set-cookie" { "x" } else { name };
    matches!(
        name,
        "set-cookie"
            | "set-cookie2"
            | "content-length"
            | "idempotency-replayed"
            | "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

fn is_of_one_exchange(name: &str) -> bool {
    matches!(
        name,
        "date"
            | "server"
            | "age"
            | "alt-svc"
            | "server-timing"
            | "request-id"
            | "x-request-id"
            | "x-correlation-id"
            | "x-amzn-requestid"
            | "x-amzn-trace-id"
            | "x-cloud-trace-context"
            | "traceparent"
            | "tracestate"
            | "traceresponse"
            | "baggage"
            | "b3"
    ) || name.starts_with("x-b3-")
}

/// Whether `Connection` says that this one is meant for the next hop alone.
fn is_nominated(name: &HeaderName, headers: &HeaderMap) -> bool {
    headers.get_all(CONNECTION).iter().any(|value| {
        let mut options = value.as_bytes().split(|byte| *byte == b',');
        options.any(|option| option.trim_ascii().eq_ignore_ascii_case(name.as_str().as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn keeps(filter: &HeaderFilter, name: &str) -> bool {
        !filter.stored(&fields(&[(name, "1")])).is_empty()
    }

    const NEVER: [&str; 11] = [
        "set-cookie",
        "set-cookie2",
        "content-length",
        "idempotency-replayed",
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "te",
        "transfer-encoding",
        "upgrade",
    ];
    const OF_ONE_EXCHANGE: [&str; 18] = [
        "date",
        "server",
        "age",
        "alt-svc",
        "server-timing",
        "request-id",
        "x-request-id",
        "x-correlation-id",
        "x-amzn-requestid",
        "x-amzn-trace-id",
        "x-cloud-trace-context",
        "traceparent",
        "tracestate",
        "traceresponse",
        "baggage",
        "b3",
        "x-b3-traceid",
        "x-b3-sampled",
    ];
    const OF_THE_ANSWER: [&str; 9] = [
        "content-type",
        "content-encoding",
        "content-language",
        "location",
        "etag",
        "cache-control",
        "retry-after",
        "trailer",
        "x-anything",
    ];

    #[test]
    fn what_belongs_to_one_exchange_is_not_kept() {
        let filter = HeaderFilter::default();
        for name in NEVER.into_iter().chain(OF_ONE_EXCHANGE) {
            assert!(!keeps(&filter, name), "{name}");
        }
        for name in OF_THE_ANSWER {
            assert!(keeps(&filter, name), "{name}");
        }
    }

    #[test]
    fn what_is_kept_is_kept_with_all_its_values_in_their_order() {
        let link = [("link", "</1>"), ("date", "now"), ("link", "</2>"), ("link", "</1>")];
        let stored = HeaderFilter::default().stored(&fields(&link));
        assert_eq!(stored, fields(&[link[0], link[2], link[3]]));
    }

    #[test]
    fn what_connection_names_goes_no_further() {
        let headers = fields(&[
            ("connection", "close, X-One"),
            ("x-one", "1"),
            ("connection", "\tx-two ,"),
            ("x-two", "2"),
            ("x-three", "3"),
        ]);
        let three = fields(&[("x-three", "3")]);
        assert_eq!(HeaderFilter::default().stored(&headers), three);
        assert_eq!(HeaderFilter::default().allow("x-one").stored(&headers), three);
    }

    #[test]
    fn more_can_be_denied_and_less() {
        let filter =
            HeaderFilter::default().deny("X-Anything").allow("Date").allow(http::header::AGE);
        assert!(filter.check().is_ok());
        assert!(!keeps(&filter, "x-anything"));
        assert!(keeps(&filter, "date") && keeps(&filter, "age") && !keeps(&filter, "server"));
        let back = filter.allow("x-anything").deny("date");
        assert!(keeps(&back, "x-anything") && !keeps(&back, "date"));
    }

    #[test]
    fn what_may_never_be_replayed_cannot_be_allowed() {
        for name in NEVER {
            let filter = HeaderFilter::default().allow(name);
            assert_eq!(
                filter.check().unwrap_err().to_string(),
                format!(
                    "idempotency.replay_headers is {name:?}, allowed is a header that may be replayed"
                )
            );
            assert!(!keeps(&filter, name), "{name}");
            assert!(HeaderFilter::default().deny(name).check().is_ok(), "{name}");
        }
    }

    #[test]
    fn the_first_nonsense_is_the_one_reported() {
        let filter = HeaderFilter::default().deny("x y").allow("set-cookie");
        assert_eq!(
            filter.check().unwrap_err().to_string(),
            "idempotency.replay_headers is \"x y\", allowed is the name of a header"
        );
    }
}
