//! The services at the bottom: trivial, so that what is measured is what stands around them.

use std::convert::Infallible;
use std::future::{Future, Pending, Ready, pending, ready};
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use tower::Service;

use crate::drive::Request;

/// The error of a service that never fails, with room for a refusal: nothing of it is boxed.
pub(crate) type Refusal = buttress::Error<Infallible>;

/// Answers at once.
pub(crate) struct AtOnce<E>(pub(crate) PhantomData<E>);

/// Is pending when first polled.
pub(crate) struct Later<E>(pub(crate) PhantomData<E>);

/// Takes a call and never answers it.
pub(crate) struct Endless<E>(pub(crate) PhantomData<E>);

/// Fails at once.
#[derive(Clone, Copy)]
pub(crate) struct Fails;

/// Why [`Fails`] fails.
#[derive(Debug)]
pub(crate) struct Down;

/// Never ready.
pub(crate) struct Stuck<E>(pub(crate) PhantomData<E>);

impl<E> Clone for AtOnce<E> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

impl<E> Clone for Later<E> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

impl<E> Clone for Endless<E> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

impl<E> Clone for Stuck<E> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

impl<E> Service<Request> for AtOnce<E> {
    type Response = u32;
    type Error = E;
    type Future = Ready<Result<u32, E>>;

    #[inline]
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, request: Request) -> Self::Future {
        ready(Ok(request))
    }
}

impl<E> Service<Request> for Later<E> {
    type Response = u32;
    type Error = E;
    type Future = OnSecondPoll<E>;

    #[inline]
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, request: Request) -> OnSecondPoll<E> {
        OnSecondPoll { request, polled: false, error: PhantomData }
    }
}

pub(crate) struct OnSecondPoll<E> {
    request: Request,
    polled: bool,
    error: PhantomData<fn() -> E>,
}

impl<E> Future for OnSecondPoll<E> {
    type Output = Result<u32, E>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polled {
            return Poll::Ready(Ok(self.request));
        }
        self.polled = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<E> Service<Request> for Endless<E> {
    type Response = u32;
    type Error = E;
    type Future = Pending<Result<u32, E>>;

    #[inline]
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, _: Request) -> Self::Future {
        pending()
    }
}

impl<E> Service<Request> for Stuck<E> {
    type Response = u32;
    type Error = E;
    type Future = Pending<Result<u32, E>>;

    #[inline]
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Pending
    }

    #[inline]
    fn call(&mut self, _: Request) -> Self::Future {
        pending()
    }
}

impl Service<Request> for Fails {
    type Response = u32;
    type Error = buttress::Error<Down>;
    type Future = Ready<Result<u32, Self::Error>>;

    #[inline]
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, _: Request) -> Self::Future {
        ready(Err(buttress::Error::Service(Down)))
    }
}
