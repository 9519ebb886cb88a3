// A number has no headers in which a deadline could come.

use buttress::BoxError;
use buttress::timeout::DeadlineLayer;
use tower::{Layer, Service, service_fn};

fn serve<S: Service<u32>>(_: S) {}

fn main() {
    serve(DeadlineLayer::new().layer(service_fn(async |_: u32| Ok::<_, BoxError>(()))));
}
