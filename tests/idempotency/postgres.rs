//! The store in PostgreSQL: what is its own.

use std::fmt::Write;
use std::time::Duration;

use buttress::idempotency::{
    Begin, Fenced, PostgresStore, RecordState, Store, StoreError, StoredOutcome,
};
use tokio_postgres::NoTls;

use crate::support::proxy::Proxy;
use crate::support::requests::{HOUR, acquire, duplicate, request};
use crate::support::servers::{self, Server};

/// A schema of its own on the shared server, with a store that is migrated.
async fn migrated() -> (String, PostgresStore) {
    let url = servers::schema(&servers::postgres()).await;
    let store = PostgresStore::connect(&url).await.unwrap();
    store.migrate().await.unwrap();
    (url, store)
}

#[tokio::test]
async fn without_its_table_it_says_to_migrate_and_eight_may_do_so_at_once() {
    let url = servers::schema(&servers::postgres()).await;
    let store = PostgresStore::connect(&url).await.unwrap();
    let error = store.begin(request()).await.unwrap_err();
    let StoreError::Misconfigured(says) = error else { panic!("{error:?}") };
    assert!(says.contains("run PostgresStore::migrate()"), "{says}");
    let migrations = (0..8).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.migrate().await })
    });
    for migration in migrations.collect::<Vec<_>>() {
        migration.await.unwrap().unwrap();
    }
    acquire(&store, &request()).await;
}

/// Every default that a database or a role may have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_work_under_every_default_isolation() {
    for isolation in ["read committed", "repeatable read", "serializable"] {
        let (url, _) = migrated().await;
        let level = isolation.replace(' ', "%5C%20");
        let url = format!("{url}%20-cdefault_transaction_isolation%3D{level}");
        let shown = servers::sql(&url, "SHOW default_transaction_isolation").await;
        assert_eq!(shown, [isolation]);
        let store = PostgresStore::connect(&url).await.unwrap();
        for _ in 0..8 {
            let request = request();
            let begins = (0..16).map(|_| {
                let (store, request) = (store.clone(), duplicate(&request));
                tokio::spawn(async move { store.begin(request).await })
            });
            let mut acquired = 0;
            for begin in begins.collect::<Vec<_>>() {
                let begin = begin.await.unwrap().unwrap();
                acquired += usize::from(matches!(begin, Begin::Acquired(_)));
            }
            assert_eq!(acquired, 1, "under {isolation}");
        }
        a_claim_that_waited_for_a_lock_is_not_run_again(&url, &store).await;
    }
}

/// Under anything stricter than READ COMMITTED it would have to be, and a retry would hide that.
async fn a_claim_that_waited_for_a_lock_is_not_run_again(url: &str, direct: &PostgresStore) {
    let address = url.split(['@', '/']).nth(3).unwrap();
    let proxy = Proxy::to(address.parse().unwrap()).await;
    let through = url.replace(address, &proxy.address().to_string());
    let store = PostgresStore::builder().max_connections(1).connect(&through).await.unwrap();
    let request = request();
    let claim = acquire(&store, &request).await;
    let (mut client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let transaction = client.transaction().await.unwrap();
    let outcome = StoredOutcome::new(200, "x");
    let done = PostgresStore::complete_in(&transaction, &claim, &outcome, HOUR).await.unwrap();
    assert_eq!(done, Fenced::Applied);
    proxy.round_trips();
    let waiting = tokio::spawn(async move { store.begin(duplicate(&request)).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!waiting.is_finished(), "the record is locked");
    transaction.commit().await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), Begin::Completed(outcome));
    assert_eq!(proxy.round_trips(), 1);
    assert!(direct.inspect(&claim.key).await.unwrap().is_some());
}

#[tokio::test]
async fn a_terminated_backend_is_unavailable_once() {
    let (url, store) = migrated().await;
    let kept = request();
    let claim = acquire(&store, &kept).await;
    let schema = url.rsplit("%3D").next().unwrap();
    let others = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> \
         pg_backend_pid() AND query LIKE 'COMMIT' AND pid IN (SELECT pid FROM pg_stat_activity) \
         /* {schema} */"
    );
    servers::sql(&url, &others).await;
    let mut failures = 0;
    loop {
        match store.complete(&claim, StoredOutcome::tombstone(200), HOUR).await {
            Ok(done) => break assert_eq!(done, Fenced::Applied),
            Err(error) => assert!(error.is_transient(), "{error:?}"),
        }
        failures += 1;
        assert!(failures <= 3, "it does not come back");
    }
}

#[tokio::test]
async fn a_stopped_server_is_a_timeout_and_a_crashed_one_is_unavailable() {
    let server = Server::postgres(&[]);
    let builder = PostgresStore::builder().store_timeout(Duration::from_millis(500));
    let store = builder.connect(&server.url()).await.unwrap();
    store.migrate().await.unwrap();
    let kept = request();
    let claim = acquire(&store, &kept).await;
    server.stop();
    let error = store.begin(request()).await.unwrap_err();
    assert!(matches!(error, StoreError::Timeout(_)), "{error:?}");
    server.resume();
    acquire(&store, &request()).await;
    server.kill();
    let error = store.begin(request()).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    server.start();
    assert_eq!(acquire(&store, &kept).await, claim, "the crash lost a claim");
}

#[tokio::test]
async fn a_record_that_somebody_locks_is_a_timeout_and_holds_up_no_connection() {
    let (url, _) = migrated().await;
    let after = Duration::from_millis(200);
    let builder = PostgresStore::builder().store_timeout(after).max_connections(1);
    let store = builder.connect(&url).await.unwrap();
    let locked = request();
    let claim = acquire(&store, &locked).await;
    let (mut client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let transaction = client.transaction().await.unwrap();
    let outcome = StoredOutcome::new(200, "x");
    let done = PostgresStore::complete_in(&transaction, &claim, &outcome, HOUR).await.unwrap();
    assert_eq!(done, Fenced::Applied);
    let error = store.begin(duplicate(&locked)).await.unwrap_err();
    assert!(matches!(error, StoreError::Timeout(timeout) if timeout == after), "{error:?}");
    acquire(&store, &request()).await;
    transaction.commit().await.unwrap();
    let begin = store.begin(duplicate(&locked)).await.unwrap();
    assert_eq!(begin, Begin::Completed(outcome));
}

#[tokio::test]
async fn an_outcome_in_a_transaction_of_ones_own_counts_if_that_commits() {
    let (url, store) = migrated().await;
    servers::sql(&url, "CREATE TABLE orders (id int)").await;
    let (mut client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let outcome = StoredOutcome::new(201, "order 1");
    for commits in [false, true] {
        let request = request();
        let claim = acquire(&store, &request).await;
        let transaction = client.transaction().await.unwrap();
        transaction.batch_execute("INSERT INTO orders VALUES (1)").await.unwrap();
        let done = PostgresStore::complete_in(&transaction, &claim, &outcome, HOUR).await.unwrap();
        assert_eq!(done, Fenced::Applied);
        if commits {
            transaction.commit().await.unwrap();
        } else {
            transaction.rollback().await.unwrap();
        }
        let state = store.inspect(&request.key).await.unwrap().unwrap().state;
        let wanted = if commits { RecordState::Completed } else { RecordState::InFlight };
        assert_eq!(state, wanted);
        let orders = servers::sql(&url, "SELECT count(*) FROM orders").await;
        assert_eq!(orders, [u8::from(commits).to_string()]);
    }
}

#[tokio::test]
async fn a_claim_that_is_lost_is_lost_in_a_transaction_too() {
    let (url, store) = migrated().await;
    let request = request();
    let claim = acquire(&store, &request).await;
    assert!(store.forget(&request.key).await.unwrap());
    let config: tokio_postgres::Config = url.parse().unwrap();
    let manager = deadpool_postgres::Manager::new(config, NoTls);
    let pool = deadpool_postgres::Pool::builder(manager).build().unwrap();
    let mut client = pool.get().await.unwrap();
    // The pool's own kind of transaction.
    let transaction = client.transaction().await.unwrap();
    let outcome = StoredOutcome::tombstone(200);
    let done = PostgresStore::complete_in(&transaction, &claim, &outcome, HOUR).await.unwrap();
    assert_eq!(done, Fenced::Lost);
    drop(transaction);
    acquire(&PostgresStore::from_pool(pool.clone()), &request).await;
}

#[tokio::test]
async fn purging_takes_at_most_what_it_is_told_and_leaves_what_is_locked() {
    let (url, store) = migrated().await;
    for _ in 0..10 {
        let mut brief = request();
        (brief.lease, brief.retention) = (Duration::ZERO, Duration::ZERO);
        acquire(&store, &brief).await;
    }
    let kept = request();
    acquire(&store, &kept).await;
    let (mut client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let transaction = client.transaction().await.unwrap();
    let lock = "SELECT FROM idempotency_records WHERE expires_at <= now() LIMIT 2 FOR UPDATE";
    assert_eq!(transaction.query(lock, &[]).await.unwrap().len(), 2);
    assert_eq!(store.purge_expired(3).await.unwrap(), 3);
    assert_eq!(store.purge_expired(100).await.unwrap(), 5);
    transaction.rollback().await.unwrap();
    assert_eq!(store.purge_expired(100).await.unwrap(), 2);
    assert!(store.inspect(&kept.key).await.unwrap().is_some());
}

#[tokio::test]
async fn statements_that_the_server_forgot_are_prepared_again() {
    let (url, _) = migrated().await;
    let store = PostgresStore::builder().max_connections(1).connect(&url).await.unwrap();
    let request = request();
    let claim = acquire(&store, &request).await;
    let alter = "ALTER TABLE idempotency_records ALTER attempt TYPE int";
    servers::sql(&url, alter).await;
    servers::sql(&url, "ALTER TABLE idempotency_records ALTER attempt TYPE bigint").await;
    servers::sql(&url, "ALTER TABLE idempotency_records ADD later text").await;
    assert_eq!(acquire(&store, &request).await, claim);
}

#[tokio::test]
async fn a_record_that_makes_no_sense_is_corrupt_and_stays() {
    let (url, store) = migrated().await;
    let request = request();
    let claim = acquire(&store, &request).await;
    let _ = store.complete(&claim, StoredOutcome::new(200, "x"), HOUR).await.unwrap();
    for spoil in ["tag = -1", "tag = NULL", "tag = 200, format = 300", "format = NULL"] {
        servers::sql(&url, &format!("UPDATE idempotency_records SET {spoil}")).await;
        let error = store.begin(duplicate(&request)).await.unwrap_err();
        assert!(matches!(error, StoreError::Corrupt(_)), "{spoil}: {error:?}");
    }
    assert_eq!(servers::sql(&url, "SELECT count(*) FROM idempotency_records").await, ["1"]);
}

#[tokio::test]
async fn no_password_is_shown() {
    let url = servers::postgres();
    let with = url.replace("postgres@", "postgres:hunter2secret@");
    let store = PostgresStore::connect(&with).await.unwrap();
    let mut shown = format!("{store:?}");
    let nobody = url.replace("postgres@", "nobody:hunter2secret@");
    let elsewhere = with.replace("/postgres", "/no_such_database");
    for bad in
        [nobody, elsewhere, with.replace("postgres://", "postgres://:"), "hunter2secret".into()]
    {
        let error = PostgresStore::connect(&bad).await.unwrap_err();
        write!(shown, "{error:?} {error}").unwrap();
    }
    let error =
        PostgresStore::connect("postgres://a:hunter2secret@127.0.0.1:1/x").await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    write!(shown, "{error:?} {error}").unwrap();
    assert!(!shown.contains("hunter2secret"), "{shown}");
}
