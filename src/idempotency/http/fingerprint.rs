//! [`Fingerprinter`]: what of a request must not change between two attempts.

mod json;
mod multipart;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::idempotency::Fingerprint;
use crate::idempotency::identity::Hasher;

/// Says what of a request is compared with its repetitions: the same key with another fingerprint
/// is refused.
///
/// Never in it, unless you say so: credentials, cookies, dates, `User-Agent`, `Accept*`, and the ids
/// of requests and traces. They change from one attempt to the next.
///
/// Changing to another form makes each repetition of a request that ran before a mismatch, for as
/// long as the retention.
#[derive(Clone, Debug)]
pub struct Fingerprinter {
    form: Form,
    /// Sorted, each once: the order in which they were named makes no difference.
    headers: Vec<HeaderName>,
}

#[derive(Clone)]
enum Form {
    Raw,
    Multipart,
    Json,
    Custom(Closure),
}

type Closure = Arc<dyn Fn(&Parts, &Bytes) -> Vec<u8> + Send + Sync>;

/// The recipes of the forms, each with a tag of its own. They never change under it.
const RAW_RECIPE: &[u8] = b"idem/fp/v1\0";
const MULTIPART_RECIPE: &[u8] = b"idem/fp/multipart/v1\0";
const JSON_RECIPE: &[u8] = b"idem/fp/json/v1\0";
const CLOSURE_RECIPE: &[u8] = b"idem/fp/closure/v1\0";

impl Fingerprinter {
    /// The default: the query, `Content-Type`, `Content-Encoding`, and the body byte for byte.
    #[must_use]
    pub fn raw() -> Self {
        Self::of_form(Form::Raw)
    }

    /// As [`raw`](Self::raw), but for `multipart/*` with its parts in place of the body: the
    /// boundary between them, which clients draw anew for each attempt, makes no difference.
    ///
    /// The boundary of a multipart within a part does. What is no multipart, or a broken one, is
    /// taken byte for byte.
    #[must_use]
    pub fn multipart() -> Self {
        Self::of_form(Form::Multipart)
    }

    /// As [`raw`](Self::raw), but for `application/json` and `*+json` with what the body says in
    /// place of its bytes: white space, the order of members and the escapes in texts make no
    /// difference.
    ///
    /// Numbers are compared as they are written: `1`, `1.0` and `1e0` are three numbers, and no
    /// digit is ever rounded away. What is no JSON, says a name twice in one object, is nested more
    /// than 128 deep, or has a `Content-Encoding`, is taken byte for byte.
    #[must_use]
    pub fn json_canonical() -> Self {
        Self::of_form(Form::Json)
    }

    /// What `closure` makes of the request, in place of query, `Content-Type`, `Content-Encoding`
    /// and body: selected fields, for one.
    ///
    /// Two requests of which it makes the same are one request. Where it joins several fields, let
    /// it say where each ends: `ab` + `c` is not `a` + `bc`.
    #[must_use]
    pub fn closure<T: AsRef<[u8]>>(
        closure: impl Fn(&Parts, &Bytes) -> T + Send + Sync + 'static,
    ) -> Self {
        Self::of_form(Form::Custom(Arc::new(move |parts, body| {
            closure(parts, body).as_ref().to_vec()
        })))
    }

    fn of_form(form: Form) -> Self {
        Self { form, headers: Vec::new() }
    }

    /// This header as well, with all its values. That it is missing is something else than that it
    /// is empty.
    #[must_use]
    pub fn header(mut self, name: HeaderName) -> Self {
        if let Err(at) = self.headers.binary_search_by(|other| other.as_str().cmp(name.as_str())) {
            self.headers.insert(at, name);
        }
        self
    }

    /// `operation` is method and path, where they are not in the key of the record.
    pub(super) fn of(
        &self,
        parts: &Parts,
        body: &Bytes,
        operation: Option<(&str, &str)>,
        secret: Option<&[u8]>,
    ) -> Fingerprint {
        let mut hasher = match &self.form {
            Form::Raw => self.raw_recipe(parts, body, secret),
            Form::Multipart => {
                let canonical = multipart::canonical(parts, body);
                self.form_recipe(MULTIPART_RECIPE, parts, body, canonical, secret)
            }
            Form::Json => {
                let canonical = json::canonical(parts, body).map(|text| (None, text));
                self.form_recipe(JSON_RECIPE, parts, body, canonical, secret)
            }
            Form::Custom(closure) => {
                let mut hasher = Hasher::new(CLOSURE_RECIPE, secret);
                self.extra(parts, &mut hasher);
                hasher.part(&closure(parts, body));
                hasher
            }
        };
        if let Some((method, path)) = operation {
            hasher.part(method.as_bytes()).part(path.as_bytes());
        }
        Fingerprint::from_bytes(hasher.finish())
    }

    fn raw_recipe(&self, parts: &Parts, body: &[u8], secret: Option<&[u8]>) -> Hasher {
        let mut hasher = Hasher::new(RAW_RECIPE, secret);
        hasher
            .part(query(parts))
            .part(&joined(&parts.headers, &CONTENT_TYPE))
            .part(&joined(&parts.headers, &CONTENT_ENCODING));
        self.extra(parts, &mut hasher);
        hasher.part(body);
        hasher
    }

    /// A body in another form, and in place of its type what is left of that. Whether it is one, is
    /// in the hash: bytes that look like the form of another body are not that body.
    fn form_recipe(
        &self,
        recipe: &[u8],
        parts: &Parts,
        body: &[u8],
        canonical: Option<(Option<Vec<u8>>, Vec<u8>)>,
        secret: Option<&[u8]>,
    ) -> Hasher {
        let content_type = joined(&parts.headers, &CONTENT_TYPE);
        let is_canonical = u64::from(canonical.is_some());
        let (short_type, form) = canonical.unzip();
        let mut hasher = Hasher::new(recipe, secret);
        hasher
            .number(is_canonical)
            .part(query(parts))
            .part(short_type.flatten().as_deref().unwrap_or(&content_type))
            .part(&joined(&parts.headers, &CONTENT_ENCODING));
        self.extra(parts, &mut hasher);
        hasher.part(form.as_deref().unwrap_or(body));
        hasher
    }

    fn extra(&self, parts: &Parts, hasher: &mut Hasher) {
        hasher.number(self.headers.len() as u64);
        for name in &self.headers {
            let values = parts.headers.get_all(name);
            hasher.part(name.as_str().as_bytes()).number(values.iter().count() as u64);
            for value in values {
                hasher.part(value.as_bytes());
            }
        }
    }
}

fn query(parts: &Parts) -> &[u8] {
    parts.uri.query().unwrap_or_default().as_bytes()
}

/// Several lines of one header mean what one with commas means (RFC 9110, section 5.3).
fn joined<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Cow<'a, [u8]> {
    let mut values = headers.get_all(name).iter();
    let first = values.next().map(HeaderValue::as_bytes).unwrap_or_default();
    values.fold(Cow::Borrowed(first), |mut all, value| {
        all.to_mut().extend_from_slice(b", ");
        all.to_mut().extend_from_slice(value.as_bytes());
        all
    })
}

impl Default for Fingerprinter {
    fn default() -> Self {
        Self::raw()
    }
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Raw => "raw",
            Self::Multipart => "multipart",
            Self::Json => "json_canonical",
            Self::Custom(_) => "closure",
        })
    }
}
