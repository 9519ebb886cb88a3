//! The table of orders.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use buttress::idempotency::Context;
use tower::BoxError;

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
}

impl Table {
    /// Writes a row, and makes the answer.
    pub(crate) async fn insert(
        &self,
        cart: usize,
        at: Duration,
        customer: &str,
        context: Option<&Context>,
    ) -> Result<Response, BoxError> {
        let number = match self {
            Self::Memory(rows) => {
                // From here on nobody may begin anew, whatever becomes of this.
                if let Some(context) = context {
                    context.begin_effects().await?;
                }
                let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
                rows.push(Row { cart, at });
                rows.len()
            }
        };
        let answer = format!("order {number} of {customer} is placed");
        Ok((StatusCode::CREATED, answer).into_response())
    }

    pub(crate) async fn rows(&self) -> Result<Vec<Row>, BoxError> {
        match self {
            Self::Memory(rows) => Ok(rows.lock().unwrap_or_else(PoisonError::into_inner).clone()),
        }
    }
}
