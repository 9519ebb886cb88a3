//! Renewing a claim while its request runs.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::idempotency::execution::engine::SETTLING;
use crate::idempotency::execution::held::Held;
use crate::idempotency::store::{Fenced, Store};
use crate::time;

/// Drives both, and ends with `work`.
///
/// In one task, not two: a heartbeat costs nothing until the work has been found pending, and a
/// task whose work blocks its thread for a whole lease deserves to be taken for dead.
pub(super) fn beside<W, B>(work: W, beat: B) -> Beside<W, B>
where
    W: Future,
    B: Future<Output = ()>,
{
    Beside { work, beat, beats: true }
}

pin_project! {
    pub(super) struct Beside<W, B> {
        #[pin]
        work: W,
        #[pin]
        beat: B,
        beats: bool,
    }
}

impl<W: Future, B: Future<Output = ()>> Future for Beside<W, B> {
    type Output = W::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<W::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.work.poll(cx) {
            return Poll::Ready(output);
        }
        *this.beats = *this.beats && this.beat.poll(cx).is_pending();
        Poll::Pending
    }
}

/// Renews three times as often as is necessary, until the claim is lost or `max_execution` is over.
pub(super) async fn heartbeat<St: Store>(held: &Held<St>) {
    let engine = &held.engine;
    let config = &engine.config;
    // While the body of the answer is read, it goes on as it was.
    if held.marks.lost.is_cancelled() {
        return;
    }
    let until = time::later(time::now(), config.max_execution);
    let mut wait = config.lease / 3;
    loop {
        engine.pause(wait).await;
        if time::now() >= until {
            // Nobody can tell a request that takes this long from one that hangs. The lease ends,
            // and whoever comes next may take over.
            return held.marks.lost.cancel();
        }
        if held.marks.is_recording() {
            continue;
        }
        // At once for a second time, and from then on every second.
        let renew = || engine.bounded(engine.store.renew(&held.claim, config.lease));
        let mut renewed = renew().await;
        if renewed.is_err() {
            renewed = renew().await;
        }
        wait = match renewed {
            Ok(Fenced::Applied) => config.lease / 3,
            // Its own record, completed in the handler's transaction.
            Ok(Fenced::Lost) if held.marks.is_recording() => return,
            Ok(Fenced::Lost) => return held.fenced(),
            Err(_) => SETTLING.min(config.lease / 3),
        };
    }
}
