//! PostgreSQL, over a pool of the kind that the store has.

use buttress::idempotency::{BeginRequest, LeaseExpiry, PostgresStore};
use bytes::{BufMut, BytesMut};
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod};
use futures::join;
use tokio_postgres::types::{IsNull, ToSql, Type, accepts, to_sql_checked};
use tokio_postgres::{Error, NoTls, Row};
use tower::BoxError;

use crate::RETENTION;

const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = 2000";
const CLAIM: &str = include_str!("../../../src/idempotency/postgres/sql/claim.sql");
const LOOK: &str = include_str!("../../../src/idempotency/postgres/sql/look.sql");
const COMPLETE: &str = include_str!("../../../src/idempotency/postgres/sql/complete.sql");

const CLAIMED: [Type; 7] =
    [Type::BYTEA, Type::BYTEA, Type::UUID, Type::FLOAT8, Type::FLOAT8, Type::INT8, Type::BOOL];
const COMPLETED: [Type; 7] =
    [Type::BYTEA, Type::UUID, Type::INT8, Type::FLOAT8, Type::INT2, Type::INT4, Type::BYTEA];

/// The statements of the store, by hand: as they are prepared, and sent without waiting for the
/// answers to those before.
#[derive(Clone)]
pub(super) struct Raw(Pool);

/// Both over the same connections, as many as the store has by default.
pub(super) async fn clients(url: &str) -> (Raw, PostgresStore) {
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(url.parse().expect("a URL"), NoTls, recycling);
    let pool = Pool::builder(manager).max_size(16).build().expect("a pool");
    let store = PostgresStore::from_pool(pool.clone());
    store.migrate().await.expect("a table");
    (Raw(pool), store)
}

impl Raw {
    async fn begin(&self, request: &BeginRequest) -> Result<Vec<Row>, Error> {
        let client = self.0.get().await.expect("a connection");
        let claim = client.prepare_typed_cached(CLAIM, &CLAIMED).await?;
        let look = client.prepare_typed_cached(LOOK, &CLAIMED[..3]).await?;
        let (key, fingerprint) = (&request.key.as_bytes()[..], &request.fingerprint.as_bytes()[..]);
        let owner = Uuid(request.owner.get());
        let (lease, retention) = (request.lease.as_secs_f64(), request.retention.as_secs_f64());
        let max_attempts = i64::from(request.max_attempts);
        let takes_over = request.on_lease_expiry == LeaseExpiry::Takeover;
        let claimed: [&(dyn ToSql + Sync); 7] =
            [&key, &fingerprint, &owner, &lease, &retention, &max_attempts, &takes_over];
        let (begun, claimed, seen, committed) = join!(
            client.batch_execute(BEGIN),
            client.query(&claim, &claimed),
            client.query(&look, &claimed[..3]),
            client.batch_execute("COMMIT")
        );
        begun?;
        assert!(seen?.is_empty());
        committed?;
        claimed
    }

    async fn complete(&self, request: &BeginRequest, fence: i64) -> Result<Vec<Row>, Error> {
        let client = self.0.get().await.expect("a connection");
        let complete = client.prepare_typed_cached(COMPLETE, &COMPLETED).await?;
        let (key, owner) = (&request.key.as_bytes()[..], Uuid(request.owner.get()));
        let retention = RETENTION.as_secs_f64();
        let outcome = super::answer();
        let (format, tag) = (i16::from(outcome.format), i32::from(outcome.tag));
        let payload = outcome.payload.as_deref();
        let completed: [&(dyn ToSql + Sync); 7] =
            [&key, &owner, &fence, &retention, &format, &tag, &payload];
        let (begun, completed, committed) = join!(
            client.batch_execute(BEGIN),
            client.query(&complete, &completed),
            client.batch_execute("COMMIT")
        );
        begun?;
        committed?;
        completed
    }
}

impl super::Client for Raw {
    async fn run(&self, request: BeginRequest) {
        let claimed = self.begin(&request).await.expect("an answer");
        let completed = self.complete(&request, claimed[0].get("fence")).await;
        assert_eq!(completed.expect("an answer").len(), 1);
    }
}

/// Sixteen bytes, as PostgreSQL takes them for a UUID.
#[derive(Debug)]
struct Uuid(u128);

impl ToSql for Uuid {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        out.put_u128(self.0);
        Ok(IsNull::No)
    }

    accepts!(UUID);
    to_sql_checked!();
}
