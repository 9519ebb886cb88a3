//! Where the idempotency records are, and the tables of orders.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::Mutex;

use buttress::idempotency::{DynStore, MemoryStore, RedisStore};
use tower::BoxError;

use crate::orders::table::Table;
use crate::servers::Server;

/// What keeps the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreKind {
    Memory,
    Redis,
}

impl StoreKind {
    /// Instances of each storefront: what keeps records in memory is shared by nobody.
    pub(crate) fn instances(self) -> usize {
        match self {
            Self::Memory => 1,
            Self::Redis => 2,
        }
    }
}

impl FromStr for StoreKind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "memory" => Ok(Self::Memory),
            "redis" => Ok(Self::Redis),
            _ => Err(()),
        }
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::Redis => "redis",
        })
    }
}

/// A store that is up, and for a temporary one the server, which ends with this.
#[derive(Debug)]
pub(crate) struct Stores {
    pub(crate) kind: StoreKind,
    url: String,
    /// Like that of no other run: the records of a server that is not temporary stay.
    run: String,
    _server: Option<Server>,
}

impl Stores {
    /// Starts a server, unless there is one at `url` or none is needed.
    pub(crate) fn open(kind: StoreKind, url: Option<&str>) -> Result<Self, BoxError> {
        let server = match (kind, url) {
            (StoreKind::Memory, _) | (_, Some(_)) => None,
            (StoreKind::Redis, None) => Some(Server::redis()?),
        };
        let url = url.or(server.as_ref().map(Server::url)).unwrap_or_default().to_owned();
        let run = format!("storefront_{:016x}", rand::random::<u64>());
        Ok(Self { kind, url, run, _server: server })
    }

    /// The namespace of this run's records.
    pub(crate) fn namespace(&self) -> &str {
        &self.run
    }

    /// The records as one instance sees them, over a connection of its own.
    pub(crate) async fn records(&self) -> Result<Arc<dyn DynStore>, BoxError> {
        Ok(match self.kind {
            StoreKind::Memory => Arc::new(MemoryStore::builder().single_instance().build()),
            StoreKind::Redis => Arc::new(RedisStore::connect(&self.url).await?),
        })
    }

    /// An empty table of orders for the storefront of this name.
    pub(crate) async fn table(&self, _storefront: &str) -> Result<Table, BoxError> {
        match self.kind {
            StoreKind::Memory | StoreKind::Redis => Ok(Table::Memory(Mutex::default())),
        }
    }
}
