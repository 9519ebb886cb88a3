//! [`respond`]: refusals as trailers-only responses.

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};

use crate::grpc::pushback::{self, PUSHBACK};
use crate::grpc::status::code;
use crate::http::{Render, RespondLayer};
use crate::rejected::Rejected;

/// Wraps a stack of layers so that its refusals become gRPC statuses, and the error type outside
/// is the service's own again.
///
/// For servers, whose services never fail: around all of them with `Server::builder().layer(..)`,
/// or around one with its own stack. The status of each refusal is in the table of the
/// [module documentation](crate::grpc). It is sent as a response without a body
/// ("trailers-only").
///
/// ```
/// use std::time::Duration;
/// use buttress::{bulkhead::BulkheadLayer, grpc::respond, timeout::TimeoutLayer};
/// use tonic::transport::Server;
/// use tower::ServiceBuilder;
///
/// let server = Server::builder().layer(respond(
///     ServiceBuilder::new()
///         .layer(BulkheadLayer::new(100))
///         .layer(TimeoutLayer::new(Duration::from_secs(2))),
/// ));
/// # let _ = server;
/// ```
///
/// On a client prefer the plain layers and `.map_err(tonic::Status::from)`: the `Status` that the
/// caller gets then still carries its [`Rejected`].
pub fn respond<L>(stack: L) -> RespondLayer<L, TrailersOnly> {
    RespondLayer::new(stack)
}

/// Says refusals as trailers-only gRPC responses: the renderer of [`respond`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TrailersOnly;

impl Render for TrailersOnly {
    fn render(rejected: &Rejected) -> Response<&'static str> {
        let reason = rejected.reason();
        let mut response = Response::new("");
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", (code(reason) as i32).into());
        headers.insert("grpc-message", HeaderValue::from_static(reason.text()));
        if let Some(millis) = pushback::of(rejected) {
            headers.insert(PUSHBACK, millis.into());
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::every_reason;
    use tonic::Status;

    #[test]
    fn a_client_reads_the_same_status_as_the_layers_make() {
        for reason in every_reason() {
            let rejected = Rejected::new(reason).after(std::time::Duration::from_micros(1));
            let response = TrailersOnly::render(&rejected);
            assert_eq!(response.status(), 200);
            assert_eq!(*response.body(), "");
            let read = Status::from_header_map(response.headers()).unwrap();
            let made = Status::from(rejected);
            assert_eq!((read.code(), read.message()), (made.code(), made.message()));
            assert_eq!(read.metadata().get(PUSHBACK), made.metadata().get(PUSHBACK));
        }
    }
}
