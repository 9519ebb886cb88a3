//! A gRPC server and a gRPC client, both protected.
//!
//! The service is the standard health service, so that the example needs no `.proto` file. The
//! server refuses what is beyond its limit; the client stops calling after two failures.
//!
//! ```text
//! cargo run --example tonic --features grpc
//! ```

use std::net::SocketAddr;
use std::time::Duration;

use buttress::bulkhead::BulkheadLayer;
use buttress::circuit_breaker::CircuitBreakerLayer;
use buttress::grpc::{Codes, respond};
use buttress::http::HoldBody;
use buttress::timeout::TimeoutLayer;
use buttress::{LiftLayer, Rejected};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Status, client::GrpcService};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::{Layer, ServiceBuilder};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let bulkhead = BulkheadLayer::builder(10).name("health").build();
    let limit = bulkhead.handle();
    let channel = connect(serve(bulkhead).await?).await?;

    println!("a call that passes both");
    let mut client = HealthClient::new(channel.clone());
    check(&mut client).await;

    println!("the server refuses: to the client it is a status like any other");
    limit.resize(0);
    check(&mut client).await;

    println!("a client with a circuit breaker: its third call is not sent");
    let breaker = CircuitBreakerLayer::builder()
        .name("health")
        .consecutive_failures(2)
        // `UNAVAILABLE` is a failure, `NOT_FOUND` is not.
        .classify(Codes)
        .build();
    let mut client = HealthClient::new(
        ServiceBuilder::new()
            // Refusals become a `Status`, which still carries the `Rejected` as its source.
            .map_err(Status::from)
            // The status of an answer stands behind its body. `HoldBody` waits for it.
            .layer(HoldBody::new(breaker))
            .layer(TimeoutLayer::new(Duration::from_secs(1)))
            .layer(LiftLayer)
            .service(channel),
    );
    for _ in 0..3 {
        check(&mut client).await;
    }
    Ok(())
}

/// Starts a server whose health service is limited by `bulkhead`.
async fn serve(bulkhead: BulkheadLayer) -> Result<SocketAddr, BoxError> {
    let (_reporter, health) = tonic_health::server::health_reporter();
    // A service of tonic never fails, so `respond` turns refusals into statuses. The name of the
    // service shows through, so that the result can be added to a server. To protect all services
    // at once, use `Server::builder().layer(respond(..))` instead.
    let health = respond(
        ServiceBuilder::new().layer(bulkhead).layer(TimeoutLayer::new(Duration::from_millis(500))),
    )
    .layer(health);

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let incoming = TcpListenerStream::new(listener);
    tokio::spawn(Server::builder().add_service(health).serve_with_incoming(incoming));
    Ok(address)
}

async fn connect(address: SocketAddr) -> Result<Channel, BoxError> {
    Ok(Endpoint::from_shared(format!("http://{address}"))?.connect().await?)
}

/// Calls the health service and prints what came of it.
async fn check<C>(client: &mut HealthClient<C>)
where
    C: GrpcService<tonic::body::Body, Error: Into<BoxError>>,
    C::ResponseBody:
        http_body::Body<Data = bytes::Bytes, Error: Into<BoxError> + Send> + Send + 'static,
{
    match client.check(HealthCheckRequest::default()).await {
        Ok(response) => println!("  serving: {}", response.get_ref().status == 1),
        Err(status) => match Rejected::find(&status) {
            Some(refusal) => println!("  not sent: {refusal}"),
            None => println!(
                "  {:?}: {} (buttress-refusal: {:?})",
                status.code(),
                status.message(),
                status.metadata().get("buttress-refusal")
            ),
        },
    }
}
