//! [`Stamp`]: writes a key into a request that has none.

use std::fmt;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method, Request};

use crate::http::{IDEMPOTENCY_KEY, fresh_bare_key, fresh_key};
use crate::idempotency::client::IdempotencyKey;

/// Which requests get a key, where it is written, and how.
#[derive(Clone)]
pub(super) struct Stamp {
    pub(super) header: HeaderName,
    pub(super) methods: Vec<Method>,
    pub(super) form: Form,
    pub(super) generator: Option<Arc<Generator>>,
}

pub(super) type Generator = dyn Fn() -> IdempotencyKey + Send + Sync;

/// How a key is written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// As a string of RFC 8941, section 3.3.3.
    Quoted,
    Bare,
}

impl Default for Stamp {
    fn default() -> Self {
        Self {
            header: IDEMPOTENCY_KEY,
            methods: vec![Method::POST, Method::PATCH],
            form: Form::Quoted,
            generator: None,
        }
    }
}

impl Stamp {
    pub(super) fn apply<B>(&self, request: &mut Request<B>) {
        // What makes no sense stays as well: the server says so, where a fresh key would hide it.
        if request.headers().contains_key(&self.header) {
            return;
        }
        let key = match request.extensions().get::<IdempotencyKey>() {
            Some(key) => key.written(self.form),
            None if self.methods.contains(request.method()) => self.fresh(),
            None => return,
        };
        request.headers_mut().insert(self.header.clone(), key);
    }

    fn fresh(&self) -> HeaderValue {
        match (&self.generator, self.form) {
            (Some(generator), form) => generator().written(form),
            (None, Form::Quoted) => fresh_key(),
            (None, Form::Bare) => fresh_bare_key(),
        }
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stamp")
            .field("header", &self.header)
            .field("methods", &self.methods)
            .field("form", &self.form)
            .finish_non_exhaustive()
    }
}
