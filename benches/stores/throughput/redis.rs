//! Redis, over a connection of the kind that the store has.

use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::{ConnectionManager, ConnectionManagerConfig};
use ::redis::{Client, RedisError, Script, cmd};
use buttress::idempotency::{BeginRequest, LeaseExpiry, RedisStore};

use crate::RETENTION;

/// What the names of the store's keys start with, unless it is told otherwise.
const PREFIX: &[u8] = b"buttress:idem:";

macro_rules! script {
    ($operation:literal) => {
        concat!(
            include_str!("../../../src/idempotency/redis/lua/record.lua"),
            include_str!(concat!("../../../src/idempotency/redis/lua/", $operation))
        )
    };
}

/// The commands of the store, by hand.
#[derive(Clone)]
pub(super) struct Raw {
    manager: ConnectionManager,
    begin: Arc<str>,
    complete: Arc<str>,
}

/// Both over one connection.
pub(super) async fn clients(url: &str) -> (Raw, RedisStore) {
    let client = Client::open(url).expect("a URL");
    // As long as the store waits for an answer.
    let config = ConnectionManagerConfig::new().set_response_timeout(Some(Duration::from_secs(2)));
    let manager = ConnectionManager::new_with_config(client, config).await.expect("a connection");
    let store = RedisStore::from_manager(manager.clone()).await.expect("a store");
    let [begin, complete] = [script!("begin.lua"), script!("complete.lua")].map(Script::new);
    for script in [&begin, &complete] {
        script.load_async(&mut manager.clone()).await.expect("a script that compiles");
    }
    let [begin, complete] = [begin.get_hash().into(), complete.get_hash().into()];
    (Raw { manager, begin, complete }, store)
}

impl Raw {
    async fn try_run(&self, request: BeginRequest) -> Result<i64, RedisError> {
        let mut manager = self.manager.clone();
        let key = [PREFIX, request.key.as_bytes()].concat();
        let owner = request.owner.get().to_be_bytes();
        let (_, fence, _): (String, u64, u32) = cmd("EVALSHA")
            .arg(&*self.begin)
            .arg(1)
            .arg(&key)
            .arg(&request.fingerprint.as_bytes()[..])
            .arg(&owner)
            .arg(request.lease.as_micros())
            .arg(request.retention.as_micros())
            .arg(request.max_attempts)
            .arg(u8::from(request.on_lease_expiry == LeaseExpiry::Takeover))
            .query_async(&mut manager)
            .await?;
        let outcome = super::answer();
        cmd("EVALSHA")
            .arg(&*self.complete)
            .arg(1)
            .arg(&key)
            .arg(&owner)
            .arg(fence)
            .arg(RETENTION.as_micros())
            .arg(outcome.format)
            .arg(outcome.tag)
            .arg(outcome.payload.as_deref())
            .query_async(&mut manager)
            .await
    }
}

impl super::Client for Raw {
    async fn run(&self, request: BeginRequest) {
        assert_eq!(self.try_run(request).await.expect("an answer"), 1);
    }
}
