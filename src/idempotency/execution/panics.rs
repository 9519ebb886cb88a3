//! A panic of the handler, caught so that its claim can be given up first, and resumed in the
//! caller.

use std::any::Any;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::task::Poll;

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
pub(crate) async fn caught<F: Future>(work: F) -> Result<F::Output, Panic> {
    let mut work = pin!(work);
    poll_fn(|cx| {
        // The future is not polled again after it has panicked.
        match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(payload) => Poll::Ready(Err(Panic(Mutex::new(Some(payload))))),
        }
    })
    .await
}
