//! The handler whose effect and answer are one transaction.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use buttress::BoxError;
use buttress::idempotency::{AlreadyRecorded, Context};
use bytes::Bytes;
use tokio_postgres::NoTls;

use super::app::App;
use super::ledger::{Ledger, Note};
use super::watched::Point;

/// Whatever fails, nothing of it has happened, or all of it has.
pub(super) async fn order(app: &App, context: &Context, effect: &Note, answer: String) -> Response {
    match committed(app, context, effect, answer).await {
        Ok(response) => response.map(Into::into),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}

async fn committed(
    app: &App,
    context: &Context,
    effect: &Note,
    answer: String,
) -> Result<http::Response<Bytes>, BoxError> {
    let Ledger::Table(_, url) = &app.ledger else { panic!("a ledger next to the records") };
    let (mut client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    let transaction = client.transaction().await?;
    effect.insert(&transaction).await?;
    app.crash.pass(Point::AfterEffect);
    let mut response = http::Response::new(Bytes::from(answer));
    context.complete_in(&transaction, &response, Duration::from_secs(600)).await?;
    app.crash.pass(Point::BeforeComplete);
    transaction.commit().await?;
    app.crash.pass(Point::AfterComplete);
    response.extensions_mut().insert(AlreadyRecorded);
    Ok(response)
}
