//! [`Body`]: a request or response body that was kept, or one that passes.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// The body of what goes through an [`Idempotency`](super::Idempotency): kept in whole, or the
    /// inner body as it comes.
    pub struct Body<B: http_body::Body> {
        // What comes first.
        frames: VecDeque<Bytes>,
        then: Option<Then<B::Error>>,
        #[pin]
        rest: Option<B>,
        // One that was read in part, and pinned for that.
        pinned: Option<Pin<Box<B>>>,
    }
}

/// What comes after the frames, where the rest is not the inner body.
enum Then<E> {
    Trailers(HeaderMap),
    Error(E),
}

impl<B: http_body::Body> Body<B> {
    /// The inner body as it is.
    pub(super) fn passing(body: B) -> Self {
        Self { frames: VecDeque::new(), then: None, rest: Some(body), pinned: None }
    }

    /// A body that is known in whole.
    pub(super) fn whole(data: Bytes, trailers: Option<HeaderMap>) -> Self {
        let frames = Some(data).filter(|data| !data.is_empty()).into_iter().collect();
        Self { frames, then: trailers.map(Then::Trailers), rest: None, pinned: None }
    }

    /// What was read of a body, and the rest as it comes.
    pub(super) fn prefixed(
        frames: VecDeque<Bytes>,
        trailers: Option<HeaderMap>,
        rest: Pin<Box<B>>,
    ) -> Self {
        Self { frames, then: trailers.map(Then::Trailers), rest: None, pinned: Some(rest) }
    }

    /// What was read of a body before it failed.
    pub(super) fn broken(frames: VecDeque<Bytes>, error: B::Error) -> Self {
        Self { frames, then: Some(Then::Error(error)), rest: None, pinned: None }
    }
}

impl<B: http_body::Body> Body<B> {
    fn rest(&self) -> Option<&B> {
        self.rest.as_ref().or(self.pinned.as_deref())
    }
}

impl<B> http_body::Body for Body<B>
where
    B: http_body::Body<Data = Bytes>,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        if let Some(data) = this.frames.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        match this.then.take() {
            Some(Then::Trailers(trailers)) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Some(Then::Error(error)) => Poll::Ready(Some(Err(error))),
            None => match (this.rest.as_pin_mut(), this.pinned) {
                (Some(rest), _) => rest.poll_frame(cx),
                (None, Some(rest)) => rest.as_mut().poll_frame(cx),
                (None, None) => Poll::Ready(None),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        let rest = self.rest().is_none_or(http_body::Body::is_end_stream);
        self.frames.is_empty() && self.then.is_none() && rest
    }

    fn size_hint(&self) -> SizeHint {
        let kept: u64 = self.frames.iter().map(|data| data.len() as u64).sum();
        let rest = match (self.rest(), &self.then) {
            (Some(rest), _) => rest.size_hint(),
            // It ends short of what it was to be; or has trailers, which a server of HTTP/1.1
            // sends only after a body of no declared length.
            (None, Some(_)) => SizeHint::new(),
            (None, None) => SizeHint::with_exact(0),
        };
        let mut sum = SizeHint::new();
        sum.set_lower(rest.lower().saturating_add(kept));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(kept)) {
            sum.set_upper(upper);
        }
        sum
    }
}

impl<B: http_body::Body> fmt::Debug for Body<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept: usize = self.frames.iter().map(Bytes::len).sum();
        write!(f, "idempotency::Body({kept} bytes kept, rest: {})", self.rest().is_some())
    }
}
