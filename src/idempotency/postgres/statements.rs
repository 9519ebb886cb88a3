//! The statements, and the types of their parameters: with these the server needs no asking.

use bytes::{BufMut, BytesMut};
use tokio_postgres::types::{IsNull, ToSql, Type, accepts, to_sql_checked};

use crate::error::BoxError;
use crate::idempotency::OwnerId;

pub(super) const SCHEMA: &str = include_str!("sql/schema.sql");
pub(super) const CLAIM: &str = include_str!("sql/claim.sql");
pub(super) const LOOK: &str = include_str!("sql/look.sql");
pub(super) const RENEW: &str = include_str!("sql/renew.sql");
pub(super) const MARK_EFFECTS: &str = include_str!("sql/mark_effects.sql");
pub(super) const COMPLETE: &str = include_str!("sql/complete.sql");
pub(super) const RELEASE: &str = include_str!("sql/release.sql");
pub(super) const GIVE_UP: &str = include_str!("sql/give_up.sql");
pub(super) const INSPECT: &str = include_str!("sql/inspect.sql");
pub(super) const FORGET: &str = include_str!("sql/forget.sql");
pub(super) const PURGE: &str = include_str!("sql/purge.sql");

/// A value for a statement, with the type that the statement takes it for.
pub(super) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// A statement with its parameters.
#[derive(Clone, Copy)]
pub(super) struct Query<'a> {
    pub(super) sql: &'static str,
    pub(super) parameters: &'a [Parameter<'a>],
}

/// An owner, as the 16 bytes of a UUID.
#[derive(Debug)]
pub(super) struct Owner(pub(super) OwnerId);

impl ToSql for Owner {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        out.put_u128(self.0.get());
        Ok(IsNull::No)
    }

    accepts!(UUID);
    to_sql_checked!();
}

/// A payload: the client of PostgreSQL writes parameters to its log, by their `Debug`.
pub(super) struct Payload<'a>(pub(super) &'a [u8]);

impl std::fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl ToSql for Payload<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        out.put_slice(self.0);
        Ok(IsNull::No)
    }

    accepts!(BYTEA);
    to_sql_checked!();
}
