//! The handler whose effect and answer are one transaction.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use buttress::idempotency::Context;

use super::app::App;
use super::ledger::Note;

/// (in the making)
pub(super) async fn order(_: &App, _: &Context, _: &Note, _: String) -> Response {
    std::future::ready(()).await;
    StatusCode::NOT_IMPLEMENTED.into_response()
}
