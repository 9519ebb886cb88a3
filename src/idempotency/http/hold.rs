//! Reading a response body before anybody sees it, so that whatever is seen is also kept.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use crate::idempotency::http::Body;
use crate::idempotency::http::gather::{End, Gather};
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
    let mut gather = Gather::new(Box::pin(body), limits.bytes);
    // A body that is there already starts no timer.
    let end = match poll_fn(|cx| Poll::Ready(Pin::new(&mut gather).poll(cx))).await {
        Poll::Ready(end) => end,
        Poll::Pending => {
            let until = time::later(time::now(), limits.time);
            tokio::time::timeout_at(until, &mut gather).await.unwrap_or(End::Limit)
        }
    };
    match end {
        End::Whole { data, trailers } => Hold::Whole { data, trailers },
        End::Limit => Hold::Unstorable(Body::prefixed(gather.frames, gather.trailers, gather.body)),
        End::Broken(error) => Hold::Unstorable(Body::broken(gather.frames, error)),
    }
}
