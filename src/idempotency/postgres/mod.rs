//! [`PostgresStore`]: records for many processes, in PostgreSQL.

mod completion;
mod config;
mod error;
mod flight;
mod row;
mod statements;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Client, Pool};
use tokio_postgres::types::Type;
use tokio_postgres::{Row, Transaction};

use crate::idempotency::{
    Abandon, Begin, BeginRequest, Capabilities, Claim, Fenced, LeaseExpiry, RecordKey, Snapshot,
    Store, StoreError, StoredOutcome,
};
use crate::rng::Rng;
use crate::time;
use completion::Completion;
use error::{is_lost_race, is_stale_statement, pool_error, store_error};
use flight::Lent;
use statements::{Owner, Query};

pub use config::PostgresStoreBuilder;

/// Records in PostgreSQL 12 or later, as durable as the database.
///
/// Each record is one row of the table `idempotency_records`, which [`migrate`](Self::migrate)
/// creates in the first schema of the `search_path`. Each operation is one transaction and one
/// round trip, under READ COMMITTED whatever the default is, and decided by the server's clock. No
/// connection is held while a request runs. Talk to the primary: a standby refuses to write.
///
/// Nothing deletes what has expired but [`purge_expired`](Store::purge_expired): call it now and
/// then, from any process.
///
/// Clones share the pool.
#[derive(Clone)]
pub struct PostgresStore {
    pool: Pool,
    config: Arc<PostgresStoreBuilder>,
}

/// How often a transaction is run again that has lost a race.
const RETRIES: u32 = 5;
/// What a `bytea` holds, with room for the message around it.
const MAX_PAYLOAD: usize = 512 * 1024 * 1024;

impl PostgresStore {
    /// What [`migrate`](Self::migrate) runs, for those who migrate by other means.
    pub const SCHEMA: &'static str = statements::SCHEMA;

    /// Connects with the defaults: see [`PostgresStoreBuilder::connect`].
    ///
    /// # Errors
    ///
    /// As [`PostgresStoreBuilder::connect`].
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::builder().connect(url).await
    }

    /// Uses a pool that there is, with the defaults.
    #[must_use]
    pub fn from_pool(pool: Pool) -> Self {
        Self::builder().pool(pool)
    }

    /// A store with other settings.
    #[must_use]
    pub fn builder() -> PostgresStoreBuilder {
        PostgresStoreBuilder::new()
    }

    fn new(pool: Pool, config: PostgresStoreBuilder) -> Self {
        Self { pool, config: Arc::new(config) }
    }

    /// Creates the table, its index and the sequence of the fences, unless they are there. Several
    /// processes may do so at once.
    ///
    /// # Errors
    ///
    /// [`StoreError::Misconfigured`] where the role may not; as any operation otherwise.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let timeout = self.config.timeout;
        self.within(async {
            let client = Lent::new(self.connection().await?);
            let migrated = client.batch(Self::SCHEMA).await;
            migrated.map_err(|error| store_error(error, timeout))
        })
        .await
    }

    /// Keeps the outcome in a transaction of your own: it counts if and when that commits, together
    /// with whatever else the transaction has written. That makes the effects in this database
    /// happen exactly once.
    ///
    /// Takes the transactions of `tokio_postgres` and of `deadpool_postgres`. On
    /// [`Fenced::Lost`] and on errors, roll back.
    ///
    /// # Errors
    ///
    /// As [`complete`](Store::complete), and [`StoreError::Unavailable`] for a serialization
    /// failure, under the isolation levels that know them.
    pub async fn complete_in(
        transaction: &Transaction<'_>,
        claim: &Claim,
        outcome: &StoredOutcome,
        retention: Duration,
    ) -> Result<Fenced, StoreError> {
        let completion = Completion::new(claim, outcome, retention)?;
        let rows = transaction.query_typed(statements::COMPLETE, &completion.parameters()).await;
        rows.map(|rows| fenced(&rows)).map_err(|error| store_error(error, Duration::ZERO))
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.within(async { self.connection().await.map(drop) }).await
    }

    async fn connection(&self) -> Result<Client, StoreError> {
        self.pool.get().await.map_err(|error| pool_error(error, self.config.timeout))
    }

    async fn run(&self, query: Query<'_>) -> Result<Vec<Row>, StoreError> {
        self.within(async { Ok(self.transact(query, None).await?.0) }).await
    }

    /// In one transaction, again where that has lost a race.
    async fn transact(
        &self,
        first: Query<'_>,
        second: Option<Query<'_>>,
    ) -> Result<(Vec<Row>, Vec<Row>), StoreError> {
        let PostgresStoreBuilder { timeout, statement_cache, .. } = *self.config;
        let mut retries = 0;
        loop {
            let client = self.connection().await?;
            let statements = Arc::clone(&client.statement_cache);
            let flight = Lent::new(client).transact((first, second), statement_cache, timeout);
            match flight.await {
                Err(error) if retries < RETRIES && is_lost_race(&error) => pause(retries).await,
                Err(error) if retries < RETRIES && is_stale_statement(&error) => statements.clear(),
                answer => return answer.map_err(|error| store_error(error, timeout)),
            }
            retries += 1;
        }
    }

    fn within<T>(
        &self,
        operation: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> impl Future<Output = Result<T, StoreError>> + Send {
        let timeout = self.config.timeout;
        // Boxed: without optimisation the futures of a transaction, each copied into the next, take
        // more stack in a request's task than tokio's workers have.
        let in_time = tokio::time::timeout(timeout, Box::pin(operation));
        async move { in_time.await.unwrap_or(Err(StoreError::Timeout(timeout))) }
    }

    async fn claim(&self, request: &BeginRequest) -> Result<Begin, StoreError> {
        let (key, fingerprint) = (&request.key.as_bytes()[..], &request.fingerprint.as_bytes()[..]);
        let owner = Owner(request.owner);
        let (lease, retention) = (seconds(request.lease), seconds(request.retention));
        let max_attempts = i64::from(request.max_attempts);
        let takes_over = request.on_lease_expiry == LeaseExpiry::Takeover;
        let claim = [
            (&key as _, Type::BYTEA),
            (&fingerprint as _, Type::BYTEA),
            (&owner as _, Type::UUID),
            (&lease as _, Type::FLOAT8),
            (&retention as _, Type::FLOAT8),
            (&max_attempts as _, Type::INT8),
            (&takes_over as _, Type::BOOL),
        ];
        let claim = Query { sql: statements::CLAIM, parameters: &claim };
        let look = Query { sql: statements::LOOK, parameters: &claim.parameters[..3] };
        for retry in 0..=RETRIES {
            let (claimed, seen) = self.transact(claim, Some(look)).await?;
            if let Some(begin) = row::begin(&claimed, &seen, request)? {
                return Ok(begin);
            }
            // Neither to be had nor there.
            pause(retry).await;
        }
        Err(StoreError::Unavailable("a record that keeps coming and going".into()))
    }

    async fn write(&self, sql: &'static str, claim: &Claim) -> Result<Fenced, StoreError> {
        let (key, owner, fence) = held(claim);
        let parameters =
            [(&key as _, Type::BYTEA), (&owner as _, Type::UUID), (&fence as _, Type::INT8)];
        Ok(fenced(&self.run(Query { sql, parameters: &parameters }).await?))
    }

    async fn by_key(&self, sql: &'static str, key: &RecordKey) -> Result<Vec<Row>, StoreError> {
        let key = &key.as_bytes()[..];
        self.run(Query { sql, parameters: &[(&key as _, Type::BYTEA)] }).await
    }
}

impl Store for PostgresStore {
    async fn begin(&self, request: BeginRequest) -> Result<Begin, StoreError> {
        self.within(self.claim(&request)).await
    }

    async fn renew(&self, claim: &Claim, lease: Duration) -> Result<Fenced, StoreError> {
        let (key, owner, fence) = held(claim);
        let lease = seconds(lease);
        let parameters = [
            (&key as _, Type::BYTEA),
            (&owner as _, Type::UUID),
            (&fence as _, Type::INT8),
            (&lease as _, Type::FLOAT8),
        ];
        Ok(fenced(&self.run(Query { sql: statements::RENEW, parameters: &parameters }).await?))
    }

    async fn mark_effects(&self, claim: &Claim) -> Result<Fenced, StoreError> {
        self.write(statements::MARK_EFFECTS, claim).await
    }

    async fn complete(
        &self,
        claim: &Claim,
        outcome: StoredOutcome,
        retention: Duration,
    ) -> Result<Fenced, StoreError> {
        let completion = Completion::new(claim, &outcome, retention)?;
        let parameters = completion.parameters();
        Ok(fenced(&self.run(Query { sql: statements::COMPLETE, parameters: &parameters }).await?))
    }

    async fn abandon(&self, claim: &Claim, how: Abandon) -> Result<Fenced, StoreError> {
        let sql = match how {
            Abandon::Release => statements::RELEASE,
            Abandon::Indeterminate => statements::GIVE_UP,
        };
        self.write(sql, claim).await
    }

    async fn inspect(&self, key: &RecordKey) -> Result<Option<Snapshot>, StoreError> {
        let rows = self.by_key(statements::INSPECT, key).await?;
        rows.first().map(row::snapshot).transpose()
    }

    async fn forget(&self, key: &RecordKey) -> Result<bool, StoreError> {
        let rows = self.by_key(statements::FORGET, key).await?;
        rows.first().map_or(Ok(false), |row| row::get(row, "was_there"))
    }

    async fn purge_expired(&self, max: usize) -> Result<usize, StoreError> {
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        let parameters = [(&max as _, Type::INT8)];
        Ok(self.run(Query { sql: statements::PURGE, parameters: &parameters }).await?.len())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            shared: true,
            durable: true,
            max_payload: MAX_PAYLOAD,
            ..Capabilities::default()
        }
    }
}

/// Without the pool, whose settings hold a password.
impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Who writes: what each fenced statement is given first.
fn held(claim: &Claim) -> (&[u8], Owner, i64) {
    // A fence beyond is nobody's: the sequence ends there.
    let fence = i64::try_from(claim.fence.get()).unwrap_or(-1);
    (claim.key.as_bytes(), Owner(claim.owner), fence)
}

fn fenced(rows: &[Row]) -> Fenced {
    if rows.is_empty() { Fenced::Lost } else { Fenced::Applied }
}

/// Thirty years at most, which no timestamp overflows.
fn seconds(duration: Duration) -> f64 {
    duration.min(Duration::from_secs(60 * 60 * 24 * 365 * 30)).as_secs_f64()
}

/// A little longer each time, so that those who met once do not meet again.
async fn pause(retries: u32) {
    let most = Duration::from_millis(5) * (retries + 1);
    let wait = Rng::new(None).between(Duration::from_millis(1), most);
    time::sleep_until(time::later(time::now(), wait)).await;
}
