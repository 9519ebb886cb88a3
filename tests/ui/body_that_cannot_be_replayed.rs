// A body that streams cannot be sent a second time.

use axum::body::Body;
use buttress::{LiftLayer, http::RetryPolicy, retry::RetryLayer};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{Service, ServiceBuilder};

fn serve(_: impl Service<http::Request<Body>>) {}

fn main() {
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    serve(
        ServiceBuilder::new()
            .layer(RetryLayer::new(RetryPolicy::new()))
            .layer(LiftLayer)
            .service(client),
    );
}
