//! [`Held`]: a permit on its way to the end of a body.

use http::HeaderMap;
use http::header::CONTENT_LENGTH;

use crate::admission::Settle;
use crate::classify::{Class, ClassifyEnd, End, Verdict};

/// Settles its permit once: with the verdict on the end, or when it is dropped.
pub(super) struct Held<P: Settle> {
    permit: Option<P>,
    verdict: Verdict,
    /// What a drop means; `None` is an abandoned call.
    dropped: Option<Class>,
    /// How many bytes of the announced length are still to come.
    left: Option<u64>,
}

impl<P: Settle> Held<P> {
    pub(super) fn new(permit: P, verdict: Verdict) -> Self {
        let dropped = match verdict {
            Verdict::Final(class) => Some(class),
            Verdict::Wait => None,
        };
        Self { permit: Some(permit), verdict, dropped, left: None }
    }

    /// Nothing is held.
    pub(super) fn free() -> Self {
        Self { permit: None, verdict: Verdict::Wait, dropped: None, left: None }
    }

    /// Takes note of how long the body will be.
    pub(super) fn expect<T, E>(&mut self, headers: &HeaderMap)
    where
        P::Classifier: ClassifyEnd<T, E, HeaderMap>,
    {
        let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        self.left = length.and_then(|length| length.parse().ok());
        self.count(0);
    }

    /// Takes note of data that has come. From the last announced byte on a drop is an end: an
    /// HTTP server drops a body there instead of asking it for its end. Trailers may still come.
    pub(super) fn count<T, E>(&mut self, bytes: usize)
    where
        P::Classifier: ClassifyEnd<T, E, HeaderMap>,
    {
        let Some(left) = &mut self.left else { return };
        *left = left.saturating_sub(bytes as u64);
        if let (0, None, Some(permit)) = (*left, self.dropped, &self.permit) {
            self.dropped = Some(permit.classifier().at_end(End::Complete(None)));
        }
    }

    /// Settles. Does nothing the second time.
    pub(super) fn end<T, E>(&mut self, end: End<'_, HeaderMap>)
    where
        P::Classifier: ClassifyEnd<T, E, HeaderMap>,
    {
        // Taken before the verdict: a classifier that panics leaves an abandoned call.
        let Some(permit) = self.permit.take() else { return };
        let class = match self.verdict {
            Verdict::Final(class) => class,
            Verdict::Wait => permit.classifier().at_end(end),
        };
        permit.settle(class);
    }
}

impl<P: Settle> Drop for Held<P> {
    fn drop(&mut self) {
        if let (Some(permit), Some(class)) = (self.permit.take(), self.dropped) {
            permit.settle(class);
        }
    }
}
