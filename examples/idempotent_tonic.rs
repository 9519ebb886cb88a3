//! A gRPC server on which a call that is sent again takes effect once.
//!
//! The service is the standard health service, so that the example needs no `.proto` file. Here it
//! takes orders: what is ordered is the name of the service that `Check` is asked for, and the
//! number of the order is the status that it answers with.
//!
//! ```text
//! cargo run --example idempotent_tonic --features grpc
//! ```

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use buttress::idempotency::{Context, IdempotencyKey, IdempotencyLayer, KeyLayer, MemoryStore};
use futures::stream::Empty;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tower::ServiceBuilder;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Default)]
struct Orders {
    placed: AtomicI32,
    asked: AtomicI32,
}

#[tonic::async_trait]
impl Health for Orders {
    type WatchStream = Empty<Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let context: Option<Context> = request.extensions().get().cloned();
        let order = request.into_inner().service;
        // Nothing has happened yet: this forgets the key, and the next attempt runs.
        if order == "coffee" && self.asked.fetch_add(1, Ordering::Relaxed) == 0 {
            return Err(Status::unavailable("the machine warms up"));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        // From here on nothing runs again under this key.
        if let Some(context) = context {
            let began = context.begin_effects().await;
            began.map_err(|error| Status::unavailable(error.to_string()))?;
        }
        let number = self.placed.fetch_add(1, Ordering::Relaxed) + 1;
        println!("  the server places order {number}: {order}");
        Ok(Response::new(HealthCheckResponse { status: number }))
    }

    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("nothing to watch"))
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let channel = connect(serve().await?).await?;

    println!("the same call twice: the second answer is the first one again");
    order(&channel, "key-1", "green tea").await?;
    order(&channel, "key-1", "green tea").await?;
    println!("another message with that key is a mistake of the client");
    order(&channel, "key-1", "black tea").await?;
    println!("twice at once: one of them runs, the other is told to come back");
    let (one, two) =
        tokio::join!(order(&channel, "key-2", "white tea"), order(&channel, "key-2", "white tea"));
    one.and(two)?;
    println!("`UNAVAILABLE` is not final: the next attempt runs, and what it gets is");
    order(&channel, "key-3", "coffee").await?;
    order(&channel, "key-3", "coffee").await?;
    order(&channel, "key-3", "coffee").await?;
    Ok(())
}

async fn serve() -> Result<SocketAddr, BoxError> {
    let keys = IdempotencyLayer::builder(MemoryStore::builder().single_instance().build())
        .name("orders")
        // Each method that has effects, by its full name: unary ones, since a stream has no end
        // that the layer could wait for. All other calls pass as they are.
        .grpc(["/grpc.health.v1.Health/Check"])
        // This server has one caller. With more, `.scope(..)` says whose the key is.
        .unscoped()
        .build();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = Server::builder().layer(keys).add_service(HealthServer::new(Orders::default()));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    Ok(address)
}

async fn connect(address: SocketAddr) -> Result<Channel, BoxError> {
    Ok(Endpoint::from_shared(format!("http://{address}"))?.connect().await?)
}

/// Sends one attempt, and prints what came of it.
async fn order(channel: &Channel, key: &str, what: &str) -> Result<(), BoxError> {
    // Writes the key of the request's extensions, or a fresh one where there is none: for every
    // call, since all of them are `POST`s. An interceptor would do so for each attempt of a retry.
    let mut client =
        HealthClient::new(ServiceBuilder::new().layer(KeyLayer::new()).service(channel.clone()));
    let mut request = Request::new(HealthCheckRequest { service: what.to_owned() });
    request.extensions_mut().insert(IdempotencyKey::new(key)?);
    match client.check(request).await {
        Ok(answer) => {
            let replayed = answer.metadata().get("idempotency-replayed").is_some();
            println!("  order {} (replayed: {replayed})", answer.get_ref().status);
        }
        Err(status) => println!(
            "  {:?}: {} (buttress-refusal: {:?}, grpc-retry-pushback-ms: {:?})",
            status.code(),
            status.message(),
            status.metadata().get("buttress-refusal"),
            status.metadata().get("grpc-retry-pushback-ms"),
        ),
    }
    Ok(())
}
