//! What stores make of a network that fails: the same for each of them.

use std::time::Duration;

use buttress::idempotency::{
    Abandon, Begin, Fenced, PostgresStore, RecordState, RedisStore, Store, StoreError,
    StoredOutcome,
};
use tokio::time::{Instant, timeout};

use crate::support::proxy::{Mode, Proxy};
use crate::support::requests::request as another;
use crate::support::requests::{HOUR, acquire, duplicate, request};
use crate::support::servers::{self, Server};

const TIMEOUT: Duration = Duration::from_millis(400);

/// A store that reaches its server through a proxy, and the same one that reaches it directly.
struct Line<S> {
    proxy: Proxy,
    store: S,
    direct: S,
    // The last to go.
    _server: Option<Server>,
}

async fn redis() -> Line<RedisStore> {
    let server = Server::redis(&[]);
    let proxy = Proxy::to(server.address()).await;
    let builder = RedisStore::builder().store_timeout(TIMEOUT);
    let direct = builder.clone().connect(&server.url()).await.unwrap();
    let store = builder.connect(&server.url_at(proxy.address())).await.unwrap();
    Line { proxy, store, direct, _server: Some(server) }
}

async fn postgres() -> Line<PostgresStore> {
    let url = servers::schema(&servers::postgres()).await;
    let address = url.split(['@', '/']).nth(3).expect("an address").parse().unwrap();
    let proxy = Proxy::to(address).await;
    let through = url.replace(&address.to_string(), &proxy.address().to_string());
    let direct = PostgresStore::connect(&url).await.unwrap();
    direct.migrate().await.unwrap();
    let builder = PostgresStore::builder().store_timeout(TIMEOUT).max_connections(2);
    let store = builder.connect(&through).await.unwrap();
    Line { proxy, store, direct, _server: None }
}

/// Tries until the store is back, as the engine does.
async fn once_it_is_back<T, F: Future<Output = Result<T, StoreError>>>(
    mut operation: impl FnMut() -> F,
) -> T {
    let tries = async {
        loop {
            match operation().await {
                Ok(answer) => return answer,
                Err(error) => assert!(error.is_transient(), "{error:?}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(10), tries).await.expect("the store comes back")
}

async fn a_refused_connection_is_unavailable_and_soon_told<S: Store>(line: Line<S>) {
    line.proxy.set(Mode::Refuse);
    let before = Instant::now();
    for _ in 0..3 {
        let error = line.store.begin(request()).await.unwrap_err();
        assert!(error.is_transient(), "{error:?}");
    }
    assert!(before.elapsed() < 3 * (TIMEOUT + TIMEOUT / 2), "{:?}", before.elapsed());
    line.proxy.set(Mode::Pass);
    let request = request();
    let begin = once_it_is_back(|| line.store.begin(request.clone())).await;
    assert!(matches!(begin, Begin::Acquired(_)), "{begin:?}");
}

async fn a_black_hole_is_a_timeout_after_the_stores_time<S: Store>(line: Line<S>) {
    let request = request();
    let claim = acquire(&line.store, &request).await;
    line.proxy.set(Mode::BlackHole);
    let before = Instant::now();
    let outcome = StoredOutcome::new(200, "x");
    let error = line.store.complete(&claim, outcome.clone(), HOUR).await.unwrap_err();
    let took = before.elapsed();
    assert!(matches!(error, StoreError::Timeout(after) if after == TIMEOUT), "{error:?}");
    assert!(took >= TIMEOUT && took < TIMEOUT * 2, "{took:?}");
    line.proxy.set(Mode::Pass);
    let again = once_it_is_back(|| line.store.complete(&claim, outcome.clone(), HOUR)).await;
    assert_eq!(again, Fenced::Applied);
}

async fn a_begin_whose_answer_is_lost_is_repeated_and_gets_the_same_claim<S: Store>(line: Line<S>) {
    // Connected and warm, so that the answer cut off is that of the begin.
    acquire(&line.store, &request()).await;
    let request = request();
    line.proxy.set(Mode::CutAfterRequest);
    let error = line.store.begin(request.clone()).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    line.proxy.set(Mode::Pass);
    let applied = line.direct.inspect(&request.key).await.unwrap().expect("it was applied");
    let Begin::Acquired(claim) = once_it_is_back(|| line.store.begin(request.clone())).await else {
        panic!("the owner is told that somebody else runs it")
    };
    assert_eq!((claim.fence, claim.attempt), (applied.fence, 1));
    let other = line.direct.begin(duplicate(&request)).await.unwrap();
    assert!(matches!(other, Begin::InProgress { .. }), "{other:?}");
}

async fn a_write_whose_answer_is_lost_is_repeated_and_applied<S: Store>(line: Line<S>) {
    let outcome = StoredOutcome::new(201, "the answer");
    for completes in [true, false] {
        let request = request();
        let claim = once_it_is_back(|| line.store.begin(request.clone())).await;
        let Begin::Acquired(claim) = claim else { panic!("{claim:?}") };
        let write = async |claim| {
            if completes {
                line.store.complete(claim, outcome.clone(), HOUR).await
            } else {
                line.store.abandon(claim, Abandon::Indeterminate).await
            }
        };
        // The first of its kind may teach the server the statement, and be cut off there.
        let other = acquire(&line.store, &another()).await;
        assert_eq!(write(&other).await.unwrap(), Fenced::Applied);
        line.proxy.set(Mode::CutAfterRequest);
        assert!(write(&claim).await.unwrap_err().is_transient());
        line.proxy.set(Mode::Pass);
        let state = line.direct.inspect(&request.key).await.unwrap().unwrap().state;
        assert_ne!(state, RecordState::InFlight, "it was not applied");
        assert_eq!(once_it_is_back(|| write(&claim)).await, Fenced::Applied);
        let stored = line.direct.begin(duplicate(&request)).await.unwrap();
        if completes {
            assert_eq!(stored, Begin::Completed(outcome.clone()));
        } else {
            assert_eq!(stored, Begin::Indeterminate);
        }
    }
}

async fn a_slow_answer_is_waited_for<S: Store>(line: Line<S>) {
    let request = request();
    acquire(&line.store, &request).await;
    line.proxy.set(Mode::Delay(TIMEOUT / 4));
    let before = Instant::now();
    let claim = acquire(&line.store, &request).await;
    assert!(before.elapsed() >= TIMEOUT / 4);
    line.proxy.set(Mode::Pass);
    let done = line.store.complete(&claim, StoredOutcome::tombstone(200), HOUR).await.unwrap();
    assert_eq!(done, Fenced::Applied);
}

async fn a_call_that_is_given_up_spoils_no_other<S: Store>(line: Line<S>) {
    acquire(&line.store, &request()).await;
    line.proxy.set(Mode::BlackHole);
    for _ in 0..8 {
        let given_up = timeout(Duration::from_millis(10), line.store.begin(request())).await;
        assert!(given_up.is_err());
    }
    line.proxy.set(Mode::Pass);
    let request = request();
    let Begin::Acquired(claim) = once_it_is_back(|| line.store.begin(request.clone())).await else {
        panic!("the answer to another call")
    };
    assert_eq!((claim.key, claim.owner), (request.key, request.owner));
    let seen = line.direct.inspect(&request.key).await.unwrap().unwrap();
    assert_eq!(seen.fence, claim.fence);
}

async fn a_begin_and_a_complete_take_one_round_trip_each<S: Store>(line: Line<S>) {
    // The first of each kind may teach the server the statement.
    let warm = acquire(&line.store, &request()).await;
    let outcome = StoredOutcome::new(200, vec![7; 10_000]);
    let _ = line.store.complete(&warm, outcome.clone(), HOUR).await.unwrap();
    line.proxy.round_trips();
    for _ in 0..20 {
        let request = request();
        let claim = acquire(&line.store, &request).await;
        assert_eq!(line.proxy.round_trips(), 1, "a begin that acquires");
        line.store.begin(duplicate(&request)).await.unwrap();
        assert_eq!(line.proxy.round_trips(), 1, "a begin while it runs");
        let _ = line.store.renew(&claim, HOUR).await.unwrap();
        line.proxy.round_trips();
        let _ = line.store.complete(&claim, outcome.clone(), HOUR).await.unwrap();
        assert_eq!(line.proxy.round_trips(), 1, "a complete");
        line.store.begin(duplicate(&request)).await.unwrap();
        assert_eq!(line.proxy.round_trips(), 1, "a begin that is answered with the outcome");
    }
}

macro_rules! for_each_store {
    ($($fault:ident)+) => {
        mod redis {
            $(#[tokio::test] async fn $fault() { super::$fault(super::redis().await).await; })+
        }
        mod postgres {
            $(#[tokio::test] async fn $fault() { super::$fault(super::postgres().await).await; })+
        }
    };
}

for_each_store! {
    a_refused_connection_is_unavailable_and_soon_told
    a_black_hole_is_a_timeout_after_the_stores_time
    a_begin_whose_answer_is_lost_is_repeated_and_gets_the_same_claim
    a_write_whose_answer_is_lost_is_repeated_and_applied
    a_slow_answer_is_waited_for
    a_call_that_is_given_up_spoils_no_other
    a_begin_and_a_complete_take_one_round_trip_each
}
