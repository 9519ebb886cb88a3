//! [`TimeoutBody`]: a body that must not take too long.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::error::BoxError;
use crate::http::body_timeout::clock::Clock;
use crate::http::body_timeout::permit::Call;
use crate::http::hold::Held;
use crate::rejected::{Reason, Rejected};
use crate::time;
use crate::timeout::state::Shared;

pin_project! {
    /// A body that ends with an error when it takes too long.
    ///
    /// Made for response bodies by [`BodyTimeoutLayer`](super::BodyTimeoutLayer), which says what
    /// the limits mean, and by hand for any other, such as the body of a request that a client
    /// uploads:
    ///
    /// ```
    /// use std::time::Duration;
    /// use axum::{body::Body, extract::Request};
    /// use buttress::http::TimeoutBody;
    ///
    /// fn bounded(request: Request) -> Request {
    ///     request.map(|body| Body::new(TimeoutBody::new(body).idle(Duration::from_secs(10))))
    /// }
    /// ```
    ///
    /// The error is a [`BoxError`]: that of the inner body, or a [`Rejected`] with
    /// [`TimedOut`](Reason::TimedOut), which [`Rejected::find`] finds. After the latter the inner
    /// body is dropped and this one has ended. Trailers, the size hint and the end of the stream
    /// are those of the inner body.
    ///
    /// Needs a runtime with a time driver as soon as the inner body is pending. Cancel safe: what
    /// polls it may be dropped between any two frames.
    pub struct TimeoutBody<B> {
        #[pin]
        inner: Option<B>,
        #[pin]
        clock: Clock,
        held: Held<Call>,
    }
}

impl<B> TimeoutBody<B> {
    /// A body without limits.
    #[must_use]
    pub fn new(body: B) -> Self {
        Self { inner: Some(body), clock: Clock::default(), held: Held::free() }
    }

    /// The longest wait for the next frame. It begins with the first poll that finds the body
    /// pending, and ends with the frame: the time in which nobody asks for one does not count.
    #[must_use]
    pub fn idle(mut self, limit: Duration) -> Self {
        self.clock.idle = Some(limit);
        self
    }

    /// The longest time from now to the end of the body, however fast it is read.
    #[must_use]
    pub fn total(mut self, limit: Duration) -> Self {
        self.clock.until = Some(time::later(time::now(), limit));
        self
    }

    pub(super) fn held(mut self, held: Held<Call>) -> Self {
        self.held = held;
        self
    }
}

impl<B> Body for TimeoutBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let mut this = self.project();
        let Some(mut inner) = this.inner.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let frame = inner.as_mut().poll_frame(cx);
        let over = match &frame {
            // What is ready wins, but a body that is always ready comes to its end as well.
            Poll::Ready(frame) => {
                let ended = || inner.is_end_stream();
                !this.held.note::<(), Infallible, _, _>(frame.as_ref(), ended)
                    && this.clock.as_mut().frame()
            }
            Poll::Pending => this.clock.as_mut().poll_over(cx).is_ready(),
        };
        let shadow = || this.held.permit()?.0.admitter().filter(|shared| shared.shadow);
        if over && let Some(shared) = shadow() {
            shared.would_end(Reason::TimedOut);
            this.clock.set(Clock::default());
        } else if over {
            this.inner.set(None);
            return Poll::Ready(Some(Err(timed_out(this.held).into())));
        }
        frame.map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// Ends the call that the body belongs to, if it does to one.
fn timed_out(held: &mut Held<Call>) -> Rejected {
    match held.release() {
        Some(mut call) => Shared::end(&mut call.0, Reason::TimedOut),
        None => Rejected::new(Reason::TimedOut),
    }
}

impl<B> fmt::Debug for TimeoutBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeoutBody").field("clock", &self.clock).finish_non_exhaustive()
    }
}
