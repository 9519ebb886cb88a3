//! [`Call`]: what the response futures of all admitting layers have in common.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::admission::{Admitter, Permit};
use crate::classify;
use crate::error::Rejectable;
use crate::rejected::Rejected;

pin_project! {
    /// A call that was refused, or one that runs and holds its permit.
    #[project = Projected]
    pub(crate) enum Call<F, A: Admitter> {
        Refused { rejected: Option<Rejected> },
        Running { #[pin] inner: F, permit: Permit<A> },
    }
}

/// An outcome, and the permit to settle with it.
type Concluded<'a, T, E, A> = Poll<(Result<T, E>, Option<&'a mut Permit<A>>)>;

impl<F, A: Admitter> Call<F, A> {
    #[inline(always)]
    pub(crate) fn refused(rejected: Rejected) -> Self {
        Self::Refused { rejected: Some(rejected) }
    }

    #[inline(always)]
    pub(crate) fn running(inner: F, permit: Permit<A>) -> Self {
        Self::Running { inner, permit }
    }

    /// Settles with what the outcome says by itself.
    #[inline(always)]
    pub(crate) fn poll_settled<T, E>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, E>>
    where
        F: Future<Output = Result<T, E>>,
        E: Rejectable,
    {
        let (outcome, permit) = ready!(self.poll_outcome(cx));
        if let Some(permit) = permit {
            permit.settle(classify::of_outcome(&outcome));
        }
        Poll::Ready(outcome)
    }

    /// The outcome, and the permit to settle with it; a refusal has none.
    ///
    /// Not handed to a closure: that would be a function of its own, and the outcome passed to and
    /// fro.
    #[inline(always)]
    pub(crate) fn poll_outcome<T, E>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Concluded<'_, T, E, A>
    where
        F: Future<Output = Result<T, E>>,
        E: From<Rejected>,
    {
        match self.project() {
            Projected::Running { inner, permit } => {
                let outcome = ready!(inner.poll(cx));
                Poll::Ready((outcome, Some(permit)))
            }
            Projected::Refused { rejected } => Poll::Ready((Err(E::from(taken(rejected))), None)),
        }
    }
}

/// The refusal, which is there until the future has answered.
#[inline(always)]
pub(crate) fn taken(rejected: &mut Option<Rejected>) -> Rejected {
    rejected.take().expect("a response future is not polled after it was ready")
}
