//! [`KeyRules`]: which field lines make a key.

use std::fmt;
use std::sync::Arc;

use crate::idempotency::{KeyError, KeySyntax};

/// What a layer wants of a key.
#[derive(Clone)]
pub(super) struct KeyRules {
    pub(super) syntax: KeySyntax,
    /// In bytes, after decoding.
    pub(super) min_len: usize,
    /// In bytes, after decoding.
    pub(super) max_len: usize,
    pub(super) validator: Option<Validator>,
}

pub(super) type Validator = Arc<dyn Fn(&str) -> bool + Send + Sync>;

impl Default for KeyRules {
    fn default() -> Self {
        Self { syntax: KeySyntax::default(), min_len: 1, max_len: 255, validator: None }
    }
}

impl KeyRules {
    /// The key in the field lines of its header; `None` where there is no line.
    pub(super) fn read<'a>(
        &self,
        lines: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Option<String>, KeyError> {
        let mut lines = lines.into_iter();
        let Some(line) = lines.next() else { return Ok(None) };
        // Even if they are equal: whoever sends two may one day send two different ones.
        if lines.next().is_some() && !cfg!(mutant = "second-key-ignored") {
            return Err(KeyError::Repeated);
        }
        let key = self.syntax.parse(line)?;
        self.check(&key)?;
        Ok(Some(key))
    }

    fn check(&self, key: &str) -> Result<(), KeyError> {
        let len = key.len();
        if len < self.min_len {
            return Err(KeyError::TooShort { len, min: self.min_len });
        }
        if len > self.max_len {
            return Err(KeyError::TooLong { len, max: self.max_len });
        }
        match &self.validator {
            Some(accepts) if !accepts(key) => Err(KeyError::Refused),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for KeyRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRules")
            .field("syntax", &self.syntax)
            .field("min_len", &self.min_len)
            .field("max_len", &self.max_len)
            .field("validator", &self.validator.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_read_and_two_are_refused_even_if_they_are_equal() {
        let rules = KeyRules::default();
        assert_eq!(rules.read([]), Ok(None));
        assert_eq!(rules.read([b"k".as_slice()]), Ok(Some("k".to_owned())));
        assert_eq!(rules.read([b"k".as_slice(), b"k"]), Err(KeyError::Repeated));
        assert_eq!(rules.read([b"".as_slice(), b"k"]), Err(KeyError::Repeated));
        assert_eq!(rules.read([b"k, k".as_slice()]), Err(KeyError::Malformed));
    }

    #[test]
    fn lengths_are_those_of_the_decoded_key() {
        let read =
            |rules: &KeyRules, value: &str| rules.read([value.as_bytes()]).map(Option::unwrap);
        let rules = KeyRules::default();
        let (longest, longer) = ("k".repeat(255), "k".repeat(256));
        assert_eq!(read(&rules, &longest), Ok(longest.clone()));
        assert_eq!(read(&rules, &format!("\"{longest}\";a=1")), Ok(longest));
        assert_eq!(read(&rules, &longer), Err(KeyError::TooLong { len: 256, max: 255 }));
        assert_eq!(read(&rules, &format!("\"{}\"", "\\\\".repeat(255))), Ok("\\".repeat(255)));

        let rules = KeyRules { min_len: 3, max_len: 4, ..KeyRules::default() };
        assert_eq!(read(&rules, "\"12\""), Err(KeyError::TooShort { len: 2, min: 3 }));
        assert_eq!(read(&rules, "123"), Ok("123".to_owned()));
        assert_eq!(read(&rules, "1234"), Ok("1234".to_owned()));
        assert_eq!(read(&rules, "12345"), Err(KeyError::TooLong { len: 5, max: 4 }));
    }

    #[test]
    fn the_validator_is_asked_last() {
        let validator: Validator = Arc::new(|key| {
            assert!(key.len() <= 4, "asked about a key of a wrong length");
            key.starts_with('k')
        });
        let rules = KeyRules { max_len: 4, validator: Some(validator), ..KeyRules::default() };
        let read = |value: &'static str| rules.read([value.as_bytes()]);
        assert_eq!(read("k-1"), Ok(Some("k-1".to_owned())));
        assert_eq!(read("x-1"), Err(KeyError::Refused));
        assert_eq!(read("k-123"), Err(KeyError::TooLong { len: 5, max: 4 }));
    }

    #[test]
    fn no_error_shows_the_key() {
        let validator: Validator = Arc::new(|_| false);
        let rules =
            KeyRules { min_len: 4, max_len: 8, validator: Some(validator), ..KeyRules::default() };
        let wrong = ["", "zq", "zqzqzq", "zqzqzqzqzq", "zq,zq"];
        let mut texts: Vec<_> =
            wrong.iter().map(|key| rules.read([key.as_bytes()]).unwrap_err()).collect();
        texts.push(rules.read([b"zq".as_slice(), b"zq"]).unwrap_err());
        let said: Vec<_> = texts.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "the idempotency key is empty",
                "an idempotency key of 2 bytes, where at least 4 are wanted",
                "the idempotency key is not one that is accepted",
                "an idempotency key of 10 bytes, where at most 8 are allowed",
                "the idempotency key is malformed",
                "more than one idempotency key",
            ]
        );
        assert!(!format!("{texts:?} {rules:?}").contains("zq"));
    }
}
