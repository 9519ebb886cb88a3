//! The interleavings of claims, of those who wait for them, and of bounds that span the shards:
//! every one by loom, many by shuttle.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::idempotency::memory::room::RECORD_BYTES;
use crate::idempotency::memory::shards::Shards;
use crate::idempotency::{
    Abandon, Begin, BeginRequest, Claim, Fenced, Fingerprint, MemoryStore, OwnerId, RecordKey,
    RecordState, Store, StoreError, StoredOutcome,
};
use crate::sync::schedules::{block_on, explore, thread};

const HOUR: Duration = Duration::from_secs(3600);

fn key(number: u8) -> RecordKey {
    RecordKey::from_bytes([number; 32])
}

fn begin(store: &MemoryStore, number: u8, owner: u128) -> Result<Begin, StoreError> {
    let fingerprint = Fingerprint::from_bytes([0; 32]);
    let owner = OwnerId::new(owner);
    block_on(store.begin(BeginRequest::new(key(number), fingerprint, owner, HOUR, HOUR)))
}

fn claim(store: &MemoryStore, number: u8, owner: u128) -> Claim {
    let Ok(Begin::Acquired(claim)) = begin(store, number, owner) else { panic!("it is free") };
    claim
}

fn complete(store: &MemoryStore, claim: &Claim, length: usize) {
    let outcome = StoredOutcome::new(200, vec![7; length]);
    assert_eq!(block_on(store.complete(claim, outcome, HOUR)).unwrap(), Fenced::Applied);
}

/// Waits until the request has run, or is to be run by this owner. A change that is missed is a
/// deadlock, which loom reports.
fn wait(store: &MemoryStore, owner: u128) -> Begin {
    loop {
        match begin(store, 0, owner).unwrap() {
            Begin::InProgress { .. } => block_on(store.changed(&key(0))),
            answer => return answer,
        }
    }
}

#[test]
fn loom_memory_no_completion_is_missed() {
    explore(3, || {
        let store = MemoryStore::new();
        let held = claim(&store, 0, 0);
        let waiters = [1, 2].map(|owner| {
            let store = store.clone();
            thread::spawn(move || wait(&store, owner))
        });
        complete(&store, &held, 3);
        for waiter in waiters {
            let answer = waiter.join().unwrap();
            assert_eq!(answer, Begin::Completed(StoredOutcome::new(200, vec![7; 3])));
        }
    });
}

#[test]
fn loom_memory_a_claim_that_is_given_up_goes_to_one() {
    explore(3, || {
        let store = MemoryStore::new();
        let held = claim(&store, 0, 0);
        let waiters = [1, 2].map(|owner| {
            let store = store.clone();
            thread::spawn(move || match wait(&store, owner) {
                Begin::Acquired(claim) => {
                    complete(&store, &claim, 0);
                    1
                }
                Begin::Completed(_) => 0,
                other => panic!("{other:?}"),
            })
        });
        let fenced = block_on(store.abandon(&held, Abandon::Release)).unwrap();
        assert_eq!(fenced, Fenced::Applied);
        let ran: u32 = waiters.map(|waiter| waiter.join().unwrap()).iter().sum();
        assert_eq!(ran, 1, "one of them");
    });
}

#[test]
fn loom_memory_of_those_who_begin_together_one_holds() {
    explore(3, || {
        let store = MemoryStore::new();
        let callers = [1, 2].map(|owner| {
            let store = store.clone();
            thread::spawn(move || matches!(begin(&store, 0, owner), Ok(Begin::Acquired(_))))
        });
        let here = matches!(begin(&store, 0, 3), Ok(Begin::Acquired(_)));
        let held = callers.map(|caller| caller.join().unwrap());
        let holders = [here, held[0], held[1]].iter().filter(|held| **held).count();
        assert_eq!((holders, store.entries()), (1, 1));
    });
}

#[test]
fn loom_memory_a_bound_holds_across_the_shards() {
    assert_ne!(Shards::shard(&key(0)), Shards::shard(&key(1)));
    explore(3, || {
        let store = MemoryStore::builder().max_entries(1).build();
        let caller = {
            let store = store.clone();
            thread::spawn(move || begin(&store, 0, 1).is_ok())
        };
        let here = begin(&store, 1, 2).is_ok();
        let there = caller.join().unwrap();
        assert!(here != there, "room for one of them");
        assert_eq!((store.entries(), store.bytes()), (1, RECORD_BYTES));
    });
}

#[test]
fn loom_memory_answers_that_compete_for_room_end_within_it() {
    explore(3, || {
        let max = 3 * RECORD_BYTES + 100;
        let store = MemoryStore::builder().max_bytes(max).build();
        let old = claim(&store, 2, 0);
        complete(&store, &old, 60);
        let claims = [claim(&store, 0, 1), claim(&store, 1, 2)];
        let callers = claims.map(|claim| {
            let store = store.clone();
            thread::spawn(move || complete(&store, &claim, 70))
        });
        for caller in callers {
            caller.join().unwrap();
        }
        let states =
            [0, 1, 2].map(|number| block_on(store.inspect(&key(number))).unwrap().unwrap().state);
        let kept = states.iter().filter(|state| **state == RecordState::Completed).count();
        // One of the two new ones, unless each has made room at the cost of the other.
        assert!(kept <= 1 && states[2] == RecordState::Tombstone, "{states:?}");
        assert_eq!(store.bytes(), 3 * RECORD_BYTES + 70 * kept);
    });
}

#[test]
fn loom_memory_who_stops_waiting_leaves_nothing() {
    explore(3, || {
        let store = MemoryStore::new();
        let held = claim(&store, 0, 0);
        let leaving = {
            let store = store.clone();
            thread::spawn(move || {
                let key = key(0);
                let mut changed = pin!(store.changed(&key));
                // Looks once, and leaves.
                block_on(poll_fn(|cx| Poll::Ready(changed.as_mut().poll(cx).is_ready())));
            })
        };
        complete(&store, &held, 0);
        leaving.join().unwrap();
        assert!(store.nobody_waits());
    });
}

/// More parties than loom gets through.
#[cfg(buttress_shuttle)]
#[test]
fn shuttle_memory_of_many_who_wait_each_gets_an_answer_and_few_run() {
    explore(0, || {
        let store = MemoryStore::new();
        let callers: Vec<_> = (0..6)
            .map(|owner: u128| {
                let store = store.clone();
                thread::spawn(move || match wait(&store, owner) {
                    Begin::Acquired(claim) if owner % 2 == 0 => {
                        let how = Abandon::Release;
                        assert_eq!(block_on(store.abandon(&claim, how)).unwrap(), Fenced::Applied);
                    }
                    Begin::Acquired(claim) => complete(&store, &claim, 1),
                    Begin::Completed(outcome) => assert_eq!(outcome.tag, 200),
                    other => panic!("{other:?}"),
                })
            })
            .collect();
        for caller in callers {
            caller.join().unwrap();
        }
        assert!(store.nobody_waits());
        assert_eq!(store.entries(), 1);
    });
}
