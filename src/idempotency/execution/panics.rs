//! A panic of the handler, caught so that its claim can be given up first, and resumed in the
//! caller.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::sync::{Mutex, lock};

/// What was thrown.
pub(crate) struct Panic(Mutex<Option<Box<dyn Any + Send>>>);

impl Panic {
    /// Goes on as if it had not been caught.
    pub(crate) fn resume(self) -> ! {
        let payload = lock(&self.0).take().unwrap_or_else(|| Box::new("the handler panicked"));
        resume_unwind(payload)
    }
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Panic")
    }
}

/// The future's output, or its panic.
pub(crate) fn caught<F: Future>(work: F) -> Caught<F> {
    Caught { work }
}

pin_project! {
    // By hand, as all here that goes around a handler or a store's call: an `async fn` has room for
    // its argument twice, and with one around another a request would have it thirty times.
    pub(crate) struct Caught<F> {
        #[pin]
        work: F,
    }
}

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, Panic>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let work = self.project().work;
        // The future is not polled again after it has panicked.
        match catch_unwind(AssertUnwindSafe(|| work.poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(payload) => Poll::Ready(Err(Panic(Mutex::new(Some(payload))))),
        }
    }
}
