// A route of axum never fails, so its error has no room for a refusal.

use axum::Router;
use axum::routing::get;
use buttress::bulkhead::BulkheadLayer;

fn main() {
    let _: Router = Router::new().route("/", get(async || "hello")).layer(BulkheadLayer::new(64));
}
