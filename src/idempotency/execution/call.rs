//! Sending a request on, for as long as somebody waits for what comes of it.

use std::future::poll_fn;
use std::pin::pin;

use tower_service::Service;

use crate::idempotency::execution::{Caller, OnCancel};

/// How far a request got.
pub(crate) enum Called<Res, Err> {
    /// Its caller had left before it was sent.
    Left,
    /// The service failed before it was sent.
    NotReady(Err),
    /// Its caller left, and it was dropped where it stood.
    Dropped,
    Ran(Result<Res, Err>),
}

impl<T> Caller<T> {
    /// Makes the service ready and calls it. A caller that leaves before that ends the wait: its
    /// claim is of more use to whoever comes next. One that leaves later is waited for no longer
    /// if the layer says so.
    #[allow(clippy::manual_async_fn, reason = "an `async fn` has room for the request twice")]
    pub(crate) fn call<S, Req>(
        &self,
        service: &mut S,
        request: Req,
    ) -> impl Future<Output = Called<S::Response, S::Error>>
    where
        S: Service<Req>,
    {
        async move {
            match self.while_there(poll_fn(|cx| service.poll_ready(cx))).await {
                None => return Called::Left,
                Some(Err(error)) => return Called::NotReady(error),
                Some(Ok(())) => {}
            }
            self.runs();
            let response = pin!(service.call(request));
            match self.on_cancel {
                OnCancel::Detach => Called::Ran(response.await),
                OnCancel::Release => {
                    self.while_there(response).await.map_or(Called::Dropped, Called::Ran)
                }
            }
        }
    }
}
