//! What a request costs at the store: counted on the wire.

use std::time::Duration;

use super::app::{App, Instance, Plan, Times};
use super::caller::Order;
use super::ledger::Ledger;
use super::place::Place;
use super::watched::Watched;
use crate::support::proxy::Proxy;

const ORDERS: usize = 20;

/// Round trips of as many requests that run, and of as many that are replayed.
async fn round_trips(place: Place) -> (usize, usize) {
    let proxy = Proxy::to(place.server()).await;
    let times = Times { lease: Duration::from_secs(60), store_timeout: Duration::from_secs(5) };
    let store = place.through(proxy.address()).open(times.store_timeout).await;
    let app = App::new(Ledger::in_memory(), Plan::default());
    let instance = Instance::start(Watched::new(store), app, times).await;
    let send = async |count: usize| {
        for n in 0..count {
            let answer = Order::new(format!("k{n}")).send(instance.address).await.unwrap();
            assert_eq!(answer.status, 200);
        }
    };
    // The connection, and what the server has to be told once for each.
    Order::new("first").send(instance.address).await.unwrap();
    proxy.round_trips();
    send(ORDERS).await;
    let run = proxy.round_trips();
    send(ORDERS).await;
    println!("{}, {ORDERS} requests: {run} round trips", place.name());
    (run, proxy.round_trips())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_costs_one_round_trip_to_begin_and_one_to_complete_and_a_replay_costs_one() {
    assert_eq!(round_trips(Place::redis()).await, (2 * ORDERS, ORDERS));
    assert_eq!(round_trips(Place::postgres().await).await, (2 * ORDERS, ORDERS));
}
