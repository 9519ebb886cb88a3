//! One deadline over three real tonic services: client, first, second, third.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress::grpc::respond;
use buttress::timeout::{
    Deadline, DeadlineBuilder, DeadlineLayer, PropagateDeadline, PropagateDeadlineBuilder,
    PropagateDeadlineLayer,
};
use buttress::{Lift, LiftLayer, Rejected};
use futures::Stream;
use tokio::time::sleep;
use tonic::transport::{Channel, Server};
use tonic::{Code, Request, Response, Status};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tower::util::MapErr;
use tower::{ServiceBuilder, ServiceExt};

use super::tonic_calls::{channel, listen};

const MS: Duration = Duration::from_millis(1);

type ToStatus = fn(buttress::Error<tonic::transport::Error>) -> Status;
type Client = HealthClient<MapErr<PropagateDeadline<Lift<Channel>>, ToStatus>>;

/// The time left that each hop has seen: on the wire, and in its extensions.
type Seen = Arc<Mutex<Vec<(String, Duration)>>>;

/// Takes so long, and then asks the next one, if there is one.
struct Hop {
    seen: Seen,
    takes: Duration,
    next: Option<Client>,
}

#[tonic::async_trait]
impl Health for Hop {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let said = request.metadata().get("grpc-timeout").unwrap().to_str().unwrap().to_owned();
        let deadline = *request.extensions().get::<Deadline>().expect("the layer has put it there");
        self.seen.lock().unwrap().push((said, deadline.remaining()));
        sleep(self.takes).await;
        match self.next.clone() {
            Some(mut next) => next.check(until(deadline)).await,
            None => Ok(Response::new(HealthCheckResponse::default())),
        }
    }

    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("nobody watches"))
    }
}

fn until(deadline: Deadline) -> Request<HealthCheckRequest> {
    let mut request = Request::new(HealthCheckRequest::default());
    request.extensions_mut().insert(deadline);
    request
}

async fn client(address: SocketAddr, propagate: PropagateDeadlineBuilder) -> Client {
    let stack = ServiceBuilder::new()
        .map_err(Status::from as ToStatus)
        .layer(propagate.build())
        .layer(LiftLayer)
        .service(channel(address).await);
    HealthClient::new(stack)
}

async fn serve(hop: Hop, layer: DeadlineBuilder) -> SocketAddr {
    let (address, incoming) = listen().await;
    let server =
        Server::builder().layer(respond(layer.build())).add_service(HealthServer::new(hop));
    tokio::spawn(server.serve_with_incoming(incoming));
    address
}

/// Three services and a client of the first one.
struct Chain {
    client: Client,
    /// Of the first, the second and the third.
    seen: [Seen; 3],
}

impl Chain {
    /// The second one as the test wants it.
    async fn new(
        takes: Duration,
        layer: DeadlineBuilder,
        propagate: PropagateDeadlineBuilder,
    ) -> Self {
        let seen = <[Seen; 3]>::default();
        let hop = |n: usize, takes, next| Hop { seen: seen[n].clone(), takes, next };
        let (plain, forward) = (DeadlineLayer::builder, PropagateDeadlineLayer::builder);
        let third = serve(hop(2, Duration::ZERO, None), plain()).await;
        let next = client(third, propagate).await;
        let second = serve(hop(1, takes, Some(next)), layer).await;
        let next = client(second, forward()).await;
        let first = serve(hop(0, 5 * MS, Some(next)), plain()).await;
        Self { client: client(first, forward()).await, seen }
    }

    async fn plain(takes: Duration) -> Self {
        Self::new(takes, DeadlineLayer::builder(), PropagateDeadlineLayer::builder()).await
    }

    async fn call(&mut self, left: Duration) -> Result<(), Status> {
        self.client.check(until(Deadline::after(left))).await.map(drop)
    }

    /// How often each one was asked.
    fn asked(&self) -> [usize; 3] {
        self.seen.each_ref().map(|seen| seen.lock().unwrap().len())
    }
}

fn micros(text: &str) -> u64 {
    text.strip_suffix('u').expect("below 100 seconds, and above 100 ms").parse().unwrap()
}

#[tokio::test]
async fn grpc_timeout_shrinks_hop_by_hop() {
    let mut chain = Chain::plain(5 * MS).await;
    chain.call(Duration::from_secs(20)).await.unwrap();
    assert_eq!(chain.asked(), [1; 3]);
    let seen = chain.seen.each_ref().map(|seen| seen.lock().unwrap()[0].clone());
    let mut before = Duration::from_secs(20);
    for (said, left) in seen {
        let said = Duration::from_micros(micros(&said));
        assert!(said < before, "{said:?} is said after {before:?}");
        assert!(left <= said, "{left:?} of {said:?}");
        // Both hops take their time, and the deadline has been going on.
        before = left - 4 * MS;
    }
}

#[tokio::test]
async fn a_call_whose_time_is_up_at_the_second_hop_is_not_seen_by_the_third() {
    // What is left there does not suffice for a further call.
    let keep = PropagateDeadlineLayer::builder().margin(Duration::from_secs(60)).name("to-third");
    let mut chain = Chain::new(Duration::ZERO, DeadlineLayer::builder(), keep).await;
    let status = chain.call(Duration::from_secs(20)).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::DeadlineExceeded, "deadline exceeded"));
    assert_eq!(status.metadata().get("buttress-refusal").unwrap(), "deadline_exceeded");
    assert_eq!(chain.asked(), [1, 1, 0]);
}

#[tokio::test]
async fn work_at_the_second_hop_that_takes_too_long_is_dropped_there() {
    let cap = DeadlineLayer::builder().at_most(30 * MS);
    let mut chain =
        Chain::new(Duration::from_secs(60), cap, PropagateDeadlineLayer::builder()).await;
    let status = chain.call(Duration::from_secs(20)).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(status.metadata().get("buttress-refusal").unwrap(), "deadline_exceeded");
    assert_eq!(chain.asked(), [1, 1, 0]);
    let left = chain.seen[1].lock().unwrap()[0].1;
    assert!(left <= 30 * MS, "{left:?}");
}

/// By the channel of tonic, which reads the header that it is to send.
#[tokio::test]
async fn a_call_that_nobody_answers_in_time_is_an_exceeded_deadline() {
    let mut chain = Chain::plain(Duration::from_secs(60)).await;
    let status = chain.call(100 * MS).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(chain.asked(), [1, 1, 0]);
}

#[tokio::test]
async fn a_call_whose_time_is_up_is_not_sent() {
    let mut chain = Chain::plain(Duration::ZERO).await;
    let status = chain.call(Duration::ZERO).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(!Rejected::find(&status).unwrap().was_dispatched());
    assert_eq!(chain.asked(), [0; 3]);
}

#[tokio::test]
async fn a_shorter_timeout_of_the_request_itself_stays() {
    let mut chain = Chain::plain(Duration::ZERO).await;
    let mut request = until(Deadline::after(Duration::from_secs(20)));
    request.set_timeout(Duration::from_secs(7));
    chain.client.check(request).await.unwrap();
    assert_eq!(chain.seen[0].lock().unwrap()[0].0, "7000000u");
}

/// On `tonic::Request`, above the codec, where metadata are the headers.
#[tokio::test]
async fn around_one_method_the_metadata_carry_the_deadline() {
    let call = |layer: PropagateDeadlineLayer, request| {
        let echo = ServiceBuilder::new().layer(layer).service_fn(
            async |request: Request<HealthCheckRequest>| {
                let said = request.metadata().get_all("grpc-timeout").iter().count();
                Ok::<_, Status>((said, request.metadata().get("grpc-timeout").unwrap().clone()))
            },
        );
        echo.oneshot(request)
    };
    let layer = PropagateDeadlineLayer::builder().build();
    let request = until(Deadline::after(Duration::from_secs(20)));
    let (count, said) = call(layer.clone(), request).await.unwrap();
    assert_eq!(count, 1);
    assert!(micros(said.to_str().unwrap()) <= 20_000_000);

    let mut twice = until(Deadline::after(Duration::from_secs(20)));
    for _ in 0..2 {
        twice.metadata_mut().append("grpc-timeout", "1m".parse().unwrap());
    }
    let (count, said) = call(layer.clone(), twice).await.unwrap();
    assert_eq!((count, layer.handle().malformed()), (1, 1));
    assert!(micros(said.to_str().unwrap()) > 1000);

    let server = ServiceBuilder::new().layer(DeadlineLayer::new()).service_fn(
        async |request: Request<()>| {
            Ok::<_, Status>(request.extensions().get::<Deadline>().map(|it| it.remaining()))
        },
    );
    let mut request = Request::new(());
    request.set_timeout(Duration::from_secs(7));
    let left = server.oneshot(request).await.unwrap().unwrap();
    assert!(left <= Duration::from_secs(7) && left > Duration::from_secs(1), "{left:?}");
}
