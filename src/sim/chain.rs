//! A link of a call chain: a server that works, and then calls another.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::host::{Work, Workers};
use super::request::{Request, Response};
use crate::error::BoxError;

/// Workers who then call another service: see [`Workers::then`].
#[derive(Clone, Debug)]
pub struct Then<S> {
    workers: Workers,
    downstream: S,
}

impl Workers {
    /// Does the work, and then calls `downstream`: a link of a call chain, for
    /// [`World::server_behind`](super::World::server_behind).
    ///
    /// A request whose work failed goes no further; a failure of `downstream` is the answer. No
    /// worker is held while `downstream` is called. It is made ready then, in a clone for each
    /// request.
    ///
    /// ```
    /// use std::time::Duration;
    /// use buttress::LiftLayer;
    /// use buttress::retry::RetryLayer;
    /// use buttress::sim::{Clients, Latency, Plan, RetryPolicy, Server, Sim};
    /// use tower::ServiceBuilder;
    ///
    /// let server = Server::workers(10, Latency::exponential(Duration::from_millis(20)));
    /// let plan = Plan::new(Duration::from_secs(2))
    ///     .server("front", server.clone())
    ///     .server("db", server)
    ///     .clients("app", Clients::open(50.0));
    ///
    /// let report = Sim::new(7).run(&plan, |world| {
    ///     let retry = RetryLayer::builder(RetryPolicy).seed(world.seed("retry")).build();
    ///     let db = ServiceBuilder::new().layer(retry).layer(LiftLayer).service(world.server("db"));
    ///     let front = world.server_behind("front", |workers| workers.then(db));
    ///     world.clients("app", front);
    /// });
    /// assert_eq!(report.servers["db"].completed, report.servers["front"].completed);
    /// ```
    pub fn then<S>(self, downstream: S) -> Then<S> {
        Then { workers: self, downstream }
    }
}

impl<S> Service<Request> for Then<S>
where
    S: Service<Request, Response = Response> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = BoxError;
    type Future = Chained<S, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.workers.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let next = Some((self.downstream.clone(), request.clone()));
        Chained { next, link: Link::Own { work: self.workers.call(request) } }
    }
}

pin_project! {
    /// The response future of [`Then`].
    pub struct Chained<S, F> {
        // Until `downstream` is called.
        next: Option<(S, Request)>,
        #[pin]
        link: Link<F>,
    }
}

pin_project! {
    #[project = Projected]
    enum Link<F> {
        Own { #[pin] work: Work },
        GettingReady,
        Downstream { #[pin] answer: F },
    }
}

impl<S> Future for Chained<S, S::Future>
where
    S: Service<Request, Response = Response>,
    S::Error: Into<BoxError>,
{
    type Output = Result<Response, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let link = match this.link.as_mut().project() {
                Projected::Own { work } => {
                    ready!(work.poll(cx))?;
                    Link::GettingReady
                }
                Projected::GettingReady => {
                    let (downstream, _) = this.next.as_mut().expect("called once, at the end");
                    ready!(downstream.poll_ready(cx)).map_err(Into::into)?;
                    let (mut downstream, request) = this.next.take().expect("it is there");
                    Link::Downstream { answer: downstream.call(request) }
                }
                Projected::Downstream { answer } => return answer.poll(cx).map_err(Into::into),
            };
            this.link.set(link);
        }
    }
}

impl<S, F> fmt::Debug for Chained<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chained")
    }
}
