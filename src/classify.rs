//! [`Class`] and [`Classify`]: what an outcome says about the service that was called.

use std::convert::Infallible;
use std::fmt;
use std::time::Duration;

use crate::error::Rejectable;
use crate::rejected::Reason;

/// What an outcome says about the service that was called.
///
/// | class | meaning | breaker | retry | adaptive limit |
/// | --- | --- | --- | --- | --- |
/// | `Success` | it worked | success | no | sample |
/// | `Permanent` | the caller's fault; the service answered | success | no | sample |
/// | `Transient` | may work again | failure | yes | drop if it was a timeout, else no sample |
/// | `Overload` | it asked for less | failure by rate, not a consecutive one; fails a probe | not before the hint | decrease |
/// | `Ignore` | says nothing about the service | not counted, probe returned | no | no sample |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// It worked.
    Success,
    /// The request was at fault: sending it again would fail again, and the service is well.
    Permanent,
    /// The service failed in a way that may pass.
    Transient,
    /// The service asked for less load.
    Overload {
        /// When it wants to be asked again, where it said so.
        retry_after: Option<Duration>,
    },
    /// Says nothing about the service: a local refusal, the caller's cancel or expired deadline.
    Ignore,
}

impl Class {
    /// A stable word for it: the `class` label of the metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Permanent => "permanent",
            Self::Transient => "transient",
            Self::Overload { .. } => "overload",
            Self::Ignore => "ignore",
        }
    }
}

/// Judges the outcome of a call.
///
/// Closures take part through [`classify_fn`]; HTTP and gRPC have theirs in `http::Statuses` and
/// `grpc::Codes`. Whether a *request* may be sent again is another question, which the retry
/// policy answers.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot classify an outcome `Result<{T}, {E}>`",
    note = "the default classifier needs an error that is `buttress::Rejectable`: put `.layer(buttress::LiftLayer)` last in the `ServiceBuilder`",
    note = "or give the layer a classifier of your own: `.classify(classify_fn(|outcome: Result<&{T}, &{E}>| ..))`"
)]
pub trait Classify<T, E> {
    /// What `outcome` says about the service.
    fn classify(&self, outcome: Result<&T, &E>) -> Class;
}

/// The classifier where none is named: answers are successes, errors are transient failures.
///
/// A refusal by an inner layer is [`Class::Ignore`], save a timeout that fired there, which is
/// [`Class::Transient`]: the service had its chance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DefaultClassifier;

impl<T, E: Rejectable> Classify<T, E> for DefaultClassifier {
    fn classify(&self, outcome: Result<&T, &E>) -> Class {
        match outcome {
            Ok(_) => Class::Success,
            Err(error) => of_error(error),
        }
    }
}

impl<T> Classify<T, Infallible> for DefaultClassifier {
    fn classify(&self, _: Result<&T, &Infallible>) -> Class {
        Class::Success
    }
}

/// What the default classifier says, for layers that have no other.
#[inline]
pub(crate) fn of_outcome<T, E: Rejectable>(outcome: &Result<T, E>) -> Class {
    match outcome {
        Ok(_) => Class::Success,
        Err(error) => of_error(error),
    }
}

/// What an error says by itself, for layers and classifiers that look no further.
pub(crate) fn of_error<E: Rejectable>(error: &E) -> Class {
    match error.rejected() {
        #[cfg(not(mutant = "refusal-counted-as-failure"))]
        Some(rejected) if rejected.reason() != Reason::TimedOut => Class::Ignore,
        _ => Class::Transient,
    }
}

/// Makes a classifier of a closure.
///
/// ```
/// use buttress::{Class, Error, circuit_breaker::CircuitBreakerLayer, classify::classify_fn};
///
/// struct Answer { stale: bool }
///
/// let layer = CircuitBreakerLayer::builder()
///     .classify(classify_fn(|outcome: Result<&Answer, &Error<std::io::Error>>| match outcome {
///         Ok(answer) if answer.stale => Class::Transient,
///         Ok(_) => Class::Success,
///         Err(Error::Rejected(_)) => Class::Ignore,
///         Err(Error::Service(_)) => Class::Transient,
///     }))
///     .build();
/// # let _ = layer;
/// ```
pub fn classify_fn<T, E, F>(judge: F) -> ClassifyFn<F>
where
    F: Fn(Result<&T, &E>) -> Class,
{
    ClassifyFn(judge)
}

/// The classifier that [`classify_fn`] makes.
#[derive(Clone, Copy)]
pub struct ClassifyFn<F>(F);

impl<F, T, E> Classify<T, E> for ClassifyFn<F>
where
    F: Fn(Result<&T, &E>) -> Class,
{
    fn classify(&self, outcome: Result<&T, &E>) -> Class {
        (self.0)(outcome)
    }
}

impl<F> fmt::Debug for ClassifyFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClassifyFn")
    }
}

/// Judges an answer that may not be complete when its head arrives: a streaming body, trailers.
///
/// `Trailers` is what follows a body: a header map in HTTP. Used by `http::HoldBody`, which holds
/// a permit until the body has ended and settles it with this verdict. A classifier that has both
/// moments implements both traits; there is no blanket implementation between them, since it
/// would conflict.
pub trait ClassifyEnd<T, E, Trailers> {
    /// The verdict on the head, or [`Verdict::Wait`] where only the end can tell.
    fn at_head(&self, outcome: Result<&T, &E>) -> Verdict;

    /// The verdict on the end, after the head said [`Verdict::Wait`].
    fn at_end(&self, end: End<'_, Trailers>) -> Class;
}

/// What the head of an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Nothing that follows can change it.
    Final(Class),
    /// The end decides.
    Wait,
}

/// How the body of an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End<'a, Trailers> {
    /// It ended, with these trailers or with none.
    Complete(Option<&'a Trailers>),
    /// It broke off with an error.
    Failed,
}

/// Makes a [`Classify`] of a classifier that waits for the end: judges the head, and takes an
/// answer whose end is still open for a success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AtHead<C, Trailers = ()> {
    classifier: C,
    trailers: std::marker::PhantomData<fn() -> Trailers>,
}

impl<C, Trailers> AtHead<C, Trailers> {
    /// Judges with `classifier`, at the head alone.
    pub fn new(classifier: C) -> Self {
        Self { classifier, trailers: std::marker::PhantomData }
    }
}

impl<C, T, E, Trailers> Classify<T, E> for AtHead<C, Trailers>
where
    C: ClassifyEnd<T, E, Trailers>,
{
    fn classify(&self, outcome: Result<&T, &E>) -> Class {
        match self.classifier.at_head(outcome) {
            Verdict::Final(class) => class,
            Verdict::Wait => Class::Success,
        }
    }
}

// The default classifier looks at no body: a body that breaks off is the one thing it can see
// there, and that is a transient failure, as an error in place of the head is.
impl<T, E, Trailers> ClassifyEnd<T, E, Trailers> for DefaultClassifier
where
    Self: Classify<T, E>,
{
    fn at_head(&self, outcome: Result<&T, &E>) -> Verdict {
        match self.classify(outcome) {
            Class::Success => Verdict::Wait,
            class => Verdict::Final(class),
        }
    }

    fn at_end(&self, end: End<'_, Trailers>) -> Class {
        match end {
            End::Complete(_) => Class::Success,
            End::Failed => Class::Transient,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, Rejected};

    #[test]
    fn local_refusals_say_nothing_but_a_timeout_below_is_a_failure() {
        let classify =
            |outcome: Result<(), Error<&str>>| DefaultClassifier.classify(outcome.as_ref());
        assert_eq!(classify(Ok(())), Class::Success);
        assert_eq!(classify(Err(Error::Service("boom"))), Class::Transient);
        assert_eq!(classify(Err(Rejected::new(Reason::TimedOut).into())), Class::Transient);
        for reason in [
            Reason::BulkheadFull,
            Reason::CircuitOpen,
            Reason::DeadlineExceeded,
            Reason::RateLimited,
        ] {
            assert_eq!(classify(Err(Rejected::new(reason).into())), Class::Ignore, "{reason}");
        }
    }
}
