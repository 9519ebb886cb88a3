//! [`Clock`]: how long a body has been waited for.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;

use crate::time::{self, Instant, Sleep};

pin_project! {
    /// The two limits of one body, and the one timer for both. It is made when the body is first
    /// found pending, and stays in its place for all frames.
    #[derive(Debug, Default)]
    pub(super) struct Clock {
        pub(super) idle: Option<Duration>,
        pub(super) until: Option<Instant>,
        // Since when somebody waits for the next frame.
        since: Option<Instant>,
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl Clock {
    /// The body is pending. Ready when that is too much.
    pub(super) fn poll_over(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let since = &mut *this.since;
        // One clock for each wait, and none for the polls in it.
        let idle = this.idle.map(|idle| time::later(*since.get_or_insert_with(time::now), idle));
        let Some(end) = idle.into_iter().chain(*this.until).min() else { return Poll::Pending };
        loop {
            let Some(mut sleep) = this.sleep.as_mut().as_pin_mut() else {
                this.sleep.set(Some(time::sleep_until(end)));
                continue;
            };
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= end {
                return Poll::Ready(());
            }
            // It was set in an earlier wait, and left there: frames come more often than it ends.
            sleep.reset(end);
        }
    }

    /// A frame has come. Whether it is too late for any but the last.
    pub(super) fn frame(self: Pin<&mut Self>) -> bool {
        let this = self.project();
        *this.since = None;
        // A body that is always ready would never be asked otherwise.
        this.until.is_some_and(|until| time::now() >= until)
    }
}
