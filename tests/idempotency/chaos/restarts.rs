//! Servers that die and come back, and connections that are ended, while requests come in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, sleep};

use super::app::{Instance, Plan, Times};
use super::caller::Order;
use super::child::Setup;
use super::ledger::{Ledger, Tally};
use super::place::Place;
use crate::support::servers::{self, Server};

const CLIENTS: usize = 12;

/// What the clients have seen.
#[derive(Debug, Default)]
struct Counts {
    requests: AtomicUsize,
    answered: AtomicUsize,
    unavailable: AtomicUsize,
    in_progress: AtomicUsize,
}

/// Two instances, and clients of which two at a time have the same key, for as long as `torment`
/// goes on. Each key is repeated until its answer is final.
async fn under_load(name: &str, place: Place, torment: impl Future<Output = ()>) -> Vec<Tally> {
    let plan = Plan { before: Duration::from_millis(5), ..Plan::default() };
    let ledger = Ledger::in_memory();
    let setup = Setup { place, ledger, plan, times: Times::SHORT };
    let instances = Arc::new([setup.here().await, setup.here().await]);
    let (counts, over) = (Arc::new(Counts::default()), Arc::new(AtomicBool::new(false)));
    let clients = (0..CLIENTS).map(|client| {
        let (counts, over, instances) = (counts.clone(), over.clone(), instances.clone());
        tokio::spawn(async move {
            let mut rounds = 0;
            while !over.load(Ordering::Relaxed) {
                rounds += 1;
                let key = rounds * CLIENTS / 2 + client / 2;
                until_final(&Order::new(format!("k{key}")), &instances[client % 2], &counts).await;
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    torment.await;
    over.store(true, Ordering::Relaxed);
    for client in join_all(clients).await {
        client.unwrap();
    }
    let tallies: Vec<_> = setup.ledger.tally().await.into_values().collect();
    let unexplained = tallies.iter().filter(|tally| !tally.is_explained()).count();
    println!(
        "{name}: {counts:?}, {} keys, {:?}, {unexplained} keys with effects that no takeover explains",
        tallies.len(),
        Tally::sum(&tallies)
    );
    tallies
}

async fn until_final(order: &Order, instance: &Instance, counts: &Counts) {
    let until = Instant::now() + Duration::from_secs(20);
    let count = |what: &AtomicUsize| {
        what.fetch_add(1, Ordering::Relaxed);
    };
    loop {
        count(&counts.requests);
        let answer = order.send(instance.address).await.expect("the instances stay");
        match answer.status {
            200 => return count(&counts.answered),
            503 => count(&counts.unavailable),
            409 => count(&counts.in_progress),
            other => panic!("{other}: {answer:?}"),
        }
        assert!(Instant::now() < until, "no final answer: {answer:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Twice.
async fn kill_and_restart(server: &Server) {
    for _ in 0..2 {
        sleep(Duration::from_millis(1200)).await;
        tokio::task::block_in_place(|| server.kill());
        sleep(Duration::from_millis(300)).await;
        tokio::task::block_in_place(|| server.start());
    }
    sleep(Duration::from_millis(1200)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_writes_each_claim_to_disk_loses_none_when_it_is_killed() {
    let server = Server::redis(&["--appendonly yes", "--appendfsync always"]);
    let place = Place::redis_at(server.url());
    let tallies =
        under_load("Redis with AOF, killed twice", place, kill_and_restart(&server)).await;
    assert!(tallies.len() > CLIENTS);
    assert!(tallies.iter().all(Tally::is_explained), "{tallies:?}");
}

/// With nothing on disk a restart forgets all: whoever comes back runs again, and nothing says so.
/// That is what `RedisStore` documents; here it is counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_without_persistence_answers_everybody_after_it_was_killed() {
    let server = Server::redis(&[]);
    let place = Place::redis_at(server.url());
    let name = "Redis without persistence, killed twice";
    let tallies = under_load(name, place, kill_and_restart(&server)).await;
    assert!(tallies.len() > CLIENTS);
    assert!(tallies.iter().all(|tally| tally.effects >= 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backends_of_postgresql_that_are_terminated_lose_no_claim() {
    let name = servers::unique("torment");
    let place = Place::postgres().await.named(&name);
    let server = servers::postgres();
    let terminate = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{name}'"
    );
    let mut terminated = 0;
    let torment = async {
        for _ in 0..40 {
            sleep(Duration::from_millis(100)).await;
            terminated += servers::sql(&server, &terminate).await.len();
        }
    };
    let tallies = under_load("PostgreSQL, backends terminated", place, torment).await;
    println!("{terminated} backends were terminated");
    assert!(terminated > 0 && tallies.len() > CLIENTS);
    assert!(tallies.iter().all(Tally::is_explained), "{tallies:?}");
}
