//! [`HeldBody`]: a body that holds a permit.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::admission::Settle;
use crate::classify::ClassifyEnd;
use crate::http::hold::held::Held;

pin_project! {
    /// The inner body, and with it the permit `P` of the call it belongs to. `E` is the error
    /// that the layer's classifier judges.
    pub struct HeldBody<B, P: Settle, E> {
        #[pin]
        inner: B,
        held: Held<P>,
        judged: PhantomData<fn(E)>,
    }
}

impl<B, P: Settle, E> HeldBody<B, P, E> {
    pub(super) fn new(inner: B, held: Held<P>) -> Self {
        Self { inner, held, judged: PhantomData }
    }

    pub(super) fn free(inner: B) -> Self {
        Self::new(inner, Held::free())
    }
}

impl<B, P, E> Body for HeldBody<B, P, E>
where
    B: Body,
    P: Settle,
    P::Classifier: ClassifyEnd<Response<B>, E, HeaderMap>,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        this.held.note::<Response<B>, E, _, _>(frame.as_ref(), || this.inner.is_end_stream());
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B, P: Settle, E> fmt::Debug for HeldBody<B, P, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeldBody")
    }
}
