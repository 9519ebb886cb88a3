// `std::io::Error` belongs to somebody else, and has not been lifted.

use std::time::Duration;

use buttress::timeout::TimeoutLayer;
use tower::{Service, ServiceBuilder};

fn serve<S: Service<String>>(_: S) {}

fn main() {
    let service = ServiceBuilder::new()
        .layer(TimeoutLayer::new(Duration::from_secs(1)))
        .service_fn(async |_: String| Err::<(), _>(std::io::Error::other("boom")));
    serve(service);
}
