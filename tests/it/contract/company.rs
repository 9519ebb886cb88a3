//! Clauses about other people's services: tower's own, and axum's router.

use std::convert::Infallible;
use std::fmt::Debug;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use tower::{Layer, Service, ServiceExt};

use crate::support::{Ask, Hand, ready};

pub(crate) async fn serves<S>(mut service: S)
where
    S: Service<Ask, Response = u32, Error: Debug>,
{
    for n in 0..3 {
        assert_eq!(service.ready().await.unwrap().call(Ask::Answer(n)).await.unwrap(), n);
    }
}

/// Many callers, each with a clone of its own, more than any of the limits around.
pub(crate) async fn serves_many<S>(service: S)
where
    S: Service<Ask, Response = u32, Error: Debug> + Clone,
{
    let callers = (0..24).map(|n| {
        let mut service = service.clone();
        async move {
            for round in 0..3 {
                let ask = Ask::After(Duration::from_millis(5), n + round);
                let answer = service.ready().await.unwrap().call(ask).await.unwrap();
                assert_eq!(answer, n + round);
            }
        }
    });
    futures::future::join_all(callers).await;
}

/// Around a limit of one: an idle service holds the permit, and gives it up when it goes.
pub(crate) fn hands_on_the_only_permit<S>(service: &S)
where
    S: Service<Ask, Response = u32, Error: Debug> + Clone,
{
    let (hand, mut holder, mut other) = (Hand::new(), service.clone(), service.clone());
    ready(&mut holder);
    assert!(hand.poll_ready(&mut other).is_pending());
    drop(holder);
    assert!(hand.woken() > 0);
    ready(&mut other);
}

/// Eight routes, each of which takes so long.
pub(crate) fn routes(time: Duration) -> Router {
    (0..8).fold(Router::new(), |router, n| {
        let handler = move || async move {
            tokio::time::sleep(time).await;
            n.to_string()
        };
        router.route(&format!("/{n}"), get(handler))
    })
}

pub(crate) async fn get_route(router: &Router, route: usize) -> StatusCode {
    let request = Request::get(format!("/{route}")).body(axum::body::Body::empty()).unwrap();
    router.clone().oneshot(request).await.unwrap().status()
}

pub(crate) async fn serves_all_routes(router: Router) {
    for _ in 0..2 {
        let all = futures::future::join_all((0..8).map(|route| get_route(&router, route))).await;
        assert_eq!(all, [StatusCode::OK; 8]);
    }
}

/// Answers refusals with a status, so that a router takes the stack inside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnswerLayer;

impl<S> Layer<S> for AnswerLayer {
    type Service = Answer<S>;

    fn layer(&self, inner: S) -> Answer<S> {
        Answer(inner)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Answer<S>(S);

impl<S> Service<Request> for Answer<S>
where
    S: Service<Request, Response = Response, Error: Debug, Future: Send + 'static>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx).map(|ready| {
            ready.expect("routes are always ready");
            Ok(())
        })
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let future = self.0.call(request);
        Box::pin(async move {
            Ok(future.await.unwrap_or_else(|_| StatusCode::SERVICE_UNAVAILABLE.into_response()))
        })
    }
}
