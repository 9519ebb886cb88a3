//! The key as the client sends it: [`KeySyntax`], and why one is refused.

mod item;
#[cfg(test)]
mod tests;

use std::error::Error as StdError;
use std::fmt;

/// How a key may be written.
///
/// ```
/// use buttress::idempotency::KeySyntax;
///
/// let key = "8e03978e-40d5-43dd-bc93-6894a57f9324";
/// let quoted = format!("\"{key}\"");
/// assert_eq!(KeySyntax::Lenient.parse(key.as_bytes()).unwrap(), key);
/// assert_eq!(KeySyntax::Lenient.parse(quoted.as_bytes()).unwrap(), key);
/// assert_eq!(KeySyntax::Strict.parse(quoted.as_bytes()).unwrap(), key);
/// assert!(KeySyntax::Strict.parse(key.as_bytes()).is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeySyntax {
    /// Quoted as [`Strict`](Self::Strict) wants it, or bare: visible ASCII without `"`, `,`, `;`
    /// and `\`. The two spellings of one text are one key, so that a client which changes from one
    /// to the other between two attempts is still recognised.
    #[default]
    Lenient,
    /// Quoted only: a String of [RFC 9651], as the [draft] has it. Parameters are parsed and
    /// ignored.
    ///
    /// [RFC 9651]: https://www.rfc-editor.org/rfc/rfc9651#name-strings
    /// [draft]: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
    Strict,
}

impl KeySyntax {
    /// The key that one field line says.
    ///
    /// Says nothing about its length, but that there is one.
    ///
    /// # Errors
    ///
    /// [`KeyError::Empty`] or [`KeyError::Malformed`].
    pub fn parse(self, value: &[u8]) -> Result<String, KeyError> {
        let value = trim(value);
        let key = match (self, value.first()) {
            (_, None) => return Err(KeyError::Empty),
            (_, Some(b'"')) => item::string(value),
            (Self::Lenient, Some(_)) => bare(value),
            (Self::Strict, Some(_)) => None,
        };
        match key {
            None => Err(KeyError::Malformed),
            Some(key) if key.is_empty() => Err(KeyError::Empty),
            Some(key) => Ok(key),
        }
    }
}

/// Spaces and tabs around a field value are no part of it.
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// What is left out would be a list, or the beginning of parameters, or half of a quoted key.
fn bare(value: &[u8]) -> Option<String> {
    let allowed =
        |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\');
    value.iter().all(allowed).then(|| value.iter().map(|byte| char::from(*byte)).collect())
}

/// Why an idempotency key is refused. Never shows the key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// There is nothing in it.
    Empty,
    /// It has fewer bytes than the layer wants.
    TooShort {
        /// Its length, in bytes.
        len: usize,
        /// The shortest that is allowed.
        min: usize,
    },
    /// It has more bytes than the layer takes.
    TooLong {
        /// Its length, in bytes.
        len: usize,
        /// The longest that is allowed.
        max: usize,
    },
    /// The header is there more than once.
    Repeated,
    /// It is not written as the [`KeySyntax`] wants it.
    Malformed,
    /// The application's own check has refused it.
    Refused,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the idempotency key is empty"),
            Self::TooShort { len, min } => {
                write!(f, "an idempotency key of {len} bytes, where at least {min} are wanted")
            }
            Self::TooLong { len, max } => {
                write!(f, "an idempotency key of {len} bytes, where at most {max} are allowed")
            }
            Self::Repeated => f.write_str("more than one idempotency key"),
            Self::Malformed => f.write_str("the idempotency key is malformed"),
            Self::Refused => f.write_str("the idempotency key is not one that is accepted"),
        }
    }
}

impl StdError for KeyError {}
