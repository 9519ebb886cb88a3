//! [`Readiness`]: the wait for the inner service, where it counts.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::time::{self, Instant, Sleep};

/// The wait of one service instance for its next call.
#[derive(Debug, Default)]
pub(super) struct Readiness {
    since: Option<Instant>,
    // Boxed: made only when the inner service is not ready, and the service stays `Unpin`.
    timer: Option<Pin<Box<Sleep>>>,
    waited: Duration,
    expired: bool,
}

impl Readiness {
    /// What the outer `poll_ready` answers, given the inner one's answer.
    pub(super) fn poll<E>(
        &mut self,
        inner: impl FnOnce(&mut Context<'_>) -> Poll<Result<(), E>>,
        limit: Duration,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), E>> {
        if self.expired {
            return Poll::Ready(Ok(()));
        }
        let readiness = inner(cx);
        if readiness.is_ready() {
            if let Some(since) = self.since.take() {
                let waited = time::now().saturating_duration_since(since);
                // Nobody who still waited could have missed the timer. Longer than the limit
                // means that an earlier caller gave up without a call: its wait is not ours.
                self.waited = if waited < limit { waited } else { Duration::ZERO };
            }
            self.timer = None;
            return readiness;
        }
        let since = *self.since.get_or_insert_with(time::now);
        // Boxed: see the field.
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(time::sleep_until(time::later(since, limit))));
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        *self = Self { expired: true, ..Self::default() };
        Poll::Ready(Ok(()))
    }

    /// Ends the wait with the call: how long it was, or that it was too long.
    pub(super) fn finish(&mut self) -> Result<Duration, Expired> {
        let Self { waited, expired, .. } = std::mem::take(self);
        if expired { Err(Expired) } else { Ok(waited) }
    }
}

/// The inner service was not ready in time.
pub(super) struct Expired;
