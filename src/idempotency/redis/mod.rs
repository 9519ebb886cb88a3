//! [`RedisStore`]: records for many processes, in Redis.

mod config;
mod error;
mod reply;
mod scripts;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::ConnectionManager;
use redis::{RedisError, ScriptInvocation, Value};

use crate::idempotency::{
    Abandon, Begin, BeginRequest, Capabilities, Claim, Fenced, LeaseExpiry, RecordKey, Snapshot,
    Store, StoreError, StoredOutcome,
};
use error::store_error;
use scripts::Scripts;

pub use config::RedisStoreBuilder;

/// Records in Redis 5 or later, shared by every process that uses the server.
///
/// Each record is one hash under one key, and each operation one script: atomic, one round trip,
/// and decided by the server's clock. Redis removes what has expired by itself.
///
/// A claim is as safe as the server keeps it. With `appendfsync everysec` a crash of the server
/// loses up to a second of claims, and a failover loses those that the replica had not seen: such a
/// request may run twice. Where that must not be, take `PostgresStore`.
///
/// The server must not evict: `maxmemory-policy noeviction`, which is checked when connecting,
/// unless the server refuses to tell.
///
/// Clones share the connection.
#[derive(Clone)]
pub struct RedisStore {
    manager: ConnectionManager,
    scripts: Arc<Scripts>,
    config: Arc<RedisStoreBuilder>,
}

impl RedisStore {
    /// Connects with the defaults: see [`RedisStoreBuilder::connect`].
    ///
    /// # Errors
    ///
    /// As [`RedisStoreBuilder::connect`].
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::builder().connect(url).await
    }

    /// Uses a connection that there is, with the defaults: see [`RedisStoreBuilder::attach`].
    ///
    /// # Errors
    ///
    /// As [`RedisStoreBuilder::attach`].
    pub async fn from_manager(manager: ConnectionManager) -> Result<Self, StoreError> {
        Self::builder().attach(manager).await
    }

    /// A store with other settings.
    #[must_use]
    pub fn builder() -> RedisStoreBuilder {
        RedisStoreBuilder::new()
    }

    fn new(manager: ConnectionManager, config: RedisStoreBuilder) -> Self {
        Self { manager, scripts: Arc::new(Scripts::new()), config: Arc::new(config) }
    }

    /// `INFO` rather than `CONFIG GET`, which hosted servers forbid. One that forbids both is taken
    /// as it is.
    async fn check_eviction(&self) -> Result<(), StoreError> {
        let mut manager = self.manager.clone();
        let mut ask = redis::cmd("INFO");
        ask.arg("memory");
        let answer = async {
            match ask.query_async::<String>(&mut manager).await {
                Err(error) if error.code() == Some("NOPERM") => Ok(String::new()),
                answer => answer,
            }
        };
        let info = self.within(answer).await?;
        let policy = info.lines().find_map(|line| line.strip_prefix("maxmemory_policy:"));
        match policy.map(str::trim) {
            None | Some("noeviction") => Ok(()),
            Some(policy) => Err(StoreError::Misconfigured(format!(
                "maxmemory-policy is {policy}, allowed is noeviction: \
                 an evicted record is a request that runs twice"
            ))),
        }
    }

    fn key(&self, key: &RecordKey) -> Vec<u8> {
        [self.config.prefix.as_bytes(), key.as_bytes()].concat()
    }

    async fn run(&self, call: &ScriptInvocation<'_>) -> Result<Value, StoreError> {
        let mut manager = self.manager.clone();
        self.within(call.invoke_async(&mut manager)).await
    }

    /// The time that redis-rs is given covers the answer, not the wait for a connection.
    async fn within<T>(
        &self,
        call: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, StoreError> {
        let timeout = self.config.timeout;
        match tokio::time::timeout(timeout, call).await {
            Ok(answer) => answer.map_err(|error| store_error(error, timeout)),
            Err(_) => Err(StoreError::Timeout(timeout)),
        }
    }

    /// Waits until as many replicas as were asked for have all that went before.
    async fn replicated(&self) -> Result<(), StoreError> {
        let Some(replicas) = self.config.replicas else { return Ok(()) };
        let mut manager = self.manager.clone();
        let mut wait = redis::cmd("WAIT");
        wait.arg(replicas.count).arg(millis(replicas.within));
        let have: u32 = self.within(wait.query_async(&mut manager)).await?;
        if have < replicas.count {
            let wanted = replicas.count;
            let says = format!("{have} replicas have the write, {wanted} are asked for");
            return Err(StoreError::Unavailable(says.into()));
        }
        Ok(())
    }

    async fn replicated_if_applied(&self, fenced: Fenced) -> Result<Fenced, StoreError> {
        if fenced == Fenced::Applied {
            self.replicated().await?;
        }
        Ok(fenced)
    }
}

impl Store for RedisStore {
    async fn begin(&self, request: BeginRequest) -> Result<Begin, StoreError> {
        let mut call = self.scripts.begin.key(self.key(&request.key));
        call.arg(&request.fingerprint.as_bytes()[..])
            .arg(&request.owner.get().to_be_bytes()[..])
            .arg(micros(request.lease))
            .arg(micros(request.retention))
            .arg(request.max_attempts)
            .arg(u8::from(request.on_lease_expiry == LeaseExpiry::Takeover));
        let begin = reply::begin(self.run(&call).await?, &request)?;
        if let Begin::Acquired(_) = begin {
            self.replicated().await?;
        }
        Ok(begin)
    }

    async fn renew(&self, claim: &Claim, lease: Duration) -> Result<Fenced, StoreError> {
        let mut call = self.scripts.renew.key(self.key(&claim.key));
        by(&mut call, claim).arg(micros(lease));
        reply::fenced(&self.run(&call).await?)
    }

    async fn mark_effects(&self, claim: &Claim) -> Result<Fenced, StoreError> {
        let mut call = self.scripts.mark_effects.key(self.key(&claim.key));
        by(&mut call, claim);
        let fenced = reply::fenced(&self.run(&call).await?)?;
        self.replicated_if_applied(fenced).await
    }

    async fn complete(
        &self,
        claim: &Claim,
        outcome: StoredOutcome,
        retention: Duration,
    ) -> Result<Fenced, StoreError> {
        let (size, max) = (outcome.payload.as_ref().map_or(0, bytes::Bytes::len), MAX_PAYLOAD);
        if size > max {
            return Err(StoreError::TooLarge { size, max });
        }
        let mut call = self.scripts.complete.key(self.key(&claim.key));
        by(&mut call, claim).arg(micros(retention)).arg(outcome.format).arg(outcome.tag);
        if let Some(payload) = &outcome.payload {
            call.arg(&payload[..]);
        }
        let fenced = reply::fenced(&self.run(&call).await?)?;
        self.replicated_if_applied(fenced).await
    }

    async fn abandon(&self, claim: &Claim, how: Abandon) -> Result<Fenced, StoreError> {
        let mut call = self.scripts.abandon.key(self.key(&claim.key));
        by(&mut call, claim).arg(match how {
            Abandon::Release => "R",
            Abandon::Indeterminate => "U",
        });
        reply::fenced(&self.run(&call).await?)
    }

    async fn inspect(&self, key: &RecordKey) -> Result<Option<Snapshot>, StoreError> {
        reply::snapshot(self.run(&self.scripts.inspect.key(self.key(key))).await?)
    }

    async fn forget(&self, key: &RecordKey) -> Result<bool, StoreError> {
        reply::flag(&self.run(&self.scripts.forget.key(self.key(key))).await?)
    }

    fn capabilities(&self) -> Capabilities {
        // Whether it is durable is for the server's configuration to say, so it is not promised.
        Capabilities {
            shared: true,
            durable: false,
            max_payload: MAX_PAYLOAD,
            ..Capabilities::default()
        }
    }
}

/// Without the connection, whose URL may hold a password.
impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("config", &self.config).finish_non_exhaustive()
    }
}

/// What Redis takes as one string, by default (`proto-max-bulk-len`).
const MAX_PAYLOAD: usize = 512 * 1024 * 1024;

/// Who writes: what each fenced script is given first.
fn by<'a, 'b>(call: &'b mut ScriptInvocation<'a>, claim: &Claim) -> &'b mut ScriptInvocation<'a>
where
    'a: 'b,
{
    call.arg(&claim.owner.get().to_be_bytes()[..]).arg(claim.fence.get())
}

/// Thirty years at most: beyond that Redis refuses, and no sum may leave the exact numbers of Lua.
const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 30);

/// Rounded up: no lease and no retention is shorter than was asked for.
fn micros(duration: Duration) -> u64 {
    let micros = duration.min(FAR).as_nanos().div_ceil(1000);
    u64::try_from(micros).unwrap_or(u64::MAX)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}
