//! Retries of streams that an HTTP/2 server refuses.

use std::error::Error as StdError;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use buttress::grpc;
use buttress::http::{ReplayBody, RetryPolicy};
use buttress::retry::RetryLayer;
use buttress::{Error, LiftLayer};
use bytes::Bytes;
use h2::Reason;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::{ServiceBuilder, ServiceExt};

use super::{http_retry, tonic_calls};

/// Resets the first streams with `reason`, and answers the others with the gRPC status `NOT_FOUND`.
async fn server(reason: Reason, resets: usize) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let streams = Arc::new(AtomicUsize::new(0));
    let count = streams.clone();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let count = count.clone();
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(socket).await.unwrap();
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    if count.fetch_add(1, Ordering::SeqCst) < resets {
                        respond.send_reset(reason);
                        continue;
                    }
                    let response = Response::builder()
                        .header("content-type", "application/grpc")
                        .header("grpc-status", Code::NotFound as i32)
                        .body(())
                        .unwrap();
                    respond.send_response(response, true).unwrap();
                    drop(request);
                }
            });
        }
    });
    (address, streams)
}

type Outcome = Result<Response<Incoming>, Error<legacy::Error>>;

async fn post(address: SocketAddr, attempts: u32) -> Outcome {
    let retry = RetryLayer::builder(RetryPolicy::new())
        .max_attempts(attempts)
        .backoff(http_retry::backoff(Duration::from_millis(5)))
        .build();
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let stack = ServiceBuilder::new().layer(retry).layer(LiftLayer).service(client);
    let body = ReplayBody::new(Full::<Bytes>::from("text"));
    stack.oneshot(Request::post(format!("http://{address}/")).body(body).unwrap()).await
}

#[tokio::test]
async fn a_refused_stream_is_told_by_the_words_of_h2() {
    let (address, _) = server(Reason::REFUSED_STREAM, 1).await;
    let error = post(address, 1).await.unwrap_err();
    let mut sources = std::iter::successors(Some(&error as &dyn StdError), |&error| error.source());
    let source = sources.find(|error| error.is::<h2::Error>()).unwrap();
    assert_eq!(
        source.to_string(),
        "stream error received: refused stream before processing any application logic"
    );
}

#[tokio::test]
async fn a_post_that_was_refused_is_sent_again_and_one_that_was_reset_is_not() {
    let (address, streams) = server(Reason::REFUSED_STREAM, 2).await;
    assert_eq!(post(address, 3).await.unwrap().status(), 200);
    assert_eq!(streams.load(Ordering::SeqCst), 3);

    for reason in [Reason::INTERNAL_ERROR, Reason::CANCEL] {
        let (address, streams) = server(reason, 1).await;
        assert!(post(address, 3).await.is_err());
        assert_eq!(streams.load(Ordering::SeqCst), 1, "{reason:?}");
    }
}

#[tokio::test]
async fn a_grpc_call_that_was_refused_is_sent_again_below_and_above_the_codec() {
    let retry = || {
        RetryLayer::builder(grpc::RetryPolicy::new())
            .backoff(http_retry::backoff(Duration::from_millis(5)))
            .build()
    };
    let (address, streams) = server(Reason::REFUSED_STREAM, 1).await;
    let mut below = HealthClient::new(
        ServiceBuilder::new()
            .map_err(Status::from)
            .map_request(ReplayBody::<tonic::body::Body>::wrap)
            .layer(retry())
            .layer(LiftLayer)
            .map_request(|request: Request<ReplayBody<_>>| request.map(tonic::body::Body::new))
            .service(tonic_calls::channel(address).await),
    );
    assert_eq!(tonic_calls::check(&mut below).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(streams.load(Ordering::SeqCst), 2);

    let (address, streams) = server(Reason::REFUSED_STREAM, 1).await;
    let client = tonic_calls::connect(address).await;
    let above = ServiceBuilder::new().layer(retry()).service_fn(
        move |request: tonic::Request<HealthCheckRequest>| {
            let mut client = client.clone();
            async move { client.check(request).await }
        },
    );
    let request = tonic::Request::new(HealthCheckRequest::default());
    assert_eq!(above.oneshot(request).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(streams.load(Ordering::SeqCst), 2);
}
