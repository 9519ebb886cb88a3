//! Where the idempotency records are, and the tables of orders.

use std::fmt;
use std::process;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use buttress::idempotency::{DynStore, MemoryStore, PostgresStore, RedisStore};
use deadpool_postgres::{Manager, Pool};
use tokio_postgres::{Config, NoTls};
use tower::BoxError;

use crate::orders::table::Table;
use crate::servers::Server;

/// What keeps the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreKind {
    Memory,
    Redis,
    Postgres,
}

impl StoreKind {
    const ALL: [(&str, Self); 3] =
        [("memory", Self::Memory), ("redis", Self::Redis), ("postgres", Self::Postgres)];

    /// Instances of each storefront: what is kept in memory is shared by nobody.
    pub(crate) fn instances(self) -> usize {
        match self {
            Self::Memory => 1,
            Self::Redis | Self::Postgres => 2,
        }
    }
}

impl FromStr for StoreKind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|(name, _)| *name == text).map(|(_, kind)| kind).ok_or(())
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name =
            Self::ALL.into_iter().find(|(_, kind)| kind == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

/// A store that is up, and for a temporary one the server, which ends with this.
#[derive(Debug)]
pub(crate) struct Stores {
    pub(crate) kind: StoreKind,
    url: String,
    /// Like that of no other run: on a server that is not temporary, records stay.
    run: String,
    _server: Option<Server>,
}

impl Stores {
    /// Starts a server, unless there is one at `url` or none is needed.
    pub(crate) fn open(kind: StoreKind, url: Option<&str>) -> Result<Self, BoxError> {
        let server = match (kind, url) {
            (StoreKind::Memory, _) | (_, Some(_)) => None,
            (StoreKind::Redis, None) => Some(Server::redis()?),
            (StoreKind::Postgres, None) => Some(Server::postgres()?),
        };
        let url = url.or(server.as_ref().map(Server::url)).unwrap_or_default().to_owned();
        #[allow(
            clippy::disallowed_methods,
            reason = "for a name like no other, and not to compare"
        )]
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let run = format!("storefront_{}_{}", now.as_micros(), process::id());
        Ok(Self { kind, url, run, _server: server })
    }

    /// The namespace of this run's records.
    pub(crate) fn namespace(&self) -> &str {
        &self.run
    }

    /// Makes a place for the tables of this run.
    pub(crate) async fn prepare(&self) -> Result<(), BoxError> {
        self.execute(&format!("CREATE SCHEMA {}", self.run)).await?;
        if self.kind == StoreKind::Postgres {
            PostgresStore::from_pool(self.pool()?).migrate().await?;
        }
        Ok(())
    }

    /// Leaves nothing behind but what Redis will forget by itself.
    pub(crate) async fn clean_up(&self) -> Result<(), BoxError> {
        self.execute(&format!("DROP SCHEMA {} CASCADE", self.run)).await
    }

    /// The records as one instance sees them, over connections of its own.
    pub(crate) async fn records(&self) -> Result<Arc<dyn DynStore>, BoxError> {
        Ok(match self.kind {
            StoreKind::Memory => Arc::new(MemoryStore::builder().single_instance().build()),
            StoreKind::Redis => Arc::new(RedisStore::connect(&self.url).await?),
            StoreKind::Postgres => Arc::new(PostgresStore::from_pool(self.pool()?)),
        })
    }

    /// An empty table of orders for the storefront of this name.
    pub(crate) async fn table(&self, storefront: &str) -> Result<Table, BoxError> {
        if self.kind != StoreKind::Postgres {
            return Ok(Table::Memory(Mutex::default()));
        }
        let name = format!("orders_{storefront}");
        self.execute(&format!(
            "CREATE TABLE {name} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, \
             cart bigint NOT NULL, at bigint NOT NULL)"
        ))
        .await?;
        Ok(Table::Postgres { pool: self.pool()?, name })
    }

    /// Runs a statement, where there is a database.
    async fn execute(&self, statement: &str) -> Result<(), BoxError> {
        if self.kind == StoreKind::Postgres {
            self.pool()?.get().await?.batch_execute(statement).await?;
        }
        Ok(())
    }

    /// Whose connections find the tables of this run.
    fn pool(&self) -> Result<Pool, BoxError> {
        let mut config: Config = self.url.parse()?;
        config.options(format!("-c search_path={}", self.run));
        Ok(Pool::builder(Manager::new(config, NoTls)).max_size(16).build()?)
    }
}
