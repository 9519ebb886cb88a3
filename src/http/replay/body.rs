//! [`ReplayBody`].

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use http::Request;
use http_body::{Body, Frame, SizeHint};

use crate::error::BoxError;
use crate::http::replay::state::{State, Step, Turn};
use crate::http::replay::wakers::Wakers;
use crate::sync::{Mutex, lock};

const CAP: usize = 64 * 1024;

/// A request body that can be sent again: it keeps what it streams.
///
/// Nothing is buffered before the first byte is sent. While the first attempt streams the body, up
/// to a cap of it (64 KiB by default) is kept for as long as a clone exists that has not read it.
/// A clone replays what was kept, and reads on where the others are. Clones may be read at the
/// same time. An attempt that is the last, of which no clone exists, keeps nothing.
///
/// ```
/// use buttress::http::{Replay, ReplayBody};
/// use bytes::Bytes;
/// use http_body_util::{BodyExt, Full};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let body = ReplayBody::new(Full::<Bytes>::from("hello")).at_most(1024);
/// let copy = body.replay().unwrap();
/// assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
/// assert!(copy.can_replay());
/// assert_eq!(copy.collect().await.unwrap().to_bytes(), "hello");
/// # }
/// ```
///
/// # What cannot be replayed
///
/// - A body that is longer than the cap. As soon as it is, what was kept is freed, and it streams
///   on for whoever reads it. A body that says at once that it is longer is never kept.
/// - A body that failed. Whoever reads it gets its error.
///
/// [`can_replay`](super::Replay::can_replay) tells, and `http::RetryPolicy` asks. A clone that is
/// read regardless, or that is behind the others when the cap is passed, answers with an error.
///
/// # What is kept
///
/// The frames as they are, without copying them: a small frame that is a slice of a large buffer
/// keeps that buffer. Trailers are kept too, and count. A replay is framed as the body was the
/// first time: its [`size_hint`](Body::size_hint), from which a client makes the `Content-Length`,
/// is that of the body before it was read.
///
/// # Cost
///
/// A body that is empty costs nothing. Any other costs five small allocations and, where a clone
/// exists, the list of what is kept.
///
/// # Cancellation
///
/// A clone may be dropped at any time. The others read on, and are woken when there is more.
pub struct ReplayBody<B> {
    /// `None` if the body is empty: so are all its clones.
    shared: Option<Arc<Shared<B>>>,
    slot: usize,
}

struct Shared<B> {
    // Boxed, because whoever polls the body takes it out of the lock to do so.
    state: Mutex<State<Pin<Box<B>>>>,
    wakers: Arc<Wakers>,
}

impl<B: Body> ReplayBody<B> {
    /// Keeps up to 64 KiB of `body`.
    #[must_use]
    pub fn new(body: B) -> Self {
        if body.is_end_stream() {
            return Self { shared: None, slot: 0 };
        }
        let size = body.size_hint();
        // Boxed: see the field.
        let state = Mutex::new(State::new(Box::pin(body), size, CAP));
        Self { shared: Some(Arc::new(Shared { state, wakers: Arc::default() })), slot: 0 }
    }

    /// The same for the body of a request: `.map_request(ReplayBody::wrap)`.
    #[must_use]
    pub fn wrap(request: Request<B>) -> Request<Self> {
        request.map(Self::new)
    }
}

impl<B> ReplayBody<B> {
    /// Keeps up to this many bytes, for all clones. With 0, only an empty body can be replayed.
    /// Default: 64 KiB.
    #[must_use]
    pub fn at_most(self, bytes: usize) -> Self {
        if let Some(shared) = &self.shared {
            let _released = lock(&shared.state).set_cap(bytes);
        }
        self
    }

    /// Whether this clone, unread, can get the whole body.
    pub(super) fn is_whole(&self) -> bool {
        self.shared.as_ref().is_none_or(|shared| lock(&shared.state).is_whole(self.slot))
    }
}

impl<B> Clone for ReplayBody<B> {
    /// A copy that starts from the beginning, however far this one has been read.
    fn clone(&self) -> Self {
        let slot = self.shared.as_ref().map_or(0, |shared| lock(&shared.state).join());
        Self { shared: self.shared.clone(), slot }
    }
}

impl<B> Drop for ReplayBody<B> {
    fn drop(&mut self) {
        let Some(shared) = &self.shared else { return };
        shared.wakers.forget(self.slot);
        let _released = lock(&shared.state).leave(self.slot);
    }
}

impl<B> Body for ReplayBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(shared) = &self.shared else { return Poll::Ready(None) };
        let mut registered = false;
        let polled = loop {
            let step = lock(&shared.state).next(self.slot);
            match step {
                Step::Frame(frame) => break Poll::Ready(Some(Ok(frame))),
                Step::End => break Poll::Ready(None),
                Step::Failed(why) => break Poll::Ready(Some(Err(why.into()))),
                Step::Busy if registered => return Poll::Pending,
                Step::Read(body) => {
                    let turn = Turns { shared, slot: self.slot, body: Some(body) };
                    shared.wakers.register(self.slot, cx.waker());
                    registered = true;
                    break turn.poll();
                }
                // Looks once more: what the other reader got may have come before this.
                Step::Busy => shared.wakers.register(self.slot, cx.waker()),
            }
            registered = true;
        };
        if registered && polled.is_ready() {
            shared.wakers.forget(self.slot);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.shared.as_ref().is_none_or(|shared| lock(&shared.state).is_end(self.slot))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.shared {
            Some(shared) => lock(&shared.state).size_hint(self.slot),
            None => SizeHint::with_exact(0),
        }
    }
}

impl<B> fmt::Debug for ReplayBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplayBody")
    }
}

/// A reader's turn at the inner body, which it gives back; if it panics meanwhile, the body has
/// failed for all.
struct Turns<'a, B> {
    shared: &'a Shared<B>,
    slot: usize,
    body: Option<Pin<Box<B>>>,
}

impl<B> Turns<'_, B> {
    fn poll(mut self) -> Poll<Option<Result<Frame<Bytes>, BoxError>>>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let waker = Waker::from(self.shared.wakers.clone());
        let polled = body.as_mut().poll_frame(&mut Context::from_waker(&waker));
        let polled =
            polled.map_ok(|frame| frame.map_data(|mut data| data.copy_to_bytes(data.remaining())));
        let turn = match &polled {
            Poll::Pending => Turn::Pending,
            Poll::Ready(None) => Turn::End,
            Poll::Ready(Some(Err(_))) => Turn::Failed,
            Poll::Ready(Some(Ok(frame))) => {
                let last = frame.is_trailers() || body.is_end_stream();
                Turn::Frame { frame, last }
            }
        };
        self.settle(turn);
        polled.map_err(Into::into)
    }

    fn settle(&mut self, turn: Turn<'_>) {
        let Some(body) = self.body.take() else { return };
        let released = lock(&self.shared.state).settle(self.slot, turn, body);
        if released.wake {
            self.shared.wakers.wake_others(self.slot);
        }
    }
}

impl<B> Drop for Turns<'_, B> {
    fn drop(&mut self) {
        self.settle(Turn::Failed);
    }
}
