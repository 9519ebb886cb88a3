//! The customers: one key for each order, however often it is sent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use buttress::idempotency::{IdempotencyKey, KeyLayer, RetryPolicy};
use buttress::retry::{Attempt, Backoff, RetryLayer};
use buttress::timeout::TimeoutLayer;
use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder, ServiceExt};

use crate::orders::plan::{Cut, Habit, Order};
use crate::record::Record;

/// What a customer was told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
    /// Whether it says that it was given before.
    pub(crate) replayed: bool,
}

/// A customer at the end of the run.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) habit: Habit,
    /// Connections that were cut.
    pub(crate) cuts: usize,
    pub(crate) answers: Vec<Answer>,
}

type Sender = BoxCloneSyncService<Request<Full<Bytes>>, Response<Bytes>, BoxError>;

/// What a request meets on its way: in its extensions.
#[derive(Clone)]
struct Trip {
    /// The instances in the order in which the attempts go to them.
    desks: Arc<[SocketAddr]>,
    cuts: Arc<[Cut]>,
}

/// Sends the orders to the instances of one storefront, each attempt to the next of them.
pub(crate) async fn send(orders: &[Order], desks: &[SocketAddr], record: &Record) -> Vec<Told> {
    let mut customers = JoinSet::new();
    for order in orders {
        sleep_until(record.start() + order.at).await;
        customers.spawn(customer(order.clone(), desks.to_vec()));
    }
    customers.join_all().await
}

async fn customer(order: Order, mut desks: Vec<SocketAddr>) -> Told {
    let patient = order.habit != Habit::Leaves;
    let sender = if patient { persistent() } else { at_once() };
    let cuts = if patient { &order.cuts[..] } else { &order.cuts[..order.cuts.len().min(1)] };
    let first = sender.clone().oneshot(request(order.cart, &desks, cuts)).await;
    let mut answers: Vec<_> = first.into_iter().map(answer).collect();
    if order.habit == Habit::Reloads {
        desks.rotate_left(1);
        let again = sender.oneshot(request(order.cart, &desks, &[])).await;
        answers.extend(again.into_iter().map(answer));
    }
    Told { habit: order.habit, cuts: cuts.len(), answers }
}

/// The page keeps the key with the cart: whoever loads it again sends the same order.
fn request(cart: usize, desks: &[SocketAddr], cuts: &[Cut]) -> Request<Full<Bytes>> {
    let mut request = Request::post("/orders")
        .header(HOST, "storefront")
        .header(AUTHORIZATION, format!("Bearer token-of-customer-{cart}"))
        .body(Full::from(cart.to_string()))
        .expect("a request of constants");
    let key = IdempotencyKey::new(format!("cart-{cart}")).expect("letters and digits");
    request.extensions_mut().insert(key);
    request.extensions_mut().insert(Trip { desks: desks.into(), cuts: cuts.into() });
    request
}

fn answer(response: Response<Bytes>) -> Answer {
    let replayed = response.headers().contains_key("idempotency-replayed");
    Answer { status: response.status(), replayed, body: response.into_body() }
}

/// Sends until there is an answer.
fn persistent() -> Sender {
    let retry = RetryLayer::builder(RetryPolicy::default())
        .max_attempts(5)
        .backoff(Backoff::exponential(Duration::from_millis(50), Duration::from_millis(400)))
        .build();
    BoxCloneSyncService::new(
        ServiceBuilder::new()
            .layer(KeyLayer::new())
            .layer(retry)
            .layer(TimeoutLayer::new(Duration::from_secs(5)))
            .service_fn(attempt),
    )
}

/// Sends once.
fn at_once() -> Sender {
    BoxCloneSyncService::new(ServiceBuilder::new().layer(KeyLayer::new()).service_fn(attempt))
}

/// One attempt, over a connection of its own.
async fn attempt(request: Request<Full<Bytes>>) -> Result<Response<Bytes>, BoxError> {
    let extensions = request.extensions();
    let number = extensions.get::<Attempt>().map_or(0, |attempt| attempt.number as usize - 1);
    let trip = extensions.get::<Trip>().ok_or("a request without a destination")?;
    let cut = trip.cuts.get(number).copied();
    let stream = TcpStream::connect(trip.desks[number % trip.desks.len()]).await?;
    stream.set_nodelay(true)?;
    if cut.is_some_and(|cut| cut.reset) {
        stream.set_zero_linger()?;
    }
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let answered = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        Ok::<_, BoxError>(Response::from_parts(head, body.collect().await?.to_bytes()))
    };
    let Some(cut) = cut else { return answered.await };
    let answer = timeout(cut.after, answered).await;
    // The socket goes with it.
    connection.abort();
    answer.map_err(|_| "the connection was cut")?
}
