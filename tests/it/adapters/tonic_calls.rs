//! The layers around tonic's clients.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use buttress::bulkhead::BulkheadLayer;
use buttress::circuit_breaker::{CircuitBreakerLayer, Phase};
use buttress::grpc::Codes;
use buttress::http::HoldBody;
use buttress::timeout::{Deadline, FromRequest, TimeoutLayer};
use buttress::{LiftLayer, Reason, Rejected};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::client::GrpcService;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tower::{Service, ServiceBuilder, ServiceExt};

/// A health service that does as it is told.
pub(super) struct Scripted {
    check: Option<Result<(), Code>>,
    watch: Result<(), Code>,
}

impl Scripted {
    pub(super) fn healthy() -> Self {
        Self { check: Some(Ok(())), watch: Ok(()) }
    }

    pub(super) fn stuck() -> Self {
        Self { check: None, ..Self::healthy() }
    }

    /// `check` fails without an answer, `watch` after its first message.
    fn failing(code: Code) -> Self {
        Self { check: Some(Err(code)), watch: Err(code) }
    }
}

#[tonic::async_trait]
impl Health for Scripted {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        match self.check {
            Some(Ok(())) => Ok(Response::new(HealthCheckResponse::default())),
            Some(Err(code)) => Err(Status::new(code, "as told")),
            None => std::future::pending().await,
        }
    }

    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let end = self.watch.err().map(|code| Err(Status::new(code, "as told")));
        let messages = [Ok(HealthCheckResponse::default())].into_iter().chain(end);
        Ok(Response::new(Box::pin(stream::iter(messages))))
    }
}

pub(super) async fn listen() -> (SocketAddr, TcpListenerStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (listener.local_addr().unwrap(), TcpListenerStream::new(listener))
}

pub(super) async fn channel(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

pub(super) async fn connect(address: SocketAddr) -> HealthClient<Channel> {
    HealthClient::new(channel(address).await)
}

async fn serve(service: Scripted) -> Channel {
    let (address, incoming) = listen().await;
    let server = Server::builder().add_service(HealthServer::new(service));
    tokio::spawn(server.serve_with_incoming(incoming));
    channel(address).await
}

pub(super) async fn check<C>(client: &mut HealthClient<C>) -> Result<(), Status>
where
    C: GrpcService<tonic::body::Body>,
    C::Error: Into<tonic::codegen::StdError>,
    C::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
    <C::ResponseBody as http_body::Body>::Error: Into<tonic::codegen::StdError> + Send,
{
    client.check(HealthCheckRequest::default()).await.map(drop)
}

/// Reads a `watch` to its end: how many messages came, and how it ended.
async fn watch<C>(client: &mut HealthClient<C>) -> (usize, Result<(), Status>)
where
    C: GrpcService<tonic::body::Body>,
    C::Error: Into<tonic::codegen::StdError>,
    C::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
    <C::ResponseBody as http_body::Body>::Error: Into<tonic::codegen::StdError> + Send,
{
    let response = match client.watch(HealthCheckRequest::default()).await {
        Ok(response) => response,
        Err(status) => return (0, Err(status)),
    };
    let mut messages = response.into_inner();
    let mut count = 0;
    loop {
        match messages.next().await {
            Some(Ok(_)) => count += 1,
            Some(Err(status)) => return (count, Err(status)),
            None => return (count, Ok(())),
        }
    }
}

fn breaker() -> CircuitBreakerLayer<Codes> {
    CircuitBreakerLayer::builder().consecutive_failures(2).classify(Codes).build()
}

fn assert_refused(status: &Status, reason: Reason) {
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(Rejected::find(status).map(Rejected::reason), Some(reason), "{status:?}");
}

#[tokio::test]
async fn a_refusal_arrives_as_a_status_that_still_carries_it() {
    let channel = serve(Scripted::healthy()).await;
    let mut mapped = HealthClient::new(
        ServiceBuilder::new()
            .map_err(Status::from)
            .layer(BulkheadLayer::new(0))
            .layer(LiftLayer)
            .service(channel.clone()),
    );
    let status = check(&mut mapped).await.unwrap_err();
    assert_refused(&status, Reason::BulkheadFull);

    let mut plain = HealthClient::new(
        ServiceBuilder::new().layer(BulkheadLayer::new(0)).layer(LiftLayer).service(channel),
    );
    let status = check(&mut plain).await.unwrap_err();
    assert_eq!(status.code(), Code::Unknown, "as the documentation says");
    assert_eq!(Rejected::find(&status).unwrap().reason(), Reason::BulkheadFull);
}

#[tokio::test]
async fn failures_at_the_head_trip_the_breaker() {
    let channel = serve(Scripted::failing(Code::Internal)).await;
    let breaker = breaker();
    let handle = breaker.handle();
    let stack = ServiceBuilder::new().map_err(Status::from).layer(breaker).layer(LiftLayer);
    let mut client = HealthClient::new(stack.service(channel));

    for _ in 0..2 {
        assert_eq!(handle.phase(), Phase::Closed);
        assert_eq!(check(&mut client).await.unwrap_err().code(), Code::Internal);
    }
    assert_eq!(handle.phase(), Phase::Open);
    let status = check(&mut client).await.unwrap_err();
    assert_refused(&status, Reason::CircuitOpen);
    assert!(status.metadata().contains_key("grpc-retry-pushback-ms"));
}

#[tokio::test]
async fn failures_in_the_trailers_trip_a_breaker_that_waits_for_them() {
    let channel = serve(Scripted::failing(Code::DataLoss)).await;
    let (at_head, at_end) = (breaker(), breaker());
    let (head, end) = (at_head.handle(), at_end.handle());
    let stack = ServiceBuilder::new()
        .map_err(Status::from)
        .layer(HoldBody::new(at_end))
        .layer(at_head)
        .layer(LiftLayer);
    let mut client = HealthClient::new(stack.service(channel));

    for _ in 0..2 {
        assert_eq!(end.phase(), Phase::Closed);
        let (messages, outcome) = watch(&mut client).await;
        assert_eq!((messages, outcome.unwrap_err().code()), (1, Code::DataLoss));
    }
    assert_eq!(end.phase(), Phase::Open);
    assert_eq!(head.phase(), Phase::Closed, "the heads were all fine");
    let (_, outcome) = watch(&mut client).await;
    assert_refused(&outcome.unwrap_err(), Reason::CircuitOpen);
}

#[tokio::test]
async fn the_caller_s_mistakes_and_good_answers_do_not_trip_it() {
    for service in [Scripted::failing(Code::NotFound), Scripted::healthy()] {
        let channel = serve(service).await;
        let breaker = breaker();
        let handle = breaker.handle();
        let stack = ServiceBuilder::new()
            .map_err(Status::from)
            .layer(HoldBody::new(breaker))
            .layer(LiftLayer);
        let mut client = HealthClient::new(stack.service(channel));
        for _ in 0..5 {
            let _ = check(&mut client).await;
            let _ = watch(&mut client).await;
        }
        assert_eq!(handle.phase(), Phase::Closed);
    }
}

#[tokio::test]
async fn around_a_generated_method_the_status_is_the_error() {
    let client = HealthClient::new(serve(Scripted::failing(Code::Unavailable)).await);
    let call = move |request: Request<HealthCheckRequest>| {
        let mut client = client.clone();
        async move { client.check(request).await }
    };
    let mut service = ServiceBuilder::new().layer(breaker()).service_fn(call);

    for _ in 0..2 {
        let request = Request::new(HealthCheckRequest::default());
        let status = service.ready().await.unwrap().call(request).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Unavailable, "as told"));
    }
    let request = Request::new(HealthCheckRequest::default());
    let status = service.ready().await.unwrap().call(request).await.unwrap_err();
    assert_refused(&status, Reason::CircuitOpen);
}

#[tokio::test]
async fn a_deadline_in_a_tonic_request_is_found_above_and_below_the_codec() {
    let late = || {
        let mut request = Request::new(HealthCheckRequest::default());
        request.extensions_mut().insert(Deadline::after(Duration::ZERO));
        request
    };
    let timeout = TimeoutLayer::builder(Duration::from_secs(9)).deadline(FromRequest).build();
    let channel = serve(Scripted::healthy()).await;

    let client = HealthClient::new(channel.clone());
    let call = move |request: Request<HealthCheckRequest>| {
        let mut client = client.clone();
        async move { client.check(request).await }
    };
    let above = ServiceBuilder::new().layer(timeout.clone()).service_fn(call);
    let status = above.oneshot(late()).await.unwrap_err();
    assert_eq!(Rejected::find(&status).unwrap().reason(), Reason::DeadlineExceeded);

    let stack = ServiceBuilder::new().map_err(Status::from).layer(timeout).layer(LiftLayer);
    let mut below = HealthClient::new(stack.service(channel));
    let status = below.check(late()).await.unwrap_err();
    assert_eq!(Rejected::find(&status).unwrap().reason(), Reason::DeadlineExceeded);
    assert_eq!(status.code(), Code::DeadlineExceeded);
}
