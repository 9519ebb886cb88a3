//! [`Algorithm`]: what finds the limit.

use std::time::Duration;

use tokio::time::Instant;

/// Finds how many calls a service can carry at once, from how the calls before them went.
///
/// A synchronous machine without a clock of its own: the layer hands it the time, and calls it
/// under a lock, so it must be quick and must not panic. Only [`limit`](Self::limit) and
/// [`ended`](Self::ended) have to be written; the other methods save work.
///
/// ```
/// use buttress::adaptive_limit::{AdaptiveLimitLayer, Algorithm, Ended, Outcome, Range};
///
/// /// One more after each answer that came while the limit was in use, half after a timeout.
/// #[derive(Debug)]
/// struct Halving { limit: f64 }
///
/// impl Algorithm for Halving {
///     fn begin(&mut self, range: Range) {
///         self.limit = range.initial.unwrap_or(8) as f64;
///     }
///
///     fn limit(&self) -> f64 {
///         self.limit
///     }
///
///     fn ended(&mut self, call: &Ended) {
///         match call.outcome {
///             Outcome::Answered if call.pressed => self.limit += 1.0 / self.limit,
///             Outcome::TimedOut | Outcome::Overloaded => self.limit = (self.limit / 2.0).max(1.0),
///             _ => {}
///         }
///     }
/// }
///
/// let layer = AdaptiveLimitLayer::builder().algorithm(Halving { limit: 0.0 }).max(200).build();
/// assert_eq!(layer.handle().limit(), 8);
/// ```
pub trait Algorithm: Send {
    /// Called once, before everything else, by the layer that takes it.
    fn begin(&mut self, range: Range) {
        let _ = range;
    }

    /// The limit as it is now. The layer rounds it down and keeps it in its range; what is no
    /// number counts as the least limit.
    fn limit(&self) -> f64;

    /// The limit as it is but for an experiment, for an algorithm that lowers it now and then to
    /// see what becomes of latency. Where requests have
    /// [priorities](super::Builder::priority), this is what critical ones may use all the while.
    /// Default: the [`limit`](Self::limit).
    fn usual_limit(&self) -> f64 {
        self.limit()
    }

    /// A call has been admitted. Gives back a number of the algorithm's own choice that comes back
    /// in [`Ended::mark`], or `None` if it does not want to hear of this call again: such a call
    /// is not timed.
    fn admitted(&mut self, call: &Admitted) -> Option<u64> {
        let _ = call;
        Some(0)
    }

    /// A call that it wanted to hear of has ended.
    fn ended(&mut self, call: &Ended);

    /// How many of the next calls it can do without. They are neither timed nor shown to it: that
    /// is what makes a limit cheap. Asked after each of the other calls. The layer shows it the
    /// next call all the same once somebody has been refused.
    fn skip(&self) -> u32 {
        0
    }
}

impl<T: Algorithm + ?Sized> Algorithm for Box<T> {
    fn begin(&mut self, range: Range) {
        (**self).begin(range);
    }

    fn limit(&self) -> f64 {
        (**self).limit()
    }

    fn usual_limit(&self) -> f64 {
        (**self).usual_limit()
    }

    fn admitted(&mut self, call: &Admitted) -> Option<u64> {
        (**self).admitted(call)
    }

    fn ended(&mut self, call: &Ended) {
        (**self).ended(call);
    }

    fn skip(&self) -> u32 {
        (**self).skip()
    }
}

/// What limits are allowed, and with which to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Range {
    /// The least limit.
    pub min: usize,
    /// The largest limit.
    pub max: usize,
    /// The limit to begin with, where one was set.
    pub initial: Option<usize>,
}

impl Range {
    /// With these bounds, to try an algorithm without a layer. No limit to begin with.
    #[must_use]
    pub fn new(min: usize, max: usize) -> Self {
        Self { min, max, initial: None }
    }
}

/// A call has just been admitted.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Admitted {
    /// The time.
    pub now: Instant,
    /// Calls in flight, this one included.
    pub in_flight: usize,
}

impl Admitted {
    /// Now, as one of so many, to try an algorithm without a layer.
    #[must_use]
    pub fn new(now: Instant, in_flight: usize) -> Self {
        Self { now, in_flight }
    }
}

/// A call has ended.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Ended {
    /// The time.
    pub now: Instant,
    /// How long it took; in HTTP with a streaming body, to its head.
    pub latency: Duration,
    /// What came of it.
    pub outcome: Outcome,
    /// Calls in flight, this one not included.
    pub in_flight: usize,
    /// Whether somebody has been refused or made to wait since the algorithm was last called. If
    /// nobody was, the limit held back nothing, and says nothing about the service.
    pub pressed: bool,
    /// What [`Algorithm::admitted`] gave back for it.
    pub mark: u64,
}

impl Ended {
    /// The end of the only call there was, to try an algorithm without a layer. No mark, nobody
    /// refused.
    #[must_use]
    pub fn new(now: Instant, latency: Duration, outcome: Outcome) -> Self {
        Self { now, latency, outcome, in_flight: 0, pressed: false, mark: 0 }
    }
}

/// What a call says about the service's load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// It was answered: its latency is a sample. A refusal that is the caller's fault too.
    Answered,
    /// It timed out: its latency is a sample, and less than the call would have taken.
    TimedOut,
    /// The service asked for less.
    Overloaded,
    /// It failed otherwise, was cancelled, or was refused by a layer below: it says nothing.
    Unknown,
}
