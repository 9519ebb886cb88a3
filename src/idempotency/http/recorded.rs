//! Answers that a handler keeps itself, in the transaction of its effects.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use tokio_postgres::Transaction;

use crate::idempotency::http::HeaderFilter;
use crate::idempotency::http::payload::Payload;
use crate::idempotency::{Context, ContextError, PostgresStore, StoredOutcome};

impl Context {
    /// Keeps `response` as the answer to every request with this key, in the handler's own
    /// transaction: effects and answer are committed together or not at all, so that the effects in
    /// this database happen exactly once. With features `http` and `postgres`.
    ///
    /// The layer's [`PostgresStore`] must use the same database. After the commit, tell the layer
    /// that its part is done by [`AlreadyRecorded`](crate::idempotency::AlreadyRecorded) in the
    /// response's extensions:
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use buttress::{BoxError, idempotency::{AlreadyRecorded, Context}};
    /// # use bytes::Bytes;
    /// # use http::Response;
    /// # async fn order(context: Context, client: &mut tokio_postgres::Client)
    /// #     -> Result<Response<Bytes>, BoxError> {
    /// let transaction = client.transaction().await?;
    /// transaction.execute("INSERT INTO orders VALUES ('teapot')", &[]).await?;
    /// let mut response = Response::new(Bytes::from("order 1"));
    /// context.complete_in(&transaction, &response, Duration::from_secs(86_400)).await?;
    /// transaction.commit().await?;
    /// response.extensions_mut().insert(AlreadyRecorded);
    /// Ok(response)
    /// # }
    /// ```
    ///
    /// Where that is forgotten, the layer keeps the answer once more, which changes nothing. The
    /// `retention` is the layer's. A `Response<Bytes>` becomes one of axum by `.map(Body::from)`.
    ///
    /// Takes the transactions of `tokio_postgres` and of `deadpool_postgres`. The record is locked
    /// from here to the end of the transaction: duplicates wait for that, up to the store's
    /// timeout, so call it last. Where the commit fails without an answer, return an error: if it
    /// has taken place, the next attempt gets the answer, and otherwise it runs.
    ///
    /// # Errors
    ///
    /// [`ContextError::Lost`] where somebody else has taken over, [`ContextError::Store`] where the
    /// write fails. Either way roll back: drop the transaction.
    pub async fn complete_in(
        &self,
        transaction: &Transaction<'_>,
        response: &Response<Bytes>,
        retention: Duration,
    ) -> Result<(), ContextError> {
        let filter = self.of_layer::<HeaderFilter>().unwrap_or_default();
        let payload = Payload {
            status: response.status(),
            headers: filter.stored(response.headers()),
            body: response.body().clone(),
            trailers: None,
        };
        let outcome = StoredOutcome::new(response.status().as_u16(), payload.encode());
        self.recorded(async |claim| {
            PostgresStore::complete_in(transaction, claim, &outcome, retention).await
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Handlers are spawned: this has to compile.
    #[allow(dead_code)]
    fn handlers_can_await_it<'a>(
        context: &'a Context,
        transaction: &'a Transaction<'_>,
        response: &'a Response<Bytes>,
    ) -> impl Future<Output = Result<(), ContextError>> + Send {
        context.complete_in(transaction, response, Duration::ZERO)
    }
}
