//! The table of orders.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use buttress::idempotency::{AlreadyRecorded, Context};
use bytes::Bytes;
use deadpool_postgres::Pool;
use tower::BoxError;

use crate::stack::RETENTION;

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) cart: usize,
    /// When it was written, from the start of the run.
    pub(crate) at: Duration,
}

/// The table of one storefront, which all of its instances share.
pub(crate) enum Table {
    Memory(Mutex<Vec<Row>>),
    Postgres { pool: Pool, name: String },
}

impl Table {
    /// Writes a row, and makes the answer.
    ///
    /// Behind an idempotency layer there is a context. Where the records are in the same database,
    /// the answer is kept in the transaction that writes the row; elsewhere nothing runs again once
    /// the row may have been written.
    pub(crate) async fn insert(
        &self,
        row: Row,
        customer: &str,
        context: Option<&Context>,
    ) -> Result<Response<Body>, BoxError> {
        let answer = match self {
            Self::Memory(rows) => {
                if let Some(context) = context {
                    context.begin_effects().await?;
                }
                let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
                rows.push(row);
                placed(rows.len(), customer)?
            }
            Self::Postgres { pool, name } => {
                let (cart, at) = (i64::try_from(row.cart)?, i64::try_from(row.at.as_micros())?);
                let insert = format!("INSERT INTO {name} (cart, at) VALUES ($1, $2) RETURNING id");
                let mut client = pool.get().await?;
                let transaction = client.transaction().await?;
                let row = transaction.query_one(&insert, &[&cart, &at]).await?;
                let mut answer = placed(row.try_get::<_, i64>("id")?, customer)?;
                if let Some(context) = context {
                    context.complete_in(&transaction, &answer, RETENTION).await?;
                    answer.extensions_mut().insert(AlreadyRecorded);
                }
                transaction.commit().await?;
                answer
            }
        };
        Ok(answer.map(Body::from))
    }

    pub(crate) async fn rows(&self) -> Result<Vec<Row>, BoxError> {
        let (pool, name) = match self {
            Self::Memory(rows) => {
                return Ok(rows.lock().unwrap_or_else(PoisonError::into_inner).clone());
            }
            Self::Postgres { pool, name } => (pool, name),
        };
        let select = format!("SELECT cart, at FROM {name} ORDER BY at");
        let rows = pool.get().await?.query(&select, &[]).await?;
        let rows = rows.iter().map(|row| {
            let (cart, at): (i64, i64) = (row.try_get("cart")?, row.try_get("at")?);
            Ok(Row { cart: cart.try_into()?, at: Duration::from_micros(at.try_into()?) })
        });
        rows.collect()
    }
}

fn placed(number: impl std::fmt::Display, customer: &str) -> Result<Response<Bytes>, BoxError> {
    let said = format!("order {number} of {customer} is placed");
    Ok(Response::builder().status(StatusCode::CREATED).body(Bytes::from(said))?)
}
