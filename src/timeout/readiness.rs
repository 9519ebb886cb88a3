//! [`Readiness`]: the wait for the inner service, where it counts.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::rejected::{Reason, Rejected};
use crate::time::{self, Instant, Sleep};
use crate::timeout::state::Shared;

/// A busy thread may poll so late although somebody waited all the time.
const POLLED_LATE: Duration = Duration::from_millis(100);

/// The wait of one service instance for its next call.
#[derive(Debug, Default)]
pub(super) struct Readiness {
    since: Option<Instant>,
    // Boxed: made only when the inner service is not ready, and the service stays `Unpin`.
    timer: Option<Pin<Box<Sleep>>>,
    waited: Duration,
    expired: bool,
    /// Shadow mode has reported this wait, and lets it go on.
    reported: bool,
}

impl Readiness {
    /// What the outer `poll_ready` answers, given the inner one's answer.
    pub(super) fn poll<E>(
        &mut self,
        inner: impl FnOnce(&mut Context<'_>) -> Poll<Result<(), E>>,
        shared: &Shared,
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
            self.reported = false;
            return readiness;
        }
        if self.reported {
            return Poll::Pending;
        }
        ready!(self.poll_over(limit, cx));
        if shared.shadow {
            *self = Self { since: self.since, reported: true, ..Self::default() };
            shared.would_refuse(Reason::TimedOut);
            return Poll::Pending;
        }
        *self = Self { expired: true, ..Self::default() };
        Poll::Ready(Ok(()))
    }

    /// Ready when the wait has become too long.
    fn poll_over(&mut self, limit: Duration, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let since = *self.since.get_or_insert_with(time::now);
            let over = time::later(since, limit);
            // Boxed: see the field.
            let timer = self.timer.get_or_insert_with(|| Box::pin(time::sleep_until(over)));
            ready!(timer.as_mut().poll(cx));
            // Whoever waits is woken by the timer. One that fired long ago woke nobody: an
            // earlier caller gave up, and whoever polls now begins to wait.
            if time::now() < time::later(over, limit.max(POLLED_LATE)) {
                return Poll::Ready(());
            }
            *self = Self::default();
        }
    }

    /// Ends the wait with the call: what it leaves of the limit, or that it was too long.
    #[cold]
    pub(super) fn finish(
        &mut self,
        limit: Duration,
        shared: &Shared,
    ) -> Result<Duration, Rejected> {
        let Self { waited, expired, .. } = std::mem::take(self);
        match limit {
            _ if expired => Err(shared.refuse(Reason::TimedOut)),
            Duration::MAX => Ok(limit),
            _ => Ok(limit.saturating_sub(waited)),
        }
    }
}
