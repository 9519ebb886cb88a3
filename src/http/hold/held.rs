//! [`Held`]: a permit on its way to the end of a body.

use bytes::Buf;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::Frame;

use crate::admission::Settle;
use crate::classify::{Class, ClassifyEnd, End, Verdict};

/// Settles its permit once: with the verdict on the end, or when it is dropped.
pub(in crate::http) struct Held<P: Settle> {
    permit: Option<P>,
    verdict: Verdict,
    /// What a drop means; `None` is an abandoned call.
    dropped: Option<Class>,
    /// How many bytes of the announced length are still to come.
    left: Option<u64>,
}

impl<P: Settle> Held<P> {
    pub(in crate::http) fn new(permit: P, verdict: Verdict) -> Self {
        let dropped = match verdict {
            Verdict::Final(class) => Some(class),
            Verdict::Wait => None,
        };
        Self { permit: Some(permit), verdict, dropped, left: None }
    }

    /// Nothing is held.
    pub(in crate::http) fn free() -> Self {
        Self { permit: None, verdict: Verdict::Wait, dropped: None, left: None }
    }

    /// Takes note of how long the body will be.
    pub(in crate::http) fn expect<T, E>(&mut self, headers: &HeaderMap)
    where
        P::Classifier: ClassifyEnd<T, E, HeaderMap>,
    {
        let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        self.left = length.and_then(|length| length.parse().ok());
        self.count(0);
    }

    /// Takes note of what a body has answered; `ended` is what the body says of itself. Whether
    /// that was its end.
    pub(in crate::http) fn note<T, E, D, X>(
        &mut self,
        frame: Option<&Result<Frame<D>, X>>,
        ended: impl FnOnce() -> bool,
    ) -> bool
    where
        P::Classifier: ClassifyEnd<T, E, HeaderMap>,
        D: Buf,
    {
        let end = match frame {
            None => End::Complete(None),
            Some(Err(_)) => End::Failed,
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.count::<T, E>(data.remaining());
                }
                match frame.trailers_ref() {
                    // Whoever reads a body that says so does not ask it for its end.
                    #[cfg(not(mutant = "slot-freed-at-first-frame"))]
                    None if !ended() => return false,
                    trailers => End::Complete(trailers),
                }
            }
        };
        self.end::<T, E>(end);
        true
    }

    /// Takes note of data that has come. From the last announced byte on a drop is an end: an
    /// HTTP server drops a body there instead of asking it for its end. Trailers may still come.
    fn count<T, E>(&mut self, bytes: usize)
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
    pub(in crate::http) fn end<T, E>(&mut self, end: End<'_, HeaderMap>)
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

    /// The permit, until it is settled.
    pub(in crate::http) fn permit(&self) -> Option<&P> {
        self.permit.as_ref()
    }

    /// Leaves the end of the call to somebody else.
    pub(in crate::http) fn release(&mut self) -> Option<P> {
        self.permit.take()
    }
}

impl<P: Settle> Drop for Held<P> {
    fn drop(&mut self) {
        if let (Some(permit), Some(class)) = (self.permit.take(), self.dropped) {
            permit.settle(class);
        }
    }
}
