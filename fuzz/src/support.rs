//! What several targets need.

#[path = "../../tests/it/support/hand.rs"]
#[allow(dead_code)]
mod hand;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use buttress::Reason;

pub(crate) use hand::{Hand, ready};

/// Every reason there is to refuse.
pub(crate) const REASONS: [Reason; 19] = [
    Reason::BulkheadFull,
    Reason::LimitReached,
    Reason::Overloaded,
    Reason::QueueTimedOut,
    Reason::CircuitOpen,
    Reason::RateLimited,
    Reason::TimedOut,
    Reason::DeadlineExceeded,
    Reason::KeyMissing,
    Reason::KeyInvalid,
    Reason::ScopeMissing,
    Reason::BodyRead,
    Reason::RequestTooLarge,
    Reason::FingerprintMismatch,
    Reason::InProgress,
    Reason::OutcomeUnknown,
    Reason::ResultUnavailable,
    Reason::StoreUnavailable,
    Reason::StoreFull,
];

/// The output of a future that has to have one at once.
pub(crate) fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("this was to be ready at once"),
    }
}

/// A runtime whose clock moves when nothing else does.
pub(crate) fn paused() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().expect("a runtime")
}
