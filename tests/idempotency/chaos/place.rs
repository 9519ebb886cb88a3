//! Which store, and how an instance reaches it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use buttress::idempotency::{
    DynStore, MemoryStore, PostgresStore, RecordKey, RedisStore, StoreError,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::time::sleep;

use crate::support::servers;

/// Records on a server that several instances share.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Redis { url: String, prefix: String },
    Postgres { url: String },
}

impl Place {
    pub(super) fn redis() -> Self {
        Self::redis_at(servers::redis())
    }

    pub(super) fn redis_at(url: String) -> Self {
        Self::Redis { url, prefix: servers::unique("chaos") }
    }

    pub(super) async fn postgres() -> Self {
        let url = servers::schema(&servers::postgres()).await;
        PostgresStore::connect(&url).await.unwrap().migrate().await.unwrap();
        Self::Postgres { url }
    }

    /// The same records, reached through something else, such as a proxy.
    pub(super) fn through(&self, proxy: SocketAddr) -> Self {
        let through = |url: &str| url.replacen(&self.server().to_string(), &proxy.to_string(), 1);
        match self {
            Self::Redis { url, prefix } => {
                Self::Redis { url: through(url), prefix: prefix.clone() }
            }
            Self::Postgres { url } => Self::Postgres { url: through(url) },
        }
    }

    /// Tells the server a name for its connections.
    pub(super) fn named(self, name: &str) -> Self {
        match self {
            Self::Postgres { url } => {
                Self::Postgres { url: format!("{url}&application_name={name}") }
            }
            redis @ Self::Redis { .. } => redis,
        }
    }

    pub(super) fn server(&self) -> SocketAddr {
        let (Self::Redis { url, .. } | Self::Postgres { url }) = self;
        let rest = url.split_once("://").unwrap().1;
        let host = rest.split(['/', '?']).next().unwrap();
        host.rsplit('@').next().unwrap().parse().expect("a server by its address")
    }

    pub(super) fn url(&self) -> &str {
        let (Self::Redis { url, .. } | Self::Postgres { url }) = self;
        url
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Redis { .. } => "Redis",
            Self::Postgres { .. } => "PostgreSQL",
        }
    }

    /// A busy machine may take longer to connect than an operation may.
    pub(super) async fn open(&self, timeout: Duration) -> Arc<dyn DynStore> {
        for _ in 0..50 {
            match self.try_open(timeout).await {
                Ok(store) => return store,
                Err(error) => assert!(error.is_transient(), "{error:?}"),
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("{} cannot be reached", self.name())
    }

    async fn try_open(&self, timeout: Duration) -> Result<Arc<dyn DynStore>, StoreError> {
        Ok(match self {
            Self::Redis { url, prefix } => {
                let builder = RedisStore::builder().prefix(prefix.clone()).store_timeout(timeout);
                Arc::new(builder.connect(url).await?)
            }
            Self::Postgres { url } => {
                let builder = PostgresStore::builder().store_timeout(timeout).max_connections(8);
                Arc::new(builder.connect(url).await?)
            }
        })
    }

    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Redis { url, prefix } => json!({ "redis": url, "prefix": prefix }),
            Self::Postgres { url } => json!({ "postgres": url }),
        }
    }

    pub(super) fn from_json(value: &Value) -> Self {
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        match text("redis") {
            Some(url) => Self::Redis { url, prefix: text("prefix").unwrap() },
            None => Self::Postgres { url: text("postgres").unwrap() },
        }
    }
}

pub(super) fn memory() -> Arc<dyn DynStore> {
    Arc::new(MemoryStore::new())
}

/// The name of the record, by the published recipe.
pub(super) fn record_key(tenant: &str, key: &str) -> RecordKey {
    let mut hash = Sha256::new();
    hash.update(b"idem/key/v1\0");
    for part in ["chaos", tenant, "POST", "/orders", key] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    RecordKey::from_bytes(hash.finalize().into())
}
