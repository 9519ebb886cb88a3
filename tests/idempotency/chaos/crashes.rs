//! A process that dies at each point of a request, and another that goes on.

use std::net::SocketAddr;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::sleep;

use super::app::{Guard, Plan, Times};
use super::caller::{Answer, Order};
use super::child::Setup;
use super::ledger::{Ledger, Note, Tally, What};
use super::place::Place;
use super::watched::Point;

/// Requests that are on their way when the process dies.
const ORDERS: usize = 8;

/// What became of the orders of one crash.
struct Aftermath {
    point: Point,
    tallies: Vec<Tally>,
}

/// Orders at an instance that dies when the third of them comes by the point; then, the same at
/// another until each has its final answer.
async fn crash(setup: Setup, point: Point) -> Aftermath {
    let mut process = setup.elsewhere(Some((point, 3)));
    let orders: Vec<_> = (0..ORDERS).map(|n| Order::new(format!("{}-{n}", point.name()))).collect();
    let first = join_all(orders.iter().map(|order| until_cut(order, process.address))).await;
    assert!(process.ends().await, "it was to die at {point:?}");
    assert!(first.contains(&None), "at {point:?} all connections survived");

    let second = setup.here().await;
    let to = [second.address];
    let finals = join_all(orders.iter().map(|order| order.until_final(&to)));
    let finals = tokio::time::timeout(Duration::from_secs(15), finals).await.unwrap();
    for ((order, first), last) in orders.iter().zip(first).zip(&finals) {
        if let Some(first) = first {
            assert_eq!(first.body, last.body, "one answer to {order:?}");
        }
        let again = order.send(second.address).await.unwrap();
        assert!(again.replayed);
        assert_eq!(again.body, last.body, "one answer to {order:?}");
    }

    let notes = setup.ledger.notes().await;
    for (order, last) in orders.iter().zip(&finals) {
        let fence: u64 = last.body.rsplit('|').next().unwrap().parse().unwrap();
        let key = format!("t/{}", order.key);
        let of = |note: &&Note| (note.what, &note.key, note.fence) == (What::Effect, &key, fence);
        assert_eq!(notes.iter().filter(of).count(), 1, "the answer is that of an effect");
    }
    let mut tallies = Tally::of(&notes);
    let tally = |order: &Order| tallies.remove(&format!("t/{}", order.key)).unwrap_or_default();
    Aftermath { point, tallies: orders.iter().map(tally).collect() }
}

/// Repeats it until its answer is final, or the connection breaks.
async fn until_cut(order: &Order, to: SocketAddr) -> Option<Answer> {
    loop {
        let answer = order.send(to).await.ok()?;
        if answer.is_final() {
            return Some(answer);
        }
        sleep(Duration::from_millis(30)).await;
    }
}

/// All points at once, each with records and a ledger of its own.
async fn crashes(guard: Guard, setups: Vec<(Place, Ledger)>) -> Vec<Aftermath> {
    let plan = Plan { before: Duration::from_millis(10), guard, ..Plan::default() };
    let all = Point::ALL.into_iter().zip(setups).map(|(point, (place, ledger))| {
        tokio::spawn(crash(Setup { place, ledger, plan, times: Times::SHORT }, point))
    });
    let all: Vec<Aftermath> = join_all(all).await.into_iter().map(Result::unwrap).collect();
    for Aftermath { point, tallies } in &all {
        println!("{guard:?}, aborted at {}: {:?}", point.name(), Tally::sum(tallies));
    }
    all
}

fn assert_explained(all: &[Aftermath]) {
    for Aftermath { point, tallies } in all {
        for tally in tallies {
            assert!(tally.effects >= 1, "an order was lost at {point:?}");
            assert!(tally.is_explained(), "{tally:?} at {point:?}");
        }
        if *point == Point::AfterComplete {
            // Its record was complete.
            assert!(tallies.iter().any(|tally| tally.takeovers == 0), "{tallies:?}");
        } else {
            assert!(Tally::sum(tallies).takeovers > 0, "nobody took over after {point:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_crash_with_redis_no_effect_is_there_more_often_than_somebody_took_over() {
    let mut setups = Vec::new();
    for _ in Point::ALL {
        setups.push((Place::redis(), Ledger::list().await));
    }
    assert_explained(&crashes(Guard::None, setups).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_crash_with_postgresql_no_effect_is_there_more_often_than_somebody_took_over() {
    let mut setups = Vec::new();
    for _ in Point::ALL {
        setups.push((Place::postgres().await, Ledger::table().await));
    }
    assert_explained(&crashes(Guard::None, setups).await);
}

/// A row of effects, and the answer, in the handler's own transaction: exactly once, wherever the
/// process dies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_effect_in_the_transaction_of_its_answer_happens_once_wherever_the_process_dies() {
    let mut setups = Vec::new();
    for _ in Point::ALL {
        let place = Place::postgres().await;
        let ledger = Ledger::table_at(place.url()).await;
        setups.push((place, ledger));
    }
    for Aftermath { point, tallies } in crashes(Guard::Transaction, setups).await {
        for tally in tallies {
            assert_eq!(tally.effects, 1, "at {point:?}");
        }
    }
}
