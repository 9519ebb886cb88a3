//! [`RedisStoreBuilder`]: how the store reaches Redis, and what it asks of it.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{Client, IntoConnectionInfo};

use crate::idempotency::StoreError;
use crate::idempotency::redis::RedisStore;
use crate::idempotency::redis::error::store_error;

/// Builds a [`RedisStore`]; see [`RedisStore::builder`].
#[derive(Clone, Debug)]
pub struct RedisStoreBuilder {
    pub(super) prefix: String,
    pub(super) timeout: Duration,
    pub(super) replicas: Option<Replicas>,
    allow_eviction: bool,
}

/// How many replicas must have a write before it counts, and how long that may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Replicas {
    pub(super) count: u32,
    pub(super) within: Duration,
}

impl RedisStoreBuilder {
    pub(super) fn new() -> Self {
        Self {
            prefix: "buttress:idem:".into(),
            timeout: Duration::from_secs(2),
            replicas: None,
            allow_eviction: false,
        }
    }

    /// What the names of all keys start with. Default: `buttress:idem:`.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long an operation may take, waiting for a connection included. After that it is
    /// [`StoreError::Timeout`]. Default: 2 s.
    #[must_use]
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Lets a claim, a mark of effects or an outcome count only once so many replicas have it
    /// (`WAIT`), else it is [`StoreError::Unavailable`] and may be repeated. Costs a second round
    /// trip, and holds up what else goes over the connection. Default: replicas follow when they
    /// do, and a failover may lose the latest claims.
    #[must_use]
    pub fn replicas(mut self, count: u32, within: Duration) -> Self {
        self.replicas = Some(Replicas { count, within });
        self
    }

    /// Takes a server whatever its `maxmemory-policy`. A record that is evicted is a request that
    /// runs twice. Default: only `noeviction`, which refuses writes when memory is full.
    #[must_use]
    pub fn allow_eviction(mut self, allow: bool) -> Self {
        self.allow_eviction = allow;
        self
    }

    /// Connects to the server of this URL, `redis://[user:password@]host[:port][/db]`.
    ///
    /// The connection is made again when it breaks. For TLS, hand a connection of your own to
    /// [`attach`](Self::attach).
    ///
    /// # Errors
    ///
    /// [`StoreError::Misconfigured`] for a URL that cannot be used, a password that is not taken,
    /// or a `maxmemory-policy` that loses records; [`StoreError::Unavailable`] or
    /// [`StoreError::Timeout`] where the server is not reached.
    pub async fn connect(self, url: &str) -> Result<RedisStore, StoreError> {
        // The client's own text could show what is in the URL.
        let unusable = |_| {
            StoreError::Misconfigured(
                "the URL of Redis cannot be used, allowed is \
                 redis://[user:password@]host[:port][/db]"
                    .into(),
            )
        };
        let info = url.into_connection_info().map_err(unusable)?;
        let client = Client::open(info.set_tcp_settings(self.tcp())).map_err(unusable)?;
        // The client's default answers after 500 ms that it timed out, and the write may have been
        // applied. Whoever asked decides about repeating it: one more try, no more.
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(self.timeout))
            .set_connection_timeout(Some(self.timeout))
            .set_number_of_retries(1)
            .set_max_delay(Duration::from_millis(100));
        let manager = ConnectionManager::new_with_config(client, config)
            .await
            .map_err(|error| store_error(error, self.timeout))?;
        self.attach(manager).await
    }

    /// Uses a connection that there is. Its response timeout should be no shorter than
    /// [`store_timeout`](Self::store_timeout): redis-rs's default is 500 ms.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub async fn attach(self, manager: ConnectionManager) -> Result<RedisStore, StoreError> {
        let allow_eviction = self.allow_eviction;
        let store = RedisStore::new(manager, self);
        if !allow_eviction {
            store.check_eviction().await?;
        }
        Ok(store)
    }

    fn tcp(&self) -> TcpSettings {
        let tcp = TcpSettings::default().set_nodelay(true);
        // A server that vanished without a word is given up after this, not after the minutes of
        // the system's default. Only Linux has the setting.
        #[cfg(target_os = "linux")]
        let tcp = tcp.set_user_timeout(self.timeout * 2);
        tcp
    }
}
