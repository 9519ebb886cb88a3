//! Retries of tonic's calls, and what the server says about them.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress::LiftLayer;
use buttress::grpc::RetryPolicy;
use buttress::http::ReplayBody;
use buttress::retry::RetryLayer;
use futures::Stream;
use tokio::time::Instant;
use tonic::transport::Server;
use tonic::{Code, Request, Response, Status};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tower::{ServiceBuilder, ServiceExt};

use super::http_retry::backoff;
use super::tonic_calls::{channel, check, connect, listen};

/// A call as the server saw it: when it began, and how many came before it.
type Call = (Instant, Option<String>);

/// A code, and the pushback with it.
type Failure = (Code, Option<&'static str>);

/// Fails in one way after the other, then answers.
#[derive(Clone, Default)]
struct Pushing {
    failures: Arc<Mutex<VecDeque<Failure>>>,
    calls: Arc<Mutex<Vec<Call>>>,
}

#[tonic::async_trait]
impl Health for Pushing {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        assert_eq!(request.get_ref().service, "");
        let before = request.metadata().get("grpc-previous-rpc-attempts");
        let before = before.map(|before| before.to_str().unwrap().to_owned());
        self.calls.lock().unwrap().push((Instant::now(), before));
        let Some((code, pushback)) = self.failures.lock().unwrap().pop_front() else {
            return Ok(Response::new(HealthCheckResponse::default()));
        };
        let mut status = Status::new(code, "as told");
        if let Some(pushback) = pushback {
            let pushback = pushback.parse().unwrap();
            status.metadata_mut().insert("grpc-retry-pushback-ms", pushback);
        }
        Err(status)
    }

    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented(""))
    }
}

/// Calls a server that fails so, below the codec or above it: the outcome, and what the server saw.
async fn call(failures: &[Failure], below: bool) -> (Result<(), Status>, Vec<Call>) {
    let service = Pushing::default();
    service.failures.lock().unwrap().extend(failures);
    let calls = service.calls.clone();
    let (address, incoming) = listen().await;
    let server = Server::builder().add_service(HealthServer::new(service));
    tokio::spawn(server.serve_with_incoming(incoming));

    // Longer than the test may take: only what the server says can bring the next attempt.
    let retry = RetryLayer::builder(RetryPolicy::new()).backoff(backoff(Duration::from_secs(60)));
    let outcome = if below {
        let mut client = HealthClient::new(
            ServiceBuilder::new()
                .map_err(Status::from)
                .map_request(ReplayBody::<tonic::body::Body>::wrap)
                .layer(retry.build())
                .layer(LiftLayer)
                .map_request(|request: http::Request<ReplayBody<_>>| {
                    request.map(tonic::body::Body::new)
                })
                .service(channel(address).await),
        );
        check(&mut client).await
    } else {
        let client = connect(address).await;
        let stack = ServiceBuilder::new().layer(retry.build()).service_fn(
            move |request: Request<HealthCheckRequest>| {
                let mut client = client.clone();
                async move { client.check(request).await }
            },
        );
        stack.oneshot(Request::new(HealthCheckRequest::default())).await.map(drop)
    };
    let calls = calls.lock().unwrap().clone();
    (outcome, calls)
}

fn before(calls: &[Call]) -> Vec<Option<&str>> {
    calls.iter().map(|(_, before)| before.as_deref()).collect()
}

#[tokio::test]
async fn a_pushback_is_waited_for_and_not_the_backoff() {
    for below in [true, false] {
        let failures = [(Code::Unavailable, Some("150")), (Code::Internal, Some("0"))];
        let (outcome, calls) = call(&failures, below).await;
        outcome.unwrap();
        assert_eq!(before(&calls), [None, Some("1"), Some("2")]);
        let waits: Vec<_> = calls.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        assert!(waits[0] >= Duration::from_millis(150) && waits[0] < Duration::from_secs(5));
        assert!(waits[1] < Duration::from_secs(5), "{waits:?}");
    }
}

#[tokio::test]
async fn a_pushback_that_is_negative_or_rubbish_ends_the_call() {
    for below in [true, false] {
        for pushback in ["-1", "soon"] {
            let (outcome, calls) = call(&[(Code::Unavailable, Some(pushback))], below).await;
            let status = outcome.unwrap_err();
            assert_eq!((status.code(), status.message()), (Code::Unavailable, "as told"));
            assert_eq!(calls.len(), 1);
        }
    }
}

#[tokio::test]
async fn a_call_that_is_not_declared_idempotent_is_not_sent_again_after_an_internal_error() {
    for below in [true, false] {
        let (outcome, calls) = call(&[(Code::Internal, None)], below).await;
        assert_eq!((outcome.unwrap_err().code(), calls.len()), (Code::Internal, 1));
    }
}
