//! [`Problem`]: what the layer answers in place of the service.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LINK, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

use crate::config::{self, ConfigError};
use crate::http::{REFUSAL, comes_back, document, retry_after_value};
use crate::rejected::{Reason, Rejected};

/// What the layer answers in place of the service: an [RFC 9457] document in the making.
///
/// It has no key, no tenant, nothing of a stored answer and no text of an error in it: whatever a
/// renderer makes of it may go to the client.
///
/// [RFC 9457]: https://www.rfc-editor.org/rfc/rfc9457
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Problem {
    rejected: Rejected,
    status: StatusCode,
    original_status: Option<u16>,
    docs_url: Option<Arc<str>>,
}

/// For a refusal that passes soon, where nobody knows when.
const UNKNOWN_WAIT: Duration = Duration::from_secs(1);

impl Problem {
    pub(super) fn new(rejected: Rejected) -> Self {
        let (status, _) = document(rejected.reason());
        Self { rejected, status, original_status: None, docs_url: None }
    }

    /// Another status than usual.
    pub(super) fn answered_with(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The status of the answer that was not kept.
    pub(super) fn of_original(mut self, status: u16) -> Self {
        self.original_status = Some(status);
        self
    }

    /// Where the API says what its clients should do. One that [`check_docs_url`] has let pass.
    pub(super) fn documented_at(mut self, docs_url: Option<Arc<str>>) -> Self {
        self.docs_url = docs_url;
        self
    }

    /// Why the request is refused.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.rejected.reason()
    }

    /// The refusal itself.
    #[must_use]
    pub fn rejected(&self) -> &Rejected {
        &self.rejected
    }

    /// The same as a stable word: `in_progress`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.reason().code()
    }

    /// The status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The name of the problem: `urn:problem-type:idempotency:in_progress`.
    #[must_use]
    pub fn type_uri(&self) -> &'static str {
        // Each document begins with its type.
        document(self.reason()).1.split('"').nth(3).unwrap_or("about:blank")
    }

    /// A few words for it, the same for each problem of this code.
    #[must_use]
    pub fn title(&self) -> &'static str {
        self.reason().text()
    }

    /// What a client can do about it, the same for each problem of this code.
    #[must_use]
    pub fn detail(&self) -> &'static str {
        match self.reason() {
            Reason::KeyMissing => "This request needs an idempotency key.",
            Reason::KeyInvalid => {
                "The idempotency key has to be there once, well formed, and neither too short nor too long."
            }
            Reason::ScopeMissing => {
                "The request has an idempotency key, and nobody it could be filed under."
            }
            Reason::BodyRead => "The request body ended before it was complete.",
            Reason::RequestTooLarge => {
                "The request body is longer than a request with an idempotency key may have."
            }
            Reason::FingerprintMismatch => {
                "The idempotency key was used for a request that was not the same. A new request needs a new key."
            }
            Reason::InProgress => {
                "The first request with this idempotency key is still running. Repeat this one later, with the same key."
            }
            Reason::OutcomeUnknown => {
                "The first request with this idempotency key may have had its effect. Find out before sending another."
            }
            Reason::ResultUnavailable => {
                "The first request with this idempotency key has run, and its answer was not kept. It is not run again."
            }
            Reason::StoreUnavailable | Reason::StoreFull => {
                "Repeat the request later, with the same key."
            }
            _ => "The request was not run. Repeat it later.",
        }
    }

    /// The status of the first answer, where that has not been kept.
    #[must_use]
    pub fn original_status(&self) -> Option<u16> {
        self.original_status
    }

    /// When to come back, for those problems that pass: 1 s where nobody knows better.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let unknown = comes_back(self.reason()).then_some(UNKNOWN_WAIT);
        self.rejected.retry_after().or(unknown)
    }

    /// Where the API says what its clients should do.
    #[must_use]
    pub fn docs_url(&self) -> Option<&str> {
        self.docs_url.as_deref()
    }

    /// The document.
    #[must_use]
    pub fn to_json(&self) -> String {
        let (kind, title, detail) = (self.type_uri(), self.title(), self.detail());
        let (status, code) = (self.status.as_u16(), self.code());
        // All of these are texts of this file and its neighbours: none needs an escape.
        let mut json = format!(
            r#"{{"type":"{kind}","title":"{title}","status":{status},"code":"{code}","detail":"{detail}""#
        );
        if let Some(original) = self.original_status {
            write!(json, r#","original_status":{original}"#).expect("a string takes all");
        }
        json.push('}');
        json
    }

    /// As [RFC 9457] has it.
    ///
    /// [RFC 9457]: https://www.rfc-editor.org/rfc/rfc9457
    pub(super) fn respond(&self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from(self.to_json()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait) = self.retry_after() {
            headers.insert(RETRY_AFTER, retry_after_value(wait));
        }
        if let Some(link) = self.docs_url().and_then(link) {
            headers.insert(LINK, link);
        }
        self.mark(&mut response);
        response
    }

    /// What each response of the layer's own has, whoever wrote it: the marker for the client, and
    /// the refusal for whoever is in this process.
    pub(super) fn mark<B>(&self, response: &mut Response<B>) {
        response.headers_mut().insert(REFUSAL, HeaderValue::from_static(self.code()));
        response.extensions_mut().insert(self.rejected.clone());
    }
}

/// For `try_build`: what stands in a `Link` header must not end it.
pub(super) fn check_docs_url(docs_url: &str) -> Result<(), ConfigError> {
    let is_one = link(docs_url).is_some();
    config::check(is_one, "idempotency.docs_url", docs_url, "a URI, in visible ASCII")
}

fn link(docs_url: &str) -> Option<HeaderValue> {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"');
    if docs_url.is_empty() || !docs_url.bytes().all(plain) {
        return None;
    }
    HeaderValue::try_from(format!("<{docs_url}>; rel=\"describedby\"")).ok()
}

#[cfg(test)]
mod tests;
