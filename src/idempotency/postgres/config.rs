//! [`PostgresStoreBuilder`]: how the store reaches PostgreSQL.

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod};
use tokio_postgres::{Config, NoTls};

use super::PostgresStore;
use crate::idempotency::StoreError;

/// Builds a [`PostgresStore`]; see [`PostgresStore::builder`].
#[derive(Clone, Debug)]
pub struct PostgresStoreBuilder {
    pub(super) timeout: Duration,
    pub(super) statement_cache: bool,
    max_connections: usize,
}

impl PostgresStoreBuilder {
    pub(super) fn new() -> Self {
        Self { timeout: Duration::from_secs(2), statement_cache: true, max_connections: 16 }
    }

    /// How long an operation may take, waiting for a connection and for a lock included. After that
    /// it is [`StoreError::Timeout`]. Default: 2 s.
    #[must_use]
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Whether statements are prepared once for each connection. Default: yes. Switch it off behind
    /// a pooler that hands each transaction to another server and does not know prepared
    /// statements (PgBouncer before 1.21): it costs the server some planning, and no round trip.
    #[must_use]
    pub fn statement_cache(mut self, cache: bool) -> Self {
        self.statement_cache = cache;
        self
    }

    /// How many connections [`connect`](Self::connect) opens at most. Default: 16. None is held
    /// while a request runs.
    #[must_use]
    pub fn max_connections(mut self, max: usize) -> Self {
        self.max_connections = max;
        self
    }

    /// Connects to the server of this URL, `postgres://user:password@host:port/database`, without
    /// TLS. For TLS, hand a pool of your own to [`pool`](Self::pool).
    ///
    /// # Errors
    ///
    /// [`StoreError::Misconfigured`] for a URL that cannot be used, or a role or database that is
    /// refused; [`StoreError::Unavailable`] or [`StoreError::Timeout`] where the server is not
    /// reached.
    pub async fn connect(self, url: &str) -> Result<PostgresStore, StoreError> {
        // The client's own text could show what is in the URL.
        let unusable = |_| {
            StoreError::Misconfigured(
                "the URL of PostgreSQL cannot be used, allowed is \
                 postgres://user:password@host:port/database"
                    .into(),
            )
        };
        let config: Config = url.parse().map_err(unusable)?;
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(config, NoTls, recycling);
        let pool = Pool::builder(manager).max_size(self.max_connections.max(1)).build();
        let pool = pool.map_err(|error| StoreError::Misconfigured(error.to_string()))?;
        let store = self.pool(pool);
        store.check().await?;
        Ok(store)
    }

    /// Uses a pool that there is.
    #[must_use]
    pub fn pool(self, pool: Pool) -> PostgresStore {
        PostgresStore::new(pool, self)
    }
}
