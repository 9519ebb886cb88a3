//! Renewing a claim while its request runs.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use crate::idempotency::execution::engine::SETTLING;
use crate::idempotency::execution::held::Held;
use crate::idempotency::store::{Fenced, Store};
use crate::time;

/// Drives both, and ends with `work`.
///
/// In one task, not two: a heartbeat costs nothing until the work has been found pending, and a
/// task whose work blocks its thread for a whole lease deserves to be taken for dead.
pub(super) async fn beside<W: Future>(work: W, beat: impl Future<Output = ()>) -> W::Output {
    let mut work = pin!(work);
    let mut beat = pin!(beat);
    let mut beats = true;
    poll_fn(|cx| {
        if let Poll::Ready(output) = work.as_mut().poll(cx) {
            return Poll::Ready(output);
        }
        beats = beats && beat.as_mut().poll(cx).is_pending();
        Poll::Pending
    })
    .await
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
