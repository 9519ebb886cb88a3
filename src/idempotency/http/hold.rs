//! Reading a response body before anybody sees it, so that whatever is seen is also kept.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

use crate::idempotency::http::Body;
use crate::time;

/// How much of a body is held, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct HoldLimits {
    pub(super) bytes: usize,
    pub(super) time: Duration,
}

/// A body, as far as it was held.
pub(super) enum Hold<B: http_body::Body> {
    /// All of it.
    Whole { data: Bytes, trailers: Option<HeaderMap> },
    /// It is too long, too slow, or broke: what is there goes on to the caller.
    Unstorable(Body<B>),
}

/// Reads the body to its end, or to its limits.
pub(super) async fn hold<B>(body: B, limits: HoldLimits) -> Hold<B>
where
    B: http_body::Body<Data = Bytes>,
{
    if body.size_hint().lower() > limits.bytes as u64 {
        return Hold::Unstorable(Body::passing(body));
    }
    // Boxed: it has to be pinned while it is read, and to move on afterwards if it is too long.
    let mut reading =
        Reading { body: Box::pin(body), frames: VecDeque::new(), length: 0, trailers: None };
    match reading.read(limits).await {
        End::Whole => {
            Hold::Whole { data: joined(reading.frames, reading.length), trailers: reading.trailers }
        }
        End::Limit => Hold::Unstorable(Body::prefixed(reading.frames, reading.body)),
        End::Broken(error) => Hold::Unstorable(Body::broken(reading.frames, error)),
    }
}

struct Reading<B> {
    body: Pin<Box<B>>,
    frames: VecDeque<Bytes>,
    length: usize,
    trailers: Option<HeaderMap>,
}

enum End<E> {
    Whole,
    Limit,
    Broken(E),
}

impl<B> Reading<B>
where
    B: http_body::Body<Data = Bytes>,
{
    async fn read(&mut self, limits: HoldLimits) -> End<B::Error> {
        let mut ending = pin!(self.to_the_end(limits.bytes));
        // A body that is there already starts no timer.
        match poll_fn(|cx| Poll::Ready(ending.as_mut().poll(cx))).await {
            Poll::Ready(end) => end,
            Poll::Pending => {
                let until = time::later(time::now(), limits.time);
                // Nothing is lost of what was read: it is kept here, not in the future.
                tokio::time::timeout_at(until, ending).await.unwrap_or(End::Limit)
            }
        }
    }

    async fn to_the_end(&mut self, most: usize) -> End<B::Error> {
        loop {
            let frame = match poll_fn(|cx| self.body.as_mut().poll_frame(cx)).await {
                None => return End::Whole,
                Some(Err(error)) => return End::Broken(error),
                Some(Ok(frame)) => frame,
            };
            match frame.into_data() {
                Ok(data) => {
                    self.length = self.length.saturating_add(data.len());
                    self.frames.push_back(data);
                    if self.length > most {
                        return End::Limit;
                    }
                }
                // Frames of further kinds, which HTTP does not have yet, end here.
                Err(frame) => self.trailers = frame.into_trailers().ok().or(self.trailers.take()),
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
