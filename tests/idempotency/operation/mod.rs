//! `OperationLayer`: requests that are no HTTP.

mod errors;
mod json;
mod leaving;
mod readiness;
mod refusing;
mod running;
mod stores;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context as TaskContext, Poll};

use buttress::BoxError;
use buttress::idempotency::{
    Context, Disposition, Fingerprint, Idempotent, KeyError, MemoryStore, OpIdentity, Operation,
    OperationBuilder, OperationError, OperationLayer, Operations, OutcomeCodec, Scope,
};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use tower::{Layer, Service, ServiceExt};

#[derive(Clone, Debug)]
struct Order {
    tenant: &'static str,
    op: &'static str,
    key: Result<Option<&'static str>, KeyError>,
    item: &'static str,
    context: Option<Context>,
}

fn order(key: &'static str) -> Order {
    Order { tenant: "tenant-7", op: "place", key: Ok(Some(key)), item: "tea", context: None }
}

struct Orders;

impl Operation<Order> for Orders {
    fn identify(&self, order: &Order) -> Result<Option<OpIdentity>, KeyError> {
        let (scope, asked) = (Scope::new(order.tenant), Fingerprint::of(order.item));
        order.key.clone().map(|key| Some(OpIdentity::new(scope, order.op, key?, asked)))
    }

    fn attach(&self, order: &mut Order, context: Context) {
        assert!(order.item != "no room for a context", "no room");
        order.context = Some(context);
    }
}

/// What came of an order, and what the codec makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Failure {
    /// Kept.
    Declined(String),
    /// Released.
    Busy,
    /// Indeterminate.
    Unclear,
    /// A tombstone.
    Secret,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Failure {}

struct Texts;

impl OutcomeCodec<String, Failure> for Texts {
    fn classify(&self, outcome: &Result<String, Failure>) -> Disposition {
        match outcome {
            Ok(text) if text == "panic" => panic!("the codec"),
            Ok(text) if text == "forget" => Disposition::Tombstone,
            Ok(_) | Err(Failure::Declined(_)) => Disposition::Store,
            Err(Failure::Busy) => Disposition::Release,
            Err(Failure::Unclear) => Disposition::Indeterminate,
            Err(Failure::Secret) => Disposition::Tombstone,
        }
    }

    fn encode(&self, outcome: &Result<String, Failure>) -> Result<Bytes, BoxError> {
        match outcome {
            Ok(text) if text == "unwritable" => Err("unwritable".into()),
            Ok(text) => Ok(format!("+{text}").into()),
            Err(Failure::Declined(why)) => Ok(format!("-{why}").into()),
            Err(other) => panic!("{other} is not kept"),
        }
    }

    fn decode(&self, bytes: Bytes) -> Result<Result<String, Failure>, BoxError> {
        let text = std::str::from_utf8(&bytes)?;
        match text.split_at_checked(1) {
            Some(("+", "unreadable")) | None => Err("unreadable".into()),
            Some(("+", text)) => Ok(Ok(text.to_owned())),
            Some((_, why)) => Ok(Err(Failure::Declined(why.to_owned()))),
        }
    }
}

type Outcome = Result<String, Failure>;
type Handler = dyn Fn(Order, usize) -> BoxFuture<'static, Outcome> + Send + Sync;
type Answer = Result<Idempotent<String>, OperationError<Failure>>;

/// A service that insists on tower's contract: each call on an instance that was made ready.
struct Shop {
    handler: Arc<Handler>,
    state: Arc<ShopState>,
    is_ready: bool,
}

#[derive(Default)]
struct ShopState {
    orders: AtomicUsize,
    finished: AtomicUsize,
    closed: AtomicBool,
    broken: AtomicBool,
}

impl Shop {
    /// `handler` is told which order it is, from 1.
    fn new<F>(handler: impl Fn(Order, usize) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let handler = Arc::new(move |order, number| handler(order, number).boxed());
        Self { handler, state: Arc::default(), is_ready: false }
    }

    /// Answers with the number of the order, after a second.
    fn counting() -> Self {
        Self::new(async |_, number: usize| {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            Ok(format!("order {number}"))
        })
    }

    /// Answers at once.
    fn answering(answer: impl Fn() -> Outcome + Send + Sync + 'static) -> Self {
        Self::new(move |_, _| std::future::ready(answer()))
    }

    fn orders(&self) -> usize {
        self.state.orders.load(Ordering::SeqCst)
    }

    fn finished(&self) -> usize {
        self.state.finished.load(Ordering::SeqCst)
    }
}

impl Clone for Shop {
    fn clone(&self) -> Self {
        Self { handler: self.handler.clone(), state: self.state.clone(), is_ready: false }
    }
}

impl Service<Order> for Shop {
    type Response = String;
    type Error = Failure;
    type Future = BoxFuture<'static, Outcome>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Failure>> {
        if self.state.broken.load(Ordering::SeqCst) {
            return Poll::Ready(Err(Failure::Declined("broken".to_owned())));
        }
        if self.state.closed.load(Ordering::SeqCst) {
            // Nobody wakes it: tests open the shop and poll anew.
            return Poll::Pending;
        }
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, order: Order) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "called without having been made ready");
        let number = self.state.orders.fetch_add(1, Ordering::SeqCst) + 1;
        let (outcome, state) = ((self.handler)(order, number), self.state.clone());
        async move {
            let outcome = outcome.await;
            state.finished.fetch_add(1, Ordering::SeqCst);
            outcome
        }
        .boxed()
    }
}

type Once<St = MemoryStore> = Operations<Shop, Orders, Texts, St>;

fn builder() -> OperationBuilder<Orders, Texts, MemoryStore> {
    OperationLayer::builder(MemoryStore::new(), Orders, Texts)
}

/// A service of its own layer, with the defaults.
fn once(shop: &Shop) -> Once {
    builder().build().layer(shop.clone())
}

async fn send<S>(service: &S, order: Order) -> Result<S::Response, S::Error>
where
    S: Service<Order> + Clone,
{
    service.clone().oneshot(order).await
}

/// The text of the answer, and whether it is a replay.
#[track_caller]
fn said(answer: Answer) -> (String, bool) {
    let answer = answer.expect("an answer");
    (answer.to_string(), answer.replayed())
}
