// A number has no extensions in which a deadline could travel.

use std::time::Duration;

use buttress::BoxError;
use buttress::timeout::{FromRequest, TimeoutLayer};
use tower::{Layer, Service, service_fn};

fn serve<S: Service<u32>>(_: S) {}

fn main() {
    let layer = TimeoutLayer::builder(Duration::from_secs(1)).deadline(FromRequest).build();
    serve(layer.layer(service_fn(async |_: u32| Ok::<_, BoxError>(()))));
}
