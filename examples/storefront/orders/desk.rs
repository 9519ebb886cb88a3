//! Where orders are taken: the route, and its handler with an effect that must not happen twice.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use buttress::idempotency::Context;
use tokio::time::sleep;
use tower::BoxError;

use crate::orders::table::{Row, Table};
use crate::record::Record;

/// What the handler does before it writes its row: it asks the stock.
const BEFORE: Duration = Duration::from_millis(30);
/// What it does after that: it tells the packers.
const AFTER: Duration = Duration::from_millis(30);

/// Who is signed in.
#[derive(Clone, Debug)]
pub(crate) struct Customer(pub(crate) String);

/// The desk of one storefront, at which all of its instances sit.
pub(crate) struct Desk {
    table: Table,
    record: Arc<Record>,
    begun: Mutex<BTreeSet<usize>>,
}

impl Desk {
    pub(crate) fn new(table: Table, record: Arc<Record>) -> Arc<Self> {
        Arc::new(Self { table, record, begun: Mutex::default() })
    }

    /// The route `POST /orders`, with `front` between those who sign customers in and the handler.
    pub(crate) fn route(
        self: &Arc<Self>,
        front: impl FnOnce(MethodRouter) -> MethodRouter,
    ) -> MethodRouter {
        front(post(place).with_state(self.clone())).layer(from_fn(sign_in))
    }

    /// What is in the table.
    pub(crate) async fn rows(&self) -> Result<Vec<Row>, BoxError> {
        self.table.rows().await
    }

    /// The carts that reached the handler.
    pub(crate) fn begun(&self) -> BTreeSet<usize> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn begins(&self, cart: usize) {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).insert(cart);
    }
}

/// Stands for whatever turns credentials into somebody.
async fn sign_in(mut request: Request, next: Next) -> Response {
    let credentials = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(name) = credentials.and_then(|value| value.strip_prefix("Bearer token-of-")) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let customer = Customer(name.to_owned());
    request.extensions_mut().insert(customer);
    next.run(request).await
}

/// Takes an order. Behind an idempotency layer it has a context, by which its row and its answer
/// are kept together.
async fn place(
    State(desk): State<Arc<Desk>>,
    Extension(Customer(name)): Extension<Customer>,
    context: Option<Context>,
    body: Bytes,
) -> Response {
    let cart = std::str::from_utf8(&body).ok().and_then(|text| text.parse().ok());
    let Some(cart) = cart else { return StatusCode::BAD_REQUEST.into_response() };
    desk.begins(cart);
    sleep(BEFORE).await;
    let row = Row { cart, at: desk.record.now() };
    match desk.table.insert(row, &name, context.as_ref()).await {
        Ok(answer) => {
            sleep(AFTER).await;
            answer
        }
        Err(error) => failed(&error),
    }
}

fn failed(error: &BoxError) -> Response {
    eprintln!("storefront: an order was not taken: {error}");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}
