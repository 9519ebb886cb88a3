//! The store in Redis: what is its own.

use std::fmt::Write;
use std::time::Duration;

use ::redis::{Client, cmd};
use buttress::idempotency::{
    Begin, BeginRequest, Fenced, RedisStore, Store, StoreError, StoredOutcome,
};

use crate::support::requests::{HOUR, acquire, duplicate, request};
use crate::support::servers::{self, Server};

/// A server of its own, with a store and a connection for orders.
async fn alone(arguments: &[&str]) -> (Server, RedisStore, ::redis::aio::MultiplexedConnection) {
    let server = Server::redis(arguments);
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let client = Client::open(server.url()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    (server, store, connection)
}

#[tokio::test]
async fn scripts_that_the_server_forgot_are_sent_again() {
    let (_server, store, mut redis) = alone(&[]).await;
    let request = request();
    let claim = acquire(&store, &request).await;
    let () = cmd("SCRIPT").arg("FLUSH").query_async(&mut redis).await.unwrap();
    let done = store.complete(&claim, StoredOutcome::new(200, "x"), HOUR).await.unwrap();
    assert_eq!(done, Fenced::Applied);
    let () = cmd("SCRIPT").arg("FLUSH").query_async(&mut redis).await.unwrap();
    let begin = store.begin(duplicate(&request)).await.unwrap();
    assert_eq!(begin, Begin::Completed(StoredOutcome::new(200, "x")));
}

#[tokio::test]
async fn each_operation_is_one_script_and_each_record_one_key_under_the_prefix() {
    let (server, _, mut redis) = alone(&[]).await;
    let store = RedisStore::builder().prefix("shop:").connect(&server.url()).await.unwrap();
    let warm = acquire(&store, &request()).await;
    let _ = store.complete(&warm, StoredOutcome::new(200, "x"), HOUR).await.unwrap();
    let () = cmd("CONFIG").arg("RESETSTAT").query_async(&mut redis).await.unwrap();
    for _ in 0..5 {
        let claim = acquire(&store, &request()).await;
        let _ = store.complete(&claim, StoredOutcome::new(200, "x"), HOUR).await.unwrap();
    }
    let stats: String = cmd("INFO").arg("commandstats").query_async(&mut redis).await.unwrap();
    let line = stats.lines().find(|line| line.starts_with("cmdstat_evalsha:")).unwrap();
    assert!(line.starts_with("cmdstat_evalsha:calls=10,"), "{line}");
    assert!(!stats.contains("cmdstat_eval:") && !stats.contains("cmdstat_script"), "{stats}");
    let keys: Vec<Vec<u8>> = cmd("KEYS").arg("*").query_async(&mut redis).await.unwrap();
    assert_eq!(keys.len(), 6);
    assert!(keys.iter().all(|key| key.starts_with(b"shop:") && key.len() == 5 + 32));
}

#[tokio::test]
async fn a_record_goes_by_itself_and_lives_on_while_it_is_renewed() {
    let (_server, store, mut redis) = alone(&[]).await;
    let short = Duration::from_millis(150);
    let brief = |lease| {
        BeginRequest::new(request().key, request().fingerprint, request().owner, lease, short)
    };
    acquire(&store, &brief(short)).await;
    let held = acquire(&store, &brief(short)).await;
    assert_eq!(store.renew(&held, HOUR).await.unwrap(), Fenced::Applied);
    tokio::time::sleep(short * 2).await;
    let left: u32 = cmd("DBSIZE").query_async(&mut redis).await.unwrap();
    assert_eq!(left, 1);
    let done = store.complete(&held, StoredOutcome::tombstone(200), short).await.unwrap();
    assert_eq!(done, Fenced::Applied);
    tokio::time::sleep(short * 2).await;
    let left: u32 = cmd("DBSIZE").query_async(&mut redis).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_paused_server_is_a_timeout_and_what_it_did_is_found_again() {
    let (server, _, mut redis) = alone(&[]).await;
    let after = Duration::from_millis(150);
    let store = RedisStore::builder().store_timeout(after).connect(&server.url()).await.unwrap();
    let request = request();
    let () = cmd("CLIENT").arg("PAUSE").arg(500).query_async(&mut redis).await.unwrap();
    let error = store.begin(request.clone()).await.unwrap_err();
    assert!(matches!(error, StoreError::Timeout(timeout) if timeout == after), "{error:?}");
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(acquire(&store, &request).await.attempt, 1);
}

#[tokio::test]
async fn a_stopped_server_is_a_timeout_and_a_crashed_one_is_unavailable() {
    let server = Server::redis(&[]);
    let builder = RedisStore::builder().store_timeout(Duration::from_millis(300));
    let store = builder.connect(&server.url()).await.unwrap();
    server.stop();
    let error = store.begin(request()).await.unwrap_err();
    assert!(matches!(error, StoreError::Timeout(_)), "{error:?}");
    server.resume();
    acquire(&store, &request()).await;
    server.kill();
    let error = store.begin(request()).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    server.start();
    let back = async {
        while store.begin(request()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), back).await.expect("it comes back");
}

#[tokio::test]
async fn a_server_that_evicts_is_refused_unless_that_is_allowed() {
    let server = Server::redis(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]);
    let error = RedisStore::connect(&server.url()).await.unwrap_err();
    let StoreError::Misconfigured(says) = error else { panic!("{error:?}") };
    assert!(says.contains("maxmemory-policy is allkeys-lru, allowed is noeviction"), "{says}");
    let builder = RedisStore::builder().allow_eviction(true);
    acquire(&builder.connect(&server.url()).await.unwrap(), &request()).await;
}

#[tokio::test]
async fn a_server_that_will_not_tell_its_policy_is_taken_as_it_is() {
    let (server, _, mut redis) = alone(&[]).await;
    let user = ["SETUSER", "shop", "on", ">hush", "~*", "+@all", "-info", "-config"];
    let () = cmd("ACL").arg(&user).query_async(&mut redis).await.unwrap();
    let url = server.url().replace("redis://", "redis://shop:hush@");
    acquire(&RedisStore::connect(&url).await.unwrap(), &request()).await;
}

#[tokio::test]
async fn a_full_server_is_full_and_loses_nothing() {
    let (_server, store, mut redis) = alone(&[]).await;
    let kept = request();
    let claim = acquire(&store, &kept).await;
    let limit = ["SET", "maxmemory", "1"];
    let () = cmd("CONFIG").arg(&limit).query_async(&mut redis).await.unwrap();
    let error = store.begin(request()).await.unwrap_err();
    assert!(matches!(error, StoreError::Full), "{error:?}");
    let outcome = StoredOutcome::new(200, "x");
    let error = store.complete(&claim, outcome.clone(), HOUR).await.unwrap_err();
    assert!(matches!(error, StoreError::Full), "{error:?}");
    let begin = store.begin(duplicate(&kept)).await.unwrap();
    assert!(matches!(begin, Begin::InProgress { .. }), "{begin:?}");
    let limit = ["SET", "maxmemory", "0"];
    let () = cmd("CONFIG").arg(&limit).query_async(&mut redis).await.unwrap();
    assert_eq!(store.complete(&claim, outcome, HOUR).await.unwrap(), Fenced::Applied);
}

#[tokio::test]
async fn no_password_is_shown() {
    let server = Server::redis(&["--requirepass", "hunter2secret"]);
    let url = |password: &str| server.url().replace("redis://", &format!("redis://:{password}@"));
    let store = RedisStore::connect(&url("hunter2secret")).await.unwrap();
    let mut shown = format!("{store:?}");
    for bad in [url("wrong-hunter2secret"), server.url(), url("hunter2secret") + "/no/such"] {
        let error = RedisStore::connect(&bad).await.unwrap_err();
        assert!(matches!(error, StoreError::Misconfigured(_)), "{error:?}");
        write!(shown, "{error:?} {error}").unwrap();
    }
    let mut nowhere = url("hunter2secret");
    nowhere = nowhere.replace(&server.address().to_string(), "127.0.0.1:1");
    let error = RedisStore::connect(&nowhere).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    write!(shown, "{error:?} {error}").unwrap();
    assert!(!shown.contains("hunter2secret"), "{shown}");
}

#[tokio::test]
async fn a_record_that_makes_no_sense_is_corrupt_and_stays() {
    let (_server, store, mut redis) = alone(&[]).await;
    let request = request();
    let key = [b"buttress:idem:", &request.key.as_bytes()[..]].concat();
    let spoils: [&[&str]; 5] = [
        &["SET", "text"],
        &["HSET", "st", "I"],
        &["HSET", "st", "Z"],
        &["HSET", "st", "I", "at", "one"],
        &["HSET", "st", "C", "tg", "teapot"],
    ];
    for spoil in spoils {
        let () = cmd("DEL").arg(&key).query_async(&mut redis).await.unwrap();
        if spoil.len() > 3 || spoil[2..] == ["Z"] {
            let claim = acquire(&store, &request).await;
            let _ = store.complete(&claim, StoredOutcome::new(200, "x"), HOUR).await.unwrap();
        }
        let (verb, fields) = spoil.split_first().unwrap();
        let () = cmd(verb).arg(&key).arg(fields).query_async(&mut redis).await.unwrap();
        let error = store.begin(request.clone()).await.unwrap_err();
        assert!(matches!(error, StoreError::Corrupt(_)), "{spoil:?}: {error:?}");
        let there: bool = cmd("EXISTS").arg(&key).query_async(&mut redis).await.unwrap();
        assert!(there, "{spoil:?}");
    }
}

#[tokio::test]
async fn a_claim_counts_once_as_many_replicas_have_it() {
    let server = Server::redis(&[]);
    let within = Duration::from_millis(200);
    let builder = RedisStore::builder().replicas(1, within);
    let store = builder.connect(&server.url()).await.unwrap();
    let request = request();
    let error = store.begin(request.clone()).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    let port = server.address().port().to_string();
    let _replica = Server::redis(&["--replicaof", "127.0.0.1", &port]);
    let back = async {
        loop {
            match store.begin(request.clone()).await {
                Ok(begin) => return begin,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let begin = tokio::time::timeout(Duration::from_secs(10), back).await.expect("a replica");
    assert!(matches!(begin, Begin::Acquired(ref claim) if claim.attempt == 1), "{begin:?}");
}

#[tokio::test]
async fn a_connection_manager_of_ones_own_will_do() {
    let client = Client::open(servers::redis()).unwrap();
    let manager = client.get_connection_manager().await.unwrap();
    acquire(&RedisStore::from_manager(manager).await.unwrap(), &request()).await;
}
