//! The load generator: open loop, with a deadline of its own.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use buttress::http::REFUSAL;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};
use tower::BoxError;

use crate::record::{Call, Outcome, Record};
use crate::script::{Arrival, DEADLINE};
use crate::server::{CRITICAL, USUAL};

type HttpClient = Client<HttpConnector, Body>;

fn client() -> HttpClient {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).build(connector)
}

/// Sends the traffic to the server at `address`, and returns when every call has ended.
///
/// Arrivals never wait for answers: each is due at a fixed time, and its latency counts from then,
/// so that a server that stalls cannot slow down the traffic that would show it.
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
    let due = record.start() + arrival.at;
    let path = if arrival.critical { CRITICAL } else { USUAL };
    // A task of its own: at the deadline its caller goes, and the answer is still read, as by a
    // proxy. To close the connection would cost the next call a new one, and a machine that is
    // late for a moment would have more to do than before.
    let answer = tokio::spawn(answer(client, path, address));
    let outcome = match timeout_at(due + DEADLINE, answer).await {
        Ok(Ok(Ok(outcome))) => outcome,
        Ok(_) => Outcome::Broken,
        Err(_) => Outcome::Late,
    };
    let latency = Instant::now().duration_since(due);
    record.call(Call { arrival, latency, outcome });
}

async fn answer(client: HttpClient, path: &str, address: SocketAddr) -> Result<Outcome, BoxError> {
    let request = Request::get(format!("http://{address}{path}")).body(Body::empty())?;
    let (head, body) = client.request(request).await?.into_parts();
    // To its end: only then is the connection free for the next call.
    body.collect().await?;
    Ok(match head.status {
        status if status.is_success() => Outcome::Good,
        StatusCode::SERVICE_UNAVAILABLE if head.headers.contains_key(&REFUSAL) => Outcome::Refused,
        _ => Outcome::Failed,
    })
}
