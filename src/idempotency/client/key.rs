//! [`IdempotencyKey`].

use std::fmt;
use std::sync::Arc;

use http::HeaderValue;

use crate::idempotency::client::stamp::Form;
use crate::idempotency::{KeyError, KeySyntax};

/// In bytes. What a server takes by default.
const LONGEST: usize = 255;

/// A key of the caller's own, put into a request's extensions: a
/// [`KeyLayer`](super::KeyLayer) writes it in place of a fresh one.
///
/// For jobs that keep the key, and for keys that are made from what is asked for. It must be like
/// no other of the same client: two requests with one key are one operation.
///
/// ```
/// use buttress::idempotency::IdempotencyKey;
/// use http::Request;
///
/// let mut request = Request::post("/orders").body("two pots of tea")?;
/// request.extensions_mut().insert(IdempotencyKey::new("order-8712")?);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// Its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(Arc<str>);

impl IdempotencyKey {
    /// The key with this text: 1 to 255 visible ASCII characters, without `"`, `,`, `;` and `\`, so
    /// that it can be written with quotes and without.
    ///
    /// # Errors
    ///
    /// Another text. The error does not show it.
    pub fn new(text: impl AsRef<str>) -> Result<Self, KeyError> {
        let text = text.as_ref();
        if text.len() > LONGEST {
            return Err(KeyError::TooLong { len: text.len(), max: LONGEST });
        }
        match KeySyntax::Lenient.parse(text.as_bytes())? {
            key if key == text => Ok(Self(key.into())),
            // With quotes or spaces around it, which are no part of a key.
            _ => Err(KeyError::Malformed),
        }
    }

    pub(super) fn written(&self, form: Form) -> HeaderValue {
        let mut value = match form {
            Form::Quoted => HeaderValue::try_from(format!("\"{}\"", self.0)),
            Form::Bare => HeaderValue::from_str(&self.0),
        }
        .expect("visible ASCII");
        value.set_sensitive(true);
        value
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdempotencyKey(..)")
    }
}
