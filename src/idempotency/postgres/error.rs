//! What PostgreSQL and its client report, as what it means for whoever asked.

use std::time::Duration;

use deadpool_postgres::PoolError;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::idempotency::StoreError;

/// Whether the same transaction may be run again at once: nothing of it was applied.
pub(super) fn is_lost_race(error: &Error) -> bool {
    matches!(
        error.code(),
        Some(&SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED)
    )
}

/// Whether the server no longer knows a statement that the connection had prepared: the table was
/// changed, or a pooler has switched servers.
pub(super) fn is_stale_statement(error: &Error) -> bool {
    matches!(
        error.code(),
        Some(&SqlState::INVALID_SQL_STATEMENT_NAME | &SqlState::FEATURE_NOT_SUPPORTED)
    )
}

/// `timeout` is what the operation was given.
pub(super) fn store_error(error: Error, timeout: Duration) -> StoreError {
    let Some(code) = error.code() else { return StoreError::Unavailable(error.into()) };
    let misconfigured = |what: &str| StoreError::Misconfigured(what.to_owned());
    match *code {
        // The record is locked by a transaction of somebody else's, or the server gave up.
        SqlState::LOCK_NOT_AVAILABLE | SqlState::QUERY_CANCELED => StoreError::Timeout(timeout),
        SqlState::DISK_FULL => StoreError::Full,
        SqlState::UNDEFINED_TABLE
        | SqlState::UNDEFINED_COLUMN
        | SqlState::UNDEFINED_OBJECT
        | SqlState::INVALID_SCHEMA_NAME => misconfigured(
            "the table idempotency_records is not there, or is not what it has to be: \
             run PostgresStore::migrate(), or its SCHEMA",
        ),
        SqlState::INSUFFICIENT_PRIVILEGE => misconfigured(
            "the role may not use idempotency_records and idempotency_fences: \
             it needs SELECT, INSERT, UPDATE and DELETE, and USAGE of the sequence",
        ),
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            misconfigured("PostgreSQL refuses the role or its password")
        }
        SqlState::INVALID_CATALOG_NAME => misconfigured("there is no such database"),
        _ => StoreError::Unavailable(error.into()),
    }
}

pub(super) fn pool_error(error: PoolError, timeout: Duration) -> StoreError {
    match error {
        PoolError::Backend(error) => store_error(error, timeout),
        PoolError::Timeout(_) => StoreError::Timeout(timeout),
        error => StoreError::Unavailable(error.into()),
    }
}
