//! Hedges past a replica that is cut off.

use std::time::Duration;

use buttress::bulkhead::BulkheadLayer;
use buttress::hedge::{Delay, HedgeLayer};
use buttress::http::RetryPolicy;
use buttress::retry::{Attempt, Budget};
use buttress::timeout::{FromRequest, TimeoutLayer};
use bytes::Bytes;
use http::{Method, Request, Uri};
use http_body_util::Full;
use tower::{ServiceBuilder, ServiceExt};

use super::clients::{Client, TOTAL, Traffic, transport};
use super::history::{History, What, by_id};
use super::net::Protocol;
use super::play::{Fault, Play, every_seed};
use super::servers::{Bulkheads, Guard, ID};

const BEGINS: Duration = Duration::from_millis(300);
const ENDS: Duration = Duration::from_millis(900);
const HEDGED_AFTER: Duration = Duration::from_millis(50);
/// The way there and back, with connecting, and the work.
const PROMPT: Duration = Duration::from_millis(80);
const RATIO: f64 = 0.6;

/// Every other call goes to the other replica, and the second attempt to the one that is left.
fn in_turn(mut request: Request<Full<Bytes>>) -> Request<Full<Bytes>> {
    let number = request.extensions().get().map_or(1, |attempt: &Attempt| attempt.number);
    let id: u32 = request.headers()[ID].to_str().unwrap().parse().unwrap();
    let replica = if (id + number).is_multiple_of(2) { "left" } else { "right" };
    *request.uri_mut() = Uri::try_from(format!("http://{replica}/")).unwrap();
    request
}

fn hedging(history: &History, bulkheads: &Bulkheads, client: &'static str) -> Client {
    let bulkhead = BulkheadLayer::new(256);
    bulkheads.watch(bulkhead.handle());
    let hedge = HedgeLayer::builder(RetryPolicy::new())
        .delay(Delay::Fixed(HEDGED_AFTER))
        .budget(Budget::ratio(RATIO).at_least(1))
        .observe(history.observer(client))
        .build();
    ServiceBuilder::new()
        .layer(TimeoutLayer::builder(TOTAL).deadline(FromRequest).build())
        .layer(hedge)
        .layer(bulkhead)
        .map_request(in_turn)
        .service(transport(history, client, Protocol::Http1))
        .boxed_clone()
}

fn single(history: &History, client: &'static str) -> Client {
    ServiceBuilder::new()
        .layer(TimeoutLayer::builder(TOTAL).deadline(FromRequest).build())
        .map_request(in_turn)
        .service(transport(history, client, Protocol::Http1))
        .boxed_clone()
}

/// Two replicas, of which the left one is cut off from the clients for a while.
fn run(seed: u64, method: &Method) -> History {
    let mut play = Play::new(seed, 15);
    play.server("left", Protocol::Http1, 4, Guard::Full(64, 64));
    play.server("right", Protocol::Http1, 4, Guard::Full(64, 64));
    let traffic = |name| Traffic { method: method.clone(), ..Traffic::gets(name, "left") };
    play.client(traffic("client"), |history, bulkheads| hedging(history, bulkheads, "client"));
    play.client(traffic("naive"), |history, _| single(history, "naive"));
    play.run(&[(BEGINS, Fault::Hold), (ENDS, Fault::Mend)])
}

#[test]
fn a_hedge_answers_for_a_replica_that_is_cut_off() {
    let check = |history: &History| {
        let (calls, hedged) = (history.calls("client"), What::Hedged { client: "client" });
        assert!(calls.iter().all(|call| call.is_good() && call.took <= HEDGED_AFTER + PROMPT));
        let (second, calls) = (history.count(&hedged), calls.len());
        assert!(second > 20, "{second} hedges");
        assert_eq!(history.sent("client").len(), calls + second);
        assert!(second <= calls * 6 / 10 + 10, "{second} hedges of {calls} calls");

        let naive = history.calls("naive");
        let stuck = naive.iter().filter(|c| c.took > HEDGED_AFTER + PROMPT || !c.is_good()).count();
        assert!(stuck > 20, "without a hedge {stuck} were stuck");
    };
    every_seed(|seed| run(seed, &Method::GET), check);
}

#[test]
fn a_post_without_a_key_is_not_hedged() {
    let check = |history: &History| {
        assert_eq!(history.count(&What::Hedged { client: "client" }), 0);
        assert!(by_id(&history.sent("client")).values().all(|sent| *sent == 1));
        assert!(history.calls("client").iter().any(|call| !call.is_good()), "nothing was stuck");
    };
    every_seed(|seed| run(seed, &Method::POST), check);
}
