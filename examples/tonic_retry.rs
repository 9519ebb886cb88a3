//! A gRPC client that comes again when the server says so, and gives up in time.
//!
//! The server pushes back: the next attempt comes after exactly as long as it says. Each attempt
//! tells the server how much time is left. A call with a deadline that would be over by the next
//! attempt ends at once instead of waiting in vain.
//!
//! ```text
//! cargo run --example tonic_retry --features grpc
//! ```

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use buttress::LiftLayer;
use buttress::grpc::{RetryPolicy, respond};
use buttress::http::ReplayBody;
use buttress::observe::{Event, EventKind};
use buttress::retry::RetryLayer;
use buttress::timeout::{
    Deadline, DeadlineLayer, FromRequest, PropagateDeadlineLayer, TimeoutLayer,
};
use futures::stream::Empty;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status, body::Body};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tower::ServiceBuilder;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let channel = Endpoint::from_shared(format!("http://{}", serve().await?))?.connect().await?;

    let retry = RetryLayer::builder(RetryPolicy::new())
        .name("health")
        .observe(|event: &Event<'_>| match event.kind {
            EventKind::Retried { attempt, delay } => {
                println!("  attempt {attempt}, after {delay:?}");
            }
            EventKind::Withheld(why) => println!("  not sent again: {why:?}"),
            _ => {}
        })
        .build();
    let mut client = HealthClient::new(
        ServiceBuilder::new()
            .map_err(Status::from)
            // Below the codec a message is a stream of bytes. It is kept while it is sent.
            .map_request(ReplayBody::<Body>::wrap)
            .layer(retry)
            // Each attempt ends after a second, and with the deadline of the call in any case.
            .layer(TimeoutLayer::builder(Duration::from_secs(1)).deadline(FromRequest).build())
            // Says in `grpc-timeout` what is left, anew for each attempt.
            .layer(PropagateDeadlineLayer::new())
            .layer(LiftLayer)
            // The channel takes tonic's own body only.
            .map_request(|request: http::Request<ReplayBody<_>>| request.map(Body::new))
            .service(channel),
    );

    for (what, millis) in [("a call with time enough", 5_000), ("a call in a hurry", 100)] {
        println!("{what}: {millis} ms");
        let mut request = Request::new(HealthCheckRequest::default());
        // The extensions of the request reach the layers below the codec.
        request.extensions_mut().insert(Deadline::after(Duration::from_millis(millis)));
        let start = Instant::now();
        match client.check(request).await {
            Ok(_) => println!("  answered after {:.0?}", start.elapsed()),
            Err(status) => println!("  {:?} after {:.0?}", status.code(), start.elapsed()),
        }
    }
    Ok(())
}

/// Answers every third call, and asks for 200 ms of patience otherwise.
#[derive(Default)]
struct Pushing {
    calls: AtomicU32,
}

#[tonic::async_trait]
impl Health for Pushing {
    type WatchStream = Pin<Box<Empty<Result<HealthCheckResponse, Status>>>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let before = request.metadata().get("grpc-previous-rpc-attempts");
        let left = request.extensions().get::<Deadline>().map(|deadline| deadline.remaining());
        println!("  server: attempts before this: {before:?}, time left: {left:.1?}");
        if self.calls.fetch_add(1, Ordering::Relaxed) % 3 == 2 {
            return Ok(Response::new(HealthCheckResponse::default()));
        }
        let mut status = Status::unavailable("busy");
        status.metadata_mut().insert("grpc-retry-pushback-ms", 200.into());
        Err(status)
    }

    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("not in this example"))
    }
}

async fn serve() -> Result<SocketAddr, BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let incoming = TcpListenerStream::new(listener);
    let server = Server::builder()
        .layer(respond(DeadlineLayer::new()))
        .add_service(HealthServer::new(Pushing::default()));
    tokio::spawn(server.serve_with_incoming(incoming));
    Ok(address)
}
