//! What the client of Redis reports, as what it means for whoever asked.

use std::time::Duration;

use redis::{ErrorKind, RedisError};

use crate::idempotency::StoreError;

/// `timeout` is what the operation was given.
pub(super) fn store_error(error: RedisError, timeout: Duration) -> StoreError {
    if error.is_timeout() {
        return StoreError::Timeout(timeout);
    }
    if matches!(error.kind(), ErrorKind::InvalidClientConfig) {
        return StoreError::Misconfigured("the client of Redis refuses its settings".into());
    }
    match server_code(&error) {
        Some("OOM") => StoreError::Full,
        Some("CORRUPT" | "WRONGTYPE") => StoreError::Corrupt(error.into()),
        Some(code @ ("NOAUTH" | "WRONGPASS" | "NOPERM")) => {
            StoreError::Misconfigured(format!("Redis answers {code}"))
        }
        _ if matches!(error.kind(), ErrorKind::AuthenticationFailed) => {
            StoreError::Misconfigured("Redis refuses the user or the password".into())
        }
        _ => StoreError::Unavailable(error.into()),
    }
}

/// The code of the error, which before Redis 7 is inside the text where a script met it.
fn server_code(error: &RedisError) -> Option<&str> {
    let code = error.code()?;
    let within = error.detail().filter(|_| code == "ERR").unwrap_or_default();
    let mut known = ["OOM", "WRONGTYPE"].into_iter();
    Some(known.find(|known| within.contains(&format!("-{known} "))).unwrap_or(code))
}
