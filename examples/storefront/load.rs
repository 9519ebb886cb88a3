//! The load generator: open loop, with a deadline of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use buttress::http::REFUSAL;
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};
use tower::BoxError;

use crate::record::{Call, Outcome, Record};
use crate::script::{Arrival, DEADLINE, Route};

type HttpClient = Client<HttpConnector, Full<Bytes>>;

fn client() -> HttpClient {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).build(connector)
}

/// Sends the traffic to the storefront at `address`, and returns when every call has ended.
///
/// Arrivals never wait for answers: each is due at a fixed time, and its latency counts from
/// then, so that a storefront that stalls cannot slow down the traffic that would show it.
pub(crate) async fn generate(traffic: &[Arrival], address: SocketAddr, record: &Arc<Record>) {
    let client = client();
    let mut calls = JoinSet::new();
    for arrival in traffic {
        let due = record.start() + arrival.at;
        sleep_until(due).await;
        record.lag(due.elapsed());
        calls.spawn(one(client.clone(), *arrival, address, record.clone()));
        while calls.try_join_next().is_some() {}
    }
    while calls.join_next().await.is_some() {}
}

async fn one(client: HttpClient, arrival: Arrival, address: SocketAddr, record: Arc<Record>) {
    let Arrival { at, route } = arrival;
    let due = record.start() + at;
    // At the deadline the future is dropped and its connection closed, as a browser would do it.
    let outcome = match timeout_at(due + DEADLINE, answer(&client, route, address)).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Outcome::Failed,
        Err(_) => Outcome::Late,
    };
    let latency = Instant::now().duration_since(due);
    record.call(Call { route, at, latency, outcome });
}

async fn answer(
    client: &HttpClient,
    route: Route,
    address: SocketAddr,
) -> Result<Outcome, BoxError> {
    let method = match route {
        Route::Checkout => Method::POST,
        Route::Catalog => Method::GET,
    };
    let (head, _) = fetch(client, method, address, route.path()).await?.into_parts();
    Ok(match head.headers.get(&REFUSAL) {
        _ if head.status.is_success() => Outcome::Good,
        Some(code) => Outcome::Refused(code.to_str()?.to_owned()),
        None => Outcome::Failed,
    })
}

/// What `/metrics` says: one scrape, as Prometheus would make it.
pub(crate) async fn scrape(address: SocketAddr) -> Result<String, BoxError> {
    let soon = Instant::now() + Duration::from_secs(5);
    let client = client();
    let answer = timeout_at(soon, fetch(&client, Method::GET, address, "/metrics")).await??;
    Ok(String::from_utf8(answer.into_body().to_vec())?)
}

async fn fetch(
    client: &HttpClient,
    method: Method,
    address: SocketAddr,
    path: &str,
) -> Result<Response<Bytes>, BoxError> {
    let uri = format!("http://{address}{path}");
    let request = Request::builder().method(method).uri(uri).body(Full::default())?;
    let (head, body): (_, Incoming) = client.request(request).await?.into_parts();
    Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
}
