// The closure was written for requests of another type.

use std::time::Duration;

use buttress::BoxError;
use buttress::timeout::{Deadline, TimeoutLayer};
use tower::{Layer, Service, service_fn};

fn serve<S: Service<u32>>(_: S) {}

fn main() {
    let layer = TimeoutLayer::builder(Duration::from_secs(1))
        .deadline(|_: &String| None::<Deadline>)
        .build();
    serve(layer.layer(service_fn(async |_: u32| Ok::<_, BoxError>(()))));
}
