//! [`Gather`]: reading a body to its end, or to a limit.

use std::collections::VecDeque;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use pin_project_lite::pin_project;

pin_project! {
    /// Reads a body. It can be dropped, or asked for what there is, at any time.
    pub(super) struct Gather<B> {
        #[pin]
        pub(super) body: B,
        pub(super) frames: VecDeque<Bytes>,
        length: usize,
        pub(super) trailers: Option<HeaderMap>,
        most: usize,
    }
}

/// How a body ended.
pub(super) enum End<E> {
    Whole {
        data: Bytes,
        trailers: Option<HeaderMap>,
    },
    /// It is longer than the limit: what was read is in the frames.
    Limit,
    Broken(E),
}

impl<B> Gather<B> {
    /// Up to `most` bytes of data, and the trailers.
    pub(super) fn new(body: B, most: usize) -> Self {
        Self { body, frames: VecDeque::new(), length: 0, trailers: None, most }
    }
}

impl<B> Future for Gather<B>
where
    B: http_body::Body<Data = Bytes>,
{
    type Output = End<B::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<End<B::Error>> {
        let mut this = self.project();
        loop {
            let frame = match ready!(this.body.as_mut().poll_frame(cx)) {
                None => {
                    let data = joined(mem::take(this.frames), *this.length);
                    return Poll::Ready(End::Whole { data, trailers: this.trailers.take() });
                }
                Some(Err(error)) => return Poll::Ready(End::Broken(error)),
                Some(Ok(frame)) => frame,
            };
            match frame.into_data() {
                // However many of these there are, they take no room.
                Ok(data) if data.is_empty() => {}
                Ok(data) => {
                    *this.length = this.length.saturating_add(data.len());
                    this.frames.push_back(data);
                    if this.length > this.most {
                        return Poll::Ready(End::Limit);
                    }
                }
                Err(frame) => match (frame.into_trailers(), this.trailers.as_mut()) {
                    (Ok(trailers), Some(before)) => before.extend(trailers),
                    (Ok(trailers), None) => *this.trailers = Some(trailers),
                    // A kind of frame that HTTP does not have yet.
                    (Err(_), _) => {}
                },
            }
        }
    }
}

fn joined(mut frames: VecDeque<Bytes>, length: usize) -> Bytes {
    if frames.len() <= 1 {
        return frames.pop_front().unwrap_or_default();
    }
    let mut whole = BytesMut::with_capacity(length);
    for frame in frames {
        whole.extend_from_slice(&frame);
    }
    whole.freeze()
}
