//! Nonsense in a configuration, judged in one place and reported in one form.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// A setting that cannot be meant: which, what it was, and what is allowed.
///
/// Every builder's `try_build` returns it, for configuration that comes from a file; `build`
/// panics with its text, for configuration that is written in code.
///
/// ```
/// use buttress::circuit_breaker::CircuitBreakerLayer;
///
/// let error = CircuitBreakerLayer::builder().failure_rate(1.5).try_build().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "circuit_breaker.failure_rate is 1.5, allowed is more than 0 and at most 1",
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    setting: &'static str,
    value: String,
    allowed: &'static str,
}

impl ConfigError {
    pub(crate) fn new(
        setting: &'static str,
        value: impl fmt::Debug,
        allowed: &'static str,
    ) -> Self {
        Self { setting, value: format!("{value:?}"), allowed }
    }

    /// The setting, as `layer.setting`.
    #[must_use]
    pub fn setting(&self) -> &'static str {
        self.setting
    }

    /// The value that was refused.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// What would have been accepted.
    #[must_use]
    pub fn allowed(&self) -> &'static str {
        self.allowed
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, allowed is {}", self.setting, self.value, self.allowed)
    }
}

impl StdError for ConfigError {}

/// Panics with the text of the error: what every `build` does with what `try_build` found.
#[track_caller]
pub(crate) fn expect<T>(result: Result<T, ConfigError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}

/// A share of calls: more than 0 and at most 1. NaN is neither.
pub(crate) fn share(setting: &'static str, value: f64) -> Result<(), ConfigError> {
    check(value > 0.0 && value <= 1.0, setting, value, "more than 0 and at most 1")
}

/// A count that must not be 0.
pub(crate) fn at_least_one(setting: &'static str, value: u32) -> Result<(), ConfigError> {
    check(value >= 1, setting, value, "1 or more")
}

/// A duration that must not be 0.
pub(crate) fn not_zero(setting: &'static str, value: Duration) -> Result<(), ConfigError> {
    check(!value.is_zero(), setting, value, "longer than 0")
}

pub(crate) fn check(
    holds: bool,
    setting: &'static str,
    value: impl fmt::Debug,
    allowed: &'static str,
) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError::new(setting, value, allowed)) }
}
